#include "programs/server/accounts_command.h"

#include <chrono>

#include "base/encoding.h"
#include "base/json.h"
#include "net/http_client.h"
#include "programs/server/control_socket.h"

namespace millwright::programs {
namespace {

Result<Json> ask(const Config& config, const char* method, const std::string& path) {
    constexpr std::chrono::seconds kLongest{30};
    const auto client = net::HttpClient::unix_socket(config.data_dir + "/" + kControlSocket);
    const auto answer = client->call(method, path, {}, "", kLongest);
    if (!answer && answer.error().kind == ErrorKind::Unavailable)
        return Error{ErrorKind::Unavailable,
                     "no server is running with " + config.data_dir + "; start it with: millwright serve --data-dir " +
                         config.data_dir,
                     answer.error().detail};
    if (!answer) return answer.error();
    Json document = TRY(Json::parse(answer->body));
    if (answer->status != 200)
        return Error{ErrorKind::Conflict, document["message"].string_or("the server could not do it"), ""};
    return document;
}

}  // namespace

Result<std::string> accounts_text(const Config& config, const AccountsArguments& arguments) {
    const std::string query = arguments.create ? "?name=" + percent_encode(arguments.name) : "";
    const Json answer = TRY(ask(config, arguments.create ? "POST" : "GET", "/accounts" + query));
    if (arguments.json) return answer.dump() + "\n";
    std::string out;
    if (arguments.create) {
        out += "export MILLWRIGHT_ACCOUNT='" + answer["AccountId"].string_or("") + "'\n";
        out += "export AWS_ACCESS_KEY_ID='" + answer["AccessKeyId"].string_or("") + "'\n";
        out += "export AWS_SECRET_ACCESS_KEY='" + answer["SecretAccessKey"].string_or("") + "'\n";
        return out;
    }
    for (const Json& account : answer["accounts"].items())
        out += account["AccountId"].string_or("") + "  " + account["Name"].string_or("") + "\n";
    return out;
}

}  // namespace millwright::programs
