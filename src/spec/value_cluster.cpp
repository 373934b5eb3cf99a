#include "spec/value_cluster.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "text/suggest.hpp"

namespace tg::spec {

namespace {

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kAlnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
constexpr std::array<std::string_view, 7> kDays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

bool made_of(std::string_view text, std::string_view letters) {
  return text.find_first_not_of(letters) == std::string_view::npos;
}

bool has(std::string_view letters, char c) { return letters.find(c) != std::string_view::npos; }

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         made_of(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

// Digits only, no sign, no leading zeros beyond one digit unless `zeros`.
std::optional<int> small(std::string_view text, int low, int high, bool zeros = true) {
  int number = 0;
  if (text.empty() || text.size() > 6 || !made_of(text, kDigits)) return std::nullopt;
  if (!zeros && text.size() > 1 && text.front() == '0') return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (number < low || number > high) return std::nullopt;
  return number;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t cut = text.find(at);
    out.push_back(text.substr(0, cut));
    if (cut == std::string_view::npos) return out;
    text.remove_prefix(cut + 1);
  }
}

Value whole(std::string_view text) { return Value{.text = std::string(text)}; }

std::unexpected<Error> bad(std::string_view text, std::string_view what, std::string hint) {
  return fail("bad_value", fmt::format("'{}' is not {}", text, what), std::move(hint));
}

// ---- networks

std::string dotted(const std::array<unsigned char, 16>& bytes, int family) {
  std::array<char, INET6_ADDRSTRLEN> out{};
  inet_ntop(family, bytes.data(), out.data(), out.size());
  return out.data();
}

Result<Value> read_cidr(std::string_view text) {
  static constexpr std::string_view kHint = "write for example 10.0.0.0/16";
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const int bits = family == AF_INET ? 32 : 128;
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(family, address.c_str(), bytes.data()) != 1)
    return bad(text, "a network", std::string(kHint));
  if (slash == std::string_view::npos)
    return bad(text, "a network: it has no prefix length",
               fmt::format("write {}/{} for one address", text, bits));
  const auto length = small(text.substr(slash + 1), 0, bits, false);
  if (!length)
    return fail("out_of_range", fmt::format("'{}' needs a prefix length from 0 to {}", text, bits),
                std::string(kHint));
  std::array<unsigned char, 16> base = bytes;
  for (int i = 0; i < bits; ++i) {
    if (i >= *length)
      base[static_cast<std::size_t>(i / 8)] &=
          static_cast<unsigned char>(~(0x80U >> static_cast<unsigned>(i % 8)));
  }
  if (base != bytes) {
    return bad(text, "the address of a network: bits behind the prefix are set",
               fmt::format("write {}/{}", dotted(base, family), *length));
  }
  return Value{.text = std::string(text), .integer = *length};
}

Result<Value> read_ip(std::string_view text) {
  std::array<unsigned char, 16> bytes{};
  const std::string address(text);
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1 ||
      inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1)
    return whole(text);
  return bad(text, "an IP address", "write for example 192.0.2.10");
}

Result<Value> read_host(std::string_view text) {
  if (is_dns_name(text)) return whole(text);
  std::string hint = "write for example app.example.com";
  if (text.find("://") != std::string_view::npos) hint = "write the name alone, without https:// and path";
  return bad(text, "a DNS name", std::move(hint));
}

Result<Value> read_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return bad(text, "a host and port",
               fmt::format("add the port: {0}:587 of a mail server, {0}:6443 of an API server", text));
  const auto port = small(text.substr(colon + 1), 1, 65535, false);
  if (!port)
    return fail("out_of_range", fmt::format("'{}' needs a port from 1 to 65535", text),
                "write for example smtp.example.com:587");
  if (!is_dns_name(text.substr(0, colon)))
    return bad(text, "a host and port", "write for example smtp.example.com:587");
  return Value{.text = std::string(text), .integer = *port};
}

Result<Value> read_email(std::string_view text) {
  const std::size_t at = text.find('@');
  static constexpr std::string_view kLocal =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-";
  if (at == std::string_view::npos || at == 0 || at > 64 || !made_of(text.substr(0, at), kLocal))
    return bad(text, "an e-mail address", "write for example team@example.com");
  std::string domain(text.substr(at + 1));
  std::transform(domain.begin(), domain.end(), domain.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (!is_dns_name(domain) || domain.find('.') == std::string::npos)
    return bad(text, "an e-mail address", "write for example team@example.com");
  return whole(text);
}

// ---- time

struct CronField {
  std::string_view name;
  int low, high;
  std::span<const std::string_view> words;  // for numbers from `low` on
};

constexpr std::array<std::string_view, 12> kMonths{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                   "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kWeekdays{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};
constexpr std::array<CronField, 5> kCron{{{"minute", 0, 59, {}},
                                          {"hour", 0, 23, {}},
                                          {"day of the month", 1, 31, {}},
                                          {"month", 1, 12, kMonths},
                                          {"day of the week", 0, 7, kWeekdays}}};

std::optional<int> cron_number(const CronField& f, std::string_view text) {
  if (auto number = small(text, f.low, f.high)) return number;
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const auto it = std::find(f.words.begin(), f.words.end(), upper);
  if (it == f.words.end()) return std::nullopt;
  return f.low + static_cast<int>(it - f.words.begin());
}

// One of the parts between commas: *, N, N-M, each with /STEP.
bool good_cron_part(const CronField& f, std::string_view part) {
  const std::size_t slash = part.find('/');
  if (slash != std::string_view::npos && !small(part.substr(slash + 1), 1, f.high)) return false;
  const std::string_view range = part.substr(0, slash);
  if (range == "*") return true;
  const std::size_t dash = range.find('-');
  const auto first = cron_number(f, range.substr(0, dash));
  if (dash == std::string_view::npos) return first.has_value();
  const auto last = cron_number(f, range.substr(dash + 1));
  return first && last && *first <= *last;
}

Result<Value> read_cron(std::string_view text) {
  std::vector<std::string_view> parts = split(text, ' ');
  std::erase(parts, std::string_view{});
  if (parts.size() != kCron.size()) {
    return bad(text, "a schedule of five fields",
               "write minute, hour, day, month and weekday, for example \"0 2 * * *\"");
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (const std::string_view part : split(parts[i], ',')) {
      if (!good_cron_part(kCron[i], part)) {
        return bad(
            text, fmt::format("a schedule: '{}' is no {}", part, kCron[i].name),
            fmt::format("write *, or numbers from {} to {} with - , and /", kCron[i].low, kCron[i].high));
      }
    }
  }
  return whole(text);
}

// "03:00" → minutes of the day.
std::optional<int> clock_time(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hour = small(text.substr(0, 2), 0, 23);
  const auto minute = small(text.substr(3), 0, 59);
  if (!hour || !minute) return std::nullopt;
  return *hour * 60 + *minute;
}

bool is_day(std::string_view text) { return std::find(kDays.begin(), kDays.end(), text) != kDays.end(); }

// "Sun 03:00-05:00", "Mon-Fri 01:00-04:00", "Sat,Sun 01:00-04:00", "daily 03:00-05:00".
Result<Value> read_window(std::string_view text) {
  static constexpr std::string_view kHint = "write for example \"Sun 03:00-05:00\" or \"daily 02:00-04:00\"";
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return bad(text, "days and hours", std::string(kHint));
  const std::string_view days = text.substr(0, blank);
  for (const std::string_view part : split(days, ',')) {
    if (part == "daily" && days == "daily") continue;
    const std::size_t dash = part.find('-');
    const bool good =
        is_day(part.substr(0, dash)) && (dash == std::string_view::npos || is_day(part.substr(dash + 1)));
    if (!good)
      return bad(text, fmt::format("days and hours: there is no day '{}'", part),
                 "days are Mon Tue Wed Thu Fri Sat Sun, or daily");
  }
  const std::string_view hours = text.substr(blank + 1);
  const std::size_t dash = hours.find('-');
  if (dash == std::string_view::npos) return bad(text, "days and hours", std::string(kHint));
  const auto from = clock_time(hours.substr(0, dash));
  const auto to = clock_time(hours.substr(dash + 1));
  if (!from || !to) return bad(text, "days and hours", std::string(kHint));
  if (*from == *to)
    return fail("out_of_range", fmt::format("'{}' begins and ends at the same time", text),
                std::string(kHint));
  // Past midnight is allowed: "Sat 23:00-02:00".
  return Value{.text = std::string(text), .integer = (*to - *from + 1440) % 1440};
}

Result<Value> read_time_zone(std::string_view text) {
  const auto good_part = [](std::string_view part) {
    return !part.empty() && part.size() <= 32 && has(kAlnum, part.front()) &&
           made_of(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-");
  };
  const auto parts = split(text, '/');
  const bool region =
      parts.size() >= 2 && parts.size() <= 3 && parts[0].front() >= 'A' && parts[0].front() <= 'Z';
  if (text == "UTC" || (region && std::all_of(parts.begin(), parts.end(), good_part))) return whole(text);
  return bad(text, "a time zone", "write REGION/CITY, for example Europe/Brussels, or UTC");
}

// ---- Kubernetes

bool is_label_value(std::string_view text) {
  return text.size() <= 63 &&
         made_of(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") &&
         (text.empty() || (has(kAlnum, text.front()) && has(kAlnum, text.back())));
}

Result<Value> read_taint(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kEffects{"NoSchedule", "PreferNoSchedule", "NoExecute"};
  const std::size_t colon = text.rfind(':');
  const std::string_view key = text.substr(0, std::min(text.find('='), colon));
  if (colon == std::string_view::npos || !is_qualified(key))
    return bad(text, "a taint", "write KEY=VALUE:Effect, for example dedicated=gpu:NoSchedule");
  const std::string_view value =
      key.size() == colon ? std::string_view{} : text.substr(key.size() + 1, colon - key.size() - 1);
  if (!is_label_value(value))
    return bad(text, "a taint", "the value has at most 63 letters, digits, - _ and .");
  const std::string_view effect = text.substr(colon + 1);
  if (std::find(kEffects.begin(), kEffects.end(), effect) == kEffects.end()) {
    std::string hint = text::did_you_mean(effect, kEffects);
    if (hint.empty()) hint = "write NoSchedule, PreferNoSchedule or NoExecute";
    return fail("unknown_choice", fmt::format("'{}': there is no effect '{}'", text, effect),
                std::move(hint));
  }
  return whole(text);
}

Result<Value> read_rate(std::string_view text) {
  static constexpr std::string_view kHint = "write for example 100/s, 10/m or 500/h";
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return fail("wrong_unit", fmt::format("'{}' is not a rate", text), std::string(kHint));
  const std::string_view unit = text.substr(slash + 1);
  const auto number = small(text.substr(0, slash), 1, 999'999);
  if (!number || (unit != "s" && unit != "m" && unit != "h"))
    return fail("wrong_unit", fmt::format("'{}' is not a rate", text), std::string(kHint));
  const double seconds = unit == "s" ? 1 : unit == "m" ? 60 : 3600;
  return Value{.text = std::string(text), .integer = *number, .number = *number / seconds};
}

Result<Value> read_version(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with('v')) rest.remove_prefix(1);
  const auto parts = split(rest, '.');
  const bool numbers = std::all_of(parts.begin(), parts.end(),
                                   [](std::string_view p) { return small(p, 0, 9999, false).has_value(); });
  if (!numbers || parts.size() < 2)
    return bad(text, "a version", "write the two numbers in quotes, for example \"1.35\"");
  if (parts.size() > 2 || rest.size() != text.size()) {
    return bad(text, "a minor version: each release pins the patch",
               fmt::format("write \"{}.{}\"", parts[0], parts[1]));
  }
  return Value{.text = std::string(text), .integer = *small(parts[1], 0, 9999)};
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' && text.front() != '-' &&
         made_of(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
}

Result<Value> read_tag(std::string_view text) {
  if (text == "latest")
    return bad(text, "a fixed tag: what it names changes", "write the version, for example \"1.4.2\"");
  if (is_tag(text)) return whole(text);
  return bad(text, "a tag of an image", "write for example \"1.4.2\"");
}

bool is_repository(std::string_view text) {
  auto parts = split(text, '/');
  if (text.size() > 255) return false;
  if (parts.size() > 1 && parts[0].find(':') != std::string_view::npos) {
    const std::size_t colon = parts[0].find(':');
    if (!small(parts[0].substr(colon + 1), 1, 65535)) return false;
    parts[0] = parts[0].substr(0, colon);
  }
  return std::all_of(parts.begin(), parts.end(), [](std::string_view p) {
    return !p.empty() && made_of(p, "abcdefghijklmnopqrstuvwxyz0123456789._-") &&
           (has(kLower, p.front()) || has(kDigits, p.front())) &&
           (has(kLower, p.back()) || has(kDigits, p.back()));
  });
}

Result<Value> read_image(std::string_view text) {
  static constexpr std::string_view kHint = "write for example registry.example.com/app:1.4.2";
  const std::size_t at = text.find('@');
  if (at != std::string_view::npos) {
    const std::string_view digest = text.substr(at + 1);
    const bool good =
        digest.starts_with("sha256:") && digest.size() == 71 && made_of(digest.substr(7), "0123456789abcdef");
    const std::size_t slash = text.substr(0, at).rfind('/');
    const std::size_t colon = text.substr(0, at).find(':', slash == std::string_view::npos ? 0 : slash);
    if (!good || !is_repository(text.substr(0, std::min(colon, at))))
      return bad(text, "an image", "write REPOSITORY@sha256: and 64 hexadecimal digits");
    return whole(text);
  }
  const std::size_t slash = text.rfind('/');
  const std::size_t colon = text.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon == std::string_view::npos) {
    if (!is_repository(text)) return bad(text, "an image", std::string(kHint));
    return bad(text, "an image: it has no tag", fmt::format("add the version: {}:1.4.2", text));
  }
  if (text.substr(colon + 1) == "latest")
    return bad(text, "a fixed image: what latest names changes",
               fmt::format("write the version: {}:1.4.2", text.substr(0, colon)));
  if (!is_repository(text.substr(0, colon)) || !is_tag(text.substr(colon + 1)))
    return bad(text, "an image", std::string(kHint));
  return whole(text);
}

Result<Value> read_url_path(std::string_view text) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (text.starts_with('/') && printable && text.find_first_of("?#\"'") == std::string_view::npos)
    return whole(text);
  return bad(text, "a path", "begin with /, for example /api");
}

}  // namespace

bool is_dns_name(std::string_view text) {
  if (text.size() > 253) return false;
  const auto parts = split(text, '.');
  return std::all_of(parts.begin(), parts.end(), is_label);
}

bool is_qualified(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos && !is_dns_name(text.substr(0, slash))) return false;
  const std::string_view name = slash == std::string_view::npos ? text : text.substr(slash + 1);
  return !name.empty() && is_label_value(name);
}

bool is_secret_key(std::string_view text) {
  return !text.empty() && text.size() <= 253 && text != "." && text != ".." &&
         made_of(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
}

bool is_variable_name(std::string_view text) {
  return !text.empty() && !has(kDigits, text.front()) &&
         made_of(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
}

Result<double> parse_quantity(std::string_view text) {
  struct Suffix {
    std::string_view name;
    double factor;
  };
  static constexpr double kKi = 1024.0;
  static constexpr std::array<Suffix, 15> kSuffixes{{{"", 1},
                                                     {"n", 1e-9},
                                                     {"u", 1e-6},
                                                     {"m", 1e-3},
                                                     {"k", 1e3},
                                                     {"M", 1e6},
                                                     {"G", 1e9},
                                                     {"T", 1e12},
                                                     {"P", 1e15},
                                                     {"E", 1e18},
                                                     {"Ki", kKi},
                                                     {"Mi", kKi * kKi},
                                                     {"Gi", kKi * kKi * kKi},
                                                     {"Ti", kKi * kKi * kKi * kKi},
                                                     {"Pi", kKi * kKi * kKi * kKi * kKi}}};
  double number = 0;
  const auto [end, failed] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  const auto it =
      std::find_if(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix& s) { return s.name == suffix; });
  if (failed != std::errc{} || text.empty() || !has("0123456789.", text.front()) || !std::isfinite(number) ||
      it == kSuffixes.end())
    return fail("wrong_unit", fmt::format("'{}' is not a quantity", text),
                "write for example 500m, 2 or 4Gi");
  return number * it->factor;
}

Result<Value> read_cluster_text(const Field& field, std::string_view text) {
  switch (field.type) {
    case Type::cidr:
      return read_cidr(text);
    case Type::ip:
      return read_ip(text);
    case Type::host:
      return read_host(text);
    case Type::host_port:
      return read_host_port(text);
    case Type::email:
      return read_email(text);
    case Type::cron:
      return read_cron(text);
    case Type::window:
      return read_window(text);
    case Type::taint:
      return read_taint(text);
    case Type::rate:
      return read_rate(text);
    case Type::version:
      return read_version(text);
    case Type::tag:
      return read_tag(text);
    case Type::image:
      return read_image(text);
    case Type::time_zone:
      return read_time_zone(text);
    case Type::url_path:
      return read_url_path(text);
    case Type::qualified:
      if (is_qualified(text)) return whole(text);
      return bad(text, "the name of a label or resource", "write for example tier or example.com/tier");
    case Type::label_value:
      if (is_label_value(text)) return whole(text);
      return bad(text, "the value of a label", "use at most 63 letters, digits, - _ and .");
    default:
      return whole(text);
  }
}

Result<Value> read_key(Type keys, std::string_view text) {
  switch (keys) {
    case Type::text:
      if (text.empty()) return bad(text, "a name", "write a name");
      return whole(text);
    case Type::dotted:
    case Type::host:
      if (is_dns_name(text)) return whole(text);
      return bad(text, "a name", "use lower-case letters, digits, . and -");
    case Type::label:
      if (is_label(text)) return whole(text);
      return bad(text, "a name", "use lower-case letters, digits and -, at most 63");
    default:
      return read_cluster_text(Field{.path = {}, .type = keys}, text);
  }
}

}  // namespace tg::spec
