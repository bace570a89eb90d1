#include "programs/server/environment.h"

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::programs {
namespace {

std::string exported(std::string_view name, std::string_view value) {
    return "export " + std::string(name) + "='" + replace_all(value, "'", "'\\''") + "'\n";
}

// SageMaker SDK v2 and v3 read this: no call to a fixed AWS host for the bucket's name, and no telemetry.
std::string sdk_defaults(const std::string& bucket) {
    return "SchemaVersion: '1.0'\n"
           "SageMaker:\n"
           "  PythonSDK:\n"
           "    Modules:\n"
           "      TelemetryOptOut: true\n"
           "      Session:\n"
           "        DefaultS3Bucket: '" +
           bucket + "'\n";
}

Result<std::string> url_of(const Config& config) {
    const auto note = read_file(config.data_dir + "/server.json");
    if (note) {
        const Json about = TRY(Json::parse(*note));
        return about["url"].string_or("");
    }
    return "http://" + config.address + ":" + std::to_string(config.port);
}

}  // namespace

Result<std::string> shell_environment(const Config& config) {
    const auto content = read_file(config.data_dir + "/credentials.json");
    if (!content)
        return not_found("no server has been started with " + config.data_dir +
                         " yet; run: millwright serve --data-dir " + config.data_dir);
    const Json known = TRY(Json::parse(*content));
    const std::string region = known["Region"].string_or(""), account = known["AccountId"].string_or("");
    const std::string defaults = config.data_dir + "/sagemaker-config.yaml";
    TRY(write_file(defaults, sdk_defaults("sagemaker-" + region + "-" + account)));
    std::string out = "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN\n";
    out += exported("AWS_ENDPOINT_URL", TRY(url_of(config)));
    out += exported("AWS_ACCESS_KEY_ID", known["AccessKeyId"].string_or(""));
    out += exported("AWS_SECRET_ACCESS_KEY", known["SecretAccessKey"].string_or(""));
    out += exported("AWS_DEFAULT_REGION", region);
    out += exported("AWS_REGION", region);
    out += exported("AWS_EC2_METADATA_DISABLED", "true");
    out += exported("SAGEMAKER_USER_CONFIG_OVERRIDE", defaults);
    out += exported("MILLWRIGHT_ACCOUNT", account);
    return out;
}

}  // namespace millwright::programs
