"""Create, Describe and List of training jobs against moto_server, which keeps everything in memory.

Millwright's Create is on disk before it answers. The machine is occupied by one job, so that what is created waits.
"""
import uuid

import peers
from load import Signer, ask, best_p50, best_rate, in_turns, send

IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
AIMS = {"CreateTrainingJob": 40, "DescribeTrainingJob": 100, "ListTrainingJobs": 100}
LIMITS = {
    "CreateTrainingJob": "the aim means 18,000 durable rows a second on processors that the client shares. By the profile 43 % are the kernel (waking "
                         "threads, writing the log), 21 % allocation and copying of documents, 11 % SQLite: fewer threads per request and several "
                         "rows per statement would bring a factor of two, more processors the rest",
    "DescribeTrainingJob": "a third is allocation and copying: the answer is built as a document and then written. Writing it from the row "
                           "without the document would halve it. One connection waits for two wake-ups",
    "ListTrainingJobs": "as Describe; one connection waits for two wake-ups of threads",
}


def job_request(account, bucket, name):
    return {
        "TrainingJobName": name, "RoleArn": f"arn:aws:iam::{account}:role/SageMakerRole",
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/", "S3DataDistributionType": "FullyReplicated"}}}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"num_round": "1", "objective": "binary:logistic"}}


def creates(signer, account, bucket, count):
    return [signer.call("CreateTrainingJob", job_request(account, bucket, f"c-{uuid.uuid4().hex}")) for _ in range(count)]


def reads(signer, name):
    return {"DescribeTrainingJob": [signer.call("DescribeTrainingJob", {"TrainingJobName": name})],
            "ListTrainingJobs": [signer.call("ListTrainingJobs", {"MaxResults": 10, "SortBy": "CreationTime", "SortOrder": "Descending"})]}


def run(server, bucket, figures, rounds, occupy):
    """`occupy()` starts a job that takes the whole machine and returns what ends it."""
    figures.section("Control plane", "CreateTrainingJob (durable), DescribeTrainingJob and ListTrainingJobs (the newest 10) with signed requests, sent by "
                    "wrk; the peer is moto_server, which checks no signature and forgets everything when it ends.")
    free = occupy()
    try:
        with peers.moto() as moto:
            measure(server, bucket, figures, rounds, moto)
    finally:
        free()


def measure(server, bucket, figures, rounds, moto):
    known = {"AccessKeyId": "mock", "SecretAccessKey": "mock", "Region": server.credentials["Region"]}
    ours = Signer(server.credentials, "sagemaker", f"127.0.0.1:{server.port}")
    theirs = Signer(known, "sagemaker", f"127.0.0.1:{moto}")
    per_round = {1: 12000, 16: 40000}
    for connections, prepared in per_round.items():
        outcomes = in_turns(rounds,
                            ours=lambda: send(server.port, creates(ours, server.account, bucket, prepared), connections, 1, once=True),
                            moto=lambda: send(moto, creates(theirs, "123456789012", bucket, 2500), connections, 1, once=True))
        show(figures, "CreateTrainingJob", connections, outcomes)
    name = f"described-{uuid.uuid4().hex[:8]}"
    for port, signer, account in ((server.port, ours, server.account), (moto, theirs, "123456789012")):
        ask(port, signer.call("CreateTrainingJob", job_request(account, bucket, name)))
    for operation in ("DescribeTrainingJob", "ListTrainingJobs"):
        for connections in (1, 16):
            outcomes = in_turns(rounds, ours=lambda: send(server.port, reads(ours, name)[operation], connections),
                                moto=lambda: send(moto, reads(theirs, name)[operation], connections))
            show(figures, operation, connections, outcomes)


def show(figures, operation, connections, outcomes):
    best = {name: best_rate(found) for name, found in outcomes.items()}
    figures.add(f"{operation}, {connections} connections: Millwright, moto", f"{best['ours']:.0f}, {best['moto']:.0f} per s")
    figures.add("  p50, p99 of Millwright, best round", f"{best_p50(outcomes['ours']):.0f}, "
                f"{min(outcome.p99 for outcome in outcomes['ours']):.0f} us")
    figures.ratio("  requests", best["ours"], best["moto"], AIMS[operation], LIMITS[operation])
