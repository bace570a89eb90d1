#include "programs/server/certificates.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/time.h"
#include "net/certificate_authority.h"

namespace millwright::programs {
namespace {

using net::CertificateAuthority;
using net::CertificateNames;
using net::TlsContext;
using TlsSource = std::function<std::shared_ptr<const TlsContext>()>;

constexpr std::array<const char*, 3> kAwsDomains = {"amazonaws.com", "amazonaws.com.cn", "api.aws"};
constexpr std::chrono::seconds kLookAgain{5};
constexpr std::chrono::hours kIssueAgain{24};
constexpr size_t kMaxPemBytes = size_t{8} << 20;
constexpr const char* kSystemBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",  // Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",    // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",              // SUSE
    "/etc/ssl/cert.pem",
};

std::string ca_folder(const Config& config) { return config.data_dir + "/ca"; }

bool is_address(const std::string& text) {
    unsigned char binary[16];
    return inet_pton(AF_INET, text.c_str(), binary) == 1 || inet_pton(AF_INET6, text.c_str(), binary) == 1;
}

// By every name a client may know this server under.
CertificateNames names_of(const Config& config) {
    CertificateNames names{{"localhost"}, {"127.0.0.1", "::1"}};
    const auto add = [](std::vector<std::string>& list, const std::string& name) {
        if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
    };
    const bool any = config.address == "0.0.0.0" || config.address == "::";
    if (!any && is_address(config.address)) add(names.addresses, config.address);
    char host[256] = {};
    if (gethostname(host, sizeof host - 1) == 0 && net::parse_destination(host, 443) && !is_address(host))
        add(names.dns, to_lower(host));
    for (const auto& domain : config.s3_domains) add(names.dns, to_lower(domain));
    for (const auto& name : config.tls_names) add(is_address(name) ? names.addresses : names.dns, to_lower(name));
    return names;
}

// What is shown is made, or read, again from time to time.
class RenewedContext {
  public:
    using Make = std::function<Result<std::shared_ptr<const TlsContext>>()>;
    // `changed`: whether it is time to make it again; asked under the lock.
    RenewedContext(Make make, std::function<bool()> changed, std::shared_ptr<const TlsContext> first)
        : make_(std::move(make)), changed_(std::move(changed)), current_(std::move(first)) {}

    std::shared_ptr<const TlsContext> get() {
        const MutexLock lock(mutex_);
        if (!changed_()) return current_;
        if (auto fresh = make_())
            current_ = std::move(*fresh);
        else
            log::warning("the TLS certificate stays as it was", fresh.error());
        return current_;
    }

  private:
    const Make make_;
    const std::function<bool()> changed_;
    Mutex mutex_;
    std::shared_ptr<const TlsContext> current_ GUARDED_BY(mutex_);
};

Result<TlsSource> renewed(RenewedContext::Make make, std::function<bool()> changed) {
    auto first = TRY(make());
    auto context = std::make_shared<RenewedContext>(std::move(make), std::move(changed), std::move(first));
    return TlsSource([context] { return context->get(); });
}

using Stamp = std::array<int64_t, 6>;
Stamp stamp_of(const std::string& a, const std::string& b) {
    Stamp stamp{};
    size_t at = 0;
    for (const auto& path : {a, b}) {
        struct stat status {};
        if (stat(path.c_str(), &status) == 0) {
            stamp[at] = status.st_mtim.tv_sec;
            stamp[at + 1] = status.st_mtim.tv_nsec;
            stamp[at + 2] = static_cast<int64_t>(status.st_ino);
        }
        at += 3;
    }
    return stamp;
}

Result<TlsSource> certificate_of_files(const std::string& certificate, const std::string& key) {
    auto make = [certificate, key]() -> Result<std::shared_ptr<const TlsContext>> {
        const std::string chain = TRY(read_file(certificate, kMaxPemBytes));
        const std::string secret = TRY(read_file(key, kMaxPemBytes));
        auto context = TlsContext::from_pem(chain, secret);
        if (!context)
            return Error{ErrorKind::InvalidInput, certificate + ": " + context.error().message, context.error().detail};
        return context;
    };
    auto changed = [certificate, key, known = stamp_of(certificate, key), next = Monotonic()]() mutable {
        const auto now = std::chrono::steady_clock::now();
        if (now < next) return false;
        next = now + kLookAgain;
        const Stamp stamp = stamp_of(certificate, key);
        return std::exchange(known, stamp) != stamp;
    };
    return renewed(std::move(make), std::move(changed));
}

Result<TlsSource> certificate_of_own(const Config& config) {
    CertificateNames names = names_of(config);
    std::shared_ptr<CertificateAuthority> authority =
        TRY(CertificateAuthority::open(ca_folder(config), "server", names));
    for (const auto& domain : config.s3_domains) names.dns.push_back("*." + to_lower(domain));
    auto make = [authority, names] { return authority->issue(names); };
    auto changed = [next = std::chrono::steady_clock::now() + kIssueAgain]() mutable {
        const auto now = std::chrono::steady_clock::now();
        if (now < next) return false;
        next = now + kIssueAgain;
        return true;
    };
    return renewed(std::move(make), std::move(changed));
}

class Proxy final : public AwsProxy {
  public:
    Proxy(std::unique_ptr<CertificateAuthority> authority, std::unique_ptr<net::EgressProxy> tunnels)
        : authority_(std::move(authority)), tunnels_(std::move(tunnels)) {}

    net::ConnectDecision decide(std::string_view authority) override {
        const auto destination = net::parse_destination(authority);
        if (!destination) return {.refusal = destination.error().message};
        if (destination->port != 443 || destination->is_address || !is_aws_host(destination->host))
            return {.take_over = [this](Fd client, std::string received) {
                tunnels_->adopt(std::move(client), std::move(received));
            }};
        auto context = authority_->context_for(destination->host);
        if (context) return {.intercept = std::move(*context)};
        log::warning("no certificate for " + destination->host, context.error());
        return {.refusal = "no certificate can be made for " + destination->host};
    }

  private:
    const std::unique_ptr<CertificateAuthority> authority_;
    const std::unique_ptr<net::EgressProxy> tunnels_;
};

// What the user's tools trust already: their own choice, or the machine's.
std::string trusted_elsewhere(const std::string& our_bundle) {
    std::vector<std::string> candidates;
    for (const char* variable : {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"})
        if (const char* path = std::getenv(variable); path && *path && path != our_bundle)
            candidates.emplace_back(path);
    candidates.insert(candidates.end(), std::begin(kSystemBundles), std::end(kSystemBundles));
    for (const auto& path : candidates)
        if (auto text = read_file(path, kMaxPemBytes)) return std::move(*text);
    return "";
}

}  // namespace

bool is_aws_host(std::string_view host) {
    return std::any_of(kAwsDomains.begin(), kAwsDomains.end(), [&](std::string_view domain) {
        return host == domain ||
               (host.size() > domain.size() && host.ends_with(domain) && host[host.size() - domain.size() - 1] == '.');
    });
}

bool is_telemetry_host(std::string_view host) {
    constexpr std::string_view kPrefix = "sm-pysdk-t-";
    return host.starts_with(kPrefix) && is_aws_host(to_lower(host.substr(0, host.find(':'))));
}

Result<TlsSource> server_certificate(const Config& config) {
    if (config.tls_certificate.empty()) return TlsSource();
    if (config.tls_certificate == kOwnCertificate) return certificate_of_own(config);
    return certificate_of_files(config.tls_certificate, config.tls_key);
}

Result<std::unique_ptr<AwsProxy>> AwsProxy::open(const Config& config) {
    auto authority =
        TRY(CertificateAuthority::open(ca_folder(config), "aws", {{kAwsDomains.begin(), kAwsDomains.end()}, {}}));
    net::EgressSettings settings;
    settings.rules.allowed = config.proxy_allow;
    settings.rules.own_port = config.port;
    settings.advice =
        "Only AWS's hosts are answered here, by this server itself. Whoever runs it lets others through in "
        "config.toml: "
        "[proxy] allow = [\"%s\"]";
    auto tunnels = TRY(net::EgressProxy::start(std::move(settings)));
    return std::unique_ptr<AwsProxy>(std::make_unique<Proxy>(std::move(authority), std::move(tunnels)));
}

Result<std::string> write_certificate_bundle(const Config& config) {
    const std::string path = ca_folder(config) + "/bundle.pem";
    std::string text;
    for (const char* name : {"aws", "server"})
        if (const auto own = read_file(ca_folder(config) + "/" + name + ".pem", kMaxPemBytes)) text += *own;
    if (text.empty()) return not_found("the server has made no certificates yet; start it with [proxy] enabled");
    text += trusted_elsewhere(path);
    TRY(replace_file_durably(path, text));
    return path;
}

}  // namespace millwright::programs
