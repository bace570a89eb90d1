#include "programs/server/cost_command.h"

#include "metadata_store/read_only.h"
#include "programs/server/prices_file.h"
#include "resources/cost/cost_report.h"
#include "resources/instance_types/instance_types.h"

namespace millwright::programs {
namespace {

using resources::CostOptions;

Result<CostOptions> read_grouping(const CostArguments& arguments) {
    CostOptions options;
    const auto& by = arguments.by;
    const size_t words = by.size();
    if (words == 1 && by[0] == "user") {
        options.by = CostOptions::By::User;
    } else if (words == 1 && by[0] == "day") {
        options.by = CostOptions::By::Day;
    } else if (words == 2 && by[0] == "tag") {
        options.by = CostOptions::By::Tag;
        options.tag = by[1];
    } else if (words != 1 || by[0] != "job") {
        return invalid_input("--by takes job, user, day, or tag and a key");
    }
    options.as_instance_type = arguments.as;
    if (!arguments.as.empty() && !resources::find_instance_type(arguments.as))
        return invalid_input("--as needs an instance type such as ml.p3.2xlarge, not '" + arguments.as + "'");
    return options;
}

Result<std::optional<Timestamp>> read_time(const std::string& text, const char* option,
                                           std::chrono::hours added_to_a_day) {
    if (text.empty()) return std::optional<Timestamp>();
    if (const auto day = parse_iso8601(text + "T00:00:00Z")) return std::optional<Timestamp>(*day + added_to_a_day);
    const auto time = parse_iso8601(text);
    if (!time) return invalid_input(std::string(option) + " needs a day (2026-11-23) or a time in ISO 8601");
    return time;
}

}  // namespace

Result<std::string> cost_text(const Config& config, const CostArguments& arguments) {
    const auto options = TRY(read_grouping(arguments));
    if (arguments.json && arguments.csv) return invalid_input("--json or --csv, not both");
    resources::LedgerQuery query;
    query.region = arguments.region;
    query.from = TRY(read_time(arguments.since, "--since", std::chrono::hours(0)));
    query.until = TRY(read_time(arguments.until, "--until", std::chrono::hours(24)));
    const resources::Prices prices(TRY(load_own_prices(config.data_dir + "/prices.toml")));
    const auto store = TRY(metadata_store::open_read_only(config.data_dir + "/metadata.db"));
    const auto entries = TRY(resources::read_ledger(*store, query));
    const auto report = resources::report_cost(entries, prices, options);
    if (arguments.json) return to_json(report).dump() + "\n";
    return arguments.csv ? to_csv(report) : to_text(report, options);
}

}  // namespace millwright::programs
