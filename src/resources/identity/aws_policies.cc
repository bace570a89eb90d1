#include "resources/identity/aws_policies.h"

namespace millwright::resources {
namespace {

constexpr AwsPolicy kPolicies[] = {
    {"arn:aws:iam::aws:policy/AWSDenyAll", "Denies everything.",
     R"({"Version":"2012-10-17","Statement":[{"Sid":"DenyAll","Effect":"Deny","Action":"*","Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AdministratorAccess", "Allows everything.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryFullAccess", "All of ECR.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser", "Reading and pushing images of ECR.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken",
     "ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy",
     "ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy",
     "ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings",
     "ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly", "Reading images of ECR.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:Get*","ecr:List*","ecr:Describe*",
     "ecr:BatchGetImage","ecr:BatchCheckLayerAvailability"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AmazonS3FullAccess", "All of S3.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "Reading all of S3.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*"],
     "Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/AmazonSageMakerFullAccess",
     "All of SageMaker, logs and metrics, and S3 in buckets with sagemaker in their name.",
     R"({"Version":"2012-10-17","Statement":[
     {"Effect":"Allow","Action":"sagemaker:*","Resource":"*"},
     {"Effect":"Allow","Action":["cloudwatch:DeleteAlarms","cloudwatch:DescribeAlarms","cloudwatch:GetMetricData",
     "cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics","cloudwatch:PutMetricAlarm","cloudwatch:PutMetricData",
     "ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:CreateRepository","ecr:Describe*",
     "ecr:GetAuthorizationToken","ecr:GetDownloadUrlForLayer","iam:ListRoles","logs:CreateLogGroup",
     "logs:CreateLogStream","logs:DescribeLogGroups","logs:DescribeLogStreams","logs:FilterLogEvents",
     "logs:GetLogEvents","logs:PutLogEvents"],"Resource":"*"},
     {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload"],
     "Resource":["arn:aws:s3:::*SageMaker*","arn:aws:s3:::*Sagemaker*","arn:aws:s3:::*sagemaker*",
     "arn:aws:s3:::*aws-glue*"]},
     {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::*",
     "Condition":{"StringEqualsIgnoreCase":{"s3:ExistingObjectTag/SageMaker":"true"}}},
     {"Effect":"Allow","Action":["s3:CreateBucket","s3:GetBucketLocation","s3:ListBucket","s3:ListAllMyBuckets",
     "s3:GetBucketCors","s3:PutBucketCors"],"Resource":"*"},
     {"Effect":"Allow","Action":["s3:GetBucketAcl","s3:PutObjectAcl"],
     "Resource":["arn:aws:s3:::*SageMaker*","arn:aws:s3:::*Sagemaker*","arn:aws:s3:::*sagemaker*"]},
     {"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/*",
     "Condition":{"StringEquals":{"iam:PassedToService":"sagemaker.amazonaws.com"}}}]})"},
    {"arn:aws:iam::aws:policy/AmazonSageMakerReadOnly", "Reading of SageMaker, logs and metrics.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sagemaker:Describe*","sagemaker:List*",
     "sagemaker:BatchGetMetrics","sagemaker:GetDeviceRegistration","sagemaker:GetModelPackageGroupPolicy",
     "sagemaker:GetSearchSuggestions","sagemaker:BatchGetRecord","sagemaker:GetRecord","sagemaker:Search",
     "cloudwatch:DescribeAlarms","cloudwatch:GetMetricData","cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics",
     "ecr:Describe*","iam:ListRoles","logs:DescribeLogGroups","logs:DescribeLogStreams","logs:GetLogEvents"],
     "Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/CloudWatchFullAccess", "All of CloudWatch and its logs.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudwatch:*","logs:*","iam:GetPolicy",
     "iam:GetPolicyVersion","iam:GetRole"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/CloudWatchFullAccessV2", "All of CloudWatch and its logs.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudwatch:*","logs:*"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/CloudWatchLogsFullAccess", "All of CloudWatch Logs.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/CloudWatchLogsReadOnlyAccess", "Reading of CloudWatch Logs.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:Describe*","logs:Get*","logs:List*",
     "logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","logs:FilterLogEvents"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess", "Reading of CloudWatch and its logs.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudwatch:Describe*","cloudwatch:Get*",
     "cloudwatch:List*","logs:Get*","logs:List*","logs:Describe*","logs:TestMetricFilter","logs:FilterLogEvents"],
     "Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/IAMFullAccess", "All of IAM.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/IAMReadOnlyAccess", "Reading of IAM.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:SimulateCustomPolicy",
     "iam:SimulatePrincipalPolicy"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/PowerUserAccess", "Everything but identities.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],
     "Resource":"*"},{"Effect":"Allow","Action":["iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole",
     "iam:ListRoles"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/ReadOnlyAccess", "Reading of everything.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sagemaker:Describe*","sagemaker:List*",
     "sagemaker:Get*","sagemaker:BatchGet*","sagemaker:Search","s3:Get*","s3:List*","logs:Describe*","logs:Get*",
     "logs:List*","logs:FilterLogEvents","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter",
     "cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","iam:Get*","iam:List*","iam:Simulate*",
     "sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken","ecr:Get*","ecr:List*","ecr:Describe*",
     "ecr:BatchGetImage","ecr:BatchCheckLayerAvailability"],"Resource":"*"}]})"},
    {"arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", "Lists of everything, not their contents.",
     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sagemaker:Describe*","sagemaker:List*",
     "s3:ListAllMyBuckets","s3:ListBucket","s3:GetBucketLocation","logs:Describe*","cloudwatch:List*",
     "cloudwatch:GetMetric*","iam:List*","iam:GetAccountSummary","iam:GetLoginProfile"],"Resource":"*"}]})"},
};

}  // namespace

std::span<const AwsPolicy> aws_policies() { return kPolicies; }

const AwsPolicy* find_aws_policy(std::string_view arn) {
    for (const AwsPolicy& policy : kPolicies)
        if (policy.arn == arn) return &policy;
    return nullptr;
}

}  // namespace millwright::resources
