#include "resources/cost/cost_report.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace millwright::resources {
namespace {

using By = CostOptions::By;

void add(std::optional<Money>& sum, const std::optional<Money>& amount) {
    if (!amount) return;
    sum = sum.value_or(Money{}) + *amount;
}

void add(CostLine& line, const CostLine& other) {
    line.jobs += other.jobs;
    line.unpriced_jobs += other.unpriced_jobs;
    line.training_seconds += other.training_seconds;
    line.billable_seconds += other.billable_seconds;
    add(line.amounts.list, other.amounts.list);
    add(line.amounts.savings, other.amounts.savings);
    add(line.amounts.own, other.amounts.own);
    add(line.amounts.as, other.amounts.as);
}

// The price of each type that was asked for, for the foot of the report.
using Asked = std::map<std::pair<std::string, std::string>, Price>;  // (region, instance type)

const Price& ask(Asked& asked, const Prices& prices, const std::string& region, const std::string& type) {
    auto [entry, is_new] = asked.try_emplace({region, type});
    if (is_new) entry->second = prices.find(region, type);
    return entry->second;
}

// All groups or nothing: half a job's cost is no cost.
struct Sum {
    Money amount;
    bool complete = true;
    void add(const std::optional<Money>& per_hour, int64_t seconds, int64_t instances) {
        if (!per_hour) {
            complete = false;
        } else {
            amount += cost_of(*per_hour, seconds, instances);
        }
    }
    std::optional<Money> result() const { return complete ? std::optional(amount) : std::nullopt; }
};

CostLine line_of(const LedgerEntry& entry, const Prices& prices, const CostOptions& options, Asked& asked) {
    CostLine line;
    line.jobs = 1;
    Sum list, on_demand, own, as;
    for (const auto& group : entry.groups) {
        const auto& price = ask(asked, prices, entry.region, group.instance_type);
        const bool at_spot_price = entry.spot && price.spot;
        list.add(at_spot_price ? price.spot : price.list,
                 at_spot_price ? entry.training_seconds : entry.billable_seconds, group.instances);
        on_demand.add(price.list, entry.training_seconds, group.instances);
        own.add(price.own, entry.training_seconds, group.instances);
        if (!options.as_instance_type.empty()) {
            as.add(ask(asked, prices, entry.region, options.as_instance_type).list, entry.training_seconds,
                   group.instances);
        }
        line.training_seconds += entry.training_seconds * group.instances;
        line.billable_seconds += entry.billable_seconds * group.instances;
        if (!line.instances.empty()) line.instances += " + ";
        line.instances += std::to_string(group.instances) + " x " + group.instance_type;
    }
    line.amounts.list = list.result();
    if (list.complete && on_demand.complete) line.amounts.savings = on_demand.amount - list.amount;
    line.amounts.own = own.result();
    if (!options.as_instance_type.empty()) line.amounts.as = as.result();
    line.unpriced_jobs = list.complete ? 0 : 1;
    return line;
}

std::string key_of(const LedgerEntry& entry, const CostOptions& options) {
    switch (options.by) {
        case By::Job:
            return entry.name;
        case By::User:
            return entry.owner;
        case By::Day:
            return format_iso8601(entry.ended).substr(0, 10);
        case By::Tag:
            break;
    }
    const auto tag = std::find_if(entry.tags.begin(), entry.tags.end(),
                                  [&](const auto& candidate) { return candidate.first == options.tag; });
    return tag == entry.tags.end() ? "" : tag->second;
}

std::vector<std::string> price_notes(const Asked& asked) {
    std::vector<std::string> notes;
    for (const auto& [key, price] : asked) {
        const auto& [region, type] = key;
        if (!price.list) {
            notes.push_back(type + ": no price known; set one in prices.toml");
            continue;
        }
        std::string note = type + ": $" + to_text(*price.list) + "/h (" + price.as_of;
        if (!price.region.empty()) note += ", " + price.region;
        if (!price.region.empty() && price.region != region) note += ", none known for " + region;
        notes.push_back(note + ")");
    }
    return notes;
}

std::string amount_text(const std::optional<Money>& amount) { return amount ? to_text(*amount) : "-"; }

std::string heading(const CostOptions& options) {
    switch (options.by) {
        case By::Job:
            return "JOB";
        case By::User:
            return "USER";
        case By::Day:
            return "DAY";
        case By::Tag:
            return "TAG " + options.tag;
    }
    return "";
}

using Cells = std::vector<std::string>;

// The first two columns to the left, numbers to the right.
std::string aligned(const std::vector<Cells>& rows) {
    std::vector<size_t> widths(rows.front().size());
    for (const auto& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - row[i].size(), ' ');
            if (i > 0) line += "  ";
            line += i < 2 ? row[i] + padding : padding + row[i];
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + '\n';
    }
    return out;
}

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + '"';
}

std::string csv_amount(const std::optional<Money>& amount) { return amount ? to_text(*amount) : ""; }

Json json_amount(const std::optional<Money>& amount) { return amount ? Json(to_text(*amount)) : Json(); }

Json json_line(const CostLine& line) {
    return Json::object({{"key", line.key},
                         {"jobs", line.jobs},
                         {"unpriced_jobs", line.unpriced_jobs},
                         {"instances", line.instances},
                         {"training_seconds", line.training_seconds},
                         {"billable_seconds", line.billable_seconds},
                         {"list_usd", json_amount(line.amounts.list)},
                         {"spot_savings_usd", json_amount(line.amounts.savings)},
                         {"own_usd", json_amount(line.amounts.own)},
                         {"as_usd", json_amount(line.amounts.as)}});
}

}  // namespace

CostReport report_cost(const std::vector<LedgerEntry>& entries, const Prices& prices, const CostOptions& options) {
    CostReport report;
    Asked asked;
    std::map<std::string, CostLine> groups;
    for (const auto& entry : entries) {
        auto line = line_of(entry, prices, options, asked);
        line.key = key_of(entry, options);
        add(report.total, line);
        if (options.by == By::Job) {
            report.lines.push_back(std::move(line));
            continue;
        }
        auto& group = groups[line.key];
        group.key = line.key;
        add(group, line);
    }
    for (auto& [key, line] : groups) report.lines.push_back(std::move(line));
    report.total.key = "total";
    report.prices = price_notes(asked);
    return report;
}

std::string to_text(const CostReport& report, const CostOptions& options) {
    const bool with_as = !options.as_instance_type.empty(), by_job = options.by == By::Job;
    Cells head = {heading(options), by_job ? "INSTANCES" : "JOBS", "SECONDS", "BILLED", "LIST $", "SAVED $", "OWN $"};
    if (with_as) head.push_back("AS " + options.as_instance_type + " $");
    std::vector<Cells> rows = {std::move(head)};
    const auto add_row = [&](const CostLine& line, const std::string& key, const std::string& second) {
        const auto& amounts = line.amounts;
        Cells row = {key,
                     second,
                     std::to_string(line.training_seconds),
                     std::to_string(line.billable_seconds),
                     amount_text(amounts.list),
                     amount_text(amounts.savings),
                     amount_text(amounts.own)};
        if (with_as) row.push_back(amount_text(amounts.as));
        rows.push_back(std::move(row));
    };
    for (const auto& line : report.lines) {
        add_row(line, line.key.empty() ? "(none)" : line.key, by_job ? line.instances : std::to_string(line.jobs));
    }
    add_row(report.total, "total", std::to_string(report.total.jobs) + (report.total.jobs == 1 ? " job" : " jobs"));
    std::string out = aligned(rows);
    if (report.total.unpriced_jobs > 0) {
        out += "\nWithout a price, and not in the sums: " + std::to_string(report.total.unpriced_jobs) +
               (report.total.unpriced_jobs == 1 ? " job.\n" : " jobs.\n");
    }
    if (!report.prices.empty()) out += "\nPrices per instance hour:\n";
    for (const auto& price : report.prices) out += "  " + price + '\n';
    return out;
}

std::string to_csv(const CostReport& report) {
    std::string out =
        "key,instances,jobs,unpriced_jobs,training_seconds,billable_seconds,list_usd,spot_savings_usd,own_usd,as_"
        "usd\r\n";
    for (const auto& line : report.lines) {
        out += csv_field(line.key) + ',' + csv_field(line.instances) + ',' + std::to_string(line.jobs) + ',' +
               std::to_string(line.unpriced_jobs) + ',' + std::to_string(line.training_seconds) + ',' +
               std::to_string(line.billable_seconds) + ',' + csv_amount(line.amounts.list) + ',' +
               csv_amount(line.amounts.savings) + ',' + csv_amount(line.amounts.own) + ',' +
               csv_amount(line.amounts.as) + "\r\n";
    }
    return out;
}

Json to_json(const CostReport& report) {
    auto lines = Json::array(), prices = Json::array();
    for (const auto& line : report.lines) lines.push_back(json_line(line));
    for (const auto& price : report.prices) prices.push_back(price);
    return Json::object({{"currency", "USD"},
                         {"lines", std::move(lines)},
                         {"total", json_line(report.total)},
                         {"prices", std::move(prices)}});
}

}  // namespace millwright::resources
