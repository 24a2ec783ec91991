#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Small rings, and rings that change while everybody talks.

The load generator sends, comes back when its worker was killed, and compares:
each message acknowledged once, to all members once, in one order, numbered
without a gap, and history the same.

    test_resize.py [--cycles N] [name...]
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../stress"))
from chatd import Daemon  # noqa: E402
from kills import LOAD, Status, RUN  # noqa: E402

CYCLES = 20
WORKERS = 3
ROOMS, MEMBERS, SENDERS = 9, 6, 4
# 8k events fit the smallest arena
SMALL = {"limits.event_bytes": "8k", "limits.message_length": 2000,
         "limits.metadata_bytes": "4k"}


class Resizable(Daemon):
    """Its rings are in a file, so that a reload can change them."""

    def __init__(self, options=None, slots=64, arena="64k"):
        super().__init__({"workers": WORKERS, **SMALL, **(options or {})})
        for name in ("ring.slots", "ring.arena_bytes"):
            self.options.pop(name, None)
        os.chmod(self.dir, 0o755)
        self.conf = self.dir + "/conf"
        self.loads = []
        self.write(slots, arena)

    def __exit__(self, *exc):
        for load in self.loads:
            load.stop()
        if exc[0] is not None:
            print(self.log_text()[-6000:], file=sys.stderr)
        super().__exit__(*exc)

    def write(self, slots, arena="64k", more=""):
        with open(self.conf + ".new", "w") as f:
            f.write("ring.slots = %d\nring.arena_bytes = %s\n%s" %
                    (slots, arena, more))
        os.rename(self.conf + ".new", self.conf)

    def reload(self):
        """None, or why not."""
        try:
            self.ctl("reload")
        except RuntimeError as e:
            return str(e)
        return None

    def geometry(self):
        rings = self.ctl("ring")
        return {(rings[r]["slots"], rings[r]["arena_bytes"])
                for r in ("log", "live")}

    def counters(self):
        return self.ctl("stats")["counters"]

    def wait_ready(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self.children()) == WORKERS + 1 and \
                    self.ctl("status")["state"] == "running" and \
                    all(w["state"] == "ready" for w in self.ctl("workers")):
                return
            time.sleep(0.05)
        raise RuntimeError("not all are there: " + self.log_text()[-2000:])


class Load:
    """The load generator, and what it says in the end."""

    def __init__(self, daemon, *args):
        self.path = daemon.dir + "/status"
        self.status = Status(self.path)
        daemon.loads.append(self)
        self.p = subprocess.Popen(
            [LOAD, "--json", "--history", "--rooms", str(ROOMS),
             "--members", str(MEMBERS), "--senders", str(SENDERS),
             "--warmup", "0", "--grace", "60", "--status-file", self.path,
             *args, "127.0.0.1:%d" % daemon.port],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while self.status.phase < RUN and self.p.poll() is None and \
                time.monotonic() < end:
            time.sleep(0.005)

    @property
    def runs(self):
        return self.p.poll() is None and self.status.phase == RUN

    def wait_acked(self, n, seconds=30):
        """Until n more are acknowledged; whether they were."""
        want = self.status.read()["acked"] + n
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.status.read()["acked"] >= want or not self.runs:
                return True
            time.sleep(0.005)
        return False

    def stop(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.communicate()
        if self.status is not None:
            self.status.close()
        self.status = None

    def end(self):
        """The report."""
        try:
            out, err = self.p.communicate(timeout=150)
        finally:
            self.stop()
        if self.p.returncode != 0 or not out:
            raise AssertionError("load says %d: %s %s" % (
                self.p.returncode, err, out))
        return json.loads(out)


class Resize(unittest.TestCase):
    def check(self, report, messages=None):
        total = report["total"]
        self.assertEqual(report["violations"]["total"], 0)
        if messages is not None:
            self.assertEqual(total["acked"], messages)
        self.assertEqual(total["deliveries"],
                         total["acked"] * (MEMBERS - 1))
        self.assertEqual(total["history_messages"], 2 * total["acked"])
        return total

    def change(self, d, slots, arena, kill):
        """One reload; with 'kill' somebody dies meanwhile."""
        d.write(slots, arena)
        why = []
        t = threading.Thread(target=lambda: why.append(d.reload()))
        victim = d.children().get(kill)
        t.start()
        if victim is not None:
            time.sleep(random.random() * 0.03)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        t.join()
        return why[0]

    def test_messages_flow_while_the_rings_change_and_processes_die(self):
        messages = 700 * CYCLES
        sizes = [(64, "64k"), (65536, "256k"), (1024, "64k"), (64, "128k"),
                 (256, "1m")]
        kills = 0
        with Resizable() as d:
            load = Load(d, "--reconnect", "--rate", "1600",
                        "--count", str(messages))
            for i in range(CYCLES):
                size = sizes[(i + 1) % len(sizes)]
                kill = (None, "scribe", None, i // 4 % WORKERS)[i % 4]
                why = self.change(d, *size, kill)
                kills += kill is not None and load.runs
                # whoever died may be waited for too long
                if why is not None:
                    self.assertIsNotNone(kill, why)
                    d.wait_ready()
                    self.assertIsNone(d.reload())
                arena = {"k": 1 << 10, "m": 1 << 20}[size[1][-1]] * \
                    int(size[1][:-1])
                self.assertEqual(d.geometry(), {(size[0], arena)})
                self.assertTrue(load.wait_acked(100))
            total = self.check(load.end(), messages)
            self.assertGreaterEqual(d.counters()["reloads"], CYCLES)
            print("%d messages, %d reloads, %d kills, %d reconnects, "
                  "%d sent again" % (total["acked"], CYCLES, kills,
                                     total["reconnects"], total["resent"]))

    def test_a_full_ring_is_changed_as_well(self):
        with Resizable() as d:
            load = Load(d, "--window", "40", "--seconds", "6")
            n = 0
            while load.runs and n < 12:
                self.assertIsNone(self.change(d, (64, 128)[n % 2 == 0],
                                              "64k", None))
                self.assertTrue(load.wait_acked(200))
                n += 1
            self.check(load.end())
            self.assertGreater(d.counters()["ring_full"], 0)
            self.assertGreater(n, 2)

    def test_a_worker_that_stands_still_keeps_the_old_rings(self):
        with Resizable() as d:
            load = Load(d, "--rate", "300", "--seconds", "7")
            worker = d.children()[1]
            os.kill(worker, signal.SIGSTOP)
            why = self.change(d, 1024, "128k", None)
            os.kill(worker, signal.SIGCONT)
            self.assertIn("worker 1 did not answer in 5 s", why)
            self.assertEqual(d.geometry(), {(64, 65536)})
            self.assertTrue(load.wait_acked(100))
            self.assertIsNone(d.reload())
            self.assertEqual(d.geometry(), {(1024, 131072)})
            self.check(load.end())

    def test_events_under_way_must_fit(self):
        d = Resizable(arena="512k")
        d.options.pop("limits.event_bytes")
        with d:
            d.write(64, "128k", "limits.event_bytes = 8k\n")
            self.assertIn("lower limits.event_bytes first", d.reload())
            self.assertEqual(d.geometry(), {(64, 524288)})
            d.write(64, "512k", "limits.event_bytes = 8k\n")
            self.assertIsNone(d.reload())
            d.write(64, "128k", "limits.event_bytes = 8k\n")
            self.assertIsNone(d.reload())
            self.assertEqual(d.geometry(), {(64, 131072)})


class Small(unittest.TestCase):
    """64 slots, arenas of 64 KiB."""
    check = Resize.check

    def test_who_stood_still_is_evicted_and_comes_back(self):
        with Resizable() as d:
            load = Load(d, "--rate", "1500", "--seconds", "8")
            for slot in (0, 2):
                before = d.counters()
                pid = d.children()[slot]
                os.kill(pid, signal.SIGSTOP)
                # more than two rings full, which it does not read
                time.sleep(0.4)
                self.assertTrue(load.wait_acked(130))
                os.kill(pid, signal.SIGCONT)
                end = time.monotonic() + 10
                while d.counters()["resyncs"] == \
                        before["resyncs"] and time.monotonic() < end:
                    time.sleep(0.02)
                after = d.counters()
                self.assertGreater(after["evictions"], before["evictions"])
                self.assertGreater(after["resyncs"], before["resyncs"])
            self.check(load.end())

    def memory(self, d):
        def rss(pid):
            with open("/proc/%d/statm" % pid) as f:
                pages = f.read().split()
            # without what is shared
            return (int(pages[1]) - int(pages[2])) * 4096
        return sum(rss(p) for p in d.children().values())

    def test_a_scribe_that_stands_still_costs_no_memory(self):
        with Resizable() as d:
            load = Load(d, "--window", "64", "--size", "1500",
                        "--seconds", "8")
            self.assertTrue(load.wait_acked(500))
            before = self.memory(d)
            pid = d.children()["scribe"]
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1.5)
            # nothing is acknowledged, nobody gives up
            acked = load.status.read()["acked"]
            time.sleep(0.3)
            grown = self.memory(d) - before
            self.assertEqual(load.status.read()["acked"], acked)
            deferred = d.ctl("stats")["gauges"]["deferred"]
            os.kill(pid, signal.SIGCONT)
            self.assertTrue(load.wait_acked(500))
            self.check(load.end())
            self.assertLess(grown, 64 << 20)
            self.assertGreater(deferred, 0)
            self.assertGreater(d.counters()["ring_full"], 0)


# what runs side by side: all of it mostly waits
LANES = (
    ("Resize.test_messages_flow_while_the_rings_change_and_processes_die",),
    ("Resize.test_a_full_ring_is_changed_as_well",
     "Resize.test_events_under_way_must_fit",
     "Resize.test_a_worker_that_stands_still_keeps_the_old_rings"),
    ("Small",),
)


def run_lanes():
    """All tests; prints how many passed and failed."""
    began = time.monotonic()
    lanes = [subprocess.Popen(
        [sys.executable, *("-W", "ignore"), __file__,
         "--cycles", str(CYCLES), *names], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for names in LANES]
    good = bad = 0
    for p in lanes:
        out = p.communicate()[0]
        ran = re.search(r"^Ran (\d+) tests? in", out, re.M)
        failed = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", out)))
        if p.returncode != 0 and failed == 0:
            failed = 1
        good += int(ran.group(1)) - failed if ran else 0
        bad += failed
        print(re.sub(r"^Ran .*\n", "", out, flags=re.M)
              if failed else "\n".join(re.findall(r"\d+ messages,.*", out)),
              flush=True)
    print("%d passed, %d failed in %.0f s" % (good, bad,
                                              time.monotonic() - began))
    return 1 if bad else 0


if __name__ == "__main__":
    if "--cycles" in sys.argv:
        at = sys.argv.index("--cycles")
        CYCLES = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    if len(sys.argv) > 1:
        unittest.main(verbosity=1)
    sys.exit(run_lanes())
