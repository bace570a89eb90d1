#include "executors/choice/choice.h"

#include <set>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"

namespace millwright::executors {
namespace {

constexpr const char* kNote = "/executor";  // in the folder of a run
constexpr const char* kEngine = "engine\n";

std::string no_engine(const ChoiceParts& parts) {
    return parts.why_no_engine.empty() ? "there is no container engine" : parts.why_no_engine;
}

class ChosenExecutor final : public Executor {
  public:
    explicit ChosenExecutor(const ChoiceParts& parts) : parts_(parts) {}

    Result<void> start(const RunSpec& spec, RunListener& listener) override {
        if (!spec.image || spec.image->engine_image.empty()) return parts_.processes.start(spec, listener);
        if (!parts_.engine) return Error{ErrorKind::Unavailable, no_engine(parts_), spec.image->reference};
        // First: from the start on only the engine knows the run.
        TRY(write_file(spec.folder + kNote, kEngine));
        remember(spec.id);
        auto started = parts_.engine->executor.start(spec, listener);
        if (!started) forget(spec.id);
        return started;
    }

    Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) override {
        if (!run_is_in_engine(folder)) return parts_.processes.adopt(id, folder, listener);
        if (parts_.engine) {
            remember(id);
            return parts_.engine->executor.adopt(id, folder, listener);
        }
        RunOutcome outcome;
        outcome.cause = RunOutcome::Cause::Lost;
        outcome.message = "the container engine that had it is gone: " + no_engine(parts_);
        listener.run_ended(id, outcome);
        return {};
    }

    Result<void> request_stop(const std::string& id) override { return owner(id).request_stop(id); }
    Result<void> kill(const std::string& id) override { return owner(id).kill(id); }
    Result<std::vector<HostUsage>> usage(const std::string& id) override { return owner(id).usage(id); }
    Result<std::string> served_at(const std::string& id, int host) override { return owner(id).served_at(id, host); }

    void clean_up(const std::string& id, const std::string& folder) override {
        owner_of_folder(folder).clean_up(id, folder);
        forget(id);
    }
    Result<void> end_leftover(const std::string& folder) override {
        return owner_of_folder(folder).end_leftover(folder);
    }

    // Spares are interpreters of our environments.
    Result<void> start_spare(const RunSpec& spec, RunListener& listener) override {
        return parts_.processes.start_spare(spec, listener);
    }
    Result<void> adopt_spare(const std::string& id, const std::string& folder, RunListener& listener) override {
        return parts_.processes.adopt_spare(id, folder, listener);
    }

    Json describe() const override {
        Json engine = Json::object({{"missing", no_engine(parts_)}});
        if (parts_.engine) engine = parts_.engine->executor.describe();
        return Json::object({{"processes", parts_.processes.describe()}, {"engine", std::move(engine)}});
    }

  private:
    void remember(const std::string& id) {
        const MutexLock lock(mutex_);
        in_engine_.insert(id);
    }
    void forget(const std::string& id) {
        const MutexLock lock(mutex_);
        in_engine_.erase(id);
    }
    Executor& owner(const std::string& id) const {
        const MutexLock lock(mutex_);
        return in_engine_.contains(id) ? parts_.engine->executor : parts_.processes;
    }
    // Without the engine nothing of its runs can be cleaned up; what the other one finds is nothing.
    Executor& owner_of_folder(const std::string& folder) const {
        return parts_.engine && run_is_in_engine(folder) ? parts_.engine->executor : parts_.processes;
    }

    const ChoiceParts parts_;
    mutable Mutex mutex_;
    std::set<std::string> in_engine_ GUARDED_BY(mutex_);  // ids, until they are cleaned up
};

class ChosenImages final : public Images {
  public:
    explicit ChosenImages(const ChoiceParts& parts) : parts_(parts) {}

    Result<void> look(const ImageRequest& request) override {
        return asked<void>([&](Images& images) { return images.look(request); });
    }
    Result<bool> here(const ImageRequest& request) override {
        if (parts_.engine && parts_.wish != EngineWish::Unwanted && parts_.engine->works()) {
            const bool there = TRY(parts_.engine->images.here(request));
            if (there) return true;
        }
        if (parts_.wish == EngineWish::Required || !parts_.layers) return false;
        return parts_.layers->here(request);
    }
    Result<RunImage> prepare(const ImageRequest& request, const ImageProgress& progress,
                             const std::function<bool()>& stop) override {
        return asked<RunImage>([&](Images& images) { return images.prepare(request, progress, stop); });
    }

  private:
    template <typename T>
    Result<T> asked(const std::function<Result<T>(Images&)>& ask) {
        std::string why = no_engine(parts_);
        if (parts_.engine && parts_.wish != EngineWish::Unwanted) {
            const auto works = parts_.engine->works();
            if (works) return asked_engine<T>(ask);
            why = "the container engine does not answer: " + works.error().message;
        }
        if (parts_.wish == EngineWish::Required)
            return Error{ErrorKind::Unavailable, "Images need a container engine (containers.engine): " + why, ""};
        if (parts_.layers) return ask(*parts_.layers);
        return Error{ErrorKind::Unavailable,
                     "This machine cannot run images: " + why + ", and without one: " + parts_.why_no_layers, ""};
    }

    // What the engine does not have may have been imported for runs without one.
    template <typename T>
    Result<T> asked_engine(const std::function<Result<T>(Images&)>& ask) {
        auto answer = ask(parts_.engine->images);
        const bool missing = !answer && answer.error().kind == ErrorKind::NotFound;
        if (!missing || !parts_.layers || parts_.wish == EngineWish::Required) return answer;
        auto imported = ask(*parts_.layers);
        return imported ? std::move(imported) : std::move(answer);
    }

    const ChoiceParts parts_;
};

}  // namespace

bool run_is_in_engine(const std::string& folder) {
    const auto note = read_file(folder + kNote, 64);
    return note && *note == kEngine;
}

std::unique_ptr<Executor> choose_executor(const ChoiceParts& parts) { return std::make_unique<ChosenExecutor>(parts); }
std::unique_ptr<Images> choose_images(const ChoiceParts& parts) { return std::make_unique<ChosenImages>(parts); }

}  // namespace millwright::executors
