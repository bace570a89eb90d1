#include "resources/training_jobs/role_access.h"

#include <memory>

#include "resources/identity/role_reach.h"

namespace millwright::resources {
namespace {

using executors::Channel;

ReachedBucket reached(const object_store::BucketInfo& bucket) {
    const std::string* policy = bucket.document("policy");
    return {bucket.name, bucket.account, policy ? std::string_view(*policy) : std::string_view()};
}

Error may_not_list(const NewTrainingJob& job, const object_store::S3Uri& uri) {
    return invalid_input(
        "No S3 objects found under S3 URL \"s3://" + uri.bucket + "/" + uri.key +
        "\" given in input data source. Please ensure that the bucket exists in the selected region (" + job.region +
        "), that objects exist under that S3 prefix, and that the role \"" + job.request["RoleArn"].string_or("") +
        "\" has \"s3:ListBucket\" permissions on bucket \"" + uri.bucket + "\".");
}

Error may_not_read(const NewTrainingJob& job, const std::string& what, const object_store::S3Uri& uri) {
    return invalid_input("The role \"" + job.request["RoleArn"].string_or("") +
                         "\" has no \"s3:GetObject\" permission on the " + what + " s3://" + uri.bucket + "/" +
                         uri.key + ".");
}

Result<void> check_channel_access(const RoleReach& reach, object_store::ObjectStore& objects, const NewTrainingJob& job,
                                  const Channel& channel) {
    if (channel.source == Channel::Source::FileSystem) return {};
    const auto bucket = TRY(objects.find_bucket(channel.uri.bucket));
    const bool listed = channel.source == Channel::Source::S3Prefix;
    const bool allowed = TRY(listed ? reach.may_list(reached(bucket), channel.uri.key)
                                    : reach.may_read(reached(bucket), channel.uri.key));
    if (allowed) return {};
    if (listed) return may_not_list(job, channel.uri);
    return may_not_read(job, "manifest", channel.uri);
}

// The code of a script job. Whether it is there shows when the job begins.
Result<void> check_code_access(const RoleReach& reach, object_store::ObjectStore& objects, const NewTrainingJob& job,
                               const object_store::S3Uri& code) {
    const auto bucket = objects.find_bucket(code.bucket);
    if (!bucket && bucket.error().kind == ErrorKind::NotFound) return {};
    if (!bucket) return bucket.error();
    if (TRY(reach.may_read(reached(*bucket), code.key))) return {};
    return may_not_read(job, "code", code);
}

Result<void> check_output_access(const RoleReach& reach, object_store::ObjectStore& objects, const NewTrainingJob& job,
                                 const object_store::S3Uri& place) {
    const auto bucket = TRY(objects.find_bucket(place.bucket));
    if (TRY(reach.may_write(reached(bucket), place.key))) return {};
    return invalid_input("The role \"" + job.request["RoleArn"].string_or("") +
                         "\" has no \"s3:PutObject\" permission on s3://" + place.bucket + "/" + place.key +
                         ". Please ensure that the role can write to the output locations of the training job.");
}

}  // namespace

Result<void> check_role_access(Identity& identity, object_store::ObjectStore& objects, const NewTrainingJob& job,
                               const TrainingPlan& plan) {
    const auto role = TRY(identity.resolve_role(job.account, job.request["RoleArn"].string_or("")));
    const RoleReach reach(identity, role);
    for (const auto& channel : plan.training.channels) TRY(check_channel_access(reach, objects, job, channel));
    if (plan.command.submit_directory) TRY(check_code_access(reach, objects, job, *plan.command.submit_directory));
    const std::string name = job.request["TrainingJobName"].string_or("");
    TRY(check_output_access(reach, objects, job,
                            {plan.output.bucket, plan.output.key + name + "/output/model.tar.gz"}));
    if (!plan.training.checkpoints) return {};
    const auto& place = plan.training.checkpoints->uri;
    return check_output_access(reach, objects, job, {place.bucket, place.key + "/checkpoint"});
}

Result<ReadCheck> readable_for_role(const TrainingRunContext& context, const TrainingJob& job) {
    auto found = TRY(context.parts.identity.resolve_role(job.account, job.request["RoleArn"].string_or("")));
    const auto role = std::make_shared<const Role>(std::move(found));
    return ReadCheck([&parts = context.parts, role](const std::string& bucket, const std::string& key) -> Result<void> {
        const auto info = TRY(parts.objects.find_bucket(bucket));
        if (TRY(RoleReach(parts.identity, *role).may_read(reached(info), key))) return {};
        return invalid_input("Data download failed:Failed to download data. AccessDenied (403): the role " + role->arn +
                             " has no s3:GetObject permission on s3://" + bucket + "/" + key);
    });
}

}  // namespace millwright::resources
