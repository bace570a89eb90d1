// SQLite behind one interface: WAL, synchronous=FULL, one committing thread that shares each fsync between writers.
//
//   TRY(database.write([&](Transaction& tx) -> Result<void> {
//       TRY(tx.run("INSERT INTO bucket(account, name) VALUES(?,?)", account, name));
//       return {};
//   }));                                        // returns after the commit is on disk
//
//   auto names = TRY(database.read([&](Connection& c) { return c.query("SELECT name FROM bucket WHERE account=?",
//   account); }));
//
// SQL stays in metadata_store/, object_store/ and the stores of resources/ and jobs/, in one dialect-neutral style:
// no OFFSET, keyset paging only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;

namespace millwright::metadata_store {

// Bytes that are no text. Read back by Row::text().
struct Blob {
    std::string bytes;
};
using Value = std::variant<std::monostate, int64_t, double, std::string, Blob>;

// One row of an answer; columns by position. Text of a NULL is "", number of a NULL is 0.
class Row {
  public:
    explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
    const Value& value(size_t column) const { return values_.at(column); }
    bool is_null(size_t column) const { return std::holds_alternative<std::monostate>(values_.at(column)); }
    int64_t integer(size_t column) const;
    double real(size_t column) const;
    std::string text(size_t column) const;
    std::string take_text(size_t column);  // leaves it empty
    std::optional<int64_t> optional_integer(size_t column) const;
    std::optional<std::string> optional_text(size_t column) const;

  private:
    std::vector<Value> values_;
};

// A SQLite connection with cached prepared statements. Used by one thread at a time.
class Connection {
  public:
    virtual ~Connection() = default;
    virtual Result<std::vector<Row>> query_values(std::string_view sql, const std::vector<Value>& parameters) = 0;

    template <typename... Args>
    Result<std::vector<Row>> query(std::string_view sql, const Args&... args) {
        return query_values(sql, {to_value(args)...});
    }
    // The first row, if there is one.
    template <typename... Args>
    Result<std::optional<Row>> query_one(std::string_view sql, const Args&... args) {
        auto rows = TRY(query_values(sql, {to_value(args)...}));
        if (rows.empty()) return std::optional<Row>();
        return std::optional<Row>(std::move(rows.front()));
    }

  protected:
    static Value to_value(std::nullopt_t) { return {}; }
    static Value to_value(bool value) { return int64_t{value}; }
    static Value to_value(int value) { return int64_t{value}; }
    static Value to_value(int64_t value) { return value; }
    static Value to_value(uint64_t value) { return static_cast<int64_t>(value); }
    static Value to_value(double value) { return value; }
    static Value to_value(const char* value) { return std::string(value); }
    static Value to_value(std::string value) { return value; }
    static Value to_value(std::string_view value) { return std::string(value); }
    static Value to_value(Blob value) { return value; }
    static Value to_value(const Value& value) { return value; }
    template <typename T>
    static Value to_value(const std::optional<T>& value) {
        return value ? to_value(*value) : Value{};
    }
};

// A connection inside a write transaction. Rolled back as a whole when the work returns an error.
class Transaction : public Connection {
  public:
    // Number of rows changed. AlreadyExists: a UNIQUE or PRIMARY KEY constraint. LimitExceeded: the disk is full.
    template <typename... Args>
    Result<int64_t> run(std::string_view sql, const Args&... args) {
        return run_values(sql, {to_value(args)...});
    }
    virtual Result<int64_t> run_values(std::string_view sql, const std::vector<Value>& parameters) = 0;
};

// The schema as a list of steps; step i is applied once, when the stored version is i. Only ever append.
struct Migration {
    std::string_view name;  // "object_store 1: buckets and objects"
    std::string_view sql;   // several statements
};

// When a write is safe from a power cut. Either way it is atomic, is seen by every read from then on, and outlives a
// crash of the server.
enum class Durable {
    Now,       // when the call returns: what a client is told must be written so
    WithNext,  // no later than when any later write with Now returns: spares a step on the way to such a write its
               // fsync
};

// What a write may do on a disk that is nearly full.
enum class Space {
    Reserve,  // use the reserve: what ends, stops, removes or tells
    Free,     // only where there is room beside the reserve, else LimitExceeded: what adds something that stays
};

struct Settings {
    // Both are less on a small disk, and 0 for none.
    uint64_t reserve_bytes = 0;  // of the file `reserve` beside the database: see metadata_store/reserve.h
    uint64_t log_bytes = 0;      // of the log of writes whose blocks are made beforehand
    std::string vfs = {};        // name of a SQLite VFS, for tests that let the disk fail; "" for the usual one
};

class Database {
  public:
    // Creates the file (0600) if needed and applies missing migrations, each in one transaction. Each module passes its
    // own list under its own `component` through migrate().
    static Result<std::unique_ptr<Database>> open(const std::string& path, const Settings& settings = {});
    virtual ~Database() = default;  // finishes queued writes
    virtual Result<void> migrate(std::string_view component, const std::vector<Migration>& steps) = 0;

    // Runs `work` on the committing thread, in a savepoint of the current group, and returns after the group is
    // committed and, unless `durable` is WithNext, on disk. `work` must be quick and must not call the database again.
    // Thread-safe. After a failure to write or to sync the log every write answers Unavailable, until the server is
    // started again; reads go on.
    virtual Result<void> write_void(const std::function<Result<void>(Transaction&)>& work, Durable durable,
                                    Space space) = 0;
    // Nothing should be added now: Space::Free writes are refused.
    virtual bool is_low_on_space() = 0;

    // Runs `work` on a pooled read connection that sees the newest commit. Thread-safe.
    virtual Result<void> read_void(const std::function<Result<void>(Connection&)>& work) = 0;

    template <typename Work>
    auto write(Work work, Durable durable = Durable::Now, Space space = Space::Reserve)
        -> decltype(work(std::declval<Transaction&>())) {
        return run<Transaction>(
            work, [this, durable, space](const auto& inner) { return write_void(inner, durable, space); });
    }
    template <typename Work>
    auto read(Work work) -> decltype(work(std::declval<Connection&>())) {
        return run<Connection>(work, [this](const auto& inner) { return read_void(inner); });
    }

  private:
    template <typename Handle, typename Work, typename Runner>
    auto run(Work& work, Runner runner) -> decltype(work(std::declval<Handle&>())) {
        using R = decltype(work(std::declval<Handle&>()));
        std::optional<R> result;
        const auto outcome = runner(std::function<Result<void>(Handle&)>([&](Handle& handle) -> Result<void> {
            result.emplace(work(handle));
            if (!result->has_value()) return result->error();
            return {};
        }));
        if (!outcome) return outcome.error();
        return std::move(*result);
    }
};

}  // namespace millwright::metadata_store
