// DIR/run/replica-N.json: which processes a gateway has started, so that the next one can end what a crash
// left. Written when the engine runs, and without fsync: it means something only within one boot.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "runtime/process_tree.hpp"

namespace tg::runtime {

struct RunRecord {
  std::string model;
  ProcessIdentity supervisor;
  ProcessIdentity engine;
  ProcessIdentity guard;
};

// The path of replica `id`'s record.
std::string run_record_path(const std::string& run_dir, std::uint64_t id);
void write_run_record(const std::string& path, const RunRecord& record);
void remove_run_record(const std::string& path);

// Kills (SIGKILL: their gateway is dead and asked them already) every process the records name, with its
// session, as far as pid and start time still agree, waits at most `bound` for their end and removes the
// records. Returns how many were alive.
std::size_t end_leftovers(const std::string& run_dir, Nanos bound);

}  // namespace tg::runtime
