"""vulns.py - what an attack may not do to the daemon.

A test of a known vulnerability sends what broke others.  Behind each the
same processes live, their memory has not grown by more than a bound, and a
client that begins with polling, upgrades and joins is served.
"""
import functools
import os
import re
import struct
import time

from raw import Conn, Ended, frame
from suite import Registry

MB = 1 << 20
CHATD = os.environ.get("CHATD", "build/chatd")
ONE = '{"_placeholder":true,"num":0}'


def memory(server):
    """Bytes of the daemon's processes, what they share counted once."""
    total = 0
    for pid in server.pids():
        with open("/proc/%d/smaps_rollup" % pid) as f:
            # of files each has more when another daemon ends
            total += sum(map(int, re.findall(
                r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", f.read(), re.M))) * 1024
    return total


def descriptors(server):
    total = 0
    for pid in server.pids():
        total += len(os.listdir("/proc/%d/fd" % pid))
    return total


def witness(t):
    """A stock client: polling, CONNECT, upgrade, an event with an answer."""
    p = t.polling()
    p.say('40{"userId":"witness","userName":"witness"}')
    assert p.hear()[0].startswith('40{"sid":')
    w = p.upgrade()
    w.text('421["chat:join-session",{"sessionId":"w","workspaceId":"w"}]')
    while not w.packet().startswith('431[{"ok":true'):
        pass
    w.send(frame(struct.pack(">H", 1000), opcode=8))
    w.close()


class Vulns(Registry):
    """vuln("CVE-...", growth=bytes, options): the function's name goes on
    behind the number."""

    def __call__(self, number, growth=8 * MB, own=False, seconds=1,
                 **options):
        def add(fn):
            @functools.wraps(fn)
            def checked(t):
                witness(t)
                pids = t.server.pids()
                before = memory(t.server)
                fn(t)
                assert t.server.pids() == pids, "a process died: " + \
                    t.server.errors()
                witness(t)
                assert t.server.pids() == pids, "a process died: " + \
                    t.server.errors()
                grown = memory(t.server) - before
                # what a sanitizer keeps of freed memory is not ours
                if "asan" not in CHATD:
                    assert grown < growth, "%.1f MB more" % (grown / MB)
            name = number + " " + fn.__name__.replace("_", " ")
            self.tests.append((name, checked, "chat", own, seconds, options))
            return fn
        return add


vuln = Vulns()


# --- clients

def joined(t, user="mallory"):
    w = t.websocket()
    w.text('40{"userId":"%s","userName":"%s"}' % (user, user))
    assert w.packet().startswith('40{"sid":')
    return w


def alive(w, n=999):
    """The connection still answers, whatever it was sent before."""
    w.text('42%d["nothing"]' % n)
    head = "43%d[" % n
    while True:
        got = w.packet()
        if isinstance(got, str) and got.startswith(head):
            return


def cut(w, codes=(1002, 1003, 1007, 1008, 1009, 1005)):
    """The connection is closed, and with one of these codes."""
    while True:
        f = w.frame()
        if f.opcode == 8:
            break
    code = struct.unpack(">H", f.data[:2])[0] if f.data else 1005
    assert code in codes, f
    try:
        w.send(frame(f.data[:2], opcode=8))
    except OSError:
        pass
    w.rest()
    w.close()


def push(w, data, times=1):
    """Send as much as is taken."""
    try:
        for _ in range(times):
            w.send(data)
    except OSError:
        pass


def told(t, data, statuses, seconds=None):
    """One of these statuses, or cut without a word."""
    c = Conn(t.port, seconds)
    try:
        c.send(data)
    except OSError:
        pass
    try:
        r = c.response()
        assert r.status in statuses, r
        return r
    except Ended:
        assert 0 in statuses, "cut"
        return None
    finally:
        c.close()


def until(fn, seconds=20):
    """Wait until that is true."""
    end = time.monotonic() + seconds
    while not fn():
        assert time.monotonic() < end, "still not after %d s" % seconds
        time.sleep(0.05)


class Timer:
    def __init__(self, most):
        self.most = most

    def __enter__(self):
        self.began = time.monotonic()
        return self

    def __exit__(self, kind, *more):
        self.took = time.monotonic() - self.began
        assert kind or self.took < self.most, "took %.1f s" % self.took
