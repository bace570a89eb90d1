#include "resources/models/supported_members.h"

#include <algorithm>
#include <string>

namespace millwright::resources {

Error not_supported_yet(std::string_view what) {
    return invalid_input("Millwright does not support " + std::string(what) + " yet.");
}

Result<void> only_supported(const Json& document, std::string_view path,
                            std::initializer_list<std::string_view> supported) {
    for (const JsonMember& member : document.members())
        if (std::find(supported.begin(), supported.end(), member.name) == supported.end())
            return not_supported_yet(std::string(path) + member.name);
    return {};
}

}  // namespace millwright::resources
