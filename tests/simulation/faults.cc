#include "simulation/faults.h"

#include <map>

namespace millwright::simulation {
namespace {

using executors::RunListener;
using executors::RunOutcome;
using executors::RunSpec;
using metadata_store::Connection;
using metadata_store::Durable;
using metadata_store::Transaction;

class FaultyDatabase : public metadata_store::Database {
  public:
    FaultyDatabase(Fault fault, Dice& dice, std::unique_ptr<Database> inner)
        : fault_(fault), dice_(dice), inner_(std::move(inner)) {}

    Result<void> migrate(std::string_view component, const std::vector<metadata_store::Migration>& steps) override {
        return inner_->migrate(component, steps);
    }
    Result<void> write_void(const std::function<Result<void>(Transaction&)>& work, Durable durable,
                            metadata_store::Space space) override {
        if (fault_ == Fault::NothingSynced) durable = Durable::WithNext;
        if (fault_ != Fault::SkippedCommit || !dice_.chance(1 / 30.0)) return inner_->write_void(work, durable, space);
        Result<void> outcome;
        const auto undone = inner_->write_void(
            [&](Transaction& transaction) -> Result<void> {
                outcome = work(transaction);
                return internal_error("rolled back");
            },
            durable, space);
        return undone || outcome ? Result<void>() : outcome;
    }
    bool is_low_on_space() override { return inner_->is_low_on_space(); }
    Result<void> read_void(const std::function<Result<void>(Connection&)>& work) override {
        return inner_->read_void(work);
    }

  private:
    const Fault fault_;
    Dice& dice_;
    std::unique_ptr<Database> inner_;
};

class FaultyExecutor : public executors::Executor {
  public:
    FaultyExecutor(Fault fault, Dice& dice, std::unique_ptr<Executor> inner)
        : fault_(fault), dice_(dice), inner_(std::move(inner)) {}

    Result<void> start(const RunSpec& spec, RunListener& listener) override {
        auto started = inner_->start(spec, heard(listener));
        if (fault_ != Fault::DoubleStart || !started || !dice_.chance(0.05)) return started;
        auto again = spec;
        again.id += "2";
        return inner_->start(again, heard(listener));
    }
    Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) override {
        if (fault_ != Fault::FalseLoss || !dice_.chance(0.25)) return inner_->adopt(id, folder, heard(listener));
        RunOutcome lost;
        lost.cause = RunOutcome::Cause::Lost;
        listener.run_ended(id, lost);
        return {};
    }
    Result<void> request_stop(const std::string& id) override { return inner_->request_stop(id); }
    Result<void> kill(const std::string& id) override { return inner_->kill(id); }
    void clean_up(const std::string& id, const std::string& folder) override { inner_->clean_up(id, folder); }
    Result<std::vector<executors::HostUsage>> usage(const std::string& id) override { return inner_->usage(id); }
    Result<void> start_spare(const RunSpec& spec, RunListener& listener) override {
        return inner_->start_spare(spec, listener);
    }
    Result<void> adopt_spare(const std::string& id, const std::string& folder, RunListener& listener) override {
        return inner_->adopt_spare(id, folder, listener);
    }
    Result<void> end_leftover(const std::string& folder) override { return inner_->end_leftover(folder); }
    Json describe() const override { return inner_->describe(); }

  private:
    struct Deaf : RunListener {
        Deaf(Dice& its_dice, RunListener& its_listener) : dice(its_dice), listener(its_listener) {}
        void run_started(const std::string& id, Timestamp when) override { listener.run_started(id, when); }
        void run_ended(const std::string& id, const RunOutcome& outcome) override {
            if (!dice.chance(0.05)) listener.run_ended(id, outcome);
        }
        Dice& dice;
        RunListener& listener;
    };
    RunListener& heard(RunListener& listener) {
        if (fault_ != Fault::LostEnd) return listener;
        auto& deaf = deaf_[&listener];
        if (!deaf) deaf = std::make_unique<Deaf>(dice_, listener);
        return *deaf;
    }

    const Fault fault_;
    Dice& dice_;
    std::map<RunListener*, std::unique_ptr<Deaf>> deaf_;
    std::unique_ptr<Executor> inner_;
};

class FaultySupervisor : public jobs::Supervisor {
  public:
    FaultySupervisor(Fault fault, Dice& dice, std::unique_ptr<Supervisor> inner)
        : fault_(fault), dice_(dice), inner_(std::move(inner)) {}

    void submit(std::shared_ptr<jobs::Work> work, jobs::Entry entry) override {
        if (fault_ == Fault::MissedAdoption && entry.at == jobs::Entry::At::Adopt && dice_.chance(0.25)) return;
        inner_->submit(std::move(work), std::move(entry));
    }
    void stop(const std::string& key) override { inner_->stop(key); }
    void interrupt(const std::string& key) override { inner_->interrupt(key); }
    void reserve(jobs::Reservation reservation) override { inner_->reserve(std::move(reservation)); }
    void release(const std::string& key) override { inner_->release(key); }
    const jobs::Machine& machine() const override { return inner_->machine(); }
    void shut_down() override { inner_->shut_down(); }

  private:
    const Fault fault_;
    Dice& dice_;
    std::unique_ptr<Supervisor> inner_;
};

}  // namespace

std::string_view name_of(Fault fault) {
    switch (fault) {
        case Fault::None:
            return "none";
        case Fault::SkippedCommit:
            return "skipped commit";
        case Fault::NothingSynced:
            return "nothing synced";
        case Fault::LostNotifications:
            return "lost notifications";
        case Fault::DoubleStart:
            return "double start";
        case Fault::MissedAdoption:
            return "missed adoption";
        case Fault::LostEnd:
            return "lost end";
        case Fault::FalseLoss:
            return "false loss";
    }
    return "none";
}

std::unique_ptr<metadata_store::Database> with_fault(Fault fault, Dice& dice,
                                                     std::unique_ptr<metadata_store::Database> database) {
    if (fault != Fault::SkippedCommit && fault != Fault::NothingSynced) return database;
    return std::make_unique<FaultyDatabase>(fault, dice, std::move(database));
}

std::unique_ptr<executors::Executor> with_fault(Fault fault, Dice& dice,
                                                std::unique_ptr<executors::Executor> executor) {
    if (fault != Fault::DoubleStart && fault != Fault::LostEnd && fault != Fault::FalseLoss) return executor;
    return std::make_unique<FaultyExecutor>(fault, dice, std::move(executor));
}

std::unique_ptr<jobs::Supervisor> with_fault(Fault fault, Dice& dice, std::unique_ptr<jobs::Supervisor> supervisor) {
    if (fault != Fault::MissedAdoption) return supervisor;
    return std::make_unique<FaultySupervisor>(fault, dice, std::move(supervisor));
}

}  // namespace millwright::simulation
