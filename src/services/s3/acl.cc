#include "services/s3/acl.h"

#include <algorithm>

#include "base/strings.h"
#include "services/s3/exchange.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

constexpr std::string_view kFullControl = "FULL_CONTROL";
constexpr std::string_view kGroups = "http://acs.amazonaws.com/groups/";
constexpr std::pair<std::string_view, std::string_view> kGroupUris[] = {
    {kEveryone, "global/AllUsers"}, {kAnyAccount, "global/AuthenticatedUsers"}, {kLogs, "s3/LogDelivery"}};
constexpr std::pair<std::string_view, std::string_view> kGrantHeaders[] = {{"x-amz-grant-full-control", "FULL_CONTROL"},
                                                                           {"x-amz-grant-read", "READ"},
                                                                           {"x-amz-grant-write", "WRITE"},
                                                                           {"x-amz-grant-read-acp", "READ_ACP"},
                                                                           {"x-amz-grant-write-acp", "WRITE_ACP"}};

struct Canned {
    std::string_view name, grantee, permissions;
};
// Beside FULL_CONTROL of the owner.
constexpr Canned kCanned[] = {{"private", "", ""},
                              {"public-read", kEveryone, "READ"},
                              {"public-read-write", kEveryone, "READ,WRITE"},
                              {"authenticated-read", kAnyAccount, "READ"},
                              {"bucket-owner-read", "bucket owner", "READ"},
                              {"bucket-owner-full-control", "bucket owner", kFullControl},
                              {"log-delivery-write", kLogs, "WRITE,READ_ACP"}};

// What a permission on a bucket or an object means in actions.
struct Meaning {
    AclOf of;
    std::string_view permission;
    std::vector<std::string_view> actions;
};
const std::vector<Meaning>& meanings() {
    static const std::vector<Meaning> all = {
        {AclOf::Bucket, "READ", {"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"}},
        {AclOf::Bucket,
         "WRITE",
         {"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload",
          "s3:ListMultipartUploadParts"}},
        {AclOf::Bucket, "READ_ACP", {"s3:GetBucketAcl"}},
        {AclOf::Bucket, "WRITE_ACP", {"s3:PutBucketAcl"}},
        {AclOf::Object, "READ", {"s3:GetObject", "s3:GetObjectVersion"}},
        {AclOf::Object, "READ_ACP", {"s3:GetObjectAcl", "s3:GetObjectVersionAcl"}},
        {AclOf::Object, "WRITE_ACP", {"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}},
    };
    return all;
}

bool is_group(std::string_view grantee) { return grantee == kEveryone || grantee == kAnyAccount || grantee == kLogs; }

ApiError malformed_acl() {
    return {400, "MalformedACLError",
            "The XML you provided was not well-formed or did not validate against our published schema"};
}

ApiResult<std::string> account_of_id(const std::string& id, const AclContext& context) {
    std::vector<std::string> known = context.accounts ? context.accounts() : std::vector<std::string>();
    known.push_back(context.owner);
    known.push_back(context.bucket_owner);
    for (const auto& account : known)
        if (!account.empty() && owner_id(account) == id) return account;
    return invalid_argument("Invalid id", "CanonicalUser/ID", id);
}

ApiResult<std::string> group_of_uri(std::string_view uri) {
    for (const auto& [group, path] : kGroupUris)
        if (uri == std::string(kGroups) + std::string(path)) return std::string(group);
    return invalid_argument("Invalid group uri", "Group/URI", uri);
}

ApiError no_such_address(std::string_view address) {
    ApiError error(400, "UnresolvableGrantByEmailAddress",
                   "The e-mail address you provided does not match any account on record.");
    error.members.set("Email", address);
    return error;
}

// id="…", uri="…", emailAddress="…"
ApiResult<void> add_grants(Acl& acl, std::string_view header, std::string_view permission, const AclContext& context) {
    for (std::string_view entry : split(header, ',')) {
        entry = trim(entry);
        const size_t equals = entry.find('=');
        if (equals == std::string_view::npos)
            return invalid_argument("Argument format not recognized", "x-amz-grant", entry);
        const std::string kind = to_lower(trim(entry.substr(0, equals)));
        const std::string value = unquoted(entry.substr(equals + 1));
        if (kind == "emailaddress") return no_such_address(value);
        if (kind != "id" && kind != "uri")
            return invalid_argument("Argument format not recognized", "x-amz-grant", entry);
        const std::string grantee = TRY(kind == "id" ? account_of_id(value, context) : group_of_uri(value));
        acl.grants.push_back({grantee, std::string(permission)});
    }
    return {};
}

ApiResult<Grant> parse_grant(const XmlElement& element, const AclContext& context) {
    const auto* grantee = element.find("Grantee");
    const std::string permission(trim(element.text_of("Permission")));
    const bool known = std::any_of(std::begin(kGrantHeaders), std::end(kGrantHeaders),
                                   [&](const auto& entry) { return entry.second == permission; });
    if (!grantee || !known) return malformed_acl();
    if (grantee->find("EmailAddress")) return no_such_address(grantee->text_of("EmailAddress"));
    if (const auto* uri = grantee->find("URI")) {
        const std::string group = TRY(group_of_uri(trim(uri->text)));
        return Grant{group, permission};
    }
    if (!grantee->find("ID")) return malformed_acl();
    const std::string account = TRY(account_of_id(std::string(trim(grantee->text_of("ID"))), context));
    return Grant{account, permission};
}

}  // namespace

Ownership ownership_of(const object_store::BucketInfo& bucket) {
    const std::string* text = bucket.document(kOwnershipDocument);
    if (!text || *text == "BucketOwnerEnforced") return Ownership::BucketOwnerEnforced;
    return *text == "BucketOwnerPreferred" ? Ownership::BucketOwnerPreferred : Ownership::ObjectWriter;
}

bool Acl::is_public() const {
    return std::any_of(grants.begin(), grants.end(),
                       [](const Grant& grant) { return grant.grantee == kEveryone || grant.grantee == kAnyAccount; });
}

bool Acl::only_owner() const {
    return grants.size() == 1 && grants.front().grantee == owner && grants.front().permission == kFullControl;
}

Acl private_acl(const std::string& owner) { return {owner, {{owner, std::string(kFullControl)}}}; }

std::string format_acl(const Acl& acl) {
    Json grants = Json::array();
    for (const auto& grant : acl.grants) grants.push_back(Json::array({grant.grantee, grant.permission}));
    return Json::object({{"Owner", acl.owner}, {"Grants", std::move(grants)}}).dump();
}

Acl stored_acl(const std::string* text, const std::string& owner) {
    const auto document = text ? Json::parse(*text) : Json();
    if (!document || !document->is_object()) return private_acl(owner);
    Acl acl{(*document)["Owner"].string_or(owner), {}};
    for (const auto& grant : (*document)["Grants"].items())
        acl.grants.push_back({grant[size_t{0}].string_or(""), grant[size_t{1}].string_or("")});
    return acl;
}

ApiResult<std::optional<Acl>> canned_acl(std::string_view name, const AclContext& context) {
    if (name == "aws-exec-read") return not_implemented("the canned ACL aws-exec-read");
    for (const auto& canned : kCanned) {
        if (canned.name != name) continue;
        Acl acl = private_acl(context.owner);
        const std::string grantee =
            canned.grantee == "bucket owner" ? context.bucket_owner : std::string(canned.grantee);
        if (grantee.empty() || grantee == context.owner) return std::optional<Acl>(acl);
        for (const auto permission : split(canned.permissions, ','))
            acl.grants.insert(acl.grants.end() - 1, {grantee, std::string(permission)});
        return std::optional<Acl>(acl);
    }
    return invalid_argument("Argument format not recognized", "x-amz-acl", name);
}

ApiResult<std::optional<Acl>> acl_of_headers(const net::Headers& headers, const AclContext& context) {
    Acl granted{context.owner, {}};
    for (const auto& [header, permission] : kGrantHeaders)
        if (const auto value = headers.find(header)) TRY(add_grants(granted, *value, permission, context));
    const auto canned = headers.find("x-amz-acl");
    if (canned && !granted.grants.empty())
        return invalid_request("Specifying both Canned ACLs and Header Grants is not allowed");
    if (canned) return canned_acl(*canned, context);
    if (granted.grants.empty()) return std::optional<Acl>();
    return std::optional<Acl>(std::move(granted));
}

ApiResult<Acl> parse_acl(std::string_view text, const AclContext& context) {
    const auto root = parse_xml(text);
    if (!root || root->name != "AccessControlPolicy") return malformed_acl();
    const auto* owner = root->find("Owner");
    const auto* list = root->find("AccessControlList");
    if (!owner || !list) return malformed_acl();
    // The owner may be repeated, never changed.
    if (trim(owner->text_of("ID")) != owner_id(context.owner)) return access_denied();
    Acl acl{context.owner, {}};
    for (const auto& child : list->children) {
        if (child.name != "Grant") return malformed_acl();
        auto grant = TRY(parse_grant(child, context));
        acl.grants.push_back(std::move(grant));
    }
    if (acl.grants.size() > 100) return malformed_acl();
    return acl;
}

void write_acl(XmlWriter& xml, const Acl& acl) {
    xml.open("AccessControlPolicy", kXmlNamespace);
    write_owner(xml, "Owner", acl.owner);
    xml.open("AccessControlList");
    std::vector<Grant> grants = acl.grants;
    std::stable_partition(grants.begin(), grants.end(), [](const Grant& grant) { return is_group(grant.grantee); });
    for (const auto& grant : grants) {
        xml.open("Grant").open("Grantee").attribute("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
        if (is_group(grant.grantee)) {
            xml.attribute("xsi:type", "Group");
            for (const auto& [group, path] : kGroupUris)
                if (group == grant.grantee) xml.element("URI", std::string(kGroups) + std::string(path));
        } else {
            xml.attribute("xsi:type", "CanonicalUser");
            xml.element("ID", owner_id(grant.grantee)).element("DisplayName", grant.grantee);
        }
        xml.close().element("Permission", grant.permission).close();
    }
    xml.close().close();
}

void add_statements(Json& statements, const Acl& acl, AclOf of, std::string_view resource) {
    for (const auto& grant : acl.grants) {
        if (grant.grantee == kLogs) continue;  // no logs are delivered
        for (const auto& meaning : meanings()) {
            if (meaning.of != of || (grant.permission != kFullControl && grant.permission != meaning.permission))
                continue;
            Json actions = Json::array();
            for (const auto action : meaning.actions) actions.push_back(action);
            const bool group = is_group(grant.grantee);
            Json statement = Json::object({{"Effect", "Allow"},
                                           {"Principal", Json::object({{"AWS", group ? "*" : grant.grantee}})},
                                           {"Action", std::move(actions)}});
            // Of a bucket's list, WRITE speaks of the objects and the others of the bucket.
            const bool objects = of == AclOf::Bucket && meaning.permission == "WRITE";
            statement.set("Resource", std::string(resource) + (objects ? "/*" : ""));
            if (grant.grantee == kAnyAccount)
                statement.set("Condition", Json::object({{"Null", Json::object({{"aws:PrincipalAccount", "false"}})}}));
            statements.push_back(std::move(statement));
        }
    }
}

ApiResult<void> check_acl(const object_store::BucketInfo& bucket, const Acl& acl) {
    if (ownership_of(bucket) == Ownership::BucketOwnerEnforced)
        return ApiError{400, "AccessControlListNotSupported", "The bucket does not allow ACLs"};
    if (acl.is_public() && public_access_of(bucket).block_public_acls) return access_denied();
    return {};
}

ApiResult<std::optional<std::string>> acl_of_new_object(const object_store::BucketInfo& bucket,
                                                        const net::Headers& headers, const AclContext& context) {
    const auto asked = TRY(acl_of_headers(headers, context));
    const std::string canned = headers.get("x-amz-acl");
    const Ownership ownership = ownership_of(bucket);
    if (ownership == Ownership::BucketOwnerEnforced) {
        // What makes no difference may be said: s3cmd copies with "private".
        const bool same = asked && asked->only_owner() && asked->owner == context.bucket_owner;
        if (asked && !same && canned != "bucket-owner-full-control") TRY(check_acl(bucket, *asked));
        return std::optional<std::string>();
    }
    if (asked) TRY(check_acl(bucket, *asked));
    Acl acl = asked.value_or(private_acl(context.owner));
    if (ownership == Ownership::BucketOwnerPreferred && canned == "bucket-owner-full-control")
        acl = private_acl(context.bucket_owner);
    if (acl.only_owner() && acl.owner == context.bucket_owner) return std::optional<std::string>();
    return std::optional<std::string>(format_acl(acl));
}

}  // namespace millwright::s3
