#include "ledger/database.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

namespace tg::ledger {

namespace {

constexpr std::int64_t kSchemaVersion = 1;

// Names are stored once; rollups hold their numbers, so that a row is a few small integers.
constexpr const char* kSchema = R"(
CREATE TABLE keys(
  id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, prefix TEXT NOT NULL, name TEXT NOT NULL,
  tenant TEXT NOT NULL, requests_per_minute INTEGER NOT NULL, tokens_per_minute INTEGER NOT NULL,
  concurrent INTEGER NOT NULL, created_ns INTEGER NOT NULL, revoked_ns INTEGER NOT NULL);
CREATE TABLE key_models(
  key INTEGER NOT NULL, model TEXT NOT NULL, PRIMARY KEY(key, model)) WITHOUT ROWID;
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE rollups(
  minute INTEGER NOT NULL, key INTEGER NOT NULL, tenant INTEGER NOT NULL, model INTEGER NOT NULL,
  route INTEGER NOT NULL, outcome INTEGER NOT NULL,
  requests INTEGER NOT NULL, reported_requests INTEGER NOT NULL,
  reported_in INTEGER NOT NULL, reported_out INTEGER NOT NULL, reported_cached INTEGER NOT NULL,
  estimated_in INTEGER NOT NULL, estimated_out INTEGER NOT NULL,
  first_byte_ns INTEGER NOT NULL, total_ns INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  PRIMARY KEY(minute, key, tenant, model, route, outcome)) WITHOUT ROWID;
CREATE TABLE positions(
  worker INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
  open_segment INTEGER NOT NULL, open_offset INTEGER NOT NULL);
CREATE TABLE access_log(id INTEGER PRIMARY KEY CHECK(id = 1), inode INTEGER NOT NULL, size INTEGER NOT NULL);
PRAGMA user_version = 1;
)";

std::unexpected<Error> sqlite_error(sqlite3* db, std::string_view what) {
  const int code = db != nullptr ? sqlite3_errcode(db) : SQLITE_NOMEM;
  const char* text = db != nullptr ? sqlite3_errmsg(db) : "out of memory";
  const bool full = code == SQLITE_FULL || code == SQLITE_IOERR;
  return fail(full                  ? "database_full"
              : code == SQLITE_BUSY ? "database_busy"
                                    : "database_failed",
              fmt::format("{}: {}", what, text), full ? "make room on the disk of the data directory" : "");
}

}  // namespace

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(statement_);
    db_ = other.db_;
    statement_ = std::exchange(other.statement_, nullptr);
  }
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement_, index, text.data() != nullptr ? text.data() : "", text.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(int index, std::span<const std::uint8_t> blob) {
  sqlite3_bind_blob64(statement_, index, blob.data(), blob.size(), SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqlite_error(db_, "database");
}

Result<> Statement::run() {
  const Result<bool> row = step();
  reset();
  if (!row) return std::unexpected(row.error());
  return {};
}

void Statement::reset() { sqlite3_reset(statement_); }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::uint8_t> Statement::blob(int column) const {
  const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string database_path(const std::string& dir) { return dir + "/tidegate.db"; }

Result<Database> Database::open(const std::string& dir, Mode mode, bool durable) {
  const std::string path = database_path(dir);
  sqlite3* handle = nullptr;
  const int flags =
      (mode == Mode::write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database db(handle);
  if (code != SQLITE_OK) {
    auto error = sqlite_error(handle, "cannot open " + path);
    return error;
  }
  sqlite3_extended_result_codes(handle, 0);
  sqlite3_busy_timeout(handle, 5000);

  // A small page cache: the working set is the rows of the present minute. 0 bytes of memory map: its pages
  // would count as idle memory.
  if (auto r = db.exec("PRAGMA cache_size=-512; PRAGMA temp_store=MEMORY"); !r)
    return std::unexpected(std::move(r.error()).context(path));
  if (mode == Mode::write) {
    if (auto r = db.exec("PRAGMA journal_mode=WAL"); !r)
      return std::unexpected(std::move(r.error()).context(path));
    if (auto r = db.exec(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"); !r) {
      return std::unexpected(std::move(r.error()).context(path));
    }
  }

  const auto version_of = [&]() -> Result<std::int64_t> {
    auto s = db.prepare("PRAGMA user_version");
    if (!s) return std::unexpected(s.error());
    if (auto row = s->step(); !row) return std::unexpected(row.error());
    return s->integer(0);
  };
  auto version = version_of();
  if (!version) return std::unexpected(std::move(version.error()).context(path));
  if (*version == 0 && mode == Mode::write) {
    auto t = Transaction::begin(db);
    if (!t) return std::unexpected(std::move(t.error()).context(path));
    version = version_of();  // again under the lock: another connection may have been first
    if (version && *version == 0) {
      if (auto r = db.exec(kSchema); !r) return std::unexpected(std::move(r.error()).context(path));
      if (auto r = t->commit(); !r) return std::unexpected(std::move(r.error()).context(path));
      version = kSchemaVersion;
    }
  }
  if (!version) return std::unexpected(std::move(version.error()).context(path));
  if (*version != kSchemaVersion) {
    return fail("database_version",
                fmt::format("{}: made by another version (schema {}, this program has {})", path, *version,
                            kSchemaVersion),
                "use the program that made it, or another --data directory");
  }
  return db;
}

Database& Database::operator=(Database&& other) noexcept {
  if (this != &other) {
    sqlite3_close_v2(db_);
    db_ = std::exchange(other.db_, nullptr);
  }
  return *this;
}

Database::~Database() { sqlite3_close_v2(db_); }

Result<> Database::exec(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return sqlite_error(db_, "database");
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK) {
    return sqlite_error(db_, "database");
  }
  return Statement(db_, statement);
}

std::int64_t Database::last_row_id() const { return sqlite3_last_insert_rowid(db_); }
std::int64_t Database::changes() const { return sqlite3_changes64(db_); }

Result<Transaction> Transaction::begin(Database& db) {
  if (auto r = db.exec("BEGIN IMMEDIATE"); !r) return std::unexpected(r.error());
  return Transaction(db);
}

Result<> Transaction::commit() {
  auto r = db_->exec("COMMIT");
  if (r) db_ = nullptr;
  return r;
}

Transaction::~Transaction() {
  if (db_ == nullptr) return;
  // SQLite rolled back by itself after a full disk; then there is nothing to roll back and this says so.
  [[maybe_unused]] const auto rolled_back = db_->exec("ROLLBACK");
}

}  // namespace tg::ledger
