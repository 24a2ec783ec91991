#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Debian's Python client, both kinds of it, by each transport, against the
conformance server and in the chat."""

import contextlib
import time
import unittest

from stock import (Async, Conformance, Inbox, Sync, Wire, until)
from chatd import Daemon

BYTES = bytes(range(256))
servers = contextlib.ExitStack()
sio = edge = client = daemon = wire = None
counter = 0


def setUpModule():
    global sio, edge, client, daemon, wire
    sio = servers.enter_context(Conformance("sio"))
    edge = servers.enter_context(Conformance("edge"))
    client = servers.enter_context(Conformance("client"))
    daemon = servers.enter_context(Daemon({"workers": 3}))
    wire = servers.enter_context(Wire(daemon.port))


def tearDownModule():
    servers.close()
    for s in (sio, edge, client):
        assert s.code == 0, s.code


class Matrix:
    """The tests; the classes below say which client and which transport."""

    def setUp(self):
        global counter
        counter += 1
        self.room = "r%d" % counter
        self.clients = []
        wire.mend()

    def tearDown(self):
        for c in self.clients:
            c.close()

    def new(self, **options):
        c = self.kind(**options)
        self.clients.append(c)
        return c

    def open(self, url, auth=None, **options):
        return self.new(**options).connect(url, self.transport, auth)

    def user(self, name, url=None, **options):
        return self.open(url or "http://127.0.0.1:%d" % daemon.port,
                         {"userId": name, "userName": name}, **options)

    def join(self, c, **extra):
        answer = c.call("chat:join-session", {
            "sessionId": self.room, "workspaceId": "w1", **extra})
        self.assertTrue(answer["ok"], answer)
        return answer

    def message(self, i):
        return {"message": {"id": "m%d" % i, "content": "m%d" % i,
                            "type": "user", "sessionId": self.room}}

    def send(self, c, i):
        answer = c.call("chat:send-message", self.message(i))
        self.assertTrue(answer["ok"], answer)
        return answer["seq"]

    def in_order(self, got):
        """The threaded client has a thread for each packet, so it may tell
        them in another order than they came in."""
        return sorted(got) if self.kind is Sync else got

    def listen(self, c):
        """What it gets: stored events bring their place as a second one."""
        got = []
        c.on("chat:message-received",
             lambda m, offset=None: got.append((m["seq"], m["content"])))
        return got

    # --- the conformance server

    def test_connects_with_auth(self):
        c = self.new()
        auth = Inbox(c, "auth")
        c.connect(sio.url, self.transport, {"token": "t\u00fcr", "n": 1})
        self.assertEqual(auth.get(), ({"token": "t\u00fcr", "n": 1},))
        self.assertRegex(c.id, r"^[\w-]{20}$")
        self.assertEqual(c.transport, "polling" if self.transport ==
                         "polling" else "websocket")

    def test_two_namespaces(self):
        c = self.new()
        both = Inbox(c, "auth"), Inbox(c, "auth", "/custom")
        c.connect(sio.url, self.transport, {"a": "b"}, ["/", "/custom"])
        for inbox in both:
            self.assertEqual(inbox.get(), ({"a": "b"},))

    def test_echoes_binary(self):
        c = self.new()
        back = Inbox(c, "message-back")
        c.connect(sio.url, self.transport)
        for args in ((1, "2", {"3": [True, None]}), (BYTES,),
                     ({"a": BYTES, "b": [b"x", {"c": b"y"}]}, "end"),
                     ("x" * 100000, b"7" * 70000)):
            c.emit("message", args)
            self.assertEqual(back.get(), args)

    def test_acknowledgements(self):
        c = self.open(sio.url)
        # several arguments come as a tuple or a list, one as itself
        self.assertEqual(list(c.call("message-with-ack", (1, "2"))),
                         [1, "2"])
        self.assertEqual(c.call("message-with-ack", BYTES), BYTES)
        got = []
        for i in range(200):
            c.emit("message-with-ack", i, callback=got.append)
        until(lambda: len(got) == 200)
        self.assertEqual(self.in_order(got), list(range(200)))

    def test_the_client_acknowledges(self):
        c = self.new()
        c.on("ack", lambda *args: (5, {"test": True}))
        got, doge = Inbox(c, "got it"), Inbox(c, "doge")
        c.connect(client.url, self.transport)
        c.emit("ack")
        got.get()
        c.emit("doge")
        self.assertEqual(doge.get()[0], b"asdfasdf")

    def test_the_server_disconnects(self):
        for close in (False, True):
            c = self.new()
            gone = Inbox(c, "disconnect")
            c.connect(edge.url, self.transport)
            c.emit("kick", close)
            gone.get()
            until(lambda: not c.sio.connected)

    # --- the chat

    def test_a_thousand_messages(self):
        a, b = self.user("a"), self.user("b")
        got, sent, acked = self.listen(b), [], []
        a.on("chat:message-sent", lambda m, offset=None:
             sent.append(m["seq"]))
        self.join(a)
        self.join(b)
        for i in range(1000):
            a.emit("chat:send-message", self.message(i),
                   callback=lambda m: acked.append(m["seq"]))
            if i % 50 == 49:
                until(lambda: len(acked) > i)
        until(lambda: len(got) >= 1000 and len(sent) >= 1000)
        time.sleep(0.2)
        seqs = list(range(1, 1001))
        self.assertEqual(self.in_order(acked), seqs)
        self.assertEqual(self.in_order(sent), seqs)
        self.assertEqual(self.in_order(got),
                         [(s, "m%d" % (s - 1)) for s in seqs])

    def test_the_client_disconnects(self):
        a, b = self.new(), self.user("b")
        left = Inbox(a, "chat:user-left")
        a.connect("http://127.0.0.1:%d" % daemon.port, self.transport,
                  {"userId": "a", "userName": "a"})
        self.join(a)
        self.join(b)
        b.disconnect()
        m = left.get()[0]
        self.assertEqual(m["userId"], "b")
        self.assertRegex(m["reason"], "^(client namespace disconnect|"
                         "transport (close|error))$")

    def test_comes_back_and_has_all(self):
        b = self.user("b")
        self.join(b)
        a = self.new(reconnection=True)
        got, again, gone = self.listen(a), Inbox(a, "connect"), \
            Inbox(a, "disconnect")
        a.connect(wire.url, self.transport,
                  {"userId": "a", "userName": "a"})
        again.get()
        self.join(a)
        n = 0
        for _ in range(3):
            for _ in range(10):
                self.send(b, n)
                n += 1
            until(lambda: len(got) == n)
            # a request waits: without one nobody sees that the wire is cut
            time.sleep(0.05)
            wire.cut()
            gone.get()
            for _ in range(10):
                self.send(b, n)
                n += 1
            wire.mend()
            again.get(20)
            self.join(a, afterSeq=len(got))
            until(lambda: len(got) == n)
        self.assertEqual(self.in_order(got),
                         [(i + 1, "m%d" % i) for i in range(n)])

    def test_without_the_additional_argument(self):
        b = self.user("b")
        self.join(b)
        a = self.new()
        got = []
        a.on("chat:message-received", lambda m: got.append(m["seq"]))
        a.connect("http://127.0.0.1:%d?recovery=0" % daemon.port,
                  self.transport, {"userId": "a", "userName": "a"})
        self.join(a)
        self.send(b, 0)
        until(lambda: got == [1])


for kind in (Sync, Async):
    for transport in ("polling", "websocket", "upgrade"):
        name = "%s_%s" % (kind.__name__, transport)
        globals()[name] = type(name, (Matrix, unittest.TestCase),
                               {"kind": kind, "transport": transport})

if __name__ == "__main__":
    unittest.main()
