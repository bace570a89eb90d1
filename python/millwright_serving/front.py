"""The process that listens. It runs no code of the user's, so it says how things are whatever the workers do."""
import asyncio
import collections
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid

from millwright_serving import frames
from millwright_serving.http import Connection

MAX_WAITING = 1000
MAX_LOADS_IN_VAIN = 3  # in a row, of workers that replace others
STOP_S = 25  # of the 30 s that a container gets
TEXT = "text/plain; charset=utf-8"
# Of the client's headers these are not for scripts: they belong to the connection.
HOP_HEADERS = {"connection", "content-length", "transfer-encoding", "expect", "host", "keep-alive"}


class Worker(asyncio.Protocol):
    """The front's end of one worker process."""

    def __init__(self, front, number):
        self.front, self.number = front, number
        self.reader = frames.Reader()
        self.ready = False
        self.job = None  # (request, connection) being worked on
        self.timer = None
        self.killed_because = ""
        self.process = self.transport = None

    async def start(self):
        ours, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "millwright_serving.worker", str(theirs.fileno()), str(self.front.folder)],
                pass_fds=[theirs.fileno()], env={**os.environ, "MILLWRIGHT_GPU": str(self.number)})
        finally:
            theirs.close()
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for head, body in self.reader.feed(data):
            if not self.ready:
                self.ready = True
                self.front.worker_ready(self)
            else:
                self.finish(head["status"], head["content_type"], body, head["headers"].items())
                self.front.worker_idle(self)

    def take(self, request, connection, head):
        self.job = (request, connection)
        self.timer = asyncio.get_running_loop().call_later(self.front.settings.timeout_s, self.kill, "it took too long")
        self.transport.write(frames.pack(head, request.body))

    def finish(self, status, content_type, body, headers=()):
        if self.job is None:
            return
        (request, connection), self.job = self.job, None
        self.timer.cancel()
        connection.respond(status, content_type, body, headers, request.keep_alive)

    def kill(self, why):
        self.killed_because = why
        self.process.kill()

    def connection_lost(self, problem):
        code = self.process.wait()
        how = self.killed_because or (f"signal {-code}" if code < 0 else f"exit code {code}")
        self.finish(500, TEXT, f"The worker that had this request ended: {how}\n".encode())
        self.front.worker_ended(self, how)


class Front:

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        self.workers, self.idle = set(), collections.deque()
        self.waiting = collections.deque()  # (request, connection)
        self.connections = set()
        self.loads_in_vain = 0
        self.stopping = False
        self.begun = time.monotonic()
        self.server = None
        self.ended = None  # future of the exit code

    async def run(self):
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: asyncio.ensure_future(self.stop()))
        for number in range(self.settings.workers):
            await self.start_worker(number)
        code = await self.ended
        for worker in self.workers:
            worker.process.kill()
        return code

    async def start_worker(self, number):
        worker = Worker(self, number)
        self.workers.add(worker)
        await worker.start()

    async def listen(self):
        self.server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.handle, self.settings.max_body_bytes, self.connections), "0.0.0.0", self.settings.port,
            backlog=1024)
        port = self.server.sockets[0].getsockname()[1]
        print(f"serving on port {port} with {self.settings.workers} workers, ready in {time.monotonic() - self.begun:.2f} s",
              flush=True)

    def worker_ready(self, worker):
        self.loads_in_vain = 0
        self.worker_idle(worker)
        # Nothing listens before there is an answer, so a connection that is made is one that is served.
        if self.server is None and not self.stopping:
            self.server = True
            asyncio.ensure_future(self.listen_or_end())

    async def listen_or_end(self):
        try:
            await self.listen()
        except OSError as problem:
            self.end(1, f"cannot listen on port {self.settings.port}: {problem}")

    def worker_idle(self, worker):
        while self.waiting:
            request, connection = self.waiting.popleft()
            if connection.transport is not None:
                return worker.take(request, connection, self.head_of(request))
        self.idle.append(worker)

    def worker_ended(self, worker, how):
        self.workers.discard(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        if self.stopping:
            return
        if not worker.ready:
            self.loads_in_vain += 1
            if self.server is None or self.loads_in_vain > MAX_LOADS_IN_VAIN:
                return self.end(1, f"worker {worker.number} could not load the model ({how})")
        print(f"worker {worker.number} ended ({how}) and is replaced", file=sys.stderr, flush=True)
        asyncio.ensure_future(self.start_worker(worker.number))

    def end(self, code, why):
        self.stopping = True
        print(why, file=sys.stderr, flush=True)
        if not self.ended.done():
            self.ended.set_result(code)

    async def stop(self):
        """What has begun is finished; nothing new begins."""
        if self.stopping:
            return
        self.stopping = True
        if self.server is not None and self.server is not True:
            self.server.close()
        deadline = time.monotonic() + STOP_S
        while (self.waiting or any(worker.job for worker in self.workers)) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0)  # answers are on their way
        for connection in list(self.connections):
            connection.transport.close()
        if not self.ended.done():
            self.ended.set_result(0)

    # --- requests ---

    def handle(self, request, connection):
        known = {"/ping": ("GET", self.ping), "/invocations": ("POST", self.invoke),
                 "/execution-parameters": ("GET", self.execution_parameters)}.get(request.path)
        if known is None:
            return connection.respond(404, TEXT, b"There is /ping, /invocations and /execution-parameters.\n",
                                      keep_alive=request.keep_alive)
        if request.method != known[0]:
            return connection.respond(405, TEXT, b"", [("Allow", known[0])], request.keep_alive)
        known[1](request, connection)

    def ping(self, request, connection):
        alive = any(worker.ready for worker in self.workers)
        connection.respond(200 if alive else 503, TEXT, b"\n", keep_alive=request.keep_alive)

    def execution_parameters(self, request, connection):
        body = json.dumps({"MaxConcurrentTransforms": self.settings.workers, "BatchStrategy": "MULTI_RECORD",
                           "MaxPayloadInMB": self.settings.max_body_bytes >> 20}).encode()
        connection.respond(200, "application/json", body, keep_alive=request.keep_alive)

    def invoke(self, request, connection):
        if self.idle:
            return self.idle.popleft().take(request, connection, self.head_of(request))
        if len(self.waiting) >= MAX_WAITING or self.stopping:
            return connection.respond(503, TEXT, b"Too many requests are waiting.\n", keep_alive=request.keep_alive)
        self.waiting.append((request, connection))

    def head_of(self, request):
        headers = request.headers
        accept = headers.get("accept", "").split(",")[0].split(";")[0].strip()
        return {"content_type": headers.get("content-type", "application/json").split(";")[0].strip(),
                "accept": self.settings.accept if accept in ("", "*/*") else accept,
                "headers": {name: value for name, value in headers.items() if name not in HOP_HEADERS},
                "id": headers.get("x-amzn-sagemaker-inference-id") or uuid.uuid4().hex}
