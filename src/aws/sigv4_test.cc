#include "aws/sigv4.h"

#include <gtest/gtest.h>

#include "aws/test_support.h"
#include "aws/testdata/sigv4_cases.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

constexpr std::string_view kTime = "20261122T101530Z";
const SigningKeys kKeys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
const std::string kToken = "IQoJb3JpZ2luX2VjE+/session==";

struct Signed {
    net::Request request;
    std::string body;
};

class SignatureVerifierTest : public testing::Test {
  protected:
    SignatureVerifierTest() { credentials.by_id["AKIDEXAMPLE"] = permanent(); }

    static Credential permanent() {
        return {kKeys.secret_access_key, "", std::nullopt, {"123456789012", "", "arn:x", "id", ""}};
    }
    void use_temporary(std::optional<Timestamp> expires = std::nullopt) {
        credentials.by_id["AKIDEXAMPLE"] = {kKeys.secret_access_key, kToken, expires, {}};
    }
    Result<Verified, AuthFailure> verify(const Signed& input) const {
        return verifier.verify(input.request, sha256_hex(input.body));
    }
    AuthFailureKind refusal(const Signed& input) const {
        const auto verified = verify(input);
        EXPECT_FALSE(verified);
        return verified ? AuthFailureKind::Anonymous : verified.error().kind;
    }
    Signed json_request(SigningKeys keys = kKeys) const {
        Signed out{{}, "{\"MaxResults\": 5}"};
        out.request.method = "POST";
        out.request.target = "/";
        out.request.headers = {{"Host", "localhost:9770"}, {"X-Amz-Target", "SageMaker.ListModels"}};
        sign_request(out.request, keys, {"us-west-2", "sagemaker", clock.now()}, sha256_hex(out.body));
        return out;
    }

    FixedClock clock{kTime};
    FixedCredentials credentials;
    SignatureVerifier verifier{credentials, clock};
};

Signed load(const Json& entry) {
    Signed out;
    out.request.method = entry["method"].as_string();
    out.request.target = entry["target"].as_string();
    for (const Json& header : entry["headers"].items())
        out.request.headers.add(header[size_t{0}].as_string(), header[1].as_string());
    out.body = *from_base64(entry["body"].as_string());
    return out;
}

TEST_F(SignatureVerifierTest, AcceptsWhatBotocoreSigns) {
    const Json cases = *Json::parse(kSigv4Cases);
    ASSERT_GT(cases.size(), 15u);
    for (const Json& entry : cases.items()) {
        if (entry["temporary"].as_bool())
            use_temporary();
        else
            credentials.by_id["AKIDEXAMPLE"] = permanent();
        const auto verified = verify(load(entry));
        EXPECT_TRUE(verified) << entry["name"].as_string() << "\n"
                              << (verified ? "" : verified.error().text + verified.error().detail);
        if (!verified) continue;
        EXPECT_EQ(verified->scope.service, entry["service"].as_string());
        EXPECT_EQ(verified->presigned, entry["presigned"].as_bool());
        const bool old = entry["name"].as_string().starts_with("s3 old");  // these name no region
        EXPECT_EQ(verified->credential.caller.region, old ? "" : "us-west-2");
        EXPECT_EQ(verified->credential.caller.access_key_id, "AKIDEXAMPLE");
    }
}

// Flips one character of a signed thing. False when the place carries no meaning for the signature.
bool mutate(Signed& input, SeededRandom& random, bool covers_body) {
    const auto flip = [&](std::string& text) {
        if (text.empty()) return false;
        const size_t at = random.below(text.size());
        const char before = text[at];
        text[at] = static_cast<char>('0' + random.below(75));
        return text[at] != before;
    };
    switch (random.below(covers_body ? 4 : 3)) {
        case 0:
            return flip(input.request.method);
        case 1:
            return input.request.target.size() > 1 && flip(input.request.target);
        case 3:
            return flip(input.body);
        default:
            break;
    }
    const std::string signed_names = input.request.headers.get("authorization", input.request.target);
    auto fields = input.request.headers.all();
    auto& [name, value] = fields[random.below(fields.size())];
    const bool counts = name == "Authorization" || signed_names.find(to_lower(name)) != std::string::npos;
    if (!counts || !flip(value)) return false;
    input.request.headers = {};
    for (auto& [key, text] : fields) input.request.headers.add(key, text);
    return true;
}

TEST_F(SignatureVerifierTest, RefusesThousandsOfForgedRequests) {
    const Json cases = *Json::parse(kSigv4Cases);
    SeededRandom random;
    int refused = 0;
    for (const Json& entry : cases.items()) {
        if (entry["temporary"].as_bool())
            use_temporary();
        else
            credentials.by_id["AKIDEXAMPLE"] = permanent();
        // The old form leaves the host and most of the query open; its own tests are below.
        if (entry["name"].as_string().starts_with("s3 old")) continue;
        // Paths with dot segments have many spellings of one meaning.
        if (entry["name"].as_string() == "dot segments") continue;
        const bool s3 = entry["service"].as_string() == "s3";
        for (int round = 0; round < 400; ++round) {
            Signed input = load(entry);
            const Signed before = input;
            if (!mutate(input, random, !s3)) continue;
            const auto verified = verify(input);
            // Some changes are none: another spelling of the same bytes has the same canonical form.
            const bool respelled = s3 || input.request.raw_path() == before.request.raw_path();
            if (verified && respelled && percent_decode(input.request.target) == percent_decode(before.request.target))
                continue;
            EXPECT_FALSE(verified) << entry["name"].as_string() << " " << input.request.method << " "
                                   << input.request.target;
            refused += !verified;
        }
    }
    EXPECT_GT(refused, 3000);
}

TEST_F(SignatureVerifierTest, AcceptsItsOwnSignerAndCachesTheKey) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(verify(json_request()));
    credentials.by_id["AKIDEXAMPLE"].secret_access_key = "rotated";
    EXPECT_EQ(refusal(json_request()), AuthFailureKind::BadSignature);
    EXPECT_TRUE(verify(json_request({"AKIDEXAMPLE", "rotated"})));
}

TEST_F(SignatureVerifierTest, RefusesAnonymousAndUnknownKeys) {
    Signed input = json_request();
    input.request.headers.erase("authorization");
    EXPECT_EQ(refusal(input), AuthFailureKind::Anonymous);
    EXPECT_EQ(refusal(json_request({"AKIDOTHER", kKeys.secret_access_key})), AuthFailureKind::UnknownKey);
}

TEST_F(SignatureVerifierTest, RefusesBrokenAuthorization) {
    const std::string whole = json_request().request.headers.get("authorization");
    for (const std::string& text :
         {std::string("Basic abc"), std::string("AWS4-HMAC-SHA256"), std::string("AWS4-HMAC-SHA256 Credential=A"),
          replace_all(whole, "Signature=", "Sig="), replace_all(whole, "/aws4_request", ""),
          replace_all(whole, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), replace_all(whole, "SignedHeaders=", "X=")}) {
        Signed input = json_request();
        input.request.headers.set("Authorization", text);
        EXPECT_EQ(refusal(input), AuthFailureKind::Malformed) << text;
    }
}

TEST_F(SignatureVerifierTest, AllowsFifteenMinutesOfSkewEitherWay) {
    const Signed input = json_request();
    clock.advance(std::chrono::minutes(15));
    EXPECT_TRUE(verify(input));
    clock.advance(std::chrono::seconds(1));
    const auto late = verify(input);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind, AuthFailureKind::Skewed);
    EXPECT_EQ(late.error().text,
              "Signature expired: 20261122T101530Z is now earlier than 20261122T101531Z (20261122T103031Z - 15 min.)");
    clock.advance(-std::chrono::minutes(30) - std::chrono::seconds(1));
    EXPECT_TRUE(verify(input));
    clock.advance(-std::chrono::seconds(1));
    const auto early = verify(input);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().text,
              "Signature not yet current: 20261122T101530Z is still later than 20261122T101529Z (20261122T100029Z + 15 "
              "min.)");
}

TEST_F(SignatureVerifierTest, RefusesScopeOfAnotherDay) {
    Signed input = json_request();
    input.request.headers.set("Authorization",
                              replace_all(input.request.headers.get("authorization"), "/20261122/", "/20261121/"));
    EXPECT_EQ(refusal(input), AuthFailureKind::BadScope);
}

TEST_F(SignatureVerifierTest, WantsHostAndAllAmzHeadersSigned) {
    Signed added = json_request();
    added.request.headers.add("X-Amz-Acl", "public-read");
    EXPECT_EQ(refusal(added), AuthFailureKind::UnsignedHeader);
    Signed other = json_request();
    other.request.headers.add("X-Amzn-Trace-Id", "Root=1");
    other.request.headers.add("amz-sdk-request", "attempt=1");
    EXPECT_TRUE(verify(other));
    Signed no_host;
    no_host.request.method = "POST";
    no_host.request.target = "/";
    sign_request(no_host.request, kKeys, {"us-west-2", "sagemaker", clock.now()}, sha256_hex(""));
    no_host.request.headers.add("Host", "localhost");
    EXPECT_EQ(refusal(no_host), AuthFailureKind::UnsignedHeader);
}

TEST_F(SignatureVerifierTest, ComparesTheSessionToken) {
    const SigningKeys with_token{kKeys.access_key_id, kKeys.secret_access_key, kToken};
    EXPECT_EQ(refusal(json_request(with_token)), AuthFailureKind::BadToken);  // long-term keys have none
    use_temporary();
    EXPECT_TRUE(verify(json_request(with_token)));
    EXPECT_EQ(refusal(json_request()), AuthFailureKind::BadToken);
    EXPECT_EQ(refusal(json_request({kKeys.access_key_id, kKeys.secret_access_key, kToken + "x"})),
              AuthFailureKind::BadToken);
}

TEST_F(SignatureVerifierTest, RefusesExpiredTemporaryKeys) {
    const SigningKeys with_token{kKeys.access_key_id, kKeys.secret_access_key, kToken};
    use_temporary(clock.now() + std::chrono::seconds(1));
    EXPECT_TRUE(verify(json_request(with_token)));
    clock.advance(std::chrono::seconds(1));
    EXPECT_EQ(refusal(json_request(with_token)), AuthFailureKind::ExpiredToken);
}

class PresignedTest : public SignatureVerifierTest {
  protected:
    Signed presigned(std::chrono::seconds lifetime) const {
        Signed out;
        out.request.method = "GET";
        out.request.target = "/bucket/key?versionId=1";
        out.request.headers = {{"Host", "localhost:9770"}};
        out.request.target = presign_target(out.request, kKeys, {"us-west-2", "s3", clock.now()}, lifetime);
        return out;
    }
};

TEST_F(PresignedTest, LivesAsLongAsItSays) {
    const Signed input = presigned(std::chrono::hours(2));
    clock.advance(std::chrono::hours(2));
    EXPECT_TRUE(verify(input));
    clock.advance(std::chrono::seconds(1));
    EXPECT_EQ(refusal(input), AuthFailureKind::UrlExpired);
}

TEST_F(PresignedTest, MayNotLiveLongerThanAWeekOrHeaderAndQueryBoth) {
    EXPECT_EQ(refusal(presigned(std::chrono::hours(24 * 7 + 1))), AuthFailureKind::Malformed);
    EXPECT_EQ(refusal(presigned(std::chrono::seconds(0))), AuthFailureKind::Malformed);
    Signed both = presigned(std::chrono::minutes(1));
    both.request.headers.add("Authorization", "AWS4-HMAC-SHA256 Credential=a");
    EXPECT_EQ(refusal(both), AuthFailureKind::Malformed);
}

TEST_F(PresignedTest, CannotGainParametersOrHeaders) {
    Signed more = presigned(std::chrono::minutes(1));
    more.request.target += "&acl";
    EXPECT_EQ(refusal(more), AuthFailureKind::BadSignature);
    Signed header = presigned(std::chrono::minutes(1));
    header.request.headers.add("x-amz-acl", "public-read");
    EXPECT_EQ(refusal(header), AuthFailureKind::UnsignedHeader);
}

class OldPresignedTest : public SignatureVerifierTest {
  protected:
    static Signed old_url(std::string host = "127.0.0.1:9770") {
        const Json cases = *Json::parse(kSigv4Cases);
        for (const Json& entry : cases.items())
            if (entry["name"].as_string() == "s3 old presigned get") {
                Signed input = load(entry);
                input.request.headers.set("Host", std::move(host));
                return input;
            }
        return {};
    }
};

TEST_F(OldPresignedTest, LivesAsLongAsItSays) {
    clock.advance(std::chrono::hours(1));
    EXPECT_TRUE(verify(old_url()));
    clock.advance(std::chrono::seconds(1));
    EXPECT_EQ(refusal(old_url()), AuthFailureKind::UrlExpired);
}

// The old form signs no host, so a host that names another bucket must not change what a URL opens.
TEST_F(OldPresignedTest, CannotBeMovedToAnotherBucketByTheHost) {
    EXPECT_EQ(refusal(old_url("other.localhost:9770")), AuthFailureKind::Malformed);
    const SignatureVerifier aware(credentials, clock,
                                  [](std::string_view host) { return host.starts_with("other.") ? "other" : ""; });
    EXPECT_TRUE(aware.verify(old_url("box.example.com").request, ""));
    EXPECT_FALSE(aware.verify(old_url("other.localhost").request, ""));
}

TEST_F(OldPresignedTest, CannotGainHeadersOrLoseSubResources) {
    Signed header = old_url();
    header.request.headers.add("x-amz-acl", "public-read");
    EXPECT_EQ(refusal(header), AuthFailureKind::BadSignature);
    Signed version = old_url();
    version.request.target = replace_all(version.request.target, "versionId=3", "versionId=4");
    EXPECT_EQ(refusal(version), AuthFailureKind::BadSignature);
}

TEST_F(SignatureVerifierTest, S3WantsThePayloadHash) {
    Signed input;
    input.request.method = "PUT";
    input.request.target = "/bucket/key";
    input.request.headers = {{"Host", "localhost"}};
    sign_request(input.request, kKeys, {"us-west-2", "s3", clock.now()}, sha256_hex(""));
    EXPECT_EQ(refusal(input), AuthFailureKind::MissingPayloadHash);
    input.request.headers = {{"Host", "localhost"}, {"x-amz-content-sha256", "nonsense"}};
    sign_request(input.request, kKeys, {"us-west-2", "s3", clock.now()}, "nonsense");
    EXPECT_EQ(refusal(input), AuthFailureKind::BadPayloadHash);
}

TEST(AuthError, LooksAsEachProtocolSaysIt) {
    const AuthFailure expired{AuthFailureKind::ExpiredToken, ""};
    EXPECT_EQ(auth_error(expired, ErrorStyle::Json).code, "ExpiredTokenException");
    EXPECT_EQ(auth_error(expired, ErrorStyle::Query).code, "ExpiredToken");
    EXPECT_EQ(auth_error(expired, ErrorStyle::S3).message, "The provided token has expired.");
    const AuthFailure skewed{AuthFailureKind::Skewed, "Signature expired: …"};
    EXPECT_EQ(auth_error(skewed, ErrorStyle::Json).message, "Signature expired: …");
    EXPECT_EQ(auth_error(skewed, ErrorStyle::S3).code, "RequestTimeTooSkewed");
    EXPECT_EQ(auth_error({AuthFailureKind::BadSignature, ""}, ErrorStyle::Query).status, 403);
    EXPECT_EQ(auth_error({AuthFailureKind::BadSignature, ""}, ErrorStyle::Json).status, 400);
}

}  // namespace
}  // namespace millwright::aws
