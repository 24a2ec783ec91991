#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Ten thousand members in one session, and a worker dies.

    crowd.py [--short | --members N]

The members only listen.  A client on each of 4 workers joins; one worker is
ended with SIGKILL, and thousands leave at once.  Those who are left are told
so by chat:presence-delta, each of those who are gone once, and what they are
told and what the store says, page by page, is the same number everywhere.
"""
import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import Daemon, Raw  # noqa: E402

JOIN = os.path.join(ROOT, os.environ.get("JOIN", "build/bench/join"))
WORKERS = 4
SECONDS = 60


class Watcher(Raw):
    """A member that keeps what it is told of who has left."""

    def __init__(self, port, number):
        super().__init__(port, timeout=SECONDS)
        self.slot = base64.urlsafe_b64decode(self.upgrade()["sid"] + "==")[-1]
        self.sid = self.connect("watcher-%d" % number)
        self.left, self.twice, self.count, self.acks = set(), 0, None, {}
        self.serial = 0

    def one(self):
        _, data = self.frame()
        if data == b"2":
            self.text("3")
        elif data.startswith(b"43"):
            at = data.index(b"[")
            self.acks[int(data[2:at])] = json.loads(data[at:])[0]
        elif data.startswith(b"42"):
            event, p = json.loads(data[2:])[:2]
            if event == "chat:presence-delta":
                self.twice += sum(s in self.left for s in p["left"])
                self.left.update(p["left"])
                self.count = p["count"]
            elif event == "chat:user-left":
                raise RuntimeError("told singly")

    def ask(self, event, payload):
        self.serial += 1
        self.event(event, payload, self.serial)
        while self.serial not in self.acks:
            self.one()
        return self.acks.pop(self.serial)

    def roster(self):
        seen, after = set(), {}
        while True:
            p = self.ask("chat:request-presence", dict(sessionId="many",
                                                       **after))
            if not p["ok"]:
                raise RuntimeError(p)
            seen.update(e["socketId"] for e in p["presences"])
            if "next" not in p:
                return seen, p["count"]
            after = {"after": p["next"]}


def watchers(port):
    """One on each worker."""
    found, number = {}, 0
    while len(found) < WORKERS:
        w = Watcher(port, number)
        number += 1
        if w.slot in found:
            w.close()
            continue
        joined = w.ask("chat:join-session", {"sessionId": "many",
                                             "workspaceId": "bench"})
        if len(joined["presences"]) != 200:
            raise RuntimeError("%d entries" % len(joined["presences"]))
        found[w.slot] = w
    return found


def run(members):
    wrong = []
    with Daemon({"workers": WORKERS, "engine.ping_interval": "5m"}) as d:
        began = time.monotonic()
        crowd = subprocess.Popen(
            [JOIN, "--hold", "--members", str(members),
             "127.0.0.1:%d" % d.port],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if crowd.stdout.readline() != "ready\n":
            return ["the members are not there"]
        print("%d members joined in %.1f s" % (members,
                                               time.monotonic() - began))
        there = watchers(d.port)
        # who comes and goes within a second is not told
        time.sleep(2.5)
        before, count = there[0].roster()
        if len(before) != members + WORKERS or count != len(before):
            wrong.append("%d in the roster, %d counted" % (len(before),
                                                           count))
        began = time.monotonic()
        os.kill(d.children()[WORKERS - 1], signal.SIGKILL)
        there.pop(WORKERS - 1).close()
        lost = None
        for w in there.values():
            # a quarter of all, but it is the store that knows
            while len(w.left) < members // WORKERS // 2:
                w.one()
            after, count = w.roster()
            gone = before - after
            while len(w.left) < len(gone):
                w.one()
            print("worker %d: %d have left, known after %.2f s" % (
                w.slot, len(gone), time.monotonic() - began))
            lost = lost or gone
            if w.left != gone or gone != lost or w.twice:
                wrong.append("told of %d, %d are gone, %d twice" % (
                    len(w.left), len(gone), w.twice))
            if count != len(after) or w.count != count:
                wrong.append("%d in the roster, %d and %d counted" % (
                    len(after), count, w.count))
        crowd.stdin.close()
        crowd.wait(SECONDS)
    return wrong


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--members", type=int, default=10000)
    args = ap.parse_args()
    wrong = run(1000 if args.short else args.members)
    for w in wrong:
        print(w)
    print("%d passed, %d failed" % (not wrong, len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
