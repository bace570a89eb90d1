"""HTTP/1.1 for asyncio, as much as the front needs: kept-alive connections, bodies with a length or in chunks."""
import asyncio
from http import HTTPStatus

MAX_HEAD = 64 * 1024
LINGER_S = 10  # for which the rest of a refused body is read, so that the client gets to read why


class BadRequest(Exception):

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Request:
    __slots__ = ("method", "path", "headers", "body", "keep_alive")

    def __init__(self, method, path, headers, keep_alive):
        self.method, self.path, self.headers, self.keep_alive = method, path, headers, keep_alive
        self.body = b""


def parse_head(text):
    lines = text.split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(400, "the request line is broken")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "a header is broken")
        headers[name.lower()] = value.strip()
    default = "keep-alive" if words[2] == "HTTP/1.1" else "close"
    return Request(words[0], words[1].partition("?")[0], headers, headers.get("connection", default).lower() != "close")


def body_length(headers):
    """Bytes of the body; None: it comes in chunks."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        if "content-length" in headers:
            raise BadRequest(400, "a body has a length or chunks, not both")
        return None
    if "transfer-encoding" in headers:
        raise BadRequest(501, "this transfer encoding is not supported")
    text = headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit():
        raise BadRequest(400, "the length of the body is broken")
    return int(text)


def take_chunks(buffer, limit):
    """(body, bytes used), or None while the body is not complete."""
    parts, at, size = [], 0, 0
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            if len(buffer) - at > 1024:
                raise BadRequest(400, "a chunk is broken")
            return None
        try:
            length = int(bytes(buffer[at:end]).partition(b";")[0].strip(), 16)
        except ValueError:
            raise BadRequest(400, "a chunk is broken")
        size += length
        if length < 0 or size > limit:
            raise BadRequest(413, "the body is too large")
        at = end + 2
        if length == 0:
            while True:  # trailers, until an empty line
                end = buffer.find(b"\r\n", at)
                if end < 0:
                    return None
                if end == at:
                    return b"".join(parts), end + 2
                at = end + 2
        if len(buffer) < at + length + 2:
            return None
        parts.append(bytes(buffer[at:at + length]))
        at += length + 2


def response(status, content_type, body, headers=(), keep_alive=True):
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    lines = [f"HTTP/1.1 {status} {phrase}", f"Content-Length: {len(body)}"]
    for name, value in [("Content-Type", content_type), *headers]:
        lines.append(f"{name}: {value}".replace("\r", " ").replace("\n", " "))
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One client. Its requests are answered one after the other, in their order."""

    def __init__(self, handle, max_body, open_connections):
        self._handle, self._max_body, self._open = handle, max_body, open_connections
        self._buffer = bytearray()
        self._request = None  # its head is read, its body is not
        self._length = 0
        self._busy = False
        self._lingers = False  # refused: what still comes is dropped
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self._open.add(self)

    def connection_lost(self, problem):
        self._open.discard(self)
        self.transport = None

    def data_received(self, data):
        if self._lingers:
            return
        self._buffer += data
        if self._busy and len(self._buffer) > MAX_HEAD:
            self.transport.pause_reading()
        self._go_on()

    def respond(self, status, content_type, body, headers=(), keep_alive=True):
        """The answer to the request that was handed over."""
        self._busy = False
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(response(status, content_type, body, headers, keep_alive))
        if not keep_alive:
            self.transport.close()
            return
        self.transport.resume_reading()
        self._go_on()

    def _go_on(self):
        try:
            while not self._busy and self._next():
                pass
        except BadRequest as problem:
            self._refuse(problem)

    def _refuse(self, problem):
        self._lingers = True
        self._buffer.clear()
        self.transport.write(response(problem.status, "text/plain; charset=utf-8", problem.text.encode(), keep_alive=False))
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self.transport.close)

    def _next(self):
        if self._request is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise BadRequest(431, "the head of the request is too large")
                return False
            self._request = parse_head(self._buffer[:end].decode("latin-1"))
            del self._buffer[:end + 4]
            self._length = body_length(self._request.headers)
            if self._length is not None and self._length > self._max_body:
                raise BadRequest(413, f"the body is larger than {self._max_body} bytes")
            if self._request.headers.get("expect", "").lower() == "100-continue" and not self._buffer:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._length is None:
            taken = take_chunks(self._buffer, self._max_body)
            if taken is None:
                return False
            body, used = taken
        elif len(self._buffer) < self._length:
            return False
        else:
            body, used = bytes(self._buffer[:self._length]), self._length
        del self._buffer[:used]
        request, self._request = self._request, None
        request.body = body
        self._busy = True
        self._handle(request, self)
        return True
