#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Every fault point, its first three hits, whatever can happen there.

    enumerate.py [--short] [--seed n] [--jobs n] [--only pattern] [-v]

A daemon with the smallest rings (64 slots) and 3 workers; 6 members in two
rooms, two more who lose their connection all the time and are recovered,
others who come, go, poll, upgrade; two agents who write, and two who look;
chatctl and reloads.  One point after the
other is armed: at its k-th hit the process that comes there is killed, or
stopped for 100 ms, or its call fails.  Once that has happened all roles must
be back, and a message of each member, sent afterwards, must be acknowledged
and delivered to all.  All the time, and by reading the whole history in
between: what was acknowledged is there, once, at the place that was told;
what was delivered is there; all see one order without a gap.  In the end
everybody hangs up, and nothing may be left in tables and descriptors.

A point that nobody comes to is a failure: then the scenario lacks something.
The master is started again when it was killed, as systemd would do it.
"""
import argparse
import errno
import fnmatch
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
import faults  # noqa: E402
from around import Around  # noqa: E402
from faults import ABORT, FAIL, KILL, STOP, Host, read_table  # noqa: E402
from streams import add_streams  # noqa: E402
from talk import Churner, Member  # noqa: E402
from world import WELL_S, World  # noqa: E402

SMALL = {"ring.slots": 64, "ring.arena_bytes": "64k",
         "limits.event_bytes": "8k", "stream.resume": "1s"}
HITS = 3
# how long it may take until somebody comes to a point: the machine is busy
COME_S = 60
# after so many cases everything is looked at
AUDIT = 60
SHORT_CASES = 48

# what must be done so that somebody comes there; else the load is enough
SCENARIOS = [
    ("DEAL_RESCUE", "rescue"),
    ("DEAL_BURIED BURY_RING BURY_USERS BURY_CLIENTS EQUIP* MASTER_R* "
     "SPAWN* HELLO_SENT BURY_KICK WORKER_JOINED JOIN_WANTED LIVE_JOINED "
     "ADMIT_CURSOR ORPHANS_* STREAM_CLAIMED", "worker dies"),
    ("BURY_SCRIBE SCRIBE_OPEN SCRIBE_SYNCED SCRIBE_RESUME STORE_SYNC "
     "DISK_FSYNC EXPIRE SWEEP STEER_SWEEP", "scribe dies"),
    ("CHILD_HELLO CHILD_ATTACHED CHILD_READY DISK_OPEN", "role dies"),
    ("BEGIN_LOG", "restart"),
    ("STOP_STEP STOPPED GOODBYE SCRIBE_STOP", "restart"),
    ("LIVE_EVICTED", "reader stalls"),
    ("EVICTED REJOIN_* PUBLISH_QUEUED PUBLISH_FLUSH "
     "PUBLISH_AGAIN SPACE_TAKEN", "worker stalls"),
    ("SCRIBE_FAILED", "commit fails"),
    ("CLERK_COPY", "backup"), ("CLERK_EXPORT", "export"),
    ("CLERK_COMPACT", "compact"), ("CLERK_*", "clerk"),
    ("BALLAST_USED", "no space"),
    ("MERGE_*", "many messages"),
    ("STREAMS_COMMIT*", "scribe alone"),
    ("STREAM_MARKED STREAM_PUNCHED", "many streams"),
    ("RING_CLOSED RINGS_* SWITCH_*", "rings change"),
]
ERRORS = {"DISK_FSYNC": [], "STORE_SYNC": [errno.EIO],
          "STORE_BEGIN": [errno.ENOMEM], "STORE_GET": [errno.EIO],
          "STORE_SNAPSHOT": [errno.EUSERS]}
# dies of its own, and may leave a core
ABORTS = ("COPY_HALF", "DELIVER_HALF", "MID_BATCH", "SEQ_MESSAGE",
          "DISK_PAGES_HALF", "READER_TAKEN")
ALWAYS = ("STORE_*", "DISK_*", "BEFORE_COMMIT", "AFTER_COMMIT",
          "BEFORE_DURABLE", "AFTER_DURABLE")


# reached by a daemon of their own (webhook.py)
ELSEWHERE = ("BRIDGE_*", "ASK_*", "WEBHOOK_*")


def scenario_of(name):
    for names, scenario in SCENARIOS:
        if any(fnmatch.fnmatchcase(name, n) for n in names.split()):
            return scenario
    return None


class Case:
    def __init__(self, name, role, action, hit, value=0):
        self.name, self.role, self.action = name, role, action
        self.hit, self.value = hit, value

    def __str__(self):
        what = {KILL: "kill", STOP: "stop", FAIL: "error",
                ABORT: "abort"}[self.action]
        if self.action == FAIL:
            what = errno.errorcode[self.value]
        return "%s %s %d %s" % (self.name, self.role, self.hit, what)


def all_cases(table):
    for name, who, _ in table:
        if any(fnmatch.fnmatchcase(name, n) for n in ELSEWHERE):
            continue
        for role in who.replace("e", ""):
            if name in ABORTS:
                yield Case(name, role, ABORT, 1)
            for hit in range(1, HITS + 1):
                yield Case(name, role, KILL, hit)
                yield Case(name, role, STOP, hit)
                if "e" in who:
                    for e in ERRORS.get(name, [errno.EIO, errno.ENOSPC]):
                        yield Case(name, role, FAIL, hit, e)


class Run(World):
    """One daemon, and the cases that it goes through."""

    def __init__(self, args, seed):
        random.seed(seed)
        self.args = args
        super().__init__(Host(SMALL))
        for room in ("r0", "r1"):
            self.talk.add(Member(self.talk, "back" + room, room, True))
        for i in range(3):
            self.talk.add(Churner(self.talk, "c%d" % i))
        self.book = add_streams(self.talk)
        self.around = None
        self.failed = []
        self.passed = 0
        self.outcomes = {}
        self.audits = 0
        self.files = {}
        self.tools = []

    def start(self):
        self.host.spawn()
        if faults.wait_for(self.host.ready, WELL_S):
            self.files = self.open_files()
        why = self.well()
        if why is not None:
            raise RuntimeError("no daemon: %s\n%s" % (
                why, self.host.log_text()[-3000:]))
        self.around = Around(self.host)

    # --- what makes somebody come to a point

    def trigger(self, scenario):
        h = self.host
        pids = h.children()
        workers = [p for k, p in pids.items() if k != "scribe"]
        if scenario == "role dies":
            scenario = random.choice(["worker dies", "scribe dies"])
        if scenario == "worker dies" and workers:
            h.signal(random.choice(workers), signal.SIGKILL)
        elif scenario == "scribe dies":
            h.signal(pids.get("scribe"), signal.SIGKILL)
        elif scenario == "restart":
            if h.proc.poll() is None:
                h.proc.terminate()
        elif scenario in ("worker stalls", "reader stalls") and workers and \
                not self.stalled:
            pid = random.choice(workers)
            if h.signal(pid, signal.SIGSTOP):
                self.stalled = (pid, time.monotonic() + 0.6)
        elif scenario == "rings change":
            h.change_rings()
        elif scenario == "scribe alone":
            # it writes what there is when nobody has anything else for it
            for p in workers:
                h.signal(p, signal.SIGSTOP)
            self.pump(1.5)
            for p in workers:
                h.signal(p, signal.SIGCONT)
        elif scenario in ("clerk", "backup", "export", "compact"):
            self.clerk(scenario)
        elif scenario == "no space":
            h.faults.arm("DISK_PAGES", FAIL, times=30, roles="s",
                         value=errno.ENOSPC)
        elif scenario == "commit fails":
            h.faults.arm("DISK_PAGES", FAIL, value=errno.EIO)
        elif scenario == "rescue" and workers:
            self.rescue(random.choice(workers))

    def clerk(self, what, wait=False):
        """A long command; it may be killed.  With 'wait': its status."""
        out = self.host.dir + "/out"
        if what == "clerk":
            what = random.choice(["backup", "export", "verify"])
        args = {"backup": ["backup", out], "export": ["export", "w/r0", out],
                "compact": ["compact"], "verify": ["verify"]}[what]
        if os.path.exists(out):
            os.unlink(out)
        p = subprocess.Popen([faults.BUILD + "/chatctl", "-s", self.host.sock,
                              *args], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.tools.append(p)
        end = time.monotonic() + (WELL_S if wait else 0.3)
        while p.poll() is None and time.monotonic() < end:
            self.pump(0.02)
        for t in [t for t in self.tools if t.poll() is not None]:
            said = t.communicate()[0].decode(errors="replace")
            self.tools.remove(t)
            if t is p and wait:
                return p.returncode, said
        return None, "it does not end"

    def verify(self):
        """What the daemon itself thinks of its store."""
        status, said = self.clerk("verify", True)
        return [] if status == 0 else ["verify: %s %s" % (status,
                                                          said[-500:])]

    def rescue(self, pid):
        """A worker gets clients, and dies before it takes them."""
        import socket
        if not self.host.signal(pid, signal.SIGSTOP):
            return
        conns = []
        for _ in range(12):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.host.port))
            conns.append(s)
        self.pump(0.1)
        self.host.signal(pid, signal.SIGKILL)
        for s in conns:
            s.close()

    # --- one case

    def provoke(self, case):
        """True: it has happened."""
        f = self.host.faults
        scenario = scenario_of(case.name)
        fired = f.get(case.name, faults.FIRED)
        f.arm(case.name, case.action, case.hit, 1, case.role, -1, case.value)
        if scenario in ("worker stalls", "many messages"):
            self.talk.flood()
        elif scenario == "reader stalls":
            self.talk.chatter()
        self.talk.crowd = scenario == "many streams"
        end = time.monotonic() + COME_S
        due = time.monotonic() + (0.02 if scenario else 1.0)
        while time.monotonic() < end:
            self.pump(0.01)
            if f.get(case.name, faults.FIRED) != fired:
                break
            if time.monotonic() < due:
                continue
            if scenario is not None:
                self.trigger(scenario)
            due = time.monotonic() + 0.7
        happened = f.get(case.name, faults.FIRED) != fired
        self.talk.calm()
        f.clear()
        return happened

    def one(self, case):
        before = len(self.talk.ledger.wrong)
        began = time.monotonic()
        wrong = []
        if not self.provoke(case):
            wrong.append("nobody came there in %d s" % COME_S)
        why = self.well()
        if why is not None:
            wrong.append("%s after %d s" % (why, WELL_S))
        wrong += self.talk.ledger.wrong[before:]
        if self.args.v:
            print("%-32s %.1f s%s" % (case, time.monotonic() - began,
                                      "".join("\n    " + w for w in wrong)),
                  flush=True)
        kind = str(case).rsplit(" ", 1)[1]
        self.outcomes[kind] = self.outcomes.get(kind, 0) + 1
        self.tell(str(case), wrong)
        return why is None

    def tell(self, what, wrong):
        if wrong:
            self.failed.append("%s: %s" % (what, "; ".join(wrong)))
            print(self.failed[-1], flush=True)
        else:
            self.passed += 1

    # --- everything

    def open_files(self):
        pids = {"master": self.host.proc.pid, **self.host.children()}
        return {str(k): len(os.listdir("/proc/%d/fd" % p))
                for k, p in pids.items()}

    def left_over(self):
        """What is left when everybody has hung up."""
        wrong = {}

        def clean():
            wrong.clear()
            try:
                status = self.host.ask("status")
                gauges = self.host.ask("stats")["gauges"]
                files = self.open_files()
            except OSError as e:
                wrong["chatctl"] = str(e)
                return False
            if status["connections"]:
                wrong["connections"] = status["connections"]
            # the one is what there is, the other given back slowly
            wrong.update({k: v for k, v in gauges.items() if v and k not in
                          ("stream_memory", "stream_backed")})
            # the ballast, the log, a chatctl may be open just now
            wrong.update({k + "'s files": n for k, n in files.items()
                          if n > self.files[k] + 2})
            return not wrong
        self.until(clean, 20)
        return ["%s is %s" % x for x in wrong.items()]

    def audit(self):
        """Stop talking: is everything where it belongs?"""
        before = len(self.talk.ledger.wrong)
        self.audits += 1
        self.talk.quiet = self.around.paused = True
        wrong = []
        settled = self.until(lambda: all(
            not m.pending and not m.changing and m.joined
            for m in self.talk.members), WELL_S)
        if not settled:
            wrong.append("not all is answered")
        self.talk.ledger.changes.mark()
        if not self.until(lambda: all(
                m.revision >= self.talk.ledger.changes.due.get(m.room, 0)
                for m in self.talk.members), WELL_S):
            wrong.append("not all have been told what was changed")
        wrong += self.read_all()
        wrong += self.verify()
        self.talk.hang_up()
        wrong += self.left_over()
        for m in self.talk.members:
            m.sid = m.pid = m.offset = None
        self.talk.come_back()
        self.talk.quiet = self.around.paused = False
        why = self.well()
        if why is not None:
            wrong.append(why)
        wrong += self.talk.ledger.wrong[before:]
        self.tell("audit %d" % self.audits, wrong)

    def again(self):
        """What is stuck or wrong stays so: the rest begins anew."""
        self.around.end()
        self.talk.hang_up()
        self.host.end(self.args.keep)
        fresh = Run(self.args, random.random())
        self.host, self.talk = fresh.host, fresh.talk
        self.stalled, self.spawn_at = None, 0
        self.start()

    def run(self, cases):
        self.start()
        try:
            for n, case in enumerate(cases):
                if not self.one(case):
                    self.again()
                if (n + 1) % AUDIT == 0:
                    self.audit()
            self.audit()
        finally:
            self.around.end()
            self.around.paused = True
            keep = bool(self.failed) and self.args.keep
            self.talk.hang_up()
            self.host.end(keep)
            if keep:
                print("kept %s" % self.host.dir)
        missing = len(cases) - sum(self.outcomes.values())
        if missing:
            self.failed.append("%d cases were not tried" % missing)


def choose(args):
    cases = [c for c in all_cases(read_table())
             if not args.only or fnmatch.fnmatchcase(c.name, args.only)]
    rnd = random.Random(args.seed)
    rnd.shuffle(cases)
    if not args.short:
        return cases
    # one of each of the store's points, and some of the others
    chosen, seen = [], set()
    for c in cases:
        if c.name not in seen and any(fnmatch.fnmatchcase(c.name, p)
                                      for p in ALWAYS):
            chosen.append(c)
            seen.add(c.name)
    for c in cases:
        if c.name not in seen and len(chosen) < SHORT_CASES:
            chosen.append(c)
            seen.add(c.name)
    return chosen


def part(args):
    i, n = map(int, args.part.split("/"))
    cases = choose(args)[i::n]
    run = Run(args, args.seed * 1000 + i)
    run.run(cases)
    led = run.talk.ledger
    with open(args.result, "w") as f:
        json.dump({
            "passed": run.passed, "failed": run.failed,
            "names": sorted({c.name for c in cases}),
            "outcomes": run.outcomes, "total": {
                "acknowledged": led.acked, "delivered": led.delivered,
                "duplicates": led.duplicates, "refused": led.refused,
                "changes": led.changes.acked,
                "changes told": led.changes.told,
                "recovered": sum(m.recovered for m in run.talk.members),
                "starts": run.host.starts, "polls": run.around.polled,
                "upgrades": run.around.upgraded,
                "reloads": run.around.reloaded, "audits": run.audits}}, f)
    return 1 if run.failed else 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--seed", type=int, default=int(time.time()) // 60)
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--only")
    ap.add_argument("--keep", action="store_true")
    ap.add_argument("--part", help=argparse.SUPPRESS)
    ap.add_argument("--result", help=argparse.SUPPRESS)
    ap.add_argument("-v", action="store_true")
    args = ap.parse_args()
    if args.part:
        return part(args)
    began = time.monotonic()
    cases = choose(args)
    print("seed %d, %d cases" % (args.seed, len(cases)), flush=True)
    pass_on = [x for on, x in ((args.short, "--short"), (args.v, "-v"),
                               (args.keep, "--keep")) if on]
    if args.only:
        pass_on += ["--only", args.only]
    with tempfile.TemporaryDirectory() as d:
        jobs = [subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--part", "%d/%d" % (
                i, args.jobs), "--seed", str(args.seed),
             "--result", "%s/%d" % (d, i), *pass_on])
            for i in range(args.jobs)]
        parts = []
        for i, job in enumerate(jobs):
            job.wait()
            try:
                with open("%s/%d" % (d, i)) as f:
                    parts.append(json.load(f))
            except (OSError, ValueError):
                parts.append({"failed": ["a part ended with %d" %
                                         job.returncode]})
    return judge(parts, len(cases), time.monotonic() - began)


def add_up(parts, key):
    total = {}
    for part_ in parts:
        for k, v in part_.get(key, {}).items():
            total[k] = total.get(k, 0) + v
    return ", ".join("%s %d" % x for x in sorted(total.items()))


def judge(parts, ncases, seconds):
    failed = [f for p in parts for f in p["failed"]]
    passed = sum(p.get("passed", 0) for p in parts)
    names = {n for p in parts for n in p.get("names", ())}
    for f in failed:
        print("FAILED " + f)
    print("%d fault points of %d, %d cases (%s) in %.0f s" % (
        len(names), len(read_table()), ncases, add_up(parts, "outcomes"),
        seconds))
    print(add_up(parts, "total"))
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
