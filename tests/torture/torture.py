#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Nothing acknowledged is ever lost, whatever is done to the daemon.

    torture.py [--ci] [--seconds n] [--seed n] [--keep dir] [--schedule]

Clients talk in many sessions and write down all they do and see.  Meanwhile
every process is killed and stopped at random, the master too, the disk fills
up and is freed, the configuration is loaded again, rings become small.  In
the end everything is killed, the store is read as it was left, the daemon is
started once more, the clients finish, and the checker compares their ledgers
with the store.

The schedule follows from the seed: --schedule prints it.  What the processes
are doing when they are hit does not.  A kill counts only if the process had
unfinished work: messages that were written to it (of a worker: over its own
connections) and not answered before the signal nor right after it.

Run by root, the store stands on a small file system of its own, in a mount
namespace of its own, so that it can be full; otherwise that is left out.
"""

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import Daemon  # noqa: E402

TOOLS = os.path.join(ROOT, os.environ.get("TORTURE", "build/torture"))
RUN, FINISH, QUIT = range(3)
PHASE_RUN, PHASE_DONE = 1, 3

# the rings, as they are at a start and become by a reload
SMALL = {"ring.slots": 64, "ring.arena_bytes": "64k"}
RINGS = (SMALL, {"ring.slots": 1024, "ring.arena_bytes": "1m"}, {}, {})

# what is done, how often compared with the others
ACTIONS = {
    "kill worker": 52, "kill scribe": 24, "kill master": 4, "kill all": 2,
    "stop worker": 7, "stop scribe": 4, "stop master": 2,
    "full disk": 2, "reload": 4, "restart": 1, "kick": 12,
}

# an entry of a ledger; see ledger.h
ENTRY = struct.Struct("<QQQQIIIHBB")
# what the scribe has not seen of streams: it looks once a second, and may be
# stopped, or busy; when the disk is full it tries again after 10 s
STREAMS_MS, STREAMS_FULL_MS = 6000, 25000


class Status:
    """What a client process shares."""

    NAMES = ("command", "phase", "in_flight", "sent", "acked", "ready",
             "deliveries", "reconnects", "recovered", "unrecovered",
             "refused", "duplicates", "stolen", "pages", "edits", "erased",
             "receipts", "streams", "ended", "chunks", "cancelled", "kicked")
    SIZE = 8 * (len(NAMES) + 64)

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(self.SIZE))
        self.f = open(path, "r+b")
        self.map = mmap.mmap(self.f.fileno(), self.SIZE)

    def get(self, name):
        return struct.unpack_from("Q", self.map,
                                  8 * self.NAMES.index(name))[0]

    def at(self, worker):
        return struct.unpack_from("Q", self.map,
                                  8 * (len(self.NAMES) + worker))[0]

    def command(self, n):
        struct.pack_into("Q", self.map, 0, n)


class Clients:
    """The processes that talk."""

    def __init__(self, args, directory, port):
        self.status, self.procs, self.ledgers = [], [], []
        each = args.clients // args.processes
        for i in range(args.processes):
            path = "%s/clients%d" % (directory, i)
            self.status.append(Status(path + ".status"))
            self.ledgers.append(path + ".ledger")
            self.procs.append(subprocess.Popen(
                [TOOLS + "/clients", "--ledger", path + ".ledger",
                 "--status", path + ".status", "--clients", str(each),
                 "--first", str(i * each), "--rooms", str(args.rooms),
                 "--rate", str(args.rate / args.processes),
                 "--seed", str(args.seed), str(port)],
                stdin=subprocess.DEVNULL))

    def sum(self, name):
        return sum(s.get(name) for s in self.status)

    def in_flight(self, worker=None):
        if worker is None:
            return self.sum("in_flight")
        return sum(s.at(worker) for s in self.status)

    def command(self, n):
        for s in self.status:
            s.command(n)

    def running(self):
        return all(p.poll() is None for p in self.procs)

    def wait(self, seconds):
        """Their exit codes; None for those that had to be killed."""
        end = time.monotonic() + seconds
        codes = []
        for p in self.procs:
            try:
                codes.append(p.wait(max(0.1, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                codes.append(None)
        return codes

    def kill(self):
        for p in self.procs:
            if p.poll() is None:
                p.kill()
                p.wait()


class Disk:
    """Where the store stands, and how to make it full."""

    def __init__(self, directory, megabytes):
        self.dir = directory + "/disk"
        self.mounted = False
        os.mkdir(self.dir)
        if os.geteuid() != 0 or os.environ.get("TORTURE_INSIDE") != "1":
            return
        image = directory + "/disk.img"
        with open(image, "wb") as f:
            f.truncate(megabytes << 20)
        loop = ["mkfs.ext4", "-q", "-F", "-m", "0", image], \
            ["mount", "-o", "loop", image, self.dir]
        tmpfs = [["mount", "-t", "tmpfs", "-o", "size=%dm" % megabytes,
                  "torture", self.dir]]
        for way in (loop, tmpfs):
            if all(quiet(c) for c in way):
                self.mounted = True
                return

    def fill(self, seconds):
        """Take all there is, and whatever becomes free, for a while."""
        path = self.dir + "/filler"
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            end = time.monotonic() + seconds
            at, step = 0, 64 << 20
            while time.monotonic() < end:
                try:
                    os.posix_fallocate(fd, at, step)
                    at += step
                except OSError:
                    step = max(step // 2, 4096)
                    time.sleep(0.01 if step == 4096 else 0)
                if step == 4096 and os.statvfs(self.dir).f_bavail > 64:
                    step = 1 << 20
        finally:
            os.close(fd)
            os.unlink(path)

    def close(self):
        if self.mounted:
            for _ in range(50):
                if quiet(["umount", self.dir]):
                    return
                time.sleep(0.1)


def quiet(command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def schedule(args):
    """(how long to wait before, what, a fraction that chooses whom, how
    long it takes), by the seed and without an end."""
    rng = random.Random(args.seed)
    while True:
        gap = rng.uniform(0.3, 1.7) * args.interval
        what = rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        length = rng.choice((0.02, 0.1, 0.4, 1.2)) * (0.5 + rng.random())
        if what == "full disk":
            length = 1 + 6 * rng.random()
        yield gap, what, rng.random(), length


class Torture:
    def __init__(self, args, directory):
        self.args, self.dir = args, directory
        self.rng = random.Random(args.seed + 1)
        self.disk = Disk(directory, args.megabytes)
        # events that fit the smallest rings
        self.daemon = Daemon({"workers": args.workers,
                              "limits.sessions_per_socket": 0,
                              "limits.event_bytes": "8k"},
                             data_dir=self.disk.dir + "/data")
        self.daemon.conf = directory + "/chatd.conf"
        self.clients = None
        self.sent = dict.fromkeys([*ACTIONS, "kill stopped"], 0)
        self.counted = dict(self.sent)
        self.starts = 0
        self.small_starts = 0
        self.wrong = []
        # when to wake up, or end, whom that was stopped
        self.stopped = []
        self.filling = None
        # until when the disk was full
        self.filled = 0
        self.deaths = []

    # --- the daemon

    def dies(self):
        """Now, all of it, without having been asked."""
        now = time.monotonic_ns()
        full = self.filling or now < self.filled + STREAMS_FULL_MS * 10**6
        self.deaths.append((now, STREAMS_FULL_MS if full else STREAMS_MS))

    def write_deaths(self):
        path = self.dir + "/harness.ledger"
        table = os.path.join(HERE, "tbl_kind.h")
        with open(table) as f:
            kinds = [x.split("(")[1].split(",")[0] for x in f
                     if x.startswith("KIND(")]
        nobody = 0xffffffff
        with open(path, "wb") as f:
            for now, ms in self.deaths:
                f.write(ENTRY.pack(now, 0, 0, 0, nobody, 0, ms, 0,
                                   kinds.index("DIED"), 0))
            f.write(ENTRY.pack(0, 0, 0, 0, nobody, 0, 0, 0,
                               kinds.index("END"), 0))
        return [path]

    def start(self):
        """As systemd would: again and again until it runs."""
        # who was stopped would keep the lock for ever
        self.wake(all_of_them=True)
        small = self.configure(self.rng.random())
        end = time.monotonic() + 90
        while True:
            try:
                self.daemon.start()
                self.starts += 1
                self.small_starts += small
                return
            except RuntimeError as e:
                self.reap()
                if time.monotonic() > end:
                    raise RuntimeError("it does not start: %s"
                                       % str(e)[-2000:])
                time.sleep(0.1)

    def configure(self, fraction):
        """Write the file; whether the rings are to be small."""
        rings = SMALL if self.args.small else \
            RINGS[int(fraction * len(RINGS))] if self.args.mix else {}
        with open(self.daemon.conf, "w") as f:
            for name, value in rings.items():
                f.write("%s = %s\n" % (name, value))
        return rings is SMALL

    def reap(self):
        p = self.daemon.proc
        if p is None:
            return
        if p.poll() is None:
            p.kill()
        p.wait()
        self.daemon.proc = None
        self.daemon.log.close()

    def pids(self):
        try:
            return self.daemon.children()
        except OSError:
            return {}

    def pick(self, role, fraction, seconds=60):
        """A living process of that role: (pid, its worker slot or None)."""
        if role == "master":
            return self.daemon.proc.pid, None
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.clients.running():
            pids = self.pids()
            if role == "scribe" and "scribe" in pids:
                return pids["scribe"], None
            slots = sorted(k for k in pids if k != "scribe")
            # one that has something under way, if any has
            busy = [k for k in slots if self.clients.in_flight(k) > 0]
            if role == "worker" and (busy or slots):
                slots = busy or slots
                slot = slots[int(fraction * len(slots))]
                return pids[slot], slot
            time.sleep(0.005)
        self.wrong.append("no %s for %d s" % (role, seconds))
        return None, None

    def kill(self, what, pids, slot):
        """kill -9; it counts if work was under way before and after."""
        end = time.monotonic() + 0.3
        while self.clients.in_flight(slot) == 0 and time.monotonic() < end:
            time.sleep(0)
        before = self.clients.in_flight(slot)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
        after = self.clients.in_flight(slot)
        self.sent[what] += 1
        self.counted[what] += before > 0 and after > 0

    # --- what is done

    def kill_worker(self, fraction, length):
        pid, slot = self.pick("worker", fraction)
        if pid:
            self.kill("kill worker", [pid], slot)

    def kill_scribe(self, fraction, length):
        pid, _ = self.pick("scribe", fraction)
        if pid:
            self.kill("kill scribe", [pid], None)

    def kill_master(self, fraction, length):
        self.dies()
        self.kill("kill master", [self.daemon.proc.pid], None)
        self.reap()
        self.start()

    def kill_all(self, fraction, length):
        pids = [self.daemon.proc.pid, *self.pids().values()]
        self.dies()
        self.kill("kill all", pids, None)
        self.reap()
        self.start()

    def stop_one(self, role, fraction, length):
        pid, slot = self.pick(role, fraction)
        if not pid:
            return
        what = "stop " + role
        self.sent[what] += 1
        before = self.clients.in_flight(slot)
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return
        self.counted[what] += before > 0
        # some never wake up again
        self.stopped.append((time.monotonic() + length, pid, slot,
                             role != "master" and fraction > 0.8))

    def wake(self, all_of_them=False):
        """Those whose time has come go on, or end."""
        now = time.monotonic()
        due = [s for s in self.stopped if all_of_them or s[0] <= now]
        self.stopped = [s for s in self.stopped if s not in due]
        for _, pid, slot, end in due:
            try:
                if end:
                    self.kill("kill stopped", [pid], slot)
                else:
                    os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.wake()
            time.sleep(min(0.01, max(0, end - time.monotonic())))

    def stop_worker(self, fraction, length):
        self.stop_one("worker", fraction, length)

    def stop_scribe(self, fraction, length):
        self.stop_one("scribe", fraction, length)

    def stop_master(self, fraction, length):
        self.stop_one("master", fraction, length)

    def full_disk(self, fraction, length):
        if not self.disk.mounted or self.filling:
            return
        self.sent["full disk"] += 1

        def fill():
            before = self.clients.sum("refused")
            self.disk.fill(length)
            self.counted["full disk"] += self.clients.sum("refused") > before
            self.filled = time.monotonic_ns()
            self.filling = None
        self.filling = threading.Thread(target=fill)
        self.filling.start()

    def reload(self, fraction, length):
        """With other rings, mostly, while everybody works."""
        self.sent["reload"] += 1
        self.configure(fraction)
        try:
            self.daemon.ctl("reload")
            self.counted["reload"] += 1
        except RuntimeError:
            # a child may just have been killed: then nothing has changed
            pass

    def kick(self, fraction, length):
        """One of those who talk; their clients come back at once."""
        self.sent["kick"] += 1
        user = int(fraction * self.args.clients)
        before = self.clients.sum("kicked")
        try:
            self.daemon.ctl("kick", "t%x-u%x" % (self.args.seed, user),
                            "torture")
        except RuntimeError:
            # nobody is connected, or everybody is busy with a death
            return
        end = time.monotonic() + 1
        while self.clients.sum("kicked") == before and \
                time.monotonic() < end:
            time.sleep(0.01)
        self.counted["kick"] += self.clients.sum("kicked") > before

    def restart(self, fraction, length):
        self.sent["restart"] += 1
        self.wake(all_of_them=True)
        self.counted["restart"] += self.clients.in_flight() > 0
        try:
            if fraction < 0.5:
                self.daemon.ctl("stop")
                self.daemon.proc.wait(60)
                self.reap()
            else:
                self.daemon.stop(timeout=60)
        except subprocess.TimeoutExpired:
            self.wrong.append("it does not stop")
            self.reap()
        except RuntimeError as e:
            self.wrong.append("chatctl stop: %s" % e)
            self.reap()
        self.start()

    # --- the run

    def chaos(self):
        began = time.monotonic()
        for gap, what, fraction, length in schedule(self.args):
            self.sleep(gap)
            at = time.monotonic() - began
            if at > self.args.seconds or not self.clients.running():
                break
            if self.daemon.proc.poll() is not None:
                self.wrong.append("the master ended by itself: %s"
                                  % self.daemon.proc.returncode)
                self.reap()
                self.start()
            if self.args.verbose:
                print("%7.2f %-12s %.3f %.2f  acked %d, under way %d" % (
                    at, what, fraction, length, self.clients.sum("acked"),
                    self.clients.in_flight()), flush=True)
            getattr(self, what.replace(" ", "_"))(fraction, length)
        if self.filling:
            self.filling.join()
        return time.monotonic() - began

    def dump(self, name, *options):
        path = "%s/%s.dump" % (self.dir, name)
        p = subprocess.run(
            [TOOLS + "/dump", "--seed", str(self.args.seed), "--out", path,
             *options], capture_output=True, text=True)
        if p.returncode != 0:
            self.wrong.append("%s: %s" % (name, p.stderr.strip()))
            return []
        return [path]

    def until_ready(self):
        end = time.monotonic() + 120
        while self.clients.running() and time.monotonic() < end:
            if all(s.get("phase") >= PHASE_RUN for s in self.clients.status):
                return
            time.sleep(0.05)
        raise RuntimeError("the clients are not ready")

    def end(self):
        """The last kill, the dumps; their files."""
        began = time.monotonic()
        self.kill_processes()
        data = self.disk.dir + "/data"
        dumps = self.dump("killed", "--store", data)
        self.start()
        self.clients.command(FINISH)
        codes = self.clients.wait(200)
        if self.args.verbose:
            print("the clients were done after %.1f s" % (
                time.monotonic() - began))
        if any(c != 0 for c in codes):
            self.wrong.append("the clients ended with %s" % codes)
        dumps += self.dump("daemon", "--final", "--port",
                           str(self.daemon.port), "--rooms",
                           str(self.args.rooms))
        self.daemon.stop(timeout=60)
        return dumps + self.dump("final", "--final", "--store", data)

    def kill_processes(self):
        """All at once, and nobody is there any more."""
        self.wake(all_of_them=True)
        pids = [self.daemon.proc.pid, *self.pids().values()]
        self.dies()
        self.kill("kill all", pids, None)
        self.reap()
        end = time.monotonic() + 20
        while time.monotonic() < end and any(lives(p) for p in pids):
            time.sleep(0.01)

    def check(self, files):
        began = time.monotonic()
        p = subprocess.run([TOOLS + "/check", *files], capture_output=True,
                           text=True)
        sys.stderr.write(p.stderr[-8000:])
        if not p.stdout:
            self.wrong.append("the checker ended with %d" % p.returncode)
            return None
        report = json.loads(p.stdout)
        report["check_s"] = time.monotonic() - began
        return report

    def run(self):
        self.start()
        self.clients = Clients(self.args, self.dir, self.daemon.port)
        try:
            self.until_ready()
            seconds = self.chaos()
            acked = self.clients.sum("acked")
            dumps = self.end()
        finally:
            self.clients.kill()
        report = self.check(self.clients.ledgers + self.write_deaths() +
                            dumps)
        return self.tell(report, acked, seconds)

    def tell(self, report, acked, seconds):
        a, c = self.args, self.clients
        kills = sum(n for k, n in self.sent.items() if k[:4] == "kill")
        counted = sum(n for k, n in self.counted.items() if k[:4] == "kill")
        rate = acked / seconds
        print("seed %d: %d clients, %.0f s, %d acknowledged: %.0f a second" %
              (a.seed, a.clients, seconds, acked, rate))
        print("kills: %d sent, %d counted (%s)" % (kills, counted, ", ".join(
            "%s %d of %d" % (k, self.counted[k], n)
            for k, n in self.sent.items() if n)))
        print("the daemon was started %d times (%d with small rings), %d "
              "connections were lost, %d sockets recovered, %d not; %d "
              "refusals, %d duplicates, %d stolen ids, %d pages" % (
                  self.starts, self.small_starts, c.sum("reconnects"),
                  c.sum("recovered"), c.sum("unrecovered"), c.sum("refused"),
                  c.sum("duplicates"), c.sum("stolen"), c.sum("pages")))
        print("%d edits, %d deletions, %d receipts; %d streams, %d ended with "
              "an acknowledgement, %d chunks seen, %d cancelled; %d sockets "
              "kicked" % tuple(c.sum(n) for n in (
                  "edits", "erased", "receipts", "streams", "ended", "chunks",
                  "cancelled", "kicked")))
        if not self.disk.mounted:
            print("the disk was never full: that takes root")
        kinds = subprocess.run([TOOLS + "/check", "--list"],
                               capture_output=True, text=True,
                               check=True).stdout.split()
        bad = len(kinds)
        if report:
            print("checked in %.1f s: %d stored, %d answers, %d deliveries, "
                  "%d joins, %d pages, %d retries, %d changes and %d receipts "
                  "answered, %d delivered, %d streams, %d answered, %d chunks, "
                  "%d ends cut short; %d violations" % (
                      report["check_s"], report["stored"], report["acks"],
                      report["deliveries"], report["joins"], report["pages"],
                      report["retries"], report["changes"],
                      report["receipts"], report["revised"],
                      report["streams"], report["ended"], report["chunks"],
                      report["cut"], report["violations"]))
            bad = len(report["by"])
        if a.strict and rate < 1000:
            self.wrong.append("%.0f messages a second, want 1000" % rate)
        if a.strict and counted < a.kills:
            self.wrong.append("%d kills count, want %d" % (counted, a.kills))
        for what in ("acked", "edits", "erased", "receipts", "ended",
                     "chunks"):
            if c.sum(what) == 0:
                self.wrong.append("nothing: " + what)
        for w in self.wrong:
            print("wrong: " + w)
        print("%d passed, %d failed" % (len(kinds) - bad,
                                        bad + len(self.wrong)))
        return bad + len(self.wrong)


def options():
    ap = argparse.ArgumentParser()
    ap.add_argument("--ci", action="store_true",
                    help="a slice: 30 s, fewer clients")
    ap.add_argument("--seconds", type=float)
    ap.add_argument("--seed", type=int, default=int(time.time()))
    ap.add_argument("--interval", type=float, default=1.0,
                    help="mean time between two actions")
    ap.add_argument("--clients", type=int, default=300)
    ap.add_argument("--processes", type=int, default=2)
    ap.add_argument("--rooms", type=int, default=80)
    ap.add_argument("--rate", type=float, default=1800,
                    help="messages a second that the clients want to send")
    ap.add_argument("--workers", type=int, default=4)
    ap.add_argument("--megabytes", type=int, default=6144,
                    help="of the file system, when there is one")
    ap.add_argument("--small", action="store_true",
                    help="rings of 64 slots, always")
    ap.add_argument("--mix", action="store_true", default=True,
                    help="other rings now and then (this is the default)")
    ap.add_argument("--no-mix", dest="mix", action="store_false")
    ap.add_argument("--strict", action="store_true",
                    help="1,000 messages a second and --kills or fail")
    ap.add_argument("--kills", type=int, default=1000)
    ap.add_argument("--keep", help="directory that keeps ledgers and log")
    ap.add_argument("--schedule", action="store_true",
                    help="print what would be done")
    ap.add_argument("-v", "--verbose", action="store_true")
    args = ap.parse_args()
    if args.seconds is None:
        args.seconds = 30 if args.ci else 600
    if args.ci:
        args.clients, args.rooms = 120, 30
        args.rate, args.megabytes = 1200, 1024
    return args


def inside():
    """A mount namespace of our own, if we may have one."""
    if os.geteuid() != 0 or os.environ.get("TORTURE_INSIDE"):
        return
    if quiet(["unshare", "-m", "--propagation", "private", "true"]):
        os.environ["TORTURE_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private",
                              sys.executable, *sys.argv])


def main():
    args = options()
    if args.schedule:
        at = 0
        for gap, what, fraction, length in schedule(args):
            at += gap
            if at > args.seconds:
                return 0
            print("%8.2f %-12s %.3f %.2f" % (at, what, fraction, length))
    inside()
    # who is ended in good order leaves nothing behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="chatd-torture-")
    # the daemon reads its file there as somebody else
    os.chmod(directory, 0o755)
    t = Torture(args, directory)
    failed = 1
    try:
        failed = t.run()
    except RuntimeError as e:
        print("wrong: %s" % e)
        print("0 passed, 1 failed")
    finally:
        t.reap()
        if failed:
            print("--- the end of the daemon's log")
            print(t.daemon.log_text()[-6000:])
        if args.keep:
            os.makedirs(args.keep, exist_ok=True)
            for f in os.listdir(directory):
                if f.endswith((".ledger", ".dump")):
                    shutil.copy(os.path.join(directory, f), args.keep)
            shutil.copy(t.daemon.dir + "/log", args.keep + "/log")
        t.disk.close()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(t.daemon.dir, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
