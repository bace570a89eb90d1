// What the jobs of the ledger have cost, or would have cost: pure arithmetic over entries and prices.
//
//   list      what AWS bills: billable seconds at the list price, of each instance. A spot job with a spot price in the
//             user's table costs all its seconds at that price instead.
//   savings   what spot has saved: all seconds at the list price, less `list`
//   own       all seconds at the user's own cost per hour
//   as        all seconds at the list price of another instance type, as many instances: "what would it have cost"
//
// An amount that needs a price nobody knows is left out, and the line counts such jobs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "resources/cost/ledger.h"
#include "resources/cost/prices.h"

namespace millwright::resources {

struct CostOptions {
    enum class By { Job, User, Tag, Day };
    By by = By::Job;
    std::string tag;               // By::Tag: its key
    std::string as_instance_type;  // empty: no such column
};

struct Amounts {
    std::optional<Money> list, savings, own, as;
};

struct CostLine {
    std::string key;  // job name, ARN of the user, value of the tag ("" without it), day ("2026-11-23", UTC)
    int64_t jobs = 0, unpriced_jobs = 0;
    int64_t training_seconds = 0, billable_seconds = 0;  // of instances: a job of two for a minute has 120
    std::string instances;                               // By::Job: "2 x ml.m5.xlarge", groups joined by " + "
    Amounts amounts;                                     // absent: of no job anything is known
};

struct CostReport {
    std::vector<CostLine> lines;      // By::Job: in order of end; else by key
    CostLine total;                   // the sum of the lines, to the last digit
    std::vector<std::string> prices;  // "ml.m5.xlarge: $0.230000/h (us-east-1, 2026-09-24)", also of what is unknown
};

CostReport report_cost(const std::vector<LedgerEntry>& entries, const Prices& prices, const CostOptions& options);

// Aligned columns, a total and the prices used.
std::string to_text(const CostReport& report, const CostOptions& options);
std::string to_csv(const CostReport& report);  // RFC 4180, with a header and without the total
Json to_json(const CostReport& report);        // amounts as texts of dollars, absent ones as null

}  // namespace millwright::resources
