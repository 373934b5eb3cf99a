// One HTTP request to an engine with a bound on time and size: probes and setup steps. On the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "http/client.hpp"
#include "replica/backend.hpp"
#include "runtime/engine.hpp"

namespace tg::runtime {

struct CallResult {
  // refused: no connection, so nothing listens. failed: connected, but no whole answer.
  enum class What { answered, refused, failed, timed_out };
  What what = What::failed;
  int status = 0;
  std::string body;    // first 4 KiB
  std::string detail;  // for people, when not answered
};

// True if the answer is what the call wants.
bool wanted(const EngineCall& call, const CallResult& result);
// "answers 503", "refuses connections: …" and so on.
std::string describe(const CallResult& result);

// The check sees this declaration only; the class is final.
class RunningCall;  // NOLINT(cppcoreguidelines-virtual-class-destructor)

// `done` is called exactly once, never from inside this call, unless the handle is dropped first: that
// cancels.
std::shared_ptr<RunningCall> call_engine(http::Upstreams& upstreams, const replica::Endpoint& endpoint,
                                         bool with_key, const EngineCall& call, Nanos timeout,
                                         std::function<void(const CallResult&)> done);

}  // namespace tg::runtime
