"""The probe of test_server_side_requests.py; runs inside a fresh network namespace. Prints one line of JSON."""
import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import botocore.auth  # noqa: E402
import botocore.awsrequest  # noqa: E402
import botocore.credentials  # noqa: E402
from constraints import Values, with_value  # noqa: E402
from server import Server  # noqa: E402
from test_constraints import Client, Service  # noqa: E402

FOLLOWED = 4  # jobs and models of one place that are carried out; the others that were taken are stopped
LISTENER = 8099  # something that would answer, on every address

# What names this machine, its neighbours, the metadata service of clouds, or a file; in ways that checks of texts miss.
HOSTS = ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "127.000.000.001", "2130706433", "0x7f000001", "0x7f.0.0.1",
         "0177.0.0.1", "017700000001", "0", "0.0.0.0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1%25lo]",
         "127.0.0.1.", "127.127.127.127", "127.0.0.1%00", "127.0.0.1%09", "①②⑦.⓪.⓪.①", "127。0。0。1", "ｌｏｃａｌｈｏｓｔ", "169.254.169.254",
         "169.254.170.2", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "[fd00:ec2::254]",
         "metadata.google.internal", "metadata", "instance-data", "169.254.169.254.nip.example", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.100.100.200",
         "user@127.0.0.1", "s3.amazonaws.com@127.0.0.1", "127.0.0.1#s3.amazonaws.com", "127.0.0.1\\@s3.amazonaws.com", "s3.amazonaws.com.127.0.0.1.example",
         "8.8.8.8", "example.com", "xn--fiqs8s"]
SCHEMES = ["http://{}:8099/x", "https://{}:8099/x/model.tar.gz", "s3://{}:8099/x", "//{}:8099/x"]
OTHERS = ["file:///etc/passwd", "file://localhost/etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd", "ftp://127.0.0.1:8099/x", "gopher://127.0.0.1:8099/_x",
          "dict://127.0.0.1:8099/x", "ldap://127.0.0.1:8099/x", "tftp://127.0.0.1:8099/x", "jar:http://127.0.0.1:8099/x!/", "netdoc:///etc/passwd",
          "data:text/plain,x", "javascript:alert(1)", "ssh://127.0.0.1:8099/x", "git://127.0.0.1:8099/x", "git+https://127.0.0.1:8099/x", "unix:///run/x.sock",
          "smb://127.0.0.1/x", "\\\\127.0.0.1\\x", "http:127.0.0.1:8099", "http:/127.0.0.1:8099/x", "http:\\\\127.0.0.1:8099\\x", "hTTp://127.0.0.1:8099/x",
          " http://127.0.0.1:8099/x", "http://127.0.0.1:8099/x\r\nHost: x", "http://[127.0.0.1]:8099", "s3://bucket/../http://127.0.0.1:8099/",
          "s3://http://127.0.0.1:8099/x", "s3://127.0.0.1:8099@bucket/x", "s3a://127.0.0.1:8099/x", "s3n://127.0.0.1:8099/x", "S3://127.0.0.1:8099/x",
          "https://s3.amazonaws.com:8099/bucket/key", "https://bucket.s3.us-west-2.amazonaws.com/key", "https://127.0.0.1:8099/a/b.tar.gz?x=s3.amazonaws.com",
          "127.0.0.1:8099/image:latest", "localhost:8099/image", "169.254.169.254/latest/meta-data", "docker.io/library/busybox",
          "123456789012.dkr.ecr.us-west-2.amazonaws.com.127.0.0.1.example:8099/x:1", "127.0.0.1:8099/sagemaker-xgboost:1.7-1", "@sha256:" + "0" * 64]
SPELLINGS = [scheme.format(host) for host in HOSTS for scheme in SCHEMES] + OTHERS

# Members that hold an address of something. Below structures whose other members are the smallest valid ones.
PLACES = {
    "CreateTrainingJob": ["InputDataConfig.[].DataSource.S3DataSource.S3Uri", "OutputDataConfig.S3OutputPath", "CheckpointConfig.S3Uri",
                          "TensorBoardOutputConfig.S3OutputPath", "DebugHookConfig.S3OutputPath", "ProfilerConfig.S3OutputPath",
                          "DebugRuleConfigurations.[].S3OutputPath", "DebugRuleConfigurations.[].RuleEvaluatorImage",
                          "ProfilerRuleConfigurations.[].S3OutputPath", "AlgorithmSpecification.TrainingImage", "AlgorithmSpecification.AlgorithmName",
                          "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAuthConfig.TrainingRepositoryCredentialsProviderArn",
                          "OutputDataConfig.KmsKeyId", "Environment.{}", "HyperParameters.{}"],
    "CreateModel": ["PrimaryContainer.Image", "PrimaryContainer.ModelDataUrl", "PrimaryContainer.ModelDataSource.S3DataSource.S3Uri",
                    "PrimaryContainer.AdditionalModelDataSources.[].S3DataSource.S3Uri", "PrimaryContainer.Environment.{}",
                    "PrimaryContainer.ImageConfig.RepositoryAuthConfig.RepositoryCredentialsProviderArn", "Containers.[].ModelDataUrl"],
    "CreateEndpointConfig": ["DataCaptureConfig.DestinationS3Uri", "AsyncInferenceConfig.OutputConfig.S3OutputPath",
                             "AsyncInferenceConfig.OutputConfig.NotificationConfig.SuccessTopic", "ProductionVariants.[].CoreDumpConfig.DestinationS3Uri"],
    "UpdateTrainingJob": ["ProfilerConfig.S3OutputPath"],
}

connections_of_ours = 0


def count_our_connections():
    real = socket.create_connection

    def counted(*arguments, **keywords):
        global connections_of_ours
        connections_of_ours += 1
        return real(*arguments, **keywords)

    socket.create_connection = counted
    http.client.socket.create_connection = counted


def counters():
    """(connections begun, datagrams sent) in this namespace."""
    found = {}
    lines = Path("/proc/self/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        kind = names.split(":")[0]
        found.update({f"{kind}.{name}": int(value) for name, value in zip(names.split()[1:], values.split()[1:])})
    more = dict(line.split() for line in Path("/proc/self/net/snmp6").read_text().splitlines()) if Path("/proc/self/net/snmp6").exists() else {}
    return found["Tcp.ActiveOpens"], found["Udp.OutDatagrams"] + int(more.get("Udp6OutDatagrams", 0))


def make_every_address_local():
    for command in (["link", "set", "lo", "up"], ["route", "add", "local", "0.0.0.0/0", "dev", "lo"], ["-6", "route", "add", "local", "::/0", "dev", "lo"]):
        subprocess.run(["ip", *command], check="-6" not in command, capture_output=True)


def listen():
    listener = socket.socket(socket.AF_INET)
    listener.bind(("0.0.0.0", LISTENER))
    listener.listen(128)
    return listener


class Probe:
    def __init__(self, server):
        self.server = server
        self.service = Service("sagemaker", "json", Client(server))
        self.requests, self.failures, self.accepted = 0, [], {}

    def base(self, operation, number):
        """A request that is good but for the place under trial."""
        role = f"arn:aws:iam::{self.server.account}:role/SageMakerRole"
        name = f"probe-{number}"
        image = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
        return {
            "CreateTrainingJob": {
                "TrainingJobName": name, "RoleArn": role, "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
                "OutputDataConfig": {"S3OutputPath": "s3://probe/out"}, "StoppingCondition": {"MaxRuntimeInSeconds": 60},
                "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}},
            "CreateModel": {"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": {"Image": image}},
            "CreateEndpointConfig": {"EndpointConfigName": name, "ProductionVariants": [
                {"VariantName": "a", "ModelName": "probe", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}]},
            "UpdateTrainingJob": {"TrainingJobName": "probe"}}[operation]

    def try_place(self, operation, place):
        shape = self.service.model.operation_model(operation).input_shape
        values, path = Values(place), tuple(place.split("."))
        for number, spelling in enumerate(SPELLINGS):
            grown = with_value(values, shape, path, spelling)
            document = merge(self.base(operation, f"{abs(hash(place)) % 100000}-{number}"), grown, path[0])
            if path[0] == "Containers":
                del document["PrimaryContainer"]
            status, code, message = self.service.send(operation, shape, document)
            self.requests += 1
            if status >= 500:
                self.failures.append(f"{operation} {place} {spelling}: {status} {code} {message}")
            if status == 200:
                taken = self.accepted.setdefault((operation, place), [])
                taken.append(document)
                if operation == "CreateTrainingJob" and len(taken) > FOLLOWED:
                    self.service.call("StopTrainingJob", {"TrainingJobName": document["TrainingJobName"]})

    def follow(self):
        """What was taken is carried out: jobs run to their end, models get an endpoint."""
        sagemaker = self.server.client("sagemaker")
        endpoints = []
        for (operation, _), documents in self.accepted.items():
            for document in documents[:FOLLOWED] if operation == "CreateModel" else []:
                name = document["ModelName"]
                sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
                    {"VariantName": "a", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}])
                sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
                endpoints.append(name)
        deadline = time.monotonic() + 400
        while time.monotonic() < deadline:
            busy = [name for name in endpoints if sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"]
            busy += [job["TrainingJobName"] for job in sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]]
            if not busy:
                break
            time.sleep(0.3)
        else:
            self.failures.append(f"not ended: {busy}")
        return {f"{operation} {place}": len(documents) for (operation, place), documents in self.accepted.items()}

    def try_script_sources(self):
        """sagemaker_submit_directory and its relatives, as jobs."""
        shape = self.service.model.operation_model("CreateTrainingJob").input_shape
        for number, spelling in enumerate(SPELLINGS[::12]):
            document = self.base("CreateTrainingJob", f"script-{number}")
            document["AlgorithmSpecification"]["TrainingImage"] = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"
            document["HyperParameters"] = {"sagemaker_program": json.dumps("x.py"), "sagemaker_submit_directory": json.dumps(spelling)}
            status, code, message = self.service.send("CreateTrainingJob", shape, document)
            self.requests += 1
            if status >= 500:
                self.failures.append(f"submit directory {spelling}: {status} {code} {message}")
            if status == 200:
                self.accepted.setdefault(("CreateTrainingJob", "submit directory"), []).append(document)

    def try_copy_sources(self):
        known = self.server.credentials
        keys = botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"])
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        for spelling in SPELLINGS:
            value = spelling.encode().decode("latin-1").replace("\r", "").replace("\n", "").strip()
            for header in ("x-amz-copy-source", "x-amz-website-redirect-location", "Referer", "Origin", "X-Forwarded-Host", "Forwarded"):
                request = botocore.awsrequest.AWSRequest("PUT", self.server.url + "/probe/copy", headers={header: value} if header.startswith("x-amz") else {})
                botocore.auth.S3SigV4Auth(keys, "s3", known["Region"]).add_auth(request)
                sent = {**dict(request.headers), header: value.encode("latin-1")}
                connection.request("PUT", "/probe/copy", b"", sent)
                answer = connection.getresponse()
                answer.read()
                self.requests += 1
                if answer.status >= 500 and answer.status != 501:
                    self.failures.append(f"{header} {spelling}: {answer.status}")

    def try_proxying(self):
        """CONNECT and absolute targets at the server's own port."""
        for spelling in SPELLINGS:
            host = spelling.split("//")[-1].split("/")[0].encode()
            for head in (b"CONNECT " + host + b" HTTP/1.1\r\nHost: " + host, b"GET " + spelling.encode().strip() + b" HTTP/1.1\r\nHost: " + host):
                with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as raw:
                    raw.sendall(head.replace(b"\r\nHost: x\r\n", b"\r\n") + b"\r\nConnection: close\r\n\r\n")
                    raw.settimeout(10)
                    try:
                        status = raw.recv(4096).split(b" ")[1:2]
                    except OSError:
                        status = []
                    self.requests += 1
                    if status and status[0] == b"200" and not head.startswith(b"CONNECT"):
                        self.failures.append(f"taken: {head!r}")


def merge(base, grown, top):
    """`base`, with what stands at the top member `top` of `grown` laid over it."""
    def lay(under, over):
        if isinstance(under, dict) and isinstance(over, dict):
            return {**under, **{name: lay(under.get(name), value) for name, value in over.items()}}
        return over
    merged = dict(base)
    merged[top] = lay(base.get(top), grown[top])
    return merged


def main(folder):
    make_every_address_local()
    listener = listen()
    count_our_connections()
    # First: do the counters count?
    before = counters()
    global connections_of_ours
    for address in ("169.254.169.254", "127.0.0.1"):
        socket.create_connection((address, LISTENER), timeout=5).close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"x", ("8.8.8.8", 53))
    told = dict(zip(("connections", "datagrams"), (b - a for a, b in zip(before, counters()))))

    server = Server(Path(folder) / "data").start()
    try:
        server.client("s3").create_bucket(Bucket="probe", CreateBucketConfiguration={"LocationConstraint": server.credentials["Region"]})
        probe = Probe(server)
        before, ours = counters(), connections_of_ours
        for operation, members in PLACES.items():
            for place in members:
                probe.try_place(operation, place)
        probe.try_script_sources()
        probe.try_copy_sources()
        probe.try_proxying()
        # boto3 counts its connections elsewhere; they go to our server and are taken off below.
        import urllib3.util.connection as urllib3_connection
        real = urllib3_connection.create_connection
        extra = []
        urllib3_connection.create_connection = lambda *a, **k: (extra.append(1), real(*a, **k))[1]
        followed = probe.follow()
        after = counters()
        alive = server.process.poll() is None
    finally:
        server.end_everything()
        listener.close()
    print(json.dumps({
        "counted_when_told_to": told, "spellings": len(SPELLINGS), "places": sum(map(len, PLACES.values())) + 9, "requests": probe.requests,
        "accepted": followed,
        "unexpected_connections": after[0] - before[0] - (connections_of_ours - ours) - len(extra), "datagrams": after[1] - before[1],
        "failures": probe.failures[:10] + ([] if alive else ["the server is gone"])}))


if __name__ == "__main__":
    main(sys.argv[1])
