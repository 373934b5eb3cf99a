// query_requests(): single requests, read from the segments.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/clock.hpp"
#include "ledger/database.hpp"
#include "ledger/recovery.hpp"
#include "ledger/segment.hpp"
#include "ledger/usage.hpp"

namespace tg::ledger {

namespace {

using KeyNames = std::unordered_map<std::int64_t, std::string>;

Result<KeyNames> key_names(const std::string& dir) {
  KeyNames names;
  if (::access(database_path(dir).c_str(), F_OK) != 0) return names;
  auto db = Database::open(dir, Database::Mode::read, false);
  if (!db) return std::unexpected(db.error());
  auto query = db->prepare(
      "SELECT id, CASE WHEN name='' THEN prefix ELSE name || ' (' || prefix || ')' END FROM keys");
  if (!query) return std::unexpected(query.error());
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return names;
    names.emplace(query->integer(0), query->text(1));
  }
}

class Scan {
 public:
  Scan(const RequestQuery& query, const KeyNames& keys, RequestReport& report)
      : query_(query), keys_(keys), report_(report) {}

  void read(const SegmentFile& file) {
    // The file's time is that of its last record or later: what ended before the range need not be read.
    struct stat info{};
    if (::stat(file.path.c_str(), &info) != 0) return;
    if ((info.st_mtim.tv_sec + 1) * kSecond < query_.range.from_utc_ns && !is_live(file)) return;
    auto segment = Segment::open(file.path);
    if (!segment) {
      ++report_.unreadable_segments;
      return;
    }
    walk(**segment, file.sequence);
  }

  void finish() {
    for (auto& [ticket, row] : open_) keep(std::move(row));
    open_.clear();
    std::sort(report_.rows.begin(), report_.rows.end(), earlier);
    if (report_.rows.size() > query_.limit) {
      report_.rows.erase(report_.rows.begin(),
                         report_.rows.end() - static_cast<std::ptrdiff_t>(query_.limit));
      report_.more = true;
    }
  }

 private:
  static bool earlier(const RequestRow& a, const RequestRow& b) {
    return a.settle.utc_ns != b.settle.utc_ns ? a.settle.utc_ns < b.settle.utc_ns : a.settle.id < b.settle.id;
  }

  // A mapped file's time moves when its pages are written back, which may be later than the newest records.
  bool is_live(const SegmentFile& file) const {
    if (query_.live_run == 0) return false;
    auto segment = Segment::open(file.path);
    return segment && (*segment)->header().run == query_.live_run;
  }

  void walk(const Segment& segment, std::uint64_t sequence) {
    const bool live = query_.live_run != 0 && segment.header().run == query_.live_run;
    names_.assign(kMaxNames + 1, {});
    RecordReader reader(segment.bytes(), sizeof(SegmentHeader), true);
    const RecordReader::Next next = reader.each(
        [&](const RecordView& record) { return apply(record, make_ticket(sequence, record.offset), live); });
    if (next == RecordReader::Next::corrupt) ++report_.unreadable_segments;
  }

  bool apply(const RecordView& record, Ticket ticket, bool live) {
    if (record.type == RecordType::name) {
      NameView name;
      if (!decode(record, name)) return false;
      names_[name.id] = name.text;
    } else if (record.type == RecordType::begin) {
      BeginBody begin;
      if (!decode(record, begin)) return false;
      RequestRow row = named(interrupted(begin, ticket));
      row.running = live;
      open_.insert_or_assign(ticket, std::move(row));
    } else if (record.type == RecordType::settle) {
      SettleBody settle;
      if (!decode(record, settle)) return false;
      open_.erase(settle.begun_at);
      if (in_range(settle.utc_ns)) keep(named(settle));
    }
    return true;
  }

  RequestRow named(const SettleBody& s) const {
    RequestRow row;
    row.settle = s;
    if (const auto key = keys_.find(s.key); key != keys_.end()) row.key = key->second;
    row.tenant = name(s.tenant);
    row.model = name(s.model);
    row.route = name(s.route);
    row.backend = name(s.backend);
    row.operation = name(s.operation);
    row.reason = name(s.reason);
    return row;
  }

  std::string name(NameId id) const {
    if (id == kOtherName) return "(other)";
    return id < names_.size() ? names_[id] : std::string();
  }

  bool in_range(std::int64_t utc_ns) const {
    return utc_ns >= query_.range.from_utc_ns && utc_ns < query_.range.to_utc_ns;
  }

  void keep(RequestRow row) {
    if (!in_range(row.settle.utc_ns)) return;
    report_.rows.push_back(std::move(row));
    // Bounded memory: now and then the older part is thrown away.
    if (report_.rows.size() < 2 * query_.limit + 4096) return;
    const auto middle = report_.rows.end() - static_cast<std::ptrdiff_t>(query_.limit);
    std::nth_element(report_.rows.begin(), middle, report_.rows.end(), earlier);
    report_.rows.erase(report_.rows.begin(), middle);
    report_.more = true;
  }

  const RequestQuery& query_;
  const KeyNames& keys_;
  RequestReport& report_;
  std::vector<std::string> names_;
  std::map<Ticket, RequestRow> open_;
};

}  // namespace

Result<RequestReport> query_requests(const std::string& dir, const RequestQuery& query) {
  auto keys = key_names(dir);
  if (!keys) return std::unexpected(keys.error());
  auto files = list_segments(dir);
  if (!files) return std::unexpected(files.error());
  RequestReport report;
  // Tickets are numbers of one worker's journal: each worker is read by itself, and the reports are joined.
  for (auto file = files->begin(); file != files->end();) {
    const std::uint32_t worker = file->worker;
    Scan scan(query, *keys, report);
    for (; file != files->end() && file->worker == worker; ++file) scan.read(*file);
    scan.finish();
  }
  return report;
}

}  // namespace tg::ledger
