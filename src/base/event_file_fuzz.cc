// Foreign bytes in an event file: reading forwards and backwards must agree and never leave the file.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/event_file.h"
#include "base/files.h"
#include "base/strings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    static const std::string path = "/tmp/event_file_fuzz_" + std::to_string(getpid());
    if (!write_file(path, {reinterpret_cast<const char*>(data), size})) return 0;
    const uint64_t end = end_of_events(path).value();
    CHECK(end <= size);
    const auto forwards = read_events(path, 0, SIZE_MAX, SIZE_MAX);
    const auto backwards = read_events_before(path, end, SIZE_MAX, SIZE_MAX);
    CHECK(forwards.has_value() == backwards.has_value());
    if (forwards) {
        CHECK(forwards->size() == backwards->size());
        for (size_t i = 0; i < forwards->size(); ++i) {
            CHECK((*forwards)[i].message == (*backwards)[i].message && (*forwards)[i].offset == (*backwards)[i].offset);
            CHECK(is_valid_utf8((*forwards)[i].message));
        }
        CHECK(forwards->empty() ? end == 0 : forwards->back().end == end);
    }
    if (size > 0) CHECK(find_event_at(path, data[0]).value() <= end);
    unlink(path.c_str());
    return 0;
}
