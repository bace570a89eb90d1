#include "programs/server/jobs_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/encoding.h"
#include "base/json.h"
#include "executors/choice/choice.h"
#include "executors/container/run_record.h"
#include "executors/process/enter.h"
#include "net/http_client.h"
#include "programs/server/containers.h"
#include "programs/server/control_socket.h"
#include "programs/server/job_card.h"

namespace millwright::programs {
namespace {

using Action = JobsArguments::Action;

class ControlClient {
  public:
    ControlClient(const Config& config, const JobsArguments& arguments)
        : data_dir_(config.data_dir),
          region_(arguments.region),
          client_(net::HttpClient::unix_socket(config.data_dir + "/" + kControlSocket)) {}

    Result<Json> get(const std::string& path, const std::string& query = "") const { return call("GET", path, query); }
    Result<Json> post(const std::string& path) const { return call("POST", path, ""); }

  private:
    Result<Json> call(const char* method, const std::string& path, std::string query) const {
        constexpr std::chrono::seconds kLongest{30};
        if (!region_.empty()) query += (query.empty() ? "" : "&") + ("region=" + percent_encode(region_));
        const auto answer =
            client_->call(method, "/training-jobs" + path + (query.empty() ? "" : "?" + query), {}, "", kLongest);
        if (!answer && answer.error().kind == ErrorKind::Unavailable)
            return Error{
                ErrorKind::Unavailable,
                "no server is running with " + data_dir_ + "; start it with: millwright serve --data-dir " + data_dir_,
                answer.error().detail};
        if (!answer) return answer.error();
        auto document = TRY(Json::parse(answer->body));
        constexpr int kFine = 200, kMissing = 404, kConflict = 409;
        if (answer->status == kFine) return document;
        const auto kind = answer->status == kMissing    ? ErrorKind::NotFound
                          : answer->status == kConflict ? ErrorKind::Conflict
                                                        : ErrorKind::Internal;
        return Error{kind, document["message"].string_or("the server answered " + std::to_string(answer->status)), ""};
    }

    const std::string data_dir_, region_;
    const std::unique_ptr<net::HttpClient> client_;
};

Result<size_t> chosen_host(const Json& card, const JobsArguments& arguments) {
    const auto hosts = static_cast<int64_t>(card["hosts"].size());
    const auto chosen = arguments.host > 0 ? arguments.host - 1 : std::max<int64_t>(0, card["culprit"].int_or(-1));
    if (chosen >= hosts)
        return invalid_input("the job has " + std::to_string(hosts) + (hosts == 1 ? " host" : " hosts"));
    return static_cast<size_t>(chosen);
}

// Instead of this program.
Error execute(const std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (const auto& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    execvp(pointers[0], pointers.data());
    return error_from_errno("cannot execute " + words.at(0));
}

// By the command line of Docker or Podman, whichever is here: both speak to either engine.
Result<int> enter_container(const Config& config, const Json& card, const JobsArguments& arguments) {
    const auto folder = card["folder"].string_or("");
    const auto record = TRY(executors::load_run_record(folder));
    const auto& container = record.hosts.at(TRY(chosen_host(card, arguments))).container;
    if (!card["runs"].bool_or(false) || container.empty())
        return Error{ErrorKind::Conflict,
                     "the containers of " + arguments.name + " are gone, what they left is in " + folder, ""};
    const auto socket = "unix://" + TRY(engine_socket_of(config));
    std::vector<std::string> words = {"docker", "-H", socket, "exec", isatty(STDIN_FILENO) ? "-it" : "-i", container};
    if (arguments.command.empty()) words.push_back("sh");
    words.insert(words.end(), arguments.command.begin(), arguments.command.end());
    static_cast<void>(execute(words));
    words[0] = "podman";
    words[1] = "--url";
    static_cast<void>(execute(words));
    return not_found("neither docker nor podman can be executed here; the container is " + container);
}

Result<int> enter(const Config& config, const Json& card, const JobsArguments& arguments, const std::string& launcher) {
    executors::EnterRequest request;
    request.folder = card["folder"].string_or("");
    if (request.folder.empty())
        return Error{ErrorKind::Conflict,
                     "there is nothing to enter: the files of " + arguments.name +
                         " are gone (those of running and of the last failed jobs are there)",
                     ""};
    if (executors::run_is_in_engine(request.folder)) return enter_container(config, card, arguments);
    request.launcher = launcher;
    request.host = static_cast<int>(TRY(chosen_host(card, arguments)));
    request.command = arguments.command;
    return execute(executors::enter_arguments(request));
}

Result<int> logs(const ControlClient& client, const std::string& path, const JobsArguments& arguments) {
    const auto host = TRY(chosen_host(TRY(client.get(path)), arguments));
    int64_t position = 0;
    for (;;) {
        const auto page =
            TRY(client.get(path + "/logs", "host=" + std::to_string(host) + "&position=" + std::to_string(position)));
        for (const auto& line : page["events"].items()) std::printf("%s\n", line.string_or("").c_str());
        position = page["position"].int_or(position);
        if (page["events"].size() > 0) continue;
        std::fflush(stdout);
        if (!arguments.follow || page["ended"].bool_or(true)) return 0;
        constexpr std::chrono::milliseconds kPause{300};
        std::this_thread::sleep_for(kPause);
    }
}

int print(const Json& document, const std::string& text, const JobsArguments& arguments) {
    std::fputs(arguments.json ? (document.dump() + "\n").c_str() : text.c_str(), stdout);
    return 0;
}

}  // namespace

Result<int> run_jobs_command(const Config& config, const JobsArguments& arguments, const std::string& launcher) {
    const ControlClient client(config, arguments);
    const auto path = "/" + percent_encode(arguments.name);
    switch (arguments.action) {
        case Action::List: {
            const auto list = TRY(client.get(""));
            return print(list, job_table(list), arguments);
        }
        case Action::Show: {
            const auto card = TRY(client.get(path));
            return print(card, card_text(card), arguments);
        }
        case Action::Stop:
            TRY(client.post(path + "/stop"));
            std::printf("%s is being stopped.\n", arguments.name.c_str());
            return 0;
        case Action::Interrupt:
            TRY(client.post(path + "/interrupt"));
            std::printf("The spot instances of %s are taken away; it goes on by itself.\n", arguments.name.c_str());
            return 0;
        case Action::Enter: {
            const auto card = TRY(client.get(path));
            return enter(config, card, arguments, launcher);
        }
        case Action::Logs:
            return logs(client, path, arguments);
    }
    return 1;
}

}  // namespace millwright::programs
