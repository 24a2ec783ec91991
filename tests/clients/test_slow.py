#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""A thousand clients that are slow on purpose, and others who are not.

Slow are: the head of a request, a body, a frame, fragments without end, those
who do not read what they get (by websocket and by polling), and those who
open and say nothing.  Each must be closed by the daemon, with a reason that
is counted; memory must stay within what limits.send_queue allows; and the
others' p99 must not suffer: doubled at most on a quiet machine, and ten times
or 0.2 s here, where other tests may run too.
"""

import argparse
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import ROOT, Daemon, Raw  # noqa: E402

LOAD = os.path.join(ROOT, os.environ.get("LOAD", "build/bench/load"))
SEND_QUEUE = 131072
# a client's own share besides what waits for it: its records and buffers
EACH = 16384
# what a machine makes of it that is busy with something else just then
BUSY_MS = 200
OPTIONS = {
    "workers": 2, "limits.send_queue": SEND_QUEUE,
    "engine.ping_interval": "5s", "engine.ping_timeout": "5s",
    "engine.connect_timeout": "8s",
}
UPGRADE = Raw.UPGRADE
failed = []


def check(fine, what):
    if not fine:
        failed.append(what)
        print("failed: " + what)


class Slow:
    """A connection that does little, now and then."""

    small = False

    def __init__(self, port, number):
        self.s = socket.socket()
        if self.small:
            # before it connects: the window is small from the beginning
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.s.connect(("127.0.0.1", port))
        self.s.settimeout(10)
        self.number = number
        self.open = True
        self.prepare()
        self.s.setblocking(False)

    def prepare(self):
        pass

    def say(self, data):
        if not self.open:
            return
        try:
            self.s.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.open = False

    def look(self):
        """Read what there is; False once the other end has closed."""
        try:
            while self.open:
                if not self.s.recv(65536):
                    self.open = False
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
        return self.open

    def tick(self):
        """Once a second."""


class Head(Slow):
    """The request comes byte by byte."""
    text = (b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            b"Host: x\r\n" + b"X-Slow: y\r\n" * 100)
    at = 0

    def tick(self):
        self.say(self.text[self.at:self.at + 1])
        self.at += 1
        self.look()


class Websocket(Slow):
    def prepare(self):
        self.s.sendall(UPGRADE + Raw.encode(
            '40{"userId":"slow%d","userName":"s"}' % self.number))
        data = b""
        while b"40{" not in data:
            data += self.s.recv(4096)


class Frame(Websocket):
    """One large frame, byte by byte."""
    def prepare(self):
        super().prepare()
        self.s.sendall(Raw.encode("", length=50000))

    def tick(self):
        self.say(b"x")
        self.look()


class Fragments(Websocket):
    """A message in fragments of nothing, which is never complete."""
    def prepare(self):
        super().prepare()
        self.s.sendall(Raw.encode("4", fin=False))

    def tick(self):
        self.say(Raw.encode("", opcode=0, fin=False) * 10)
        self.look()


class Reader(Websocket):
    """In a busy room, alive by its heartbeat, but it does not read."""
    small = True

    def prepare(self):
        super().prepare()
        self.s.sendall(Raw.encode(
            '42["chat:join-session",{"sessionId":"flood",'
            '"workspaceId":"w"}]'))

    def tick(self):
        self.say(Raw.encode("3"))


class Polling(Slow):
    def ask(self, method, sid="", body=""):
        self.s.sendall((
            "%s /socket.io/?EIO=4&transport=polling%s HTTP/1.1\r\n"
            "Host: x\r\nContent-Length: %d\r\n\r\n%s" % (
                method, "&sid=" + sid if sid else "", len(body),
                body)).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.s.recv(4096)
        head, rest = data.split(b"\r\n\r\n", 1)
        length = int(head.lower().split(b"content-length: ")[1].split()[0])
        while len(rest) < length:
            rest += self.s.recv(4096)
        return rest.decode()

    def prepare(self):
        self.sid = json.loads(self.ask("GET")[1:])["sid"]
        self.ask("POST", self.sid, '40{"userId":"slow%d","userName":"s"}'
                 % self.number)
        self.ask("GET", self.sid)


class Body(Polling):
    """A POST that comes byte by byte."""
    def prepare(self):
        super().prepare()
        self.s.sendall((
            "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n"
            "Host: x\r\nContent-Length: 900000\r\n\r\n4" % self.sid)
            .encode())

    def tick(self):
        self.say(b"x")
        self.look()


class PollReader(Polling):
    """In the busy room; its GET is answered, and it does not read that."""
    small = True

    def prepare(self):
        super().prepare()
        self.ask("POST", self.sid, '42["chat:join-session",'
                 '{"sessionId":"flood","workspaceId":"w"}]')
        self.s.sendall((
            "GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n"
            "Host: x\r\n\r\n" % self.sid).encode())


class Mute(Slow):
    """It opens a session and no namespace."""
    def prepare(self):
        self.s.sendall(UPGRADE)

    def tick(self):
        # it lives, says its heartbeat
        self.say(Raw.encode("3"))
        self.look()


KINDS = (Head, Body, Frame, Fragments, Reader, PollReader, Mute)


class Flood(threading.Thread):
    """Two who talk in the room of those who do not read."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.on = True
        self.said = 0

    def run(self):
        r = Raw(self.port, 60)
        r.upgrade()
        r.connect("flood")
        r.event("chat:join-session", {"sessionId": "flood",
                                      "workspaceId": "w"}, 1)
        r.wait_ack(1)
        while self.on:
            r.event("chat:send-message", {"message": {
                "content": "y" * 9000, "type": "user",
                "sessionId": "flood"}}, 2)
            if r.wait_ack(2)["ok"]:
                self.said += 1
            time.sleep(0.1)
        r.close()


class Others:
    """Clients that are not slow: the load generator, in time."""

    def __init__(self, port, seconds):
        self.p = subprocess.Popen(
            [LOAD, "--json", "--rooms", "10", "--members", "10", "--rate",
             "200", "--seconds", str(seconds), "127.0.0.1:%d" % port],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def p99(self):
        out, _ = self.p.communicate(timeout=120)
        r = json.loads(out)
        check(self.p.returncode == 0, "the others: %s" % r["violations"])
        check(r["delivered_us"]["n"] > 1000, "hardly anything was said")
        return r["delivered_us"]["p99"] / 1000


def memory(daemon):
    """Proportional share of all processes, in KiB."""
    total = 0
    for pid in [daemon.proc.pid, *daemon.children().values()]:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += sum(int(x.split()[1]) for x in f
                         if x.startswith("Pss:"))
    return total


def counters(daemon, pattern):
    found = {}

    def walk(x):
        if isinstance(x, dict):
            if "name" in x and "value" in x:
                found[x["name"]] = x["value"]
            for k, v in x.items():
                if isinstance(v, int):
                    found.setdefault(k, v)
                walk(v)
        elif isinstance(x, list):
            for y in x:
                walk(y)

    walk(daemon.ctl("stats", pattern))
    return {k: v for k, v in found.items() if k.startswith(pattern[:-1])}


def attack(daemon, count, seconds):
    """Slow clients at work; the largest memory, and all of them."""
    slow = [KINDS[i % len(KINDS)](daemon.port, i) for i in range(count)]
    flood = Flood(daemon.port)
    flood.start()
    most, end, step = 0, time.monotonic() + seconds, 10
    groups = [slow[i::step] for i in range(step)]
    while time.monotonic() < end:
        # a second for all of them, in tenths
        for group in groups:
            began = time.monotonic()
            for c in group:
                c.tick()
            time.sleep(max(0, 0.1 - (time.monotonic() - began)))
        most = max(most, memory(daemon))
    flood.on = False
    flood.join(60)
    check(flood.said > 3 * seconds, "only %d messages in the busy room"
          % flood.said)
    return slow, most


def wait_for_ends(daemon, before, number, seconds=95):
    """Until so many are closed, while those who do not read still do not."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        closed = counters(daemon, "closed*")["closed"]
        if closed - before["closed"] >= number:
            return
        time.sleep(0.2)


def held(port):
    """The clients' ports to which the daemon's end is not closing."""
    found = set()
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            local, remote, state = line.split()[1:4]
            if int(local.split(":")[1], 16) == port and state == "01":
                found.add(int(remote.split(":")[1], 16))
    return found


def ends(slow, port, seconds):
    """Who reads at last finds that it has been closed; or the daemon has
    done all for that, and its kernel asks for room less and less often."""
    sel = selectors.DefaultSelector()
    for c in slow:
        if c.look():
            sel.register(c.s, selectors.EVENT_READ, c)
    end = time.monotonic() + seconds
    while sel.get_map() and time.monotonic() < end:
        for key, _ in sel.select(0.2):
            if not key.data.look():
                sel.unregister(key.data.s)
    sel.close()
    open_, ours = {}, held(port)
    for c in slow:
        if c.open and c.s.getsockname()[1] in ours:
            name = type(c).__name__
            open_[name] = open_.get(name, 0) + 1
        c.s.close()
    return open_


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--clients", type=int, default=1001)
    ap.add_argument("--seconds", type=int, default=24)
    args = ap.parse_args()
    with Daemon(OPTIONS) as d:
        Others(d.port, 2).p99()
        quiet = Others(d.port, 8).p99()
        before, idle = counters(d, "closed*"), memory(d)
        others = Others(d.port, args.seconds)
        slow, most = attack(d, args.clients, args.seconds)
        during = others.p99()
        # the load's connections are closed too
        wait_for_ends(d, before, args.clients + 100)
        left = ends(slow, d.port, 15)
        check(not left, "still open: %s" % left)
        held_ = sum(w["connections"] for w in d.ctl("workers"))
        check(held_ == 0, "%d connections are still somebody's" % held_)
        # what closes because we go, or the load, is closed_peer
        after = counters(d, "closed*")
        delta = {k: after[k] - before.get(k, 0) for k in after}
        each = args.clients // len(KINDS)
        budget = (idle + (args.clients * EACH +
                          2 * each * SEND_QUEUE) // 1024)
        print("%d slow clients: the others' p99 %.1f ms, before %.1f ms; "
              "memory %.1f MiB, before %.1f, budget %.1f; closed: %s" % (
                  len(slow), during, quiet, most / 1024, idle / 1024,
                  budget / 1024,
                  ", ".join("%s %d" % (k[7:] or "all", v)
                            for k, v in sorted(delta.items()) if v)))
        check(during <= max(10 * quiet, BUSY_MS),
              "p99 %.1f ms, it was %.1f" % (during, quiet))
        check(most <= budget, "memory %d KiB, budget %d" % (most, budget))
        check(delta.get("closed_slow", 0) >= each,
              "too few are closed because they do not read")
        check(delta.get("closed_timeout", 0) >= 6 * each,
              "too few are closed because they take too long")
        check(delta.get("closed_error", 0) + delta.get("closed_overload", 0)
              + delta.get("closed_worker", 0) == 0, "closed by mistake")
        check(len(d.children()) == 3, "a process died")
        # and nobody else notices afterwards
        check(Others(d.port, 4).p99() <= max(10 * quiet, BUSY_MS),
              "slow even when they are gone")
    print("%d passed, %d failed" % (10 - min(10, len(failed)), len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
