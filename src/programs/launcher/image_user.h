// Who the command of an image is executed as. Everything is looked up inside, after the image has become the root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::launcher {

struct ImageUser {
    uid_t user = 0;
    gid_t group = 0;
    std::vector<gid_t> groups;  // further ones
    std::string home = "/";
};

// `text` is the User of an image's configuration: a name or number, and after ':' a group's. A number need not be known
// to the image. NotFound: the image knows no such name.
Result<ImageUser> find_image_user(const std::string& text);

// As engines do it: the user may open what the descriptor is by name, as /dev/stdout.
void own_output(const ImageUser& user, int descriptor);

// The user may write wherever root of the contract's folders could, save the input.
Result<void> open_contract_to_user();

}  // namespace millwright::launcher
