"""What the SageMaker SDKs ask fixed AWS hosts for, with the proxy of `millwright env --proxy`: nothing leaves the machine.

The SDK (of the Python that runs the test) works in a process of its own, unmodified, as a notebook would: with the keys of
an assumed role. An audit hook notes every name it resolves and every address it connects to."""
import json
import os
import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent("""
    import json, logging, sys
    reached = set()
    def watch(event, arguments):
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            reached.add(str(arguments[1][0]))
        elif event == "socket.getaddrinfo":
            reached.add(str(arguments[0]))
    sys.addaudithook(watch)

    lines = []
    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())
    for name in ("urllib3.connectionpool", "botocore.vendored.requests.packages.urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(Lines())

    try:
        from sagemaker.core.helper.session_helper import Session, get_execution_role
        from sagemaker.core.telemetry import telemetry_logging as telemetry
    except ImportError:
        from sagemaker import Session, get_execution_role
        try:
            from sagemaker.telemetry import telemetry_logging as telemetry
        except ImportError:
            telemetry = None  # v1 has none
    session = Session()
    result = {"bucket": session.default_bucket(), "role": get_execution_role(session), "telemetry": telemetry is not None}
    if telemetry is not None:
        sending = telemetry._send_telemetry_request(1, [1], session, None, None, "DEFAULT")
        if sending is not None:
            sending.join(120)
    result["reached"] = sorted(reached)
    result["lines"] = [line for line in lines if "HTTP/1" in line]
    print("RESULT " + json.dumps(result))
""")


def sdk_stays_on_the_machine(server, tmp_path):
    role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    keys = server.client("sts").assume_role(RoleArn=role, RoleSessionName="notebook")["Credentials"]
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith(("AWS_", "SAGEMAKER_")) and not k.lower().endswith("_proxy")}
    environment.update(server.environment("--proxy"))
    # With it the SDKs would not even ask: it names the bucket and switches telemetry off.
    del environment["SAGEMAKER_USER_CONFIG_OVERRIDE"]
    environment.update(AWS_ACCESS_KEY_ID=keys["AccessKeyId"], AWS_SECRET_ACCESS_KEY=keys["SecretAccessKey"],
                       AWS_SESSION_TOKEN=keys["SessionToken"], HOME=str(tmp_path), PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python")
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.rsplit("RESULT ", 1)[1])
    assert result["bucket"] == f"sagemaker-us-west-2-{server.account}"
    assert result["role"] == role
    assert set(result["reached"]) <= {"127.0.0.1", "localhost"}, result["reached"]
    asked = "\n".join(result["lines"])
    assert "https://sts.us-west-2.amazonaws.com:443 \"POST / HTTP/1.1\" 200" in asked, asked
    if result["telemetry"]:
        assert "https://sm-pysdk-t-us-west-2.s3.us-west-2.amazonaws.com:443 \"GET /telemetry?" in asked, asked
        assert asked.count("/telemetry?") == asked.count("HTTP/1.1\" 200 0", asked.index("/telemetry?")), asked
    assert server.account in result["role"] and "sm-pysdk" not in server.log()
