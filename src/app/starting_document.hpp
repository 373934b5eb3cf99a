// The first document of a new Platform: small, accepted by `check`, with comments that name what to say next.
// For `tidegate init`. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace tg::app {

// What a starting document is made of. Empty = not said.
struct Start {
  std::string platform;  // one of platform_choices()
  std::string name, domain, email;
  std::string region, project;     // of clouds
  std::string network;             // of bare-metal: the network of the hosts
  std::string context;             // of an existing cluster
  std::vector<std::string> hosts;  // NAME=ADDRESS, the first is the control plane
};

struct PlatformChoice {
  std::string_view word, meaning;  // "bare-metal", "machines of your own, set up with kubeadm"
};
std::span<const PlatformChoice> platform_choices();

// One thing that init wants to know.
struct Question {
  std::string flag;                       // "--name", without it in a pipe
  std::string text;                       // "Name of the platform"
  std::string fallback;                   // what an empty answer means; empty: see `required`
  std::string Start::* answer = nullptr;  // null: the hosts
  bool required = false;                  // an empty answer is none
};
// In their order, for what start.platform needs and nobody said yet.
std::vector<Question> questions(const Start& start);

// With the defaults of questions() for what is empty. Errors: bad_flag for an unknown platform, a host that
// is not NAME=ADDRESS, or something that the platform has no use for; missing_argument where something that
// nobody can guess is missing.
Result<std::string> starting_document(Start start);

}  // namespace tg::app
