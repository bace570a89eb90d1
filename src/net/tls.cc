#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>

#include "net/openssl_freed.h"

namespace millwright::net {
namespace {

// With forward secrecy and authenticated encryption only; TLS 1.3 has no others.
constexpr const char* kCiphersOfTls12 = "ECDHE+AESGCM:ECDHE+CHACHA20";

std::string openssl_text() {
    char text[256] = "no reason given";
    if (const unsigned long code = ERR_peek_last_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return text;
}

using ContextPointer = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using SslPointer = std::unique_ptr<SSL, Freed<SSL_free>>;
using CertificatePointer = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using BioPointer = std::unique_ptr<BIO, Freed<BIO_free>>;

// OpenSSL's own socket BIO raises SIGPIPE.
int bio_write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
    const ssize_t put = ::send(fd, bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(put);
}

int bio_read(BIO* bio, char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
    const ssize_t got = ::recv(fd, bytes, static_cast<size_t>(size), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

int bio_create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
}

const BIO_METHOD* quiet_socket_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quiet socket");
        CHECK(made != nullptr);
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_ctrl(made, bio_control);
        BIO_meth_set_create(made, bio_create);
        return made;
    }();
    return method;
}

// Clients that offer HTTP/2 as well are told that HTTP/1.1 is spoken.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void*) {
    static constexpr unsigned char kSpoken[] = "\x08http/1.1";
    unsigned char* chosen = nullptr;
    const int found = SSL_select_next_proto(&chosen, out_size, kSpoken, sizeof kSpoken - 1, in, in_size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int no_passphrase(char*, int, int, void*) { return 0; }

class Context final : public TlsContext {
  public:
    explicit Context(ContextPointer context) : context_(std::move(context)) {}
    SSL_CTX* get() const { return context_.get(); }

  private:
    ContextPointer context_;
};

Result<void> use_certificates(SSL_CTX* context, const std::string& pem) {
    const BioPointer source(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<size_t>(pem.size(), INT_MAX))));
    const CertificatePointer leaf(PEM_read_bio_X509_AUX(source.get(), nullptr, no_passphrase, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
        return Error{ErrorKind::InvalidInput, "the certificate cannot be used", openssl_text()};
    for (;;) {
        CertificatePointer next(PEM_read_bio_X509(source.get(), nullptr, no_passphrase, nullptr));
        if (!next) break;
        if (SSL_CTX_add0_chain_cert(context, next.get()) != 1)
            return Error{ErrorKind::InvalidInput, "the certificate's chain cannot be used", openssl_text()};
        static_cast<void>(next.release());
    }
    ERR_clear_error();  // the end of the text reads as an error
    return {};
}

Result<void> use_key(SSL_CTX* context, const std::string& pem) {
    const BioPointer source(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<size_t>(pem.size(), INT_MAX))));
    const KeyPointer key(PEM_read_bio_PrivateKey(source.get(), nullptr, no_passphrase, nullptr));
    if (!key)
        return Error{ErrorKind::InvalidInput, "the private key cannot be read (keys with a passphrase are not used)",
                     openssl_text()};
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
        return Error{ErrorKind::InvalidInput, "the private key does not belong to the certificate", openssl_text()};
    return {};
}

void configure(SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    CHECK(SSL_CTX_set_cipher_list(context, kCiphersOfTls12) == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Resting connections keep no buffers; a session lives in the client's ticket, not here.
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
}

class Stream final : public TlsStream {
  public:
    Stream(std::shared_ptr<const TlsContext> context, SslPointer ssl)
        : context_(std::move(context)), ssl_(std::move(ssl)) {}

    Result<bool> handshake() override {
        const auto outcome = TRY(concluded(call([&] { return SSL_do_handshake(ssl_.get()); })));
        return outcome.has_value();
    }
    Result<std::optional<size_t>> read(std::span<char> buffer) override {
        return concluded(call([&] { return SSL_read(ssl_.get(), buffer.data(), bounded(buffer.size())); }));
    }
    Result<std::optional<size_t>> write(std::string_view bytes) override {
        return concluded(call([&] { return SSL_write(ssl_.get(), bytes.data(), bounded(bytes.size())); }));
    }
    short wanted_events() const override { return wanted_; }
    void finish_sending() override {
        if (!broken_ && SSL_is_init_finished(ssl_.get())) call([&] { return SSL_shutdown(ssl_.get()); });
        ERR_clear_error();
    }

  private:
    static int bounded(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

    template <typename Operation>
    int call(Operation operation) {
        ERR_clear_error();
        return operation();
    }
    Result<std::optional<size_t>> concluded(int returned) {
        wanted_ = POLLIN;
        if (returned > 0) return std::optional<size_t>(static_cast<size_t>(returned));
        switch (SSL_get_error(ssl_.get(), returned)) {
            case SSL_ERROR_WANT_READ:
                return std::optional<size_t>();
            case SSL_ERROR_WANT_WRITE:
                wanted_ = POLLOUT;
                return std::optional<size_t>();
            case SSL_ERROR_ZERO_RETURN:
                return std::optional<size_t>(0);
            default:
                broken_ = true;
                return Error{ErrorKind::Unavailable, "the TLS connection broke", openssl_text()};
        }
    }

    std::shared_ptr<const TlsContext> context_;
    SslPointer ssl_;
    short wanted_ = POLLIN;
    bool broken_ = false;
};

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::from_pem(const std::string& certificates,
                                                               const std::string& key) {
    ContextPointer context(SSL_CTX_new(TLS_server_method()));
    if (!context) return internal_error("cannot make a TLS context", openssl_text());
    configure(context.get());
    TRY(use_certificates(context.get(), certificates));
    TRY(use_key(context.get(), key));
    return std::shared_ptr<const TlsContext>(std::make_shared<Context>(std::move(context)));
}

Result<std::unique_ptr<TlsStream>> TlsStream::accept(std::shared_ptr<const TlsContext> context, int fd) {
    SslPointer ssl(SSL_new(static_cast<const Context&>(*context).get()));
    BIO* const bio = ssl ? BIO_new(quiet_socket_method()) : nullptr;
    if (bio == nullptr) return internal_error("cannot begin TLS", openssl_text());
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
    SSL_set_bio(ssl.get(), bio, bio);
    SSL_set_accept_state(ssl.get());
    return std::unique_ptr<TlsStream>(std::make_unique<Stream>(std::move(context), std::move(ssl)));
}

}  // namespace millwright::net
