#include "ledger/keys.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "ledger/key_store.hpp"
#include "ledger/testing.hpp"

namespace tg::ledger {
namespace {

using testing::TestDir;

std::unique_ptr<KeyStore> open_store(const TestDir& dir) {
  auto store = KeyStore::open(dir.path());
  EXPECT_TRUE(store) << (store ? "" : store.error().message);
  return store ? std::move(*store) : nullptr;
}

KeyEntry* find(KeyStore& store, const std::string& text) { return store.registry().find(Sha256().of(text)); }

TEST(KeyStore, CreateFindListRevoke) {
  const TestDir dir;
  auto store = open_store(dir);
  auto created = store->create({"laptop", "research", {"b", "a", "a"}, {60, 1'000, 4}});
  ASSERT_TRUE(created);
  const std::string text = created->front().text;
  EXPECT_TRUE(is_well_formed_key(text));
  KeyEntry* entry = find(*store, text);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry, created->front().entry);
  EXPECT_EQ(entry->name, "laptop");
  EXPECT_EQ(entry->tenant, "research");
  EXPECT_EQ(entry->prefix, text.substr(0, 8));
  EXPECT_EQ(entry->limits, (Limits{60, 1'000, 4}));
  EXPECT_TRUE(entry->allows("a"));
  EXPECT_FALSE(entry->allows("c"));
  EXPECT_EQ(find(*store, make_key()), nullptr);

  ASSERT_TRUE(store->revoke("laptop"));
  EXPECT_EQ(find(*store, text), nullptr);
  EXPECT_TRUE(entry->revoked());
  EXPECT_EQ(store->active(), 0U);
  EXPECT_EQ(store->registry().entries().size(), 1U);
  EXPECT_EQ(store->revoke("laptop").error().code, "key_not_found");
}

TEST(KeyStore, SurvivesReopening) {
  const TestDir dir;
  std::string kept;
  std::string revoked;
  std::string open_to_all;
  {
    auto store = open_store(dir);
    kept = store->create({"kept", "default", {"x", "y"}, {1, 2, 3}})->front().text;
    revoked = store->create({"revoked"})->front().text;
    open_to_all = store->create({""})->front().text;
    ASSERT_TRUE(store->revoke(revoked));
  }
  auto store = open_store(dir);
  const KeyEntry* entry = find(*store, kept);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->models, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(entry->limits, (Limits{1, 2, 3}));
  EXPECT_EQ(find(*store, revoked), nullptr);
  ASSERT_NE(find(*store, open_to_all), nullptr);
  EXPECT_TRUE(find(*store, open_to_all)->allows("anything"));
  EXPECT_EQ(store->active(), 2U);
}

TEST(KeyStore, TheTextOfAKeyIsNotOnTheDisk) {
  const TestDir dir;
  std::string text;
  {
    auto store = open_store(dir);
    text = store->create({"secret"})->front().text;
    for (const auto& file : std::filesystem::directory_iterator(dir.path())) {
      EXPECT_EQ(testing::read_text(file.path()).find(text.substr(0, 12)), std::string::npos) << file.path();
    }
  }
  EXPECT_EQ(testing::read_text(database_path(dir.path())).find(text.substr(0, 12)), std::string::npos);
}

TEST(KeyStore, ManyAtOnceGetNumberedNames) {
  const TestDir dir;
  auto store = open_store(dir);
  auto created = store->create({"batch", "default", {"m"}, {}}, 1'000);
  ASSERT_TRUE(created);
  std::set<std::string> names;
  for (const CreatedKey& c : *created) {
    names.insert(c.entry->name);
    EXPECT_EQ(find(*store, c.text), c.entry);
  }
  EXPECT_EQ(names.size(), 1'000U);
  EXPECT_TRUE(names.contains("batch-1"));
  EXPECT_TRUE(names.contains("batch-1000"));
  auto again = open_store(dir);
  for (const CreatedKey& c : *created) {
    const KeyEntry* e = find(*again, c.text);
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e->models, std::vector<std::string>{"m"});
  }
}

TEST(KeyStore, RefusesWhatCannotBe) {
  const TestDir dir;
  auto store = open_store(dir);
  ASSERT_TRUE(store->create({"one"}));
  EXPECT_EQ(store->create({"one"}).error().code, "key_name_taken");
  EXPECT_EQ(store->create({"tg-abc"}).error().code, "key_name_invalid");
  EXPECT_EQ(store->create({"a\nb"}).error().code, "key_name_invalid");
  EXPECT_EQ(store->create({"x"}, 0).error().code, "key_count_invalid");
  ASSERT_TRUE(store->revoke("one"));
  EXPECT_TRUE(store->create({"one"}));  // a revoked key's name is free again
}

TEST(KeyStore, RevokeBySelector) {
  const TestDir dir;
  auto store = open_store(dir);
  const std::string a = store->create({"a"})->front().text;
  const std::string b = store->create({"b"})->front().text;
  const std::string c = store->create({""})->front().text;
  EXPECT_EQ(store->revoke("tg-").error().code, "key_not_found");
  EXPECT_EQ(store->revoke("").error().code, "key_not_found");
  // More than the stored characters, but no whole key: a slip must not revoke what it resembles.
  EXPECT_EQ(store->revoke(a.substr(0, 20)).error().code, "key_not_found");
  ASSERT_TRUE(store->revoke(a.substr(0, 8)));
  EXPECT_EQ(find(*store, a), nullptr);
  ASSERT_TRUE(store->revoke(b));
  EXPECT_EQ(find(*store, b), nullptr);
  const Error unknown = store->revoke(make_key()).error();
  EXPECT_EQ(unknown.code, "key_not_found");
  EXPECT_LT(unknown.message.size(), 40U) << "a whole key must not stand in a message";
  EXPECT_NE(find(*store, c), nullptr);

  // 62 keys and more share a first character sooner or later.
  ASSERT_TRUE(store->create({"many"}, 63));
  std::set<std::string> seen;
  std::string shared;
  for (const KeyEntry& e : store->registry().entries()) {
    if (!e.revoked() && !seen.insert(e.prefix.substr(0, 4)).second) shared = e.prefix.substr(0, 4);
  }
  ASSERT_FALSE(shared.empty());
  EXPECT_EQ(store->revoke(shared).error().code, "key_ambiguous");
}

TEST(KeyStore, RefusesADatabaseOfAnotherVersion) {
  const TestDir dir;
  {
    auto db = Database::open(dir.path(), Database::Mode::write, true);
    ASSERT_TRUE(db);
    ASSERT_TRUE(db->exec("PRAGMA user_version=99"));
  }
  EXPECT_EQ(KeyStore::open(dir.path()).error().code, "database_version");
}

// Workers look keys up while the control thread adds and revokes: whatever publish() or revoke() returned for
// holds.
TEST(KeyRegistry, ChangesHoldForEveryThreadAtOnce) {
  KeyRegistry registry;
  constexpr int kKeys = 20'000;
  std::atomic<int> published{0};
  std::atomic<int> revoked{0};
  std::atomic<int> wrong{0};
  const auto digest_of = [](int i) { return Sha256().of(std::to_string(i)); };
  std::vector<Digest> digests;
  digests.reserve(kKeys);
  for (int i = 0; i < kKeys; ++i) digests.push_back(digest_of(i));
  std::vector<std::thread> workers;
  workers.reserve(3);
  for (int t = 0; t < 3; ++t) {
    workers.emplace_back([&, t] {
      std::uint32_t x = static_cast<std::uint32_t>(t) + 1;
      while (published.load() < kKeys) {
        x = x * 1664525 + 1013904223;
        const int alive_to = published.load();
        const int dead_to = revoked.load();
        if (alive_to == 0) continue;
        const int i = static_cast<int>(x % static_cast<std::uint32_t>(alive_to));
        const KeyEntry* e = registry.find(digests[static_cast<std::size_t>(i)]);
        // Read after find(): it may have been revoked meanwhile.
        const int dead_now = revoked.load();
        if (i < dead_to && e != nullptr) ++wrong;
        if (i > dead_now && e == nullptr) ++wrong;
        if (e != nullptr && e->id != i) ++wrong;
      }
    });
  }
  for (int i = 0; i < kKeys; ++i) {
    KeyEntry& e = registry.append();
    e.digest = digests[static_cast<std::size_t>(i)];
    e.id = i;
    registry.publish(e);
    published = i + 1;
    if (i % 4 == 3) {
      KeyEntry& old = registry.entries()[static_cast<std::size_t>(i / 4)];
      registry.revoke(old, 1);
      revoked = i / 4 + 1;
    }
  }
  for (std::thread& w : workers) w.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace tg::ledger
