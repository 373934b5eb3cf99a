#include "ledger/rollup.hpp"

#include "base/clock.hpp"

namespace tg::ledger {

namespace {

constexpr std::int64_t kMinutesOfDay = 24 * 60;

// What stands behind an INSERT of sums: a row that is there already grows by them.
constexpr std::string_view kAddToRow =
    " ON CONFLICT DO UPDATE SET requests=requests+excluded.requests, "
    "reported_requests=reported_requests+excluded.reported_requests, "
    "reported_in=reported_in+excluded.reported_in, reported_out=reported_out+excluded.reported_out, "
    "reported_cached=reported_cached+excluded.reported_cached, "
    "estimated_in=estimated_in+excluded.estimated_in, estimated_out=estimated_out+excluded.estimated_out, "
    "first_byte_ns=first_byte_ns+excluded.first_byte_ns, total_ns=total_ns+excluded.total_ns, "
    "bytes_in=bytes_in+excluded.bytes_in, bytes_out=bytes_out+excluded.bytes_out, "
    "retries=retries+excluded.retries";

}  // namespace

Result<Rollups> Rollups::open(const std::string& dir) {
  auto db = Database::open(dir, Database::Mode::write, false);
  if (!db) return std::unexpected(db.error());
  Rollups rollups(std::move(*db));
  if (auto r = rollups.load(); !r)
    return std::unexpected(std::move(r.error()).context("cannot open the usage sums"));
  return rollups;
}

Result<> Rollups::load() {
  const auto prepare = [&](Statement& out, std::string_view sql) -> Result<> {
    auto s = db_.prepare(sql);
    if (!s) return std::unexpected(s.error());
    out = std::move(*s);
    return {};
  };
  const std::string upsert =
      "INSERT INTO rollups VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)" + std::string(kAddToRow);
  Statement names, positions, mark;
  for (const auto& [statement, sql] : std::initializer_list<std::pair<Statement*, std::string_view>>{
           {&insert_name_, "INSERT INTO names(id, name) VALUES(?,?)"},
           {&upsert_, upsert},
           {&insert_position_, "INSERT OR REPLACE INTO positions VALUES(?,?,?,?,?)"},
           {&insert_mark_, "INSERT OR REPLACE INTO access_log VALUES(1,?,?)"},
           {&names, "SELECT id, name FROM names"},
           {&positions, "SELECT worker, segment, offset, open_segment, open_offset FROM positions"},
           {&mark, "SELECT inode, size FROM access_log"}}) {
    if (auto r = prepare(*statement, sql); !r) return r;
  }
  for (;;) {
    auto row = names.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    names_.emplace(names.text(1), names.integer(0));
    last_name_ = std::max(last_name_, names.integer(0));
  }
  for (;;) {
    auto row = positions.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const auto number = [&](int column) { return static_cast<std::uint64_t>(positions.integer(column)); };
    positions_[static_cast<std::uint32_t>(positions.integer(0))] = {make_ticket(number(1), number(2)),
                                                                    make_ticket(number(3), number(4))};
  }
  auto row = mark.step();
  if (!row) return std::unexpected(row.error());
  if (*row) access_log_ = {mark.integer(0), mark.integer(1)};
  return {};
}

NameNumber Rollups::number_of(std::string_view name) {
  if (name.empty()) return 0;
  const auto [it, is_new] = names_.try_emplace(std::string(name), last_name_ + 1);
  if (is_new) {
    ++last_name_;
    new_names_.emplace_back(it->second, it->first);
  }
  return it->second;
}

void Rollups::add(const SettleBody& settle, NameNumber tenant, NameNumber model, NameNumber route) {
  const Key key{
      settle.utc_ns / kMinute, settle.key, tenant, model, route, static_cast<std::int64_t>(settle.outcome)};
  if (last_sums_ == nullptr || !(key == last_key_)) {
    last_sums_ = &sums_[key];  // stays valid: references into an unordered_map survive a rehash
    last_key_ = key;
  }
  Sums& s = *last_sums_;
  s.requests += 1;
  if (settle.reported != 0) {
    s.reported_requests += 1;
    s.reported_in += settle.tokens_in;
    s.reported_out += settle.tokens_out;
    s.reported_cached += settle.tokens_cached;
  } else {
    s.estimated_in += settle.tokens_in;
    s.estimated_out += settle.tokens_out;
  }
  s.first_byte_ns += settle.first_byte_ns;
  s.total_ns += settle.total_ns;
  s.bytes_in += static_cast<std::int64_t>(settle.bytes_in);
  s.bytes_out += static_cast<std::int64_t>(settle.bytes_out);
  s.retries += settle.retries;
}

Result<> Rollups::write_names() {
  for (const auto& [number, name] : new_names_) {
    insert_name_.bind(1, number).bind(2, name);
    if (auto r = insert_name_.run(); !r) return r;
  }
  return {};
}

Result<> Rollups::write_sums() {
  for (const auto& [k, s] : sums_) {
    int i = 0;
    for (const std::int64_t v :
         {k.minute, k.key, k.tenant, k.model, k.route, k.outcome, s.requests, s.reported_requests,
          s.reported_in, s.reported_out, s.reported_cached, s.estimated_in, s.estimated_out, s.first_byte_ns,
          s.total_ns, s.bytes_in, s.bytes_out, s.retries}) {
      upsert_.bind(++i, v);
    }
    if (auto r = upsert_.run(); !r) return r;
  }
  return {};
}

Result<> Rollups::commit(const std::vector<std::pair<std::uint32_t, Position>>& positions,
                         AccessLogMark mark) {
  auto transaction = Transaction::begin(db_);
  if (!transaction) return std::unexpected(transaction.error());
  if (auto r = write_names(); !r) return r;
  if (auto r = write_sums(); !r) return r;
  for (const auto& [worker, p] : positions) {
    const auto bind = [&](int at, std::uint64_t v) {
      insert_position_.bind(at, static_cast<std::int64_t>(v));
    };
    bind(1, worker);
    bind(2, ticket_sequence(p.at));
    bind(3, ticket_offset(p.at));
    bind(4, ticket_sequence(p.open));
    bind(5, ticket_offset(p.open));
    if (auto r = insert_position_.run(); !r) return r;
  }
  insert_mark_.bind(1, mark.inode).bind(2, mark.size);
  if (auto r = insert_mark_.run(); !r) return r;
  if (auto r = transaction->commit(); !r) return r;
  new_names_.clear();
  sums_.clear();
  last_sums_ = nullptr;
  return {};
}

Result<> Rollups::compact(std::int64_t before_utc_ns) {
  const std::int64_t before = before_utc_ns / kMinute / kMinutesOfDay * kMinutesOfDay;
  if (before <= compacted_before_) return {};
  // A row at a day's first minute is where its day is gathered; the others of the day are added to it.
  auto join = db_.prepare(
      "INSERT INTO rollups SELECT minute/1440*1440 AS day, key, tenant, model, route, outcome, "
      "sum(requests), "
      "sum(reported_requests), sum(reported_in), sum(reported_out), sum(reported_cached), sum(estimated_in), "
      "sum(estimated_out), sum(first_byte_ns), sum(total_ns), sum(bytes_in), sum(bytes_out), sum(retries) "
      "FROM rollups WHERE minute<? AND minute%1440!=0 GROUP BY day, key, tenant, model, route, outcome" +
      std::string(kAddToRow));
  if (!join) return std::unexpected(join.error());
  auto forget = db_.prepare("DELETE FROM rollups WHERE minute<? AND minute%1440!=0");
  if (!forget) return std::unexpected(forget.error());
  auto transaction = Transaction::begin(db_);
  if (!transaction) return std::unexpected(transaction.error());
  for (Statement* statement : {&*join, &*forget}) {
    statement->bind(1, before);
    if (auto r = statement->run(); !r) return r;
  }
  if (auto r = transaction->commit(); !r) return r;
  compacted_before_ = before;
  return {};
}

}  // namespace tg::ledger
