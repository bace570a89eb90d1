#include "resources/identity/policy.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr std::string_view kSyntax = "Syntax errors in policy.";

Error syntax_error() { return invalid_input(std::string(kSyntax)); }

bool is_account_id(std::string_view text) {
    return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

bool is_alphanumeric(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
}

// Compiled patterns mark wildcards with control characters, so a document must not contain any.
bool has_control_characters(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

Result<std::vector<std::string>> one_or_many(const Json& value) {
    std::vector<std::string> out;
    if (value.is_string())
        out.push_back(value.as_string());
    else if (value.is_array() && value.size() > 0)
        for (const Json& item : value.items()) {
            if (!item.is_string()) return syntax_error();
            out.push_back(item.as_string());
        }
    else
        return syntax_error();
    for (const std::string& text : out)
        if (text.empty() || has_control_characters(text)) return syntax_error();
    return out;
}

// Values of conditions may also be booleans and numbers.
Result<std::vector<std::string>> condition_values(const Json& value) {
    std::vector<std::string> out;
    const auto add = [&out](const Json& item) -> Result<void> {
        if (item.is_string())
            out.push_back(item.as_string());
        else if (item.is_bool() || item.is_number())
            out.push_back(item.dump());
        else
            return syntax_error();
        if (has_control_characters(out.back())) return syntax_error();
        return {};
    };
    if (!value.is_array()) {
        TRY(add(value));
        return out;
    }
    for (const Json& item : value.items()) TRY(add(item));
    if (out.empty()) return syntax_error();
    return out;
}

// Reads the statements of one document.
class Reader {
  public:
    Reader(PolicyKind kind, Variables variables) : kind_(kind), variables_(variables) {}

    Result<Statement> read(const Json& statement);

  private:
    bool is_bucket() const { return kind_ == PolicyKind::Bucket; }
    Result<void> check_members(const Json& statement) const;
    Result<void> read_sid(const Json& statement, Statement& out);
    Result<void> read_effect(const Json& statement, Statement& out) const;
    Result<void> read_actions(const Json& statement, Statement& out) const;
    Result<void> check_action(const std::string& action) const;
    Result<void> read_resources(const Json& statement, Statement& out) const;
    Result<void> check_resource(const std::string& resource) const;
    Result<void> read_principals(const Json& statement, Statement& out) const;
    Result<void> read_principal_map(const Json& principals, Principals& out) const;
    Result<void> read_conditions(const Json& statement, Statement& out) const;

    const PolicyKind kind_;
    const Variables variables_;
    std::set<std::string> sids_;
};

Result<Statement> Reader::read(const Json& statement) {
    Statement out;
    TRY(check_members(statement));
    TRY(read_sid(statement, out));
    TRY(read_effect(statement, out));
    TRY(read_principals(statement, out));
    TRY(read_actions(statement, out));
    TRY(read_resources(statement, out));
    TRY(read_conditions(statement, out));
    return out;
}

Result<void> Reader::check_members(const Json& statement) const {
    static constexpr std::string_view kKnown[] = {"Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
                                                  "NotAction", "Resource", "NotResource", "Condition"};
    if (!statement.is_object()) return syntax_error();
    std::set<std::string_view> seen;
    for (const JsonMember& member : statement.members()) {
        const bool known = std::find(std::begin(kKnown), std::end(kKnown), member.name) != std::end(kKnown);
        if (known && seen.insert(member.name).second) continue;
        return is_bucket() && !known ? invalid_input("Unknown field " + member.name) : syntax_error();
    }
    return {};
}

Result<void> Reader::read_sid(const Json& statement, Statement& out) {
    if (!statement.has("Sid")) return {};
    if (!statement["Sid"].is_string()) return syntax_error();
    out.sid = statement["Sid"].as_string();
    if (kind_ == PolicyKind::Permission && !is_alphanumeric(out.sid))
        return invalid_input(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*");
    if (!out.sid.empty() && !sids_.insert(out.sid).second)
        return invalid_input("Statement IDs (SID) in a single policy must be unique.");
    return {};
}

Result<void> Reader::read_effect(const Json& statement, Statement& out) const {
    if (!statement.has("Effect")) return invalid_input("Missing required field Effect");
    const std::string effect = statement["Effect"].string_or("");
    if (effect != "Allow" && effect != "Deny") return invalid_input("Invalid effect: " + effect);
    out.allow = effect == "Allow";
    return {};
}

Result<void> Reader::read_actions(const Json& statement, Statement& out) const {
    if (statement.has("Action") && statement.has("NotAction")) return syntax_error();
    if (!statement.has("Action") && !statement.has("NotAction"))
        return invalid_input(is_bucket() ? "Missing required field Action" : "Policy statement must contain actions.");
    out.all_actions_but = statement.has("NotAction");
    const auto actions = TRY(one_or_many(statement[out.all_actions_but ? "NotAction" : "Action"]));
    for (const std::string& action : actions) {
        TRY(check_action(action));
        out.actions.push_back(*Pattern::compile(to_lower(action), Wildcards::Yes, Variables::No));
    }
    return {};
}

Result<void> Reader::check_action(const std::string& action) const {
    if (is_bucket()) {
        if (action == "*" || to_lower(action).starts_with("s3:")) return {};
        return invalid_input("Policy has invalid action");
    }
    if (action == "*") return {};
    const auto parts = split(action, ':');
    if (parts.size() < 2 || parts[0].empty() || parts[1].empty())
        return invalid_input("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
    if (parts.size() > 2) return invalid_input("Actions/Condition can contain only one colon.");
    if (parts[0].find_first_of("*?") != std::string_view::npos || !is_alphanumeric(replace_all(parts[0], "-", "")))
        return invalid_input("Vendor " + std::string(parts[0]) + " is not valid");
    if (kind_ == PolicyKind::Trust && to_lower(parts[0]) != "sts")
        return invalid_input("AssumeRole policy may only specify STS AssumeRole actions.");
    if (kind_ == PolicyKind::Repository && to_lower(parts[0]) != "ecr")
        return invalid_input("The policy of a repository may only specify actions of ecr.");
    return {};
}

Result<void> Reader::read_resources(const Json& statement, Statement& out) const {
    const bool has = statement.has("Resource"), has_not = statement.has("NotResource");
    if (kind_ == PolicyKind::Trust || kind_ == PolicyKind::Repository) {
        if (has || has_not) return invalid_input("Has prohibited field Resource");
        return {};
    }
    if (has && has_not) return syntax_error();
    if (!has && !has_not)
        return invalid_input(is_bucket() ? "Missing required field Resource"
                                         : "Policy statement must contain resources.");
    out.all_resources_but = has_not;
    const auto resources = TRY(one_or_many(statement[has_not ? "NotResource" : "Resource"]));
    for (const std::string& resource : resources) {
        TRY(check_resource(resource));
        auto pattern = Pattern::compile(resource, Wildcards::Yes, variables_);
        if (!pattern) return syntax_error();
        out.resources.push_back(std::move(*pattern));
    }
    return {};
}

Result<void> Reader::check_resource(const std::string& resource) const {
    if (is_bucket()) {
        if (resource.starts_with("arn:aws:s3:::") && resource.size() > 13) return {};
        return invalid_input("Policy has invalid resource");
    }
    if (resource == "*") return {};
    const auto parts = split(resource, ':');
    if (parts.size() < 3 || parts[0] != "arn")
        return invalid_input("Resource " + resource + " must be in ARN format or \"*\".");
    if (parts[1] != "aws" && parts[1] != "*" && !parts[1].starts_with("aws-"))
        return invalid_input("Partition \"" + std::string(parts[1]) + "\" is not valid for resource \"" + resource +
                             "\".");
    if (parts[2].find_first_of("*?") != std::string_view::npos && parts.size() > 3)
        return invalid_input("Resource vendor must be fully qualified and cannot contain regexes.");
    return {};
}

Result<void> Reader::read_principals(const Json& statement, Statement& out) const {
    const bool has = statement.has("Principal"), has_not = statement.has("NotPrincipal");
    if (kind_ == PolicyKind::Permission) {
        if (has || has_not) return invalid_input("Policy document should not specify a principal.");
        return {};
    }
    if (has && has_not) return syntax_error();
    if (!has && !has_not) return invalid_input("Missing required field Principal");
    if (has_not && kind_ == PolicyKind::Trust && out.allow)
        return invalid_input("Allow with NotPrincipal is not allowed.");
    out.principals.given = true;
    out.principals.negated = has_not;
    const Json& principals = statement[has_not ? "NotPrincipal" : "Principal"];
    if (principals.is_string()) {
        if (principals.as_string() != "*")
            return invalid_input(is_bucket() ? "Invalid policy syntax." : std::string(kSyntax));
        out.principals.everybody = true;
        return {};
    }
    return read_principal_map(principals, out.principals);
}

Result<void> Reader::read_principal_map(const Json& principals, Principals& out) const {
    if (!principals.is_object() || principals.size() == 0) return syntax_error();
    for (const JsonMember& member : principals.members()) {
        const auto names = TRY(one_or_many(member.value));
        if (member.name == "AWS") {
            for (const std::string& name : names) {
                const bool arn = name.starts_with("arn:aws:iam::") || name.starts_with("arn:aws:sts::");
                if (name == "*")
                    out.everybody = true;
                else if (!is_account_id(name) && (!arn || name.find('*') != std::string::npos))
                    return invalid_input(is_bucket() ? "Invalid principal in policy"
                                                     : "Invalid principal in policy: \"AWS\":\"" + name + "\"");
                else
                    out.aws.push_back(name);
            }
        } else if (member.name == "Service") {
            out.services.insert(out.services.end(), names.begin(), names.end());
        } else if (member.name != "Federated" && member.name != "CanonicalUser") {
            return invalid_input("Unknown principal type \"" + member.name + "\" in policy.");
        }
    }
    return {};
}

Result<void> Reader::read_conditions(const Json& statement, Statement& out) const {
    if (!statement.has("Condition")) return {};
    if (!statement["Condition"].is_object()) return syntax_error();
    for (const JsonMember& block : statement["Condition"].members()) {
        if (!block.value.is_object()) return syntax_error();
        for (const JsonMember& line : block.value.members()) {
            if (line.name.empty() || has_control_characters(line.name)) return syntax_error();
            const auto values = TRY(condition_values(line.value));
            out.conditions.push_back(TRY(Condition::compile(block.name, line.name, values, variables_)));
        }
    }
    return {};
}

Result<PolicyPtr> read_document(const Json& document, PolicyKind kind) {
    if (!document.is_object()) return syntax_error();
    for (const JsonMember& member : document.members())
        if (member.name != "Version" && member.name != "Id" && member.name != "Statement")
            return kind == PolicyKind::Bucket ? invalid_input("Unknown field " + member.name) : syntax_error();
    const std::string version = document["Version"].string_or(document.has("Version") ? "" : "2008-10-17");
    if (version != "2012-10-17" && version != "2008-10-17")
        return invalid_input("The policy must contain a valid version string");
    auto policy = std::make_shared<Policy>();
    policy->id = document["Id"].string_or("");
    Reader reader(kind, version == "2012-10-17" ? Variables::Yes : Variables::No);
    const Json& statements = document["Statement"];
    if (statements.is_object()) {
        policy->statements.push_back(TRY(reader.read(statements)));
        return PolicyPtr(std::move(policy));
    }
    if (kind == PolicyKind::Bucket && !document.has("Statement"))
        return invalid_input("Missing required field Statement");
    if (!statements.is_array() || statements.size() == 0) return syntax_error();
    for (const Json& statement : statements.items()) {
        Statement read = TRY(reader.read(statement));
        policy->statements.push_back(std::move(read));
    }
    return PolicyPtr(std::move(policy));
}

// Conditions that tie a grant to somebody or some place, whoever signs.
bool ties_down(const Statement& statement) {
    static constexpr std::string_view kFixed[] = {"aws:sourceip",
                                                  "aws:sourcearn",
                                                  "aws:sourceaccount",
                                                  "aws:sourcevpc",
                                                  "aws:sourcevpce",
                                                  "aws:principalaccount",
                                                  "aws:principalarn",
                                                  "aws:principalorgid",
                                                  "aws:userid",
                                                  "s3:dataaccesspointarn",
                                                  "aws:sourceowner",
                                                  "aws:principalorgpaths",
                                                  "s3:dataaccesspointaccount"};
    return std::any_of(statement.conditions.begin(), statement.conditions.end(), [](const Condition& condition) {
        return !condition.negated() &&
               std::find(std::begin(kFixed), std::end(kFixed), condition.key()) != std::end(kFixed);
    });
}

}  // namespace

bool Policy::names_key(std::string_view key) const {
    for (const Statement& statement : statements)
        for (const Condition& condition : statement.conditions)
            if (condition.key() == key) return true;
    return false;
}

Result<PolicyPtr> parse_policy(std::string_view document, PolicyKind kind) {
    const auto parsed = Json::parse(document);
    if (parsed) return read_document(*parsed, kind);
    return invalid_input(kind == PolicyKind::Bucket ? "Policies must be valid JSON and the first byte must be '{'"
                                                    : "This policy contains invalid Json");
}

Result<PolicyPtr> parse_bucket_policy(std::string_view document, std::string_view bucket) {
    auto policy = TRY(parse_policy(document, PolicyKind::Bucket));
    const std::string own = "arn:aws:s3:::" + std::string(bucket);
    for (const Statement& statement : policy->statements)
        for (const Pattern& resource : statement.resources) {
            const std::string_view text = resource.text();
            const std::string_view name = text.substr(0, text.find('/'));
            // "arn:aws:s3:::*" and "arn:aws:s3:::my-*" may name the bucket too.
            if (!wildcard_match(name, own, LetterCase::Exact)) return invalid_input("Policy has invalid resource");
        }
    return policy;
}

bool is_public(const Policy& policy) {
    return std::any_of(policy.statements.begin(), policy.statements.end(), [](const Statement& statement) {
        const bool anybody = statement.principals.everybody || statement.principals.negated;
        return statement.allow && anybody && !ties_down(statement);
    });
}

size_t policy_size(std::string_view document) {
    return static_cast<size_t>(std::count_if(document.begin(), document.end(),
                                             [](char c) { return c != ' ' && c != '\t' && c != '\n' && c != '\r'; }));
}

Result<PolicyPtr> PolicyCache::get(std::string_view document, PolicyKind kind) const {
    std::string key(1, static_cast<char>('0' + static_cast<int>(kind)));
    key += document;
    {
        const std::shared_lock lock(mutex_);
        if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
    }
    auto policy = TRY(parse_policy(document, kind));
    const std::unique_lock lock(mutex_);
    if (entries_.size() >= kMaxEntries) entries_.clear();
    entries_.emplace(std::move(key), policy);
    return policy;
}

}  // namespace millwright::resources
