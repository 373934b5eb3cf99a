#include "gateway/headers.hpp"

namespace tg::gateway {

using http::Field;
using http::FieldId;

namespace {

// Copies field lines. Lines that stand behind one another as they are to be written go in one piece.
class Lines {
 public:
  Lines(net::BufferPool& pool, net::Buffer& out) : pool_(pool), out_(out) {}
  ~Lines() { flush(); }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  void add(const Field& f) {
    const char* const value_end = f.value.data() + f.value.size();
    const bool plain = f.value.data() == f.name.data() + f.name.size() + 2 &&
                       f.name.data()[f.name.size() + 1] == ' ' && value_end[0] == '\r' &&
                       value_end[1] == '\n';
    if (!plain) {
      flush();
      out_.append(pool_, f.name);
      out_.append(pool_, ": ");
      out_.append(pool_, f.value);
      out_.append(pool_, "\r\n");
      return;
    }
    if (end_ != f.name.data()) {
      flush();
      begin_ = f.name.data();
    }
    end_ = value_end + 2;
  }

 private:
  void flush() {
    out_.append(pool_, {begin_, static_cast<std::size_t>(end_ - begin_)});
    begin_ = end_ = nullptr;
  }
  net::BufferPool& pool_;
  net::Buffer& out_;
  const char* begin_ = nullptr;  // the run that was not copied yet
  const char* end_ = nullptr;
};

bool hop_by_hop(FieldId id) {
  switch (id) {
    case FieldId::connection:
    case FieldId::keep_alive:
    case FieldId::proxy:
    case FieldId::te:
    case FieldId::trailer:
    case FieldId::transfer_encoding:
    case FieldId::upgrade:
    case FieldId::content_length:
      return true;
    default:
      return false;
  }
}

}  // namespace

void append_request_fields(const http::RequestHead& head, net::BufferPool& pool, net::Buffer& out) {
  Lines lines(pool, out);
  const bool named = head.has(FieldId::connection);
  for (const Field& f : head) {
    if (hop_by_hop(f.id)) continue;
    switch (f.id) {
      case FieldId::authorization:
      case FieldId::x_api_key:
      case FieldId::api_key:
      case FieldId::x_goog_api_key:
      case FieldId::cookie:
      case FieldId::openai_organization:
      case FieldId::openai_project:
      case FieldId::forwarded:
      case FieldId::x_forwarded:
      case FieldId::host:
      case FieldId::tidegate:
      case FieldId::accept_encoding:
      case FieldId::expect:
        continue;
      default:
        break;
    }
    if (named && head.named_in_connection(f.name)) continue;
    lines.add(f);
  }
}

void append_response_fields(const http::ResponseHead& head, bool own_limits, net::BufferPool& pool,
                            net::Buffer& out) {
  Lines lines(pool, out);
  const bool named = head.has(FieldId::connection);
  for (const Field& f : head) {
    if (hop_by_hop(f.id)) continue;
    if (f.id == FieldId::set_cookie || f.id == FieldId::server || f.id == FieldId::alt_svc ||
        f.id == FieldId::tidegate)
      continue;
    if (own_limits && f.id == FieldId::x_ratelimit) continue;
    if (named && head.named_in_connection(f.name)) continue;
    lines.add(f);
  }
}

std::string query_without_key(std::string_view query) {
  std::string out;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    if (pair != "key" && !pair.starts_with("key=")) out.append(out.empty() ? "?" : "&").append(pair);
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace tg::gateway
