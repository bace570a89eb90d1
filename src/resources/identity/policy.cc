#include "resources/identity/policy.h"

#include <algorithm>

#include "base/strings.h"

namespace millwright::resources {
namespace {

Result<std::vector<std::string>> one_or_many(const Json& value) {
    std::vector<std::string> out;
    if (value.is_string()) return std::vector<std::string>{value.as_string()};
    if (!value.is_array() || value.size() == 0) return invalid_input("Syntax errors in policy.");
    for (const Json& item : value.items()) {
        if (!item.is_string()) return invalid_input("Syntax errors in policy.");
        out.push_back(item.as_string());
    }
    return out;
}

bool is_account_id(std::string_view text) {
    return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

Result<void> check_aws_principal(const std::string& principal) {
    if (principal == "*" || is_account_id(principal) || principal.starts_with("arn:aws")) return {};
    return invalid_input("Invalid principal in policy: \"AWS\":\"" + principal + "\"");
}

Result<void> read_principal(const Json& principal, PolicyStatement& statement) {
    if (principal.is_string() && principal.as_string() == "*") {
        statement.aws_principals.emplace_back("*");
        return {};
    }
    if (!principal.is_object() || principal.size() == 0) return invalid_input("Syntax errors in policy.");
    for (const JsonMember& member : principal.members()) {
        std::vector<std::string> names = TRY(one_or_many(member.value));
        if (member.name == "AWS") {
            for (const std::string& name : names) TRY(check_aws_principal(name));
            statement.aws_principals = std::move(names);
        } else if (member.name == "Service") {
            statement.service_principals = std::move(names);
        } else if (member.name != "Federated" && member.name != "CanonicalUser") {
            return invalid_input("Unknown principal type \"" + member.name + "\" in policy.");
        }
    }
    return {};
}

Result<void> read_actions(const Json& statement, PolicyKind kind, PolicyStatement& out) {
    if (statement.has("Action") == statement.has("NotAction"))
        return invalid_input("Policy statement must contain actions.");
    out.all_actions_but = statement.has("NotAction");
    out.actions = TRY(one_or_many(statement[out.all_actions_but ? "NotAction" : "Action"]));
    for (const std::string& action : out.actions) {
        if (action != "*" && action.find(':') == action.npos)
            return invalid_input("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
        if (kind == PolicyKind::Trust && !to_lower(action).starts_with("sts:") && action != "*")
            return invalid_input("AssumeRole policy may only specify STS AssumeRole actions.");
    }
    return {};
}

Result<PolicyStatement> read_statement(const Json& statement, PolicyKind kind) {
    static constexpr std::string_view kKnown[] = {"Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
                                                  "NotAction", "Resource", "NotResource", "Condition"};
    if (!statement.is_object()) return invalid_input("Syntax errors in policy.");
    for (const JsonMember& member : statement.members())
        if (std::find(std::begin(kKnown), std::end(kKnown), member.name) == std::end(kKnown))
            return invalid_input("Syntax errors in policy.");
    PolicyStatement out;
    const std::string effect = statement["Effect"].string_or("");
    if (effect != "Allow" && effect != "Deny")
        return invalid_input(effect.empty() ? "Missing required field Effect" : "Invalid effect: " + effect);
    out.allow = effect == "Allow";
    out.has_condition = statement.has("Condition");
    TRY(read_actions(statement, kind, out));
    const bool has_resource = statement.has("Resource") || statement.has("NotResource");
    if (kind == PolicyKind::Permission) {
        if (statement.has("Principal") || statement.has("NotPrincipal"))
            return invalid_input("Policy document should not specify a principal.");
        if (!has_resource) return invalid_input("Policy statement must contain resources.");
        return out;
    }
    if (has_resource) return invalid_input("Has prohibited field Resource");
    if (statement.has("NotPrincipal"))
        return invalid_input("NotPrincipal in a trust policy is not supported by Millwright; name the principals.");
    if (!statement.has("Principal")) return invalid_input("Missing required field Principal");
    TRY(read_principal(statement["Principal"], out));
    return out;
}

bool covers_assume_role(const PolicyStatement& statement) {
    bool listed = false;
    for (const std::string& action : statement.actions) listed |= wildcard_match(action, "sts:AssumeRole", true);
    return listed != statement.all_actions_but;
}

// arn:aws:sts::1:assumed-role/Name/session is also the role arn:aws:iam::1:role/[path/]Name.
bool is_role_of_session(std::string_view principal, std::string_view caller_arn) {
    const std::string_view marker = ":assumed-role/";
    const size_t at = caller_arn.find(marker);
    if (at == caller_arn.npos) return false;
    const std::string_view rest = caller_arn.substr(at + marker.size());
    const std::string_view name = rest.substr(0, rest.find('/'));
    const size_t role = principal.find(":role/");
    return role != principal.npos && principal.substr(principal.rfind('/') + 1) == name &&
           split(principal, ':').size() > 4 && split(caller_arn, ':').size() > 4 &&
           split(principal, ':')[4] == split(caller_arn, ':')[4];
}

bool names_caller(const std::string& principal, std::string_view caller_arn, std::string_view account) {
    if (principal == "*" || principal == account || principal == caller_arn) return true;
    if (principal == "arn:aws:iam::" + std::string(account) + ":root") return true;
    return is_role_of_session(principal, caller_arn);
}

template <typename Matches>
bool decide(const std::vector<PolicyStatement>& trust, Matches matches) {
    bool allowed = false;
    for (const PolicyStatement& statement : trust) {
        if (!covers_assume_role(statement) || !matches(statement)) continue;
        if (!statement.allow) return false;
        allowed |= !statement.has_condition;
    }
    return allowed;
}

}  // namespace

Result<std::vector<PolicyStatement>> parse_policy(std::string_view document, PolicyKind kind) {
    const auto parsed = Json::parse(document);
    if (!parsed) return invalid_input("This policy contains invalid Json");
    if (!parsed->is_object()) return invalid_input("Syntax errors in policy.");
    for (const JsonMember& member : parsed->members())
        if (member.name != "Version" && member.name != "Id" && member.name != "Statement")
            return invalid_input("Syntax errors in policy.");
    const std::string version = (*parsed)["Version"].string_or("2008-10-17");
    if (version != "2012-10-17" && version != "2008-10-17")
        return invalid_input("The policy must contain a valid version string");
    const Json& statements = (*parsed)["Statement"];
    std::vector<PolicyStatement> out;
    if (statements.is_object()) {
        out.push_back(TRY(read_statement(statements, kind)));
        return out;
    }
    if (!statements.is_array() || statements.size() == 0) return invalid_input("Syntax errors in policy.");
    for (const Json& statement : statements.items()) out.push_back(TRY(read_statement(statement, kind)));
    return out;
}

bool trust_allows(const std::vector<PolicyStatement>& trust, std::string_view caller_arn, std::string_view account) {
    return decide(trust, [&](const PolicyStatement& statement) {
        for (const std::string& principal : statement.aws_principals)
            if (names_caller(principal, caller_arn, account)) return true;
        return false;
    });
}

bool trust_allows_service(const std::vector<PolicyStatement>& trust, std::string_view service) {
    return decide(trust, [&](const PolicyStatement& statement) {
        for (const std::string& principal : statement.service_principals)
            if (principal == service) return true;
        for (const std::string& principal : statement.aws_principals)
            if (principal == "*") return true;
        return false;
    });
}

bool wildcard_match(std::string_view pattern, std::string_view text, bool ignore_case) {
    const auto same = [&](char a, char b) {
        return a == b || (ignore_case && equals_ignoring_case(std::string_view(&a, 1), std::string_view(&b, 1)));
    };
    size_t p = 0, t = 0, star = pattern.npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || same(pattern[p], text[t]))) {
            ++p, ++t;
        } else if (star != pattern.npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace millwright::resources
