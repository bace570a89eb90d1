"""What front and workers say to each other over a socket pair.

    frame   length of the head (4 bytes, big endian)  length of the body (8 bytes)  head (JSON)  body
    worker → front   {"ready": true} once, then for each request {"status", "content_type", "headers"} and the body
    front → worker   {"content_type", "accept", "headers", "id"} and the body
"""
import json
import struct

PREFIX = struct.Struct(">IQ")


def pack(head, body=b""):
    text = json.dumps(head).encode()
    return b"".join((PREFIX.pack(len(text), len(body)), text, body))


class Reader:
    """Bytes in, whole frames out."""

    def __init__(self):
        self._pending = bytearray()

    def feed(self, data):
        """Yields (head, body) of each frame that is complete."""
        self._pending += data
        while len(self._pending) >= PREFIX.size:
            head_size, body_size = PREFIX.unpack_from(self._pending)
            end = PREFIX.size + head_size + body_size
            if len(self._pending) < end:
                return
            head = json.loads(self._pending[PREFIX.size:PREFIX.size + head_size])
            body = bytes(self._pending[PREFIX.size + head_size:end])
            del self._pending[:end]
            yield head, body
