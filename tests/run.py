#!/usr/bin/python3
"""run.py - all tests, one after the other, counted.

Each step is a command; what it prints tells how many tests passed and
failed.  A step that prints no count is one test, judged by its exit status;
a step that ends with another status than 0 has at least one failure.
The output of a step is shown when something failed in it (-v: always).
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHATD = os.environ.get("CHATD", "build/chatd")

# name, command, seconds
STEPS = [
    ("build", "make -s -j2 all bench-tools conformance", 600),
    ("build-asan", "make -s -j2 BUILD=asan all unit-programs conformance",
     900),
    ("unit", "make -s -k BUILD=asan unit", 600),
    # the sandbox is real in this build only
    ("sandbox", "make -s build/unit/test_sandbox && build/unit/test_sandbox",
     60),
    ("ring-tsan", "make -s ring-tsan", 300),
    ("client-tsan", "make -s client-tsan", 200),
    ("models", "make -s models", 400),
    ("torture-short", "make -s torture-short", 200),
    ("clients", "sh tests/system/clients.sh", 120),
    ("system", "sh tests/system/system.sh", 600),
    ("system-asan", "CHATD=build-asan/chatd CHATCTL=build-asan/chatctl "
     "sh tests/system/system.sh", 900),
    ("conformance", "sh tests/conformance/smoke.sh", 300),
    ("conformance-asan", "CONFORMANCE=build-asan/chatd-conformance "
     "sh tests/conformance/smoke.sh", 300),
    ("stock", "sh tests/clients/stock.sh", 600),
    ("stock-asan", "CHATD=build-asan/chatd CHATCTL=build-asan/chatctl "
     "CONFORMANCE=build-asan/chatd-conformance sh tests/clients/stock.sh "
     "10_protocol.test.mjs 20_chat.test.mjs", 600),
    ("stock-python",
     "/usr/bin/python3 -W ignore tests/clients/test_python.py", 300),
    ("proxy", "/usr/bin/python3 tests/clients/test_proxy.py", 120),
    ("master", "/usr/bin/python3 tests/system/test_master.py", 300),
    ("handover", "/usr/bin/python3 tests/system/test_handover.py", 300),
    ("wire", "/usr/bin/python3 tests/system/test_wire.py", 300),
    ("edges", "make -s edges", 300),
    ("edges-asan", "make -s BUILD=asan edges", 400),
    ("framing", "make -s framing", 200),
    ("vulns", "make -s vulns", 400),
    ("faults", "/usr/bin/python3 tests/system/test_faults.py", 120),
    ("polling", "sh tests/clients/clients.sh && "
     "node tests/clients/polling_load.mjs --requests 10000", 200),
    ("load", "/usr/bin/python3 tests/bench/test_load.py", 400),
    ("slow", "/usr/bin/python3 tests/clients/test_slow.py", 200),
    ("kills", "/usr/bin/python3 tests/stress/kills.py --short", 300),
    ("slow", "/usr/bin/python3 tests/clients/test_slow.py", 400),
    ("recovery", "/usr/bin/python3 tests/stress/recovery.py --short", 200),
    ("recovery", "/usr/bin/python3 tests/stress/recovery.py --short", 400),
    ("churn", "/usr/bin/python3 tests/stress/churn.py", 300),
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


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", help="steps whose name holds this")
    ap.add_argument("-v", action="store_true", help="show all output")
    args = ap.parse_args()
    passed = failed = 0
    for name, command, seconds in STEPS:
        if args.only and args.only not in name:
            continue
        began = time.time()
        status, out = run(command, seconds)
        good, bad = count(out)
        if good + bad == 0:
            good, bad = (1, 0) if status == 0 else (0, 1)
        elif status != 0 and bad == 0:
            bad = 1
        passed += good
        failed += bad
        if bad or args.v:
            print(out.rstrip())
        print("%-14s %4d passed, %d failed  (%.0f s)"
              % (name + ":", good, bad, time.time() - began), flush=True)
        if bad and name.startswith("build"):
            break
    print("%d passed, %d failed" % (passed, failed))
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
