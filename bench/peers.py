"""The programs that Millwright is compared with, each on a free loopback port, ended by its process id."""
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "build/python/bench/bin/python"
XGBOOST_OF_DEBIAN = ROOT / "build/python/bench-xgboost"  # the Python package of the release that Debian 12 has
S3RVER = ROOT / "build/node/bench/node_modules/s3rver/bin/s3rver.js"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, path="/"):
    """Until it answers anything to a GET."""
    for _ in range(1500):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{process.args[0]} did not start")


@contextlib.contextmanager
def running(command, port, **options):
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def moto():
    """The mock of AWS that most tests use; everything in memory."""
    port = free_port()
    return running([PYTHON, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", port], port)


def s3rver(folder):
    port = free_port()
    return running(["node", S3RVER, "--silent", "-d", folder, "-a", "127.0.0.1", "-p", port], port)


NGINX = """
daemon off; master_process {master}; worker_processes {workers}; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000; client_max_body_size 1g;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {upstream}
    server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


def nginx(folder, location, upstream="", workers=2):
    """`folder` for its files; `location` is what the server block holds."""
    port = free_port()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, location=location, upstream=upstream,
                                                    workers=workers, master="on"))
    user = ["-g", "user root;"] if os.getuid() == 0 else []
    return running(["/usr/sbin/nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf", *user], port)


DOCKER_REGISTRY = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {folder}/files}}
http:
  addr: 127.0.0.1:{port}
"""


def docker_registry(folder):
    """Debian's, with the settings of its package but for the login."""
    port = free_port()
    Path(folder).mkdir(parents=True, exist_ok=True)
    configuration = Path(folder) / "config.yml"
    configuration.write_text(DOCKER_REGISTRY.format(folder=folder, port=port))
    return running(["/usr/bin/docker-registry", "serve", configuration], port)


HAPROXY = """
global
    nbthread 2
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    http-reuse always
frontend in
    bind 127.0.0.1:{port}
    default_backend model
backend model
    server replica {address}
"""


def haproxy(folder, address):
    """`address`: "127.0.0.1:port", or "unix@path" of at most 97 bytes."""
    port = free_port()
    Path(folder).mkdir(parents=True, exist_ok=True)
    configuration = Path(folder) / "haproxy.cfg"
    configuration.write_text(HAPROXY.format(port=port, address=address))
    return running(["/usr/sbin/haproxy", "-db", "-f", configuration], port)


FLASK_APP = '''
import sys
import numpy as np
sys.path.insert(0, {examples!r})
from flask import Flask, request
from reference import LibXgboost
app = Flask(__name__)
library = LibXgboost()
booster = library.load({model!r})

@app.route("/ping")
def ping():
    return ""

@app.route("/invocations", methods=["POST"])
def invocations():
    row = np.array([request.get_data().decode().split(",")], dtype=np.float32)
    return ",".join(str(v) for v in library.predict(booster, row))
'''


def gunicorn(folder, model):
    """The shape of the usual XGBoost container: Flask below gunicorn, two workers, one OpenMP thread each."""
    import numpy
    port = free_port()
    (Path(folder) / "bench_app.py").write_text(FLASK_APP.format(examples=str(ROOT / "examples"), model=str(model)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{folder}:{numpy.__path__[0]}/.."}
    return running(["/usr/bin/python3", "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "--log-level", "error",
                    "--keep-alive", "30", "-k", "gthread", "--threads", "16", "bench_app:app"], port, cwd=folder, env=environment)
