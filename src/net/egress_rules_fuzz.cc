// What a run asks the proxy for: whatever is accepted has one spelling and one meaning.
#include <arpa/inet.h>

#include <string>
#include <string_view>

#include "base/check.h"
#include "net/egress_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::net;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto found = parse_destination(text, 80);
    if (!found) return 0;
    const bool v6 = found->host.find(':') != std::string::npos;
    const std::string host = v6 ? "[" + found->host + "]" : found->host;
    const auto again = parse_destination(host + ":" + std::to_string(found->port));
    CHECK(again && again->host == found->host && again->port == found->port && again->is_address == found->is_address);
    CHECK(host.find_first_of("@/%\\ \r\n") == std::string::npos && !host.ends_with('.'));
    // What libraries read as an address must have been seen as one, or it would be judged as a name.
    in_addr address{};
    if (!v6 && inet_aton(found->host.c_str(), &address) != 0) CHECK(found->is_address);
    const auto rules = EgressRules::make({{".lan"}, false, 9770});
    CHECK(rules && (rules->judge(*found) == EgressRules::Verdict::Denied || host.ends_with(".lan")));
    return 0;
}
