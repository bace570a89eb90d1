// What the pip of this machine and user is configured to, and how a run gets the same: indexes, local folders of
// packages, certificates.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/executor.h"

namespace millwright::resources {

// The interpreter that environments are made from; seen in every run.
inline constexpr const char* kSystemPython = "/usr/bin/python3";
inline constexpr const char* kCertificateInside = "/opt/ml/certificates.pem";

struct PackageIndex {
    std::string python;                            // "3.11"
    std::string machine;                           // "x86_64"
    std::map<std::string, std::string> variables;  // PIP_… of a run
    std::vector<executors::Mount> mounts;          // local folders of packages that a run does not see anyway
    std::string certificate;                       // a file of the host that belongs at kCertificateInside; or empty
    std::vector<std::string> hosts;                // of the indexes, as net/egress_rules.h reads them
};

// Asks pip; about a second. Unavailable: there is no /usr/bin/python3 with venv.
Result<PackageIndex> ask_package_index();

// From ask_pip.py's answer.
PackageIndex read_package_index(const Json& answer);

// Standard output of a program of this machine, in our environment. Its standard error is the error's detail.
Result<std::string> output_of(const std::vector<std::string>& arguments);

}  // namespace millwright::resources
