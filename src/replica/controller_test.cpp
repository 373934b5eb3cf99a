#include "replica/controller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "replica/fake_fleet.hpp"

namespace tg::replica {
namespace {

using State = Request::State;
using Json = nlohmann::json;

Json explain(Fleet& f, const std::string& model) {
  return Json::parse(f.controller->explain_json(model, f.time.now()));
}

TEST(Controller, StartsNothingWithoutDemandAndOneAtTheFirstArrival) {
  Fleet f;
  f.apply({Fleet::model("a")});
  f.run_for(10 * kMinute);
  EXPECT_TRUE(f.backend.starts.empty());
  const auto id = f.send("a");
  f.run_for(kMillisecond);  // in the same event, not at the next second
  EXPECT_EQ(f.backend.starts.size(), 1U);
  EXPECT_EQ(f.requests[id].state, State::waiting);
  f.run_for(2 * kSecond);
  EXPECT_EQ(f.requests[id].state, State::running);
  f.run_for(kSecond);
  EXPECT_EQ(f.requests[id].state, State::complete);
  const auto j = explain(f, "a");
  EXPECT_EQ(j["state"], "ready");
  const auto& start = j["coldStarts"][0];
  EXPECT_EQ(start["outcome"], "ready");
  EXPECT_NEAR(start["startOrderedMs"].get<double>(), 0.01, 0.02);
  EXPECT_EQ(start["fetchMs"], 0);
  EXPECT_NEAR(start["loadMs"].get<double>(), 2000, 1);
  EXPECT_NEAR(start["readyToFirstGrantMs"].get<double>(), 0, 0.1);
  EXPECT_EQ(j["decisions"].back()["rule"], "idle");
  EXPECT_THAT(f.controller->models_json(f.time.now()), testing::HasSubstr("\"name\":\"a\""));
}

TEST(Controller, GrantsInTicketOrderAsSlotsComeFree) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 2)});
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 9; ++i) ids.push_back(f.send("a", (9 - i) * 100 * kMillisecond));
  EXPECT_TRUE(f.run_while([&] { return !f.settled(); }, kMinute));
  EXPECT_EQ(f.grant_order, ids);
  f.expect_nothing_lost("order");
}

TEST(Controller, NobodyOvertakesTheQueue) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1)});
  const auto first = f.send("a", 10 * kSecond);
  f.run_for(3 * kSecond);
  ASSERT_EQ(f.requests[first].state, State::running);
  const auto second = f.send("a", kSecond);
  f.run_for(kSecond);
  f.leave(first);  // the slot is free, the SlotFree is under way
  const auto third = f.send("a", kSecond);
  f.run_for(100 * kMillisecond);
  EXPECT_EQ(f.requests[second].state, State::running);
  EXPECT_EQ(f.requests[third].state, State::waiting);
  f.run_for(kMinute);
  f.expect_nothing_lost("overtaking");
}

TEST(Controller, GoesToZeroAfterTheIdleTimeOfTheDocument) {
  Fleet f;
  auto m = Fleet::model("a");
  m.idle = 20 * kSecond;
  f.apply({m});
  f.send("a");
  f.run_for(3 * kSecond + 18 * kSecond);
  EXPECT_EQ(f.backend.count("a"), 1);
  f.run_for(6 * kSecond);
  EXPECT_EQ(f.backend.count("a"), 0);
  f.run_for(kSecond);
  const auto j = explain(f, "a");
  EXPECT_EQ(j["state"], "zero");
  EXPECT_EQ(j["reason"]["code"], "at_zero");
  EXPECT_EQ(j["idle"]["from"], "document");
  EXPECT_EQ(j["decisions"][0]["rule"], "idle");
  EXPECT_EQ(j["decisions"][0]["to"], 0);
  f.send("a");
  f.run_for(4 * kSecond);
  EXPECT_EQ(f.count(State::complete), 2);
}

TEST(Controller, HundredCyclesFromZeroAndBackWithKillsLoseNothing) {
  Fleet f;
  auto m = Fleet::model("a", 3, 2);
  m.idle = 2 * kSecond;
  f.apply({m});
  int cut = 0;
  for (int cycle = 0; cycle < 100; ++cycle) {
    f.backend.workers_see_first = cycle % 2 == 0;
    ASSERT_EQ(f.backend.processes(), 0) << "cycle " << cycle;
    for (int i = 0; i < 12; ++i) f.send("a", (500 + 137 * i) * kMillisecond);
    if (cycle % 10 == 3) {
      f.run_for(2 * kSecond + (cycle * 13 % 700) * kMillisecond);
      const auto ready = f.backend.ready_ids("a");
      ASSERT_FALSE(ready.empty());
      for (const auto& [id, r] : f.requests)
        cut += r.state == State::running && r.relayed && r.engine == ready[0] ? 1 : 0;
      f.backend.die(ready[0]);
    }
    ASSERT_TRUE(f.run_while([&] { return !f.settled(); }, 2 * kMinute)) << "cycle " << cycle;
    ASSERT_TRUE(f.run_while([&] { return f.backend.processes() > 0; }, 2 * kMinute)) << "cycle " << cycle;
  }
  f.expect_nothing_lost("cycles");
  EXPECT_EQ(f.count(State::refused), 0);
  EXPECT_EQ(f.count(State::cut), cut);
  EXPECT_EQ(f.count(State::complete) + cut, 1200);
}

TEST(Controller, BeyondTheHoldBoundsIs429WithRetryAfterAndNeverReachesAnEngine) {
  Fleet f;
  auto m = Fleet::model("a", 1, 1);
  m.hold.requests = 5;
  f.apply({m});
  for (int i = 0; i < 20; ++i) f.send("a", 100 * kMillisecond);
  f.run_for(kMillisecond);
  EXPECT_EQ(f.count(State::refused), 15);
  for (const auto& [id, r] : f.requests) {
    if (r.state != State::refused) continue;
    EXPECT_EQ(r.refusal.status, 429);
    EXPECT_EQ(r.refusal.reason.code, "hold_full");
    EXPECT_GE(r.refusal.retry_after, kSecond);
    EXPECT_EQ(r.attempts, 0);
  }
  EXPECT_TRUE(f.run_while([&] { return !f.settled(); }, kMinute));
  EXPECT_EQ(f.count(State::complete), 5);
  f.expect_nothing_lost("bounds");
}

TEST(Controller, TheByteBoundHolds) {
  Fleet f;
  auto m = Fleet::model("a", 1, 1);
  m.hold.bytes = 1000;
  f.apply({m});
  f.send("a", kSecond, 600);
  f.send("a", kSecond, 600);
  f.send("a", kSecond, 400);
  f.run_for(kMillisecond);
  EXPECT_EQ(f.count(State::refused), 1);
  EXPECT_EQ(f.requests[2].refusal.status, 429);
  EXPECT_THAT(f.requests[2].refusal.reason.text, testing::HasSubstr("spec.hold.bytes"));
  f.run_for(kMinute);
  f.expect_nothing_lost("bytes");
}

TEST(Controller, TheDeadlineIs503WithTheLearnedTime) {
  Fleet f;
  auto m = Fleet::model("a", 1, 1);
  m.hold.deadline = 5 * kSecond;
  m.idle = 2 * kSecond;
  f.apply({m});
  f.backend.plans["a"].load = 4 * kSecond;
  f.send("a");
  f.run_for(20 * kSecond);  // one start of 4 s is learned
  ASSERT_EQ(f.count(State::complete), 1);
  f.backend.plans["a"].load = 30 * kSecond;
  const auto id = f.send("a");
  f.run_for(4990 * kMillisecond);
  EXPECT_EQ(f.requests[id].state, State::waiting);
  f.run_for(20 * kMillisecond);
  const auto& r = f.requests[id];
  EXPECT_EQ(r.state, State::refused);
  EXPECT_EQ(r.refusal.status, 503);
  EXPECT_EQ(r.refusal.reason.code, "hold_deadline");
  // Counted from the same moment as the deadline, the body's arrival.
  EXPECT_THAT(r.refusal.reason.text, testing::HasSubstr("held for 5s, past the deadline"));
  EXPECT_EQ(r.refusal.retry_after, kSecond);  // expected 4 s, 5 s passed: any moment
  EXPECT_EQ(r.ended - r.sent, 5 * kSecond);
}

TEST(Controller, AnObstacleIsSeenBeforeAStartAndGoesByItself) {
  Fleet f;
  f.backend.plans["a"].obstacle = Reason{"engine_missing", "cannot run x", "install it"};
  auto m = Fleet::model("a", 1, 1);
  m.replicas_min = 1;
  f.apply({m});
  EXPECT_THAT(f.controller->models_json(f.time.now()), testing::HasSubstr("engine_missing"));
  const auto refused = f.send("a");
  f.run_for(kSecond);
  EXPECT_EQ(f.requests[refused].refusal.status, 503);
  EXPECT_EQ(f.requests[refused].refusal.reason.code, "engine_missing");
  EXPECT_TRUE(f.backend.starts.empty());
  f.backend.plans["a"].obstacle.reset();
  const auto served = f.send("a");
  f.run_for(20 * kSecond);
  EXPECT_EQ(f.requests[served].state, State::complete);
  f.expect_nothing_lost("obstacle");
}

TEST(Controller, AClientThatLeavesIsRemovedWithoutAnUpstreamCall) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1)});
  const auto a = f.send("a");
  const auto b = f.send("a");
  f.run_for(kSecond);
  f.leave(a);
  const auto c = f.send("a");
  f.leave(c);  // before its Wait was read
  f.run_for(kMinute);
  EXPECT_EQ(f.requests[a].attempts, 0);
  EXPECT_EQ(f.requests[c].attempts, 0);
  EXPECT_EQ(f.requests[b].state, State::complete);
  f.expect_nothing_lost("gone");
}

TEST(Controller, ARequestThatBreaksEachConnectionEndsAtItsSecondDeadlineAndOthersAreServed) {
  Fleet f;
  auto m = Fleet::model("a", 1, 2);
  m.hold.deadline = 20 * kSecond;
  f.apply({m});
  const auto bad = f.send("a");
  f.requests[bad].poison = true;
  std::vector<std::uint64_t> good;
  for (int i = 0; i < 30; ++i) {
    good.push_back(f.send("a", 300 * kMillisecond));
    f.run_for(kSecond);
  }
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.requests[bad].state, State::refused);
  EXPECT_EQ(f.requests[bad].refusal.status, 503);
  EXPECT_NEAR(static_cast<double>(f.requests[bad].ended - f.requests[bad].sent) / 1e9, 22, 2);
  EXPECT_GT(f.requests[bad].attempts, 10);
  for (const auto id : good) EXPECT_EQ(f.requests[id].state, State::complete) << id;
  EXPECT_EQ(f.backend.starts.size(), 1U);
  f.expect_nothing_lost("poison");
}

TEST(Controller, AReplicaThatDiesUnderARequestIsReplacedAtOnceAndTheRequestStandsFirst) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1)});
  const auto first = f.send("a", 60 * kSecond);
  f.run_for(5 * kSecond);  // running, no byte relayed
  const auto second = f.send("a", kSecond);
  f.run_for(kSecond);
  f.backend.die(f.backend.ready_ids("a")[0]);
  f.run_for(kMillisecond);
  EXPECT_EQ(f.backend.starts.size(), 2U);  // no pause
  f.run_for(3 * kSecond);
  EXPECT_EQ(f.requests[first].state, State::running);
  EXPECT_EQ(f.requests[second].state, State::waiting);
  f.run_for(2 * kMinute);
  EXPECT_EQ(f.count(State::complete), 2);
  f.expect_nothing_lost("death");
}

TEST(Controller, ARemovedModelRefusesItsHeldAndFinishesItsRunning) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1), Fleet::model("b")});
  const auto running = f.send("a", 20 * kSecond);
  f.run_for(3 * kSecond);
  const auto held = f.send("a");
  f.run_for(kSecond);
  auto table = f.controller->table("a");
  f.apply({Fleet::model("b")});
  EXPECT_EQ(f.requests[held].refusal.status, 404);
  EXPECT_EQ(f.requests[held].refusal.reason.code, "model_removed");
  EXPECT_EQ(f.controller->table("a"), nullptr);
  EXPECT_EQ(f.controller->explain_json("a", f.time.now()), "");
  f.run_for(10 * kSecond);
  EXPECT_EQ(f.requests[running].state, State::running);
  f.run_for(20 * kSecond);
  EXPECT_EQ(f.requests[running].state, State::complete);
  EXPECT_EQ(f.backend.processes(), 0);
  EXPECT_THAT(f.metrics.render(), testing::Not(testing::HasSubstr("model=\"a\"")));
  // A worker with an old snapshot still asks.
  table->waiting().fetch_add(1);
  f.requests[99].table = table;
  f.requests[99].waits = 1;
  f.requests[99].worker = 1;
  f.controller->on_wait({table, 7, 1, 99, 10, f.time.now(), 1, false}, f.time.now());
  EXPECT_EQ(f.requests[99].refusal.status, 404);
  f.expect_nothing_lost("removed");
  // The name may come back while nothing of the old is left.
  f.apply({Fleet::model("a"), Fleet::model("b")});
  f.send("a");
  f.run_for(10 * kSecond);
  EXPECT_EQ(f.count(State::complete), 2);
}

TEST(Controller, AChangedEngineStartsANewRevisionThenDrainsTheOld) {
  Fleet f;
  auto m = Fleet::model("a", 2, 2);
  f.apply({m});
  const auto first = f.send("a", 30 * kSecond);
  f.run_for(3 * kSecond);
  const auto old = f.backend.ready_ids("a");
  ASSERT_EQ(old.size(), 1U);
  m.context = 4096;
  m.slots = 3;
  f.apply({m});
  f.run_for(kSecond);
  EXPECT_EQ(f.backend.count("a"), 2);  // the old one serves while the new one loads
  const auto second = f.send("a", kSecond);
  f.run_for(100 * kMillisecond);
  EXPECT_EQ(f.requests[second].engine, old[0]);
  f.run_for(5 * kSecond);
  const auto third = f.send("a", kSecond);
  f.run_for(100 * kMillisecond);
  EXPECT_NE(f.requests[third].engine, old[0]);
  EXPECT_EQ(f.requests[first].state, State::running);
  f.run_for(kMinute);
  EXPECT_EQ(f.requests[first].state, State::complete);
  EXPECT_FALSE(f.backend.alive(old[0]));
  f.expect_nothing_lost("revision");
}

TEST(Controller, AChangeThatNeedsNoNewProcessKeepsTheReplica) {
  Fleet f;
  auto m = Fleet::model("a", 1, 2);
  f.apply({m});
  f.send("a");
  f.run_for(5 * kSecond);
  m.replicas_max = 4;
  m.hold.requests = 7;
  m.replicas_min = 2;
  f.apply({m});
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.backend.starts.size(), 2U);
  EXPECT_EQ(f.backend.count("a"), 2);
}

TEST(Controller, FailedStartsBackOffAndThenRefuseWithTheReason) {
  Fleet f;
  auto m = Fleet::model("a");
  f.apply({m});
  f.backend.plans["a"].load = 100 * kMillisecond;
  f.backend.plans["a"].fail_starts = 6;
  f.backend.plans["a"].fail_reason = {"engine_exited", "llama-server exited with code 3", "see the log"};
  const auto id = f.send("a");
  f.run_for(14 * kSecond);  // 1 + 2 + 4 s of pauses: four starts
  EXPECT_EQ(f.backend.starts.size(), 4U);
  EXPECT_EQ(f.requests[id].state, State::waiting);
  f.run_for(3 * kSecond);  // 8 s more: the fifth
  EXPECT_EQ(f.backend.starts.size(), 5U);
  EXPECT_EQ(f.requests[id].state, State::refused);
  EXPECT_EQ(f.requests[id].refusal.status, 503);
  EXPECT_EQ(f.requests[id].refusal.reason.code, "engine_exited");
  // The client learns the code; engine output and numbers are for the operator.
  EXPECT_THAT(f.requests[id].refusal.reason.text, testing::Not(testing::HasSubstr("code 3")));
  EXPECT_THAT(f.controller->explain_json("a", f.time.now()),
              testing::HasSubstr("exited with code 3; 5 failures in a row"));
  EXPECT_GT(f.requests[id].refusal.retry_after, 10 * kSecond);
  const auto next = f.send("a");
  f.run_for(kMillisecond);
  EXPECT_EQ(f.requests[next].state, State::refused);  // at once, nothing started
  EXPECT_EQ(f.backend.starts.size(), 5U);
  EXPECT_EQ(explain(f, "a")["state"], "failed");
  f.run_for(20 * kSecond);
  EXPECT_EQ(f.backend.starts.size(), 5U);  // nobody waits
  const auto sixth = f.send("a");
  f.run_for(kSecond);
  EXPECT_EQ(f.requests[sixth].state, State::refused);  // one try
  EXPECT_EQ(f.backend.starts.size(), 6U);
  f.run_for(40 * kSecond);
  const auto last = f.send("a");
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.requests[last].state, State::complete);  // the seventh start works
  EXPECT_EQ(explain(f, "a")["state"], "ready");
  f.expect_nothing_lost("failed starts");
}

TEST(Controller, APermanentFailureIsNotTriedAgainUntilTheDocumentChanges) {
  Fleet f;
  auto m = Fleet::model("a");
  f.apply({m});
  f.backend.plans["a"].fail_starts = 1;
  f.backend.plans["a"].will_retry = false;
  f.backend.plans["a"].fail_reason = {"weights_missing", "/m/a.gguf: no such file", "put the file there"};
  const auto id = f.send("a");
  f.run_for(3 * kSecond);
  EXPECT_EQ(f.requests[id].refusal.status, 503);
  EXPECT_EQ(f.requests[id].refusal.reason.code, "weights_missing");
  EXPECT_EQ(f.requests[id].refusal.retry_after, 0);
  f.send("a");
  f.run_for(5 * kMinute);
  EXPECT_EQ(f.backend.starts.size(), 1U);
  f.apply({m});
  const auto again = f.send("a");
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.requests[again].state, State::complete);
}

TEST(Controller, AnIdleModelIsEvictedForAWaitingOne) {
  Fleet f;
  f.backend.total_memory = 10 << 20;
  f.backend.plans["a"].memory = 6 << 20;
  f.backend.plans["b"].memory = 7 << 20;
  f.apply({Fleet::model("a"), Fleet::model("b")});
  f.send("a", 10 * kSecond);
  f.run_for(5 * kSecond);
  const auto b = f.send("b");
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.backend.count("b"), 0);  // a is busy
  const auto j = explain(f, "b");
  EXPECT_EQ(j["state"], "blocked");
  EXPECT_EQ(j["reason"]["code"], "memory_short");
  EXPECT_EQ(j["reason"]["numbers"]["need"], 7 << 20);
  EXPECT_EQ(j["reason"]["numbers"]["free"], 4 << 20);
  EXPECT_THAT(j["decisions"][0]["allot"].get<std::string>(), testing::HasSubstr("blocked: needs 7"));
  f.run_for(10 * kSecond);
  EXPECT_EQ(f.requests[b].state, State::complete);
  EXPECT_EQ(f.backend.count("a"), 0);
  EXPECT_EQ(explain(f, "a")["lastEvictedFor"], "b");
  const auto a = f.send("a");
  f.run_for(10 * kSecond);
  EXPECT_EQ(f.requests[a].state, State::complete);
  f.expect_nothing_lost("eviction");
}

TEST(Controller, WhatNeverFitsIsRefusedAtOnceWithBothNumbers) {
  Fleet f;
  f.backend.total_memory = 1ULL << 30;
  f.backend.plans["a"].memory = 2ULL << 30;
  f.apply({Fleet::model("a")});
  const auto id = f.send("a");
  f.run_for(10 * kMillisecond);
  EXPECT_EQ(f.requests[id].refusal.status, 503);
  EXPECT_EQ(f.requests[id].refusal.reason.code, "memory_short");
  EXPECT_THAT(f.controller->explain_json("a", f.time.now()),
              testing::AllOf(testing::HasSubstr("2.0 GiB"), testing::HasSubstr("1.0 GiB")));
  EXPECT_TRUE(f.backend.starts.empty());
}

TEST(Controller, ScalesOutUnderLoadAndNamesTheLineThatBindsIt) {
  Fleet f;
  auto m = Fleet::model("a", 3, 1);
  m.replicas_max_at = {"models.yaml", 19, 21};
  f.apply({m});
  for (int i = 0; i < 60; ++i) {
    for (int k = 0; k < 4; ++k) f.send("a", 2 * kSecond);
    f.run_for(kSecond);
  }
  EXPECT_EQ(f.backend.count("a"), 3);
  bool bound = false;
  const auto j = explain(f, "a");
  for (const auto& d : j["decisions"]) {
    if (!d.contains("bound")) continue;
    bound = true;
    EXPECT_EQ(d["bound"]["field"], "replicas.max");
    EXPECT_EQ(d["bound"]["at"], "models.yaml:19:21");
    EXPECT_THAT(d["text"].get<std::string>(),
                testing::HasSubstr("bound by replicas.max 3 (models.yaml:19:21)"));
  }
  EXPECT_TRUE(bound);
  f.run_for(10 * kMinute);
  f.expect_nothing_lost("load");
}

TEST(Controller, MinReplicasStartWithoutDemandAndComeBackAfterADeath) {
  Fleet f;
  auto m = Fleet::model("a", 3);
  m.replicas_min = 2;
  f.apply({m});
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.backend.count("a", true), 2);
  f.backend.die(f.backend.ready_ids("a")[0]);
  f.run_for(5 * kSecond);
  EXPECT_EQ(f.backend.count("a", true), 2);
  f.run_for(2 * kHour);
  EXPECT_EQ(f.backend.count("a", true), 2);
  EXPECT_EQ(f.backend.starts.size(), 3U);
}

TEST(Controller, ADrainingReplicaIsTakenBackInsteadOfANewStart) {
  Fleet f;
  auto m = Fleet::model("a", 2, 1);
  m.replicas_min = 2;
  f.apply({m});
  f.run_for(5 * kSecond);
  f.send("a", 60 * kSecond);
  f.send("a", 60 * kSecond);
  f.run_for(kSecond);
  m.replicas_min = 0;
  m.replicas_max = 1;
  f.apply({m});
  f.run_for(5 * kSecond);
  EXPECT_EQ(explain(f, "a")["replicas"]["draining"], 1);
  m.replicas_max = 2;
  m.replicas_min = 2;
  f.apply({m});
  f.run_for(5 * kSecond);
  EXPECT_EQ(explain(f, "a")["replicas"]["draining"], 0);
  EXPECT_EQ(f.backend.starts.size(), 2U);
  f.run_for(2 * kMinute);
  f.expect_nothing_lost("undrain");
}

TEST(Controller, AnExternalEngineIsProbedNeverScaled) {
  Fleet f;
  auto m = Fleet::model("a");
  m.engine = spec::EngineKind::external;
  m.external.url = "http://127.0.0.1:1/v1";
  f.apply({m});
  EXPECT_EQ(f.backend.starts.size(), 1U);  // begins to probe without demand
  f.run_for(3 * kHour);
  EXPECT_EQ(f.backend.starts.size(), 1U);
  EXPECT_EQ(f.backend.count("a", true), 1);
  f.backend.die(f.backend.ready_ids("a")[0], {"engine_no_answer", "connection refused", ""});
  const auto held = f.send("a");
  f.run_for(10 * kSecond);
  EXPECT_EQ(f.requests[held].state, State::waiting);
  EXPECT_EQ(explain(f, "a")["reason"]["code"], "engine_no_answer");
  f.backend.revive(1);
  f.run_for(2 * kSecond);
  EXPECT_EQ(f.requests[held].state, State::complete);
  EXPECT_EQ(f.backend.starts.size(), 1U);
  EXPECT_EQ(explain(f, "a")["state"], "ready");
  f.apply({});
  f.run_for(2 * kSecond);
  EXPECT_EQ(f.backend.processes(), 0);
  f.expect_nothing_lost("external");
}

TEST(Controller, ShutDownRefusesHeldDrainsAndStops) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1)});
  const auto running = f.send("a", 10 * kSecond);
  f.run_for(3 * kSecond);
  const auto held = f.send("a");
  f.run_for(kMillisecond);
  EXPECT_FALSE(f.controller->shut_down(f.time.now()));
  EXPECT_EQ(f.requests[held].refusal.status, 503);
  EXPECT_EQ(f.requests[held].refusal.reason.code, "shutting_down");
  f.ticking = false;
  const auto late = f.send("a");
  bool done = false;
  for (int i = 0; i < 200 && !done; ++i) {
    f.run_for(100 * kMillisecond);
    done = f.controller->shut_down(f.time.now());
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(f.requests[late].refusal.reason.code, "shutting_down");
  EXPECT_EQ(f.requests[running].state, State::complete);
  EXPECT_EQ(f.backend.processes(), 0);
  f.expect_nothing_lost("shutdown");
}

TEST(Controller, ShutDownEndsWhatDoesNotFinish) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1)});
  f.send("a", kHour);
  f.run_for(3 * kSecond);
  const Nanos from = f.time.now();
  while (!f.controller->shut_down(f.time.now())) f.run_for(100 * kMillisecond);
  EXPECT_NEAR(static_cast<double>(f.time.now() - from) / 1e9, 30, 1);
  EXPECT_EQ(f.backend.stops_under_load, 1);
}

TEST(Controller, MetricsTellReplicasHeldDecisionsAndStarts) {
  Fleet f;
  f.apply({Fleet::model("a", 1, 1)});
  f.backend.plans["a"].fail_starts = 1;
  f.send("a");
  f.send("a");
  f.run_for(kSecond);
  auto text = f.metrics.render();
  EXPECT_THAT(text, testing::HasSubstr("tidegate_held_requests{model=\"a\"} 2"));
  EXPECT_THAT(text, testing::HasSubstr("tidegate_model_replicas{model=\"a\",state=\"starting\"} 1"));
  f.run_for(20 * kSecond);
  text = f.metrics.render();
  EXPECT_THAT(text, testing::HasSubstr("tidegate_held_requests{model=\"a\"} 0"));
  EXPECT_THAT(text, testing::HasSubstr("tidegate_model_replicas{model=\"a\",state=\"ready\"} 1"));
  EXPECT_THAT(text, testing::HasSubstr("tidegate_replica_starts_total{model=\"a\",outcome=\"failed\"} 1"));
  EXPECT_THAT(text, testing::HasSubstr("tidegate_replica_starts_total{model=\"a\",outcome=\"ready\"} 1"));
  EXPECT_THAT(text, testing::HasSubstr("tidegate_scale_decisions_total{model=\"a\",rule=\"arrivalAtZero\"}"));
  EXPECT_THAT(text, testing::HasSubstr("tidegate_cold_start_seconds_count{model=\"a\",phase=\"load\"} 1"));
}

}  // namespace
}  // namespace tg::replica
