// How a person makes the Secrets that nothing rendered makes, as commands for the runbook. No value stands in
// an argument: what is random is made on the spot, what is brought is read from files or the environment.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// Chapters of First steps that come before anything is installed: what is made at random, what is brought,
// and with a store of a cloud what goes into the store.
std::vector<Section> secrets_before(const Context& context, const std::vector<Part>& parts);

// What goes into the platform's own OpenBao, once it is open and before its first token is revoked. Empty
// text: there is none.
Section secrets_of_own_vault(const Context& context, const std::vector<Part>& parts);

// Lines of shell before the part is installed: copies of Secrets, and what a running program is asked for.
std::string secrets_for(const Context& context, const Part& part, const std::vector<Part>& parts);

}  // namespace tg::render
