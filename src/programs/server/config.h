// What a user can set, in <data-dir>/config.toml and on the command line. docs/reference/configuration.md lists it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "resources/training_jobs/training_jobs.h"
#include "resources/training_jobs/training_quotas.h"

namespace millwright::programs {

// What jobs without network isolation reach outside this machine: package indexes, everything public, or nothing.
enum class Egress { Packages, All, None };

// What runs images: an engine when one answers, one kind of engine, or namespaces of our own.
enum class ContainerEngineWish { Auto, Docker, Podman, None };

// How to log in to a registry other than our own.
struct RegistryLogin {
    std::string user;
    std::string password_file;  // absolute; its first line is the password
};

struct Config {
    std::string data_dir;  // absolute
    std::string address = "127.0.0.1";
    uint16_t port = 9770;
    std::vector<std::string> s3_domains = {"localhost"};  // bucket.<domain> addresses a bucket
    bool s3_open_buckets = false;                         // new buckets have access lists, and nothing is blocked
    std::chrono::seconds s3_lifecycle_day{86'400};        // what lifecycle rules call a day
    std::string region = "us-west-2";                     // of a new data directory
    bool lenient_roles = true;
    bool strict_capacity = false;
    int64_t vcpus = 0;              // that jobs share; 0: as many as the machine has
    std::chrono::seconds hold{20};  // the longest a polling Describe is held; 0 switches it off
    std::chrono::seconds stop_grace{120};
    resources::SpotSettings spot;
    size_t keep_failed = 5;                           // so many failed jobs keep their files,
    uint64_t keep_failed_bytes = uint64_t{20} << 30;  // and so many bytes together
    std::string log_level = "info";
    resources::TrainingQuotas quotas;
    std::chrono::seconds host_metrics_interval{10};  // 0: the hosts of jobs are not measured
    Egress egress = Egress::Packages;
    std::vector<std::string> egress_allow;            // further hosts, see net/egress_rules.h
    std::string tls_certificate, tls_key;             // PEM files; or kOwnCertificate; empty: no TLS
    std::vector<std::string> tls_names;               // further host names and addresses of the own certificate
    bool proxy_enabled = true;                        // CONNECT to AWS's hosts is answered here
    std::vector<std::string> proxy_allow;             // what else CONNECT may reach, see net/egress_rules.h
    std::string environments;                         // folder of the Python environments; empty: in the data directory
    std::map<std::string, std::string> file_systems;  // FileSystemId -> absolute folder
    ContainerEngineWish container_engine = ContainerEngineWish::Auto;
    std::string container_socket;                     // absolute path of the engine's socket; empty: looked for
    std::map<std::string, RegistryLogin> registries;  // by host, "registry.example.com:5000"
    bool audit = true;                                // a line for every request below <data_dir>/logs/audit
    uint64_t audit_file_bytes = uint64_t{64} << 20;
    size_t audit_files = 10;
};

// As tls_certificate: one that the server's own authority issues.
inline constexpr const char* kOwnCertificate = "own";

// ~/.millwright unless $MILLWRIGHT_DATA_DIR is set.
std::string default_data_dir();
// Reads <data_dir>/config.toml when there is one. Unknown keys and wrong types are errors that name the key.
Result<Config> load_config(const std::string& data_dir);
// "HOST:PORT" or "PORT"; port 0 means any free one.
Result<void> set_listen(Config& config, const std::string& text);

}  // namespace millwright::programs
