// Fakes for the tests of this folder and of services/: a clock, keys, an answer kept in memory.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "aws/service.h"
#include "aws/sigv4.h"
#include "base/random.h"
#include "base/time.h"
#include "net/http.h"

namespace millwright::aws {

class FixedClock final : public Clock {
  public:
    explicit FixedClock(std::string_view amz_date) : now_(*parse_amz_date(amz_date)) {}
    Timestamp now() const override { return now_; }
    Monotonic monotonic() const override { return Monotonic(now_.time_since_epoch()); }
    void advance(std::chrono::milliseconds by) { now_ += by; }

  private:
    Timestamp now_;
};

class FixedCredentials final : public CredentialSource {
  public:
    std::optional<Credential> find_credential(std::string_view access_key_id) const override {
        const auto found = by_id.find(std::string(access_key_id));
        return found == by_id.end() ? std::nullopt : std::optional(found->second);
    }
    std::map<std::string, Credential> by_id;
};

class SeededRandom final : public Random {
  public:
    std::string bytes(size_t count) override {
        std::string out(count, '\0');
        for (char& c : out) c = static_cast<char>(engine_());
        return out;
    }

  private:
    std::mt19937 engine_{7};
};

// A body that hands out at most `step` bytes per read and may end in an error, as a slow or broken client gives it.
class SteppedBody final : public net::BodyReader {
  public:
    SteppedBody(std::string bytes, size_t step, bool cut = false) : bytes_(std::move(bytes)), step_(step), cut_(cut) {}
    Result<size_t> read(std::span<char> buffer) override {
        const size_t count = std::min({buffer.size(), step_, bytes_.size() - at_});
        if (count == 0 && cut_ && !buffer.empty()) return invalid_input("the body is cut short");
        bytes_.copy(buffer.data(), count, at_);
        at_ += count;
        return count;
    }
    std::optional<uint64_t> length() const override { return std::nullopt; }
    size_t consumed() const { return at_; }

  private:
    std::string bytes_;
    size_t step_, at_ = 0;
    bool cut_;
};

class RecordingWriter final : public net::ResponseWriter {
  public:
    Result<void> send(int s, const net::Headers& h, std::string_view b) override { return record(s, h, b); }
    Result<void> send_file(int s, const net::Headers& h, int, uint64_t, uint64_t) override { return record(s, h, ""); }
    Result<void> send_headers_only(int s, const net::Headers& h, uint64_t) override { return record(s, h, ""); }
    Result<void> start(int s, const net::Headers& h) override { return record(s, h, ""); }
    Result<void> write(std::string_view bytes) override { return body += bytes, Result<void>(); }
    Result<void> finish() override { return {}; }
    bool answered() const override { return status != 0; }

    int status = 0;
    net::Headers headers;
    std::string body;

  private:
    Result<void> record(int s, const net::Headers& h, std::string_view b) {
        status = s;
        headers = h;
        body = b;
        return {};
    }
};

}  // namespace millwright::aws
