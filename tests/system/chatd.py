"""chatd.py - the real daemon for Python tests; stdlib only."""
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
CHATD = os.path.join(ROOT, os.environ.get("CHATD", "build/chatd"))
CHATCTL = os.path.join(ROOT, os.environ.get("CHATCTL", "build/chatctl"))

UNLIMITED = {
    "limits.message_rate": 0, "limits.typing_rate": 0, "limits.join_rate": 0,
    "limits.history_rate": 0, "limits.presence_rate": 0, "content.burst": 0,
    "limits.connect_rate": 0, "limits.connections_per_user": 0,
}

# the configuration that is tested: "name=value name=value"
CONFIGURATION = dict(o.split("=", 1) for o in
                     os.environ.get("CHATD_TEST_OPTIONS", "").split())


# some tests have a thousand clients
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft < 4096 <= hard:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))

ports = itertools.count(os.getpid() * 61)


def free_port():
    """None that the kernel gives to who connects, nor one of another test."""
    for n in ports:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", 12000 + n % 20000))
            except OSError:
                continue
            return s.getsockname()[1]


class Daemon:
    """One daemon in a temporary directory; use it in a with statement."""

    def __init__(self, options=None, data_dir=None):
        self.dir = tempfile.mkdtemp(prefix="chatd-test-")
        self.port = free_port()
        self.options = {"auth.mode": "none", "workers": 2,
                        "log.target": "stderr", **UNLIMITED,
                        **CONFIGURATION, **(options or {})}
        self.data_dir = data_dir or self.dir + "/data"
        self.conf = "/dev/null"
        self.proc = None

    def start(self):
        o = {"listen": "127.0.0.1:%d" % self.port,
             "run_dir": self.dir + "/run", "data_dir": self.data_dir,
             "user": "nobody", "group": "nogroup", **self.options}
        args = [CHATD, "-d", "-c", self.conf]
        for k, v in o.items():
            args += ["-o", "%s=%s" % (k, v)]
        self.log = open(self.dir + "/log", "ab")
        self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log)
        end = time.time() + 90
        while time.time() < end:
            if self.proc.poll() is not None:
                raise RuntimeError("chatd ended: " + self.log_text())
            try:
                if self.ctl("status")["state"] == "running":
                    return self
            except RuntimeError:
                pass
            time.sleep(0.02)
        raise RuntimeError("chatd does not answer: " + self.log_text())

    def log_text(self):
        with open(self.dir + "/log", errors="replace") as f:
            return f.read()

    def ctl(self, *args):
        p = subprocess.run([CHATCTL, "-j", "-s", self.dir + "/run/chatd.sock",
                            *args], capture_output=True, text=True)
        if p.returncode != 0:
            raise RuntimeError(p.stderr or p.stdout)
        lines = [json.loads(x) for x in p.stdout.splitlines() if x.strip()]
        return lines[0] if len(lines) == 1 else lines

    def children(self):
        """{"scribe": pid, "bridge": pid, slot: pid}"""
        found = {}
        pid = self.proc.pid
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            pids = f.read().split()
        for p in pids:
            try:
                with open("/proc/%s/cmdline" % p) as f:
                    title = f.read().split("\0")[0]
            except OSError:
                continue
            if title.startswith("chatd: worker"):
                found[int(title.split()[2])] = int(p)
            elif title.startswith(("chatd: scribe", "chatd: bridge")):
                found[title[7:]] = int(p)
        return found

    def stop(self, sig=signal.SIGTERM, timeout=60):
        if self.proc is None:
            return None
        self.proc.send_signal(sig)
        code = self.proc.wait(timeout)
        self.proc = None
        self.log.close()
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        try:
            if self.proc is not None and self.proc.poll() is None:
                self.stop()
        finally:
            if self.proc is not None and self.proc.poll() is None:
                self.proc.kill()
            shutil.rmtree(self.dir, ignore_errors=True)


class Raw:
    """A TCP connection that says what it is told, byte for byte."""

    def __init__(self, port, timeout=20):
        self.s = socket.create_connection(("127.0.0.1", port), timeout)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""

    def close(self):
        self.s.close()

    def send(self, data):
        self.s.sendall(data)

    def _fill(self):
        try:
            data = self.s.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buf += data
        return len(data) > 0

    def read_all(self):
        """Everything until the end."""
        while self._fill():
            pass
        data, self.buf = self.buf, b""
        return data

    def read(self, n):
        while len(self.buf) < n and self._fill():
            pass
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def read_head(self):
        while b"\r\n\r\n" not in self.buf:
            if not self._fill():
                return self.buf
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        return head + b"\r\n\r\n"

    def need(self, n):
        while len(self.buf) < n:
            if not self._fill():
                raise EOFError("connection ended")
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def frame(self):
        """One frame: (opcode, payload); EOFError at the end."""
        h = self.need(2)
        n = h[1] & 127
        if n == 126:
            n = struct.unpack(">H", self.need(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.need(8))[0]
        return h[0] & 15, self.need(n)

    # --- the client's side of the protocols

    UPGRADE = ("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
               "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
               "Sec-WebSocket-Version: 13\r\n\r\n").encode()

    def upgrade(self, request=None):
        self.send(request or self.UPGRADE)
        head = self.read_head()
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(head)
        op, data = self.frame()
        assert op == 1 and data[:1] == b"0", (op, data)
        return json.loads(data[1:])

    @staticmethod
    def encode(payload, opcode=1, fin=True, mask=b"\x11\x22\x33\x44",
               rsv=0, masked=True, length=None):
        if isinstance(payload, str):
            payload = payload.encode()
        n = len(payload) if length is None else length
        b = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        m = 0x80 if masked else 0
        if n < 126:
            b += bytes([m | n])
        elif n < 65536:
            b += bytes([m | 126]) + struct.pack(">H", n)
        else:
            b += bytes([m | 127]) + struct.pack(">Q", n)
        if masked:
            b += mask
            payload = bytes(c ^ mask[i & 3] for i, c in enumerate(payload))
        return b + payload

    def text(self, s, **kw):
        self.send(self.encode(s, **kw))

    def connect(self, user):
        self.text('40{"userId":"%s","userName":"%s"}' % (user, user))
        op, data = self.frame()
        assert data.startswith(b"40{"), data
        return json.loads(data[2:])["sid"]

    def event(self, name, payload, ack=None):
        self.text("42%s%s" % ("" if ack is None else ack,
                              json.dumps([name, payload])))

    def wait_ack(self, ack):
        want = ("43%d[" % ack).encode()
        while True:
            op, data = self.frame()
            if data == b"2":
                self.text("3")
            if data.startswith(want):
                return json.loads(data[len(want) - 1:])[0]

    def close_code(self):
        """Read on to the close frame; its code, None without one."""
        try:
            while True:
                op, data = self.frame()
                if op == 8:
                    return struct.unpack(">H", data[:2])[0] if data else 1005
        except (EOFError, socket.timeout):
            return None
