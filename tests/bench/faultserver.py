#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""A small chat server that breaks one promise, to test the load generator.

    faultserver.py [--fault KIND] [--drop MS]

It has history, replay and idempotent ids, and without --fault it keeps every
promise.  --drop cuts a third of its connections every MS milliseconds, after
it has taken messages from them for a while without answering, as a killed
worker does.  It speaks WebSocket and polling, with upgrade, and recovers
sockets whose pid it knows.  Prints "listening on 127.0.0.1:N"; ends with its standard input.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import random
import re
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# Kind of fault: what it does to the 20th message of a session.
FAULTS = {
    "lose": "one member does not get it",
    "dup": "one member gets it twice",
    "swap": "one member gets it after the next one",
    "gap": "its seq is one too high, for everybody",
    "sameseq": "it has the seq of the one before",
    "renumber": "one member sees it with another seq",
    "wrongseq": "its sender is told another seq",
    "ackseq": "its acknowledgement has another seq",
    "echo": "its sender gets it too",
    "stray": "a member of another session gets it",
    "relabel": "the same, with that other session's name on it",
    "text": "its text is changed",
    "cut": "its text is cut short",
    "json": "what the members get is no JSON",
    "nosent": "its sender is not told",
    "noack": "it is not acknowledged",
    "twicesent": "its sender is told twice",
    "twiceack": "it is acknowledged twice",
    "misack": "another connection gets its acknowledgement",
    "refuse": "it is refused for ever",
    "close": "its first receiver is cut off",
    "binary": "a binary frame comes with it",
    # these concern history, replay and reconnecting
    "histlose": "history lacks it",
    "histdup": "history has it twice",
    "histswap": "history has it after the next one",
    "histtext": "history has another text",
    "histmore": "history never says that there is more",
    "forget": "it is taken, acknowledged and lost",
    "nodedupe": "a message sent again is stored again",
    "replaylose": "replays lack their first message",
    "replaydup": "replays begin one message too early",
    "truncated": "replays say that they are cut short",
    "mutejoin": "the fifth join is never answered",
    # these concern polling, upgrades and recovery
    "unknown": "its POST is answered as of an unknown session",
    "status": "its POST is answered with something else than ok",
    "probe": "a noop follows 3probe on the websocket",
    "identity": "a recovered socket has another id",
    "recoverlose": "recovered sockets miss the first message",
    "recoverdup": "recovered sockets get the last message once more",
    # no fault: the load generator has to put up with it
    "norecover": "nobody is recovered",
    "retry": "it is refused at first, to be sent again",
    "split": "every byte comes alone",
    "ping": "pings of both kinds come with it",
}


class Session:
    def __init__(self):
        self.members = []
        self.log = []       # (seq, id, message object)
        self.by_id = {}
        self.seq = 0
        self.held = None    # swap: what one member gets later


class Member:
    """A socket in the chat, whatever carries it; subclasses send()."""

    def __init__(self, server):
        self.server = server
        self.session = None
        self.name = None
        self.user = None
        self.id = self.pid = None
        # what it has if it was told nothing since it joined
        self.base = 0
        server.conns.append(self)

    def gone(self):
        self.server.conns.remove(self)
        if self.session is not None:
            self.session.members.remove(self)
            self.server.lost[self.pid] = (self.id, self.session, self.name,
                                          self.base)
            self.session = None

    def emit(self, event, payload, offset=None):
        self.send("42" + json.dumps(
            [event, payload] + ([] if offset is None else [str(offset)]),
            separators=(",", ":")))

    def ack(self, number, payload):
        if number:
            self.send("43" + number + json.dumps([payload],
                                                 separators=(",", ":")))

    def connect(self, auth):
        self.user = auth.get("userId")
        old = self.server.lost.pop(auth.get("pid"), None)
        if old is None or self.server.fault == "norecover":
            self.id = "s%d" % self.server.number()
            self.pid = "p" + self.id
        else:
            self.pid = auth["pid"]
            self.id, self.session, self.name, self.base = old
            self.server.replay(self, int(auth.get("offset", self.base)))
            self.session.members.append(self)
            if self.server.fault == "identity":
                self.id = "s%d" % self.server.number()
        self.send('40{"sid":"%s","pid":"%s"}' % (self.id, self.pid))

    def packet(self, text):
        if text.startswith("40"):
            self.connect(json.loads(text[2:] or "{}"))
            return
        m = re.fullmatch(r"42(\d*)(\[.*\])", text, re.S)
        if m is None:
            return
        event, payload = json.loads(m.group(2))
        handler = {
            "chat:join-session": self.server.join,
            "chat:send-message": self.server.post,
            "chat:request-history": self.server.history,
        }.get(event)
        if handler:
            handler(self, m.group(1), payload)


OPEN = ('0{"sid":"%s","upgrades":["websocket"],"pingInterval":25000,'
        '"pingTimeout":20000,"maxPayload":1000000}')


class Poll(Member):
    """A session by polling, until a websocket takes it over."""

    def __init__(self, server):
        super().__init__(server)
        self.sid = "e%d" % server.number()
        self.queue = [OPEN % self.sid]
        self.get = None         # the connection whose GET waits
        self.socket = None
        self.probed = False     # each GET is answered, until the upgrade
        self.muted = False
        server.polls[self.sid] = self

    def send(self, text):
        if self.muted:
            return
        if self.socket is not None:
            self.socket.frame(1, text.encode())
            return
        self.queue.append(text)
        self.flush()

    def flush(self):
        if self.get is not None and self.probed and not self.queue:
            self.queue.append("6")
        if self.get is None or not self.queue:
            return
        self.get.answer(200, "\x1e".join(self.queue))
        self.get.poll = None
        self.get, self.queue = None, []

    def end(self):
        """The transport is lost."""
        if self.server.polls.pop(self.sid, None) is not None:
            self.gone()

    def abort(self):
        for c in (self.get, self.socket):
            if c is not None:
                c.transport.abort()
        self.end()


class Conn(Member, asyncio.Protocol):
    """A TCP connection: a websocket, or requests of polling sessions."""

    def __init__(self, server):
        self.server = server
        self.buf = b""
        self.open = False
        self.muted = False
        # the session whose GET waits here, or that goes on here
        self.poll = None
        self.probes = False

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        if self.poll is not None:
            if self.poll.get is self or self.poll.socket is self:
                self.poll.end()
        elif self.open:
            self.gone()

    def data_received(self, data):
        self.buf += data
        while not self.open and self.take_request():
            pass
        while self.open and self.take_frame():
            pass

    def abort(self):
        self.transport.abort()

    def take_request(self):
        head, sep, rest = self.buf.partition(b"\r\n\r\n")
        m = re.search(rb"(?i)content-length: (\d+)", head)
        length = int(m.group(1)) if m else 0
        if not sep or len(rest) < length:
            return False
        self.buf = rest[length:]
        sid = re.search(rb"[?&]sid=([^& ]*)", head)
        poll = self.server.polls.get(sid.group(1).decode()) if sid else None
        if b"Upgrade: websocket" in head:
            self.handshake(head, poll)
        elif sid and poll is None:
            self.answer(400, '{"code":1,"message":"Session ID unknown"}')
        elif head.startswith(b"GET"):
            self.poll = poll or Poll(self.server)
            self.poll.get = self
            self.poll.flush()
        else:
            self.post(poll, rest[:length].decode())
        return True

    def post(self, poll, body):
        for text in body.split("\x1e"):
            poll.packet(text)
        s = poll.session
        if s is not None and self.server.strikes("unknown", s, None):
            self.answer(400, '{"code":1,"message":"Session ID unknown"}')
        elif s is not None and self.server.strikes("status", s, None):
            self.answer(200, "no")
        else:
            self.answer(200, "ok")

    def answer(self, status, text):
        body = text.encode()
        self.transport.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s"
                             % (status, len(body), body))

    def handshake(self, head, poll):
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head).group(1)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
            b"\r\n\r\n")
        self.open = True
        if poll is not None:
            self.poll, self.probes = poll, True
        else:
            super().__init__(self.server)
            self.send(OPEN % "s")

    def upgrade(self, text):
        if text == "2probe":
            self.frame(1, b"3probe")
            if self.server.fault == "probe":
                self.frame(1, b"6")
            self.poll.probed = True
            self.poll.flush()
        elif text == "5":
            self.probes = False
            self.poll.socket = self
            for late in self.poll.queue:
                self.frame(1, late.encode())

    def take_frame(self):
        b = self.buf
        if len(b) < 6:
            return False
        n, head = b[1] & 127, 2
        if n == 126:
            n, head = int.from_bytes(b[2:4], "big"), 4
        if len(b) < head + 4 + n:
            return False
        mask = b[head:head + 4]
        body = b[head + 4:head + 4 + n]
        self.buf = b[head + 4 + n:]
        key = (mask * (n // 4 + 1))[:n]
        body = (int.from_bytes(body, "big") ^
                int.from_bytes(key, "big")).to_bytes(n, "big")
        if b[0] & 15 == 1 and self.probes:
            self.upgrade(body.decode())
        elif b[0] & 15 == 1:
            (self.poll or self).packet(body.decode())
        elif b[0] & 15 == 10:
            self.server.pongs += 1
        return True

    def frame(self, opcode, body):
        n = len(body)
        if n < 126:
            head = bytes([0x80 | opcode, n])
        elif n < 65536:
            head = bytes([0x80 | opcode, 126]) + n.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 127]) + n.to_bytes(8, "big")
        if self.server.fault == "split":
            self.server.trickle(self, head + body)
        else:
            self.transport.write(head + body)

    def send(self, text):
        if not self.muted and not self.transport.is_closing():
            self.frame(1, text.encode())


class Server:
    def __init__(self, fault, drop):
        self.fault = fault
        self.drop = drop
        self.conns = []
        # polling sessions by sid, lost sockets by pid
        self.polls = {}
        self.lost = {}
        self.numbers = 0
        self.sessions = {}
        self.struck = set()
        self.joins = 0
        self.pongs = 0
        self.random = random.Random(1)
        self.queues = {}

    def number(self):
        self.numbers += 1
        return self.numbers

    def replay(self, conn, offset):
        """What a recovered socket missed, and what it was not told."""
        s = conn.session
        missed = [e for e in s.log if e[0] > offset]
        if self.fault == "recoverlose":
            missed = missed[1:]
        if self.fault == "recoverdup" and offset > 0:
            missed = [e for e in s.log if e[0] >= offset]
        for seq, mid, m in missed:
            if m["userId"] == conn.user:
                conn.emit("chat:message-sent", {
                    "messageId": mid, "sessionId": conn.name, "seq": seq},
                    seq)
            else:
                conn.emit("chat:message-received", m, seq)

    def strikes(self, kind, session, message_id):
        """Is this the message that the fault is for?  Once a session."""
        if self.fault != kind or session.seq < 20 or session in self.struck:
            return False
        self.struck.add(session)
        return True

    def trickle(self, conn, data):
        """Write byte by byte, so that reads see every split."""
        q = self.queues.setdefault(conn, bytearray())
        q += data
        if len(q) == len(data):
            asyncio.get_running_loop().call_soon(self.trickle_more, conn)

    def trickle_more(self, conn):
        q = self.queues[conn]
        conn.transport.write(bytes(q[:1]))
        del q[:1]
        if q:
            asyncio.get_running_loop().call_soon(self.trickle_more, conn)

    def join(self, conn, number, payload):
        self.joins += 1
        if self.fault == "mutejoin" and self.joins == 5:
            return
        name = payload["sessionId"]
        s = self.sessions.setdefault(name, Session())
        conn.session, conn.name = s, name
        s.members.append(conn)
        answer = {"ok": True, "sessionId": name, "lastSeq": s.seq}
        conn.base = payload.get("afterSeq", s.seq)
        replay = []
        if "afterSeq" in payload:
            after = payload["afterSeq"]
            if self.fault == "replaydup":
                after -= 1
            replay = [m for seq, _, m in s.log if seq > after]
            if self.fault == "replaylose":
                replay = replay[1:]
            if self.fault == "truncated":
                answer["truncated"] = True
        conn.ack(number, answer)
        for m in replay:
            conn.emit("chat:message-received", m, m["seq"])

    def post(self, conn, number, payload):
        s, m = conn.session, payload["message"]
        if m["id"] in s.by_id and self.fault != "nodedupe":
            self.tell(conn, number, m["id"], s.by_id[m["id"]], True)
            return
        if self.strikes("refuse", s, m["id"]):
            conn.ack(number, {"ok": False, "code": "INTERNAL",
                              "retryable": False})
            return
        if self.strikes("retry", s, m["id"]):
            conn.ack(number, {"ok": False, "code": "OVERLOADED",
                              "retryable": True})
            return
        s.seq += 1
        if self.strikes("gap", s, m["id"]):
            s.seq += 1
        if self.strikes("sameseq", s, m["id"]):
            s.seq -= 1
        seq = s.seq
        m = dict(m, userId=conn.user, seq=seq)
        if self.strikes("forget", s, m["id"]):
            s.seq -= 1
            self.tell(conn, number, m["id"], seq, False)
            return
        s.by_id[m["id"]] = seq
        s.log.append((seq, m["id"], m))
        self.deliver(conn, s, m)
        self.tell(conn, number, m["id"], seq, False)

    def tell(self, conn, number, mid, seq, duplicate):
        s = conn.session
        answer = {"messageId": mid, "sessionId": conn.name, "seq": seq}
        if duplicate:
            answer["duplicate"] = True
        wrong = dict(answer, seq=seq + 1)
        times = 2 if self.strikes("twicesent", s, mid) else 1
        if self.strikes("nosent", s, mid):
            times = 0
        for _ in range(times):
            conn.emit("chat:message-sent",
                      wrong if self.strikes("wrongseq", s, mid) else answer,
                      None if duplicate else seq)
        times = 2 if self.strikes("twiceack", s, mid) else 1
        if self.strikes("noack", s, mid):
            times = 0
        to = conn
        if self.strikes("misack", s, mid):
            to = [c for c in s.members if c is not conn][0]
        for _ in range(times):
            to.ack(number, dict(
                wrong if self.strikes("ackseq", s, mid) else answer, ok=True))

    def deliver(self, sender, s, m):
        others = [c for c in s.members if c is not sender]
        event = "chat:message-received"
        held = s.held
        for i, c in enumerate(others):
            if i == 0 and self.one_differs(c, s, m):
                continue
            c.emit(event, m, m["seq"])
        if held is not None and held[0] in others:
            held[0].emit(event, held[1])
            s.held = None
        if self.strikes("echo", s, m["id"]):
            sender.emit(event, m)
        for kind in ("stray", "relabel"):
            if self.strikes(kind, s, m["id"]):
                other = [c for c in self.conns if c.session is not s][0]
                other.emit(event, dict(m, sessionId=other.name)
                           if kind == "relabel" else m)

    def one_differs(self, c, s, m):
        """What the first receiver gets instead; False: nothing special."""
        event, mid = "chat:message-received", m["id"]
        if self.strikes("lose", s, mid):
            return True
        if self.strikes("swap", s, mid):
            s.held = (c, m)
            return True
        if self.strikes("dup", s, mid):
            c.emit(event, m)
            return False
        if self.strikes("renumber", s, mid):
            c.emit(event, dict(m, seq=m["seq"] + 1))
            return True
        if self.strikes("text", s, mid):
            text = m["content"]
            c.emit(event, dict(m, content=text[:-1] + "y"))
            return True
        if self.strikes("cut", s, mid):
            c.emit(event, dict(m, content=m["content"][:-1]))
            return True
        if self.strikes("json", s, mid):
            c.send('42["chat:message-received",{"id":"' + mid)
            return True
        if self.strikes("close", s, mid):
            c.transport.close()
            return True
        if self.strikes("binary", s, mid):
            c.frame(2, b"\0\1\2")
        if self.strikes("ping", s, mid):
            c.send("2")
            c.frame(9, b"are you there")
            c.send("6")
        return False

    def history(self, conn, number, payload):
        s = conn.session
        log = list(s.log)
        if self.fault == "histlose":
            del log[19]
        if self.fault == "histdup":
            log.insert(19, log[19])
        if self.fault == "histswap":
            log[19], log[20] = log[20], log[19]
        if self.fault == "histtext":
            seq, mid, m = log[19]
            log[19] = (seq, mid, dict(m, content=m["content"][:-1] + "y"))
        limit = payload["limit"]
        if "afterSeq" in payload:
            page = [e for e in log if e[0] > payload["afterSeq"]]
            more, page = len(page) > limit, page[:limit]
        else:
            page = [e for e in log if e[0] < payload["beforeSeq"]]
            more, page = len(page) > limit, page[-limit:]
        if self.fault == "histmore":
            more = False
        conn.ack(number, {"ok": True, "sessionId": conn.name,
                          "messages": [e[2] for e in page],
                          "hasMore": more})

    async def drop_some(self):
        while True:
            await asyncio.sleep(self.drop / 1000)
            some = [c for c in self.conns if self.random.random() < 0.33]
            for c in some:
                c.muted = True
            await asyncio.sleep(0.02)
            for c in some:
                c.abort()


async def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--fault", choices=sorted(FAULTS))
    ap.add_argument("--drop", type=int, default=0)
    args = ap.parse_args()
    loop = asyncio.get_running_loop()
    server = Server(args.fault, args.drop)
    listener = await loop.create_server(lambda: Conn(server), "127.0.0.1", 0,
                                        backlog=1024)
    print("listening on 127.0.0.1:%d" % listener.sockets[0].getsockname()[1],
          flush=True)
    dropper = asyncio.ensure_future(server.drop_some()) if args.drop else None
    await loop.run_in_executor(None, sys.stdin.read)
    if dropper:
        dropper.cancel()
    listener.close()
    for c in list(server.conns):
        c.abort()


if __name__ == "__main__":
    asyncio.run(main())
