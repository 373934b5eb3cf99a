// What the ledger's thread costs for each request: tail, sums, access log, sync and commit, in CPU time of
// that thread. And the start: loading 10,000 keys.
#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <time.h>

#include <filesystem>
#include <string>
#include <thread>

#include "base/clock.hpp"
#include "ledger/key_store.hpp"
#include "ledger/writer.hpp"

namespace tg::ledger {
namespace {

struct Dir {
  std::string path = "/tmp/tidegate-ledger-XXXXXX";
  Dir() {
    if (::mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Dir() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

std::int64_t cpu_ns(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// `keys`: how many different keys take turns; each makes a row of its own per minute.
void writer_thread(benchmark::State& state) {
  const auto keys = state.range(0);
  const auto per_second = state.range(1);
  const Dir dir;
  Metrics metrics(2);
  Logger log(LogFormat::json, LogLevel::error, -1);
  auto ledger = LedgerWriter::start({.dir = dir.path, .workers = 1, .metric_shard = 1}, metrics, log);
  if (!ledger) {
    state.SkipWithError(ledger.error().message.c_str());
    return;
  }
  JournalWriter& journal = (*ledger)->journal(0);
  UlidMaker ulids;
  RequestInfo request;
  request.tenant = "default";
  request.model = "gpt-4o-mini-2024-07-18";
  request.route = "gpt-4o-mini";
  request.backend = "openai";
  request.operation = "chat";
  AnswerInfo answer;
  answer.status = 200;
  answer.reported = true;
  answer.tokens_in = 120;
  answer.tokens_out = 50;
  answer.first_byte_ns = 812'345;
  answer.total_ns = 1'012'345;
  std::int64_t requests = 0;
  std::int64_t spent = 0;
  while (state.KeepRunning()) {
    // Three seconds at a steady rate, in steps of 10 ms.
    const std::int64_t before_process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    const std::int64_t before_thread = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int step = 0; step < 300; ++step) {
      for (std::int64_t i = 0; i < per_second / 100; ++i) {
        request.key = 1 + requests++ % keys;
        request.id = ulids.next(utc_now_ns());
        const Ticket t = journal.begin(request, utc_now_ns());
        journal.settle(t, request, answer, utc_now_ns());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (auto r = (*ledger)->flush(); !r) state.SkipWithError(r.error().message.c_str());
    spent +=
        cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - before_process - (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - before_thread);
  }
  state.counters["ns_per_request"] = static_cast<double>(spent) / static_cast<double>(requests);
  state.counters["lost"] =
      static_cast<double>(metrics.counter("tidegate_journal_lost_records_total", "").total());
}
BENCHMARK(writer_thread)
    ->Args({1, 1'000})
    ->Args({1, 10'000})
    ->Args({1, 50'000})
    ->Args({100, 10'000})
    ->Args({10'000, 10'000})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void load_keys(benchmark::State& state) {
  const Dir dir;
  {
    auto store = KeyStore::open(dir.path);
    if (!store || !(*store)->create({.name = "k", .models = {"a", "b"}}, 10'000)) {
      state.SkipWithError("no keys");
      return;
    }
  }
  while (state.KeepRunning()) {
    auto store = KeyStore::open(dir.path);
    benchmark::DoNotOptimize(store);
    state.PauseTiming();
    store->reset();
    state.ResumeTiming();
  }
}
BENCHMARK(load_keys)->Unit(benchmark::kMillisecond);

void find_key(benchmark::State& state) {
  KeyRegistry registry;
  std::vector<Digest> digests(10'000);
  for (Digest& d : digests) {
    random_bytes(d);
    KeyEntry& e = registry.append();
    e.digest = d;
    registry.publish(e);
  }
  std::size_t i = 0;
  while (state.KeepRunning()) benchmark::DoNotOptimize(registry.find(digests[i++ % digests.size()]));
}
BENCHMARK(find_key);

void admit_and_settle(benchmark::State& state) {
  const Limits key{1'000'000'000, 1'000'000'000, 1'000};
  const Limits tenant = key;
  LimitState key_state;
  LimitState tenant_state;
  const Scope both[] = {{&key, &key_state}, {&tenant, &tenant_state}};
  Nanos now = mono_now();
  while (state.KeepRunning()) {
    now += kMicrosecond;
    benchmark::DoNotOptimize(admit(both, 100, now));
    settle(both, 100, 90, now);
  }
}
BENCHMARK(admit_and_settle);

}  // namespace
}  // namespace tg::ledger
