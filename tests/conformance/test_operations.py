"""All 403 SageMaker operations over the wire: implemented, or the documented refusal; and the page made from the same table."""
import json
import subprocess
import sys
from pathlib import Path

import botocore.session
from server import BIN

ROOT = Path(__file__).resolve().parents[2]


def test_every_sagemaker_operation_is_implemented_or_refused_by_name(server, sm):
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
    import urllib.error
    import urllib.request
    known = server.credentials
    keys = botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"])
    described = json.loads(subprocess.run([BIN / "millwright", "operations"], check=True, capture_output=True, text=True).stdout)
    table = {o["name"]: o["implemented"] for s in described if s["service"] == "sagemaker" for o in s["operations"]}
    model = botocore.session.get_session().get_service_model("sagemaker")
    assert set(model.operation_names) <= set(table), set(model.operation_names) - set(table)
    assert len(table) >= 403

    def call(name):
        request = botocore.awsrequest.AWSRequest("POST", server.url + "/", data=b"{}", headers={
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{name}"})
        botocore.auth.SigV4Auth(keys, "sagemaker", known["Region"]).add_auth(request)
        prepared = request.prepare()
        try:
            with urllib.request.urlopen(urllib.request.Request(prepared.url, data=b"{}", headers=dict(prepared.headers)),
                                        timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    for name, implemented in table.items():
        status, answer = call(name)
        text = answer.get("message") or answer.get("Message") or ""
        refused = f"Millwright does not support {name} yet" in text
        assert refused == (not implemented), (name, status, answer)
        assert status < 500 or refused, (name, status, answer)
    status, answer = call("MakeCoffee")
    assert status == 400 and "UnknownOperationException" in answer["__type"]


def test_the_operations_page_is_current():
    result = subprocess.run([sys.executable, ROOT / "tools/operations_doc.py", "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
