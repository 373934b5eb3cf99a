// What KeyStore::create and KeyStore::revoke would answer, without doing it. Same codes and rules as there; a
// test holds the two together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "ledger/key_store.hpp"

namespace tg::admin {

// The names the keys would get.
Result<std::vector<std::string>> check_new_keys(const ledger::KeyStore& store, const ledger::NewKey& key,
                                                std::size_t count);
// The key that would be revoked.
Result<const ledger::KeyEntry*> find_active_key(const ledger::KeyStore& store, std::string_view selector);

}  // namespace tg::admin
