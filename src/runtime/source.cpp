#include "runtime/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace tg::runtime {
namespace {

// Path characters that need no escape (RFC 3986, section 3.3), the slash included.
std::string escaped(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) != 0 || std::string_view("-._~/!$&'()*+,;=:@").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", u);
    }
  }
  return out;
}

std::string last_part(std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// "x-00001-of-00003.gguf"
bool is_part(std::string_view name) {
  if (!name.ends_with(".gguf")) return false;
  name.remove_suffix(5);
  if (name.size() < 15) return false;
  name.remove_prefix(name.size() - 15);
  const auto digits = [](std::string_view s) {
    return std::ranges::all_of(s, [](char c) { return c >= '0' && c <= '9'; });
  };
  return name[0] == '-' && digits(name.substr(1, 5)) && name.substr(6, 4) == "-of-" &&
         digits(name.substr(10, 5));
}

bool clean(std::string_view text) {
  return std::ranges::none_of(text,
                              [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
}

}  // namespace

Result<WeightsSource> parse_source(const std::string& source, const std::string& hf_endpoint) {
  const auto bad = [&source](std::string_view why, std::string_view hint) {
    return fail("bad_source", fmt::format("source '{}': {}", source, why), std::string(hint));
  };
  WeightsSource result;
  const std::string_view text = source;
  if (text.starts_with("file://")) {
    result.path = text.substr(7);
    if (!result.path.starts_with('/'))
      return bad("the path is not absolute", "write file:///path/model.gguf");
    result.name = last_part(result.path);
    return result;
  }
  if (!clean(text)) return bad("has a space or a control character", "write it with %20 in place of spaces");
  if (text.starts_with("https://") || text.starts_with("http://")) {
    result.kind = WeightsSource::Kind::web;
    result.url = source;
    result.name = last_part(source.substr(source.find("://") + 3));
    if (result.name.empty()) return bad("names no file", "write https://host/path/model.gguf");
  } else if (text.starts_with("hf://")) {
    const std::string_view rest = text.substr(5);
    const std::size_t first = rest.find('/');
    const std::size_t second = first == std::string_view::npos ? first : rest.find('/', first + 1);
    if (second == std::string_view::npos || first == 0 || second == first + 1 || second + 1 == rest.size()) {
      return bad("names no file of a repository", "write hf://owner/repo/file.gguf");
    }
    const std::string file(rest.substr(second + 1));
    if (fmt::format("/{}/", rest).find("/../") != std::string::npos)
      return bad("has a '..'", "write hf://owner/repo/file.gguf");
    result.kind = WeightsSource::Kind::hf;
    std::string endpoint = hf_endpoint.empty() ? "https://huggingface.co" : hf_endpoint;
    while (endpoint.ends_with('/')) endpoint.pop_back();
    const std::string repository = endpoint + "/" + escaped(rest.substr(0, second));
    result.url = repository + "/resolve/main/" + escaped(file);
    result.pointer_url = repository + "/raw/main/" + escaped(file);
    result.name = last_part(file);
  } else {
    return bad("the scheme is not known", "use file://, hf:// or https://");
  }
  if (is_part(result.name)) {
    return fail("weights_split", fmt::format("source '{}' is one part of several", source),
                "name a repository file that is whole, or join the parts with llama-gguf-split --merge and "
                "use file://");
  }
  return result;
}

}  // namespace tg::runtime
