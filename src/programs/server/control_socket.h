// <data-dir>/control.sock: what the command line asks of a running server, beyond what AWS's API offers. HTTP with JSON
// bodies over a unix socket that only the owner of the data directory can open; see docs/decisions/.
//
//   GET  /training-jobs                        the latest 100: {"jobs": [{name, status, secondary_status, …}]}
//   GET  /training-jobs/<name>                 everything about one, see job_card.cc
//   GET  /training-jobs/<name>/logs            ?host=0&position=0: {"events": […], "position": …, "ended": …}
//   POST /training-jobs/<name>/stop, …/interrupt
//   GET  /images                               {"images": [{name, where, digest, bytes}], "layers": {count, bytes, …}}
//   POST /images/remove?name=<name>            of the registry: a tag and, with its last one, the image; or a digest
//   POST /images/free-unused                   unpacked layers that no run uses: {"bytes"}
//   GET  /accounts                             {"accounts": [{"AccountId", "Name"}]}
//   POST /accounts?name=<name>                 a new one: {"AccountId", "Name", "AccessKeyId", "SecretAccessKey"}
//
// ?region= chooses another than the server's. Errors: 400, 404, 409, 500 with {"message"}.
#pragma once

#include <memory>
#include <string>

#include "executors/images/unpacked_images.h"
#include "net/http_server.h"
#include "registry/registry.h"
#include "resources/identity/identity.h"
#include "resources/logs/logs.h"
#include "resources/training_jobs/training_jobs.h"

namespace millwright::programs {

inline constexpr const char* kControlSocket = "control.sock";

struct ControlledParts {
    resources::TrainingJobs& training_jobs;
    resources::Logs& logs;
    resources::Identity& identity;
    registry::Registry& registry;
    executors::UnpackedImages* unpacked;  // null: this machine unpacks none
    std::string account, region;
};

// The parts must outlive it.
Result<std::unique_ptr<net::HttpServer>> start_control_socket(const std::string& data_dir,
                                                              const ControlledParts& parts);

}  // namespace millwright::programs
