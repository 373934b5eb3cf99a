#include "ledger/key_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/clock.hpp"

namespace tg::ledger {

namespace {

constexpr std::size_t kPrefix = 8;
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxCount = 100'000;

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace

Result<std::unique_ptr<KeyStore>> KeyStore::open(const std::string& dir) {
  auto db = Database::open(dir, Database::Mode::write, true);
  if (!db) return std::unexpected(db.error());
  std::unique_ptr<KeyStore> store(new KeyStore(std::move(*db)));
  if (auto r = store->load(); !r)
    return std::unexpected(std::move(r.error()).context("cannot load the keys"));
  return store;
}

Result<> KeyStore::load() {
  auto count = db_.prepare("SELECT count(*) FROM keys");
  if (!count) return std::unexpected(count.error());
  if (auto row = count->step(); !row) return std::unexpected(row.error());
  registry_.reserve(static_cast<std::size_t>(count->integer(0)));

  auto rows = db_.prepare(
      "SELECT id, digest, prefix, name, tenant, requests_per_minute, tokens_per_minute, concurrent, "
      "created_ns, revoked_ns "
      "FROM keys ORDER BY id");
  auto models = db_.prepare("SELECT key, model FROM key_models ORDER BY key");
  if (!rows) return std::unexpected(rows.error());
  if (!models) return std::unexpected(models.error());
  auto model = models->step();
  for (;;) {
    auto row = rows->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const auto digest = rows->blob(1);
    if (digest.size() != sizeof(Digest)) {
      return fail("database_failed",
                  fmt::format("key {}: its digest has {} bytes", rows->integer(0), digest.size()));
    }
    KeyEntry& entry = registry_.append();
    std::copy(digest.begin(), digest.end(), entry.digest.begin());
    entry.id = rows->integer(0);
    entry.prefix = rows->text(2);
    entry.name = rows->text(3);
    entry.tenant = rows->text(4);
    entry.limits = {rows->integer(5), rows->integer(6), rows->integer(7)};
    entry.created_utc_ns = rows->integer(8);
    entry.revoked_utc_ns.store(rows->integer(9), std::memory_order_relaxed);
    // Both queries rise by key: one pass merges them.
    while (model && *model && models->integer(0) <= entry.id) {
      if (models->integer(0) == entry.id) entry.models.emplace_back(models->text(1));
      model = models->step();
    }
    if (!model) return std::unexpected(model.error());
    registry_.publish(entry);
  }
}

Result<std::vector<std::string>> KeyStore::names_of(const NewKey& key, std::size_t count) const {
  if (count < 1 || count > kMaxCount) {
    return fail("key_count_invalid", fmt::format("cannot create {} keys", count),
                fmt::format("ask for 1 to {}", kMaxCount));
  }
  if (key.name.size() > kMaxName || !is_printable(key.name)) {
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
  for (const KeyEntry& e : registry_.entries()) {
    if (!e.revoked() && wanted.contains(e.name)) {
      return fail("key_name_taken",
                  fmt::format("the active key {} has the name {} already", e.prefix, e.name),
                  "choose another name, or revoke that key first");
    }
  }
  return names;
}

Result<std::vector<CreatedKey>> KeyStore::create(const NewKey& key, std::size_t count) {
  const auto checked = names_of(key, count);
  if (!checked) return std::unexpected(checked.error());
  const std::vector<std::string>& names = *checked;
  auto transaction = Transaction::begin(db_);
  if (!transaction) return std::unexpected(transaction.error());
  auto insert = db_.prepare(
      "INSERT INTO keys(digest, prefix, name, tenant, requests_per_minute, tokens_per_minute, concurrent, "
      "created_ns, "
      "revoked_ns) VALUES(?,?,?,?,?,?,?,?,0)");
  auto insert_model = db_.prepare("INSERT OR IGNORE INTO key_models(key, model) VALUES(?,?)");
  if (!insert) return std::unexpected(insert.error());
  if (!insert_model) return std::unexpected(insert_model.error());

  Sha256 sha;
  std::vector<CreatedKey> created(count);
  std::vector<std::pair<KeyId, Digest>> rows(count);
  const std::int64_t now = utc_now_ns();
  for (std::size_t i = 0; i < count; ++i) {
    created[i].text = make_key();
    rows[i].second = sha.of(created[i].text);
    insert->bind(1, std::span<const std::uint8_t>(rows[i].second));
    insert->bind(2, std::string_view(created[i].text).substr(0, kPrefix));
    insert->bind(3, names[i]).bind(4, key.tenant);
    insert->bind(5, key.limits.requests_per_minute)
        .bind(6, key.limits.tokens_per_minute)
        .bind(7, key.limits.concurrent);
    insert->bind(8, now);
    if (auto r = insert->run(); !r)
      return std::unexpected(std::move(r.error()).context("cannot store the key"));
    rows[i].first = db_.last_row_id();
    for (const std::string& m : key.models) {
      insert_model->bind(1, rows[i].first).bind(2, m);
      if (auto r = insert_model->run(); !r)
        return std::unexpected(std::move(r.error()).context("cannot store the key"));
    }
  }
  if (auto r = transaction->commit(); !r)
    return std::unexpected(std::move(r.error()).context("cannot store the key"));

  registry_.reserve(registry_.entries().size() + count);
  for (std::size_t i = 0; i < count; ++i) {
    KeyEntry& entry = registry_.append();
    entry.digest = rows[i].second;
    entry.id = rows[i].first;
    entry.prefix = created[i].text.substr(0, kPrefix);
    entry.name = names[i];
    entry.tenant = key.tenant;
    entry.models = key.models;
    entry.limits = key.limits;
    entry.created_utc_ns = now;
    registry_.publish(entry);
    created[i].entry = &entry;
  }
  return created;
}

Result<const KeyEntry*> KeyStore::find_active(std::string_view selector) const {
  constexpr std::size_t kLeast = 4;  // "tg-" alone would name every key
  const bool whole = is_well_formed_key(selector);
  const Digest digest = whole ? Sha256().of(selector) : Digest{};
  const bool by_prefix =
      !whole && selector.starts_with("tg-") && selector.size() >= kLeast && selector.size() <= kPrefix;
  std::vector<const KeyEntry*> found;
  for (const KeyEntry& e : registry_.entries()) {
    if (e.revoked()) continue;
    const bool match = whole       ? e.digest == digest
                       : by_prefix ? std::string_view(e.prefix).starts_with(selector)
                                   : !selector.empty() && e.name == selector;
    if (match) found.push_back(&e);
  }
  // The text of a whole key is never repeated in a message.
  const std::string shown(whole ? selector.substr(0, kPrefix) : selector);
  if (found.empty()) {
    return fail("key_not_found", fmt::format("no active key {}", shown), "`tidegate keys list` shows them");
  }
  if (found.size() > 1) {
    return fail("key_ambiguous",
                fmt::format("{} names {} active keys: {} and {}", shown, found.size(),
                            found[0]->prefix + " " + found[0]->name, found[1]->prefix + " " + found[1]->name),
                "give the name or the whole key");
  }
  return found.front();
}

Result<const KeyEntry*> KeyStore::revoke(std::string_view selector) {
  auto entry = find_active(selector);
  if (!entry) return std::unexpected(entry.error());
  const std::int64_t now = utc_now_ns();
  auto update = db_.prepare("UPDATE keys SET revoked_ns=? WHERE id=?");
  if (!update) return std::unexpected(update.error());
  update->bind(1, now).bind(2, (*entry)->id);
  if (auto r = update->run(); !r)
    return std::unexpected(std::move(r.error()).context("cannot revoke the key"));
  for (KeyEntry& e : registry_.entries()) {
    if (&e == *entry) registry_.revoke(e, now);
  }
  return *entry;
}

std::size_t KeyStore::active() const {
  const auto& all = registry_.entries();
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const KeyEntry& e) { return !e.revoked(); }));
}

}  // namespace tg::ledger
