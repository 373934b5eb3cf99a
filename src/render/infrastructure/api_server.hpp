// Files that an API server of one's own reads: who may log in, what it writes down, how Secrets are
// encrypted.
#pragma once

#include <string_view>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// AuthenticationConfiguration; null if nobody logs in by a token from outside. `anonymous`: only the health
// pages answer without a login.
Json authentication_configuration(const Context& context, bool anonymous);

// Policy of audit.k8s.io; null if the document wants none.
Json audit_policy(const Context& context);

// EncryptionConfiguration with kKeyMark where the key comes: whoever sets up the first control plane puts it
// there. Null if a service outside has the key.
inline constexpr std::string_view kKeyMark = "GENERATED-AT-APPLY";
Json encryption_configuration(const Context& context);

}  // namespace tg::render
