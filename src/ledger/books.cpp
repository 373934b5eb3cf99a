#include "ledger/books.hpp"

#include "base/log.hpp"

namespace tg::ledger {

Result<Books> Books::open(const std::string& dir, AccessLog::Options options) {
  auto rollups = Rollups::open(dir);
  if (!rollups) return std::unexpected(rollups.error());
  auto log = AccessLog::open(dir, options, rollups->access_log());
  if (!log) return std::unexpected(std::move(log.error()).context("access log"));
  return Books(std::move(*rollups), std::move(*log));
}

const LogName& Books::name(std::string_view text) {
  const auto [it, is_new] = names_.try_emplace(std::string(text));
  if (is_new) {
    it->second.text = text;
    it->second.json.clear();
    append_json_string(it->second.json, text);
    it->second.number = rollups_.number_of(text);
  }
  return it->second;
}

SegmentNames Books::segment_names() {
  SegmentNames names(name(""));
  names.set_other(name("(other)"));
  return names;
}

Result<> Books::commit(const std::vector<std::pair<std::uint32_t, Position>>& positions) {
  auto r = rollups_.commit(positions, access_log_.mark());
  if (r) pending_ = false;
  return r;
}

}  // namespace tg::ledger
