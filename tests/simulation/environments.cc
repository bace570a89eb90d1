#include "simulation/environments.h"

#include <cstdio>

namespace millwright::simulation {

using resources::Environment;
using resources::EnvironmentChoice;
using resources::EnvironmentWish;

Result<EnvironmentChoice> SimulatedEnvironments::choose(const EnvironmentWish& wish) const {
    return EnvironmentChoice{
        .id = wish.image.framework, .recipe = wish.image.framework, .title = "an environment", .note = ""};
}

Result<Environment> SimulatedEnvironments::find(const EnvironmentWish& wish) {
    auto choice = TRY(choose(wish));
    if (!built_.contains(choice.id)) return not_found("it is not built");
    return Environment{
        .choice = std::move(choice), .prefix = "/opt/millwright/environments/x", .mounts = {}, .variables = {}};
}

Result<Environment> SimulatedEnvironments::provide(const EnvironmentWish& wish, const std::atomic<bool>& stop,
                                                   const Progress& progress) {
    auto& dice = scheduler_.dice();
    progress("Installing the environment");
    for (int step = 0; step < 3; ++step) {
        scheduler_.sleep(dice.spread(kMillisecond, 10 * kSecond));
        if (stop) return Error{ErrorKind::Conflict, "stopped", ""};
    }
    if (dice.chance(0.05)) return internal_error("the package index does not answer");
    const auto choice = TRY(choose(wish));
    built_.insert(choice.id);
    return find(wish);
}

std::string source_archive() {
    constexpr size_t kBlock = 512, kChecksum = 148;
    const std::string content = "print('a script')\n";
    std::string header(kBlock, '\0');
    const auto field = [&](size_t at, const std::string& text) { header.replace(at, text.size(), text); };
    field(0, "train.py");
    field(100, "0000644");
    field(108, "0000000");
    field(116, "0000000");
    char size[16];
    std::snprintf(size, sizeof size, "%011zo", content.size());
    field(124, size);
    field(136, "00000000000");
    field(kChecksum, "        ");
    field(156, "0");
    field(257, std::string("ustar\0"
                           "00",
                           8));
    unsigned sum = 0;
    for (const char byte : header) sum += static_cast<unsigned char>(byte);
    char checksum[16];
    std::snprintf(checksum, sizeof checksum, "%06o", sum);
    header.replace(kChecksum, 7, std::string(checksum) + '\0');
    std::string body = content;
    body.resize(kBlock);
    return header + body + std::string(2 * kBlock, '\0');
}

}  // namespace millwright::simulation
