# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""streams.py - agents that write and viewers that look, with their books.

What a chunk says follows from its stream's id and its number, so whoever
sees a text knows what it may be: all chunks from the first on, each once.
What a viewer has added up is what the message says, and its end is seen
before the message; all see the same message; and one whose last chunk was
acknowledged has all chunks.  (That a daemon that starts anew lacks the last
second of a stream is as it should be.)
"""
import random
import time

from talk import Conn

ROOM = "streams"
RETRY = ("OVERLOADED", "STORE_UNAVAILABLE", "RATE_LIMITED", "NOT_JOINED",
         "INTERNAL")


def word(mid, i):
    return "%s:%d%s " % (mid, i, "." * (i * 37 % 900))


class Book:
    def __init__(self, bad):
        self.bad = bad
        self.ids = 0
        # chunks of those whose end was acknowledged
        self.ended = {}
        self.final = {}
        self.seen = 0

    def new_id(self):
        self.ids += 1
        return "st%d" % self.ids

    def check(self, mid, text):
        """Dense from the first chunk on; how many there are, or None."""
        at, i = 0, 0
        while at < len(text):
            w = word(mid, i)
            if not text.startswith(w, at):
                self.bad("%s says %r in its chunk %d", mid,
                         text[at:at + 40], i)
                return None
            at += len(w)
            i += 1
        return i

    def message(self, mid, text):
        n = self.check(mid, text)
        self.seen += 1
        if self.final.setdefault(mid, text) != text:
            self.bad("%s has two messages", mid)
        if mid in self.ended and n != self.ended[mid]:
            self.bad("%s has %s chunks of %d", mid, n, self.ended[mid])


class Writer(Conn):
    """Writes one after the other, each with its index, and one at a time."""

    def __init__(self, talk, book, user):
        self.book = book
        self.mid = None
        self.next_at = 0
        self.waits = 0
        self.nack = 10
        self.cut_at = 0
        self.joined = False
        super().__init__(talk, user)

    def auth(self):
        return {"userId": self.user, "userName": self.user, "role": "agent"}

    def connected(self, d):
        self.event("chat:join-session",
                   {"sessionId": ROOM, "workspaceId": "w"}, 1)

    def lost(self):
        self.joined = False
        self.waits = 0

    def begin(self):
        self.mid = self.book.new_id()
        self.n = 0
        self.last = random.randrange(1, 14)

    def tick(self, now):
        super().tick(now)
        if not self.joined or self.talk.quiet or now < self.next_at:
            return
        if self.waits and now < self.waits + 10:
            return
        if now >= self.cut_at:
            self.cut_at = now + random.uniform(0.5, 3)
            self.whim()
            return
        if self.mid is None:
            self.begin()
        self.nack += 1
        self.waits = now
        payload = {"sessionId": ROOM, "messageId": self.mid,
                   "chunk": word(self.mid, self.n), "index": self.n,
                   "isComplete": self.n == self.last}
        if self.n in (0, self.last):
            payload["metadata"] = {"said": "x" * random.randrange(2000)}
        self.event("chat:agent-message-stream", payload, self.nack)

    def whim(self):
        r = random.random()
        if r < 0.5:
            self.drop(random.choice([0.05, 0.3, 1.5]))
        elif r < 0.6:
            self.put("41")
            self.drop()
        elif self.mid is not None and r < 0.8:
            self.event("chat:cancel-stream",
                       {"sessionId": ROOM, "messageId": self.mid})

    def on_ack(self, n, d):
        if n == 1:
            self.joined = bool(d.get("ok"))
            if not self.joined:
                self.drop()
            return
        if n != self.nack:
            return
        self.waits = 0
        self.next_at = time.monotonic() + random.uniform(0, 0.05)
        if not d.get("ok"):
            if d["code"] in RETRY:
                self.next_at = time.monotonic() + 0.2
            else:
                # it was ended without us
                self.mid = None
                if d["code"] not in ("STREAM_UNKNOWN", "STREAM_TOO_LONG"):
                    self.book.bad("a chunk is answered %s", d["code"])
        elif "seq" in d:
            if not d.get("duplicate"):
                self.book.ended[self.mid] = self.n + 1
            self.mid = None
        elif d.get("duplicate") and self.n == self.last:
            self.mid = None
        else:
            self.n += 1

    def on_event(self, e):
        pass


class Viewer(Conn):
    """Shows what comes, and begins anew when it was away."""

    def __init__(self, talk, book, user):
        self.book = book
        self.joined = False
        self.text = {}
        self.ends = set()
        self.cut_at = 0
        super().__init__(talk, user)

    def connected(self, d):
        self.text, self.ends = {}, set()
        self.cut_at = time.monotonic() + random.uniform(1, 6)
        self.event("chat:join-session",
                   {"sessionId": ROOM, "workspaceId": "w"}, 1)

    def lost(self):
        self.joined = False

    def tick(self, now):
        super().tick(now)
        if self.joined and now >= self.cut_at and not self.talk.quiet:
            self.drop()

    def on_ack(self, n, d):
        if n == 1 and not d.get("ok"):
            self.drop()

    def on_event(self, e):
        name, d = e[0], e[1]
        if name == "chat:join-session-success":
            self.joined = True
            for s in d["streams"]:
                self.text[s["messageId"]] = s["content"]
                self.book.check(s["messageId"], s["content"])
        elif name == "chat:agent-stream-chunk":
            self.chunk(d)
        elif name == "chat:message-received" and d["id"].startswith("st"):
            mid = d["id"]
            self.book.message(mid, d["content"])
            if mid in self.text and mid not in self.ends:
                self.book.bad("%s comes before its end", mid)
            if mid in self.text and self.text[mid] != d["content"]:
                self.book.bad("%s was shown %d bytes, has %d", mid,
                              len(self.text[mid]), len(d["content"]))

    def chunk(self, d):
        mid = d["messageId"]
        if not self.joined:
            self.book.bad("a chunk of %s before the join's answer", mid)
        if mid in self.ends:
            self.book.bad("a chunk of %s behind its last", mid)
        text = self.text.get(mid, "") + d["chunk"]
        # of what was ended without a message nothing may be left
        if not (d["isComplete"] and not d["chunk"] and mid not in self.text):
            self.text[mid] = text
        self.book.check(mid, text)
        if d["isComplete"]:
            self.ends.add(mid)


class Crowd(Conn):
    """Many streams at a time, for a moment, when that is wanted."""

    MANY = 90

    def __init__(self, talk, book, user):
        self.book = book
        self.ids = []
        self.joined = False
        self.next_at = 0
        super().__init__(talk, user)

    def auth(self):
        return {"userId": self.user, "userName": self.user, "role": "agent"}

    def connected(self, d):
        self.event("chat:join-session",
                   {"sessionId": "crowd", "workspaceId": "w"}, 1)

    def on_ack(self, n, d):
        self.joined = bool(d.get("ok"))

    def lost(self):
        self.joined = False
        self.ids = []

    def say(self, mid, complete):
        self.event("chat:agent-message-stream", {
            "sessionId": "crowd", "messageId": mid, "isComplete": complete,
            "chunk": "" if complete else "y" * 1500})

    def tick(self, now):
        super().tick(now)
        if not self.joined or now < self.next_at:
            return
        if self.ids:
            for mid in self.ids:
                self.say(mid, True)
            self.ids = []
            self.next_at = now + 4
        elif self.talk.crowd and not self.talk.quiet:
            self.ids = [self.book.new_id() for _ in range(self.MANY)]
            for mid in self.ids:
                self.say(mid, False)
            self.next_at = now + 0.5


def add_streams(talk):
    """Two who write and two who look; and one who writes very much."""
    book = Book(talk.ledger.bad)
    for i in range(2):
        talk.add(Writer(talk, book, "bot%d" % i))
        talk.add(Viewer(talk, book, "eye%d" % i))
    talk.add(Crowd(talk, book, "crowd"))
    return book
