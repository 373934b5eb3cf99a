// What a Model's past taught, kept across restarts in one JSON file per Model: cold starts, lengths, engine
// speed, settled size. A file of another revision (engine, source, slots, arguments) gives its lengths only.
#pragma once

#include <string>

#include "base/error.hpp"
#include "scale/learn.hpp"
#include "spec/documents.hpp"

namespace tg::replica {

struct Memory {
  scale::Learner learner;
  int settled = 0;  // scale::settled_size
};

// SHA-256 in hex of what makes learned engine figures comparable. Never the values themselves: arguments may
// hold a secret.
std::string revision_digest(const spec::Model& model);

// DIR/NAME.json; characters outside A-Z a-z 0-9 . _ - are written %XX.
std::string memory_path(const std::string& dir, const std::string& model);

std::string memory_json(const Memory& memory, const std::string& revision);
// Errors name the field; values out of range are refused as a whole, so that a damaged file cannot steer
// decisions.
Result<Memory> parse_memory(const std::string& text, const std::string& revision);

// A missing file is an empty Memory.
Result<Memory> load_memory(const std::string& dir, const spec::Model& model);
Result<> save_memory(const std::string& dir, const spec::Model& model, const Memory& memory);

}  // namespace tg::replica
