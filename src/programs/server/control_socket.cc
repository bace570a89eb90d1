#include "programs/server/control_socket.h"

#include "base/strings.h"
#include "programs/server/image_repositories.h"
#include "programs/server/job_card.h"
#include "resources/training_jobs/run_logs.h"
#include "resources/training_jobs/training_job_card.h"

namespace millwright::programs {
namespace {

constexpr const char* kJobs = "/training-jobs";
constexpr const char* kAccounts = "/accounts";
constexpr const char* kImages = "/images";

std::string parameter(const net::Request& request, std::string_view name, const std::string& otherwise) {
    for (const auto& [key, value] : net::parse_query(request.raw_query())) {
        if (key == name) return value;
    }
    return otherwise;
}

int status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::InvalidInput:
            return 400;
        case ErrorKind::NotFound:
            return 404;
        case ErrorKind::Conflict:
        case ErrorKind::AlreadyExists:
            return 409;
        default:
            return 500;
    }
}

class ControlRequests {
  public:
    explicit ControlRequests(const ControlledParts& parts) : parts_(parts) {}

    void handle(net::Request& request, net::ResponseWriter& response) const {
        const auto answer = dispatch(request);
        const auto status = answer ? 200 : status_of(answer.error().kind);
        const auto body = answer ? *answer : Json::object({{"message", answer.error().message}});
        static_cast<void>(response.send(status, {{"Content-Type", "application/json"}}, body.dump()).has_value());
    }

  private:
    Result<Json> dispatch(const net::Request& request) const {
        const auto region = parameter(request, "region", parts_.region);
        const auto path = std::string(request.raw_path());
        if (request.method == "GET" && path == kJobs) return list(region);
        if (path == kImages) return images();
        if (request.method == "POST" && path == kImages + std::string("/remove"))
            return done(remove_image(region, parameter(request, "name", "")));
        if (request.method == "POST" && path == kImages + std::string("/free-unused")) return free_unused();
        if (path == kAccounts) return request.method == "POST" ? create_account(request) : accounts();
        const std::string prefix = std::string(kJobs) + "/";
        if (!path.starts_with(prefix)) return not_found("there is no " + path);
        const auto rest = path.substr(prefix.size());
        const auto slash = rest.find('/');
        const auto name = rest.substr(0, slash);
        const auto verb = slash == std::string::npos ? "" : rest.substr(slash + 1);
        if (request.method == "GET" && verb.empty()) return show(region, name);
        if (request.method == "GET" && verb == "logs") return logs(request, region, name);
        if (request.method == "POST" && verb == "stop")
            return done(parts_.training_jobs.stop(parts_.account, region, name));
        if (request.method == "POST" && verb == "interrupt")
            return done(parts_.training_jobs.interrupt(parts_.account, region, name));
        return not_found("there is no " + request.method + " " + path);
    }

    Result<Json> accounts() const {
        auto list = Json::array();
        const auto all = TRY(parts_.identity.accounts());
        for (const auto& account : all)
            list.push_back(Json::object({{"AccountId", account.account}, {"Name", account.name}}));
        return Json::object({{"accounts", std::move(list)}});
    }

    Result<Json> create_account(const net::Request& request) const {
        const auto account = TRY(parts_.identity.create_account(parameter(request, "name", "")));
        return Json::object({{"AccountId", account.account},
                             {"Name", account.name},
                             {"AccessKeyId", account.access_key_id},
                             {"SecretAccessKey", account.secret_access_key}});
    }

    // Every tag of every repository.
    Result<Json> images() const {
        constexpr size_t kPage = 100;
        auto list = Json::array();
        for (int64_t after = 0;;) {
            const auto repositories = TRY(parts_.registry.all_repositories(after, kPage));
            if (repositories.empty()) break;
            for (const auto& repository : repositories) TRY(add_images(repository.name, list));
            after = repositories.back().id;
        }
        auto answer = Json::object({{"images", std::move(list)}});
        if (parts_.unpacked) answer.set("layers", layers());
        return answer;
    }

    Result<void> add_images(const registry::RepositoryName& repository, Json& list) const {
        for (registry::Page page{.limit = 100};;) {
            const auto images = TRY(parts_.registry.list_images(repository, page));
            for (const auto& image : images)
                for (const auto& tag : image.tags)
                    list.push_back(Json::object({{"name", registry::uri_of(repository) + ":" + tag},
                                                 {"where", "registry"},
                                                 {"digest", image.digest},
                                                 {"bytes", static_cast<int64_t>(image.image_bytes)}}));
            if (images.size() < page.limit) return {};
            page.after = images.back().digest;
        }
    }

    Json layers() const {
        int64_t count = 0, bytes = 0, unused = 0;
        for (const auto& layer : parts_.unpacked->layers()) {
            ++count;
            bytes += static_cast<int64_t>(layer.bytes);
            if (!layer.in_use) unused += static_cast<int64_t>(layer.bytes);
        }
        return Json::object({{"count", count}, {"bytes", bytes}, {"unused_bytes", unused}});
    }

    Result<void> remove_image(const std::string& region, const std::string& text) const {
        auto reference = TRY(oci::parse_reference(text));
        if (reference.host.empty()) reference.host = parts_.account + ".dkr.ecr." + region + ".amazonaws.com";
        const auto repository = repository_of(reference);
        if (!repository) return not_found("There is no image " + text + " in the registry, nor was it imported.");
        using Registry = registry::Registry;
        if (!reference.digest.empty())
            return parts_.registry.remove_image(*repository, reference.digest, Registry::Referenced::Refuse);
        TRY(parts_.registry.remove_tag(*repository, reference.tag, Registry::LastTag::RemovesImage));
        return {};
    }

    Result<Json> free_unused() const {
        if (!parts_.unpacked) return Error{ErrorKind::Conflict, "this machine unpacks no images", ""};
        return Json::object({{"bytes", static_cast<int64_t>(parts_.unpacked->remove_unused(std::chrono::seconds(0)))}});
    }

    static Result<Json> done(const Result<void>& outcome) {
        if (!outcome) return outcome.error();
        return Json::object();
    }

    Result<Json> list(const std::string& region) const {
        const auto page = TRY(parts_.training_jobs.list(parts_.account, region, {}));
        auto jobs = Json::array();
        for (const auto& job : page.jobs) {
            jobs.push_back(Json::object({{"name", job.name},
                                         {"status", job.status},
                                         {"secondary_status", job.secondary_status},
                                         {"created", to_epoch_milliseconds(job.created)},
                                         {"modified", to_epoch_milliseconds(job.modified)}}));
        }
        return Json::object({{"jobs", std::move(jobs)}});
    }

    Result<Json> show(const std::string& region, const std::string& name) const {
        const auto card = TRY(parts_.training_jobs.inspect(parts_.account, region, name));
        auto document = card_to_json(card);
        const auto host = static_cast<size_t>(std::max(card.culprit, 0));
        document.set("last_lines", last_lines(region, card.hosts.at(host).log_stream));
        return document;
    }

    Json last_lines(const std::string& region, const std::string& stream) const {
        constexpr size_t kLines = 20;
        auto lines = Json::array();
        const auto found = parts_.logs.find_stream({parts_.account, region, resources::kTrainingLogGroup, stream});
        if (!found) return lines;
        const auto page = parts_.logs.events_before(*found, std::nullopt, {}, kLines);
        if (!page) return lines;
        for (const auto& event : page->events) lines.push_back(event.message);
        return lines;
    }

    Result<Json> logs(const net::Request& request, const std::string& region, const std::string& name) const {
        constexpr size_t kEvents = 1000;
        const auto card = TRY(parts_.training_jobs.inspect(parts_.account, region, name));
        const auto host = parse_int(parameter(request, "host", "0")).value_or(-1);
        const auto position = parse_int(parameter(request, "position", "0")).value_or(-1);
        if (host < 0 || host >= static_cast<int64_t>(card.hosts.size()) || position < 0)
            return invalid_input("there is no such host or position");
        auto answer = Json::object({{"ended", card.job.ended()}});
        auto lines = Json::array();
        int64_t next = position;
        const auto& stream = card.hosts[static_cast<size_t>(host)].log_stream;
        const auto found = parts_.logs.find_stream({parts_.account, region, resources::kTrainingLogGroup, stream});
        if (found) {
            const auto page = TRY(parts_.logs.events_from(*found, static_cast<uint64_t>(position), {}, kEvents));
            for (const auto& event : page.events) lines.push_back(event.message);
            next = static_cast<int64_t>(page.end);
        }
        answer.set("events", std::move(lines));
        answer.set("position", next);
        return answer;
    }

    const ControlledParts parts_;
};

}  // namespace

Result<std::unique_ptr<net::HttpServer>> start_control_socket(const std::string& data_dir,
                                                              const ControlledParts& parts) {
    net::ServerSettings settings;
    settings.unix_path = data_dir + "/" + kControlSocket;
    settings.control_threads = 2;
    settings.data_threads = settings.inference_threads = 1;
    settings.max_connections = 32;
    const auto requests = std::make_shared<ControlRequests>(parts);
    return net::HttpServer::start(
        settings, [](const net::Request&) { return net::Pool::Control; },
        [requests](net::Request& request, net::ResponseWriter& response) { requests->handle(request, response); });
}

}  // namespace millwright::programs
