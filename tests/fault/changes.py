# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""changes.py - the books of edits, deletions and receipts.

A room's revisions are 1, 2, 3...: each is one change of one item, whoever
tells of it.  What an item is now, is its highest revision.
"""
import random

# of one member's own messages, that it may change
MINE = 20


class Changes:
    def __init__(self, bad):
        self.bad = bad
        # by room: {revision: (item, state)}, {item: highest}, the highest
        self.known = {}
        self.latest = {}
        self.top = {}
        # whatever a message may say, or None for a deletion, because
        # somebody has asked for it
        self.asked = {}
        self.acked = 0
        self.told = 0
        # what everybody is to have now
        self.due = {}

    def mark(self):
        self.due = dict(self.top)

    def ask(self, mid, text):
        self.asked.setdefault(mid, set()).add(text)

    def may_be(self, mid, text, original):
        return text == original or text in self.asked.get(mid, ())

    def note(self, room, revision, item, state):
        known = self.known.setdefault(room, {})
        if known.setdefault(revision, (item, state)) != (item, state):
            self.bad("%s: revision %d is %s and %s", room, revision,
                     known[revision], (item, state))
        latest = self.latest.setdefault(room, {})
        if revision > latest.get(item, 0):
            latest[item] = revision
        if revision > self.top.get(room, 0):
            self.top[room] = revision

    def is_now(self, room, mid, text, original):
        """The history, when all is known, says what was told last."""
        revision = self.latest.get(room, {}).get(mid)
        want = original
        if revision is not None:
            want = self.known[room][revision][1]
        if text != want:
            self.bad("%s: history says that %s is %r, not %r", room, mid,
                     text, want)


class Changer:
    """What a member changes and is told of."""

    def __init__(self):
        self.revision = None
        self.mine = []
        self.changing = {}
        self.next_change = 0

    def own_message(self, mid):
        self.mine.append(mid)
        del self.mine[:-MINE]

    def change(self, now):
        """Now and then, one at a time."""
        self.next_change = now + random.uniform(0.05, 0.2)
        what = random.random()
        if what < 0.4 or not self.mine:
            self.request("chat:mark-read", ("read", self.user), self.last,
                         seq=self.last)
            return
        mid = random.choice(self.mine)
        if what < 0.95:
            # short: many that are alike would be spam
            text = "%s/%d" % (mid, self.nack + 1)
            self.request("chat:edit-message", mid, text, messageId=mid,
                         content=text)
        else:
            self.mine.remove(mid)
            self.request("chat:delete-message", mid, None, messageId=mid)

    def request(self, event, item, state, **payload):
        if not isinstance(item, tuple):
            self.talk.ledger.changes.ask(item, state)
        self.nack += 1
        self.changing[self.nack] = (item, state)
        self.event(event, {"sessionId": self.room, **payload}, self.nack)

    def changed_ack(self, n, d):
        """True: it was the answer to a change."""
        if n not in self.changing:
            return False
        item, state = self.changing.pop(n)
        books = self.talk.ledger.changes
        if d.get("ok"):
            books.acked += 1
            if isinstance(item, tuple):
                state = d["seq"]
            # one that has read nothing is told nothing new
            if d["revision"] > 0:
                books.note(self.room, d["revision"], item, state)
        elif not d.get("retryable") and not self.was_gone(item):
            self.talk.ledger.bad("%s: change of %s is refused: %s", self.room,
                                 item, d)
        return True

    def was_gone(self, item):
        """Somebody, perhaps we, on another connection, has deleted it."""
        return None in self.talk.ledger.changes.asked.get(item, ())

    def changed_event(self, name, d):
        """True: it told of a change."""
        if name == "chat:message-updated":
            item, state = d["id"], d["content"]
        elif name == "chat:message-deleted":
            item, state = d["messageId"], None
        elif name == "chat:read-receipt":
            item, state = ("read", d["userId"]), d["seq"]
        else:
            return False
        books = self.talk.ledger.changes
        books.told += 1
        books.note(self.room, d["revision"], item, state)
        if self.revision is not None and d["revision"] <= self.revision:
            self.talk.ledger.bad("%s: %s got revision %d behind %d", self.room,
                                 self.user, d["revision"], self.revision)
        self.revision = d["revision"]
        return True
