#include "net/loop.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "net/socket.hpp"

namespace tg::net {
namespace {

TEST(Loop, PostedTasksRunInOrderOnTheLoopThread) {
  Loop loop;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop.post([&seen, i] { seen.push_back(i); });
    loop.post([&loop] { loop.stop(); });
  });
  loop.run();
  other.join();
  ASSERT_EQ(seen.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST(Loop, RetiredHandlerGetsNoFurtherEvent) {
  Loop loop;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  struct Once final : Handler {
    Loop* loop;
    int fd;
    int* count;
    std::unique_ptr<Handler>* self;
    void on_events(std::uint32_t) override {
      ++*count;
      loop->remove(fd);
      loop->retire(std::move(*self));
      loop->defer([l = loop] { l->stop(); });
    }
  };
  int count = 0;
  std::unique_ptr<Handler> owner = std::make_unique<Once>();
  auto* once = static_cast<Once*>(owner.get());
  once->loop = &loop;
  once->fd = pair[0];
  once->count = &count;
  once->self = &owner;
  loop.add(pair[0], *once);
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  loop.run();
  EXPECT_EQ(count, 1);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(Buffer, BlocksComeBackToThePool) {
  BufferPool pool;
  const char* block = nullptr;
  {
    Buffer b;
    b.append(pool, std::string(900, 'x'));
    block = b.data();
  }
  Buffer again;
  again.append(pool, "y");
  EXPECT_EQ(again.data(), block);
  again.append(pool, std::string(100'000, 'z'));
  EXPECT_EQ(again.size(), 100'001U);
  EXPECT_EQ(again.view()[0], 'y');
  again.consume(1);
  EXPECT_EQ(again.view()[0], 'z');
}

TEST(Buffer, LargeBlocksAreKeptWhileTheyAreUsedAndFreedAfterwards) {
  BufferPool pool;
  const auto use = [&pool](std::size_t count) {
    std::vector<Buffer> buffers(count);
    for (Buffer& b : buffers) b.reserve(pool, 100'000);
  };
  use(8);
  EXPECT_TRUE(pool.large());
  pool.trim();  // the first look only notes what there is
  use(8);
  pool.trim();
  EXPECT_TRUE(pool.large()) << "all of them were used since the last look";
  use(1);
  pool.trim();
  EXPECT_FALSE(pool.large());
  use(100);  // 12.5 MiB at once
  pool.trim();
  pool.trim();
  EXPECT_FALSE(pool.large());
}

TEST(Loop, AnIdleLoopGivesLargeBuffersBack) {
  Loop loop;
  {
    std::vector<Buffer> buffers(8);
    for (Buffer& b : buffers) b.reserve(loop.buffers(), 100'000);
  }
  CallbackTimer look([&](Nanos) {
    if (loop.buffers().large()) {
      loop.arm_after(look, 10 * kMillisecond);
    } else {
      loop.stop();
    }
  });
  loop.arm_after(look, 10 * kMillisecond);
  loop.run();
  EXPECT_FALSE(loop.buffers().large());
}

TEST(Socket, AddressesAreParsedStrictly) {
  EXPECT_EQ(parse_address("127.0.0.1:4000")->str(), "127.0.0.1:4000");
  EXPECT_EQ(parse_address("[::1]:0")->str(), "[::1]:0");
  EXPECT_EQ(parse_address("localhost:1")->str(), "127.0.0.1:1");
  EXPECT_EQ(parse_address(":80")->str(), "0.0.0.0:80");
  for (const char* bad : {"", "4000", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "host:80",
                          "1.2.3.4:-1", "1.2.3.4:80x"}) {
    EXPECT_FALSE(parse_address(bad)) << bad;
  }
}

}  // namespace
}  // namespace tg::net
