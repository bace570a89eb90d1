// millwright-feeder <run folder>/feed: delivers the data of Pipe channels. Ends by SIGTERM, at once.
#include <signal.h>

#include <cstdio>

#include "base/files.h"
#include "executors/contract/feed_spec.h"
#include "programs/feeder/feeder.h"

int main(int count, char** arguments) {
    using namespace millwright;
    if (count != 2) {
        std::fprintf(stderr, "usage: millwright-feeder FILE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);  // a reader that goes is no event here, but an error of write(2)
    const auto text = read_file(arguments[1], size_t{16} << 20);
    const auto spec = text ? executors::decode_feed_spec(*text) : Result<executors::FeedSpec>(text.error());
    const auto fed = spec ? feeder::feed(*spec) : Result<void>(spec.error());
    if (!fed) std::fprintf(stderr, "%s %s\n", fed.error().message.c_str(), fed.error().detail.c_str());
    return 1;
}
