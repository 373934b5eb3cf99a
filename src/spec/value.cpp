#include "spec/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/clock.hpp"
#include "base/units.hpp"
#include "spec/value_cluster.hpp"
#include "text/suggest.hpp"

namespace tg::spec {

namespace {

using text::Node;
using text::ScalarType;

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";

bool made_of(std::string_view text, std::string_view letters) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return letters.find(c) != std::string_view::npos; });
}

bool is_label(std::string_view text) {
  static constexpr std::string_view kInner = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return !text.empty() && text.size() <= 63 && made_of(text, kInner) && text.front() != '-' &&
         text.back() != '-';
}

bool is_dotted(std::string_view text) {
  if (text.size() > 253) return false;
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_model_name(std::string_view text) {
  return !text.empty() && text.size() <= 256 && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7F && std::string_view("\"'`\\,{}[]").find(c) == std::string_view::npos;
  });
}

// A lower-case form of the user's text with what a label cannot hold replaced, as a proposal.
std::string label_from(std::string_view text, bool dots) {
  std::string out;
  for (const char c : text) {
    const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (kLower.find(low) != std::string_view::npos || kDigits.find(low) != std::string_view::npos ||
        (dots && low == '.' && !out.empty() && out.back() != '-')) {
      out += low;
    } else if (!out.empty() && out.back() != '-' && out.back() != '.') {
      out += '-';
    }
  }
  while (!out.empty() && (out.back() == '-' || out.back() == '.')) out.pop_back();
  return out;
}

// The number of an address "host:PORT"; none or bad = false.
bool good_authority(std::string_view authority) {
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos || close == 1) return false;
    if (!made_of(authority.substr(1, close - 1), "0123456789abcdefABCDEF:.")) return false;
    port = authority.substr(close + 1);
    if (!port.empty() && !port.starts_with(':')) return false;
    if (!port.empty()) port.remove_prefix(1);
    if (port.empty() && authority.size() != close + 1) return false;
  } else {
    const std::size_t colon = authority.find(':');
    host = authority.substr(0, colon);
    if (host.empty() || host.size() > 253 || !std::all_of(host.begin(), host.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                 c == '.' || c == '_';
        })) {
      return false;
    }
    if (colon == std::string_view::npos) return true;
    port = authority.substr(colon + 1);
    if (port.empty()) return false;
  }
  if (port.empty()) return true;
  unsigned number = 0;
  const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), number);
  return bad == std::errc{} && end == port.data() + port.size() && number >= 1 && number <= 65535;
}

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

Result<Value> read_url(std::string_view text) {
  std::string_view rest = text;
  const bool plain = rest.starts_with("http://");
  if (!plain && !rest.starts_with("https://")) {
    return fail("bad_value", fmt::format("'{}' is not an http or https URL", text),
                "write for example https://api.example.com/v1");
  }
  rest.remove_prefix(plain ? 7 : 8);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos) {
    return fail("secret_in_document", "the URL holds a user name or a password",
                "write the URL without it and name the key in credentials");
  }
  if (!printable(text) || !good_authority(authority)) {
    return fail("bad_value", fmt::format("'{}' has no valid host and port", text),
                "write for example https://api.example.com/v1");
  }
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return fail("bad_value", fmt::format("'{}' has a query or a fragment", text),
                "write the URL up to its path");
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  return Value{.text = std::string(text)};
}

Result<Value> read_source(std::string_view text) {
  static constexpr std::string_view kForms =
      "write file:///PATH, hf://OWNER/REPO/FILE.gguf, https://HOST/FILE.gguf or ollama://NAME";
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) {
    if (text.starts_with('/')) {
      return fail("bad_value", fmt::format("'{}' is a path, not a source", text),
                  fmt::format("write file://{}", text));
    }
    return fail("bad_value", fmt::format("'{}' is not a source of weights", text), std::string(kForms));
  }
  const std::string_view scheme = text.substr(0, mark);
  const std::string_view rest = text.substr(mark + 3);
  if (scheme.starts_with("http") && rest.substr(0, rest.find('/')).find('@') != std::string_view::npos) {
    return fail("secret_in_document", "the URL holds a user name or a password",
                "fetch the file yourself and write file:///PATH");
  }
  if (scheme != "file" && !printable(text)) {
    return fail("bad_value", fmt::format("'{}' holds blanks or letters beyond ASCII", text),
                "write them percent-encoded");
  }
  if (scheme == "file") {
    if (!rest.starts_with('/')) {
      return fail("bad_value", fmt::format("'{}' is not an absolute path", text),
                  "write three slashes and the whole path: file:///data/model.gguf");
    }
  } else if (scheme == "hf") {
    // OWNER/REPO/FILE, the file may stand in folders; OWNER/REPO is a repository of safetensors, which the
    // rules between fields allow or not.
    const std::size_t first = rest.find('/');
    const std::size_t second = first == std::string_view::npos ? first : rest.find('/', first + 1);
    const bool leaves = fmt::format("/{}/", rest).find("/../") != std::string::npos;
    if (leaves || first == 0 || first == std::string_view::npos || first + 1 == rest.size() ||
        second == first + 1 || (second != std::string_view::npos && second + 1 == rest.size())) {
      return fail("bad_value", fmt::format("'{}' names no file in a repository", text),
                  "write hf://OWNER/REPO/FILE.gguf");
    }
  } else if (scheme == "https") {
    const std::size_t slash = rest.find('/');
    if (!good_authority(rest.substr(0, slash)) || slash == std::string_view::npos ||
        slash + 1 == rest.size()) {
      return fail("bad_value", fmt::format("'{}' names no host and file", text),
                  "write for example https://models.example.com/model.gguf");
    }
  } else if (scheme == "http") {
    return fail("bad_value", fmt::format("'{}' is fetched without TLS", text),
                "use https://, or file:// for a file that is already here");
  } else if (scheme == "ollama") {
    if (!is_model_name(rest))
      return fail("bad_value", fmt::format("'{}' names no model", text),
                  "write for example ollama://qwen3:0.6b");
  } else {
    return fail("bad_value", fmt::format("'{}://' is not a source of weights", scheme), std::string(kForms));
  }
  return Value{.text = std::string(text)};
}

Result<Value> read_digest(std::string_view text) {
  std::string lower(text);
  if (lower.starts_with("sha256:")) lower.erase(0, 7);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (lower.size() != 64 || !made_of(lower, "0123456789abcdef")) {
    return fail("bad_value", fmt::format("'{}' is not a SHA-256 digest", text),
                "write the 64 hexadecimal digits that sha256sum prints");
  }
  return Value{.text = std::move(lower)};
}

// NAME or NAME:NUMBER out of fixed names; those ending in ':' demand a number between `low` and `high`.
Result<Value> read_word(std::string_view text, std::span<const std::string_view> names, std::int64_t low,
                        std::int64_t high) {
  for (const std::string_view name : names) {
    if (!name.ends_with(':')) {
      if (text == name) return Value{.text = std::string(text)};
      continue;
    }
    if (!text.starts_with(name)) continue;
    const std::string_view digits = text.substr(name.size());
    std::int64_t number = 0;
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.empty() || bad != std::errc{} || end != digits.data() + digits.size() || number < low ||
        number > high) {
      return fail("out_of_range",
                  fmt::format("'{}' needs a number from {} to {} after the colon", text, low, high),
                  fmt::format("write for example {}{}", name, low));
    }
    return Value{.text = std::string(name.substr(0, name.size() - 1)), .integer = number};
  }
  std::string hint = text::did_you_mean(text, names);
  if (hint.empty()) {
    std::vector<std::string> forms;
    for (const std::string_view name : names)
      forms.push_back(fmt::format("{}{}", name, name.ends_with(':') ? "N" : ""));
    hint = "write " + text::join_words(std::vector<std::string_view>(forms.begin(), forms.end()), "or");
  }
  return fail("unknown_choice", fmt::format("'{}' is not known here", text), hint);
}

Result<Value> read_choice(const Field& field, std::string_view text) {
  for (const std::string_view later : split_words(field.later)) {
    if (text == later)
      return fail("not_supported_yet", fmt::format("not supported yet: {}: {}", field.path, text),
                  "write " + std::string(field.words));
  }
  return read_word(text, split_words(field.words), 0, 0);
}

// The value of a bound in the words of the field's unit.
std::string bound_text(Type type, double bound) {
  if (type == Type::duration) return format_duration(static_cast<Nanos>(bound));
  if (type == Type::quantity && bound >= 1024) {
    std::string text = format_bytes(static_cast<std::uint64_t>(bound));  // "1.5 GiB"
    std::erase(text, ' ');
    if (text.ends_with('B')) text.pop_back();
    return text;
  }
  if (type == Type::bytes) return format_bytes(static_cast<std::uint64_t>(bound));
  if (type == Type::percent) return fmt::format("{:g}%", bound * 100);
  if (type == Type::integer) return fmt::format("{:.0f}", bound);
  return fmt::format("{:g}", bound);
}

Result<Value> bounded(const Field& field, std::string_view text, Value value, double number) {
  if (number < field.min) {
    return fail("out_of_range", fmt::format("{} is below {}", text, bound_text(field.type, field.min)),
                fmt::format("write {} or more", bound_text(field.type, field.min)));
  }
  if (number > field.max) {
    return fail("out_of_range", fmt::format("{} is above {}", text, bound_text(field.type, field.max)),
                fmt::format("write {} or less", bound_text(field.type, field.max)));
  }
  return value;
}

Error retitled(Error e, std::string_view code) {
  e.code = code;
  return e;
}

std::unexpected<Error> wrong_type(const Field& field, std::string_view text, std::string_view what,
                                  std::string hint) {
  return fail("wrong_type", fmt::format("must be {}, is {} {}", type_name(field.type), what, text),
              std::move(hint));
}

// A number without a unit where one is needed, and a unit of another kind.
Result<Value> read_duration(const Field& field, std::string_view text, ScalarType type) {
  if ((type == ScalarType::integer || type == ScalarType::floating) && text != "0") {
    if (text.starts_with('-'))
      return fail("out_of_range", fmt::format("{} is below 0", text), "write for example 30s");
    return fail("wrong_unit", fmt::format("{} has no unit", text),
                fmt::format("write {}s, or ms, m, h, d in place of s", text));
  }
  const auto parsed = parse_duration(text);
  if (!parsed) {
    std::string hint = parsed.error().hint;
    if (!field.words.empty()) hint += fmt::format(", or {}", field.words);
    return fail("wrong_unit", parsed.error().message, hint);
  }
  return bounded(field, text, {.text = std::string(text), .integer = *parsed}, static_cast<double>(*parsed));
}

Result<Value> read_integer(const Field& field, std::string_view text) {
  if (text.starts_with('-')) {
    std::int64_t number = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (bad == std::errc{} && end == text.data() + text.size()) {
      return bounded(field, text, {.text = std::string(text), .integer = number},
                     static_cast<double>(number));
    }
  }
  const auto parsed = parse_count(text);
  if (!parsed)
    return fail("wrong_type", fmt::format("must be {}, is '{}'", type_name(field.type), text),
                parsed.error().hint);
  return bounded(field, text, {.text = std::string(text), .integer = *parsed}, static_cast<double>(*parsed));
}

Result<Value> read_number(const Field& field, std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double number = 0;
  const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (bad != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(number)) {
    return wrong_type(field, text, "the text", "write for example 40 or 0.5");
  }
  return bounded(field, text, {.text = std::string(text), .number = number}, number);
}

Result<Value> read_bytes(const Field& field, std::string_view text) {
  if (text.starts_with('-'))
    return fail("out_of_range", fmt::format("{} is below 0", text), "write for example 64Mi");
  const auto parsed = parse_bytes(text);
  if (!parsed) return std::unexpected(retitled(parsed.error(), "wrong_unit"));
  return bounded(field, text, {.text = std::string(text), .integer = static_cast<std::int64_t>(*parsed)},
                 static_cast<double>(*parsed));
}

Result<Value> read_percent(const Field& field, std::string_view text, ScalarType type) {
  if (type == ScalarType::integer || type == ScalarType::floating) {
    return fail("wrong_unit", fmt::format("{} has no % sign", text), "write for example 20%");
  }
  const auto parsed = parse_percent(text);
  if (!parsed) return std::unexpected(retitled(parsed.error(), "wrong_unit"));
  return bounded(field, text, {.text = std::string(text), .number = *parsed}, *parsed);
}

Result<Value> read_boolean(const Field& field, std::string_view text, ScalarType type) {
  if (type != ScalarType::boolean) {
    const std::array<std::string_view, 4> yes{"yes", "on", "y", "1"};
    const bool positive = std::find(yes.begin(), yes.end(), text) != yes.end();
    return wrong_type(field, text, type == ScalarType::integer ? "the number" : "the text",
                      positive ? "write true, without quotes" : "write true or false, without quotes");
  }
  const bool value = text.starts_with('t') || text.starts_with('T');
  return Value{.text = std::string(text), .integer = value ? 1 : 0};
}

// The value is not repeated: what stands here wrongly is often the key itself.
Result<Value> read_variable(std::string_view text) {
  static constexpr std::string_view kName = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  if (made_of(text, kName) && kDigits.find(text.front()) == std::string_view::npos)
    return Value{.text = std::string(text)};
  return fail("bad_value", "is not the name of an environment variable",
              "write for example OPENAI_API_KEY; if this is the key itself, take it out of the file");
}

Result<Value> read_name(const Field& field, std::string_view text) {
  if (field.type == Type::model_name) {
    if (is_model_name(text)) return Value{.text = std::string(text)};
    return fail("bad_value", fmt::format("'{}' is not a model name", text),
                "use letters, digits and marks such as - _ . / : without blanks or quotes, 256 at most");
  }
  const bool dots = field.type == Type::dotted;
  if (dots ? is_dotted(text) : is_label(text)) return Value{.text = std::string(text)};
  const std::string proposal = label_from(text, dots);
  const bool useful = dots ? is_dotted(proposal) : is_label(proposal);
  return fail("bad_value", fmt::format("'{}' is not a name", text),
              fmt::format("use lower-case letters, digits{} and - inside{}", dots ? ", ." : "",
                          useful ? fmt::format(", for example {}", proposal) : ", at most 63"));
}

Result<Value> read_text(const Field& field, std::string_view text, ScalarType type) {
  if (type != ScalarType::text) {
    return wrong_type(field, text, type == ScalarType::boolean ? "the boolean" : "the number",
                      fmt::format("put it in quotes: \"{}\"", text));
  }
  switch (field.type) {
    case Type::label:
    case Type::dotted:
    case Type::model_name:
      return read_name(field, text);
    case Type::url:
      return read_url(text);
    case Type::source:
      return read_source(text);
    case Type::digest:
      return read_digest(text);
    case Type::choice:
      return read_choice(field, text);
    case Type::fault_time: {
      static constexpr std::array<std::string_view, 4> kTimes{"load", "firstByte", "event:", "end"};
      return read_word(text, kTimes, 1, 1'000'000);
    }
    case Type::fault_act: {
      static constexpr std::array<std::string_view, 3> kActs{"exit", "stall", "error:"};
      return read_word(text, kActs, 400, 599);
    }
    default:
      break;
  }
  if (text.empty()) return fail("empty_value", "is empty", "write a value or remove the field");
  if (text.find('\0') != std::string_view::npos) return fail("bad_value", "holds a zero byte", "remove it");
  if (field.type == Type::variable) return read_variable(text);
  return read_cluster_text(field, text);
}

Result<Value> read_quantity(const Field& field, std::string_view text) {
  if (text.starts_with('-'))
    return fail("out_of_range", fmt::format("{} is below 0", text), "write for example 500m or 4Gi");
  const auto parsed = parse_quantity(text);
  if (!parsed) return std::unexpected(parsed.error());
  return bounded(field, text, {.text = std::string(text), .number = *parsed}, *parsed);
}

bool is_numeric(Type type) {
  return type == Type::integer || type == Type::number || type == Type::bytes || type == Type::duration ||
         type == Type::percent || type == Type::quantity;
}

Result<Value> read_scalar(const Field& field, std::string_view text, ScalarType type, bool quoted) {
  for (const std::string_view word :
       split_words(field.type == Type::choice ? std::string_view{} : field.words)) {
    if (text == word) return Value{.text = std::string(text), .word = true};
  }
  if (is_numeric(field.type)) {
    if (type == ScalarType::boolean) return wrong_type(field, text, "the boolean", "write a number");
    if (text.empty()) return fail("empty_value", "is empty", "write a value or remove the field");
    if (quoted && (field.type == Type::integer || field.type == Type::number) &&
        made_of(text, "0123456789.+-")) {
      return wrong_type(field, fmt::format("\"{}\"", text), "the text",
                        fmt::format("write {} without quotes", text));
    }
    if (type == ScalarType::integer && (text.starts_with("0x") || text.starts_with("0o"))) {
      return wrong_type(field, text, "the number", "write it in decimal");
    }
  }
  switch (field.type) {
    case Type::integer:
      return read_integer(field, text);
    case Type::number:
      return read_number(field, text);
    case Type::bytes:
      return read_bytes(field, text);
    case Type::duration:
      return read_duration(field, text, type);
    case Type::percent:
      return read_percent(field, text, type);
    case Type::boolean:
      return read_boolean(field, text, type);
    case Type::quantity:
      return read_quantity(field, text);
    default:
      return read_text(field, text, type);
  }
}

}  // namespace

Result<Value> read_value(const Field& field, const Node& node) {
  if (node.kind != Node::Kind::scalar) {
    return fail("wrong_type", fmt::format("must be {}, is {}", type_name(field.type), describe(node)),
                fmt::format("write {}: {}", field.leaf(), example(field.type)));
  }
  const ScalarType type = resolve(node);
  if (type == ScalarType::null)
    return fail("empty_value", "has no value", "write a value or remove the field");
  return read_scalar(field, node.text, type, !node.plain);
}

Value default_value(const Field& field) {
  if (field.fallback.empty() || field.described) return {};
  Node node;
  node.plain = true;
  node.text = field.fallback;
  auto value = read_scalar(field, node.text, resolve(node), false);
  return value ? std::move(*value) : Value{};
}

}  // namespace tg::spec
