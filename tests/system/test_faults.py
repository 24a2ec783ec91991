#!/usr/bin/python3
"""test_faults.py - clients that cost more than they should be able to."""
import json
import os
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chatd import Daemon, Raw  # noqa: E402

CHUNK = 4096


def member(d, user, session, timeout=20):
    c = Raw(d.port, timeout)
    c.upgrade()
    c.connect(user)
    c.event("chat:join-session", {"sessionId": session, "workspaceId": "w"}, 0)
    assert c.wait_ack(0)["ok"]
    return c


def small_buffers(port):
    """A connection of which the kernel keeps little."""
    c = Raw.__new__(Raw)
    c.s = socket.socket()
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.s.connect(("127.0.0.1", port))
    c.s.settimeout(10)
    c.buf = b""
    return c


class Case(unittest.TestCase):
    def chunks(self, d):
        return d.ctl("stats")["gauges"]["chunks"]

    def counter(self, d, name):
        return d.ctl("stats")["counters"][name]


class Unread(Case):
    def flood(self, c, first):
        """Questions until nobody takes them any more; their number."""
        question = '["chat:%s",{}]' % ("n" * 200)
        out, n = b"", first
        c.s.setblocking(False)
        end = time.time() + 30
        quiet = time.time() + 1
        while time.time() < quiet:
            self.assertLess(time.time(), end, "it is read for ever")
            while len(out) < 65536:
                out += Raw.encode("42%d%s" % (n, question))
                n += 1
            try:
                out = out[c.s.send(out):]
                quiet = time.time() + 1
            except BlockingIOError:
                time.sleep(0.01)
        c.s.settimeout(10)
        return n, out

    def test_who_asks_and_never_reads_is_not_heard_until_it_reads(self):
        with Daemon({"workers": 1}) as d:
            other = member(d, "other", "s")
            c = small_buffers(d.port)
            c.upgrade()
            c.connect("mute")
            n, rest = self.flood(c, 1)
            self.assertGreater(n, 1000)
            self.assertLess(self.chunks(d) * CHUNK, 1 << 20)
            # the others are served
            other.event("chat:request-history", {"sessionId": "s"}, 7)
            self.assertTrue(other.wait_ack(7)["ok"])
            # and it gets every answer, once and in order
            c.s.setblocking(False)
            got = 1
            end = time.time() + 60
            while got < n and time.time() < end:
                try:
                    rest = rest[c.s.send(rest):] if rest else rest
                except BlockingIOError:
                    pass
                try:
                    c._fill()
                except BlockingIOError:
                    time.sleep(0.001)
                got = self.answers(c, got)
            self.assertEqual(got, n)
            c.close()
            other.close()

    def answers(self, c, want):
        """Take whole frames out of the buffer; the answer due next."""
        buf, at = c.buf, 0
        while len(buf) - at >= 4:
            n, head = buf[at + 1] & 127, 2
            if n == 126:
                n, head = int.from_bytes(buf[at + 2:at + 4], "big"), 4
            if len(buf) - at < head + n:
                break
            text = buf[at + head:at + head + n]
            at += head + n
            if text.startswith(b"43"):
                self.assertTrue(text.startswith(b"43%d[" % want), text[:40])
                want += 1
        c.buf = buf[at:]
        return want


class NoChunkLeft(Case):
    def test_who_holds_most_goes_and_not_who_comes_last(self):
        with Daemon({"workers": 1}) as d:
            members = [member(d, "u%d" % i, "s") for i in range(3)]
            # more than a worker has, in messages that never end
            hogs = []
            for size in [900000] * 80 + [6000] * 250:
                c = Raw(d.port)
                c.upgrade()
                c.send(Raw.encode(b"x" * size, fin=False, length=950000))
                hogs.append(c)
            self.assertGreater(self.counter(d, "closed_overload"), 0)
            # messages that come in two parts need a chunk each
            for k in range(5):
                for i, m in enumerate(members):
                    text = "42%d%s" % (k + 1, json.dumps(
                        ["chat:send-message", {"message": {
                            "content": "y" * 9000, "type": "user",
                            "sessionId": "s"}}]))
                    frame = Raw.encode(text)
                    m.send(frame[:5000])
                    time.sleep(0.05)
                    m.send(frame[5000:])
                    self.assertTrue(m.wait_ack(k + 1)["ok"])
            for c in hogs + members:
                c.close()


class NoScribe(threading.Thread):
    """None lives for long."""

    def __init__(self, d):
        super().__init__(daemon=True)
        self.d, self.over, self.killed = d, False, 0
        self.start()

    def run(self):
        while not self.over:
            pid = self.d.children().get("scribe")
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                    self.killed += 1
                except ProcessLookupError:
                    pass
            time.sleep(0.002)


class NobodyDecides(Case):
    def event(self, c):
        op, data = c.frame()
        while data == b"2":
            c.text("3")
            op, data = c.frame()
        return json.loads(data[2:])[:2]

    def test_what_is_stored_too_late_is_told_its_sender_all_the_same(self):
        with Daemon({"workers": 1}) as d:
            c = member(d, "ada", "s", timeout=60)
            nobody = NoScribe(d)
            while nobody.killed < 3:
                time.sleep(0.01)
            name, n = None, 0
            # one may be quicker than the other
            while name != "chat:send-message-error":
                self.assertLess(n, 10)
                n += 1
                c.event("chat:send-message", {"message": {
                    "id": "m%d" % n, "content": "hi", "sessionId": "s"}})
                name, e = self.event(c)
            self.assertEqual(e["code"], "STORE_UNAVAILABLE")
            nobody.over = True
            nobody.join()
            name, e = self.event(c)
            self.assertEqual((name, e["messageId"], e["seq"]),
                             ("chat:message-sent", "m%d" % n, n))
            c.close()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
