#include "ledger/recovery.hpp"

namespace tg::ledger {

namespace {

struct OpenRequest {
  BeginBody begin;
  SettleNames names;
};

// The journal of one worker, from the oldest record that matters to its end.
class WorkerJournal {
 public:
  WorkerJournal(Position position, Books& books, Logger& log, Recovered& result)
      : position_(position), books_(books), log_(log), result_(result) {}

  void read(const SegmentFile& file) {
    // In both halves of the position: nothing before the oldest open begin is needed.
    if (file.sequence < std::min(ticket_sequence(position_.at), ticket_sequence(position_.open))) return;
    auto segment = Segment::open(file.path);
    if (!segment) {
      ++result_.corrupt;
      log_.error("journal segment passed over", segment.error());
      return;
    }
    const std::uint64_t end = walk(**segment, file.sequence);
    if (end < (*segment)->size()) result_.trim.emplace_back(file.path, end);
  }

  void finish() {
    for (const auto& [ticket, request] : open_) {
      books_.apply(interrupted(request.begin, ticket), request.names);
      ++result_.interrupted;
    }
  }

 private:
  // Returns where the readable part ends.
  std::uint64_t walk(const Segment& segment, std::uint64_t sequence) {
    SegmentNames names = books_.segment_names();
    // From the first record, because the names are there.
    RecordReader reader(segment.bytes(), sizeof(SegmentHeader), true);
    const RecordReader::Next next = reader.each(
        [&](const RecordView& record) { return apply(record, make_ticket(sequence, record.offset), names); });
    if (next == RecordReader::Next::ended) return reader.offset() + kEndRecord;
    const bool corrupt = next == RecordReader::Next::corrupt || segment.has_data_after(reader.offset());
    if (corrupt) {
      ++result_.corrupt;
      log_.warn("journal segment has an unreadable end",
                {field("file", segment.path()), field("readable_bytes", reader.offset())});
      return segment.size();  // kept whole for whoever wants to look
    }
    return reader.offset();
  }

  bool apply(const RecordView& record, Ticket ticket, SegmentNames& names) {
    switch (record.type) {
      case RecordType::name: {
        NameView name;
        if (!decode(record, name)) return false;
        names.set(name.id, books_.name(name.text));
        return true;
      }
      case RecordType::begin: {
        BeginBody begin;
        if (!decode(record, begin)) return false;
        if (ticket >= std::min(position_.open, position_.at))
          open_.insert_or_assign(ticket, OpenRequest{begin, names.of(begin)});
        return true;
      }
      case RecordType::settle: {
        SettleBody settle;
        if (!decode(record, settle)) return false;
        if (settle.begun_at != 0) open_.erase(settle.begun_at);
        if (ticket >= position_.at) {
          books_.apply(settle, names.of(settle));
          ++result_.settled;
        }
        return true;
      }
      default:
        return true;  // of a later version
    }
  }

  Position position_;
  Books& books_;
  Logger& log_;
  Recovered& result_;
  std::map<Ticket, OpenRequest> open_;
};

}  // namespace

SettleBody interrupted(const BeginBody& begin, Ticket ticket) {
  SettleBody s;
  s.stream = begin.stream;
  s.tenant = begin.tenant;
  s.model = begin.model;
  s.route = begin.route;
  s.backend = begin.backend;
  s.operation = begin.operation;
  s.utc_ns = begin.utc_ns;
  s.key = begin.key;
  s.id = begin.id;
  s.begun_at = ticket;
  s.tokens_in = begin.prompt_estimate;
  s.outcome = Outcome::interrupted;
  return s;
}

Recovered recover(const std::vector<SegmentFile>& files, Books& books, Logger& log) {
  Recovered result;
  for (auto file = files.begin(); file != files.end();) {
    const std::uint32_t worker = file->worker;
    const auto& positions = books.rollups().positions();
    const auto known = positions.find(worker);
    WorkerJournal journal(known != positions.end() ? known->second : Position{}, books, log, result);
    for (; file != files.end() && file->worker == worker; ++file) journal.read(*file);
    journal.finish();
  }
  return result;
}

}  // namespace tg::ledger
