#!/usr/bin/python3
"""chaos.py - clients that do anything at any time.

Threads of sessions that say random packets, good and bad, by random
transports, overlap, abort, upgrade half, reset.  Nothing is expected of a
session that was treated so; but the server lives, serves a polite client
meanwhile and afterwards, and ends with status 0 (with ASan: without a leak).

    chaos.py [seconds [seed]]        CONFORMANCE: which build
"""
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "wire"))
from raw import RS, Conn, Ended, Late, Polling, Ws, frame, request  # noqa: E402
from servers import Conformance  # noqa: E402

COMMAND = os.environ.get("CONFORMANCE", "build/chatd-conformance")
THREADS = 6
# nobody waits longer for an answer that may never come
LATE = 0.3
# the polite client must have its answer within
PATIENCE = 15

PACKETS = [
    "40", "40{}", '40{"ok":true}', "40/a,", "40/mw,", '40/mw,{"ok":1}',
    "40/nope,", "41", "41/a,", '42["x"]', '421["x",1,{"a":[]}]',
    '42/a,2["x"]', '42["big",5000]', '42["big",300000]', '42["ask",5]',
    '42["kick",false]', '42["kick",true]', '42/a,["kick",true]',
    '430["answer"]', "431[]", '4399["none"]', "44{}", "4", "4x", '42{}',
    '42[]', '451-["x",{"_placeholder":true,"num":0}]',
    '452-3["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    '450-["x"]', '4599-["x"]', "bAQID", "b", "1", "2", "2probe", "3", "5",
    "6", "", "9", "0", '42["x","' + "y" * 20000 + '"]', '42["\\ud800"]',
    "42[" + "[" * 40 + "]" * 40 + "]", '40{"pid":"%s"}' % ("P" * 20),
]
BAD_REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n",
    b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 5\r\n\r\nab",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 500, b"\x00" * 100,
]


class Chaos:
    def __init__(self, port, seed):
        self.port = port
        self.rnd = random.Random(seed)
        self.done = 0

    def payload(self):
        return RS.join(self.rnd.choice(PACKETS)
                       for _ in range(self.rnd.choice([1, 1, 2, 3, 10])))

    def part(self, c, data):
        """Send some of it, at least."""
        n = self.rnd.choice([len(data)] * 6 + [len(data) // 2, 1])
        c.send(data[:n])
        return n == len(data)

    def leave(self, c):
        if self.rnd.random() < 0.5:
            c.reset()
        else:
            c.close()

    def garbage(self):
        c = Conn(self.port, LATE)
        self.part(c, self.rnd.choice(BAD_REQUESTS))
        if self.rnd.random() < 0.5:
            time.sleep(self.rnd.random() / 50)
        self.leave(c)

    def websocket(self, target):
        w = Ws(self.port, LATE)
        w.upgrade(target)
        return w

    def talk(self, w):
        for _ in range(self.rnd.randrange(8)):
            what = self.rnd.random()
            if what < 0.7:
                data = frame(self.rnd.choice(PACKETS))
            elif what < 0.8:
                data = frame(self.rnd.randbytes(self.rnd.choice([0, 3, 3000])),
                             opcode=2)
            elif what < 0.9:
                data = frame("p", opcode=9)
            else:
                data = frame(self.rnd.randbytes(9), opcode=self.rnd.randrange(
                    16), fin=self.rnd.random() < 0.8,
                    rsv=self.rnd.choice([0, 0, 4]))
            if not self.part(w, data):
                return
        if self.rnd.random() < 0.5:
            w.s.recv(65536)

    def poll_session(self):
        p = Polling(self.port, "/socket.io/", seconds=LATE)
        gets = []
        for _ in range(self.rnd.randrange(10)):
            what = self.rnd.random()
            if what < 0.35:
                gets.append(p.poll())
            elif what < 0.75:
                self.post(p, "40" if self.rnd.random() < 0.4
                          else self.payload())
            elif what < 0.9:
                self.upgrade(p)
            elif gets:
                self.leave(gets.pop())
        if self.rnd.random() < 0.5 and gets:
            gets[-1].s.recv(65536)
        for c in gets:
            self.leave(c)

    def post(self, p, body):
        c = Conn(self.port, LATE)
        whole = self.part(c, request("POST", p.target(), body=body))
        if whole and self.rnd.random() < 0.8:
            c.response("POST")
        self.leave(c)

    def upgrade(self, p):
        w = self.websocket(p.target(transport="websocket"))
        for text in ["2probe", "5"]:
            if self.rnd.random() < 0.9:
                w.text(text)
        self.talk(w)
        self.leave(w)

    def once(self):
        what = self.rnd.random()
        if what < 0.15:
            self.garbage()
        elif what < 0.6:
            self.poll_session()
        else:
            w = self.websocket("/socket.io/?EIO=%d&transport=websocket%s" % (
                self.rnd.choice([4, 4, 4, 3]),
                self.rnd.choice(["", "&b64=1"])))
            if self.rnd.random() < 0.7:
                w.text("40")
            self.talk(w)
            self.leave(w)

    def run(self, until):
        while time.monotonic() < until:
            try:
                self.once()
            except (OSError, Late, Ended, AssertionError):
                # it was closed, which it may be
                pass
            self.done += 1


def polite(port):
    """Ask over polling and over a WebSocket; how long the answers took."""
    began = time.monotonic()
    p = Polling(port, "/socket.io/", seconds=PATIENCE)
    p.say("40")
    p.hear()
    p.say('427["x","polite"]')
    assert p.hear() == ['437["polite"]']
    p.say("1")
    w = Ws(port, PATIENCE)
    w.upgrade("/socket.io/?EIO=4&transport=websocket")
    w.open_packet()
    w.text("40")
    w.packet()
    w.text('428["x"]')
    assert w.packet() == "438[]"
    w.close()
    return time.monotonic() - began


def chaos(seconds, seed, options):
    server = Conformance(COMMAND, "edge", 3, options).start()
    polite(server.port)
    clients = [Chaos(server.port, seed + i) for i in range(THREADS)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=c.run, args=(until,)) for c in clients]
    for t in threads:
        t.start()
    slowest = 0
    while time.monotonic() < until:
        slowest = max(slowest, polite(server.port))
        time.sleep(0.2)
    for t in threads:
        t.join()
    polite(server.port)
    wrong = server.stop()
    print("%s: %d sessions, the polite client waited %.2f s at most" % (
        server, sum(c.done for c in clients), slowest))
    if wrong:
        print(wrong)
    return not wrong


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else \
        random.SystemRandom().randrange(1 << 32)
    print("seed %d" % seed)
    good = 0
    ways = [{}, {"recovery": True, "handshake_delay": 30},
            {"deflate": True, "eio3": True, "ping_interval": 300,
             "ping_timeout": 3000, "max_payload": 5000}]
    for options in ways:
        good += chaos(seconds, seed, options)
    print("%d passed, %d failed" % (good, len(ways) - good))
    return 0 if good == len(ways) else 1


if __name__ == "__main__":
    sys.exit(main())
