// The text of a requirements.txt, as far as it decides about environments.
#pragma once

#include <string>
#include <string_view>

namespace millwright::resources {

// One requirement or option per line, in their order: comments, blank lines, line continuations and white space at the
// ends are gone. Two files of the same form give the same environment.
std::string normalised_requirements(std::string_view text);

// Why no environment can be derived from the text: the first line that needs the code beside it. Empty: it can.
std::string line_bound_to_the_code(std::string_view text);

}  // namespace millwright::resources
