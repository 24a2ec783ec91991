#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""A thousand clients that dawdle, and the others do not notice.

    test_slow.py [--each N]

Five kinds, 200 of each: a request head, a request body, a WebSocket frame
that come a byte at a time; a WebSocket that never reads what its busy session
brings; a polling session that is never asked for.  Meanwhile stock traffic is
measured and compared with the same without them.  All of them must be closed,
each with a reason that is counted, and memory must be back.
"""

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import Daemon  # noqa: E402

LOAD = os.path.join(ROOT, os.environ.get("LOAD", "build/bench/load"))
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = ("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
           "Connection: Upgrade\r\nUpgrade: websocket\r\n" + KEY +
           "Sec-WebSocket-Version: 13\r\n\r\n").encode()
OPTIONS = {"workers": 2, "engine.ping_interval": "3s",
           "engine.ping_timeout": "3s", "limits.send_queue": "128k"}
# a machine with noisy neighbours may be so much slower than itself
SLACK = 10
FLOOR_US = 20000
# all that a slow client may cost: its entry, sockets' buffers are the
# kernel's
BYTES_EACH = 64 * 1024


def frame(text):
    data = text.encode()
    mask = b"\1\2\3\4"
    head = struct.pack("!BB", 0x81, 0x80 | len(data)) if len(data) < 126 \
        else struct.pack("!BBH", 0x81, 0xfe, len(data))
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


class Slow:
    """A connection that is fed a byte at a time, or nothing."""

    def __init__(self, port, kind, number):
        self.kind = kind
        self.s = socket.socket()
        if kind == "reader":
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.settimeout(10)
        self.s.connect(("127.0.0.1", port))
        self.drip = getattr(self, "begin_" + kind)(number)
        self.at = 0
        self.over = False
        self.s.setblocking(False)

    def begin_head(self, number):
        return b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX: " + \
            b"x" * 4000

    def handshake(self):
        self.s.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1"
                       b"\r\nHost: x\r\n\r\n")
        answer = b""
        while b'"sid":"' not in answer or not answer.endswith(b"}"):
            data = self.s.recv(4096)
            if not data:
                raise OSError("no handshake")
            answer += data
        return answer.split(b'"sid":"')[1][:20].decode()

    def begin_body(self, number):
        sid = self.handshake()
        self.s.sendall(("POST /socket.io/?EIO=4&transport=polling&sid=%s "
                        "HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
                        "\r\n" % sid).encode())
        return b"4" * 100000

    def begin_frame(self, number):
        self.s.sendall(UPGRADE)
        self.s.recv(4096)
        self.s.sendall(b"\x81\xfe\xff\xff\0\0\0\0")
        return b"4" * 65535

    def begin_reader(self, number):
        self.s.sendall(UPGRADE)
        self.s.recv(4096)
        self.s.sendall(frame('40{"userId":"slow%d","userName":"s"}' % number))
        self.s.sendall(frame('42["chat:join-session",{"sessionId":"busy",'
                             '"workspaceId":"w"}]'))
        return b""

    def begin_poller(self, number):
        self.handshake()
        return b""

    def step(self):
        """A byte more; notices the end, but reads nothing that is data."""
        if self.over:
            return
        try:
            if self.at < len(self.drip):
                self.at += self.s.send(self.drip[self.at:self.at + 1])
            elif self.kind != "reader" and self.s.recv(4096) == b"":
                self.over = True
            if self.kind in ("head", "body", "frame") and \
                    self.s.recv(4096) == b"":
                self.over = True
        except BlockingIOError:
            pass
        except OSError:
            self.over = True

    def drained(self):
        """What is there, and whether the end is behind it."""
        self.s.settimeout(0.5)
        try:
            while self.s.recv(65536):
                pass
        except socket.timeout:
            return False
        except OSError:
            pass
        return True


class Crowd(threading.Thread):
    KINDS = ("head", "body", "frame", "reader", "poller")

    def __init__(self, port, each):
        super().__init__(daemon=True)
        self.all = [Slow(port, kind, i) for kind in self.KINDS
                    for i in range(each)]
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.5):
            for c in self.all:
                c.step()

    def end(self):
        self.done.set()
        self.join()


def talk(daemon, seconds):
    """Stock traffic; the generator's report."""
    p = subprocess.run(
        [LOAD, "--json", "--rooms", "20", "--members", "10", "--senders", "2",
         "--rate", "200", "--seconds", str(seconds),
         "127.0.0.1:%d" % daemon.port],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if p.returncode != 0:
        raise RuntimeError("load: " + p.stderr)
    return json.loads(p.stdout)


def chatter(daemon, stop):
    """Somebody who fills the session that nobody reads."""
    s = socket.create_connection(("127.0.0.1", daemon.port), 10)
    s.sendall(UPGRADE)
    s.recv(4096)
    s.sendall(frame('40{"userId":"loud","userName":"loud"}'))
    s.sendall(frame('42["chat:join-session",{"sessionId":"busy",'
                    '"workspaceId":"w"}]'))
    text = "x" * 4000
    s.settimeout(0.02)
    while not stop.is_set():
        s.sendall(frame('42["chat:send-message",{"message":{"content":"%s",'
                        '"sessionId":"busy"}}]' % text))
        try:
            # whoever pings gets its pong
            if b"\x81\x012" in s.recv(1 << 20):
                s.sendall(frame("3"))
        except socket.timeout:
            pass
    s.close()


def rss(daemon):
    """Private bytes of all workers."""
    total = 0
    for role, pid in daemon.children().items():
        if role == "scribe":
            continue
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += sum(1024 * int(x.split()[1]) for x in f
                         if x.startswith(("Private_", "Shared_Dirty")))
    return total


def counters(daemon):
    stats = daemon.ctl("stats")
    found = {}

    def walk(x):
        if isinstance(x, dict):
            for k, v in x.items():
                if isinstance(v, (int, float)) and k.startswith("closed"):
                    found[k] = found.get(k, 0) + v
                elif "name" in x and str(x["name"]).startswith("closed"):
                    found[x["name"]] = x.get("total", x.get("value", 0))
                else:
                    walk(v)
        elif isinstance(x, list):
            for v in x:
                walk(v)
    walk(stats)
    return found


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--each", type=int, default=200)
    ap.add_argument("--seconds", type=int, default=8)
    args = ap.parse_args()
    results = []

    def check(what, good, figures=""):
        results.append(bool(good))
        print("%-58s %s  %s" % (what, "pass" if good else "FAIL", figures),
              flush=True)

    with Daemon(OPTIONS) as daemon:
        pids = daemon.children()
        alone = talk(daemon, args.seconds)
        before, closed = rss(daemon), counters(daemon)
        crowd = Crowd(daemon.port, args.each)
        stop = threading.Event()
        loud = threading.Thread(target=chatter, args=(daemon, stop))
        loud.start()
        crowd.start()
        beside = talk(daemon, args.seconds)
        most = rss(daemon)
        a, b = alone["delivered_us"]["p99"], beside["delivered_us"]["p99"]
        n = len(crowd.all)
        check("%d slow clients, p99 of the others" % n,
              b <= max(a * SLACK, FLOOR_US),
              "%.1f ms alone, %.1f ms beside them (x %.1f)"
              % (a / 1000, b / 1000, b / a))
        check("nothing lost beside them",
              beside["violations"]["total"] == 0)
        check("memory of the workers", most - before < n * BYTES_EACH,
              "%.1f KiB a slow client" % ((most - before) / n / 1024))
        time.sleep(max(0, 32 - args.seconds))
        stop.set()
        loud.join()
        crowd.end()
        for kind in Crowd.KINDS:
            mine = [c for c in crowd.all if c.kind == kind]
            # a kept-alive connection without its session is not closed
            # for 75 s: what counts is that the session is gone
            over = sum(c.over or c.drained() for c in mine) \
                if kind != "poller" else len(mine)
            check("closed: %s" % kind, over == len(mine),
                  "%d of %d" % (over, len(mine)))
        now = counters(daemon)
        reasons = {k: now[k] - closed.get(k, 0) for k in now
                   if now[k] != closed.get(k, 0)}
        given = sum(v for k, v in reasons.items()
                    if k in ("closed_timeout", "closed_slow"))
        check("each for a reason", given >= n, str(reasons))
        check("the same processes", daemon.children() == pids)
        after = talk(daemon, 2)
        check("all is well again", after["violations"]["total"] == 0)
        for c in crowd.all:
            c.s.close()
    failed = results.count(False)
    print("%d passed, %d failed" % (len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
