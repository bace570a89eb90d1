#include "resources/environments/environments.h"

#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/check.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "resources/environments/environment_build.h"
#include "resources/environments/environment_files.h"
#include "resources/environments/package_index.h"
#include "resources/environments/recipes.h"
#include "resources/environments/requirements.h"

namespace millwright::resources {
namespace {

using executors::Mount;

// How often another process is asked whether it has built what we wait for.
constexpr std::chrono::milliseconds kTick{200};

const std::map<std::string, std::string>& common_variables() {
    static const std::map<std::string, std::string> variables = {{"LANG", "C.UTF-8"},
                                                                 {"LC_ALL", "C.UTF-8"},
                                                                 {"PYTHONDONTWRITEBYTECODE", "1"},
                                                                 {"PYTHONIOENCODING", "UTF-8"},
                                                                 {"PYTHONUNBUFFERED", "1"}};
    return variables;
}

std::vector<std::string> gpu_devices() {
    std::vector<std::string> devices;
    for (const char* name : {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"})
        if (file_exists(name)) devices.emplace_back(name);
    bool any = false;
    for (int i = 0; i < 64; ++i)
        if (const std::string name = "/dev/nvidia" + std::to_string(i); file_exists(name)) {
            devices.push_back(name);
            any = true;
        }
    if (!any) devices.clear();
    return devices;
}

// A wish, resolved: the environment of the recipe and, with requirements, the one on top.
struct Chosen {
    RecipeChoice recipe;
    std::string base_id, derived_id;  // derived_id empty: no requirements
    std::string requirements;
    const std::string& id() const { return derived_id.empty() ? base_id : derived_id; }
};

class EnvironmentStore final : public Environments {
  public:
    EnvironmentStore(EnvironmentSettings settings, executors::Executor& executor)
        : settings_(std::move(settings)), files_(settings_.folder), executor_(executor) {
        const Json described = executor.describe();
        overlay_ = described["overlay"].bool_or(true);
    }

    Result<EnvironmentChoice> choose(const EnvironmentWish& wish) const override;
    Result<Environment> find(const EnvironmentWish& wish) override;
    Result<Environment> provide(const EnvironmentWish& wish, const std::atomic<bool>& stop,
                                const Progress& progress) override;
    std::vector<EnvironmentInfo> list() override;
    Result<void> remove(std::string_view name) override;
    const EnvironmentFiles& files() const { return files_; }

  private:
    Result<Machine> machine() const;
    Result<Chosen> resolve(const EnvironmentWish& wish) const;
    EnvironmentChoice choice_of(const Chosen& chosen) const;
    Environment describe(const Chosen& chosen) const;
    BuildOrder base_order(const Chosen& chosen, const Machine& machine) const;
    BuildOrder derived_order(const Chosen& chosen, const Machine& machine) const;
    Result<void> ensure(const BuildOrder& order, const std::atomic<bool>& stop, const Progress& progress);
    EnvironmentInfo info_of(const EnvironmentRecord& record) const;
    Result<void> check_unused(const std::set<std::string>& ids) const;

    const EnvironmentSettings settings_;
    const EnvironmentFiles files_;
    executors::Executor& executor_;
    bool overlay_ = true;
    mutable Mutex mutex_;
    mutable std::optional<Machine> machine_ GUARDED_BY(mutex_);
    Condition built_;  // something was built in this process
};

// Asked once: what it says changes with the machine only.
Result<Machine> EnvironmentStore::machine() const {
    const MutexLock lock(mutex_);
    if (machine_) return *machine_;
    const auto version =
        output_of({kSystemPython, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"});
    if (!version)
        return Error{ErrorKind::Unavailable,
                     std::string("frameworks need Python 3.9 or later with venv at ") + kSystemPython +
                         " (Debian: python3-venv)",
                     version.error().message + ": " + version.error().detail};
    utsname name{};
    uname(&name);
    machine_ = Machine{std::string(trim(*version)), name.machine, !gpu_devices().empty()};
    return *machine_;
}

Result<Chosen> EnvironmentStore::resolve(const EnvironmentWish& wish) const {
    const Machine here = TRY(machine());
    Chosen chosen;
    chosen.recipe = TRY(choose_recipe(wish.image, here));
    chosen.base_id = environment_id(*chosen.recipe.recipe, chosen.recipe.gpu, here);
    if (const std::string line = line_bound_to_the_code(wish.requirements); !line.empty())
        return invalid_input("requirements.txt needs the code beside it: " + line);
    chosen.requirements = normalised_requirements(wish.requirements);
    if (!chosen.requirements.empty()) chosen.derived_id = derived_environment_id(chosen.base_id, chosen.requirements);
    return chosen;
}

EnvironmentChoice EnvironmentStore::choice_of(const Chosen& chosen) const {
    const std::string title =
        chosen.recipe.title + (chosen.derived_id.empty() ? "" : " with the packages of requirements.txt");
    return {chosen.id(), std::string(chosen.recipe.recipe->framework), title, chosen.recipe.note};
}

Result<EnvironmentChoice> EnvironmentStore::choose(const EnvironmentWish& wish) const {
    const Chosen chosen = TRY(resolve(wish));
    return choice_of(chosen);
}

Environment EnvironmentStore::describe(const Chosen& chosen) const {
    Environment environment;
    environment.choice = choice_of(chosen);
    environment.prefix = prefix_of(chosen.id());
    // Jobs may install packages; what they write vanishes with them. Without overlayfs a private copy of some gigabytes
    // would take longer than most jobs.
    const auto mode = overlay_ ? Mount::Mode::Overlay : Mount::Mode::ReadOnly;
    environment.mounts.push_back({files_.complete(chosen.base_id) + "/tree", prefix_of(chosen.base_id), mode});
    if (!chosen.derived_id.empty())
        environment.mounts.push_back({files_.complete(chosen.derived_id) + "/tree", environment.prefix, mode});
    if (chosen.recipe.gpu)
        for (const std::string& device : gpu_devices())
            environment.mounts.push_back({device, device, Mount::Mode::Writable});
    environment.variables = common_variables();
    environment.variables["VIRTUAL_ENV"] = environment.prefix;
    return environment;
}

Result<Environment> EnvironmentStore::find(const EnvironmentWish& wish) {
    const Chosen chosen = TRY(resolve(wish));
    TRY(files_.read(chosen.base_id));
    if (!chosen.derived_id.empty()) TRY(files_.read(chosen.derived_id));
    files_.mark_used(chosen.base_id);
    if (!chosen.derived_id.empty()) files_.mark_used(chosen.derived_id);
    return describe(chosen);
}

BuildOrder EnvironmentStore::base_order(const Chosen& chosen, const Machine& machine) const {
    const Recipe& recipe = *chosen.recipe.recipe;
    BuildOrder order;
    order.record.choice = {chosen.base_id, std::string(recipe.framework), chosen.recipe.title, ""};
    order.record.name = recipe_name(recipe);
    order.record.python = machine.python;
    order.plan = plan_packages(recipe, chosen.recipe.gpu);
    return order;
}

BuildOrder EnvironmentStore::derived_order(const Chosen& chosen, const Machine& machine) const {
    BuildOrder order;
    order.record.choice = choice_of(chosen);
    order.record.choice.note.clear();
    order.record.name = recipe_name(*chosen.recipe.recipe);
    order.record.base = chosen.base_id;
    order.record.requirements = chosen.requirements;
    order.record.python = machine.python;
    order.plan.packages = chosen.requirements;
    order.mounts = {{files_.complete(chosen.base_id) + "/tree", prefix_of(chosen.base_id), Mount::Mode::ReadOnly}};
    return order;
}

// Builds it, or waits for whoever does.
Result<void> EnvironmentStore::ensure(const BuildOrder& order, const std::atomic<bool>& stop,
                                      const Progress& progress) {
    const std::string& id = order.record.choice.id;
    std::optional<BuildLog> others;
    while (!files_.read(id)) {
        if (stop.load()) return Error{ErrorKind::Conflict, "building the environment was stopped", ""};
        if (auto lock = files_.lock(id)) {
            if (files_.read(id)) return {};
            if (progress) progress("Building the environment " + order.record.choice.title);
            const auto outcome = build_environment({files_, executor_, settings_.egress_socket}, order, stop, progress);
            lock->reset();
            built_.notify_all();
            return outcome;
        } else if (lock.error().kind != ErrorKind::Conflict) {
            return lock.error();
        }
        if (!others) {
            others.emplace(files_.partial(id) + "/log");
            if (progress)
                progress("Waiting for the environment " + order.record.choice.title + ", which is being built");
        }
        others->tell_new_lines(progress);
        const MutexLock waiting(mutex_);
        built_.wait_until(mutex_, std::chrono::steady_clock::now() + kTick);
    }
    return {};
}

Result<Environment> EnvironmentStore::provide(const EnvironmentWish& wish, const std::atomic<bool>& stop,
                                              const Progress& progress) {
    const Chosen chosen = TRY(resolve(wish));
    const Machine here = TRY(machine());
    TRY(ensure(base_order(chosen, here), stop, progress));
    if (!chosen.derived_id.empty()) TRY(ensure(derived_order(chosen, here), stop, progress));
    return find(wish);
}

EnvironmentInfo EnvironmentStore::info_of(const EnvironmentRecord& record) const {
    EnvironmentInfo info;
    info.choice = record.choice;
    info.name = record.name;
    info.requirements = record.requirements;
    info.state = "ready";
    info.bytes = record.bytes;
    info.built = record.built;
    info.last_used = files_.last_used(record.choice.id);
    info.packages = record.packages;
    return info;
}

std::vector<EnvironmentInfo> EnvironmentStore::list() {
    std::vector<EnvironmentInfo> infos;
    std::set<std::string> known;
    const auto add_unbuilt = [&](const EnvironmentChoice& choice, const std::string& name) {
        EnvironmentInfo info;
        info.choice = choice;
        info.name = name;
        info.state = files_.is_locked(choice.id) ? "building" : "not built";
        infos.push_back(std::move(info));
    };
    if (const auto here = machine())
        for (const Recipe& recipe : recipes()) {
            const EnvironmentWish wish{
                {.framework = std::string(recipe.framework), .version = std::string(recipe.version), .gpu = here->gpu},
                ""};
            auto choice = choose(wish);
            if (!choice) continue;
            choice->note.clear();
            known.insert(choice->id);
            if (const auto record = files_.read(choice->id))
                infos.push_back(info_of(*record));
            else
                add_unbuilt(*choice, recipe_name(recipe));
        }
    for (const std::string& id : files_.ids()) {
        if (!known.insert(id).second) continue;
        if (const auto record = files_.read(id)) infos.push_back(info_of(*record));
    }
    for (const std::string& id : files_.building())
        if (known.insert(id).second) add_unbuilt({id, "", "", ""}, "(with requirements)");
    return infos;
}

// Launch files name the sources of mounts; a run whose exit is recorded is over.
Result<void> EnvironmentStore::check_unused(const std::set<std::string>& ids) const {
    for (const std::string& folder : settings_.run_folders) {
        std::error_code failed;
        for (auto run = std::filesystem::directory_iterator(folder, failed);
             !failed && run != std::filesystem::directory_iterator(); run.increment(failed)) {
            const std::string path = run->path().string();
            if (file_exists(path + "/exit.json")) continue;
            const auto launch = read_file(path + "/launch");
            if (!launch) continue;
            for (const std::string& id : ids)
                if (launch->find(prefix_of(id)) != launch->npos)
                    return Error{ErrorKind::Conflict,
                                 "The environment " + id + " is in use by the run " + run->path().filename().string(),
                                 ""};
        }
    }
    return {};
}

Result<void> EnvironmentStore::remove(std::string_view name) {
    const auto image = image_of_environment_name(name);
    std::set<std::string> ids;
    const auto here = machine();
    for (const std::string& id : files_.ids()) {
        const auto record = files_.read(id);
        if (!record) continue;
        const bool by_id = name.size() >= 6 && id.starts_with(name);
        const bool by_framework = record->choice.recipe == name;
        const auto chosen = image && here ? choose_recipe(*image, *here) : Error{};
        const bool by_version =
            chosen && !image->version.empty() && environment_id(*chosen->recipe, false, *here) == id;
        if (by_id || by_framework || by_version) ids.insert(id);
    }
    for (const std::string& id : files_.ids())
        if (const auto record = files_.read(id); record && ids.contains(record->base)) ids.insert(id);
    if (ids.empty()) return not_found("No environment " + std::string(name) + " is built.");

    std::vector<Fd> locks;
    for (const std::string& id : ids) {
        Fd lock = TRY(files_.lock(id));
        locks.push_back(std::move(lock));
    }
    TRY(check_unused(ids));
    for (const std::string& id : ids) TRY(files_.remove(id));
    return {};
}

}  // namespace

Result<FrameworkImage> image_of_environment_name(std::string_view name) {
    if (const auto image = find_framework_image(name)) return *image;
    std::string known;
    for (const Recipe& recipe : recipes()) {
        FrameworkImage image{.framework = std::string(recipe.framework)};
        if (name == recipe.framework) return image;
        if (name.starts_with(std::string(recipe.framework) + "-")) {
            image.version = name.substr(recipe.framework.size() + 1);
            return image;
        }
        known += (known.empty() ? "" : ", ") + recipe_name(recipe);
    }
    return invalid_input("There is no recipe for " + std::string(name) + ". There are: " + known + ".");
}

Result<std::unique_ptr<Environments>> Environments::open(const EnvironmentSettings& settings,
                                                         executors::Executor& executor) {
    TRY(make_directories(settings.folder, 0700));
    auto store = std::make_unique<EnvironmentStore>(settings, executor);
    store->files().empty_trash();
    return std::unique_ptr<Environments>(std::move(store));
}

}  // namespace millwright::resources
