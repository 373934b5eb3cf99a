// What the journal costs a worker: the pair begin + settle of one request, names as in steady traffic, memory
// as in a running worker (a fresh page every 21 requests).
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <string>

#include "base/clock.hpp"
#include "base/files.hpp"
#include "ledger/journal.hpp"

namespace tg::ledger {
namespace {

constexpr std::uint64_t kBytes = 64 << 20;

void pair_of_records(benchmark::State& state, bool prefault) {
  std::string dir = "/tmp/tidegate-journal-XXXXXX";
  if (::mkdtemp(dir.data()) == nullptr || !make_directories(dir + "/journal")) {
    state.SkipWithError("no temporary directory");
    return;
  }
  Metrics metrics(1);
  JournalChannel channel;
  Signal signal;
  std::vector<std::unique_ptr<Segment>> segments;  // outlive the journal that ends the last one
  JournalWriter journal(0, channel, signal, metrics);
  const auto prepare = [&] {
    if (!segments.empty()) ::unlink(segments.back()->path().c_str());
    SegmentHeader header;
    header.sequence = segments.size() + 1;
    auto made = Segment::create(segment_path(dir, 0, header.sequence), header, kBytes);
    if (!made) return false;
    if (prefault) (*made)->prefault(0, kBytes);
    segments.push_back(std::move(*made));
    channel.next.store(segments.back().get());
    return true;
  };
  RequestInfo request;
  request.key = 7;
  request.tenant = "default";
  request.model = "gpt-4o-mini-2024-07-18";
  request.route = "gpt-4o-mini";
  request.backend = "openai";
  request.operation = "chat";
  AnswerInfo answer;
  answer.status = 200;
  answer.reported = true;
  std::int64_t now = utc_now_ns();
  while (state.KeepRunning()) {
    if (channel.next.load(std::memory_order_relaxed) == nullptr) {
      state.PauseTiming();
      if (!prepare()) state.SkipWithError("no segment");
      state.ResumeTiming();
    }
    now += 1000;
    const Ticket t = journal.begin(request, now);
    answer.tokens_out += 1;
    journal.settle(t, request, answer, now);
  }
  state.counters["lost"] = static_cast<double>(channel.lost_records.load());
  ::unlink(segments.empty() ? "" : segments.back()->path().c_str());
  ::rmdir((dir + "/journal").c_str());
  ::rmdir(dir.c_str());
}

BENCHMARK_CAPTURE(pair_of_records, pages_ready, true)->Iterations(2'000'000);
BENCHMARK_CAPTURE(pair_of_records, pages_faulted_by_worker, false)->Iterations(2'000'000);

}  // namespace
}  // namespace tg::ledger
