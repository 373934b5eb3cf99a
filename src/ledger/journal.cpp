#include "ledger/journal.hpp"

#include <algorithm>
#include <cstring>

namespace tg::ledger {

namespace {

// A record with all its names new, and the end record: with this much left nothing can overflow.
constexpr std::uint64_t kWorstCase = kRecordHead + sizeof(SettleBody) + 6 * kMaxRecord + kEndRecord;

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t h = text.size() * 0x9E3779B97F4A7C15;
  const char* p = text.data();
  std::size_t left = text.size();
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, p, 8);
    h = (h ^ word) * 0x9E3779B97F4A7C15;
    h ^= h >> 32;
  }
  std::uint64_t word = 0;
  std::memcpy(&word, p, left);
  h = (h ^ word) * 0x9E3779B97F4A7C15;
  return h ^ h >> 32;
}

std::uint16_t clamp_status(int status) { return static_cast<std::uint16_t>(std::clamp(status, 0, 999)); }

}  // namespace

JournalWriter::JournalWriter(std::size_t shard, JournalChannel& channel, Signal& signal, Metrics& metrics)
    : channel_(channel),
      signal_(signal),
      shard_(shard),
      lost_records_(metrics.counter("tidegate_journal_lost_records_total",
                                    "Journal records lost because no segment could be made (disk full).")),
      lost_tokens_(metrics.counter("tidegate_journal_lost_tokens_total",
                                   "Tokens of requests whose settle record was lost.")) {}

JournalWriter::~JournalWriter() {
  if (data_ != nullptr) append(EndBody{});
}

std::uint64_t JournalWriter::append_bytes(std::span<const std::byte> rest) {
  const std::uint64_t at = offset_;
  std::memcpy(data_ + at + kRecordHead, rest.data(), rest.size());
  // The word makes the record visible, so it is stored last. Sequentially consistent: work() below must not
  // look at the writer's state before the record can be seen, else a wake-up is lost.
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(data_ + at), head_word(rest), __ATOMIC_SEQ_CST);
  offset_ = at + kRecordHead + rest.size();
  return at;
}

template <class Body>
std::uint64_t JournalWriter::append(const Body& body) {
  return append_bytes(std::as_bytes(std::span(&body, 1)));
}

bool JournalWriter::change_segment() {
  // A plain load first: on a full disk every call comes here.
  if (channel_.next.load(std::memory_order_relaxed) == nullptr) return false;
  Segment* next = channel_.next.exchange(nullptr, std::memory_order_acquire);
  if (data_ != nullptr) append(EndBody{});
  data_ = next->data();
  sequence_ = next->header().sequence;
  offset_ = sizeof(SegmentHeader);
  limit_ = next->size() - std::min(next->size(), kWorstCase);
  names_.slots.fill(0);
  names_.used = 0;
  names_.count = 0;
  last_.fill(0);
  names_full_ = false;
  signal_.urgent();  // the writer makes the next one; once per segment
  return true;
}

bool JournalWriter::make_room() {
  if (offset_ < limit_ && !names_full_) [[likely]]
    return true;
  if (change_segment()) return true;
  return offset_ < limit_;  // out of names only: goes on with kOtherName until there is a segment
}

NameId JournalWriter::intern(Field field, std::string_view name) {
  if (name.empty()) return 0;
  if (name.size() > kMaxNameBytes) name = name.substr(0, kMaxNameBytes);
  const NameId last = last_[field];
  if (last != 0 && names_.of(last) == name) [[likely]]
    return last;
  const NameId id = find_or_add(name);
  if (id != kOtherName) last_[field] = id;
  return id;
}

NameId JournalWriter::find_or_add(std::string_view name) {
  std::size_t i = hash_of(name) % Names::kSlots;
  for (; names_.slots[i] != 0; i = (i + 1) % Names::kSlots) {
    if (names_.of(names_.slots[i]) == name) return names_.slots[i];
  }
  if (names_.count == kMaxNames || names_.used + name.size() > Names::kTextBytes) {
    names_full_ = true;
    return kOtherName;
  }
  const NameId id = ++names_.count;
  names_.slots[i] = id;
  names_.names[id] = {names_.used, static_cast<std::uint32_t>(name.size())};
  std::memcpy(names_.text.get() + names_.used, name.data(), name.size());
  names_.used += static_cast<std::uint32_t>(name.size());

  std::array<std::byte, sizeof(NameBody) + kMaxNameBytes> rest{};
  const NameBody head{RecordType::name, 0, id, static_cast<std::uint32_t>(name.size())};
  std::memcpy(rest.data(), &head, sizeof head);
  std::memcpy(rest.data() + sizeof head, name.data(), name.size());
  append_bytes(std::span(rest).first((sizeof head + name.size() + 7) / 8 * 8));
  return id;
}

void JournalWriter::lose(std::int64_t tokens) {
  const auto bump = [](std::atomic<std::int64_t>& a, std::int64_t n) {
    a.store(a.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  };
  bump(channel_.lost_records, 1);
  bump(channel_.lost_tokens, tokens);
  lost_records_.add(shard_, 1);
  lost_tokens_.add(shard_, tokens);
  signal_.work();
}

Ticket JournalWriter::begin(const RequestInfo& request, std::int64_t utc_ns) {
  if (!make_room()) {
    lose(0);
    return 0;
  }
  BeginBody body;
  body.stream = request.stream ? 1 : 0;
  body.tenant = intern(kTenant, request.tenant);
  body.model = intern(kModel, request.model);
  body.route = intern(kRoute, request.route);
  body.backend = intern(kBackend, request.backend);
  body.operation = intern(kOperation, request.operation);
  body.utc_ns = utc_ns;
  body.key = request.key;
  body.id = request.id;
  body.prompt_estimate = request.prompt_estimate;
  const Ticket ticket = make_ticket(sequence_, append(body));
  stored();
  return ticket;
}

void JournalWriter::settle(Ticket ticket, const RequestInfo& request, const AnswerInfo& answer,
                           std::int64_t utc_ns) {
  if (!make_room()) {
    lose(answer.tokens_in + answer.tokens_out);
    return;
  }
  SettleBody body;
  body.stream = request.stream ? 1 : 0;
  body.tenant = intern(kTenant, request.tenant);
  body.model = intern(kModel, request.model);
  body.route = intern(kRoute, request.route);
  body.backend = intern(kBackend, request.backend);
  body.operation = intern(kOperation, request.operation);
  body.reason = intern(kReason, answer.reason);
  body.status = clamp_status(answer.status);
  body.utc_ns = utc_ns;
  body.key = request.key;
  body.id = request.id;
  body.begun_at = ticket;
  body.tokens_in = answer.tokens_in;
  body.tokens_out = answer.tokens_out;
  body.tokens_cached = answer.tokens_cached;
  body.first_byte_ns = answer.first_byte_ns;
  body.total_ns = answer.total_ns;
  body.bytes_in = answer.bytes_in;
  body.bytes_out = answer.bytes_out;
  body.outcome = answer.outcome;
  body.reported = answer.reported ? 1 : 0;
  body.retries = static_cast<std::uint8_t>(std::clamp(answer.retries, 0, 255));
  append(body);
  stored();
}

}  // namespace tg::ledger
