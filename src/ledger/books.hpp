// Where settled requests go: the sums and the access log, with the names both need. Writer thread only.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.hpp"
#include "ledger/access_log.hpp"
#include "ledger/record.hpp"
#include "ledger/rollup.hpp"

namespace tg::ledger {

// The names of one segment by their numbers in it.
class SegmentNames {
 public:
  explicit SegmentNames(const LogName& empty) : empty_(&empty) { clear(); }
  void clear() { names_.fill(empty_); }
  void set(NameId id, const LogName& name) { names_[id] = &name; }
  // Any number is safe: an unknown one is the empty name.
  const LogName& of(NameId id) const { return id < names_.size() ? *names_[id] : *empty_; }
  void set_other(const LogName& other) { other_ = &other; }
  SettleNames of(const SettleBody& s) const {
    return {pick(s.tenant), pick(s.model), pick(s.route), pick(s.backend), pick(s.operation), pick(s.reason)};
  }
  SettleNames of(const BeginBody& b) const {
    return {pick(b.tenant), pick(b.model), pick(b.route), pick(b.backend), pick(b.operation), empty_};
  }

 private:
  const LogName* pick(NameId id) const { return id == kOtherName && other_ != nullptr ? other_ : &of(id); }
  const LogName* empty_;
  const LogName* other_ = nullptr;
  std::array<const LogName*, kMaxNames + 1> names_{};
};

class Books {
 public:
  static Result<Books> open(const std::string& dir, AccessLog::Options options);

  // The reference stays valid as long as the books, also when they move.
  const LogName& name(std::string_view text);
  SegmentNames segment_names();

  void apply(const SettleBody& settle, const SettleNames& names) {
    rollups_.add(settle, names.tenant->number, names.model->number, names.route->number);
    access_log_.append(settle, names);
    pending_ = true;
  }

  const Rollups& rollups() const { return rollups_; }
  const AccessLog& access_log() const { return access_log_; }
  bool pending() const { return pending_; }  // something was applied since the last commit
  Result<> flush_log() { return access_log_.flush(); }
  Result<> commit(const std::vector<std::pair<std::uint32_t, Position>>& positions);
  // See Rollups::compact.
  Result<> compact(std::int64_t before_utc_ns) { return rollups_.compact(before_utc_ns); }

 private:
  Books(Rollups rollups, AccessLog log) : rollups_(std::move(rollups)), access_log_(std::move(log)) {}
  Rollups rollups_;
  AccessLog access_log_;
  std::unordered_map<std::string, LogName> names_;
  bool pending_ = false;
};

}  // namespace tg::ledger
