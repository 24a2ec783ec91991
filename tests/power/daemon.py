#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""What a real daemon's disk may hold when the power goes.

    daemon.py build-folder [images [seconds]]

Starts the daemon with the recorder under its scribe, lets clients talk and
kills the scribe now and then; the journal of all that goes to `power', which
makes images of it and compares them with what the scribe told.  Then the same
with an fdatasync() that does nothing: that has to be found.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time

OUT = sys.argv[1] if len(sys.argv) > 1 else "build"
IMAGES = sys.argv[2] if len(sys.argv) > 2 else "1000"
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 6.0
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, OUT)
os.environ["CHATD"] = OUT + "/power/chatd"
os.environ["CHATCTL"] = OUT + "/chatctl"
sys.path.insert(0, os.path.join(HERE, "../system"))
import chatd  # noqa: E402

NO_DATASYNC = 2
SHAPE = ["--rooms", "12", "--members", "3", "--rate", "250"]


def killer(daemon, load):
    """The scribe dies while clients talk."""
    kills = 0
    time.sleep(0.5)
    while load.poll() is None:
        pid = daemon.children().get("scribe")
        if pid:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        time.sleep(random.uniform(0.2, 0.6))
    return kills


def record(journal, plant, seconds):
    subprocess.run([OUT + "/power/power", "-m", "-j", journal, "-p",
                    str(plant)], check=True)
    os.environ["CHATD_POWER_JOURNAL"] = journal
    with chatd.Daemon({"ring.slots": 1024}) as d:
        load = subprocess.Popen(
            [OUT + "/bench/load", *SHAPE, "--seconds", str(seconds),
             "127.0.0.1:%d" % d.port],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        kills = killer(d, load)
        said = load.communicate()[1].decode()
    if load.returncode != 0:
        print("the clients saw: exit status %d\n%s" % (load.returncode, said))
    return load.returncode == 0, kills


def main():
    failed = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm",
                                     prefix="chatd-power-") as d:
        os.chmod(d, 0o755)
        for plant, seconds in ((0, SECONDS), (NO_DATASYNC, 1.5)):
            journal = "%s/journal%d" % (d, plant)
            good, kills = record(journal, plant, seconds)
            if not good:
                failed += 1
            if plant == 0:
                print("     a daemon of which %d scribes were killed" % kills)
            p = subprocess.run([OUT + "/power/power", "-j", journal, "-n",
                                IMAGES], stdout=subprocess.PIPE, text=True)
            print(p.stdout, end="")
            failed += p.returncode != 0
            os.unlink(journal)
    print("%d failed" % failed)
    return failed != 0


sys.exit(main())
