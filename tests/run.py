#!/usr/bin/python3
"""run.py - all tests, counted.

Each step is a command; what it prints tells how many tests passed and
failed.  A step that prints no count is one test, judged by its exit status;
a step that ends with another status than 0 has at least one failure.
The output of a step is shown when something failed in it (-v: always).

First come the steps that build, one after the other.  Then three lanes run side
by side: steps that compute, steps that mostly wait, and steps with clients.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

ASAN = ("CHATD=build-asan/chatd CHATCTL=build-asan/chatctl "
        "CONFORMANCE=build-asan/chatd-conformance ")
SMALL = ("CHATD_TEST_OPTIONS='ring.slots=64 ring.arena_bytes=64k "
         "limits.event_bytes=8k stream.max_text=8k limits.message_length=2000 "
         "limits.metadata_bytes=4096' ")

# name, command, seconds
FIRST = [
    ("build", "make -s -j2 all bench-tools conformance torture-tools "
     "build/power/power build/power/chatd build/unit/test_sandbox "
     "build/unit/test_sandbox_bridge", 900),
    ("build-asan", "make -s -j2 BUILD=asan all unit-programs conformance",
     1200),
    ("build-fault", "make -s -j2 BUILD=fault fault-tools", 900),
    ("clients", "sh tests/clients/clients.sh", 200),
]


def files(without):
    """The system tests but for those whose numbers these are."""
    return ("$(cd tests/system; ls *.test.mjs | grep -vE '^(%s)_')" % without)


# these have the cores busy
COMPUTE = [
    ("unit", "make -s -k BUILD=asan unit", 900),
    # the sandbox is real in this build only
    ("sandbox", "build/unit/test_sandbox", 60),
    ("sandbox-bridge", "build/unit/test_sandbox_bridge", 60),
    ("ring-tsan", "make -s ring-tsan", 400),
    ("client-tsan", "make -s client-tsan", 300),
    ("stream-tsan", "make -s stream-tsan", 300),
    ("stream-torture", "make -s stream-torture-short SEED=1", 300),
    ("models", "make -s models", 600),
    ("torture-short", "make -s torture-short", 300),
    ("torture-system", "make -s torture-ci", 600),
    ("torture-checker", "make -s torture-checker", 300),
    ("fault-points", "make -s faults-short SEED=1", 600),
    ("power", "make -s power-short", 300),
    ("kills", "/usr/bin/python3 tests/stress/kills.py --short", 400),
    ("recovery", "/usr/bin/python3 tests/stress/recovery.py --short", 400),
    ("ghosts", "/usr/bin/python3 tests/stress/ghosts.py --short", 300),
    ("crowd", "/usr/bin/python3 tests/stress/crowd.py --short", 300),
    ("churn", "/usr/bin/python3 tests/stress/churn.py", 400),
    ("wire-torture", ASAN + "/usr/bin/python3 tests/stress/wire_torture.py "
     "--seconds 40", 400),
]
# these wait more than they calculate
WAIT = [
    ("system", "sh tests/system/system.sh", 900),
    # the smallest rings, which wrap and fill all the time; what has nothing
    # to do with rings passes there, too
    ("system-small", SMALL + "sh tests/system/system.sh " +
     files("25|31|35|40|41|44"), 900),
    ("master", "/usr/bin/python3 tests/system/test_master.py", 400),
    ("handover", "/usr/bin/python3 tests/system/test_handover.py", 400),
    ("wire", "/usr/bin/python3 tests/system/test_wire.py", 400),
    ("edges", "make -s edges", 400),
    ("framing", "make -s framing", 300),
    ("vulns", "make -s vulns", 500),
    ("faults", "/usr/bin/python3 tests/system/test_faults.py", 200),
    ("disk-faults", "make -s disk-faults", 600),
    ("fault-books", "/usr/bin/python3 tests/fault/test_talk.py", 60),
    ("slow-reads", "/usr/bin/python3 tests/fault/test_slow_reads.py", 200),
    ("clerk", "/usr/bin/python3 tests/system/test_clerk.py", 300),
    ("resize", "/usr/bin/python3 tests/system/test_resize.py", 300),
    ("webhook-faults", "/usr/bin/python3 tests/fault/webhook.py", 400),
]
# and these have real clients
CLIENTS = [
    ("stock", "sh tests/clients/stock.sh", 900),
    ("conformance", "sh tests/conformance/smoke.sh", 400),
    ("conformance-asan", ASAN + "sh tests/conformance/smoke.sh", 400),
    ("stock-python",
     "/usr/bin/python3 -W ignore tests/clients/test_python.py", 300),
    ("proxy", "/usr/bin/python3 tests/clients/test_proxy.py", 200),
    ("webhook", "/usr/bin/python3 tests/system/test_webhook.py", 400),
    ("webhook-life", "/usr/bin/python3 tests/system/test_webhook_life.py",
     500),
    ("polling",
     "node tests/clients/polling_load.mjs --requests 10000", 200),
    ("slow", "/usr/bin/python3 tests/clients/test_slow.py", 400),
    ("load", "/usr/bin/python3 tests/bench/test_load.py", 400),
    ("canary", "node tests/canary/canary.mjs --operations 30000", 300),
    ("canary-leaks", "/usr/bin/python3 tests/canary/leaks.py --short", 600),
    ("system-asan", ASAN + "sh tests/system/system.sh " + files("41"), 1200),
    ("stock-asan", ASAN + "sh tests/clients/stock.sh "
     "10_protocol.test.mjs 20_chat.test.mjs", 600),
    ("edges-asan", "make -s BUILD=asan edges", 600),
]

COUNTS = [
    # cmocka
    (re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.M), "pass"),
    (re.compile(r"^\[  FAILED  \] (\d+) test\(s\)", re.M), "fail"),
    # node --test
    (re.compile(r"^(?:# |\u2139 )pass (\d+)", re.M), "pass"),
    (re.compile(r"^(?:# |\u2139 )fail (\d+)", re.M), "fail"),
    # ours
    (re.compile(r"^(\d+) passed, \d+ failed", re.M), "pass"),
    (re.compile(r"^\d+ passed, (\d+) failed", re.M), "fail"),
]


def count(text):
    passed = failed = 0
    for pattern, kind in COUNTS:
        n = sum(int(m) for m in pattern.findall(text))
        if kind == "pass":
            passed += n
        else:
            failed += n
    m = re.search(r"^Ran (\d+) tests? in", text, re.M)
    if m:  # unittest
        bad = sum(int(x) for x in
                  re.findall(r"(?:failures|errors)=(\d+)", text))
        skipped = sum(int(x) for x in re.findall(r"skipped=(\d+)", text))
        passed += int(m.group(1)) - bad - skipped
        failed += bad
    return passed, failed


def run(command, seconds):
    """Run in a session of its own, so that all of it can be ended."""
    p = subprocess.Popen(command, shell=True, cwd=ROOT,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = p.communicate(timeout=seconds)
        status = p.returncode
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, _ = p.communicate()
        out += b"\nrun.py: took longer than %d s\n" % seconds
        status = 124
    return status, out.decode("utf-8", "replace")


class Tally:
    """What has passed and failed, whoever ran it."""

    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()
        self.passed = self.failed = 0

    def step(self, name, command, seconds):
        """Run one; whether all of it passed."""
        if self.args.only and self.args.only not in name:
            return True
        began = time.time()
        status, out = run(command, seconds)
        good, bad = count(out)
        if good + bad == 0:
            good, bad = (1, 0) if status == 0 else (0, 1)
        elif status != 0 and bad == 0:
            bad = 1
        with self.lock:
            self.passed += good
            self.failed += bad
            if bad or self.args.v:
                print(out.rstrip())
            print("%-17s %4d passed, %d failed  (%.0f s)"
                  % (name + ":", good, bad, time.time() - began), flush=True)
        return bad == 0

    def lane(self, steps):
        for step in steps:
            self.step(*step)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", help="steps whose name holds this")
    ap.add_argument("-v", action="store_true", help="show all output")
    args = ap.parse_args()
    tally = Tally(args)
    if all(tally.step(*step) for step in FIRST):
        beside = [threading.Thread(target=tally.lane, args=(steps,))
                  for steps in (WAIT, CLIENTS)]
        for lane in beside:
            lane.start()
        tally.lane(COMPUTE)
        for lane in beside:
            lane.join()
    print("%d passed, %d failed" % (tally.passed, tally.failed))
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
