# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""world.py - a daemon that is looked after, and those who talk by it."""
import signal
import time

from talk import Member, Reader, Talk

# how long it may take until all is well again: the machine may be busy
WELL_S = 40


class World:
    def __init__(self, host, rooms=("r0", "r1"), members=3):
        self.host = host
        self.talk = Talk(host.port)
        for room in rooms:
            for i in range(members):
                self.talk.add(Member(self.talk, "m%d%s" % (i, room), room))
        # a pid that stands still, and until when
        self.stalled = None
        self.spawn_at = 0

    # --- the daemon

    def look_after(self):
        """Once in a while: start it when it is gone, wake who was stopped."""
        now = time.monotonic()
        self.host.faults.resume_stopped(now)
        if self.stalled and now >= self.stalled[1]:
            self.host.signal(self.stalled[0], signal.SIGCONT)
            self.stalled = None
        if now >= self.spawn_at and (
                self.host.proc is None or self.host.proc.poll() is not None):
            self.spawn_at = now + 0.1
            self.host.spawn()

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.look_after()
            self.talk.pump(0.02)
            if time.monotonic() >= end:
                return

    def until(self, what, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump(0.02)
            if what():
                return True
        return False

    def well(self):
        """All roles are there, and something new went through for each."""
        end = time.monotonic() + WELL_S
        since = time.monotonic()
        tops = None
        why = "the daemon is not ready"
        while time.monotonic() < end:
            self.pump(0.03)
            if tops is None:
                if not self.host.ready():
                    continue
                tops = dict(self.talk.ledger.top)
                self.talk.ledger.changes.mark()
            why = self.talk.behind(tops, since)
            if why is None and self.host.ready():
                return None
        return why

    def read_all(self):
        """The whole history, by a reader in each room."""
        tops = dict(self.talk.ledger.top)
        readers = [Reader(self.talk, room) for room in tops]
        self.talk.conns += readers
        done = self.until(lambda: all(r.done for r in readers), WELL_S)
        for r in readers:
            if done:
                r.compare(tops[r.room])
            r.drop()
            self.talk.conns.remove(r)
        return [] if done else ["history cannot be read"]
