"""A training script whose result depends on every step, and which goes on from its checkpoints: interrupted as often as
one likes, it must end with the same bytes. Used by the tests of spot training and by the fault tests."""
import io
import json
import tarfile

SCRIPT = r'''
import hashlib, json, os, socket, struct, sys, time
from pathlib import Path

parameters = json.loads(os.environ["SM_HPS"])
hosts, host = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
checkpoints, rank, epoch = Path("/opt/ml/checkpoints"), hosts.index(host), 0


def newest():
    states = [json.loads(path.read_text()) for path in checkpoints.glob("state-*.json")]
    return max(states, key=lambda state: state["step"], default={"step": 0, "weights": [0.5, -0.25], "seen": ""})


def save(state):
    path = checkpoints / f"state-{state['step']:05}.json"
    hidden = path.with_name(path.name + ".sagemaker-ignore")
    hidden.write_text(json.dumps({**state, "segment": segment}))
    hidden.rename(path)
    for old in sorted(checkpoints.glob("state-*.json"))[:-40]:  # long enough that the last ones come to rest
        old.unlink()


def peers():
    """Rank 0 has a connection to each of the others, they have one to it."""
    if len(hosts) == 1:
        return []
    if rank == 0:
        listener = socket.create_server(("", 7777))
        found = [listener.accept()[0] for _ in hosts[1:]]
        return found
    for _ in range(600):
        try:
            return [socket.create_connection((hosts[0], 7777), 30)]
        except OSError:
            time.sleep(0.05)
    sys.exit("rank 0 does not answer")


def receive(peer):
    data = b""
    while len(data) < 8:
        more = peer.recv(8 - len(data))
        if not more:
            sys.exit("a peer is gone")
        data += more
    return struct.unpack("d", data)[0]


def sum_over_hosts(value, connections):
    """In the order of the ranks, so that it is the same sum each time."""
    if rank == 0:
        for peer in connections:
            value += receive(peer)
        for peer in connections:
            peer.sendall(struct.pack("d", value))
    elif connections:
        connections[0].sendall(struct.pack("d", value))
        value = receive(connections[0])
    return value


def data():
    """One pass over the channel, if there is one in Pipe mode."""
    global epoch
    if "train" not in json.loads(os.environ["SM_CHANNELS"]):
        return b""
    with open(f"/opt/ml/input/data/train_{epoch}", "rb") as pipe:
        epoch += 1
        return pipe.read()


state = newest()
segment = state.pop("segment", 0) + 1
print("segment begins at step", state["step"], flush=True)
connections = peers()
while state["step"] < parameters["steps"]:
    seen = hashlib.sha256(state["seen"].encode() + data()).hexdigest()
    x = int(seen[:8], 16) / 2**32 + rank
    a, b = state["weights"]
    gradient = sum_over_hosts((a * x + b - 3 * x) * x / 7, connections)
    state = {"step": state["step"] + 1, "weights": [a - 0.1 * gradient, b - 0.01 * gradient * x / 3], "seen": seen}
    if len(hosts) > 1:
        state["weights"][1] = sum_over_hosts(state["weights"][1], connections) / len(hosts)
    if rank == 0:
        save(state)
    if segment <= parameters["slow_segments"]:
        time.sleep(parameters["pause"])
if rank == 0:
    Path("/opt/ml/model/result.json").write_text(json.dumps(state))
print("finished", flush=True)
'''

SOURCE_KEY = "resumable/sourcedir.tar.gz"
IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"


def put_source(s3, bucket):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo("train.py")
        about.size = len(SCRIPT.encode())
        archive.addfile(about, io.BytesIO(SCRIPT.encode()))
    s3.put_object(Bucket=bucket, Key=SOURCE_KEY, Body=packed.getvalue())


def request(account, bucket, name, steps, pause=0.05, slow_segments=1000, hosts=1, pipe="", **changes):
    """`pause`: seconds after a step, in the first `slow_segments` segments. `pipe`: an S3 prefix that is read once a step.
    REQUIRES: put_source() was called for the bucket."""
    made = dict(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "Pipe" if pipe else "File"},
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output"},
        ResourceConfig={"InstanceCount": hosts, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        CheckpointConfig={"S3Uri": f"s3://{bucket}/checkpoints/{name}"},
        HyperParameters={"sagemaker_program": '"train.py"',
                         "sagemaker_submit_directory": json.dumps(f"s3://{bucket}/{SOURCE_KEY}"),
                         "steps": str(steps), "pause": str(pause), "slow_segments": str(slow_segments)})
    if pipe:
        made["InputDataConfig"] = [{"ChannelName": "train", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": pipe, "S3DataDistributionType": "FullyReplicated"}}}]
    made.update(changes)
    return made


def result_of(s3, bucket, name):
    content = s3.get_object(Bucket=bucket, Key=f"output/{name}/output/model.tar.gz")["Body"].read()
    return tarfile.open(fileobj=io.BytesIO(content)).extractfile("result.json").read()
