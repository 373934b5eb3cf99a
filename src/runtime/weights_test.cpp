// Downloads against a local server that plays the hub and the store behind it: redirects, ranges, cuts, wrong
// bytes.
#include "runtime/weights.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "base/files.hpp"
#include "base/id.hpp"
#include "runtime/fetch.hpp"
#include "runtime/raw_server.hpp"
#include "runtime/test_support.hpp"

namespace tg::runtime {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string hex(const std::string& bytes) {
  Sha256 hash;
  return to_hex(hash.of(bytes));
}

std::string field_of(const std::string& request, const std::string& name) {
  const std::size_t at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t from = at + name.size() + 4;
  return request.substr(from, request.find("\r\n", from) - from);
}

// The hub answers with digest and a redirect, the store with the bytes.
struct Host {
  std::string content = std::string(300'000, 'w') + "end of weights";
  std::string linked_etag;  // what the hub states; empty = no such header
  std::string pointer;      // answer to /raw/
  int hub_status = 302;
  bool ranges = true;
  std::string store_etag = "\"v1\"";
  std::atomic<int> cuts{0};  // this many answers of the store stop half way
  std::string served;        // bytes really sent, if not `content`

  std::string operator()(const std::string& request) {
    const std::string line = request.substr(0, request.find("\r\n"));
    const bool head = line.starts_with("HEAD");
    if (line.find("/resolve/main/") != std::string::npos) {
      if (hub_status >= 400)
        return "HTTP/1.1 " + std::to_string(hub_status) + " No\r\ncontent-length: 0\r\n\r\n";
      std::string answer =
          "HTTP/1.1 302 Found\r\nlocation: /store/file\r\ncontent-length: 4\r\nx-linked-size: " +
          std::to_string(content.size());
      if (!linked_etag.empty()) answer += "\r\nx-linked-etag: " + linked_etag;
      return answer + "\r\n\r\n" + (head ? "" : "gone");
    }
    if (line.find("/raw/main/") != std::string::npos) {
      return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(pointer.size()) + "\r\n\r\n" + pointer;
    }
    if (line.find("/store/file") == std::string::npos)
      return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    const std::string& bytes = served.empty() ? content : served;
    std::size_t from = 0;
    std::string answer = "HTTP/1.1 200 OK\r\n";
    const std::string range = field_of(request, "Range");
    const std::string condition = field_of(request, "If-Range");
    if (ranges && !range.empty() && (condition.empty() || condition == store_etag)) {
      from = std::stoul(range.substr(6));
      answer = "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes " + std::to_string(from) + "-" +
               std::to_string(bytes.size() - 1) + "/" + std::to_string(bytes.size()) + "\r\n";
    }
    answer +=
        "content-length: " + std::to_string(bytes.size() - from) + "\r\netag: " + store_etag + "\r\n\r\n";
    if (head) return answer;
    std::string body = bytes.substr(from);
    if (cuts > 0) {
      --cuts;
      body.resize(body.size() / 2);
    }
    return answer + body;
  }
};

class WeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    host_.linked_etag = "\"" + hex(host_.content) + "\"";
    options_.cache_dir = dir_.path() + "/cache";
    options_.hf_endpoint = server_.url();
    options_.retry_pause = kMillisecond;
    ASSERT_TRUE(make_directories(options_.cache_dir));
  }
  Result<Fetched> fetch(const std::string& source, const std::string& sha256 = "") {
    WeightsCache cache(options_);
    return fetch_weights(cache, source, sha256, memory_,
                         [this](const replica::Progress& p) { progress_.push_back(p); }, {});
  }
  std::size_t asked(const std::string& what) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        server_.requests(), [&](const std::string& r) { return r.find(what) != std::string::npos; }));
  }

  TemporaryDirectory dir_;
  Host host_;
  WeightsOptions options_;
  MemoryBound memory_;
  std::vector<replica::Progress> progress_;
  RawServer server_{[this](const std::string& r) { return host_(r); }};
  const std::string source_ = "hf://owner/repo/sub/model.gguf";
};

TEST_F(WeightsTest, HubFileIsFetchedVerifiedAndStoredUnderItsDigest) {
  options_.hf_token = "hf_secret";
  const auto fetched = fetch(source_);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->path, options_.cache_dir + "/sha256/" + hex(host_.content));
  EXPECT_EQ(read_file(fetched->path).value_or(""), host_.content);
  EXPECT_EQ(progress_.back().done, host_.content.size());
  EXPECT_EQ(progress_.back().total, host_.content.size());
  EXPECT_THAT(server_.requests().front(), HasSubstr("/owner/repo/resolve/main/sub/model.gguf"));
  EXPECT_THAT(server_.requests().front(), HasSubstr("Authorization: Bearer hf_secret"));
}

TEST_F(WeightsTest, TokenDoesNotFollowARedirectToAnotherHost) {
  RawServer store([this](const std::string& r) { return host_(r); });
  RawServer hub([&](const std::string&) {
    return "HTTP/1.1 302 Found\r\nlocation: " + store.url("/store/file") +
           "\r\ncontent-length: 0\r\nx-linked-etag: " + host_.linked_etag + "\r\n\r\n";
  });
  options_.hf_endpoint = hub.url();
  options_.hf_token = "hf_secret";
  ASSERT_TRUE(fetch(source_));
  ASSERT_FALSE(store.requests().empty());
  for (const std::string& r : store.requests()) EXPECT_THAT(r, Not(HasSubstr("hf_secret")));
}

TEST_F(WeightsTest, CutConnectionIsResumedWithRangeAndValidator) {
  host_.cuts = 2;
  const auto fetched = fetch(source_);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read_file(fetched->path).value_or(""), host_.content);
  EXPECT_EQ(asked("Range: bytes="), 4u);  // twice, to the hub and to the store
  EXPECT_EQ(asked("If-Range: \"v1\""), 4u);
}

TEST_F(WeightsTest, PartOfAnEarlierRunIsResumed) {
  host_.cuts = 1000;
  options_.attempts = 1;
  const auto first = fetch(source_);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, "weights_no_network");
  host_.cuts = 0;
  const std::size_t before = server_.requests().size();
  const auto second = fetch(source_);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_THAT(field_of(server_.requests().back(), "Range"), testing::StartsWith("bytes="));
  EXPECT_EQ(server_.requests().size() - before, 3u);  // HEAD hub, GET hub, GET store
}

TEST_F(WeightsTest, ChangedFileIsFetchedFromTheStart) {
  host_.cuts = 1000;
  options_.attempts = 1;
  ASSERT_FALSE(fetch(source_));
  host_.cuts = 0;
  host_.content = std::string(200'000, 'n') + "new";
  host_.linked_etag = hex(host_.content);
  host_.store_etag = "\"v2\"";
  const auto fetched = fetch(source_);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read_file(fetched->path).value_or(""), host_.content);
}

TEST_F(WeightsTest, ResumedMixOfTwoFilesIsNoticedAndFetchedAgain) {
  host_.cuts = 1000;
  options_.attempts = 1;
  ASSERT_FALSE(fetch(source_));
  host_.cuts = 0;
  // Same length, same validator, other bytes: only the digest can tell.
  host_.content = std::string(host_.content.size() - 3, 'm') + "mix";
  host_.linked_etag = hex(host_.content);
  const auto fetched = fetch(source_);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read_file(fetched->path).value_or(""), host_.content);
}

TEST_F(WeightsTest, ServerWithoutRangesStartsOver) {
  host_.ranges = false;
  host_.cuts = 1;
  const auto fetched = fetch(source_);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read_file(fetched->path).value_or(""), host_.content);
}

TEST_F(WeightsTest, WrongDigestIsRefusedAndNothingKept) {
  host_.served = std::string(host_.content.size(), 'x');
  const auto fetched = fetch(source_);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, "digest_mismatch");
  EXPECT_THAT(fetched.error().message, HasSubstr(hex(host_.content)));
  EXPECT_THAT(fetched.error().message, HasSubstr(hex(host_.served)));
  EXPECT_FALSE(worth_retrying(fetched.error()));
  EXPECT_FALSE(std::filesystem::exists(options_.cache_dir + "/sha256"));
  for (const auto& entry : std::filesystem::directory_iterator(options_.cache_dir + "/parts"))
    ADD_FAILURE() << entry.path();
}

TEST_F(WeightsTest, WrongLengthIsRefused) {
  host_.served = host_.content + "surplus";
  const auto fetched = fetch(source_);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, "wrong_length");
}

TEST_F(WeightsTest, RenamedRepositoryIsFollowedWithinTheHub) {
  RawServer hub([this](const std::string& r) {
    if (r.find("/owner/repo/") == std::string::npos) return host_(r);
    return std::string(
        "HTTP/1.1 307 Moved\r\nlocation: /new/repo/resolve/main/sub/model.gguf\r\ncontent-length: 0\r\n\r\n");
  });
  options_.hf_endpoint = hub.url();
  const auto fetched = fetch(source_);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->sha256, hex(host_.content));
}

TEST_F(WeightsTest, StoreIsNotAskedByHead) {
  ASSERT_TRUE(fetch(source_));
  EXPECT_EQ(asked("HEAD /store/file"), 0u);
}

TEST_F(WeightsTest, WebHostThatAllowsGetAlone) {
  RawServer host([this](const std::string& r) {
    return r.starts_with("HEAD") ? std::string("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                                 : host_(r);
  });
  EXPECT_TRUE(fetch(host.url("/store/file"), hex(host_.content)));
}

TEST_F(WeightsTest, DigestFromTheLfsPointerWhereTheHeaderLacks) {
  host_.linked_etag.clear();
  host_.pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + hex(host_.content) + "\nsize " +
                  std::to_string(host_.content.size()) + "\n";
  host_.served = std::string(host_.content.size(), 'x');
  const auto wrong = fetch(source_);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, "digest_mismatch");
  host_.served.clear();
  EXPECT_TRUE(fetch(source_));
}

TEST_F(WeightsTest, DigestOfTheDocumentAgainstTheHub) {
  const auto fetched = fetch(source_, std::string(64, 'a'));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, "digest_mismatch");
  EXPECT_EQ(asked("GET"), 0u);
}

TEST_F(WeightsTest, TwoSourcesWithOneDigestShareTheFile) {
  ASSERT_TRUE(fetch(source_));
  const std::size_t bodies = asked("GET /store/file");
  const auto again = fetch("hf://other/copy/same.gguf");
  ASSERT_TRUE(again);
  EXPECT_EQ(asked("GET /store/file"), bodies);
  EXPECT_EQ(again->path, options_.cache_dir + "/sha256/" + hex(host_.content));
}

TEST_F(WeightsTest, WebAddressNeedsADigestAndUsesIt) {
  EXPECT_EQ(fetch(server_.url("/store/file")).error().code, "digest_missing");
  EXPECT_TRUE(fetch(server_.url("/store/file"), hex(host_.content)));
  const auto wrong = fetch(server_.url("/store/file"), std::string(64, '0'));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, "digest_mismatch");
}

TEST_F(WeightsTest, FilePutIntoTheCacheByHandNeedsNoNetwork) {
  ASSERT_TRUE(make_directories(options_.cache_dir + "/sha256"));
  std::ofstream(options_.cache_dir + "/sha256/" + hex(host_.content)) << host_.content;
  options_.hf_endpoint = "http://127.0.0.1:1";
  EXPECT_TRUE(fetch(source_, hex(host_.content)));
}

TEST_F(WeightsTest, NoNetworkNamesTheFileAndWhereToPutIt) {
  options_.hf_endpoint = "http://127.0.0.1:1";
  options_.attempts = 1;
  const auto fetched = fetch(source_, hex(host_.content));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, "weights_no_network");
  EXPECT_THAT(fetched.error().hint, HasSubstr("model.gguf"));
  EXPECT_THAT(fetched.error().hint, HasSubstr(options_.cache_dir + "/sha256/" + hex(host_.content)));
  EXPECT_TRUE(worth_retrying(fetched.error()));
}

TEST_F(WeightsTest, StatusesHaveTheirReasons) {
  host_.hub_status = 404;
  EXPECT_EQ(fetch(source_).error().code, "weights_missing");
  EXPECT_FALSE(worth_retrying(fetch(source_).error()));
  host_.hub_status = 403;
  EXPECT_EQ(fetch(source_).error().code, "weights_denied");
  EXPECT_THAT(fetch(source_).error().hint, HasSubstr("HF_TOKEN"));
}

TEST_F(WeightsTest, MemoryIsLookedAtBeforeAByteIsFetched) {
  const std::uint64_t size = host_.content.size();
  memory_ = {size + size / 10 - 1, "cgroup limit"};
  const auto fetched = fetch(source_);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, "memory_short");
  EXPECT_THAT(fetched.error().message, HasSubstr("(cgroup limit)"));
  EXPECT_EQ(asked("GET "), 0U);
  EXPECT_EQ(progress_.back().total, size);  // admission learns it all the same
  memory_.total += 1;
  EXPECT_TRUE(fetch(source_));
}

TEST_F(WeightsTest, BudgetIsCheckedBeforeAByteIsFetched) {
  options_.disk_budget = 1000;
  const auto fetched = fetch(source_);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, "disk_budget");
  EXPECT_EQ(asked("GET"), 0u);
}

TEST_F(WeightsTest, LocalFileWithDigest) {
  const std::string path = dir_.path() + "/m.gguf";
  std::ofstream(path) << "local";
  EXPECT_EQ(fetch("file://" + path)->path, path);
  EXPECT_TRUE(fetch("file://" + path, hex("local")));
  EXPECT_EQ(fetch("file://" + path, hex("other")).error().code, "digest_mismatch");
  const auto missing = fetch("file:///nowhere/m.gguf");
  EXPECT_EQ(missing.error().code, "weights_missing");
  EXPECT_TRUE(worth_retrying(missing.error()));
}

// ---- The loop's side ----

class WeightsLoopTest : public WeightsTest {
 protected:
  void make() {
    thread_.call([this] { weights_ = std::make_unique<Weights>(thread_.loop, log_, options_); });
  }
  void TearDown() override {
    thread_.call([this] { weights_.reset(); });
  }
  Logger log_{LogFormat::text, LogLevel::error};
  std::unique_ptr<Weights> weights_;
  LoopThread thread_;
};

TEST_F(WeightsLoopTest, TwoAskersShareOneDownloadAndItIsRememberedLater) {
  make();
  std::vector<WeightsUpdate> ends;
  const auto note = [&](const WeightsUpdate& u) {
    if (u.what != WeightsUpdate::What::progress) ends.push_back(u);
  };
  thread_.call([&] {
    EXPECT_FALSE(weights_->present(source_, ""));
    weights_->get(source_, "", {}, note);
    weights_->get(source_, "", {}, note);
  });
  ASSERT_TRUE(thread_.until([&] { return ends.size() == 2; }));
  EXPECT_EQ(ends[0].what, WeightsUpdate::What::present);
  EXPECT_EQ(asked("GET /store/file"), 1u);
  thread_.call([this] { weights_.reset(); });
  make();
  EXPECT_EQ(thread_.call([this] { return weights_->present(source_, ""); }), ends[0].path);
  EXPECT_FALSE(thread_.call([this] { return weights_->present(source_, std::string(64, 'b')); }));
}

TEST_F(WeightsLoopTest, ForgottenDownloadStopsAndMayBeAskedForAgain) {
  std::atomic<bool> block{true};
  RawServer slow([&](const std::string& r) {
    while (block && r.starts_with("GET")) ::usleep(1000);
    return host_(r);
  });
  options_.hf_endpoint = slow.url();
  make();
  bool called = false;
  std::vector<WeightsUpdate> ends;
  const auto handle = thread_.call([&] {
    return weights_->get(source_, "", {}, [&](const WeightsUpdate& u) {
      called = called || u.what != WeightsUpdate::What::progress;
    });
  });
  ASSERT_TRUE(wait_until([&] { return slow.requests().size() >= 2; }));
  thread_.call([&] {
    weights_->forget(handle);
    weights_->get(source_, "", {}, [&](const WeightsUpdate& u) {
      if (u.what != WeightsUpdate::What::progress) ends.push_back(u);
    });
  });
  block = false;
  ASSERT_TRUE(thread_.until([&] { return !ends.empty(); }));
  EXPECT_EQ(ends[0].what, WeightsUpdate::What::present);
  EXPECT_FALSE(called);
}

TEST_F(WeightsLoopTest, GoingAwayDuringADownloadIsQuick) {
  std::atomic<bool> block{true};
  RawServer slow([&](const std::string& r) {
    while (block && r.starts_with("GET")) ::usleep(1000);
    return host_(r);
  });
  options_.hf_endpoint = slow.url();
  make();
  thread_.call([&] { return weights_->get(source_, "", {}, [](const WeightsUpdate&) {}); });
  ASSERT_TRUE(wait_until([&] { return slow.requests().size() >= 2; }));
  const Nanos before = mono_now();
  thread_.call([this] { weights_.reset(); });
  EXPECT_LT(mono_now() - before, 5 * kSecond);
  block = false;
}

}  // namespace
}  // namespace tg::runtime
