#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Connections are lost, sessions are not.

    recovery.py [--short | --long] [--transport websocket|polling|upgrade]

Many clients in one busy room.  Connections are cut at random, workers are
killed, the daemon is restarted in good order and killed as a whole.  The
clients come back as the stock client does, with pid and offset, and of those
that do so within recovery.window at least 99.9 % must be recovered: the same
socket, in its room, with all that it missed, in order and once.  The load
generator compares what each of them got with the others and with history.
"""

import argparse
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import Daemon  # noqa: E402

LOAD = os.path.join(ROOT, os.environ.get("LOAD", "build/bench/load"))
WORKERS = 4
SHARE = 0.999


class Status:
    """The counters that the load generator shares while it runs."""

    NAMES = ("phase", "in_flight", "sent", "acked", "ready", "reconnects",
             "recovered")
    SIZE = 8 * len(NAMES)

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(self.SIZE))
        self.f = open(path, "rb")
        self.map = mmap.mmap(self.f.fileno(), self.SIZE,
                             prot=mmap.PROT_READ)

    def __getattr__(self, name):
        return struct.unpack_from("Q", self.map,
                                  8 * self.NAMES.index(name))[0]

    def close(self):
        self.map.close()
        self.f.close()


class Run:
    def __init__(self, args, directory):
        self.args = args
        self.daemon = Daemon({"workers": WORKERS})
        self.status = Status(directory + "/status")
        self.wrong = []
        self.load = None

    def start_load(self, path):
        a = self.args
        command = [LOAD, "--json", "--reconnect", "--recover", "--history",
                   "--rooms", "1", "--members", str(a.clients),
                   "--senders", str(min(a.clients, 100)),
                   "--rate", str(a.rate), "--count", str(a.messages),
                   "--cut", str(a.cuts), "--warmup", "0", "--grace", "120",
                   "--setup-timeout", "240", "--step-timeout", "60",
                   "--transport", a.transport, "--status-file", path,
                   "127.0.0.1:%d" % self.daemon.port]
        self.load = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)

    def running(self):
        return self.load.poll() is None and self.status.phase <= 1

    def wait(self, until, seconds):
        end = time.monotonic() + seconds
        while self.running() and time.monotonic() < end:
            if until():
                return True
            time.sleep(0.01)
        return False

    def all_there(self, seconds=100):
        """All clients but a few that are being cut just now."""
        few = max(5, self.args.clients // 50)
        return self.wait(
            lambda: self.status.ready >= self.args.clients - few, seconds)

    def disturb(self, name, act, expected):
        """Do it, and measure how long it takes until all are back."""
        if not self.running():
            self.wrong.append("%s: the load had ended" % name)
            return
        before = self.status.recovered
        began = time.monotonic()
        act()
        # who was lost may be back already
        if not self.wait(lambda: self.status.ready <
                         self.args.clients - expected or
                         self.status.recovered - before >= expected, 30):
            self.wrong.append("%s: nobody was lost" % name)
        if not self.all_there():
            self.wrong.append("%s: only %d are back" % (
                name, self.status.ready))
        print("%-28s all back after %.1f s, %d recovered" % (
            name, time.monotonic() - began,
            self.status.recovered - before), flush=True)
        # and something is said before the next one
        said = self.status.sent + 2 * self.args.rate
        self.wait(lambda: self.status.sent >= said, 20)

    def kill_worker(self):
        pids = [p for k, p in self.daemon.children().items()
                if k != "scribe"]
        os.kill(random.choice(pids), signal.SIGKILL)

    def restart(self):
        self.daemon.stop()
        self.daemon.start()

    def kill_all(self):
        self.daemon.stop(signal.SIGKILL)
        self.daemon.start()

    def disturbances(self):
        n = self.args.clients
        for i in range(self.args.kills):
            self.disturb("kill -9 of a worker", self.kill_worker,
                         n // WORKERS // 2)
        for i in range(self.args.restarts):
            self.disturb("orderly restart", self.restart, n // 2)
            self.disturb("kill -9 of the daemon", self.kill_all, n // 2)

    def judge(self, code, out, err):
        if code != 0:
            self.wrong.append("the load generator says %d: %s" % (code, err))
        if not out:
            return
        report = json.loads(out)
        t = report["total"]
        tried = t["recovered"] + t["unrecovered"]
        share = t["recovered"] / tried if tried else 0
        print("%d clients by %s: %d messages, %d deliveries; %d reconnects "
              "(%d cuts), %d recovered, %d not: %.3f %%; %d violations" % (
                  self.args.clients, self.args.transport, t["acked"],
                  t["deliveries"], t["reconnects"], t["cuts"],
                  t["recovered"], t["unrecovered"], 100 * share,
                  report["violations"]["total"]), flush=True)
        if share < SHARE:
            self.wrong.append("only %.3f %% were recovered" % (100 * share))
        lost = self.args.clients * (
            self.args.kills // WORKERS + 2 * self.args.restarts)
        if tried < (t["cuts"] + lost) * 0.9:
            self.wrong.append("only %d tried" % tried)
        if t["acked"] != t["sent"]:
            self.wrong.append("%d of %d acknowledged" % (t["acked"],
                                                         t["sent"]))
        if t["deliveries"] != t["sent"] * (self.args.clients - 1):
            self.wrong.append("%d deliveries" % t["deliveries"])
        if t["history_messages"] != 2 * t["sent"]:
            self.wrong.append("history has %d" % t["history_messages"])

    def run(self, path):
        self.daemon.start()
        try:
            self.start_load(path)
            while self.load.poll() is None and self.status.phase < 1:
                time.sleep(0.05)
            time.sleep(1)
            self.disturbances()
            if self.running():
                # the rest of the messages is not needed
                self.load.send_signal(signal.SIGINT)
            out, err = self.load.communicate(timeout=400)
            self.judge(self.load.returncode, out, err)
            if self.wrong:
                print(self.daemon.log_text()[-4000:], file=sys.stderr)
        finally:
            if self.load is not None and self.load.poll() is None:
                self.load.kill()
                self.load.communicate()
            self.status.close()
            self.daemon.__exit__(None, None, None)
        return self.wrong


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true",
                    help="300 clients (this is the default)")
    ap.add_argument("--long", action="store_true",
                    help="2,000 clients")
    ap.add_argument("--transport", action="append",
                    choices=("websocket", "polling", "upgrade"))
    ap.add_argument("--clients", type=int, default=300)
    ap.add_argument("--kills", type=int, default=3)
    ap.add_argument("--restarts", type=int, default=1)
    ap.add_argument("--rate", type=float, default=40)
    ap.add_argument("--cuts", type=float, default=20)
    args = ap.parse_args()
    if args.long:
        args.clients, args.kills, args.restarts = 2000, 8, 3
        args.rate, args.cuts = 10, 20
    # more than can be said in any time that this takes
    args.messages = 1000000
    transports = args.transport or (
        ["websocket"] if args.long else ["websocket", "polling", "upgrade"])
    failed = 0
    for args.transport in transports:
        with tempfile.TemporaryDirectory(prefix="chatd-recovery-") as d:
            wrong = Run(args, d).run(d + "/status")
        failed += bool(wrong)
        for w in wrong:
            print("%s: %s" % (args.transport, w), flush=True)
    print("%d passed, %d failed" % (len(transports) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
