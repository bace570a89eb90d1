#!/usr/bin/env python3
"""Writes sigv4_cases.h: requests as botocore signs them, for src/aws/sigv4_test.cc. Needs botocore; run by hand."""
import base64
import datetime
import json
import pathlib
import urllib.parse
from unittest import mock

import botocore
import botocore.auth
import botocore.awsrequest
import botocore.credentials

TIME = datetime.datetime(2026, 11, 22, 10, 15, 30, tzinfo=datetime.timezone.utc)
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE+/session=="
HOST = "http://127.0.0.1:9770"

JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "SageMaker.ListTrainingJobs"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
CASES = [
    # name, service, how, method, path and query, headers, body, temporary keys?
    ("json", "sagemaker", "header", "POST", "/", JSON, b'{"MaxResults": 5}', False),
    ("json with a session token", "sagemaker", "header", "POST", "/", JSON, b"{}", True),
    ("header with runs of spaces", "logs", "header", "POST", "/", {**JSON, "X-Amz-Meta": "  a   b\t c "}, b"{}", False),
    ("empty body", "sagemaker", "header", "POST", "/", JSON, b"", False),
    ("form", "sts", "header", "POST", "/", FORM, b"Action=GetCallerIdentity&Version=2011-06-15", False),
    ("query string action", "iam", "header", "GET", "/?Action=ListRoles&Version=2010-05-08&PathPrefix=%2Fa%20b%2F", {}, b"", False),
    ("runtime", "sagemaker", "header", "POST", "/endpoints/my-endpoint/invocations", {"Content-Type": "text/csv"}, b"1,2,3\n", False),
    ("double encoded path", "sagemaker", "header", "POST", "/endpoints/a%20b%2Fc/invocations", {}, b"\x00\xff", False),
    ("dot segments", "sagemaker", "header", "POST", "/a/./b/../c//d/", {}, b"", False),
    ("binary body", "sagemaker", "header", "POST", "/endpoints/e/invocations", {}, bytes(range(256)), True),
    ("s3 put", "s3", "s3", "PUT", "/bucket/a%20key/with%2Bplus", {"x-amz-meta-color": "blue"}, b"hello", False),
    ("s3 unicode key", "s3", "s3", "PUT", "/bucket/gr%C3%B6%C3%9Fer/%E2%82%AC", {}, b"x", False),
    ("s3 dots in the key stay", "s3", "s3", "GET", "/bucket/a/../b//c/.", {}, b"", False),
    ("s3 list", "s3", "s3", "GET", "/bucket?list-type=2&prefix=a%2Fb&delimiter=%2F&encoding-type=url", {}, b"", False),
    ("s3 query without value", "s3", "s3", "POST", "/bucket/key?uploads", {}, b"", True),
    ("s3 sorted query", "s3", "s3", "PUT", "/bucket/key?uploadId=x%3D%3D&partNumber=2&X=1&a-b=2", {}, b"part", False),
    ("s3 tilde and specials", "s3", "s3", "PUT", "/bucket/~a-b_c.d%21%2A%27%28%29", {}, b"", False),
    ("s3 presigned get", "s3", "s3query", "GET", "/bucket/key%20x?response-content-type=text%2Fplain", {}, b"", False),
    ("s3 presigned put", "s3", "s3query", "PUT", "/bucket/key", {}, b"whatever", True),
    ("s3 old presigned get", "s3", "v2query", "GET", "/bucket/key%20x?response-content-type=text%2Fplain&versionId=3&x=1", {}, b"", False),
    ("s3 old presigned put", "s3", "v2query", "PUT", "/bucket/key", {}, b"whatever", True),
    ("sts presigned", "sts", "query", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", {}, b"", False),
    ("sts presigned with a header", "sts", "query", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", {"x-k8s-aws-id": "cluster"}, b"", True),
]


def sign(service, how, method, url, headers, body, temporary):
    credentials = botocore.credentials.Credentials(KEY, SECRET, TOKEN if temporary else None)
    kinds = {"header": botocore.auth.SigV4Auth, "s3": botocore.auth.S3SigV4Auth,
             "query": botocore.auth.SigV4QueryAuth, "s3query": botocore.auth.S3SigV4QueryAuth}
    signer = (botocore.auth.HmacV1QueryAuth(credentials, 3600) if how == "v2query"
              else kinds[how](credentials, service, "us-west-2"))
    request = botocore.awsrequest.AWSRequest(method=method, url=HOST + url, headers=dict(headers),
                                            data=b"" if how in ("s3query", "v2query") else body)
    if how == "s3":
        request.context["payload_signing_enabled"] = True
    signer.add_auth(request)
    return request.prepare()


def main():
    cases = []
    with mock.patch("botocore.auth.get_current_datetime", lambda *args, **kwargs: TIME, create=True), \
            mock.patch("botocore.auth.time.time", lambda: TIME.timestamp()), \
            mock.patch("botocore.compat.get_current_datetime", lambda *args, **kwargs: TIME, create=True):
        for name, service, how, method, url, headers, body, temporary in CASES:
            prepared = sign(service, how, method, url, headers, body, temporary)
            parts = urllib.parse.urlsplit(prepared.url)
            fields = [["Host", parts.netloc]] + [[key, value if isinstance(value, str) else value.decode()]
                                                 for key, value in prepared.headers.items()]
            cases.append({"name": name, "service": service, "temporary": temporary, "presigned": "query" in how,
                          "method": method, "target": prepared.url[len(HOST):], "headers": fields,
                          "body": base64.b64encode(body).decode()})
    text = ",\n".join(json.dumps(case) for case in cases)
    out = pathlib.Path(__file__).parent / "sigv4_cases.h"
    out.write_text(f"// Made by make_sigv4_cases.py with botocore {botocore.__version__}; not for editing.\n#pragma once\n\n"
                   f"namespace millwright::aws {{\n\ninline constexpr char kSigv4Cases[] = R\"json([\n{text}\n])json\";\n\n"
                   "}  // namespace millwright::aws\n")


if __name__ == "__main__":
    main()
