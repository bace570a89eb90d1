#include "net/egress_rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::net {
namespace {

constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxLabelBytes = 63;
constexpr size_t kMaxEntries = 1000;

struct Range4 {
    const char* network;
    int bits;
    Reach reach;
};
// First match counts; what is not here is public.
constexpr Range4 kRanges4[] = {
    {"0.0.0.0", 8, Reach::Never},        {"10.0.0.0", 8, Reach::Private},    {"100.64.0.0", 10, Reach::Private},
    {"127.0.0.0", 8, Reach::Private},    {"169.254.0.0", 16, Reach::Never},  {"172.16.0.0", 12, Reach::Private},
    {"192.0.0.0", 24, Reach::Never},     {"192.0.2.0", 24, Reach::Private},  {"192.88.99.0", 24, Reach::Never},
    {"192.168.0.0", 16, Reach::Private}, {"198.18.0.0", 15, Reach::Private}, {"198.51.100.0", 24, Reach::Private},
    {"203.0.113.0", 24, Reach::Private}, {"224.0.0.0", 3, Reach::Never},
};

struct Range6 {
    const char* network;
    int bits;
    Reach reach;
};
// First match counts; what is not here is Never.
constexpr Range6 kRanges6[] = {
    {"::1", 128, Reach::Private},     {"fc00::", 7, Reach::Private}, {"2001::", 23, Reach::Never},
    {"2001:db8::", 32, Reach::Never}, {"2002::", 16, Reach::Never},  {"3fff::", 20, Reach::Never},
    {"2000::", 3, Reach::Public},
};
constexpr const char* kTranslated = "64:ff9b::";  // /96: an IPv4 address follows, as DNS64 makes them

template <size_t size>
bool matches(const unsigned char (&address)[size], int family, const char* network, int bits) {
    unsigned char wanted[size];
    CHECK(inet_pton(family, network, wanted) == 1);
    for (int bit = 0; bit < bits; ++bit) {
        const unsigned char mask = static_cast<unsigned char>(0x80 >> (bit % 8));
        if ((address[bit / 8] & mask) != (wanted[bit / 8] & mask)) return false;
    }
    return true;
}

Reach reach_of_4(const unsigned char (&address)[4]) {
    for (const Range4& range : kRanges4)
        if (matches(address, AF_INET, range.network, range.bits)) return range.reach;
    return Reach::Public;
}

Reach reach_of_6(const unsigned char (&address)[16]) {
    if (matches(address, AF_INET6, kTranslated, 96)) {
        unsigned char inner[4];
        std::memcpy(inner, address + 12, sizeof inner);
        return reach_of_4(inner) == Reach::Public ? Reach::Public : Reach::Never;
    }
    for (const Range6& range : kRanges6)
        if (matches(address, AF_INET6, range.network, range.bits)) return range.reach;
    return Reach::Never;
}

// Whether a resolver would take the name for a number: the last label decides.
bool looks_like_a_number(std::string_view host) {
    std::string_view last = host.substr(host.rfind('.') + 1);  // npos + 1 is 0
    const auto all = [&](std::string_view digits) { return last.find_first_not_of(digits) == std::string_view::npos; };
    if (all("0123456789")) return true;
    if (!last.starts_with("0x")) return false;
    last.remove_prefix(2);
    return all("0123456789abcdef");
}

bool is_plain_name(std::string_view host) {
    if (host.empty() || host.size() > kMaxNameBytes) return false;
    for (const std::string_view label : split(host, '.')) {
        if (label.empty() || label.size() > kMaxLabelBytes || label.front() == '-' || label.back() == '-') return false;
        if (label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string_view::npos) return false;
    }
    return true;
}

// The one spelling of an address; empty when the text is something else.
std::string canonical_address(int family, const std::string& text) {
    unsigned char binary[16];
    char back[INET6_ADDRSTRLEN];
    if (inet_pton(family, text.c_str(), binary) != 1) return "";
    if (inet_ntop(family, binary, back, sizeof back) == nullptr) return "";
    return back;
}

bool read_port(std::string_view text, uint16_t& port) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    return failure == std::errc() && end == text.data() + text.size() && port != 0 && text.front() != '0';
}

Error unclear(std::string_view what, std::string_view text) {
    return invalid_input(std::string(what) + ": \"" + std::string(text.substr(0, 300)) + "\"");
}

// Port 0: there is none.
Result<Destination> read_authority(std::string_view authority) {
    Destination found;
    const std::string lower = to_lower(authority);
    std::string_view rest = lower;
    if (rest.starts_with("[")) {
        const size_t end = rest.find(']');
        if (end == std::string_view::npos) return unclear("not a host", authority);
        const std::string inner(rest.substr(1, end - 1));
        found.host = canonical_address(AF_INET6, inner);
        if (found.host.empty() || inner.find('.') != std::string::npos || found.host.find('.') != std::string::npos)
            return unclear("not a plain IPv6 address", authority);
        found.is_address = true;
        rest.remove_prefix(end + 1);
    } else {
        found.host = rest.substr(0, rest.find(':'));
        rest.remove_prefix(found.host.size());
        if (!is_plain_name(found.host)) return unclear("not a plain host name", authority);
        if (looks_like_a_number(found.host)) {
            if (canonical_address(AF_INET, found.host) != found.host)
                return unclear("an address in an unusual spelling", authority);
            found.is_address = true;
        }
    }
    if (rest.empty()) return found;
    if (rest.front() != ':' || rest.size() < 2 || !read_port(rest.substr(1), found.port))
        return unclear("not a port", authority);
    return found;
}

uint16_t port_of(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

Result<Destination> parse_destination(std::string_view authority, uint16_t default_port) {
    Destination found = TRY(read_authority(authority));
    if (found.port == 0) found.port = default_port;
    if (found.port == 0) return unclear("a port is missing", authority);
    return found;
}

Reach reach_of(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET) {
        unsigned char bytes[4];
        std::memcpy(bytes, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, sizeof bytes);
        return reach_of_4(bytes);
    }
    if (address.ss_family == AF_INET6) {
        unsigned char bytes[16];
        std::memcpy(bytes, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, sizeof bytes);
        return reach_of_6(bytes);
    }
    return Reach::Never;
}

// Only an address of this machine can be bound; asking so needs no list that could be out of date.
bool is_own_address(const sockaddr_storage& address) {
    sockaddr_storage probe = address;
    if (probe.ss_family == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(probe).sin6_port = 0;
    else
        reinterpret_cast<sockaddr_in&>(probe).sin_port = 0;
    const Fd socket(::socket(probe.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return true;  // cannot tell: the careful answer
    const auto size = static_cast<socklen_t>(probe.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&probe), size) == 0;
}

Result<EgressRules> EgressRules::make(const Settings& settings) {
    EgressRules rules;
    rules.allow_all_ = settings.allow_all;
    rules.own_port_ = settings.own_port;
    if (settings.allowed.size() > kMaxEntries) return invalid_input("more than 1000 allowed hosts");
    for (const std::string& text : settings.allowed) {
        const bool suffix = text.starts_with(".");
        const auto read = read_authority(suffix ? std::string_view(text).substr(1) : std::string_view(text));
        if (!read) return read.error();
        if (suffix && read->is_address) return unclear("an address has no hosts below it", text);
        rules.entries_.push_back({(suffix ? "." : "") + read->host, read->port});
    }
    return rules;
}

EgressRules::Verdict EgressRules::judge(const Destination& destination) const {
    Verdict verdict = allow_all_ ? Verdict::PublicOnly : Verdict::Denied;
    for (const Entry& entry : entries_) {
        const bool port_fits =
            entry.port != 0 ? entry.port == destination.port : destination.port == 80 || destination.port == 443;
        if (!port_fits) continue;
        if (entry.host == destination.host) return Verdict::Anywhere;
        if (entry.host.front() == '.' && destination.host.ends_with(entry.host) && !destination.is_address)
            verdict = Verdict::PublicOnly;
    }
    return verdict;
}

bool EgressRules::permits(Verdict verdict, const sockaddr_storage& address) const {
    const Reach reach = reach_of(address);
    if (verdict == Verdict::Denied || reach == Reach::Never) return false;
    if (reach == Reach::Public && !is_own_address(address)) return true;
    return verdict == Verdict::Anywhere && (own_port_ == 0 || port_of(address) != own_port_);
}

}  // namespace millwright::net
