#include "admin/dry_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/id.hpp"

namespace tg::admin {

namespace {

constexpr std::size_t kPrefix = 8;
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxCount = 100'000;

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace

Result<std::vector<std::string>> check_new_keys(const ledger::KeyStore& store, const ledger::NewKey& key,
                                                std::size_t count) {
  if (count < 1 || count > kMaxCount) {
    return fail("key_count_invalid", fmt::format("cannot create {} keys", count),
                fmt::format("ask for 1 to {}", kMaxCount));
  }
  if (key.name.size() > kMaxName || has_control(key.name)) {
    return fail(
        "key_name_invalid",
        fmt::format("a key's name has at most {} characters and none of them a control character", kMaxName),
        "use a short name such as laptop or ci");
  }
  if (key.name.starts_with("tg-")) {
    return fail("key_name_invalid", fmt::format("the name {} looks like a key", key.name),
                "only keys begin with tg-");
  }
  std::vector<std::string> names(count, key.name);
  if (key.name.empty()) return names;
  for (std::size_t i = 0; count > 1 && i < count; ++i) names[i] += fmt::format("-{}", i + 1);
  const std::set<std::string_view> wanted(names.begin(), names.end());
  for (const ledger::KeyEntry& e : store.registry().entries()) {
    if (!e.revoked() && wanted.contains(e.name)) {
      return fail("key_name_taken",
                  fmt::format("the active key {} has the name {} already", e.prefix, e.name),
                  "choose another name, or revoke that key first");
    }
  }
  return names;
}

Result<const ledger::KeyEntry*> find_active_key(const ledger::KeyStore& store, std::string_view selector) {
  const bool whole = is_well_formed_key(selector);
  const Digest digest = whole ? Sha256().of(selector) : Digest{};
  const bool by_prefix =
      !whole && selector.starts_with("tg-") && selector.size() > 3 && selector.size() <= kPrefix;
  std::vector<const ledger::KeyEntry*> found;
  for (const ledger::KeyEntry& e : store.registry().entries()) {
    if (e.revoked()) continue;
    const bool match = whole       ? e.digest == digest
                       : by_prefix ? e.prefix.starts_with(selector)
                                   : !selector.empty() && e.name == selector;
    if (match) found.push_back(&e);
  }
  const std::string shown(whole ? selector.substr(0, kPrefix) : selector);  // never a whole key
  if (found.empty())
    return fail("key_not_found", fmt::format("no active key {}", shown), "`tidegate keys list` shows them");
  if (found.size() > 1) {
    return fail("key_ambiguous", fmt::format("{} names {} active keys", shown, found.size()),
                "give the name or the whole key");
  }
  return found.front();
}

}  // namespace tg::admin
