#include "programs/server/config.h"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>

#include <toml++/toml.h>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::programs {
namespace {

using Setter = std::function<Result<void>(Config&, const toml::node&)>;

Error wrong(const char* expected) { return invalid_input(std::string("expected ") + expected); }

Setter text(std::string Config::*field) {
    return [field](Config& config, const toml::node& node) -> Result<void> {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong("a text");
        config.*field = *value;
        return {};
    };
}
Setter flag(bool Config::*field) {
    return [field](Config& config, const toml::node& node) -> Result<void> {
        const auto value = node.value_exact<bool>();
        if (!value) return wrong("true or false");
        config.*field = *value;
        return {};
    };
}
Setter seconds(std::chrono::seconds Config::*field, int64_t most) {
    return [field, most](Config& config, const toml::node& node) -> Result<void> {
        const auto value = node.value_exact<int64_t>();
        if (!value || *value < 0 || *value > most)
            return invalid_input("expected seconds from 0 to " + std::to_string(most));
        config.*field = std::chrono::seconds(*value);
        return {};
    };
}
Result<void> set_log_level(Config& config, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value || (*value != "debug" && *value != "info" && *value != "warning" && *value != "error"))
        return wrong("\"debug\", \"info\", \"warning\" or \"error\"");
    config.log_level = *value;
    return {};
}
Setter host_names(std::vector<std::string> Config::*field) {
    return [field](Config& config, const toml::node& node) -> Result<void> {
        const auto* list = node.as_array();
        if (!list) return wrong("a list of host names");
        std::vector<std::string> names;
        for (const auto& item : *list) {
            const auto value = item.value_exact<std::string>();
            if (!value) return wrong("a list of host names");
            names.push_back(*value);
        }
        config.*field = std::move(names);
        return {};
    };
}
Setter folder(std::string Config::*field) {
    return [field](Config& config, const toml::node& node) -> Result<void> {
        const auto value = node.value_exact<std::string>();
        if (!value || !value->starts_with('/')) return wrong("an absolute path");
        config.*field = *value;
        return {};
    };
}
Result<void> set_tls_certificate(Config& config, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value || (*value != kOwnCertificate && !value->starts_with('/'))) return wrong("\"own\" or an absolute path");
    config.tls_certificate = *value;
    return {};
}
Result<void> set_vcpus(Config& config, const toml::node& node) {
    constexpr int64_t kMost = 100'000;
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 0 || *value > kMost) return wrong("a number from 0 to 100000");
    config.vcpus = *value;
    return {};
}
Result<void> set_keep_failed(Config& config, const toml::node& node) {
    constexpr int64_t kMost = 1000;
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 0 || *value > kMost) return wrong("a number from 0 to 1000");
    config.keep_failed = static_cast<size_t>(*value);
    return {};
}
Result<void> set_keep_failed_gib(Config& config, const toml::node& node) {
    constexpr int64_t kMost = 1'000'000;
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 0 || *value > kMost) return wrong("GiB from 0 to 1000000");
    config.keep_failed_bytes = static_cast<uint64_t>(*value) << 30;
    return {};
}
Result<void> set_spot_mean(Config& config, const toml::node& node) {
    constexpr int64_t kMost = 28 * 86'400;
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 0 || *value > kMost) return wrong("seconds from 0 to 2419200");
    config.spot.mean_between_interruptions = std::chrono::seconds(*value);
    return {};
}
Result<void> set_spot_seed(Config& config, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value) return wrong("a text");
    config.spot.seed = *value;
    return {};
}
Result<void> set_spot_billed_share(Config& config, const toml::node& node) {
    const auto value = node.value<double>();
    if (!node.is_number() || !value || !(*value > 0) || *value > 1) return wrong("a share above 0 and up to 1");
    config.spot.billed_share = *value;
    return {};
}
Result<void> set_audit_file_mib(Config& config, const toml::node& node) {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 1 || *value > 4096) return wrong("a number from 1 to 4096");
    config.audit_file_bytes = static_cast<uint64_t>(*value) << 20;
    return {};
}
Result<void> set_audit_files(Config& config, const toml::node& node) {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 1 || *value > 10'000) return wrong("a number from 1 to 10000");
    config.audit_files = static_cast<size_t>(*value);
    return {};
}
Result<void> set_egress(Config& config, const toml::node& node) {
    static const std::map<std::string, Egress> words = {
        {"packages", Egress::Packages}, {"all", Egress::All}, {"none", Egress::None}};
    const auto value = node.value_exact<std::string>();
    const auto word = value ? words.find(*value) : words.end();
    if (word == words.end()) return wrong("\"packages\", \"all\" or \"none\"");
    config.egress = word->second;
    return {};
}
Result<void> set_container_engine(Config& config, const toml::node& node) {
    static const std::map<std::string, ContainerEngineWish> words = {{"auto", ContainerEngineWish::Auto},
                                                                     {"docker", ContainerEngineWish::Docker},
                                                                     {"podman", ContainerEngineWish::Podman},
                                                                     {"none", ContainerEngineWish::None}};
    const auto value = node.value_exact<std::string>();
    const auto word = value ? words.find(*value) : words.end();
    if (word == words.end()) return wrong("\"auto\", \"docker\", \"podman\" or \"none\"");
    config.container_engine = word->second;
    return {};
}
Result<void> set_container_socket(Config& config, const toml::node& node) {
    auto value = node.value_exact<std::string>();
    constexpr std::string_view kScheme = "unix://";  // as DOCKER_HOST has it
    if (value && value->starts_with(kScheme)) value->erase(0, kScheme.size());
    if (!value || !value->starts_with('/')) return wrong("an absolute path, or unix:// and one");
    config.container_socket = *value;
    return {};
}
Result<void> set_listen_node(Config& config, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value) return wrong("\"HOST:PORT\"");
    return set_listen(config, *value);
}

Result<void> set_lifecycle_day(Config& config, const toml::node& node) {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 1 || *value > 86'400) return wrong("a number of seconds from 1 to 86400");
    config.s3_lifecycle_day = std::chrono::seconds(*value);
    return {};
}

const std::map<std::string, Setter>& setters() {
    static const std::map<std::string, Setter> all = {
        {"server.listen", set_listen_node},
        {"server.log_level", set_log_level},
        {"s3.domains", host_names(&Config::s3_domains)},
        {"s3.open_buckets", flag(&Config::s3_open_buckets)},
        {"s3.lifecycle_day_seconds", set_lifecycle_day},
        {"network.egress", set_egress},
        {"network.allow", host_names(&Config::egress_allow)},
        {"tls.certificate", set_tls_certificate},
        {"tls.key", folder(&Config::tls_key)},
        {"tls.names", host_names(&Config::tls_names)},
        {"proxy.enabled", flag(&Config::proxy_enabled)},
        {"proxy.allow", host_names(&Config::proxy_allow)},
        {"containers.engine", set_container_engine},
        {"containers.socket", set_container_socket},
        {"environments.folder", folder(&Config::environments)},
        {"identity.region", text(&Config::region)},
        {"identity.lenient_roles", flag(&Config::lenient_roles)},
        {"jobs.strict_capacity", flag(&Config::strict_capacity)},
        {"jobs.stop_grace_seconds", seconds(&Config::stop_grace, 3600)},
        {"jobs.vcpus", set_vcpus},
        {"jobs.keep_failed", set_keep_failed},
        {"jobs.keep_failed_gib", set_keep_failed_gib},
        {"spot.mean_seconds_between_interruptions", set_spot_mean},
        {"spot.seed", set_spot_seed},
        {"spot.billed_share", set_spot_billed_share},
        {"metrics.host_interval_seconds", seconds(&Config::host_metrics_interval, 3600)},
        {"audit.enabled", flag(&Config::audit)},
        {"audit.file_mib", set_audit_file_mib},
        {"audit.files", set_audit_files},
        {"waiting.hold_seconds", seconds(&Config::hold, 50)},
    };
    return all;
}

// Sections whose keys are the user's own names.
using NamedSetter = std::function<Result<void>(Config&, const std::string& key, const toml::node&)>;

Result<void> set_file_system(Config& config, const std::string& id, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value || !value->starts_with('/')) return wrong("an absolute path");
    config.file_systems[id] = *value;
    return {};
}

Result<void> set_quota(Config& config, const std::string& name, const toml::node& node) {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < 0) return wrong("a number from 0");
    if (name == "jobs_per_user") {
        config.quotas.jobs_per_user = *value;
    } else if (name == "jobs_per_account") {
        config.quotas.jobs_per_account = *value;
    } else if (name == "max_runtime_seconds") {
        config.quotas.max_runtime = std::chrono::seconds(*value);
    } else if (resources::is_instance_quota_name(name)) {
        config.quotas.instances[name] = *value;
    } else {
        return wrong(
            "jobs_per_user, jobs_per_account, max_runtime_seconds or \"<instance type> for training job usage\"");
    }
    return {};
}

// "registry.example.com" = { user = "…", password_file = "/…" }
Result<void> set_registry(Config& config, const std::string& host, const toml::node& node) {
    const auto* table = node.as_table();
    const auto member = [&](const char* name) {
        const auto* found = table ? table->get(name) : nullptr;
        return found ? found->value_exact<std::string>().value_or("") : "";
    };
    RegistryLogin login{member("user"), member("password_file")};
    const bool complete = table && table->size() == 2 && !login.user.empty() && login.password_file.starts_with('/');
    if (!complete) return wrong("{ user = \"NAME\", password_file = \"/PATH\" }");
    config.registries[host] = std::move(login);
    return {};
}

const std::map<std::string, NamedSetter>& section_setters() {
    static const std::map<std::string, NamedSetter> all = {
        {"file_systems", set_file_system}, {"quotas", set_quota}, {"registries", set_registry}};
    return all;
}

Result<void> set(Config& config, const std::string& section, const std::string& key, const toml::node& node) {
    if (const auto named = section_setters().find(section); named != section_setters().end())
        return named->second(config, key, node);
    const auto setter = setters().find(section + "." + key);
    return setter->second(config, node);
}

Result<void> apply(Config& config, const toml::table& document) {
    for (const auto& [section, content] : document) {
        const auto* table = content.as_table();
        if (!table) return invalid_input("config.toml: '" + std::string(section.str()) + "' is not a section");
        for (const auto& [key, node] : *table) {
            const std::string name = std::string(section.str()) + "." + std::string(key.str());
            const bool known = section_setters().contains(std::string(section.str())) || setters().contains(name);
            if (!known) return invalid_input("config.toml: unknown setting '" + name + "'");
            if (auto outcome = set(config, std::string(section.str()), std::string(key.str()), node); !outcome)
                return invalid_input("config.toml: " + name + ": " + outcome.error().message);
        }
    }
    const bool files = !config.tls_certificate.empty() && config.tls_certificate != kOwnCertificate;
    if (files != !config.tls_key.empty())
        return invalid_input("config.toml: tls.certificate and tls.key name two files, or neither is a file");
    return {};
}

}  // namespace

std::string default_data_dir() {
    if (const char* chosen = std::getenv("MILLWRIGHT_DATA_DIR"); chosen && *chosen) return chosen;
    const char* home = std::getenv("HOME");
    return std::string(home && *home ? home : ".") + "/.millwright";
}

Result<void> set_listen(Config& config, const std::string& given) {
    const size_t colon = given.rfind(':');
    const auto port = parse_int(colon == std::string::npos ? given : given.substr(colon + 1));
    if (!port || *port < 0 || *port > 65535 || colon == 0) return invalid_input("'" + given + "' is not HOST:PORT");
    if (colon != std::string::npos) config.address = given.substr(0, colon);
    config.port = static_cast<uint16_t>(*port);
    return {};
}

Result<Config> load_config(const std::string& data_dir) {
    if (data_dir.empty()) return invalid_input("the data directory has an empty name");
    Config config;
    config.data_dir = std::filesystem::absolute(data_dir).lexically_normal().string();
    const std::string path = config.data_dir + "/config.toml";
    if (!file_exists(path)) return config;
    const std::string content = TRY(read_file(path, size_t{1} << 20));
    try {
        TRY(apply(config, toml::parse(content)));
    } catch (const toml::parse_error& failure) {
        return invalid_input("config.toml, line " + std::to_string(failure.source().begin.line) + ": " +
                             std::string(failure.description()));
    }
    return config;
}

}  // namespace millwright::programs
