"""InvokeEndpoint of an XGBoost model against the same model behind Flask and gunicorn, and the gateway's share against bare proxies.

nginx and haproxy forward to the very replica that Millwright asks; they check no signature.
"""
import io
import os
import statistics
import tarfile
import time

import peers
from load import Signer, best_p50, best_rate, in_turns, raw_request, send

ENDPOINT = "/endpoints/bench/invocations"
PROXIED = "location / { proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; }"


def run(server, figures, rounds, folder, bucket, model_key, features):
    figures.section("Inference", "One row of 50 columns as text/csv through a model of 100 trees of depth 6, on kept-alive connections, sent by wrk. "
                    "Requests to Millwright are signed, and the signature is checked each time. The peers: Flask below gunicorn with "
                    "2 workers and libxgboost through ctypes, one OpenMP thread each; nginx and haproxy forwarding to Millwright's own replica.")
    content = server.client("s3").get_object(Bucket=bucket, Key=model_key)["Body"].read()
    model = folder / "xgboost-model"
    model.write_bytes(tarfile.open(fileobj=io.BytesIO(content)).extractfile("xgboost-model").read())
    body = ",".join("%.9g" % value for value in features[0]).encode()
    replica = next((server.folder / "endpoints").rglob("serve.sock"))
    near = folder / "r"  # names of Unix sockets are short
    os.symlink(replica.parent, near)
    upstream = f"upstream model {{ server unix:{near}/{replica.name}; keepalive 256; }}"
    ours = Signer(server.credentials, "sagemaker", f"127.0.0.1:{server.port}")
    signed = ours.request("POST", ENDPOINT, body, {"content-type": "text/csv"})
    with peers.gunicorn(folder, model) as flask, peers.nginx(folder / "proxy", PROXIED, upstream) as nginx, \
            peers.haproxy(folder / "haproxy", f"unix@{near}/{replica.name}") as haproxy:
        for connections in (1, 32, 256):
            plain = {port: raw_request("POST", "/invocations", {"host": f"127.0.0.1:{port}", "content-type": "text/csv"}, body)
                     for port in (flask, nginx, haproxy)}
            contenders = {"Millwright": (server.port, signed), "gunicorn": (flask, plain[flask]), "nginx": (nginx, plain[nginx]),
                          "haproxy": (haproxy, plain[haproxy])}
            found = in_turns(rounds, **{name: (lambda port=port, request=request: send(port, [request], connections, 2))
                                        for name, (port, request) in contenders.items()})
            show(figures, connections, found)
        share(server, figures, rounds, near / replica.name, signed, body)


PREDICTION = ("reading the row, the prediction and its text take more than a twentieth of the peer's time, twice the way through a socket as much again. "
              "Only a prediction inside the server would reach it")
FRONT = ("a signature, a policy and two wake-ups of threads for each request, which the proxies do not have: a loop per processor instead of a thread "
         "per request would save the wake-ups")


def show(figures, connections, found):
    rates = {name: best_rate(outcomes) for name, outcomes in found.items()}
    halves = {name: best_p50(outcomes) for name, outcomes in found.items()}
    figures.add(f"{connections} connections, requests: {', '.join(found)}", ", ".join(f"{rate:.0f}" for rate in rates.values()) + " per s")
    figures.add("  p50 of the same", ", ".join(f"{half:.0f}" for half in halves.values()) + " us")
    figures.add("  p99 of the same", ", ".join(f"{min(o.p99 for o in outcomes):.0f}" for outcomes in found.values()) + " us")
    figures.ratio("  p50 lower than gunicorn's", halves["gunicorn"], halves["Millwright"], 20, PREDICTION)
    figures.ratio("  requests to gunicorn's", rates["Millwright"], rates["gunicorn"], 30, PREDICTION)
    figures.ratio("  requests to nginx's as a proxy", rates["Millwright"], rates["nginx"], 1, FRONT)
    figures.ratio("  requests to haproxy's", rates["Millwright"], rates["haproxy"], 1, FRONT)


def share(server, figures, rounds, replica, signed, body):
    from bench import latencies
    direct = raw_request("POST", "/invocations", {"host": "replica", "content-type": "text/csv"}, body)
    ours, alone = [], []
    for _ in range(rounds):
        ours.append(statistics.median(latencies(server.port, signed, 1000)))
        alone.append(statistics.median(latencies(replica, direct, 1000)))
        time.sleep(0.1)
    figures.add("The replica asked directly on its Unix socket, p50", f"{min(alone):.0f} us")
    added = min(ours) - min(alone)
    figures.add("What signature, front and gateway add", f"{added:.0f} us", f"25 us, {'reached' if added <= 25 else 'missed'}", "" if added <= 25 else FRONT)
