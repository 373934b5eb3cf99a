// Files that an API server of one's own reads: who may log in, what it writes down, how Secrets are encrypted.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// The pipeline's own short-lived token as a login, where the document asks for it.
struct CiLogin {
  std::string issuer{};
  std::string audience{};  // what the pipeline asks its token for
  std::string user{};      // as the API server will call it; RoleBindings name this one
  std::vector<std::pair<std::string, std::string>> claims{};  // that the token must have
};
std::optional<CiLogin> ci_login(const Context& context);

// AuthenticationConfiguration; null if nobody logs in by a token from outside. `anonymous`: only the health
// pages answer without a login.
Json authentication_configuration(const Context& context, bool anonymous);

// Policy of audit.k8s.io; null if the document wants none.
Json audit_policy(const Context& context);

// EncryptionConfiguration with kKeyMark where the key comes: whoever sets up the first control plane puts it
// there. Null if a service outside has the key.
inline constexpr std::string_view kKeyMark = "GENERATED-AT-APPLY";
Json encryption_configuration(const Context& context);

// KubeletConfiguration that every node has.
Json kubelet_configuration(const Context& context);
// What the nodes of a pool ("" = those of none) have of their own: reserves and eviction. Values are texts,
// for a kubelet refuses numbers there.
Json kubelet_reserves(const Context& context, const std::string& pool);

}  // namespace tg::render
