#include "resources/prebuilt_images/image_builder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>

#include "base/encoding.h"
#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "net/http_client.h"

namespace millwright::resources {
namespace {

constexpr std::chrono::seconds kShort{60};
constexpr net::HttpClient::Patience kBuildPatience{
    .head = std::chrono::hours(1), .pause = std::chrono::hours(1), .whole = std::chrono::hours(6)};
constexpr size_t kMaxLine = size_t{1} << 20;
constexpr size_t kLastLines = 40;

// The bytes of a file without reading them into memory.
class MappedArchive {
  public:
    static Result<MappedArchive> open(const std::string& path) {
        const Fd file = TRY(open_file(path, O_RDONLY));
        struct stat about {};
        if (fstat(file.get(), &about) != 0) return error_from_errno("cannot look at " + path);
        MappedArchive archive;
        archive.size_ = static_cast<size_t>(about.st_size);
        archive.data_ = mmap(nullptr, archive.size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
        if (archive.data_ == MAP_FAILED) return error_from_errno("cannot map " + path);
        return archive;
    }
    MappedArchive(MappedArchive&& other) noexcept : data_(std::exchange(other.data_, MAP_FAILED)), size_(other.size_) {}
    MappedArchive& operator=(MappedArchive&&) = delete;
    ~MappedArchive() {
        if (data_ != MAP_FAILED) munmap(data_, size_);
    }
    std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

  private:
    MappedArchive() = default;
    void* data_ = MAP_FAILED;
    size_t size_ = 0;
};

std::string query_json(const std::map<std::string, std::string>& values) {
    Json object = Json::object();
    for (const auto& [name, value] : values) object.set(name, value);
    return percent_encode(object.dump());
}

// {"message": "…"} of the engine.
Error engine_error(const std::string& what, const net::ClientResponse& response) {
    const auto body = Json::parse(response.body);
    const std::string said = body ? (*body)["message"].string_or("") : response.body;
    const auto kind = response.status == 404  ? ErrorKind::NotFound
                      : response.status < 500 ? ErrorKind::InvalidInput
                                              : ErrorKind::Unavailable;
    return Error{kind, what + ": " + (said.empty() ? "status " + std::to_string(response.status) : said), ""};
}

// The answer to a build: JSON objects, one per line.
class BuildTalk final : public net::HttpClient::Receiver {
  public:
    explicit BuildTalk(const ImageBuilder::Progress& progress) : progress_(progress) {}

    bool begin(const net::ClientResponse& response) override {
        status_ = response.status;
        return true;
    }
    bool piece(std::string_view bytes) override {
        pending_.append(bytes);
        for (size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
            take(std::string_view(pending_).substr(0, end));
            pending_.erase(0, end + 1);
        }
        return pending_.size() <= kMaxLine;
    }

    Result<void> outcome() {
        if (!trim(pending_).empty()) take(pending_);
        if (status_ != 200 && error_.empty()) error_ = "the engine answered with status " + std::to_string(status_);
        if (error_.empty()) return {};
        std::string last;
        for (const std::string& line : last_lines_) last += line + "\n";
        return Error{ErrorKind::InvalidInput, error_, last};
    }

  private:
    void take(std::string_view text) {
        const auto line = Json::parse(trim(text));
        if (!line) return;
        for (const char* member : {"message", "error"})
            if (const std::string said = (*line)[member].string_or(""); !said.empty()) error_ = trim(said);
        said_ += (*line)["stream"].string_or("");
        if (const std::string status = (*line)["status"].string_or(""); !status.empty() && !line->has("progressDetail"))
            said_ += status + "\n";
        for (size_t end = said_.find('\n'); end != std::string::npos; end = said_.find('\n')) {
            tell(std::string(trim(std::string_view(said_).substr(0, end))));
            said_.erase(0, end + 1);
        }
    }
    void tell(const std::string& line) {
        if (line.empty()) return;
        last_lines_.push_back(valid_utf8(line));
        if (last_lines_.size() > kLastLines) last_lines_.pop_front();
        if (progress_) progress_(last_lines_.back());
    }

    const ImageBuilder::Progress& progress_;
    int status_ = 0;
    std::string pending_;  // of a line of the answer
    std::string said_;     // of a line that a step says
    std::string error_;
    std::deque<std::string> last_lines_;
};

// What users make from our images has our label, too. Podman says where a name without a host is.
bool is_our_name(std::string_view name) {
    constexpr std::string_view kHere = "localhost/";
    if (name.starts_with(kHere)) name.remove_prefix(kHere.size());
    return name.starts_with("millwright/");
}

std::string build_target(const ImageOrder& order) {
    std::string target = "/build?rm=1&forcerm=1&dockerfile=Dockerfile";
    for (const std::string& reference : order.references) target += "&t=" + percent_encode(reference);
    target += "&buildargs=" + query_json(order.arguments) + "&labels=" + query_json(order.labels);
    if (!order.network.empty()) target += "&networkmode=" + percent_encode(order.network);
    if (order.no_cache) target += "&nocache=1";
    return target;
}

class EngineBuilder final : public ImageBuilder {
  public:
    explicit EngineBuilder(const std::string& socket) : engine_(net::HttpClient::unix_socket(socket)) {}

    // Also settles which version of the API is spoken: the engine's newest, because new engines refuse old versions and
    // what is used here has been the same in all.
    Result<void> ping() {
        const auto answer = TRY(engine_->call("GET", "/_ping", {}, "", kShort));
        api_ = "/v" + answer.headers.get("Api-Version", "1.41");
        if (answer.status == 200) return {};
        auto error = engine_error("the engine", answer);
        error.kind = ErrorKind::Unavailable;
        return error;
    }

    Result<BuiltImage> find(const std::string& reference) override {
        const auto answer = TRY(ask("GET", "/images/" + percent_encode(reference, Slash::Keep) + "/json"));
        if (answer.status != 200) return engine_error("the image " + reference, answer);
        const Json about = TRY(Json::parse(answer.body));
        BuiltImage image;
        image.id = about["Id"].string_or("");
        image.bytes = static_cast<uint64_t>(about["Size"].int_or(0));
        for (const auto& [name, value] : about["Config"]["Labels"].members()) image.labels[name] = value.string_or("");
        return image;
    }

    Result<BuiltImage> build(const ImageOrder& order, const Progress& progress) override {
        const MappedArchive archive = TRY(MappedArchive::open(order.archive));
        BuildTalk talk(progress);
        TRY(engine_->stream("POST", api_ + build_target(order), {{"Content-Type", "application/x-tar"}},
                            archive.bytes(), kBuildPatience, talk));
        TRY(talk.outcome());
        return find(order.references.front());
    }

    Result<void> name(const std::string& id, const std::vector<std::string>& references) override {
        for (const std::string& reference : references) {
            const size_t colon = reference.rfind(':');
            const auto answer =
                TRY(ask("POST", "/images/" + id + "/tag?repo=" + percent_encode(reference.substr(0, colon)) +
                                    "&tag=" + percent_encode(reference.substr(colon + 1))));
            if (answer.status != 201) return engine_error("cannot name the image " + reference, answer);
        }
        return {};
    }

    Result<std::vector<ListedImage>> list() override {
        const std::string filters = R"({"label":[")" + std::string(kContentLabel) + "\"]}";
        const auto answer = TRY(ask("GET", "/images/json?filters=" + percent_encode(filters)));
        if (answer.status != 200) return engine_error("cannot list images", answer);
        const Json found = TRY(Json::parse(answer.body));
        std::vector<ListedImage> images;
        for (const Json& image : found.items())
            for (const Json& name : image["RepoTags"].items())
                if (const auto text = name.string_or(""); is_our_name(text))
                    images.push_back({text, image["Id"].string_or(""), static_cast<uint64_t>(image["Size"].int_or(0))});
        std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        return images;
    }

    Result<void> remove(const std::string& reference) override {
        const BuiltImage image = TRY(find(reference));
        if (!image.labels.contains(kContentLabel) || !is_our_name(reference))
            return not_found("the image " + reference + " was not built here");
        const auto answer = TRY(ask("DELETE", "/images/" + percent_encode(reference, Slash::Keep)));
        if (answer.status == 200) return {};
        auto error = engine_error("cannot remove the image " + reference, answer);
        if (answer.status == 409) error.kind = ErrorKind::Conflict;
        return error;
    }

    Result<void> remove_unnamed(const std::string& label) override {
        const std::string filters = R"({"dangling":["true"],"label":[")" + label + "\"]}";
        const auto answer = TRY(ask("POST", "/images/prune?filters=" + percent_encode(filters)));
        if (answer.status != 200) return engine_error("cannot remove unnamed images", answer);
        return {};
    }

    void remove_if_unnamed(const std::string& id) override {
        const auto answer = ask("GET", "/images/" + id + "/json");
        if (!answer || answer->status != 200) return;
        const auto about = Json::parse(answer->body);
        if (!about || !(*about)["RepoTags"].items().empty()) return;
        static_cast<void>(ask("DELETE", "/images/" + id).has_value());  // refused: something needs it
    }

  private:
    Result<net::ClientResponse> ask(const char* method, const std::string& target) {
        return engine_->call(method, api_ + target, {}, "", kShort);
    }

    std::unique_ptr<net::HttpClient> engine_;
    std::string api_;
};

}  // namespace

Result<std::unique_ptr<ImageBuilder>> ImageBuilder::open(const std::string& socket) {
    auto builder = std::make_unique<EngineBuilder>(socket);
    TRY(builder->ping());
    return std::unique_ptr<ImageBuilder>(std::move(builder));
}

}  // namespace millwright::resources
