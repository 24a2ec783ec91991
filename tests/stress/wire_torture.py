#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Clients that keep to no protocol, beside two that do.

    wire_torture.py [--seconds N] [--seed N] [--only NAME] [--clients N]

Against each server in turn, for its share of the time: many connections send
requests, bodies, frames and packets in random order, right and wrong, with
sids of their own and of others, pipelined, split anywhere, and end anywhere
by FIN or reset.  Meanwhile two well-behaved clients, one polling and one on
a WebSocket, talk through the same workers; all that they say must come, once
and in order.  Then: the same processes are there, no sanitizer said anything,
and when all are gone nothing is left of them: no connection, session, socket,
chunk, descriptor.

What is sent is decided by the seed; when it arrives is not.
"""
import argparse
import asyncio
import base64
import collections
import itertools
import json
import os
import random
import re
import shutil
import socket
import struct
import sys
import tempfile
import time
import zlib
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))
sys.path.insert(0, os.path.join(HERE, "../wire"))
from chatd import Raw  # noqa: E402
from servers import Pool, descendants  # noqa: E402

PATIENCE = 30
# longer than a closed polling session waits for its last GET
SETTLE = 50
SID = re.compile(rb'"sid":"([A-Za-z0-9_-]{20})"')
NUMBERS = itertools.count(1)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
BAD_SIDS = ("", "x", "__proto__", "A" * 20, "-" * 20, "%00" * 20, "A" * 3000)
SERVERS = (
    ("chat", "chat", {
        "workers": 4, "engine.ping_interval": "2s",
        "engine.ping_timeout": "6s", "engine.connect_timeout": "4s",
        "engine.upgrade_timeout": "1s", "engine.compression": "on",
        "engine.eio3": "on", "engine.max_payload": "200000",
        "cors.origins": "http://a", "limits.history_page": "2000"}),
    ("sio", "sio", {
        "workers": 3, "deflate": True, "eio3": True, "handshake_delay": 20,
        "ping_interval": 2000, "ping_timeout": 6000,
        "connect_timeout": 4000, "upgrade_timeout": 1000}),
    ("eio", "eio-echo", {
        "workers": 3, "deflate": True, "eio3": True, "ping_interval": 2000,
        "ping_timeout": 6000, "upgrade_timeout": 1000,
        "max_payload": 200000}),
    ("edge", "edge", {
        "workers": 3, "ping_interval": 2000, "ping_timeout": 6000,
        "connect_timeout": 4000, "upgrade_timeout": 1000}),
)


def path_of(kind):
    return "/engine.io/" if kind == "eio" else "/socket.io/"


class Dice:
    """What is sent."""

    def __init__(self, rng, kind, sids):
        self.r, self.kind, self.sids = rng, kind, sids

    def chance(self, p):
        return self.r.random() < p

    def name(self):
        return "%s%d" % (self.r.choice("abc"), self.r.randrange(12))

    def event(self):
        r = self.r
        room = self.name()
        what = r.choice(("join-session", "leave-session", "send-message",
                         "typing", "update-presence", "request-history",
                         "nonsense"))
        arg = {"sessionId": room, "workspaceId": r.choice("wv")}
        if what == "send-message":
            arg = {"message": {
                "id": "m%d" % r.randrange(1 << 30), "type": "user",
                "content": "x" * r.choice((1, 10, 1000, 9000)),
                "sessionId": room}}
        elif what == "typing":
            arg["isTyping"] = self.chance(.5)
        elif what == "update-presence":
            arg["status"] = r.choice(("online", "away", "?"))
        elif what == "request-history":
            arg["limit"] = r.choice((1, 50, 2000))
        elif what == "join-session" and self.chance(.3):
            arg["afterSeq"] = r.randrange(100)
        if self.chance(.05):
            arg = r.choice((None, [], 7, "x", {"_placeholder": True}))
        if self.kind == "chat" or self.chance(.4):
            return json.dumps(["chat:" + what, arg])
        return r.choice(('["message",1]', '["message-with-ack",{"a":"b"}]',
                         '["big",9000]', '["kick",true]', '["kick",false]',
                         '["ask",3]', '["\\u0061ny",[],{}]'))

    def nsp(self):
        return self.r.choice(("",) * 8 + ("/custom,", "/,", "/none,", "/"))

    def sio(self):
        r, n = self.r, self.nsp()
        ack = str(r.randrange(99)) if self.chance(.5) else ""
        roll = r.random()
        if roll < .2:
            auth = {"userId": self.name(), "userName": "N"}
            if self.chance(.2):
                auth.update(pid=r.choice(list(self.sids) or ["x"] * 20),
                            offset="0-%d" % r.randrange(99))
            return "0" + n + (json.dumps(auth) if self.chance(.9) else
                              r.choice(("", "[]", "{", "7")))
        if roll < .7:
            return "2" + n + ack + self.event()
        if roll < .8:
            k = r.choice((1, 1, 2, 3, 11))
            return "5%d-%s%s%s" % (k, n, ack, json.dumps(
                ["message"] + [{"_placeholder": True, "num": i}
                               for i in range(k)]))
        return r.choice((
            "1" + n, "3" + n + ack + "[1]", "61-" + n + ack + "[1]",
            "4" + n + '{"message":"x"}', "2", "2[", "9", "", "5-[]",
            "2" + n + "99999999999999999999[\"a\"]", "2[\"connect\"]"))

    def packet(self):
        """One of Engine.IO, as text; beginning with b: binary."""
        r, roll = self.r, self.r.random()
        if roll < .75:
            return "4" + self.sio()
        if roll < .9:
            return "b" + base64.b64encode(
                r.randbytes(r.randrange(40))).decode()
        return r.choice(("3", "3", "3", "2", "1", "5", "6", "2probe", "0",
                         "b!!!", "", "7", "4", "\x00", "4" + "y" * 70000))

    def body(self, jsonp, eio3):
        packets = [self.packet() for _ in range(self.r.choice((1, 1, 2, 5)))]
        if eio3 and self.chance(.9):
            text = "".join("%d:%s" % (len(p), p) for p in packets)
        else:
            text = "\x1e".join(packets)
        if jsonp and self.chance(.9):
            return ("d=" + quote(text)).encode()
        return text.encode()

    def chunked(self, body):
        out, at = b"", 0
        while at < len(body):
            n = self.r.choice((1, 2, 7, 100, 5000))
            out += b"%x%s\r\n%s\r\n" % (
                len(body[at:at + n]),
                self.r.choice((b"", b"", b";a=b")), body[at:at + n])
            at += n
        return out + self.r.choice((b"0\r\n\r\n", b"0\r\nT: x\r\n\r\n"))

    def sid(self, own):
        roll = self.r.random()
        if own and roll < .8:
            return own
        if self.sids and roll < .95:
            return self.r.choice(list(self.sids))
        return self.r.choice(BAD_SIDS)

    def target(self, sid, transport="polling", eio=None):
        eio = eio or ("3" if self.chance(.15) else "4")
        t = "%s?EIO=%s&transport=%s" % (path_of(self.kind), eio, transport)
        if sid is not None:
            t += "&sid=" + sid
        for p, what in ((.1, "&j=3"), (.1, "&b64=1"), (.1, "&recovery=0"),
                        (.1, "&t=abc")):
            if self.chance(p):
                t += what
        return t

    def fields(self):
        out = ""
        for p, what in (
                (.2, "Accept-Encoding: gzip, deflate"),
                (.2, "Origin: http://a"), (.05, "Origin: http://b"),
                (.1, "Content-Type: text/plain;charset=UTF-8"),
                (.03, "Content-Type: application/octet-stream"),
                (.1, "Connection: close"), (.1, "Connection: keep-alive"),
                (.1, "X-Forwarded-For: 1.2.3.4"),
                (.05, "Authorization: Bearer x.y.z")):
            if self.chance(p):
                out += what + "\r\n"
        return out

    def request(self, own, method=None, sid=True):
        r = self.r
        method = method or r.choice(
            ("GET",) * 6 + ("POST",) * 8 + ("OPTIONS", "HEAD", "PUT"))
        target = self.target(self.sid(own) if sid else None,
                             r.choice(("polling",) * 9 + ("websocket",)))
        if self.chance(.05):
            target = r.choice(("/", "/socket.io/socket.io.js", "/socket.io/",
                               "*", "/socket.io/?EIO=4"))
        head = "%s %s HTTP/1.%d\r\nHost: x\r\n%s" % (
            method, target, 0 if self.chance(.05) else 1, self.fields())
        if method != "POST" and not self.chance(.1):
            return head.encode() + b"\r\n"
        body = self.body("&j=" in target, "EIO=3" in target)
        if self.chance(.1):
            head += "Expect: 100-continue\r\n"
        if self.chance(.3):
            return (head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" +
                    self.chunked(body))
        n = len(body) if self.chance(.95) else r.choice(
            (0, len(body) // 2, len(body) + 10, 10 ** 8))
        return head.encode() + b"Content-Length: %d\r\n\r\n" % n + body

    def upgrade(self, sid):
        eio = "4" if self.chance(.9) else "3"
        head = ("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                "Sec-WebSocket-Version: 13\r\n" % (
                    self.target(sid, "websocket", eio), KEY))
        if self.chance(.4):
            head += "Sec-WebSocket-Extensions: permessage-deflate%s\r\n" % (
                self.r.choice(("", "; server_max_window_bits=9",
                               "; client_no_context_takeover")))
        return (head + "\r\n").encode()

    def frames(self, text, deflate):
        """A message in frames."""
        r = self.r
        opcode, rsv = 1, 0
        data = text.encode()
        if data[:1] == b"b":
            opcode, data = 2, r.randbytes(len(data))
        if deflate and self.chance(.6):
            z = zlib.compressobj(wbits=-r.choice((9, 12, 15)))
            data = (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]
            rsv = 4
            if self.chance(.05):
                data = r.randbytes(len(data))
        if self.chance(.03):
            rsv, opcode = r.choice(((2, 1), (0, 3), (0, 11), (4, 9)))
        cuts = sorted(r.randrange(len(data) + 1)
                      for _ in range(r.choice((0, 0, 0, 1, 4))))
        out, at = b"", 0
        for i, end in enumerate(cuts + [len(data)]):
            last = i == len(cuts)
            out += Raw.encode(data[at:end], opcode=opcode if i == 0 else 0,
                              fin=last, rsv=rsv if i == 0 else 0,
                              mask=r.randbytes(4),
                              masked=not self.chance(.005))
            at = end
            if self.chance(.05):
                out += Raw.encode(r.randbytes(r.randrange(126)), opcode=9)
        return out


class Line:
    """A connection that somebody reads, or nobody."""

    def __init__(self, dice):
        self.d, self.got, self.own = dice, b"", None
        self.reader = self.writer = self.task = None

    async def open(self, port):
        s = socket.socket()
        if self.d.chance(.1):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setblocking(False)
        await asyncio.get_running_loop().sock_connect(s, ("127.0.0.1", port))
        self.reader, self.writer = await asyncio.open_connection(sock=s)
        if not self.d.chance(.1):
            self.task = asyncio.create_task(self.read())
        return self

    async def read(self):
        try:
            while data := await self.reader.read(65536):
                self.got = (self.got + data)[-4096:]
                for sid in SID.findall(self.got):
                    sid = sid.decode()
                    self.own = self.own or sid
                    if sid not in self.d.sids:
                        self.d.sids.append(sid)
        except OSError:
            pass

    async def send(self, data):
        r = self.d.r
        at = 0
        cut = r.random() < .05
        while at < len(data) and not self.writer.is_closing():
            n = len(data) if self.d.chance(.7) else \
                r.choice((1, 3, 40, 300, 9000))
            if cut and at > 0:
                break
            self.writer.write(data[at:at + n])
            at += n
            try:
                await asyncio.wait_for(self.writer.drain(), 2)
            except (OSError, asyncio.TimeoutError):
                return
            if at < len(data) and self.d.chance(.3):
                await asyncio.sleep(r.random() * .02)

    async def pause(self):
        await asyncio.sleep(self.d.r.choice((0, 0, .001, .01, .05, .2)))

    async def close(self):
        s = self.writer.get_extra_info("socket")
        roll = self.d.r.random()
        try:
            if roll < .3 and s is not None:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
                self.writer.transport.abort()
            elif roll < .4:
                self.writer.write_eof()
                await asyncio.sleep(self.d.r.random())
        except OSError:
            pass
        if self.task is not None:
            self.task.cancel()
        self.writer.close()
        self.writer.transport.abort()


class Noise:
    """Clients that know no manners; each of them a few connections."""

    def __init__(self, port, kind, seed, sids):
        self.port, self.kind, self.sids = port, kind, sids
        self.d = Dice(random.Random(seed), kind, sids)
        self.lines = []

    async def line(self):
        self.lines.append(await Line(self.d).open(self.port))
        return self.lines[-1]

    async def requests(self):
        a = await self.line()
        for _ in range(self.d.r.randrange(12)):
            await a.send(b"".join(
                self.d.request(a.own) for _ in
                range(self.d.r.choice((1, 1, 2, 6)))))
            await a.pause()

    async def polling(self):
        r = self.d.r
        get, post = await self.line(), await self.line()
        ws, deflate = [], False
        await get.send(self.d.request(None, "GET", sid=False))
        for _ in range(40):
            if get.own:
                break
            await asyncio.sleep(.02)
        own = get.own
        if self.d.chance(.8):
            await post.send(self.d.request(own, "POST"))
        for _ in range(r.randrange(25)):
            roll = r.random()
            if roll < .35:
                await get.send(self.d.request(own, "GET"))
            elif roll < .75:
                await post.send(self.d.request(own, "POST"))
            elif roll < .8:
                await (await self.line()).send(self.d.request(own))
            elif roll < .9 and len(ws) < 3:
                ws.append(await self.line())
                await ws[-1].send(self.d.upgrade(self.d.sid(own)))
                if self.d.chance(.7):
                    await ws[-1].send(Raw.encode("2probe"))
                if self.d.chance(.3):
                    await ws[-1].send(Raw.encode("5"))
            elif ws:
                deflate = b"permessage-deflate" in ws[-1].got
                text = r.choice(("2probe", "5", "5", self.d.packet()))
                await r.choice(ws).send(self.d.frames(text, deflate))
            await get.pause()

    async def websocket(self):
        a = await self.line()
        await a.send(self.d.upgrade(None))
        if self.d.chance(.7):
            await asyncio.sleep(.1)
        deflate = b"permessage-deflate" in a.got
        if self.d.chance(.9):
            await a.send(Raw.encode('40{"userId":"%s"}' % self.d.name()))
        for _ in range(self.d.r.randrange(40)):
            await a.send(self.d.frames(self.d.packet(), deflate))
            await a.pause()
        if self.d.chance(.3):
            await a.send(Raw.encode(struct.pack(">H", 1000), opcode=8))

    async def crowd(self):
        """Many handshakes on one connection, none continued."""
        a = await self.line()
        await a.send(self.d.request(None, "GET", sid=False) * 40)

    async def forever(self, until):
        while time.monotonic() < until:
            try:
                await self.d.r.choice((
                    self.requests, self.polling, self.polling,
                    self.websocket, self.crowd))()
            except OSError:
                pass
            for a in self.lines:
                await a.close()
            self.lines = []
            await asyncio.sleep(0)


class Http:
    """One connection of a client that behaves."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def ask(self, method, target, body=b""):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.port)
        self.writer.write(
            b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
                method, target.encode(), len(body), body))
        head = await self.reader.readuntil(b"\r\n\r\n")
        n = int(re.search(rb"content-length: (\d+)", head, re.I).group(1))
        text = await self.reader.readexactly(n)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError("%s %s: %r %r" % (method, target, head, text))
        return text.decode()


class Guest:
    """Says things and hears them again; the base of two."""

    def __init__(self, server, kind, name, room):
        self.port, self.kind = server.port, kind
        self.name, self.room = name, room
        self.said, self.heard = 0, []

    async def greet(self):
        if self.kind != "eio":
            await self.put(['40{"userId":"%s","userName":"%s"}' % (
                self.name, self.name)])
        if self.kind == "chat":
            await self.put(['420["chat:join-session",{"sessionId":"%s",'
                            '"workspaceId":"w"}]' % self.room])
            await self.wait(lambda: self.joined)

    joined = False

    def take(self, packet):
        if packet == "2":
            return ["3"]
        if packet[:1] == "1":
            raise ValueError("%s: closed, %r, heard %r" % (
                self.name, packet, self.heard[-3:]))
        if self.kind == "eio" and packet[:1] == "4":
            self.heard.append(packet[1:])
        elif self.kind == "chat" and packet.startswith("430["):
            self.joined = True
        elif self.kind == "edge" and packet.startswith("43"):
            self.heard += json.loads(packet[packet.index("["):])
        elif packet.startswith('42["'):
            event = json.loads(packet[2:])
            if event[0].endswith("-error"):
                raise ValueError("%s: %s" % (self.name, packet))
            if event[0] == "chat:message-received":
                self.heard.append(event[1]["content"])
            elif event[0] == "message-back":
                self.heard.append(event[1])
        return []

    async def say(self):
        text = "%s-%d" % (self.name, self.said)
        self.said += 1
        if self.kind == "eio":
            await self.put(["4" + text])
        elif self.kind == "edge":
            await self.put(['42%d["any","%s"]' % (self.said, text)])
        elif self.kind == "chat":
            await self.put(['42["chat:send-message",{"message":{"id":"%s",'
                            '"content":"%s","type":"user","sessionId":"%s"}}]'
                            % (text, text, self.room)])
        else:
            await self.put(['42["message","%s"]' % text])

    async def wait(self, done):
        end = time.monotonic() + PATIENCE
        while not done():
            await self.idle()
            if time.monotonic() > end:
                raise ValueError("%s waits: said %d, heard are %r" % (
                    self.name, self.said, self.hearer.heard[-6:]))
            if self.loop.done():
                self.loop.result()
                raise ValueError("%s: its connection ended" % self.name)
            await asyncio.sleep(.005)

    def of(self, name):
        return [t for t in self.heard if t.startswith(name)]

    def check(self):
        own = self.hearer.of(self.name)
        want = ["%s-%d" % (self.name, i) for i in range(self.said)]
        if own != want:
            raise ValueError("%s: %d said, heard %r" % (
                self.name, self.said, own))


class Poller(Guest):
    async def start(self):
        self.get, self.post = Http(self.port), Http(self.port)
        self.back = []
        base = path_of(self.kind) + "?EIO=4&transport=polling"
        opened = await self.get.ask(b"GET", base)
        self.target = base + "&sid=" + json.loads(opened[1:])["sid"]
        self.loop = asyncio.create_task(self.poll())
        await self.greet()

    async def put(self, packets):
        text = "\x1e".join(packets).encode()
        if await self.post.ask(b"POST", self.target, text) != "ok":
            raise ValueError("%s: not ok" % self.name)

    async def poll(self):
        while True:
            text = await self.get.ask(b"GET", self.target)
            for p in text.split("\x1e"):
                # not at once: two POSTs at a time are forbidden
                self.back += self.take(p)

    async def idle(self):
        if self.back:
            back, self.back = self.back, []
            await self.put(back)


class Frames(Guest):
    async def start(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port)
        self.writer.write(Raw.UPGRADE.replace(
            b"/socket.io/", path_of(self.kind).encode()))
        await self.reader.readuntil(b"\r\n\r\n")
        self.loop = asyncio.create_task(self.read())
        await self.greet()

    async def put(self, packets):
        self.writer.write(b"".join(Raw.encode(p) for p in packets))
        await self.writer.drain()

    async def read(self):
        while True:
            h = await self.reader.readexactly(2)
            n = h[1] & 127
            if n > 125:
                n = int.from_bytes(await self.reader.readexactly(
                    2 if n == 126 else 8), "big")
            data = await self.reader.readexactly(n)
            if h[0] & 15 == 8:
                raise ValueError("%s: closed by a frame" % self.name)
            back = self.take(data.decode())
            if back:
                await self.put(back)

    async def idle(self):
        pass


async def talk(server, kind, until):
    """Those who behave; how often they were heard."""
    # ids are used once
    n = next(NUMBERS)
    guests = [Poller(server, kind, "poller-%d" % n, "room-%d" % n),
              Frames(server, kind, "frames-%d" % n, "room-%d" % n)]
    for g, other in zip(guests, reversed(guests)):
        # an echo is one's own, a message the others'
        g.hearer = other if kind == "chat" else g
    try:
        for g in guests:
            await g.start()
        while time.monotonic() < until:
            for g in guests:
                await g.say()
            for g in guests:
                await g.wait(lambda: len(g.hearer.of(g.name)) >= g.said)
            await asyncio.sleep(.02)
        for g in guests:
            g.check()
    finally:
        for g in guests:
            if getattr(g, "loop", None) is not None:
                g.loop.cancel()
            for x in (g, getattr(g, "get", None), getattr(g, "post", None)):
                if getattr(x, "writer", None) is not None:
                    x.writer.transport.abort()
    return sum(g.said for g in guests)


async def torture(server, kind, seed, seconds, clients):
    until = time.monotonic() + seconds
    sids = collections.deque(maxlen=100)
    noise = [asyncio.create_task(
        Noise(server.port, kind, "%d %d" % (seed, i), sids).forever(until))
        for i in range(clients)]
    try:
        said = await talk(server, kind, until)
        await asyncio.wait_for(asyncio.gather(*noise), 60)
    finally:
        for t in noise:
            t.cancel()
        await asyncio.gather(*noise, return_exceptions=True)
    return said


def descriptors(server):
    return sum(len(os.listdir("/proc/%d/fd" % p)) for p in server.pids())


def left(server, kind, before):
    """What is still there of those who are gone."""
    found = {}
    if kind == "chat":
        gauges = server.daemon.ctl("stats")["gauges"]
        # these are what there is, and what is given back slowly
        found = {k: v for k, v in gauges.items() if v != 0 and k not in
                 ("stream_memory", "stream_backed")}
    # a log may be opened late
    if descriptors(server) > before + 2:
        found["descriptors"] = descriptors(server) - before
    return found


def settle(server, kind, before):
    end = time.monotonic() + SETTLE
    while found := left(server, kind, before):
        if time.monotonic() > end:
            return "left over: %s" % found
        time.sleep(.2)
    return None


def one_server(pool, row, seed, seconds, clients):
    """None, or what is wrong."""
    kind, mode, options = row
    bundle = tempfile.mkdtemp(prefix="wire-torture-")
    os.chmod(bundle, 0o755)
    with open(bundle + "/socket.io.js", "w") as f:
        f.write("//" + "x" * 300000)
    if kind == "chat":
        options = {**options, "client_dir": bundle}
    server = pool.own(mode, options)
    wrong = []
    try:
        asyncio.run(torture(server, kind, seed, .3, 0))
        pids, before = server.pids(), descriptors(server)
        try:
            said = asyncio.run(
                torture(server, kind, seed, seconds, clients))
            print("%s: seed %d, %d things said and heard" % (
                kind, seed, said), flush=True)
        except (ValueError, OSError, EOFError, asyncio.TimeoutError) as e:
            wrong.append("%s: %s" % (type(e).__name__, e))
        if server.pids() != pids:
            wrong.append("a process died")
        else:
            wrong.append(settle(server, kind, before))
            asyncio.run(torture(server, kind, seed, .3, 0))
    finally:
        wrong.append(server.stop())
        shutil.rmtree(bundle)
    wrong = [w for w in wrong if w]
    for w in wrong:
        print("%s: seed %d: %s" % (kind, seed, w), flush=True)
    return not wrong


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seconds", type=float, default=40,
                    help="of all servers together, without their ends")
    ap.add_argument("--seed", type=int, default=None)
    ap.add_argument("--only", help="servers: " + ", ".join(
        row[0] for row in SERVERS))
    ap.add_argument("--clients", type=int, default=30)
    args = ap.parse_args()
    seed = args.seed if args.seed is not None else \
        random.SystemRandom().randrange(1 << 30)
    rows = [row for row in SERVERS if args.only in (None, row[0])]
    good = sum(one_server(Pool(), row, seed, args.seconds / len(rows),
                          args.clients) for row in rows)
    print("%d passed, %d failed" % (good, len(rows) - good))
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
