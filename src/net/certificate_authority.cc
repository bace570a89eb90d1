#include "net/certificate_authority.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <map>

#include "base/files.h"
#include "base/log.h"
#include "base/time.h"
#include "net/egress_rules.h"
#include "net/openssl_freed.h"

namespace millwright::net {
namespace {

constexpr long kDay = 24 * 3600;
constexpr long kAuthorityDays = 3650;
constexpr long kLeafDays = 30;
constexpr std::chrono::hours kKept{24};
constexpr int kSerialBits = 127;

using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;

Error openssl_error(std::string what) {
    char text[256] = "no reason given";
    if (const unsigned long code = ERR_peek_last_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return internal_error(std::move(what), text);
}

Result<std::string> to_pem(const X509* certificate) {
    const Bio memory(BIO_new(BIO_s_mem()));
    char* text = nullptr;
    if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1)
        return openssl_error("cannot write a certificate");
    const long size = BIO_get_mem_data(memory.get(), &text);
    return std::string(text, static_cast<size_t>(size));
}

Result<std::string> to_pem(const EVP_PKEY* key) {
    const Bio memory(BIO_new(BIO_s_mem()));
    char* text = nullptr;
    if (!memory || PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return openssl_error("cannot write a key");
    const long size = BIO_get_mem_data(memory.get(), &text);
    return std::string(text, static_cast<size_t>(size));
}

Result<Key> new_key() {
    Key key(EVP_EC_gen("P-256"));
    if (!key) return openssl_error("cannot make a key");
    return key;
}

// A host name or address that stands for exactly itself in the text form of OpenSSL's extensions.
Result<void> check(const CertificateNames& names) {
    for (const std::string& name : names.dns) {
        const std::string below = name.starts_with("*.") ? name.substr(2) : name;
        const auto read = parse_destination(below, 443);
        if (!read || read->is_address || read->host != below) return invalid_input("not a host name: \"" + name + "\"");
    }
    for (const std::string& address : names.addresses) {
        unsigned char binary[16];
        if (inet_pton(AF_INET, address.c_str(), binary) != 1 && inet_pton(AF_INET6, address.c_str(), binary) != 1)
            return invalid_input("not an address: \"" + address + "\"");
    }
    if (names.dns.empty() && names.addresses.empty()) return invalid_input("a certificate for no name");
    return {};
}

std::string alternative_names(const CertificateNames& names) {
    std::string text;
    for (const std::string& name : names.dns) text += (text.empty() ? "DNS:" : ",DNS:") + name;
    for (const std::string& address : names.addresses) text += (text.empty() ? "IP:" : ",IP:") + address;
    return text;
}

// A kind of name without a constraint would be free to use. REQUIRES: there is a host name.
std::string name_constraints(const CertificateNames& names) {
    std::string text = "critical";
    for (const std::string& name : names.dns) text += ",permitted;DNS:" + name;
    for (const std::string& address : names.addresses) {
        const bool v6 = address.find(':') != std::string::npos;
        text += ",permitted;IP:" + address + (v6 ? "/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" : "/255.255.255.255");
    }
    if (names.addresses.empty()) text += ",excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::";
    return text;
}

struct Plan {
    std::string subject;
    long days = 0;
    std::vector<std::pair<int, std::string>> extensions;
};

Result<void> add_extensions(X509* certificate, X509* issuer, const Plan& plan) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    for (const auto& [kind, value] : plan.extensions) {
        const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
        if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1)
            return openssl_error("cannot add an extension to a certificate: " + value);
    }
    return {};
}

// `issuer` null: signed by itself.
Result<Certificate> make_certificate(const Plan& plan, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
    Certificate made(X509_new());
    const Number serial(BN_new());
    const auto* text = reinterpret_cast<const unsigned char*>(plan.subject.data());
    X509_NAME* const subject = made ? X509_get_subject_name(made.get()) : nullptr;
    const bool good = made && serial && X509_set_version(made.get(), X509_VERSION_3) == 1 &&
                      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
                      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(made.get())) != nullptr &&
                      // Clocks of clients may be behind.
                      X509_gmtime_adj(X509_getm_notBefore(made.get()), -kDay) != nullptr &&
                      X509_gmtime_adj(X509_getm_notAfter(made.get()), plan.days * kDay) != nullptr &&
                      X509_set_pubkey(made.get(), key) == 1 &&
                      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text,
                                                 static_cast<int>(plan.subject.size()), -1, 0) == 1 &&
                      X509_set_issuer_name(made.get(), issuer ? X509_get_subject_name(issuer) : subject) == 1;
    if (!good) return openssl_error("cannot make a certificate");
    TRY(add_extensions(made.get(), issuer ? issuer : made.get(), plan));
    if (X509_sign(made.get(), issuer_key, EVP_sha256()) == 0) return openssl_error("cannot sign a certificate");
    return made;
}

class Authority final : public CertificateAuthority {
  public:
    Authority(Certificate certificate, Key key, Key leaf_key)
        : certificate_(std::move(certificate)), key_(std::move(key)), leaf_key_(std::move(leaf_key)) {}

    Result<std::shared_ptr<const TlsContext>> issue(const CertificateNames& names) override;
    Result<std::shared_ptr<const TlsContext>> context_for(const std::string& host) override;
    Result<void> save(const std::string& path) const;

  private:
    struct Kept {
        std::shared_ptr<const TlsContext> context;
        Monotonic until;
    };
    Result<void> verify(X509* leaf) const;

    const Certificate certificate_;
    const Key key_, leaf_key_;  // all leaves share one key; it never leaves this process
    Mutex mutex_;
    std::map<std::string, Kept, std::less<>> kept_ GUARDED_BY(mutex_);
};

// As a client does it, name constraints and dates included.
Result<void> Authority::verify(X509* leaf) const {
    const Store store(X509_STORE_new());
    const StoreContext context(X509_STORE_CTX_new());
    if (!store || !context || X509_STORE_add_cert(store.get(), certificate_.get()) != 1 ||
        X509_STORE_CTX_init(context.get(), store.get(), leaf, nullptr) != 1)
        return openssl_error("cannot verify a certificate");
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
    if (X509_verify_cert(context.get()) == 1) return {};
    ERR_clear_error();
    return invalid_input(std::string("not a name of this authority: ") +
                         X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

Result<std::shared_ptr<const TlsContext>> Authority::issue(const CertificateNames& names) {
    TRY(check(names));
    const Plan plan{"Millwright",
                    kLeafDays,
                    {{NID_basic_constraints, "critical,CA:FALSE"},
                     {NID_key_usage, "critical,digitalSignature"},
                     {NID_ext_key_usage, "serverAuth"},
                     {NID_subject_alt_name, alternative_names(names)},
                     {NID_subject_key_identifier, "hash"},
                     {NID_authority_key_identifier, "keyid:always"}}};
    const auto leaf = TRY(make_certificate(plan, leaf_key_.get(), certificate_.get(), key_.get()));
    TRY(verify(leaf.get()));
    const std::string pem = TRY(to_pem(leaf.get()));
    const std::string key = TRY(to_pem(leaf_key_.get()));
    return TlsContext::from_pem(pem, key);
}

Result<std::shared_ptr<const TlsContext>> Authority::context_for(const std::string& host) {
    const Monotonic now = std::chrono::steady_clock::now();
    {
        const MutexLock lock(mutex_);
        const auto found = kept_.find(host);
        if (found != kept_.end() && found->second.until > now) return found->second.context;
    }
    auto made = TRY(issue({{host}, {}}));
    const MutexLock lock(mutex_);
    // Hosts are the clients' words: without a bound they could fill the memory.
    if (kept_.size() >= kMaxKept) kept_.clear();
    kept_[host] = {made, now + kKept};
    return made;
}

Result<void> Authority::save(const std::string& path) const {
    const std::string key = TRY(to_pem(key_.get()));
    const std::string certificate = TRY(to_pem(certificate_.get()));
    TRY(replace_file_durably(path + ".key", key, 0600));
    return replace_file_durably(path + ".pem", certificate, 0644);
}

Result<std::unique_ptr<Authority>> load(const std::string& path, const CertificateNames& names) {
    const std::string certificate_text = TRY(read_file(path + ".pem", size_t{1} << 20));
    const std::string key_text = TRY(read_file(path + ".key", size_t{1} << 20));
    const Bio certificate_source(BIO_new_mem_buf(certificate_text.data(), static_cast<int>(certificate_text.size())));
    const Bio key_source(BIO_new_mem_buf(key_text.data(), static_cast<int>(key_text.size())));
    Certificate certificate(PEM_read_bio_X509(certificate_source.get(), nullptr, nullptr, nullptr));
    Key key(PEM_read_bio_PrivateKey(key_source.get(), nullptr, nullptr, nullptr));
    if (!certificate || !key || X509_check_private_key(certificate.get(), key.get()) != 1)
        return openssl_error("the certificate and its key cannot be read");
    auto leaf_key = TRY(new_key());
    auto authority = std::make_unique<Authority>(std::move(certificate), std::move(key), std::move(leaf_key));
    const auto probe = authority->issue(names);
    if (!probe) return probe.error();
    return authority;
}

Result<std::unique_ptr<Authority>> make(const CertificateNames& names) {
    unsigned char random[4];
    if (RAND_bytes(random, sizeof random) != 1) return openssl_error("no randomness");
    char mark[9];
    std::snprintf(mark, sizeof mark, "%02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
    // Clients find an issuer by its name: two authorities must not share one.
    const Plan plan{std::string("Millwright authority of this machine ") + mark,
                    kAuthorityDays,
                    {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                     {NID_key_usage, "critical,keyCertSign,cRLSign"},
                     {NID_ext_key_usage, "serverAuth"},
                     {NID_name_constraints, name_constraints(names)},
                     {NID_subject_key_identifier, "hash"}}};
    auto key = TRY(new_key());
    auto certificate = TRY(make_certificate(plan, key.get(), nullptr, key.get()));
    auto leaf_key = TRY(new_key());
    return std::make_unique<Authority>(std::move(certificate), std::move(key), std::move(leaf_key));
}

}  // namespace

Result<std::unique_ptr<CertificateAuthority>> CertificateAuthority::open(const std::string& folder,
                                                                         const std::string& name,
                                                                         const CertificateNames& names) {
    TRY(check(names));
    if (names.dns.empty()) return invalid_input("an authority for no host name");
    const std::string path = folder + "/" + name;
    if (file_exists(path + ".pem")) {
        auto known = load(path, names);
        if (known) return std::unique_ptr<CertificateAuthority>(std::move(*known));
        log::warning(path + ".pem is made anew, and clients need it again", known.error());
    }
    TRY(make_directories(folder, 0700));
    auto fresh = TRY(make(names));
    TRY(fresh->issue(names));
    TRY(fresh->save(path));
    return std::unique_ptr<CertificateAuthority>(std::move(fresh));
}

}  // namespace millwright::net
