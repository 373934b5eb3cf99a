// One request from its head to its settle record. Belongs to one worker and runs on its thread; owned by
// itself until it retires into the worker.
//
//   body complete → admission → choose a backend → [wait for a slot] → dispatch → answer relayed → settled
//                                     ↑                                  │ failed, and may be sent again
//                                     └──────────────────────────────────┘
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/pen.hpp"
#include "gateway/errors.hpp"
#include "gateway/event_relay.hpp"
#include "gateway/output_estimate.hpp"
#include "gateway/worker.hpp"

namespace tg::gateway {

class Request final : public http::Exchange, public http::ClientEvents, private net::Timer {
 public:
  Request(Worker& worker, http::ServerStream& stream, const http::RequestHead& head, const UlidBytes& id,
          ledger::KeyEntry& key, std::string_view operation);
  ~Request() override;

  void on_body(net::Buffer body) override;
  void on_gone() override;
  void on_writable() override;

  void on_head(const http::ResponseHead& head) override;
  void on_data(const http::BodyPart& part) override;
  void on_failure(http::Failure failure, const http::FailureDetail& detail) override;

  void on_grant(const replica::Grant& grant);

 private:
  enum class State : std::uint8_t { body, waiting, sent, holding, relaying, finished };

  // Admission.
  bool find_route();
  bool admit();
  std::array<ledger::Scope, 2> scopes() const;
  double code_points_per_token() const;
  OutputBounds output_bounds() const;

  // Attempts.
  void attempt();
  const Backend* choose();
  void wait_for_slot(bool again);
  void dispatch();
  void build_head(const UpstreamHead& common, std::size_t body_length);
  std::size_t body_parts(std::array<std::string_view, 24>& parts, std::size_t count);
  bool try_other(bool may_have_been_charged);
  bool was_tried(std::size_t place) const;
  bool may_go_back(http::Failure failure, bool never_reached);
  void go_back();
  void release_slot();
  void end_attempt();

  // Answers.
  void hold_answer(const http::BodyPart& part);
  void answer_held(std::string_view body);
  void find_usage_in_tail();
  void learn(const ledger::AnswerInfo& info);
  bool answer_asks_to_drop_usage(std::string_view body);
  void start_relay(const http::ResponseHead& head);
  void relay(const http::BodyPart& part);
  void forget_request();
  void finish_stream();
  void commit();  // keep-alive comments begin: 200 with our framing
  void put_own_headers(Pen& pen) const;
  std::string own_headers() const;
  void append_own_headers(net::Buffer& out) const;

  // Ends.
  void fail(const ApiError& error, ledger::Outcome outcome);
  void cut(const ApiError& error);
  void settle(ledger::Outcome outcome, int status, std::string_view reason);
  bool is_charged(ledger::Outcome outcome) const;
  std::int64_t estimated_output(ledger::Outcome outcome, Nanos now) const;
  void retire();

  void on_timer(Nanos now) override;
  void arm();

  Worker& worker_;
  http::ServerStream* stream_;  // null once the client's side is over
  ledger::KeyEntry& key_;
  SnapshotUse* use_ = nullptr;
  const Route* route_ = nullptr;
  const Tenant* tenant_ = nullptr;
  const Backend* backend_ = nullptr;
  http::ClientConnection* connection_ = nullptr;

  UlidBytes id_;
  net::Buffer kept_head_;        // of the client's head: the path behind /v1 with its query, then the
  std::size_t target_size_ = 0;  // header lines that go upstream
  net::Buffer body_;
  BodyFacts facts_;          // views into body_; model is kept in `model_`
  net::Buffer head_;         // of the running attempt
  std::string model_value_;  // replacement for the model's value
  std::string usage_text_;   // what is spliced in to ask for usage
  std::string_view operation_;

  std::unique_ptr<EventRelay> events_;
  net::Buffer held_;           // an answer that is held to its end
  net::Buffer answer_fields_;  // header lines of the answer, while it is held
  int answer_status_ = 0;
  bool answer_json_ = false;

  ledger::Admission admission_;
  std::int64_t token_estimate_ = 0;  // prompt + output, as admitted
  std::int64_t prompt_estimate_ = 0;
  std::int64_t answer_code_points_ = 0;
  Usage usage_;
  ledger::Ticket ticket_ = 0;
  std::uint64_t queue_ticket_ = 0;
  std::uint64_t handle_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t answer_length_ = 0;  // Content-Length of a long answer
  std::string tail_;                 // the last bytes of a long answer, for its usage
  static constexpr std::size_t kTail = 8 * 1024;
  // Backends of the route that had the request, by place: `to` first, then `fallback`. One for each attempt.
  static constexpr std::size_t kMaxAttempts = 10;  // the largest spec.retry.attempts
  std::array<std::uint32_t, kMaxAttempts> tried_{};
  std::uint8_t tried_count_ = 0;
  // Replicas on which this attempt's connection broke off, see may_go_back().
  struct Broken {
    int replica = -1;
    replica::ReplicaId id = 0;
  };
  std::array<Broken, 2> broken_{};

  Nanos arrived_ = 0;
  Nanos dispatched_ = 0;
  Nanos first_byte_ = 0;  // 0 = none yet
  Nanos last_data_ = 0;
  Nanos next_comment_ = 0;
  Nanos armed_for_ = 0;  // the timer looks again when it fires, so that moving its time later costs nothing

  int replica_ = -1;
  std::shared_ptr<const replica::Endpoint> endpoint_;
  std::uint8_t attempts_ = 0;
  std::uint8_t retries_ = 0;
  State state_ = State::body;
  bool admitted_ = false;
  bool was_dispatched_ = false;  // an attempt went out; with a full disk there may be no begin record
  bool ask_usage_ = false;       // usage was spliced into this attempt's body
  bool no_usage_ = false;        // the upstream refused that: ask without
  bool fresh_ = false;           // next attempt on a fresh connection
  bool reused_ = false;          // the running attempt went out on a pooled connection
  bool committed_ = false;
  bool relayed_ = false;  // an upstream byte went to the client
  bool compressed_ = false;
  bool settled_ = false;
  bool long_answer_ = false;  // JSON beyond the holding bound, relayed as it comes
  bool chunked_answer_ = false;
  bool http11_ = true;
};

}  // namespace tg::gateway
