#include "resources/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Database;
using metadata_store::Row;
using metadata_store::Transaction;

// A row of metric_sample is one put: a value with its count, or a statistic set.
const std::vector<metadata_store::Migration> kSchema = {
    {"metrics 1: metrics and samples",
     "CREATE TABLE metric(id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, namespace "
     "TEXT NOT NULL, "
     "name TEXT NOT NULL, dimensions TEXT NOT NULL, last_ms INTEGER NOT NULL, "
     "UNIQUE(account, region, namespace, name, dimensions));"
     "CREATE TABLE metric_sample(id INTEGER PRIMARY KEY, metric_id INTEGER NOT NULL REFERENCES metric(id), "
     "time_ms INTEGER NOT NULL, unit TEXT NOT NULL, samples REAL NOT NULL, sum REAL NOT NULL, minimum REAL "
     "NOT NULL, "
     "maximum REAL NOT NULL);"
     "CREATE INDEX metric_sample_by_time ON metric_sample(metric_id, time_ms);"},
};

constexpr size_t kListStep = 1000;

// ["name","value",…] sorted by name: one text for one set of dimensions.
std::string dimensions_text(Dimensions dimensions) {
    std::sort(dimensions.begin(), dimensions.end());
    Json list = Json::array();
    for (const auto& [name, value] : dimensions) {
        list.push_back(name);
        list.push_back(value);
    }
    return list.dump();
}

Result<Dimensions> dimensions_of(std::string_view text) {
    const Json list = TRY(Json::parse(text));
    Dimensions dimensions;
    for (size_t i = 0; i + 1 < list.size(); i += 2)
        dimensions.emplace_back(list[i].string_or(""), list[i + 1].string_or(""));
    return dimensions;
}

bool has_all(const Dimensions& dimensions, const MetricListQuery& query) {
    return std::all_of(query.dimensions.begin(), query.dimensions.end(), [&](const auto& wanted) {
        return std::any_of(dimensions.begin(), dimensions.end(), [&](const auto& own) {
            return own.first == wanted.first && (!wanted.second || own.second == *wanted.second);
        });
    });
}

struct WeightedValue {
    double value, weight;
};

// Linear between the two nearest ranks, as if each value stood there `weight` times. `values` is sorted and
// not empty.
double percentile_of(const std::vector<WeightedValue>& values, double percent) {
    double total = 0;
    for (const auto& [value, weight] : values) total += weight;
    const double rank = percent / 100 * std::max(total - 1, 0.0);
    const auto at_rank = [&](double wanted) {
        double passed = 0;
        for (const auto& [value, weight] : values)
            if ((passed += weight) > wanted) return value;
        return values.back().value;
    };
    const double low = at_rank(std::floor(rank)), high = at_rank(std::ceil(rank));
    return low + (high - low) * (rank - std::floor(rank));
}

class StoredMetrics : public Metrics {
  public:
    StoredMetrics(Database& database, const Clock& clock) : database_(database), clock_(clock) {}

    Result<void> put(const std::vector<MetricSample>& samples) override {
        return database_.write([&](Transaction& transaction) { return put_in(transaction, samples); });
    }
    Result<void> put_in(Transaction& transaction, const std::vector<MetricSample>& samples) override;
    Result<std::vector<MetricPeriod>> query(const MetricQuery& query) override;
    Result<MetricList> list(const MetricListQuery& query) override;
    Timestamp now() const override { return clock_.now(); }

  private:
    Database& database_;
    const Clock& clock_;
};

Result<int64_t> store_metric(Transaction& transaction, const MetricSample& sample) {
    const std::string dimensions = dimensions_text(sample.dimensions);
    const auto row = TRY(transaction.query_one(
        "INSERT INTO metric(account, region, namespace, name, dimensions, last_ms) VALUES(?,?,?,?,?,?) "
        "ON CONFLICT(account, region, namespace, name, dimensions) DO UPDATE SET last_ms=max(last_ms, "
        "excluded.last_ms) "
        "RETURNING id",
        sample.account, sample.region, sample.metric_namespace, sample.name, dimensions,
        to_epoch_milliseconds(sample.time)));
    if (!row) return internal_error("a metric was not stored");
    return row->integer(0);
}

Result<void> StoredMetrics::put_in(Transaction& transaction, const std::vector<MetricSample>& samples) {
    for (const MetricSample& sample : samples) {
        const int64_t metric = TRY(store_metric(transaction, sample));
        const StatisticSet set = sample.statistics.value_or(
            StatisticSet{sample.count, sample.count * sample.value, sample.value, sample.value});
        TRY(transaction.run(
            "INSERT INTO metric_sample(metric_id, time_ms, unit, samples, sum, minimum, "
            "maximum) VALUES(?,?,?,?,?,?,?)",
            metric, to_epoch_milliseconds(sample.time), sample.unit, set.samples, set.sum, set.minimum, set.maximum));
    }
    return {};
}

// The single values of each period (counted from `from`) and unit, sorted.
using ValuesByPeriod = std::map<std::pair<int64_t, std::string>, std::vector<WeightedValue>>;

Result<ValuesByPeriod> load_values(Connection& connection, int64_t metric, const MetricQuery& query) {
    const int64_t from = to_epoch_milliseconds(query.from), period = query.period.count() * 1000;
    const auto rows = TRY(
        connection.query("SELECT (time_ms - ?) / ? AS period, unit, minimum, SUM(samples) FROM metric_sample WHERE "
                         "metric_id=? AND time_ms>=? AND "
                         "time_ms<? AND minimum=maximum GROUP BY period, unit, minimum ORDER BY period, unit, minimum",
                         from, period, metric, from, to_epoch_milliseconds(query.until)));
    ValuesByPeriod values;
    for (const Row& row : rows) values[{row.integer(0), row.text(1)}].push_back({row.real(2), row.real(3)});
    return values;
}

Result<std::vector<MetricPeriod>> load_periods(Connection& connection, const MetricQuery& query) {
    const MetricName& name = query.metric;
    const auto metric = TRY(connection.query_one(
        "SELECT id FROM metric WHERE account=? AND region=? AND namespace=? AND name=? AND dimensions=?", name.account,
        name.region, name.metric_namespace, name.name, dimensions_text(name.dimensions)));
    std::vector<MetricPeriod> periods;
    if (!metric) return periods;
    const int64_t from = to_epoch_milliseconds(query.from), period = query.period.count() * 1000;
    const auto rows = TRY(connection.query(
        "SELECT (time_ms - ?) / ? AS period, unit, SUM(samples), SUM(sum), MIN(minimum), MAX(maximum) FROM "
        "metric_sample "
        "WHERE metric_id=? AND time_ms>=? AND time_ms<? GROUP BY period, unit ORDER BY period, unit",
        from, period, metric->integer(0), from, to_epoch_milliseconds(query.until)));
    const auto values =
        query.percentiles.empty() ? ValuesByPeriod() : TRY(load_values(connection, metric->integer(0), query));
    for (const Row& row : rows) {
        MetricPeriod found;
        found.unit = row.text(1);
        if (query.unit && found.unit != *query.unit) continue;
        found.start = from_epoch_milliseconds(from + row.integer(0) * period);
        found.statistics = {row.real(2), row.real(3), row.real(4), row.real(5)};
        const auto own = values.find({row.integer(0), found.unit});
        for (const double percent : query.percentiles)
            found.percentiles.push_back(own == values.end() ? std::nullopt
                                                            : std::optional(percentile_of(own->second, percent)));
        periods.push_back(std::move(found));
    }
    return periods;
}

Result<std::vector<MetricPeriod>> StoredMetrics::query(const MetricQuery& query) {
    return database_.read([&](Connection& connection) { return load_periods(connection, query); });
}

Result<MetricList> StoredMetrics::list(const MetricListQuery& query) {
    MetricList page;
    page.last = query.after;
    int64_t after = query.after;
    const int64_t active = query.active_since ? to_epoch_milliseconds(*query.active_since) : INT64_MIN;
    for (;;) {
        const auto rows = TRY(database_.read([&](Connection& connection) {
            return connection.query(
                "SELECT id, namespace, name, dimensions FROM metric WHERE id>? AND account=? AND region=? "
                "AND (? IS NULL OR "
                "namespace=?) AND (? IS NULL OR name=?) AND last_ms>=? ORDER BY id LIMIT ?",
                after, query.account, query.region, query.metric_namespace, query.metric_namespace, query.name,
                query.name, active, static_cast<uint64_t>(kListStep));
        }));
        for (const Row& row : rows) {
            after = row.integer(0);
            auto dimensions = TRY(dimensions_of(row.text(3)));
            if (!has_all(dimensions, query)) continue;
            page.more = page.metrics.size() == query.limit;
            if (page.more) return page;
            page.metrics.push_back({query.account, query.region, row.text(1), row.text(2), std::move(dimensions)});
            page.last = after;
        }
        if (rows.size() < kListStep) return page;
    }
}

}  // namespace

Result<std::unique_ptr<Metrics>> Metrics::open(Database& database, const Clock& clock) {
    TRY(database.migrate("metrics", kSchema));
    return std::unique_ptr<Metrics>(std::make_unique<StoredMetrics>(database, clock));
}

}  // namespace millwright::resources
