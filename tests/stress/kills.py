#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Everybody sees the same, whoever is killed.

    kills.py [--short | --long] [--only none|worker|scribe]...

200 clients in 20 sessions over 4 workers, 5 senders in each session.  While
they talk, a worker, or the scribe, is ended with SIGKILL every second.  The
clients come back, join again with afterSeq and send again what was not
acknowledged.  In the end every member must have the same list, numbered
without a gap, each acknowledged message once, and history must be that list:
the load generator compares.

A kill counts only if messages were under way at that instant: written to a
connection that stood, not acknowledged, before the signal and after it.  It
goes on until so many count: a slow machine takes longer for them.
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
SESSIONS, MEMBERS, SENDERS, WORKERS = 20, 10, 5, 4
RUN = 1
# times as long as it takes on a machine that has nothing else to do
PATIENCE = 3


class Status:
    """The counters that the load generator shares while it runs."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(48))
        self.f = open(path, "rb")
        self.map = mmap.mmap(self.f.fileno(), 48, prot=mmap.PROT_READ)

    def read(self):
        names = ("phase", "in_flight", "sent", "acked", "ready",
                 "reconnects")
        return dict(zip(names, struct.unpack_from("6Q", self.map)))

    @property
    def phase(self):
        return struct.unpack_from("Q", self.map, 0)[0]

    @property
    def in_flight(self):
        return struct.unpack_from("Q", self.map, 8)[0]

    def close(self):
        self.map.close()
        self.f.close()


def victim(daemon, kind):
    pids = daemon.children()
    if kind == "scribe":
        return pids.get("scribe")
    workers = [p for k, p in pids.items() if k != "scribe"]
    return random.choice(workers) if workers else None


def kill_one(daemon, kind, status):
    """None: there was nobody to kill; else whether the kill counts."""
    pid = victim(daemon, kind)
    if pid is None:
        return None
    end = time.monotonic() + 0.5
    while status.in_flight == 0 and time.monotonic() < end:
        pass
    before = status.in_flight
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return before > 0 and status.in_flight > 0


def kill_while_running(daemon, kind, status, load, args):
    """Kills and those that count, until there are enough of these."""
    kills = counted = 0
    interval = args.interval
    while load.poll() is None and status.phase < RUN:
        time.sleep(0.01)
    due = time.monotonic() + interval
    give_up = due + PATIENCE * (args.kills + 2) * interval
    while load.poll() is None and status.phase == RUN:
        if kind == "none" or time.monotonic() < due:
            time.sleep(0.002)
            continue
        if counted >= args.kills or time.monotonic() > give_up:
            # the rest of the messages is not needed
            load.send_signal(signal.SIGINT)
            break
        verdict = kill_one(daemon, kind, status)
        if verdict is not None:
            kills += 1
            counted += verdict
        due = time.monotonic() + interval
    return kills, counted


def start_load(daemon, status_path, messages, rate):
    return subprocess.Popen(
        [LOAD, "--json", "--reconnect", "--history",
         "--rooms", str(SESSIONS), "--members", str(MEMBERS),
         "--senders", str(SENDERS), "--rate", "%.1f" % rate,
         "--count", str(messages), "--warmup", "0", "--grace", "60",
         "--status-file", status_path, "127.0.0.1:%d" % daemon.port],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)


def all_alive(daemon):
    """All roles are there again, soon after the last kill."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if len(daemon.children()) == WORKERS + 1:
            return True
        time.sleep(0.1)
    return False


def one(kind, args):
    """Run one kind; kills that count, and what is wrong."""
    messages, rate = args.messages, args.rate
    if kind != "none":
        # about so many until all have been killed, but no end before
        rate = messages / ((args.kills * 1.15 + 2) * args.interval)
        messages *= 2 * PATIENCE
    with tempfile.TemporaryDirectory(prefix="chatd-kills-") as d, \
            Daemon({"workers": WORKERS}) as daemon:
        status = Status(d + "/status")
        load = start_load(daemon, d + "/status", messages, rate)
        try:
            kills, counted = kill_while_running(daemon, kind, status, load,
                                                args)
            out, err = load.communicate(timeout=messages / rate + 240)
        finally:
            if load.poll() is None:
                load.kill()
                load.communicate()
            status.close()
        wrong = [] if all_alive(daemon) else ["a role is missing at the end"]
        if wrong or load.returncode != 0:
            print(daemon.log_text()[-4000:], file=sys.stderr)
    wrong += judge(kind, args, load.returncode, out, err, counted)
    report = json.loads(out) if out else None
    if report:
        t = report["total"]
        print("%-6s  %d messages acknowledged, %d deliveries, %d kills, "
              "%d of them counted, %d reconnects, %d sent again, "
              "%d violations" % (
                  kind, t["acked"], t["deliveries"], kills, counted,
                  t["reconnects"], t["resent"],
                  report["violations"]["total"]), flush=True)
    return counted, report, wrong


def judge(kind, args, code, out, err, counted):
    """Everything that is wrong with a run, as sentences."""
    wrong = []
    if code != 0:
        wrong.append("the load generator says %d: %s" % (code, err))
    if not out:
        return wrong
    total = json.loads(out)["total"]
    sent = args.messages if kind == "none" else total["sent"]
    if total["acked"] != sent:
        wrong.append("%d of %d messages acknowledged" % (total["acked"],
                                                         sent))
    if total["deliveries"] != sent * (MEMBERS - 1):
        wrong.append("%d deliveries" % total["deliveries"])
    if total["history_messages"] != 2 * sent:
        wrong.append("history has %d" % total["history_messages"])
    if kind != "none" and counted < args.kills:
        wrong.append("only %d kills count" % counted)
    if kind == "worker" and total["reconnects"] == 0:
        wrong.append("nobody had to come back")
    return wrong


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true",
                    help="20,000 messages and 30 kills (this is the default)")
    ap.add_argument("--long", action="store_true",
                    help="120,000 messages and 200 kills")
    ap.add_argument("--only", action="append",
                    choices=("none", "worker", "scribe"))
    ap.add_argument("--messages", type=int, default=20000)
    ap.add_argument("--kills", type=int, default=30)
    ap.add_argument("--interval", type=float, default=1.0)
    ap.add_argument("--rate", type=float, default=2000,
                    help="messages a second when nobody is killed")
    args = ap.parse_args()
    if args.long:
        args.messages, args.kills = 120000, 200
    kinds = args.only or ["none", "worker", "scribe"]
    counted = violations = failed = 0
    for kind in kinds:
        n, report, wrong = one(kind, args)
        counted += n
        violations += report["violations"]["total"] if report else 0
        failed += bool(wrong)
        for w in wrong:
            print("%s: %s" % (kind, w), flush=True)
    print("%d kills counted, %d violations" % (counted, violations))
    print("%d passed, %d failed" % (len(kinds) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
