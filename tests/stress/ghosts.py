#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Nobody is there who is not, and nobody types who does not.

    ghosts.py [--short | --kills N] [--clients N] [--seed N]

Clients on 4 workers join and leave, type, say something, change their status,
lose their connections and come back, with their pid or without; sessions are
small and large (presence.delta_above), users have several devices, and who is
silent is idle soon.  In the middle of that a worker is ended with SIGKILL.

Then nobody does anything more, nor comes back, until all that is believed is
right: what each client believes of each of its sessions from the events that
it was sent, and what the store says (chat:request-presence, page by page, by
a client that has just come), must be the sockets whose connections stand; and
nobody may be shown as typing whose sockets do not type.  How long that takes
is what is printed; more than 10 s is a failure, and so is a client that
believes something right only because it was told twice.
"""
import argparse
import base64
import collections
import errno
import json
import os
import random
import selectors
import signal
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import Daemon, Raw  # noqa: E402

WORKERS = 4
BOUND = 10.0
LARGE = "large"
SMALL = ["small-%d" % i for i in range(5)]
DELTA_ABOVE = 12
EXPIRY = 2.0
# seconds between two deltas
DELTA = 1.0
STATUSES = ("active", "idle", "away")


def frame(text):
    return Raw.encode(text)


class Room:
    """What a client believes of a session that it is in."""

    def __init__(self, entries):
        self.who = {p["socketId"]: p["status"] for p in entries}
        self.typing = set()

    def delta(self, d):
        for p in d["joined"] + d["changed"]:
            self.who[p["socketId"]] = p["status"]
        for sid in d["left"]:
            self.who.pop(sid, None)


class Client:
    """One device of a user; never waits."""

    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.user = "user-%d" % (number // 2 if number % 5 == 0 else number)
        self.sock = None
        self.pid = self.offset = None
        self.wanted = {}
        self.come_back_at = 0
        self.told = collections.deque(maxlen=1000)
        self.reset()

    def reset(self):
        self.ready = False
        self.head = True
        self.sid = self.slot = None
        self.buf = b""
        self.out = b""
        self.rooms = {}
        self.typed = {}
        self.asked = {}
        self.last_ack = 0

    # --- the connection

    def connect(self, resume):
        self.reset()
        if not resume:
            self.pid = self.offset = None
            self.wanted = {}
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock.connect(("127.0.0.1", self.world.port))
        except BlockingIOError:
            pass
        self.world.sel.register(self.sock, selectors.EVENT_READ |
                                selectors.EVENT_WRITE, self)
        self.out = Raw.UPGRADE

    def close(self, abrupt=False):
        if self.sock is None:
            return
        if abrupt:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        self.world.sel.unregister(self.sock)
        self.sock.close()
        self.sock = None
        wanted, self.wanted = self.wanted, {}
        self.reset()
        self.wanted = wanted
        self.come_back_at = time.monotonic() + self.world.rnd.random() * 0.4

    def send(self, text):
        self.out += frame(text)
        self.flush()

    def flush(self):
        if self.sock is None:
            return
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out):]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self.world.sel.modify(self.sock, selectors.EVENT_READ |
                              (selectors.EVENT_WRITE if self.out else 0),
                              self)

    def on_ready(self, mask):
        if mask & selectors.EVENT_WRITE:
            e = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if e not in (0, errno.EINPROGRESS):
                self.close()
                return
            self.flush()
        if self.sock is None or not mask & selectors.EVENT_READ:
            return
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.buf += data
        self.parse()

    def parse(self):
        if self.head:
            if b"\r\n\r\n" not in self.buf:
                return
            head, self.buf = self.buf.split(b"\r\n\r\n", 1)
            if b" 101 " not in head:
                self.close()
                return
            self.head = False
        while len(self.buf) >= 2 and self.sock is not None:
            op, n, at = self.buf[0] & 15, self.buf[1] & 127, 2
            if n == 126:
                if len(self.buf) < 4:
                    return
                n, at = struct.unpack_from(">H", self.buf, 2)[0], 4
            elif n == 127:
                if len(self.buf) < 10:
                    return
                n, at = struct.unpack_from(">Q", self.buf, 2)[0], 10
            if len(self.buf) < at + n:
                return
            data, self.buf = self.buf[at:at + n], self.buf[at + n:]
            if op == 8:
                self.close()
            elif op == 1:
                self.packet(data.decode())

    # --- the protocols

    def packet(self, text):
        if text[0] == "0":
            sid = json.loads(text[1:])["sid"]
            self.slot = base64.urlsafe_b64decode(sid + "==")[-1]
            auth = {"userId": self.user, "userName": self.user}
            if self.pid:
                auth.update(pid=self.pid, offset=self.offset)
            self.send("40" + json.dumps(auth))
        elif text == "2":
            self.send("3")
        elif text.startswith("40"):
            o = json.loads(text[2:])
            if self.pid != o.get("pid"):
                self.offset = None
            self.sid, self.pid, self.ready = o["sid"], o.get("pid"), True
        elif text.startswith("44") or text.startswith("41"):
            self.pid = None
            self.close()
        elif text.startswith("43"):
            at = text.index("[")
            self.on_ack(int(text[2:at]), json.loads(text[at:])[0])
        elif text.startswith("42"):
            args = json.loads(text[2:])
            if len(args) > 2:
                self.offset = args[2]
            self.on_event(args[0], args[1])

    def emit(self, event, payload):
        self.last_ack += 1
        self.asked[self.last_ack] = (event, payload)
        self.send("42%d%s" % (self.last_ack, json.dumps([event, payload])))

    def on_ack(self, number, answer):
        event, payload = self.asked.pop(number, (None, None))
        session = payload and payload.get("sessionId")
        if event == "chat:leave-session" and answer["ok"]:
            self.rooms.pop(session, None)
            self.typed.pop(session, None)

    def story(self, sid):
        """What it was told of that socket, and when."""
        for t, event, p in self.told:
            text = json.dumps(p)
            if sid in text:
                print("  %.3f %s %s" % (t, event, text[:300]),
                      file=sys.stderr)

    def on_event(self, event, p):
        session = p.get("sessionId")
        self.told.append((time.time(), event, p))
        room = self.rooms.get(session)
        if event == "chat:join-session-success":
            self.rooms[session] = Room(p["presences"])
        elif event == "chat:presence-sync":
            if room is None:
                self.rooms[session] = Room(p["presences"])
            else:
                room.who = Room(p["presences"]).who
        elif room is None:
            return
        elif event in ("chat:user-joined", "chat:presence-updated"):
            room.who[p["socketId"]] = p["status"]
        elif event == "chat:user-left":
            room.who.pop(p["socketId"], None)
        elif event == "chat:presence-delta":
            room.delta(p)
            self.world.deltas += 1
        elif event == "chat:typing-indicator":
            if p["isTyping"]:
                room.typing.add(p["userId"])
            else:
                room.typing.discard(p["userId"])

    # --- what it does

    def types(self, session):
        """May it be shown as typing?"""
        return time.monotonic() - self.typed.get(session, -1e9) < EXPIRY + 1

    def act(self):
        rnd = self.world.rnd
        what = rnd.random()
        session = LARGE if rnd.random() < 0.4 else rnd.choice(SMALL)
        if session not in self.rooms:
            if what < 0.6:
                self.emit("chat:join-session", {"sessionId": session,
                                                "workspaceId": "w"})
        elif what < 0.12:
            self.emit("chat:leave-session", {"sessionId": session})
        elif what < 0.45:
            on = rnd.random() < 0.8
            self.typed[session] = time.monotonic() if on else -1e9
            self.emit("chat:typing", {"sessionId": session, "isTyping": on})
        elif what < 0.65:
            self.emit("chat:update-presence",
                      {"sessionId": session, "status": rnd.choice(STATUSES)})
        elif what < 0.95:
            self.typed[session] = -1e9
            self.emit("chat:send-message", {"message": {
                "sessionId": session, "content": "hello"}})
        elif what < 0.97:
            self.close(abrupt=rnd.random() < 0.5)
        else:
            self.send("41")
            self.pid = None
            self.close()


class World:
    def __init__(self, args):
        self.rnd = random.Random(args.seed)
        self.sel = selectors.DefaultSelector()
        self.daemon = Daemon({
            "workers": WORKERS, "presence.delta_above": DELTA_ABOVE,
            "presence.idle_after": "3s", "presence.away_after": "5s",
            "typing.expiry": "%ds" % EXPIRY, "typing.coalesce": "1s"})
        self.clients = [Client(self, i) for i in range(args.clients)]
        self.port = self.daemon.port
        self.deltas = self.kills = self.killed = self.acts = 0
        # when each of those who looked at the rosters has left
        self.watched = {}
        self.times = []
        # who is wrong about whom
        self.unlike = None

    def turn(self, seconds):
        for key, mask in self.sel.select(seconds):
            if key.data.sock is key.fileobj:
                key.data.on_ready(mask)

    def act(self, seconds):
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for c in self.rnd.sample(self.clients, 6):
                if c.sock is None:
                    if now >= c.come_back_at:
                        c.connect(self.rnd.random() < 0.6)
                elif c.ready and len(c.asked) < 4:
                    c.act()
                    self.acts += 1
            self.turn(0.005)

    # --- what is so, and what is believed

    def truth(self, session):
        """The sockets that are in, and who may be typing."""
        ins = {c.sid for c in self.clients
               if c.sock is not None and session in c.rooms}
        typing = {c.user for c in self.clients
                  if c.sock is not None and session in c.rooms and
                  c.types(session)}
        return ins, typing

    def settled(self):
        """Nobody waits for an answer."""
        return all(c.sock is None or (c.ready and not c.asked)
                   for c in self.clients)

    def believed(self, roster):
        """What is wrong in what clients believe; None: nothing."""
        # that a watcher has left may be told a second later
        recent = {sid for sid, t in self.watched.items()
                  if time.monotonic() < t + 2 * DELTA}
        for session in [LARGE] + SMALL:
            ins, typing = self.truth(session)
            if set(roster[session]) != ins:
                return "%s: the store has %s, there are %s" % (
                    session, sorted(roster[session]), sorted(ins))
            for c in self.clients:
                room = c.rooms.get(session)
                if c.sock is None or room is None:
                    continue
                who = set(room.who) - recent
                if who != ins:
                    self.unlike = c, who ^ ins
                    return "%s: %s (slot %s) has ghosts %s, lacks %s" % (
                        session, c.sid, c.slot, who - ins, ins - who)
                for sid in who:
                    status = room.who[sid]
                    if sid != c.sid and status != roster[session][sid]:
                        return "%s: %s believes %s is %s, not %s" % (
                            session, c.sid, sid, status,
                            roster[session][sid])
                ghosts = room.typing - typing
                if ghosts:
                    return "%s: %s sees %s typing" % (session, c.sid, ghosts)
        return None

    def ask(self):
        """The store's rosters, by a client that has just come."""
        raw = Raw(self.port, timeout=BOUND)
        sid = None
        rosters = {}
        try:
            raw.upgrade()
            sid = raw.connect("watcher-%d" % len(self.watched))
            for i, session in enumerate([LARGE] + SMALL):
                raw.event("chat:join-session", {
                    "sessionId": session, "workspaceId": "w"}, i)
                joined = raw.wait_ack(i)
                rosters[session] = self.pages(raw, session)
                entries = {p["socketId"]: p["status"]
                           for p in joined["presences"]}
                count = joined["count"]
                if count != len(entries) or \
                        len(rosters[session]) != count or \
                        sid not in rosters[session]:
                    return None, "%s: a join says %d, %d, pages %d" % (
                        session, count, len(entries), len(rosters[session]))
                del rosters[session][sid]
                raw.event("chat:leave-session", {"sessionId": session}, 99)
                raw.wait_ack(99)
        finally:
            raw.close()
            self.watched[sid] = time.monotonic()
        return rosters, None

    def pages(self, raw, session):
        roster, after = {}, None
        while True:
            ask = {"sessionId": session, "limit": 7}
            if after:
                ask["after"] = after
            raw.event("chat:request-presence", ask, 50)
            page = raw.wait_ack(50)
            roster.update({p["socketId"]: p["status"]
                           for p in page["presences"]})
            after = page.get("next")
            if not after:
                return roster

    def check(self, since):
        """Until all that is believed is right."""
        wrong = "nobody was asked"
        roster, asked = None, 0
        while time.monotonic() < since + BOUND:
            self.turn(0.02)
            if not self.settled():
                wrong = "some requests are not answered"
                continue
            if time.monotonic() > asked + DELTA / 2:
                asked = time.monotonic()
                try:
                    roster, wrong = self.ask()
                except (OSError, EOFError, RuntimeError) as e:
                    roster, wrong = None, "no roster: %r" % e
            if roster is None:
                continue
            wrong = self.believed(roster)
            if wrong is None:
                return time.monotonic() - since, None
        return None, wrong

    # --- the run

    def kill(self):
        pids = {k: p for k, p in self.daemon.children().items()
                if k != "scribe"}
        busy = [k for k in pids if any(
            c.slot == k and c.rooms and c.asked for c in self.clients)]
        slot = self.rnd.choice(busy or list(pids))
        self.killed += sum(c.slot == slot and c.ready for c in self.clients)
        os.kill(pids[slot], signal.SIGKILL)
        return time.monotonic()

    def run(self, kills):
        for c in self.clients:
            c.connect(False)
        self.act(2)
        while self.kills < kills:
            self.act(0.2 + self.rnd.random() * 0.4)
            since = self.kill()
            self.kills += 1
            # it is not noticed at once
            self.act(self.rnd.random() * 0.05)
            took, wrong = self.check(since)
            if wrong is not None:
                return "kill %d: %s" % (self.kills, wrong)
            self.times.append(took)
        return None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--kills", type=int, default=200)
    ap.add_argument("--clients", type=int, default=60)
    ap.add_argument("--seed", type=int, default=int(time.time()))
    args = ap.parse_args()
    if args.short:
        args.kills = 10
    world = World(args)
    with world.daemon:
        wrong = world.run(args.kills)
        if wrong and world.unlike:
            for sid in world.unlike[1]:
                print("what %s was told of %s:" % (
                    world.unlike[0].sid, sid), file=sys.stderr)
                world.unlike[0].story(sid)
        if wrong:
            print(world.daemon.log_text()[-3000:], file=sys.stderr)
        for c in world.clients:
            c.close()
    t = sorted(world.times) or [0.0]
    print("%d kills of workers with %d sockets, %d things done, %d deltas; "
          "all beliefs right after %.2f s (median), %.2f s (95 of 100), "
          "%.2f s (longest); seed %d" % (
              world.kills, world.killed, world.acts, world.deltas,
              t[len(t) // 2], t[len(t) * 95 // 100], t[-1], args.seed))
    if wrong:
        print("ghosts: " + wrong)
    print("%d passed, %d failed" % (len(world.times), 1 if wrong else 0))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
