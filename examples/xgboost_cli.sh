#!/usr/bin/env bash
# The whole way with the AWS CLI. Expects the variables of `millwright env` and `aws` on PATH.
set -euo pipefail
bucket=sagemaker-$AWS_DEFAULT_REGION-$MILLWRIGHT_ACCOUNT
name=cli-$(date +%s%N)
role=arn:aws:iam::$MILLWRIGHT_ACCOUNT:role/SageMakerRole
image=246618743249.dkr.ecr.$AWS_DEFAULT_REGION.amazonaws.com/sagemaker-xgboost:1.7-1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

aws s3 ls "s3://$bucket" > /dev/null 2>&1 || aws s3 mb "s3://$bucket" || aws s3 ls "s3://$bucket" > /dev/null
# y = 1 when x1 > x2: 400 rows
awk 'BEGIN { srand(1); for (i = 0; i < 400; i++) { a = rand(); b = rand(); print (a > b ? 1 : 0) "," a "," b } }' > "$work/data.csv"
aws s3 cp --no-progress "$work/data.csv" "s3://$bucket/$name/train/data.csv"

aws sagemaker create-training-job --training-job-name "$name" --role-arn "$role" \
  --algorithm-specification "TrainingImage=$image,TrainingInputMode=File" \
  --input-data-config "[{\"ChannelName\":\"train\",\"ContentType\":\"text/csv\",\"DataSource\":{\"S3DataSource\":{\"S3DataType\":\"S3Prefix\",\"S3Uri\":\"s3://$bucket/$name/train/\"}}}]" \
  --output-data-config "S3OutputPath=s3://$bucket/$name/output" \
  --resource-config "InstanceCount=1,InstanceType=ml.m5.large,VolumeSizeInGB=5" \
  --stopping-condition "MaxRuntimeInSeconds=600" \
  --hyper-parameters "objective=binary:logistic,num_round=10" --query TrainingJobArn --output text
aws sagemaker wait training-job-completed-or-stopped --training-job-name "$name"
aws sagemaker describe-training-job --training-job-name "$name" --query '[TrainingJobStatus,BillableTimeInSeconds]' --output text
aws logs filter-log-events --log-group-name /aws/sagemaker/TrainingJobs --log-stream-name-prefix "$name/" \
  --query 'events[-2:].message' --output text

model=$(aws sagemaker describe-training-job --training-job-name "$name" --query ModelArtifacts.S3ModelArtifacts --output text)
aws sagemaker create-model --model-name "$name" --execution-role-arn "$role" \
  --primary-container "Image=$image,ModelDataUrl=$model" --query ModelArn --output text
aws sagemaker create-endpoint-config --endpoint-config-name "$name" --production-variants \
  "VariantName=AllTraffic,ModelName=$name,InitialInstanceCount=1,InstanceType=ml.m5.large" --query EndpointConfigArn --output text
aws sagemaker create-endpoint --endpoint-name "$name" --endpoint-config-name "$name" --query EndpointArn --output text
aws sagemaker wait endpoint-in-service --endpoint-name "$name"
printf '0.9,0.1' > "$work/row.csv"
aws sagemaker-runtime invoke-endpoint --endpoint-name "$name" --content-type text/csv --body "fileb://$work/row.csv" "$work/answer" > /dev/null
score=$(cat "$work/answer")
echo "score of x1=0.9, x2=0.1: $score"
aws sagemaker delete-endpoint --endpoint-name "$name"
aws sagemaker delete-endpoint-config --endpoint-config-name "$name"
aws sagemaker delete-model --model-name "$name"
awk -v s="$score" 'BEGIN { exit !(s > 0.5) }'
