// Client keys on disk: creates, lists and revokes them in DIR/tidegate.db and keeps the registry in step.
// Owned by the control thread (or by the command line when nothing runs). A change is on disk and in every
// worker's view when the call returns.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "ledger/database.hpp"
#include "ledger/keys.hpp"

namespace tg::ledger {

struct NewKey {
  std::string name;  // may be empty; of active keys no two have the same
  std::string tenant = "default";
  std::vector<std::string> models = {};  // empty = every route of the tenant
  Limits limits = {};
};

struct CreatedKey {
  std::string text;  // shown once, stored nowhere
  const KeyEntry* entry = nullptr;
};

class KeyStore {
 public:
  // Opens the database and loads every key (10,000 in a few ms).
  static Result<std::unique_ptr<KeyStore>> open(const std::string& dir);

  KeyRegistry& registry() { return registry_; }
  const KeyRegistry& registry() const { return registry_; }

  // `count` keys in one transaction; with count > 1 a name gets "-1", "-2"… Errors: key_name_taken,
  // key_name_invalid, key_count_invalid, database_*.
  Result<std::vector<CreatedKey>> create(const NewKey& key, std::size_t count = 1);

  // The names that create() would give, or the error it would return before it stores anything.
  Result<std::vector<std::string>> names_of(const NewKey& key, std::size_t count) const;

  // Revokes one active key. `selector`: the key's whole text, its name, or its first characters (at least 4,
  // as far as they name one key). Errors: key_not_found, key_ambiguous, database_*.
  Result<const KeyEntry*> revoke(std::string_view selector);
  // The key that revoke() would revoke.
  Result<const KeyEntry*> find_active(std::string_view selector) const;

  std::size_t active() const;

 private:
  explicit KeyStore(Database db) : db_(std::move(db)) {}
  Result<> load();

  Database db_;
  KeyRegistry registry_;
};

}  // namespace tg::ledger
