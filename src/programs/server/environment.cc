#include "programs/server/environment.h"

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "programs/server/certificates.h"

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
    return (config.tls_certificate.empty() ? "http://" : "https://") + config.address + ":" +
           std::to_string(config.port);
}

// "https://127.0.0.1:9770" -> "127.0.0.1:9770"
std::string authority_of(const std::string& url) {
    const size_t mark = url.find("://");
    return mark == std::string::npos ? url : url.substr(mark + 3);
}

// Where clients look for the certificates that they trust.
std::string trust_variables(const std::string& bundle) {
    std::string out;
    for (const char* name : {"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"})
        out += exported(name, bundle);
    return out;
}

// Both spellings: a lower-case variable that is set already would win.
std::string proxy_variables(const std::string& url) {
    const std::string authority = authority_of(url);
    const std::string direct = "localhost,127.0.0.1,::1," + authority.substr(0, authority.rfind(':'));
    std::string out;
    for (const char* name : {"HTTPS_PROXY", "https_proxy"}) out += exported(name, "http://" + authority);
    for (const char* name : {"NO_PROXY", "no_proxy"}) out += exported(name, direct);
    return out;
}

}  // namespace

Result<std::string> shell_environment(const Config& config, ProxyVariables proxy) {
    const auto content = read_file(config.data_dir + "/credentials.json");
    if (!content)
        return not_found("no server has been started with " + config.data_dir +
                         " yet; run: millwright serve --data-dir " + config.data_dir);
    const Json known = TRY(Json::parse(*content));
    const std::string region = known["Region"].string_or(""), account = known["AccountId"].string_or("");
    const std::string defaults = config.data_dir + "/sagemaker-config.yaml";
    TRY(write_file(defaults, sdk_defaults("sagemaker-" + region + "-" + account)));
    const std::string url = TRY(url_of(config));
    std::string out = "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN\n";
    out += exported("AWS_ENDPOINT_URL", url);
    out += exported("AWS_ACCESS_KEY_ID", known["AccessKeyId"].string_or(""));
    out += exported("AWS_SECRET_ACCESS_KEY", known["SecretAccessKey"].string_or(""));
    out += exported("AWS_DEFAULT_REGION", region);
    out += exported("AWS_REGION", region);
    out += exported("AWS_EC2_METADATA_DISABLED", "true");
    out += exported("SAGEMAKER_USER_CONFIG_OVERRIDE", defaults);
    out += exported("MILLWRIGHT_ACCOUNT", account);
    const bool intercept = proxy == ProxyVariables::Intercept;
    if (intercept && !config.proxy_enabled)
        return invalid_input("the proxy is switched off in config.toml: [proxy] enabled = false");
    if (intercept || config.tls_certificate == kOwnCertificate) {
        const std::string bundle = TRY(write_certificate_bundle(config));
        out += trust_variables(bundle);
    }
    if (intercept) out += proxy_variables(url);
    return out;
}

}  // namespace millwright::programs
