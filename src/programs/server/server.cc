#include "programs/server/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "aws/audit_log.h"
#include "aws/pipeline.h"
#include "aws/token.h"
#include "base/files.h"
#include "base/log.h"
#include "executors/process/process_executor.h"
#include "inference/gateway.h"
#include "inference/replica_channel.h"
#include "jobs/supervisor.h"
#include "metadata_store/database.h"
#include "net/egress_proxy.h"
#include "net/http_server.h"
#include "object_store/lifecycle_worker.h"
#include "object_store/object_store.h"
#include "programs/server/certificates.h"
#include "programs/server/containers.h"
#include "programs/server/control_socket.h"
#include "programs/server/egress.h"
#include "registry/registry.h"
#include "resources/endpoints/endpoint_configs.h"
#include "resources/endpoints/endpoints.h"
#include "resources/environments/environments.h"
#include "resources/identity/access_control.h"
#include "resources/identity/identity.h"
#include "resources/identity/registry_login.h"
#include "resources/image_lifecycle/lifecycle_worker.h"
#include "resources/logs/logs.h"
#include "resources/metrics/metrics.h"
#include "resources/models/models.h"
#include "resources/tags/tags.h"
#include "resources/training_jobs/training_jobs.h"
#include "services/cloudwatch/cloudwatch.h"
#include "services/ecr/ecr.h"
#include "services/iam/iam.h"
#include "services/logs/logs.h"
#include "services/registry/registry_service.h"
#include "services/s3/s3_service.h"
#include "services/s3/target.h"
#include "services/sagemaker/sagemaker.h"
#include "services/sagemaker_runtime/sagemaker_runtime.h"
#include "services/sts/sts.h"

namespace millwright::programs {
namespace {

// Of the metadata store, on a disk that is large enough.
constexpr uint64_t kReserveBytes = uint64_t{16} << 20, kLogBytes = uint64_t{16} << 20;

// One server at a time works on a data directory.
Result<Fd> lock_data_directory(const std::string& folder) {
    TRY(make_directories(folder, 0700));
    struct stat status {};
    if (stat(folder.c_str(), &status) != 0) return error_from_errno("cannot look at " + folder);
    // Who may rename files in it can replace the credentials.
    if ((status.st_mode & S_IWOTH) != 0)
        return Error{ErrorKind::Denied,
                     folder + " can be changed by every user of this machine; run: chmod go-w " + folder, ""};
    Fd lock = TRY(open_file(folder + "/lock", O_RDWR | O_CREAT, 0600));
    // A server that was killed while it started a program leaves the lock to that child for a moment.
    constexpr int kTries = 100, kPauseMilliseconds = 20;
    for (int tries = 0; flock(lock.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
        if (tries < kTries) {
            ::poll(nullptr, 0, kPauseMilliseconds);
            continue;
        }
        return Error{ErrorKind::Conflict, "another server is already running with " + folder, ""};
    }
    return lock;
}

void raise_open_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

object_store::LifecycleWorker::Settings lifecycle_settings(const Config& config) {
    object_store::LifecycleWorker::Settings settings;
    settings.day.length = config.s3_lifecycle_day;
    // An hour, of a day of usual length; often enough in tests.
    settings.pause = std::max<std::chrono::milliseconds>(settings.day.length / 24, std::chrono::milliseconds(200));
    return settings;
}

resources::ImageLifecycleWorker::Settings image_lifecycle_settings(const Config& config) {
    const auto settings = lifecycle_settings(config);
    return {.day = settings.day.length, .pause = settings.pause};
}

Result<std::unique_ptr<executors::Executor>> open_executor(const Config& config, const std::string& programs) {
    const std::string launcher = programs + "/millwright-launcher", scratch = config.data_dir + "/jobs";
    TRY(make_directories(scratch, 0700));
    spread_subfolders(scratch);
    auto probe = TRY(executors::probe_machine({.launcher = launcher, .scratch = scratch}));
    if (probe.tier == executors::Tier::None)
        log::warning("jobs cannot run on this machine: " + probe.missing + " (millwright doctor tells more)");
    else
        log::info(std::string("process executor: tier ") + executors::to_string(probe.tier));
    // Jobs see the machine's folders below their real names.
    std::error_code ignored;
    const std::string real = std::filesystem::canonical(config.data_dir, ignored).string();
    std::vector<std::string> hidden = {config.data_dir};
    if (!real.empty() && real != config.data_dir) hidden.push_back(real);
    return executors::make_process_executor(
        {.launcher = launcher, .probe = std::move(probe), .hidden_paths = std::move(hidden)});
}

// Quietly: nobody learns here what the SDKs were used for.
bool swallowed_telemetry(const net::Request& request, net::ResponseWriter& response) {
    if (!is_telemetry_host(request.headers.find("Host").value_or(""))) return false;
    static_cast<void>(response.send(200, {}, "").has_value());
    return true;
}

void answer_health(net::Request&, net::ResponseWriter& response) {
    const Json body = Json::object({{"status", "ok"}, {"version", MILLWRIGHT_VERSION}});
    static_cast<void>(response.send(200, {{"Content-Type", "application/json"}}, body.dump()).has_value());
}

net::Handler container_credentials(resources::Identity& identity) {
    return [&identity](net::Request& request, net::ResponseWriter& response) {
        const auto keys = identity.job_credentials(request.raw_path());
        if (!keys) {
            static_cast<void>(
                response.send(404, {{"Content-Type", "application/json"}}, R"({"message":"no such credentials"})")
                    .has_value());
            return;
        }
        const Json body = Json::object({{"RoleArn", keys->role_arn},
                                        {"AccessKeyId", keys->access_key_id},
                                        {"SecretAccessKey", keys->secret_access_key},
                                        {"Token", keys->session_token},
                                        {"Expiration", format_iso8601(keys->expires)}});
        static_cast<void>(response.send(200, {{"Content-Type", "application/json"}}, body.dump()).has_value());
    };
}

// Kept, so that what it seals is good after a restart: page tokens, passwords for the registry.
Result<std::string> secret_key(const std::string& folder, const std::string& name) {
    const std::string path = folder + "/" + name;
    if (auto known = read_file(path); known && !known->empty()) return known;
    const std::string fresh = system_random().bytes(32);
    TRY(replace_file_durably(path, fresh, 0600));
    return fresh;
}

// Jobs reach the server at an address of the host, which must be known before the first one is taken over.
Result<uint16_t> choose_port(const Config& config) {
    if (config.port != 0) return config.port;
    const auto probe = TRY(net::HttpServer::start(
        {.address = config.address, .port = 0, .control_threads = 1, .data_threads = 1, .inference_threads = 1},
        [](const net::Request&) { return net::Pool::Control; }, answer_health));
    return probe->port();
}

std::string address_for_jobs(const Config& config) {
    const bool any = config.address == "0.0.0.0" || config.address == "::";
    const std::string host = any ? "127.0.0.1" : config.address;
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(config.port);
}

// Whom access control lists can name.
std::vector<std::string> account_numbers(resources::Identity& identity) {
    std::vector<std::string> numbers;
    if (const auto accounts = identity.accounts())
        for (const auto& account : *accounts) numbers.push_back(account.account);
    return numbers;
}

// Members are in the order in which they are built; each uses only those above it.
class MillwrightServer final : public Server {
  public:
    explicit MillwrightServer(Config config) : config_(std::move(config)) {}
    ~MillwrightServer() override;

    Result<void> open(const std::string& programs);
    Result<void> listen() override;
    std::vector<aws::Service> services();

  private:
    Result<void> open_stores_and_executor(const std::string& programs);
    Result<void> open_stores();
    Result<void> open_registry();
    services::EcrParts ecr_parts();
    Result<void> open_environments();
    Result<void> open_jobs(const std::string& programs);
    Result<void> open_serving(const std::string& programs);
    Result<std::unique_ptr<net::HttpServer>> start_front(const net::ServerSettings& settings);

    Config config_;
    Fd lock_;
    std::unique_ptr<aws::PageTokens> page_tokens_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<object_store::ObjectStore> objects_;
    std::unique_ptr<object_store::LifecycleWorker> lifecycle_;
    std::unique_ptr<resources::Identity> identity_;
    std::unique_ptr<resources::Logs> logs_;
    std::unique_ptr<resources::Metrics> metrics_;
    std::unique_ptr<resources::Tags> tags_;
    std::unique_ptr<registry::Registry> registry_;
    std::unique_ptr<resources::RegistryLogin> registry_login_;
    std::unique_ptr<resources::ImageLifecycleWorker> image_lifecycle_;
    std::unique_ptr<executors::Executor> processes_;
    std::unique_ptr<Containers> containers_;
    executors::Executor* executor_ = nullptr;  // of both
    std::unique_ptr<resources::Environments> environments_;
    std::unique_ptr<net::EgressProxy> egress_;
    std::unique_ptr<jobs::Supervisor> supervisor_;
    std::unique_ptr<resources::TrainingJobs> training_jobs_;
    std::unique_ptr<resources::Models> models_;
    std::unique_ptr<resources::EndpointConfigs> endpoint_configs_;
    std::unique_ptr<resources::Endpoints> endpoints_;
    std::unique_ptr<inference::Gateway> gateway_;
    std::unique_ptr<aws::AuditLog> audit_;
    std::unique_ptr<aws::Front> front_;
    std::unique_ptr<AwsProxy> aws_proxy_;
    std::unique_ptr<net::HttpServer> control_;
    std::unique_ptr<net::HttpServer> api_;  // the same as http_, for containers
    std::unique_ptr<net::HttpServer> http_;
};

MillwrightServer::~MillwrightServer() {
    // First whatever holds a request back, so that the workers can be joined; then what acts on its own; then what
    // calls back. Jobs and replicas live on.
    if (endpoints_) endpoints_->shut_down();
    if (training_jobs_) training_jobs_->release_waiting();
    http_.reset();
    api_.reset();
    control_.reset();
    if (supervisor_) supervisor_->shut_down();
    egress_.reset();
    containers_.reset();
    processes_.reset();
    ::unlink((config_.data_dir + "/server.json").c_str());
}

Result<void> MillwrightServer::open(const std::string& programs) {
    raise_open_file_limit();
    lock_ = TRY(lock_data_directory(config_.data_dir));
    config_.port = TRY(choose_port(config_));
    TRY(open_stores_and_executor(programs));
    TRY(open_jobs(programs));
    TRY(open_serving(programs));
    if (config_.audit)
        audit_ = TRY(aws::AuditLog::open({.folder = config_.data_dir + "/logs/audit",
                                          .max_file_bytes = config_.audit_file_bytes,
                                          .max_files = config_.audit_files}));
    front_ = std::make_unique<aws::Front>(
        services(), *identity_, system_clock(), system_random(),
        std::vector<aws::RawRoute>{{"/health", answer_health},
                                   {"/v2/credentials/", container_credentials(*identity_), true}},
        aws::FrontSettings{.bucket_of_host = [domains = config_.s3_domains](
                                                 std::string_view host) { return s3::bucket_of_host(host, domains); },
                           .authorizer = &identity_->access(),
                           .audit = audit_.get(),
                           .guests = {services::ecr_layer_downloads(ecr_parts()),
                                      services::registry_route({*registry_, *registry_login_, *tags_})}});
    return {};
}

Result<void> MillwrightServer::open_stores() {
    const std::string& folder = config_.data_dir;
    page_tokens_ = std::make_unique<aws::PageTokens>(TRY(secret_key(folder, "page-token.key")));
    database_ = TRY(metadata_store::Database::open(folder + "/metadata.db",
                                                   {.reserve_bytes = kReserveBytes, .log_bytes = kLogBytes}));
    objects_ = TRY(object_store::ObjectStore::open(folder + "/objects", *database_, system_clock(), system_random()));
    lifecycle_ = object_store::LifecycleWorker::start(*objects_, system_clock(), lifecycle_settings(config_));
    identity_ = TRY(resources::Identity::open(folder, *database_, system_clock(), system_random(),
                                              {.region = config_.region, .lenient_roles = config_.lenient_roles}));
    logs_ = TRY(resources::Logs::open(folder + "/logs", *database_, system_clock(), system_random()));
    metrics_ = TRY(resources::Metrics::open(*database_, system_clock()));
    tags_ = TRY(resources::Tags::open(*database_));
    return open_registry();
}

Result<void> MillwrightServer::open_registry() {
    const std::string key = TRY(secret_key(config_.data_dir, "registry-login.key"));
    registry_login_ =
        std::make_unique<resources::RegistryLogin>(*identity_, system_clock(), key, identity_->root().region);
    registry_ =
        TRY(registry::Registry::open(config_.data_dir + "/registry", *database_, system_clock(), system_random()));
    image_lifecycle_ =
        resources::ImageLifecycleWorker::start(*registry_, system_clock(), image_lifecycle_settings(config_));
    return {};
}

services::EcrParts MillwrightServer::ecr_parts() {
    return {*registry_, *tags_, *registry_login_, identity_->access(), *page_tokens_};
}

// Trying out what the machine permits takes as long as opening the stores, and neither needs the other.
Result<void> MillwrightServer::open_stores_and_executor(const std::string& programs) {
    Result<std::unique_ptr<executors::Executor>> executor = internal_error("the executor was not opened");
    {
        const std::jthread probing([&] { executor = open_executor(config_, programs); });
        TRY(open_stores());
    }
    // On a disk that was full the stores have given up their reserve.
    if (!executor && executor.error().kind == ErrorKind::LimitExceeded) executor = open_executor(config_, programs);
    processes_ = TRY(std::move(executor));
    containers_ = TRY(Containers::open(
        {config_, programs, address_for_jobs(config_), *processes_, *registry_, *registry_login_, *identity_, *tags_}));
    executor_ = &containers_->executor();
    return {};
}

std::string egress_socket(const Config& config) {
    return config.egress == Egress::None ? "" : config.data_dir + "/egress.sock";
}

Result<void> MillwrightServer::open_environments() {
    const auto folder = config_.environments.empty() ? config_.data_dir + "/environments" : config_.environments;
    environments_ = TRY(resources::Environments::open(
        {.folder = folder, .egress_socket = egress_socket(config_), .run_folders = {config_.data_dir + "/jobs"}},
        *executor_));
    if (auto egress = start_egress(config_, egress_socket(config_)))
        egress_ = std::move(*egress);
    else
        log::warning("opening the way to package indexes", egress.error());
    return {};
}

Result<void> MillwrightServer::open_jobs(const std::string& programs) {
    TRY(open_environments());
    jobs::SupervisorSettings supervision;
    if (config_.vcpus > 0) supervision.machine.cpus = static_cast<double>(config_.vcpus);
    supervisor_ = jobs::Supervisor::start(supervision, *executor_);
    const resources::TrainingJobSettings settings{.folder = config_.data_dir + "/jobs",
                                                  .algorithms_program = programs + "/millwright-algorithms",
                                                  .runner_program = programs + "/millwright-runner",
                                                  .python_folder = programs + "/../share/python",
                                                  .forward_to = address_for_jobs(config_),
                                                  .egress_socket = egress_socket(config_),
                                                  .egress_for_all = config_.egress == Egress::All,
                                                  .file_systems = config_.file_systems,
                                                  .strict_capacity = config_.strict_capacity,
                                                  .stop_grace = config_.stop_grace,
                                                  .quotas = config_.quotas,
                                                  .host_metrics_interval = config_.host_metrics_interval,
                                                  .spot = config_.spot,
                                                  .keep_failed = config_.keep_failed,
                                                  .keep_failed_bytes = config_.keep_failed_bytes};
    training_jobs_ = TRY(resources::TrainingJobs::open(
        settings, {*database_, *objects_, *executor_, *supervisor_, *identity_, *logs_, *metrics_, *tags_,
                   system_clock(), system_random(), environments_.get(), &containers_->names()}));
    return {};
}

Result<void> MillwrightServer::open_serving(const std::string& programs) {
    models_ = TRY(
        resources::Models::open({*database_, *objects_, *identity_, *tags_, system_clock(), &containers_->names()}));
    endpoint_configs_ = TRY(resources::EndpointConfigs::open({*database_, *models_, *tags_, system_clock()}));
    const inference::GatewaySettings gateway;
    const auto open_channel = [most = gateway.max_body_bytes](const std::string& address) {
        return inference::open_replica_channel(address, most);
    };
    endpoints_ = TRY(resources::Endpoints::open(
        {.folder = config_.data_dir + "/endpoints",
         .algorithms_program = programs + "/millwright-algorithms",
         .forward_to = address_for_jobs(config_),
         .egress_socket = egress_socket(config_)},
        {*database_, *objects_, *executor_, *models_, *endpoint_configs_, *logs_, *tags_, open_channel, system_clock(),
         system_random(), &containers_->names(), identity_.get()}));
    gateway_ = std::make_unique<inference::Gateway>(endpoints_->routes(), *metrics_, system_clock(), gateway);
    return {};
}

std::vector<aws::Service> MillwrightServer::services() {
    aws::Service sagemaker = services::sagemaker_service({.training_jobs = *training_jobs_,
                                                          .models = *models_,
                                                          .endpoint_configs = *endpoint_configs_,
                                                          .endpoints = *endpoints_,
                                                          .tags = *tags_,
                                                          .identity = *identity_,
                                                          .page_tokens = *page_tokens_,
                                                          .longest_hold = config_.hold});
    // The runtime shares the signing name and is what comes without X-Amz-Target.
    aws::Service runtime{.signing_name = "sagemaker",
                         .model = "sagemaker-runtime",
                         .protocol = aws::Protocol::Stream,
                         .operations = {{"InvokeEndpoint", nullptr}, {"InvokeEndpointWithResponseStream", nullptr}},
                         .stream = services::sagemaker_runtime_handler(*gateway_)};
    return {std::move(sagemaker),
            std::move(runtime),
            s3::s3_service(*objects_, {.domains = config_.s3_domains,
                                       .open_buckets = config_.s3_open_buckets,
                                       .credentials = identity_.get(),
                                       .accounts = [this] { return account_numbers(*identity_); }}),
            services::logs_service(*logs_),
            services::cloudwatch_service(*metrics_),
            services::sts_service(*identity_),
            services::ecr_service(ecr_parts()),
            services::iam_service(*identity_)};
}

Result<std::unique_ptr<net::HttpServer>> MillwrightServer::start_front(const net::ServerSettings& settings) {
    return net::HttpServer::start(
        settings, [this](const net::Request& request) { return front_->choose_pool(request); },
        [this](net::Request& request, net::ResponseWriter& response) {
            if (!swallowed_telemetry(request, response)) front_->handle(request, response);
        });
}

Result<void> MillwrightServer::listen() {
    TRY(make_directories(config_.data_dir + "/api", 0700));
    control_ = TRY(start_control_socket(config_.data_dir, {.training_jobs = *training_jobs_,
                                                           .logs = *logs_,
                                                           .identity = *identity_,
                                                           .registry = *registry_,
                                                           .unpacked = containers_->unpacked(),
                                                           .account = identity_->root().account,
                                                           .region = identity_->root().region}));
    if (config_.proxy_enabled) aws_proxy_ = TRY(AwsProxy::open(config_));
    net::ServerSettings settings{.address = config_.address, .port = config_.port};
    settings.tls = TRY(server_certificate(config_));
    if (aws_proxy_) settings.connect = [this](std::string_view authority) { return aws_proxy_->decide(authority); };
    // Of jobs only. The pools grow when they need to.
    api_ = TRY(start_front(
        {.unix_path = config_.data_dir + kApiSocket, .control_threads = 4, .data_threads = 8, .inference_threads = 2}));
    http_ = TRY(start_front(settings));
    const std::string url =
        (settings.tls ? "https://" : "http://") + config_.address + ":" + std::to_string(http_->port());
    TRY(replace_file_durably(config_.data_dir + "/server.json",
                             Json::object({{"url", url}, {"pid", int64_t{getpid()}}}).dump()));
    log::info("listening on " + url + ", state in " + config_.data_dir);
    return {};
}

std::string as_markdown(const Json& described) {
    std::string out;
    for (const auto& service : described.items()) {
        out += "## " + service["service"].string_or("") + "\n\n| Operation | Implemented |\n|---|---|\n";
        for (const auto& operation : service["operations"].items())
            out += "| `" + operation["name"].string_or("") + "` | " +
                   (operation["implemented"].bool_or(false) ? "yes" : "no") + " |\n";
        out += '\n';
    }
    return out;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const Config& config, const std::string& programs) {
    auto server = std::make_unique<MillwrightServer>(config);
    TRY(server->open(programs));
    return std::unique_ptr<Server>(std::move(server));
}

Result<std::string> list_operations(OperationsFormat format) {
    // The tables hang on the resources they work on, so these are made in a folder that lives as long as this call.
    std::string folder = "/tmp/millwright-operations-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) return error_from_errno("cannot create a temporary folder");
    Json described;
    {
        Config config;
        config.data_dir = folder;
        config.port = 0;
        log::set_level(log::Level::Error);
        MillwrightServer server(config);
        if (auto outcome = server.open(folder_of_this_program()); !outcome) {
            static_cast<void>(remove_tree(folder).has_value());
            return outcome.error();
        }
        described = aws::describe_operations(server.services());
    }
    TRY(remove_tree(folder));
    return format == OperationsFormat::Markdown ? as_markdown(described) : described.dump() + "\n";
}

std::string folder_of_this_program() {
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

}  // namespace millwright::programs
