"""raw.py - clients that say what they are told, byte for byte; stdlib only.

Conn is a TCP connection, Ws a WebSocket on one, Polling an Engine.IO session
whose every request comes on a connection of its own, so that with several
workers it comes to any of them.  What does not arrive in time raises Late.
"""
import base64
import json
import os
import socket
import struct
import time

RS = "\x1e"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SECONDS = float(os.environ.get("WIRE_SECONDS", "25"))


class Late(AssertionError):
    """What was waited for did not come."""


class Ended(AssertionError):
    """The connection ended before what was waited for."""


def request(method, target, headers=(), body=None, version="1.1",
            host="127.0.0.1"):
    """One HTTP request; a body brings its Content-Length."""
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if host is not None:
        lines.append("Host: " + host)
    lines += list(headers)
    if body is not None:
        if isinstance(body, str):
            body = body.encode()
        lines.append("Content-Length: %d" % len(body))
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + (body or b"")


def chunked(parts):
    """A body in chunks."""
    out = b""
    for p in parts:
        out += b"%x\r\n%s\r\n" % (len(p), p)
    return out + b"0\r\n\r\n"


def upgrade_request(target, headers=(), drop=(), key=KEY, method="GET",
                    version="1.1"):
    fields = {"Host": "127.0.0.1", "Upgrade": "websocket",
              "Connection": "Upgrade", "Sec-WebSocket-Key": key,
              "Sec-WebSocket-Version": "13"}
    for d in drop:
        fields.pop(d)
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    lines += ["%s: %s" % kv for kv in fields.items()]
    lines += list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Response:
    def __init__(self, status, reason, fields, body):
        self.status = status
        self.reason = reason
        self.fields = fields  # [(lower-case name, value)]
        self.body = body

    def get(self, name):
        """The one field of that name, None without."""
        found = [v for n, v in self.fields if n == name.lower()]
        assert len(found) < 2, "%s comes %d times" % (name, len(found))
        return found[0] if found else None

    def text(self):
        return self.body.decode("utf-8")

    def packets(self):
        return self.text().split(RS)

    def __repr__(self):
        return "%d %s %r %r" % (self.status, self.reason, self.fields,
                                self.body[:300])


class Conn:
    def __init__(self, port, seconds=None, rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(seconds or SECONDS)
        self.s.connect(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = bytearray()

    def close(self):
        self.s.close()

    def reset(self):
        """End it with RST."""
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
        self.s.close()

    def send(self, data):
        self.s.sendall(data)

    def send_slowly(self, data, pause=0.0):
        """Every byte in a segment of its own."""
        for i in range(len(data)):
            self.s.sendall(data[i:i + 1])
            if pause:
                time.sleep(pause)

    def fill(self):
        try:
            data = self.s.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        except socket.timeout:
            raise Late("nothing came; so far %r" % self.buf[:200]) from None
        self.buf += data
        return len(data) > 0

    def need(self, n):
        while len(self.buf) < n:
            if not self.fill():
                raise Ended("ended; so far %r" % self.buf[:200])
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.fill():
                raise Ended("ended; so far %r" % self.buf[:200])
        return self.need(self.buf.index(b"\r\n") + 2)[:-2].decode("latin-1")

    def rest(self):
        """Everything up to the end of the connection."""
        while self.fill():
            pass
        return self.need(len(self.buf))

    def silent(self, seconds):
        """Nothing comes, and the connection does not end."""
        if self.buf:
            return False
        old = self.s.gettimeout()
        self.s.settimeout(seconds)
        try:
            data = self.s.recv(65536)
            self.buf += data
            return False
        except socket.timeout:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.s.settimeout(old)

    def head(self):
        """Status line and fields: (status, reason, [(name, value)])."""
        version, status, *reason = self.line().split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), version
        fields = []
        while True:
            line = self.line()
            if not line:
                return int(status), (reason or [""])[0], fields
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))

    def response(self, method="GET"):
        status, reason, fields = self.head()
        r = Response(status, reason, fields, b"")
        if method == "HEAD" or status in (101, 204, 304):
            return r
        if (r.get("transfer-encoding") or "").lower() == "chunked":
            while True:
                n = int(self.line().split(";")[0], 16)
                r.body += self.need(n)
                self.line()
                if n == 0:
                    return r
        if r.get("content-length") is not None:
            r.body = self.need(int(r.get("content-length")))
        else:
            r.body = self.rest()
        return r


def mask_bytes(data, mask):
    n = len(data)
    key = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "big") ^
            int.from_bytes(key, "big")).to_bytes(n, "big")


def frame(payload, opcode=1, fin=True, rsv=0, mask=b"\x11\x22\x33\x44",
          length=None, width=None):
    """One client frame.  length: what the header claims; width: of the
    length field, 7, 16 or 64 bits; mask None: unmasked."""
    if isinstance(payload, str):
        payload = payload.encode()
    n = len(payload) if length is None else length
    if width is None:
        width = 7 if n < 126 else 16 if n < 65536 else 64
    m = 0x80 if mask is not None else 0
    b = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if width == 7:
        b += bytes([m | n])
    elif width == 16:
        b += bytes([m | 126]) + struct.pack(">H", n)
    else:
        b += bytes([m | 127]) + struct.pack(">Q", n)
    if mask is not None:
        b += mask
        payload = mask_bytes(payload, mask)
    return b + payload


class Frame:
    def __init__(self, fin, rsv, opcode, data):
        self.fin, self.rsv, self.opcode, self.data = fin, rsv, opcode, data

    def __repr__(self):
        return "frame(op %d%s%s, %r)" % (
            self.opcode, "" if self.fin else " not final",
            " rsv %d" % self.rsv if self.rsv else "", self.data[:200])


class Ws(Conn):
    """A WebSocket; the caller upgrades."""

    def upgrade(self, target, headers=(), raw=None):
        self.send(raw or upgrade_request(target, headers))
        return self.upgraded()

    def upgraded(self):
        r = self.response()
        assert r.status == 101, "no 101: %r" % r
        assert r.get("sec-websocket-accept") == ACCEPT, r
        self.answer = r
        return r

    def frame(self):
        h = self.need(2)
        assert h[1] & 0x80 == 0, "a masked frame from the server"
        n = h[1] & 127
        if n == 126:
            n = struct.unpack(">H", self.need(2))[0]
            assert n > 125, "length not minimal"
        elif n == 127:
            n = struct.unpack(">Q", self.need(8))[0]
            assert n > 65535, "length not minimal"
        return Frame(h[0] >> 7 == 1, h[0] >> 4 & 7, h[0] & 15, self.need(n))

    def text(self, s, **kw):
        self.send(frame(s, **kw))

    def binary(self, data, **kw):
        self.send(frame(data, opcode=2, **kw))

    def recv(self):
        """One whole message of the server: str or bytes."""
        f = self.frame()
        assert f.opcode in (1, 2), "no message but %r" % f
        op, data = f.opcode, f.data
        while not f.fin:
            f = self.frame()
            assert f.opcode == 0, f
            data += f.data
        return data.decode("utf-8") if op == 1 else data

    def packet(self):
        """One packet; the server's pings are answered."""
        while True:
            m = self.recv()
            if m != "2":
                return m
            self.text("3")

    def open_packet(self):
        m = self.recv()
        assert m[:1] == "0", m
        self.open = json.loads(m[1:])
        self.sid = self.open["sid"]
        self.opened = time.monotonic()
        return self.open

    def settle(self):
        """Wait until all that was said has been looked at."""
        self.send(frame("settled", opcode=9))
        f = self.frame()
        assert (f.opcode, f.data) == (10, b"settled"), f

    def closed(self):
        """The next is a close frame: (code, reason), code 1005 for an
        empty one; then the connection ends."""
        f = self.frame()
        assert f.opcode == 8, "no close frame but %r" % f
        assert f.fin and f.rsv == 0 and len(f.data) != 1, f
        try:
            self.send(frame(f.data[:2], opcode=8))
        except OSError:
            pass
        assert self.rest() == b"", "data behind the close frame"
        self.close()
        if not f.data:
            return 1005, ""
        return struct.unpack(">H", f.data[:2])[0], f.data[2:].decode("utf-8")


class Polling:
    """An Engine.IO session over polling."""

    def __init__(self, port, path, query="", headers=(), seconds=None):
        self.port, self.path, self.query = port, path, query
        self.headers = list(headers)
        self.seconds = seconds
        self.began = time.monotonic()
        self.answer = self.ask(request("GET", self.target(sid=None),
                                       self.headers))
        assert self.answer.status == 200, self.answer
        first = self.answer.text()
        assert first[:1] == "0", first
        self.open = json.loads(first[1:])
        self.sid = self.open["sid"]
        self.opened = time.monotonic()

    def target(self, sid="", transport="polling", eio="4"):
        if sid == "":
            sid = self.sid
        q = "transport=" + transport
        if eio is not None:
            q = "EIO=%s&" % eio + q
        if self.query:
            q += "&" + self.query
        if sid is not None:
            q += "&sid=" + sid
        return self.path + "?" + q

    def ask(self, data, method="GET"):
        c = Conn(self.port, self.seconds)
        c.send(data)
        r = c.response(method)
        c.close()
        return r

    def poll(self):
        """A GET that waits for its answer: the connection."""
        c = Conn(self.port, self.seconds)
        c.send(request("GET", self.target(), self.headers))
        return c

    def get(self):
        return self.ask(request("GET", self.target(), self.headers))

    def post(self, body, headers=()):
        return self.ask(request("POST", self.target(),
                                self.headers + list(headers), body), "POST")

    def say(self, *packets):
        """POST them; the answer has to be `ok'."""
        r = self.post(RS.join(packets),
                      ["Content-Type: text/plain;charset=UTF-8"])
        assert (r.status, r.body) == (200, b"ok"), r

    def hear(self):
        """GET: the packets, without heartbeats and noops."""
        while True:
            r = self.get()
            assert r.status == 200, r
            got = r.packets()
            if "2" in got:
                self.say("3")
            got = [p for p in got if p not in ("2", "6")]
            if got:
                return got

    def gather(self, n):
        """So many packets, from as many GETs as it takes."""
        got = []
        while len(got) < n:
            got += self.hear()
        assert len(got) == n, got
        return got

    def probe(self, headers=()):
        """Open the WebSocket of an upgrade; nothing is said on it."""
        w = Ws(self.port, self.seconds)
        w.upgrade(self.target(transport="websocket"), headers)
        return w

    def upgrade(self):
        """The whole upgrade, as a client without a pending GET does it."""
        w = self.probe()
        w.text("2probe")
        assert w.recv() == "3probe"
        w.text("5")
        w.sid = self.sid
        return w


def sleep_until(session, seconds):
    """Until so long after the session's handshake, at least."""
    time.sleep(max(0, session.opened + seconds - time.monotonic()))


def check_age(session, least, most):
    """The session was made between so many seconds ago; the server did it
    at some time between the request and the answer."""
    now = time.monotonic()
    assert now - session.began >= least, now - session.began
    assert now - session.opened < most, now - session.opened


def unbase64(text):
    return base64.b64decode(text)
