// DIR/tidegate.db: a small owner of SQLite handles, errors as values. One connection belongs to one thread at
// a time; the control thread (keys) and the writer thread (rollups) each open their own. Write-ahead logging,
// so that readers in this or another process never wait for the writer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace tg::ledger {

// A prepared statement. Bind from 1, columns from 0, as SQLite has it. Views and bytes given to bind() must
// live until the next reset(); those from text() and blob() until the next step() or reset().
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  Statement(Statement&& other) noexcept
      : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, std::span<const std::uint8_t> blob);
  // True: there is a row. False: done.
  Result<bool> step();
  // step() for statements without rows, then reset().
  Result<> run();
  void reset();

  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;

 private:
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  enum class Mode { write, read };
  // Opens DIR/tidegate.db. Mode::write creates it and its tables; a file of a newer program is refused.
  // `durable`: a commit survives power loss (keys); otherwise it survives kill -9, and the journal makes up
  // for power loss (rollups).
  static Result<Database> open(const std::string& dir, Mode mode, bool durable);

  Database() = default;
  Database(Database&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Database& operator=(Database&& other) noexcept;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  Result<> exec(const char* sql);
  Result<Statement> prepare(std::string_view sql);
  std::int64_t last_row_id() const;
  std::int64_t changes() const;

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  sqlite3* db_ = nullptr;
};

// BEGIN IMMEDIATE … COMMIT; rolls back when it goes out of scope without commit().
class Transaction {
 public:
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  Result<> commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

std::string database_path(const std::string& dir);

}  // namespace tg::ledger
