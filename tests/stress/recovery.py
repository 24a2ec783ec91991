#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Whoever comes back goes on where it was cut.

    recovery.py [--short | --long] [--seed N]

Many clients in one busy session.  While a few of them talk, connections are
cut at random, workers end with SIGKILL, and the daemon is restarted, in good
order and by SIGKILL of all of it.  The clients come back with their pid and
their offset.  In the end at least 99.9 % of those that came back must have
been recovered, each must have every message once and in order, and history
must be that list: the load generator compares.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import Daemon  # noqa: E402
from kills import LOAD, RUN, WORKERS, Status, all_alive, victim  # noqa: E402

ENOUGH = 0.999


def start_load(daemon, status_path, args):
    return subprocess.Popen(
        [LOAD, "--json", "--reconnect", "--recover", "--history",
         "--rooms", "1", "--members", str(args.members),
         "--senders", str(args.senders), "--rate", str(args.rate),
         "--seconds", str(args.seconds), "--cut", str(args.cuts),
         "--warmup", "0", "--grace", "60", "--step-timeout", "60",
         "--transport", args.transport, "--seed", str(args.seed),
         "--status-file", status_path, "127.0.0.1:%d" % daemon.port],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)


def kill_everything(daemon):
    """The whole tree at once, as an out-of-memory killer would."""
    pids = [daemon.proc.pid, *daemon.children().values()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    daemon.proc.wait(10)
    daemon.proc = None
    daemon.log.close()


def strike(daemon, how):
    """Do it; the daemon is there again when this returns."""
    if how == "worker":
        pid = victim(daemon, "worker")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return
    if how == "restart":
        daemon.stop()
    else:
        kill_everything(daemon)
    daemon.start()


def strike_while_running(daemon, status, load, args):
    """What was done, by kind, until the last message is sent."""
    done = {"worker": 0, "restart": 0, "kill": 0}
    while load.poll() is None and status.phase < RUN:
        time.sleep(0.01)
    start = time.monotonic()
    plan = [(args.seconds * (i + 0.5) / len(args.strikes), how)
            for i, how in enumerate(args.strikes)]
    for due, how in plan:
        while load.poll() is None and status.phase == RUN and \
                time.monotonic() - start < due:
            time.sleep(0.01)
        if load.poll() is not None or status.phase != RUN:
            break
        strike(daemon, how)
        done[how] += 1
    return done


def judge(code, out, err, done, args):
    """Everything that is wrong with the run, as sentences."""
    if not out:
        return ["the load generator says %d: %s" % (code, err)]
    report = json.loads(out)
    t = report["total"]
    came = t["recovered"] + t["unrecovered"]
    share = t["recovered"] / came if came else 0
    print("%d clients, %d messages, %d deliveries; %d cuts, %d workers "
          "killed, %d restarts, %d kills of all; %d came back, %d recovered "
          "(%.3f %%), %d violations" % (
              args.members, t["acked"], t["deliveries"], t["cuts"],
              done["worker"], done["restart"], done["kill"], came,
              t["recovered"], 100 * share, report["violations"]["total"]),
          flush=True)
    wrong = []
    if code != 0:
        wrong.append("the load generator says %d: %s" % (code, err))
    if report["violations"]["total"]:
        wrong.append(str({k: v for k, v in report["violations"].items()
                          if v}))
    if came < args.members:
        wrong.append("only %d came back" % came)
    if share < ENOUGH:
        wrong.append("only %.3f %% were recovered" % (100 * share))
    if sum(done.values()) < len(args.strikes):
        wrong.append("not everything was done: %s" % done)
    return wrong


def one(args):
    with tempfile.TemporaryDirectory(prefix="chatd-recovery-") as d, \
            Daemon({"workers": WORKERS,
                    "engine.ping_interval": "5s"}) as daemon:
        status = Status(d + "/status")
        load = start_load(daemon, d + "/status", args)
        try:
            done = strike_while_running(daemon, status, load, args)
            out, err = load.communicate(timeout=args.seconds + 240)
        finally:
            if load.poll() is None:
                load.kill()
                load.communicate()
            status.close()
        wrong = judge(load.returncode, out, err, done, args)
        if not all_alive(daemon):
            wrong.append("a role is missing at the end")
        if wrong:
            print(daemon.log_text()[-4000:], file=sys.stderr)
    return wrong


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true",
                    help="300 clients for 25 s (this is the default)")
    ap.add_argument("--long", action="store_true",
                    help="2,000 clients for 90 s")
    ap.add_argument("--members", type=int, default=300)
    ap.add_argument("--senders", type=int, default=4)
    ap.add_argument("--rate", type=float, default=20)
    ap.add_argument("--seconds", type=float, default=25)
    ap.add_argument("--cuts", type=int, default=15)
    ap.add_argument("--transport", default="websocket",
                    choices=("websocket", "polling", "upgrade"))
    ap.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = ap.parse_args()
    args.strikes = ["worker", "restart", "worker", "kill", "worker"]
    if args.long:
        args.members, args.seconds, args.rate = 2000, 90, 8
        args.cuts = 40
        args.strikes = ["worker", "worker", "restart", "worker", "kill",
                        "worker", "restart", "worker"]
    print("seed %d" % args.seed, flush=True)
    wrong = one(args)
    for w in wrong:
        print(w, flush=True)
    print("%d passed, %d failed" % (not wrong, bool(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
