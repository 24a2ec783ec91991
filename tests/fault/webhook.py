#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""webhook.py - the fault points of auth.mode webhook, each killed and stopped
at its first three hits, while clients come and go and are looked at again.

    webhook.py [--only pattern] [-v]

Whoever connects must have an answer: that it is in, that it may try again, or
the end of its connection with its worker.  After each case the bridge and all
workers are there, a client comes in, and two who were in all the time, if their
worker was not killed, talk to each other.  In the end nothing is left open.
"""
import argparse
import fnmatch
import json
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../system"))
from faults import (FIRED, Host, KILL, STOP, STOPPED,  # noqa: E402
                    read_table, wait_for)
from chatd import Raw  # noqa: E402
from webapp import Application  # noqa: E402

POINTS = ("BRIDGE_*", "ASK_*", "WEBHOOK_*")
HITS = 3
COME_S = 60
WELL_S = 60
CROWD = 4


class Client(Raw):
    """Comes in with a token; None: its worker died, or it is told later."""

    def __init__(self, port):
        super().__init__(port, 20)
        self.upgrade()

    def packet(self):
        while True:
            op, data = self.frame()
            if data == b"2":
                self.text("3")
            elif op == 1:
                return data.decode()

    def come(self, token):
        self.text("40" + json.dumps({"token": token}))
        p = self.packet()
        return json.loads(p[2:])


class Run:
    def __init__(self):
        self.app = Application()
        self.host = Host({"auth.mode": "webhook", "workers": 2,
                          "auth.webhook_url": self.app.url,
                          "auth.webhook_timeout": "2s",
                          "auth.webhook_recheck": "1s"}, preload=False)
        self.stopping = False
        self.wrong = []
        self.answers = {}
        self.serial = 0
        self.lock = threading.Lock()

    def note(self, what):
        with self.lock:
            self.answers[what] = self.answers.get(what, 0) + 1

    def token(self):
        with self.lock:
            self.serial += 1
            return "t%d" % self.serial

    def outcome(self, stay=0):
        """In, told to come later, or lost."""
        c = None
        token = self.token()
        try:
            c = Client(self.host.port)
            a = c.come(token)
            if "sid" in a:
                end = time.time() + stay
                c.s.settimeout(0.2)
                while time.time() < end:
                    try:
                        c.packet()
                    except TimeoutError:
                        pass
                return "in"
            if a["data"]["code"] in ("AUTH_UNAVAILABLE", "OVERLOADED"):
                return "later"
            return repr(a)
        except TimeoutError:
            return "no answer to %s, who asked %s" % (
                token if c is not None else "its handshake",
                self.app.count(token))
        except (OSError, EOFError, RuntimeError):
            return "lost"
        finally:
            if c is not None:
                c.close()

    def crowd(self):
        while not self.stopping:
            what = self.outcome(stay=1.5 if self.serial % 5 == 0 else 0)
            self.note(what)
            if what not in ("in", "later", "lost"):
                self.wrong.append(what)
            time.sleep(0.02)

    def wake(self):
        while not self.stopping:
            self.host.faults.resume_stopped(time.monotonic())
            time.sleep(0.02)

    # --- cases

    def bridge_is_ready(self):
        try:
            s = self.host.ask("status", timeout=1)
        except (OSError, ValueError):
            return False
        return s["bridge"] == "ready" and s["workers_ready"] == 2

    def bridge_pid(self):
        try:
            w = self.host.ask("workers")
        except (OSError, ValueError):
            return 0
        return w[-1]["pid"] if w[-1]["role"] == "bridge" else 0

    def case(self, name, role, action, hit):
        """None, or what is wrong."""
        fired = self.host.faults.get(name, FIRED)
        self.host.faults.arm(name, action, hit, roles=role)
        end = time.monotonic() + COME_S
        while self.host.faults.get(name, FIRED) == fired:
            if time.monotonic() > end:
                self.host.faults.clear(name)
                return "nobody came there"
            if name == "BRIDGE_STARTED" and self.bridge_is_ready():
                # only a new one does, when it is given the time
                self.host.signal(self.bridge_pid(), 9)
                time.sleep(0.1)
            time.sleep(0.01)
        self.host.faults.clear(name)
        # arming again would forget who stands still
        if not wait_for(lambda: self.host.faults.get(name, STOPPED) == 0,
                        WELL_S):
            return "who stood still still does"
        if not wait_for(self.bridge_is_ready, WELL_S):
            return "not all are there again"
        if not wait_for(lambda: self.outcome() == "in", WELL_S):
            return "nobody comes in"
        return self.wrong.pop() if self.wrong else None

    def start(self):
        self.host.spawn()
        if not wait_for(self.bridge_is_ready, WELL_S):
            raise RuntimeError(self.host.log_text())
        self.threads = [threading.Thread(target=self.crowd)
                        for _ in range(CROWD)]
        self.threads.append(threading.Thread(target=self.wake))
        for t in self.threads:
            t.start()

    def end(self):
        """What is left when all have gone."""
        self.stopping = True
        for t in self.threads:
            t.join()

        def idle():
            s = self.host.ask("stats", "*")["gauges"]
            return s["bridge_asking"] == s["bridge_waiting"] == 0 and \
                s["connections"] == 0
        why = [] if wait_for(idle, WELL_S) else ["something is left"]
        # processes died, which it says; but nobody is missing
        issues = str(self.host.ask("health")["issues"])
        if "bridge" in issues or "application" in issues:
            why.append(issues)
        return why


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", default="*")
    ap.add_argument("-v", action="store_true")
    args = ap.parse_args()
    run, passed, failed = Run(), 0, 0
    try:
        run.start()
        for name, who, _ in read_table():
            if not any(fnmatch.fnmatchcase(name, p) for p in POINTS) or \
                    not fnmatch.fnmatchcase(name, args.only):
                continue
            for role in who:
                for action in (KILL, STOP):
                    for hit in range(1, HITS + 1):
                        why = run.case(name, role, action, hit)
                        case = "%s %s %s %d" % (
                            name, role, "kill" if action == KILL else "stop",
                            hit)
                        if why is not None:
                            failed += 1
                            print("%s: %s" % (case, why), flush=True)
                        else:
                            passed += 1
                            if args.v:
                                print(case, flush=True)
        for why in run.end():
            failed += 1
            print(why)
        if args.v:
            print(run.answers)
    finally:
        run.stopping = True
        run.host.end()
        run.app.close()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
