# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""talk.py - clients that keep books, all in one thread.

A Ledger knows what was sent, acknowledged and delivered, and says what is
wrong.  Members stay in their room for ever: they come back when their
connection ends, ask for what they missed, and send again what was not
acknowledged.  Churners come and go and do everything else.
"""
import json
import random
import selectors
import socket
import struct
import time

from changes import Changer, Changes

UPGRADE = (b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
           b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\n\r\n")
AGAIN_S = 0.05


def frame(text, opcode=1):
    """A masked frame; a mask of zeros is one."""
    data = text.encode() if isinstance(text, str) else text
    n = len(data)
    head = bytes([0x80 | opcode])
    if n < 126:
        head += bytes([0x80 | n])
    else:
        head += bytes([0xFE]) + struct.pack(">H", n)
    return head + b"\0\0\0\0" + data


class Ledger:
    def __init__(self):
        self.wrong = []
        # by room: {seq: id}, {id: seq}, the highest
        self.order = {}
        self.place = {}
        self.top = {}
        self.text = {}
        self.acked = 0
        self.delivered = 0
        self.duplicates = 0
        self.refused = 0
        # why
        self.codes = set()
        self.ids = 0
        self.changes = Changes(self.bad)

    def bad(self, what, *args):
        if len(self.wrong) < 50:
            self.wrong.append(what % args)

    def new_id(self, room, user):
        self.ids += 1
        mid = "%s-%d" % (user, self.ids)
        self.text[mid] = "text of %s" % mid
        return mid

    def note(self, room, seq, mid):
        order = self.order.setdefault(room, {})
        place = self.place.setdefault(room, {})
        if order.setdefault(seq, mid) != mid:
            self.bad("%s: seq %d is %s and %s", room, seq, order[seq], mid)
        if place.setdefault(mid, seq) != seq:
            self.bad("%s: %s has seq %d and %d", room, mid, place[mid], seq)
        if seq > self.top.get(room, 0):
            self.top[room] = seq

    def content(self, mid, text):
        original = self.text.get(mid, text)
        if not self.changes.may_be(mid, text, original):
            self.bad("%s says %r", mid, text)

    def is_now(self, room, mid, text):
        self.changes.is_now(room, mid, text, self.text.get(mid, text))


class Conn:
    """A WebSocket, its frames in and out; subclasses say what they mean."""

    def __init__(self, talk, user):
        self.talk = talk
        self.user = user
        self.sock = None
        self.due = 0
        # the newest packet, for those who ask why
        self.heard = ""
        self.closed()

    def closed(self):
        self.inb, self.outb = b"", b""
        self.head = True
        self.ready = False

    def open(self):
        self.closed()
        s = socket.socket()
        s.setblocking(False)
        try:
            s.connect(("127.0.0.1", self.talk.port))
        except BlockingIOError:
            pass
        except OSError:
            s.close()
            self.due = time.monotonic() + AGAIN_S
            return
        self.sock = s
        self.outb = UPGRADE
        self.since = time.monotonic()
        self.talk.sel.register(s, selectors.EVENT_READ |
                               selectors.EVENT_WRITE, self)
        self.writing = True

    def drop(self, again=AGAIN_S):
        """Close it, whatever it does; it comes back after a while."""
        if self.sock is not None:
            self.talk.sel.unregister(self.sock)
            self.sock.close()
            self.sock = None
        self.closed()
        self.due = time.monotonic() + again
        self.lost()

    def put(self, text):
        if self.sock is None:
            return
        self.outb += frame(text)
        if not self.writing:
            self.flush()

    def event(self, name, payload, ack=None):
        self.put("42%s%s" % ("" if ack is None else ack, json.dumps(
            [name, payload], separators=(",", ":"))))

    def flush(self):
        try:
            n = self.sock.send(self.outb)
        except BlockingIOError:
            n = 0
        except OSError:
            self.drop()
            return
        self.outb = self.outb[n:]
        if bool(self.outb) != self.writing:
            self.writing = bool(self.outb)
            self.talk.sel.modify(self.sock, selectors.EVENT_READ |
                                 (selectors.EVENT_WRITE if self.writing
                                  else 0), self)

    def on_io(self, mask):
        if mask & selectors.EVENT_WRITE:
            self.flush()
        if self.sock is None or not mask & selectors.EVENT_READ:
            return
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        self.inb += data
        self.frames()

    def frames(self):
        if self.head:
            if b"\r\n\r\n" not in self.inb:
                return
            head, self.inb = self.inb.split(b"\r\n\r\n", 1)
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.drop()
                return
            self.head = False
        while len(self.inb) >= 2:
            op, n, at = self.inb[0] & 15, self.inb[1] & 127, 2
            if n == 126:
                if len(self.inb) < 4:
                    return
                n, at = struct.unpack_from(">H", self.inb, 2)[0], 4
            elif n == 127:
                if len(self.inb) < 10:
                    return
                n, at = struct.unpack_from(">Q", self.inb, 2)[0], 10
            if len(self.inb) < at + n:
                return
            data, self.inb = self.inb[at:at + n], self.inb[at + n:]
            if op == 8:
                self.drop()
            elif op == 1:
                self.packet(data.decode())
            if self.sock is None:
                return

    def packet(self, p):
        self.heard = p[:200]
        if p == "2":
            self.put("3")
        elif p.startswith("0"):
            self.put("40" + json.dumps(self.auth()))
        elif p.startswith("40"):
            self.ready = True
            self.connected(json.loads(p[2:]))
        elif p.startswith("42"):
            self.on_event(json.loads(p[2:]))
        elif p.startswith("43"):
            at = p.index("[")
            self.on_ack(int(p[2:at]), json.loads(p[at:])[0])
        elif p.startswith("41") or p.startswith("44"):
            self.drop()

    def auth(self):
        return {"userId": self.user, "userName": self.user}

    def connected(self, d):
        pass

    def lost(self):
        pass

    def on_event(self, e):
        pass

    def on_ack(self, n, d):
        pass

    def tick(self, now):
        if self.sock is None:
            if now >= self.due:
                self.open()
        elif not self.ready and now - self.since > 10:
            self.drop()


class Member(Conn, Changer):
    """In one room for ever."""

    def __init__(self, talk, user, room, recovers=False):
        Changer.__init__(self)
        self.room = room
        self.recovers = recovers
        self.last = None
        # seqs that were passed: they must turn out to be our own
        self.holes = set()
        # our own that were acknowledged before what comes before them
        self.ahead = set()
        # id: [sent at, first sent at, try again at]
        self.pending = {}
        self.acks = {}
        self.nack = 0
        # to what was asked beside messages
        self.answers = {}
        self.joined = False
        self.recovered = 0
        self.sid = self.pid = self.offset = None
        self.next_send = 0
        # it only types
        self.silent = False
        self.typing = False
        self.typed_at = 0
        self.next_typing = 0
        self.cut_at = 0
        # when the newest of the acknowledged was sent first
        self.fresh = 0
        Conn.__init__(self, talk, user)

    # --- coming and going

    def auth(self):
        a = super().auth()
        if self.recovers and self.pid:
            a["pid"] = self.pid
            if self.offset:
                a["offset"] = self.offset
        return a

    def lost(self):
        self.joined = False
        self.acks = {}
        self.changing = {}

    def connected(self, d):
        if self.sid is not None and d["sid"] == self.sid:
            self.recovered += 1
            self.enter()
            return
        self.sid, self.pid, self.offset = d["sid"], d.get("pid"), None
        self.join()

    def join(self):
        payload = {"sessionId": self.room, "workspaceId": "w"}
        if self.last is not None:
            payload["afterSeq"] = self.last
            payload["afterRevision"] = self.revision
        self.event("chat:join-session", payload, 0)
        self.join_at = time.monotonic()

    def enter(self):
        self.joined = True
        self.cut_at = time.monotonic() + random.uniform(0.3, 0.8)
        for mid in list(self.pending):
            self.transmit(mid)

    # --- sending

    def transmit(self, mid):
        now = time.monotonic()
        self.pending[mid][0] = now
        self.pending[mid][2] = None
        self.nack += 1
        self.acks[self.nack] = mid
        self.event("chat:send-message", {"message": {
            "content": self.talk.ledger.text[mid], "type": "user", "id": mid,
            "sessionId": self.room}}, self.nack)

    def tick(self, now):
        super().tick(now)
        if self.sock is None or not self.joined:
            if self.sock is not None and self.ready and \
                    now - self.join_at > 10:
                self.drop()
            return
        if self.recovers and now >= self.cut_at and not self.talk.quiet:
            self.drop(0.01)
            return
        for mid, p in list(self.pending.items()):
            if p[2] is not None and now >= p[2]:
                self.transmit(mid)
            elif p[2] is None and now - p[0] > 20:
                self.talk.ledger.bad("%s: %s is never answered", self.room,
                                     mid)
                p[0] = now
            if self.sock is None:
                return
        t = self.talk
        while not t.quiet and not self.silent and now >= self.next_send and \
                len(self.pending) < t.window and self.sock is not None:
            mid = t.ledger.new_id(self.room, self.user)
            self.pending[mid] = [now, now, None]
            self.transmit(mid)
            self.next_send = now + t.pause
        if now >= self.next_change and not t.quiet and not self.silent and \
                not self.changing and self.sock is not None:
            self.change(now)
        if now >= self.next_typing and not t.quiet and self.sock is not None:
            self.typing = not self.typing
            self.typed_at = time.monotonic()
            self.event("chat:typing", {"sessionId": self.room,
                                       "isTyping": self.typing})
            self.next_typing = now + t.typing_pause

    # --- what comes

    def seen(self, seq, own, answer=False):
        """It has got seq: everything before, too?"""
        if self.last is None:
            self.last = seq - 1
        if answer and seq > self.last + 1:
            # answers do not wait for a replay that is under way
            self.ahead.add(seq)
            return
        if seq <= self.last:
            if own:
                self.holes.discard(seq)
            else:
                self.talk.ledger.bad(
                    "%s: %s got seq %d %s", self.room, self.user, seq,
                    "out of order" if seq in self.holes else "twice")
            return
        self.holes.update(set(range(self.last + 1, seq)) - self.ahead)
        self.last = seq
        while self.last + 1 in self.ahead:
            self.last += 1
        self.ahead = {x for x in self.ahead if x > self.last}

    def answer(self, mid, d):
        led = self.talk.ledger
        led.note(self.room, d["seq"], mid)
        self.seen(d["seq"], True, True)
        p = self.pending.pop(mid, None)
        if p is not None:
            led.acked += 1
            led.duplicates += bool(d.get("duplicate"))
            self.fresh = max(self.fresh, p[1])
            self.own_message(mid)

    def on_ack(self, n, d):
        if n == 0:
            if d.get("ok"):
                if self.last is None:
                    self.last = d["lastSeq"]
                    self.revision = d["lastRevision"]
                self.enter()
            else:
                self.drop()
            return
        if self.changed_ack(n, d):
            return
        mid = self.acks.pop(n, None)
        if mid is None:
            self.answers[n] = d
            return
        if d.get("ok"):
            self.answer(mid, d)
        elif mid not in self.pending:
            pass
        elif d.get("retryable"):
            self.talk.ledger.refused += 1
            self.talk.ledger.codes.add(d["code"])
            self.pending[mid][2] = time.monotonic() + AGAIN_S
        else:
            self.talk.ledger.bad("%s: %s is refused: %s", self.room, mid, d)
            del self.pending[mid]

    def on_event(self, e):
        d = e[1]
        if len(e) > 2 and isinstance(e[2], str):
            self.offset = e[2]
        if e[0] == "chat:message-received":
            if d["sessionId"] != self.room:
                self.talk.ledger.bad("%s in %s", d["sessionId"], self.room)
                return
            led = self.talk.ledger
            led.delivered += 1
            led.note(self.room, d["seq"], d["id"])
            led.content(d["id"], d.get("content"))
            self.seen(d["seq"], d["id"].startswith(self.user + "-"))
        elif self.changed_event(e[0], d):
            pass
        elif e[0] == "chat:message-sent":
            self.answer(d["messageId"], d)
        elif e[0] == "chat:typing-indicator":
            self.talk.typed(self, d)
        elif e[0] == "chat:agent-stream-chunk":
            self.talk.chunk_came(d)

    # --- the judgment

    def behind(self, top, since):
        """What is still missing, None when nothing is."""
        if not self.joined:
            return "is not in (%s)" % self.heard
        if (self.last or 0) < top:
            return "has %s of %d" % (self.last, top)
        revision = self.talk.ledger.changes.due.get(self.room, 0)
        if (self.revision or 0) < revision:
            return "has revision %s of %d" % (self.revision, revision)
        old = [m for m, p in self.pending.items() if p[1] < since]
        if old:
            return "waits for %s" % old[0]
        if self.fresh < since and not self.silent:
            return "got nothing through"
        if self.holes:
            return "lacks %s" % sorted(self.holes)[:5]
        return None


class Churner(Conn):
    """Somebody new each time, who does a little of everything."""

    lives = 0

    def __init__(self, talk, name):
        self.name = name
        self.leave_at = 0
        super().__init__(talk, name)

    def open(self):
        Churner.lives += 1
        self.user = "%s-%d" % (self.name, Churner.lives)
        self.room = random.choice(["churn", "churn", "new-%d" %
                                   Churner.lives])
        self.leave_at = time.monotonic() + 15
        super().open()

    def drop(self, again=0.15):
        super().drop(again)

    def connected(self, d):
        self.event("chat:join-session",
                   {"sessionId": self.room, "workspaceId": "w"}, 1)

    def on_ack(self, n, d):
        if not d.get("ok") or self.sock is None:
            self.drop()
            return
        say = {"sessionId": self.room}
        if n == 1:
            self.event("chat:update-presence", {**say, "status": "away"}, 2)
        elif n == 2:
            self.event("chat:send-message", {"message": {
                "content": "hello", "type": "user", **say}}, 3)
        elif n == 3:
            self.event("chat:request-history", {**say, "limit": 3}, 4)
        elif n == 4 and random.random() < 0.5:
            self.drop()
        elif n == 4:
            self.event("chat:leave-session", say, 5)
        elif random.random() < 0.5:
            # whoever says that closes the connection itself
            self.put("41")
            self.leave_at = time.monotonic() + 0.1
        else:
            self.drop()

    def tick(self, now):
        super().tick(now)
        if self.sock is not None and now >= self.leave_at:
            self.drop()


class Scribbler(Conn):
    """Streams, one chunk after the other, and waits for nobody."""

    LENGTH, PAUSE_S = 60, 0.03

    def __init__(self, talk, user, room):
        self.room = room
        self.joined = False
        self.mid, self.n = None, 0
        self.next_at = 0
        super().__init__(talk, user)

    def auth(self):
        return {**super().auth(), "role": "agent"}

    def connected(self, d):
        self.event("chat:join-session",
                   {"sessionId": self.room, "workspaceId": "w"}, 0)

    def lost(self):
        self.joined, self.mid = False, None

    def on_ack(self, n, d):
        if n == 0:
            self.joined = bool(d.get("ok"))
            if not self.joined:
                self.drop()
        elif not d.get("ok") and self.mid is not None and \
                d["code"] != "STORE_UNAVAILABLE":
            self.mid = None

    def tick(self, now):
        super().tick(now)
        if not self.joined or self.sock is None or now < self.next_at or \
                (self.talk.quiet and self.mid is None):
            return
        self.next_at = now + self.PAUSE_S
        if self.mid is None:
            self.mid, self.n = self.talk.ledger.new_id(self.room,
                                                       self.user), 0
            # what it will say is known by its chunks
            del self.talk.ledger.text[self.mid]
        last = self.talk.quiet or self.n + 1 >= self.LENGTH
        self.talk.chunk_sent[self.mid, self.n] = time.monotonic()
        self.event("chat:agent-message-stream", {
            "sessionId": self.room, "messageId": self.mid,
            "chunk": "%d of %s. " % (self.n, self.mid), "isComplete": last,
            "index": self.n}, self.n + 1)
        self.n += 1
        if last:
            self.mid = None


class Talk:
    def __init__(self, port):
        self.port = port
        self.ledger = Ledger()
        self.sel = selectors.DefaultSelector()
        self.conns = []
        self.members = []
        self.quiet = False
        # of typing indicators, seconds
        self.delays = []
        # ... and of an agent's chunks; when those were sent that nobody has
        # seen yet
        self.chunk_delays = []
        self.chunk_sent = {}
        self.calm()

    def calm(self):
        self.window, self.pause, self.typing_pause = 2, 0.03, 0.1
        # many streams at a time
        self.crowd = False

    def flood(self):
        self.window, self.pause, self.typing_pause = 16, 0.002, 0.02

    def chatter(self):
        self.window, self.pause, self.typing_pause = 1, 0.1, 0.001

    def add(self, conn):
        self.conns.append(conn)
        if isinstance(conn, Member):
            self.members.append(conn)
        return conn

    def typed(self, member, d):
        """Somebody heard of a typist: how long did that take?"""
        for m in self.members:
            if m.silent and m.user == d["userId"] and \
                    m.typing == d["isTyping"]:
                self.delays.append(time.monotonic() - m.typed_at)

    def chunk_came(self, d):
        """Somebody is shown a chunk: how long did that take?"""
        at = self.chunk_sent.pop((d["messageId"], d["index"]), None)
        if at is not None:
            self.chunk_delays.append(time.monotonic() - at)

    def measure_anew(self):
        self.delays.clear()
        self.chunk_delays.clear()
        self.chunk_sent.clear()

    def pump(self, seconds):
        """Serve the clients for so long; once at least."""
        end = time.monotonic() + seconds
        while True:
            for key, mask in self.sel.select(0.005):
                if key.data.sock is key.fileobj:
                    key.data.on_io(mask)
            now = time.monotonic()
            for c in self.conns:
                c.tick(now)
            if now >= end:
                return

    def behind(self, tops, since):
        """Who still lacks something, as a text; None: nobody."""
        for m in self.members:
            why = m.behind(tops.get(m.room, 0), since)
            if why is not None:
                return "%s in %s %s" % (m.user, m.room, why)
        return None

    def hang_up(self):
        for c in self.conns:
            if c.sock is not None:
                c.drop()
            c.due = time.monotonic() + 1e9

    def come_back(self):
        for c in self.conns:
            c.due = 0


class Reader(Conn):
    """Reads all of a room's history, and compares."""

    def __init__(self, talk, room):
        self.room = room
        self.done = False
        self.next = 0
        self.rows = {}
        super().__init__(talk, "reader-" + room)

    def connected(self, d):
        self.event("chat:join-session",
                   {"sessionId": self.room, "workspaceId": "w"}, 1)

    def lost(self):
        pass

    def on_ack(self, n, d):
        if not d.get("ok"):
            self.drop()
            return
        if n == 1:
            self.ask()
            return
        for m in d["messages"]:
            if m["seq"] != self.next + 1:
                self.talk.ledger.bad("%s: history has %d after %d", self.room,
                                     m["seq"], self.next)
            self.next = m["seq"]
            self.rows[m["seq"]] = m["id"]
            self.talk.ledger.is_now(self.room, m["id"], m.get("content"))
        if d["hasMore"]:
            self.ask()
        else:
            self.done = True

    def ask(self):
        self.event("chat:request-history", {
            "sessionId": self.room, "limit": 200, "afterSeq": self.next}, 2)

    def compare(self, top):
        led = self.talk.ledger
        for seq, mid in led.order.get(self.room, {}).items():
            if seq <= top and self.rows.get(seq) != mid:
                led.bad("%s: seq %d was %s, history has %s", self.room, seq,
                        mid, self.rows.get(seq))
