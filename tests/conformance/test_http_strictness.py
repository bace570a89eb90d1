"""Requests that two parsers could read differently, from a table, against the real server; and the same table against
nginx where it is installed: what nginx refuses is refused, and what both accept ends at the same byte."""
import concurrent.futures
import re
import shutil
import socket
import subprocess
import time

import pytest

HOST = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n" + HOST
POST = b"POST /health HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

REFUSED = {  # answered 4xx, and the connection is closed: nothing after it is read as a request
    # Framing fields.
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths in other case": POST + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "length with letters": POST + b"Content-Length: 5a\r\n\r\nhello",
    "length with a space inside": POST + b"Content-Length: 5 5\r\n\r\nhello",
    "length with a tab inside": POST + b"Content-Length: 5\t5\r\n\r\nhello",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "blank length": POST + b"Content-Length:  \r\n\r\n",
    "quoted length": POST + b'Content-Length: "5"\r\n\r\nhello',
    "fractional length": POST + b"Content-Length: 5.0\r\n\r\nhello",
    "exponential length": POST + b"Content-Length: 5e0\r\n\r\nhello",
    "underscored length": POST + b"Content-Length: 1_0\r\n\r\nhello",
    "length beyond 64 bits": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "length beyond 63 bits": POST + b"Content-Length: 9223372036854775808\r\n\r\n",
    "length of other digits": POST + "Content-Length: ٥\r\n\r\nhello".encode(),
    "length with a form feed": POST + b"Content-Length: \x0c5\r\n\r\nhello",
    "length with a vertical tab": POST + b"Content-Length: \x0b5\r\n\r\nhello",
    "length with a no-break space": POST + b"Content-Length: \xa05\r\n\r\nhello",
    "coding gzip": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding chunked, gzip": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two coding fields": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two different coding fields": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "coding xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with a parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding with a leading comma": POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "coding with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding with a trailing NUL": POST + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
    "empty coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "coding of HTTP/1.0": b"POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding before a space and colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "length before a space and colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "length before a tab and colon": POST + b"Content-Length\t: 5\r\n\r\nhello",
    # Lines.
    "folded with a space": GET + b"X-A: one\r\n two\r\n\r\n",
    "folded with a tab": GET + b"X-A: one\r\n\ttwo\r\n\r\n",
    "folded length": POST + b"Content-Length:\r\n 5\r\n\r\nhello",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "first field folded": b"GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "bare LF after the request line": b"GET /health HTTP/1.1\n" + HOST + END,
    "bare LF after a field": b"GET /health HTTP/1.1\r\nHost: localhost\n\r\n",
    "bare LF as the empty line": GET + b"\n",
    "bare LFs only": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "LF before CR": b"GET /health HTTP/1.1\r\nHost: localhost\n\r\r\n\r\n",
    "bare CR in a value": GET + b"X-A: a\rb\r\n\r\n",
    "bare CR before a name": GET + b"\rX-A: b\r\n\r\n",
    "bare CR in a name": GET + b"X\r-A: b\r\n\r\n",
    "bare CR as a line end": GET + b"X-A: b\rX-B: c\r\n\r\n",
    "CR CR LF": GET + b"X-A: b\r\r\n\r\n",
    "LF in a value": GET + b"X-A: a\nX-B: b\r\n\r\n",
    "NUL in a value": GET + b"X-A: a\x00b\r\n\r\n",
    "NUL in a name": GET + b"X\x00A: b\r\n\r\n",
    "control character in a value": GET + b"X-A: a\x01b\r\n\r\n",
    "DEL in a value": GET + b"X-A: a\x7fb\r\n\r\n",
    "escape in a value": GET + b"X-A: \x1b[31m\r\n\r\n",
    "backspace in a value": GET + b"X-A: a\x08\r\n\r\n",
    # Field names.
    "space before the colon": GET + b"X-A : b\r\n\r\n",
    "tab before the colon": GET + b"X-A\t: b\r\n\r\n",
    "space in a name": GET + b"X A: b\r\n\r\n",
    "no colon": GET + b"nothing\r\n\r\n",
    "no name": GET + b": value\r\n\r\n",
    "colon only": GET + b":\r\n\r\n",
    "parenthesis in a name": GET + b"X(A): b\r\n\r\n",
    "quotes in a name": GET + b'"X": b\r\n\r\n',
    "at sign in a name": GET + b"X@A: b\r\n\r\n",
    "slash in a name": GET + b"X/A: b\r\n\r\n",
    "letters beyond ASCII in a name": GET + "Ü: b\r\n\r\n".encode(),
    "comma in a name": GET + b"X,A: b\r\n\r\n",
    "equals sign in a name": GET + b"X=A: b\r\n\r\n",
    # Host.
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": GET + HOST + END,
    "two different hosts": GET + b"Host: other\r\n\r\n",
    "two hosts in other case": GET + b"hOsT: localhost\r\n\r\n",
    "empty host": b"GET /health HTTP/1.1\r\nHost:\r\n\r\n",
    "host with a path": b"GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET /health HTTP/1.1\r\nHost: user@localhost\r\n\r\n",
    "host with a space": b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host with a comma": b"GET /health HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "host with a scheme": b"GET /health HTTP/1.1\r\nHost: http://localhost\r\n\r\n",
    "host with a bad port": b"GET /health HTTP/1.1\r\nHost: localhost:80a\r\n\r\n",
    "host with a long port": b"GET /health HTTP/1.1\r\nHost: localhost:123456\r\n\r\n",
    "host with two ports": b"GET /health HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n",
    "host with a query": b"GET /health HTTP/1.1\r\nHost: localhost?a\r\n\r\n",
    "host with a fragment": b"GET /health HTTP/1.1\r\nHost: localhost#a\r\n\r\n",
    "host with an open bracket": b"GET /health HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "host with a zone": b"GET /health HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n",
    "host with a backslash": b"GET /health HTTP/1.1\r\nHost: a\\b\r\n\r\n",
    "host with an escape": b"GET /health HTTP/1.1\r\nHost: a%2fb\r\n\r\n",
    "absolute target and two hosts": b"GET http://localhost/health HTTP/1.1\r\n" + HOST + HOST + END,
    "absolute target without host field": b"GET http://localhost/health HTTP/1.1\r\n\r\n",
    "absolute target with a user": b"GET http://u:p@localhost/health HTTP/1.1\r\n" + HOST + END,
    "absolute target without a host": b"GET http:///health HTTP/1.1\r\n" + HOST + END,
    "absolute target of https": b"GET https://localhost/health HTTP/1.1\r\n" + HOST + END,
    "absolute target of ftp": b"GET ftp://localhost/health HTTP/1.1\r\n" + HOST + END,
    # Request lines.
    "no version": b"GET /health\r\n" + HOST + END,
    "no target": b"GET HTTP/1.1\r\n" + HOST + END,
    "two spaces": b"GET  /health HTTP/1.1\r\n" + HOST + END,
    "two spaces before the version": b"GET /health  HTTP/1.1\r\n" + HOST + END,
    "tab for a space": b"GET\t/health HTTP/1.1\r\n" + HOST + END,
    "space at the end": b"GET /health HTTP/1.1 \r\n" + HOST + END,
    "space at the beginning": b" GET /health HTTP/1.1\r\n" + HOST + END,
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + END,
    "HTTP/2.0": b"GET /health HTTP/2.0\r\n" + HOST + END,
    "HTTP/1.2": b"GET /health HTTP/1.2\r\n" + HOST + END,
    "HTTP/0.9": b"GET /health HTTP/0.9\r\n" + HOST + END,
    "HTTP/1": b"GET /health HTTP/1\r\n" + HOST + END,
    "HTTP/1.10": b"GET /health HTTP/1.10\r\n" + HOST + END,
    "HTTP/11.1": b"GET /health HTTP/11.1\r\n" + HOST + END,
    "http/1.1": b"GET /health http/1.1\r\n" + HOST + END,
    "HTTPS/1.1": b"GET /health HTTPS/1.1\r\n" + HOST + END,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "relative target": b"GET health HTTP/1.1\r\n" + HOST + END,
    "empty target": b"GET  HTTP/1.1\r\n" + HOST + END,
    "star for GET": b"GET * HTTP/1.1\r\n" + HOST + END,
    "authority for GET": b"GET localhost:80 HTTP/1.1\r\n" + HOST + END,
    "fragment": b"GET /health#a HTTP/1.1\r\n" + HOST + END,
    "NUL in the target": b"GET /a\x00b HTTP/1.1\r\n" + HOST + END,
    "control character in the target": b"GET /a\x01b HTTP/1.1\r\n" + HOST + END,
    "DEL in the target": b"GET /a\x7fb HTTP/1.1\r\n" + HOST + END,
    "CR in the target": b"GET /a\rb HTTP/1.1\r\n" + HOST + END,
    "control character in the method": b"G\x01T /health HTTP/1.1\r\n" + HOST + END,
    "colon in the method": b"G:T /health HTTP/1.1\r\n" + HOST + END,
    "parenthesis in the method": b"G(T /health HTTP/1.1\r\n" + HOST + END,
    "CONNECT of a path": b"CONNECT /health HTTP/1.1\r\n" + HOST + END,
    "CONNECT with a body": b"CONNECT a.amazonaws.com:443 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    "an expectation": POST + b"Expect: wonders\r\nContent-Length: 5\r\n\r\nhello",
    # Not HTTP at all.
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "SSL 2": b"\x80\x2e\x01\x03\x01",
    "SOCKS 5": b"\x05\x01\x00",
    "JSON": b'{"method": "GET"}\r\n\r\n',
    "ten empty lines": b"\r\n" * 10 + GET + END,
    # Sizes.
    "a head of 70 KB": GET + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
    "a line without an end": b"GET /" + b"a" * 70_000,
    "a target of 20 KB": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + END,
    "201 fields": GET + b"".join(b"X-%d: v\r\n" % i for i in range(201)) + END,
    "10,000 fields": GET + b"a:b\r\n" * 10_000 + END,
}

CUT = {  # the head is good, the chunked body is not: nothing after it is read as a request
    "no size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "size of letters": CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n",
    "negative size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "signed size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with an underscore": CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size of 100 digits": CHUNKED + b"f" * 100 + b"\r\nhello\r\n0\r\n\r\n",
    "size after a space": CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n",
    "size before a bare LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "size before a bare CR": CHUNKED + b"5\rhello\r\n0\r\n\r\n",
    "chunk that ends with a bare LF": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"5\r\nhelloo\r\n0\r\n\r\n",
    "chunk shorter than its size": CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",
    "chunk without its end": CHUNKED + b"5\r\nhello0\r\n\r\n",
    "end with a bare LF": CHUNKED + b"0\r\n\n",
    "trailer with a length": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    "trailer with a coding": CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer without a colon": CHUNKED + b"0\r\nnothing\r\n\r\n",
    "trailer with a space before the colon": CHUNKED + b"0\r\nX : a\r\n\r\n",
    "extension of 70 KB": CHUNKED + b"5;" + b"a" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailers of 70 KB": CHUNKED + b"0\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
}

ACCEPTED = {  # answered 200, and the next request is found where it begins
    "plain": GET + END,
    "HTTP/1.0 with keep-alive": b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "an empty line before": b"\r\n" + GET + END,
    "absolute target": b"GET http://localhost/health HTTP/1.1\r\n" + HOST + END,
    "host with port": b"GET /health HTTP/1.1\r\nHost: localhost:9770\r\n\r\n",
    "host of an address": b"GET /health HTTP/1.1\r\nHost: [::1]:9770\r\n\r\n",
    "length": POST + b"Content-Length: 5\r\n\r\nhello",
    "length with zeros": POST + b"Content-Length: 0005\r\n\r\nhello",
    "length with spaces around": POST + b"Content-Length:   5  \r\n\r\nhello",
    "length with tabs around": POST + b"Content-Length: \t5\t\r\n\r\nhello",
    "length 0": POST + b"Content-Length: 0\r\n\r\n",
    "no value": GET + b"X-A:\r\n\r\n",
    "letters beyond ASCII in a value": GET + "X-A: ü\r\n\r\n".encode(),
    "tab in a value": GET + b"X-A: a\tb\r\n\r\n",
    "chunked": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "chunked in other case": POST + b"transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunk extension": CHUNKED + b'5;a=b;c="d;e"\r\nhello\r\n0\r\n\r\n',
    "chunk size with zeros": CHUNKED + b"0005\r\nhello\r\n0\r\n\r\n",
    "chunk size in capitals": CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-T: a\r\n\r\n",
    "body that looks like a request": POST + b"Content-Length: %d\r\n\r\n" % len(LAST) + LAST,
    "chunk that looks like a request": CHUNKED + b"%x\r\n" % len(LAST) + LAST + b"\r\n0\r\n\r\n",
    "a strange method": b"M-SEARCH /health HTTP/1.1\r\n" + HOST + END,
    "100 fields": GET + b"".join(b"X-%d: v\r\n" % i for i in range(100)) + END,
}


# Tabs are as good as spaces there (RFC 9110 5.6.3); nginx refuses the request, so it reads nothing else into it.
LOOSER_THAN_NGINX = {"length with tabs around"}


def exchange(port, request, patience=None):
    """Status codes of all answers to the request and a plain one right behind it. `patience`: seconds to wait for an
    answer instead of finishing to send, which nginx takes for a client that has gone."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience or 30) as peer:
        try:
            peer.sendall(request + LAST)
            if patience is None:
                peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused and closed meanwhile
        answer = b""
        try:
            while more := peer.recv(65536):
                answer += more
        except (ConnectionResetError, TimeoutError):
            pass
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def test_the_table_is_long_enough():
    assert len(REFUSED) + len(CUT) >= 120


def all_at_once(port, table, patience=None):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return dict(zip(table, pool.map(lambda request: exchange(port, request, patience), table.values())))


def test_what_two_parsers_could_read_differently_is_refused(server):
    wrong = {name: codes for name, codes in all_at_once(server.port, REFUSED).items()
             if len(codes) != 1 or codes[0] not in (400, 403, 405, 414, 431)}
    assert wrong == {}


def test_a_broken_body_ends_the_connection(server):
    """/health reads no body: its answer may be out before the body is seen to be broken."""
    wrong = {name: codes for name, codes in all_at_once(server.port, CUT).items() if codes not in ([200], [400], [])}
    assert wrong == {}


def test_good_requests_end_where_they_end(server):
    wrong = {name: codes for name, codes in all_at_once(server.port, ACCEPTED).items() if codes != [200, 200]}
    assert wrong == {}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    # With a proxy behind it nginx reads bodies as we do; `return` alone would look at no chunk.
    with socket.create_server(("127.0.0.1", 0)) as probe, socket.create_server(("127.0.0.1", 0)) as another:
        port, inner = probe.getsockname()[1], another.getsockname()[1]
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit;
        events {{ worker_connections 512; }}
        http {{
          access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
          uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; large_client_header_buffers 8 64k;
          server {{ listen 127.0.0.1:{inner}; location / {{ return 200; }} }}
          server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{inner}; }} }}
        }}""")
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(10)


def test_nothing_that_nginx_refuses_is_accepted(server, nginx):
    table = {**REFUSED, **CUT, **ACCEPTED}
    ours, theirs = all_at_once(server.port, table), all_at_once(nginx, table, 2)
    good = lambda codes: sum(200 <= code < 400 for code in codes)  # noqa: E731
    # On a busy machine an answer takes longer than that.
    late = {name: request for name, request in table.items() if name not in CUT and good(ours[name]) > good(theirs[name])}
    theirs.update(all_at_once(nginx, late, 20))
    # /health answers before it has seen the whole body, so a broken one costs us no good answer but the connection.
    smuggled = {name: (ours[name], theirs[name]) for name in table
                if name not in CUT and name not in LOOSER_THAN_NGINX and good(ours[name]) > good(theirs[name])}
    looser = {name: (ours[name], theirs[name]) for name in table if name in CUT and good(ours[name]) > 1}
    both = [name for name in table if good(ours[name]) and good(theirs[name])]
    stricter = sorted(name for name in table if good(theirs[name]) > good(ours[name]))
    print(f"\n{len(table)} requests: {len(both)} taken by both, {len(stricter)} by nginx alone: {', '.join(stricter)}")
    assert smuggled == {} and looser == {}
    different = {name: (ours[name], theirs[name]) for name in ACCEPTED if good(ours[name]) != good(theirs[name])}
    assert set(different) <= LOOSER_THAN_NGINX, different


def test_connections_that_are_reset_or_half_closed_cost_nothing(server):
    """10,000 resets at every stage, and clients that only finish sending: the server answers as before."""
    import struct
    reset = struct.pack("ii", 1, 0)

    def storm(seed):
        for i in range(625):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
                stage = (seed + i) % 5
                data = GET + END
                try:
                    peer.sendall([b"", data[:9], data, data * 20, POST + b"Content-Length: 99999\r\n\r\nhalf"][stage])
                    if (seed + i) % 7:
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    else:
                        peer.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(storm, range(16)))
    assert exchange(server.port, GET + END) == [200, 200]
    assert exchange(server.port, GET + END) == [200, 200]
    assert server.process.poll() is None
