// The request head against llhttp, Node's parser, as an oracle: whatever we accept it accepts too, with the
// same method, target, fields and framing. (The reverse does not hold: we are stricter.) Without node-llhttp
// at build time the head is parsed alone.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "http/head.hpp"

#ifdef TIDEGATE_LLHTTP
#include <llhttp.h>
#endif

namespace {

#ifdef TIDEGATE_LLHTTP
struct Oracle {
  std::string url, field, value;
  std::vector<std::pair<std::string, std::string>> fields;
  bool complete = false;
};

Oracle* of(llhttp_t* p) { return static_cast<Oracle*>(p->data); }

void check(std::string_view text, const tg::http::RequestHead& head) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = [](llhttp_t* p, const char* at, std::size_t n) {
    of(p)->url.append(at, n);
    return 0;
  };
  settings.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) {
    of(p)->field.append(at, n);
    return 0;
  };
  settings.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) {
    of(p)->value.append(at, n);
    return 0;
  };
  settings.on_header_value_complete = [](llhttp_t* p) {
    of(p)->fields.emplace_back(std::move(of(p)->field), std::move(of(p)->value));
    of(p)->field.clear();
    of(p)->value.clear();
    return 0;
  };
  settings.on_headers_complete = [](llhttp_t* p) {
    of(p)->complete = true;
    return static_cast<int>(HPE_PAUSED);
  };
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  Oracle oracle;
  parser.data = &oracle;
  llhttp_execute(&parser, text.data(), text.size());
  // llhttp knows a fixed list of methods; an unknown token is no disagreement about framing.
  if (llhttp_get_errno(&parser) == HPE_INVALID_METHOD) return;
  // To llhttp PRI is the first word of HTTP/2's preface and nothing else; to a server of HTTP/1.1 a method it
  // lacks.
  if (head.method == "PRI") return;
  // RFC 9110 5.5 trims spaces and tabs around a value, llhttp only spaces of the fields that frame the body.
  const bool tabs = text.find('\t') != std::string_view::npos;
  if (tabs && (llhttp_get_errno(&parser) == HPE_INVALID_CONTENT_LENGTH ||
               llhttp_get_errno(&parser) == HPE_INVALID_TRANSFER_ENCODING))
    return;
  if (!oracle.complete) std::abort();
  if (oracle.url != head.target || oracle.fields.size() != head.field_count) std::abort();
  for (std::size_t i = 0; i < head.field_count; ++i) {
    std::string value = oracle.fields[i].second;
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    if (oracle.fields[i].first != head.fields[i].name || value != head.fields[i].value) std::abort();
  }
  if (tabs) return;
  const bool chunked = (parser.flags & F_CHUNKED) != 0;
  const bool length = (parser.flags & F_CONTENT_LENGTH) != 0;
  if (chunked != head.chunked || length != head.has_length) std::abort();
  if (length && parser.content_length != head.length) std::abort();
}
#endif

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t scanned = 0;
  std::size_t end = 0;
  tg::http::ParseError error;
  if (tg::http::find_head_end(text, scanned, end, error) != tg::http::ParseStatus::complete) return 0;
  static tg::http::RequestHead head;
  if (!tg::http::parse_request_head(text.substr(0, end), head, error)) {
    if (error.status < 400 || error.reason.empty()) std::abort();
    return 0;
  }
  if (head.chunked && head.has_length) std::abort();
#ifdef TIDEGATE_LLHTTP
  check(text.substr(0, end), head);
#endif
  return 0;
}
