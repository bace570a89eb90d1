#include "base/time.h"

#include <cmath>

#include "base/strings.h"

namespace millwright {
namespace {

class SystemClock final : public Clock {
  public:
    Timestamp now() const override {
        return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    }
    Monotonic monotonic() const override { return std::chrono::steady_clock::now(); }
};

constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Utc {
    explicit Utc(Timestamp when)
        : day(std::chrono::floor<std::chrono::days>(when)), date(day), time(when - day), weekday(day) {}

    std::chrono::sys_days day;
    std::chrono::year_month_day date;
    std::chrono::hh_mm_ss<std::chrono::milliseconds> time;
    std::chrono::weekday weekday;
};

// The last `count` digits. (Headers and listings have a time a line: this takes a tenth of what printf takes.)
void put(std::string& out, int64_t number, size_t count) {
    const size_t at = out.size();
    out.resize(at + count);
    for (size_t i = at + count; i-- > at; number /= 10) out[i] = static_cast<char>('0' + number % 10);
}

// Of four digits, as every format here has it; other years are nobody's.
void put_year(std::string& out, const Utc& utc) {
    const int year = static_cast<int>(utc.date.year());
    if (year < 0 || year > 9999)
        out += std::to_string(year);
    else
        put(out, year, 4);
}

void put_time(std::string& out, const Utc& utc, std::string_view between) {
    put(out, utc.time.hours().count(), 2);
    out += between;
    put(out, utc.time.minutes().count(), 2);
    out += between;
    put(out, utc.time.seconds().count(), 2);
}

// The forms of ISO 8601, with or without marks in date and time.
std::string iso_form(const Utc& utc, std::string_view in_date, std::string_view in_time) {
    std::string out;
    out.reserve(24);
    put_year(out, utc);
    out += in_date;
    put(out, unsigned(utc.date.month()), 2);
    out += in_date;
    put(out, unsigned(utc.date.day()), 2);
    out += 'T';
    put_time(out, utc, in_time);
    return out;
}

std::optional<int> digits(std::string_view text, size_t at, size_t count) {
    if (at + count > text.size()) return std::nullopt;
    int value = 0;
    for (const char c : text.substr(at, count)) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return value;
}

std::optional<Timestamp> from_parts(std::optional<int> year, std::optional<int> month, std::optional<int> day,
                                    std::optional<int> hour, std::optional<int> minute, std::optional<int> second) {
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(unsigned(*month)),
                                           std::chrono::day(unsigned(*day))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
    return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
           std::chrono::seconds(*second);
}

}  // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::string format_iso8601(Timestamp time, Fraction fraction) {
    const Utc utc(time);
    std::string out = iso_form(utc, "-", ":");
    if (fraction != Fraction::None) {
        out += '.';
        put(out, utc.time.subseconds().count(), 3);
    }
    return out.append("Z");
}

std::string format_rfc1123(Timestamp time) {
    const Utc utc(time);
    std::string out;
    out.reserve(29);
    out.append(kDays[utc.weekday.c_encoding()]).append(", ");
    put(out, unsigned(utc.date.day()), 2);
    out.append(" ").append(kMonths[unsigned(utc.date.month()) - 1]).append(" ");
    put_year(out, utc);
    out += ' ';
    put_time(out, utc, ":");
    return out.append(" GMT");
}

std::string format_amz_date(Timestamp time) { return iso_form(Utc(time), "", "").append("Z"); }

double to_epoch_seconds(Timestamp time) { return static_cast<double>(to_epoch_milliseconds(time)) / 1000.0; }
Timestamp from_epoch_seconds(double seconds) { return from_epoch_milliseconds(std::llround(seconds * 1000.0)); }
int64_t to_epoch_milliseconds(Timestamp time) { return time.time_since_epoch().count(); }
Timestamp from_epoch_milliseconds(int64_t milliseconds) { return Timestamp(std::chrono::milliseconds(milliseconds)); }

std::optional<Timestamp> parse_iso8601(std::string_view text) {
    if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ') ||
        text[13] != ':' || text[16] != ':')
        return std::nullopt;
    auto time = from_parts(digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2), digits(text, 11, 2),
                           digits(text, 14, 2), digits(text, 17, 2));
    if (!time) return std::nullopt;
    text.remove_prefix(19);
    if (!text.empty() && text[0] == '.') {
        int scale = 100;
        for (text.remove_prefix(1); !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1)) {
            *time += std::chrono::milliseconds((text[0] - '0') * scale);
            scale /= 10;
        }
    }
    if (text.empty() || text == "Z") return time;
    if (text.size() == 6 && text[3] == ':' && (text[0] == '+' || text[0] == '-')) {
        const auto hours = digits(text, 1, 2), minutes = digits(text, 4, 2);
        if (!hours || !minutes) return std::nullopt;
        const auto offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
        return text[0] == '+' ? *time - offset : *time + offset;
    }
    return std::nullopt;
}

std::optional<Timestamp> parse_rfc1123(std::string_view text) {
    if (text.size() != 29 || !text.ends_with(" GMT")) return std::nullopt;
    for (int month = 0; month < 12; ++month)
        if (text.substr(8, 3) == kMonths[month])
            return from_parts(digits(text, 12, 4), month + 1, digits(text, 5, 2), digits(text, 17, 2),
                              digits(text, 20, 2), digits(text, 23, 2));
    return std::nullopt;
}

std::optional<Timestamp> parse_amz_date(std::string_view text) {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
    return from_parts(digits(text, 0, 4), digits(text, 4, 2), digits(text, 6, 2), digits(text, 9, 2),
                      digits(text, 11, 2), digits(text, 13, 2));
}

}  // namespace millwright
