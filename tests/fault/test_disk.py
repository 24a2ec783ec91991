#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""test_disk.py - slow, full and broken disks, processes that stand still.

    test_disk.py [--long] [names of tests]

Each test talks all the time and keeps books (talk.py).  Whatever happens:
nothing that was acknowledged is lost, typing and the chunks of streams go on,
and messages go on by themselves when the cause is gone.  --long leaves the disk full for
a minute and processes stopped for 5 s.
"""
import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from faults import DELAY, FAIL, FIRED, HITS, Host  # noqa: E402
from talk import Member, Scribbler  # noqa: E402
from world import World  # noqa: E402

LONG = "--long" in sys.argv
FULL_S, STOP_S = (60, 5) if LONG else (3, 2)
# what is asserted is ten times what is wanted: the machine may be busy
TYPING_S = 0.2


def p99(list_):
    return sorted(list_)[len(list_) * 99 // 100] if list_ else 0


class Case(unittest.TestCase):
    def begin(self, options=None, data_dir=None):
        self.host = Host(options, data_dir=data_dir)
        self.addCleanup(self.host.end)
        self.world = World(self.host)
        self.addCleanup(self.world.talk.hang_up)
        for room in ("r0", "r1"):
            typist = self.world.talk.add(Member(
                self.world.talk, "typist" + room, room))
            typist.silent = True
            self.world.talk.add(Scribbler(self.world.talk, "agent" + room,
                                          room))
        self.well()
        self.pids = self.host.children()
        self.starts = self.host.starts
        # what it is like on this machine just now
        self.world.talk.measure_anew()
        self.world.pump(1)
        self.usual = max(p99(self.world.talk.delays),
                         p99(self.world.talk.chunk_delays))
        self.world.talk.measure_anew()

    def well(self):
        self.assertIsNone(self.world.well(), self.host.log_text()[-3000:])

    def ledger(self):
        return self.world.talk.ledger

    def typing(self, what):
        """Typing and an agent's chunks: as fast as it should be?"""
        talk = self.world.talk
        for name, delays in (("typing indicators", talk.delays),
                             ("chunks", talk.chunk_delays)):
            self.assertGreater(len(delays), 5, name)
            print("%s: %d %s, p50 %.1f ms, p99 %.1f ms, longest %.1f ms" % (
                what, len(delays), name,
                sorted(delays)[len(delays) // 2] * 1000,
                p99(delays) * 1000, max(delays) * 1000), flush=True)
            self.assertLess(p99(delays), max(TYPING_S, 4 * self.usual), name)
        # no chunk is still on its way but the newest
        old = time.monotonic() - max(1, 4 * self.usual)
        self.assertEqual([k for k, at in talk.chunk_sent.items()
                          if at < old], [])

    def finish(self, same=True):
        """All is well, all is there; nobody was started again."""
        self.well()
        if same:
            self.assertEqual(self.host.children(), self.pids)
        self.assertEqual(self.host.starts, self.starts)
        w = self.world
        w.talk.quiet = True
        self.assertTrue(w.until(lambda: not any(
            m.pending for m in w.talk.members), 40))
        self.assertEqual(w.read_all(), [])
        self.assertEqual(self.ledger().wrong, [])

    def acked_while(self, seconds):
        before = self.ledger().acked
        self.world.pump(seconds)
        return self.ledger().acked - before

    def settle(self):
        """Until what was stored before has been answered."""
        last, since = self.ledger().acked, time.monotonic()
        while time.monotonic() - since < 0.4:
            self.world.pump(0.02)
            if self.ledger().acked != last:
                last, since = self.ledger().acked, time.monotonic()

    def says(self, text, seconds=10):
        self.assertTrue(
            self.world.until(lambda: text in self.host.log_text(), seconds),
            "no %r in\n%s" % (text, self.host.log_text()[-3000:]))


class SlowDisk(Case):
    def test_a_flush_of_three_seconds_delays_messages_and_no_typing(self):
        self.begin()
        f = self.host.faults
        f.arm("DISK_FLUSH", DELAY, value=3000, roles="s")
        self.assertTrue(self.world.until(
            lambda: f.get("DISK_FLUSH", FIRED) > 0, 10))
        flushed = f.get("DISK_FLUSHED", HITS)
        self.settle()
        acked = self.ledger().acked
        self.world.talk.measure_anew()
        while True:
            self.world.pump(0.05)
            now = self.ledger().acked
            if f.get("DISK_FLUSHED", HITS) != flushed:
                break
            self.assertEqual(now, acked)
        self.typing("disk stalled for 3 s")
        self.assertEqual(self.ledger().refused, 0)
        self.finish()


class FullDisk(Case):
    def mount(self):
        """A small disk that only we and our children see."""
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small disk")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x00020000) != 0:  # CLONE_NEWNS
            self.skipTest("no mount namespace: %s" %
                          os.strerror(ctypes.get_errno()))
        run = subprocess.run
        if run(["mount", "--make-rprivate", "/"],
               capture_output=True).returncode != 0:
            self.skipTest("mounts cannot be made private")
        self.dir = "/tmp/chatd-small-%d" % os.getpid()
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.addCleanup(os.rmdir, self.dir)
        image = self.dir + ".img"
        with open(image, "wb") as f:
            f.truncate(48 << 20)
        self.addCleanup(os.unlink, image)
        made = run(["mkfs.ext4", "-q", "-m", "0", image],
                   capture_output=True).returncode == 0 and \
            run(["mount", "-o", "loop", image, self.dir],
                capture_output=True).returncode == 0
        if not made and run(["mount", "-t", "tmpfs", "-o", "size=48m", "none",
                             self.dir], capture_output=True).returncode != 0:
            self.skipTest("neither a loop device nor a tmpfs can be mounted")
        self.addCleanup(run, ["umount", "-l", self.dir])
        print("a disk of 48 MiB: %s" % ("ext4" if made else "tmpfs"))

    def fill(self, f):
        for size in (1 << 20, 1 << 16, 4096):
            block = bytes(size)
            try:
                while True:
                    f.write(block)
            except OSError as e:
                self.assertEqual(e.errno, errno.ENOSPC)

    def test_a_full_disk_and_free_again_costs_nothing(self):
        self.mount()
        self.begin(data_dir=self.dir + "/data")
        filler = open(self.dir + "/filler", "wb", buffering=0)
        self.world.talk.window = 4
        end = time.monotonic() + FULL_S
        refused_at = None
        seen = set()
        # whatever the daemon gives back is taken again
        while refused_at is None or time.monotonic() < end:
            self.fill(filler)
            self.world.pump(0.1)
            if refused_at is None and self.ledger().refused > 0:
                refused_at = time.monotonic()
                end = refused_at + FULL_S
                self.world.talk.measure_anew()
            self.assertLess(time.monotonic(), end + 90, "never full")
            seen.add(self.host.ask("status")["store"])
        self.assertEqual(self.ledger().codes, {"STORE_UNAVAILABLE"})
        self.assertEqual(self.host.ask("status")["store"], "full")
        self.assertIn("full", str(self.host.ask("health")))
        self.says("messages are refused")
        self.typing("disk full for %d s" % FULL_S)
        self.assertEqual(self.host.children(), self.pids)
        filler.close()
        os.unlink(self.dir + "/filler")
        self.says("can be written again", 20)
        self.well()
        self.assertEqual(self.host.ask("status")["store"], "ok")
        self.finish()


class BrokenDisk(Case):
    def fails(self, point, err, times, same=True):
        f = self.host.faults
        fired = f.get(point, FIRED)
        f.arm(point, FAIL, times=times, value=err, roles="s")
        self.assertTrue(self.world.until(
            lambda: f.get(point, FIRED) >= fired + times, 30), point)
        f.clear(point)
        self.well()
        if same:
            self.assertEqual(self.host.children(), self.pids)

    def test_errors_of_writes_and_flushes_are_survived(self):
        self.begin()
        self.fails("DISK_PAGES", errno.EIO, 4)
        self.fails("DISK_PAGES_HALF", errno.EIO, 3)
        self.fails("DISK_PAGES", errno.ENOSPC, 3)
        self.says("cannot be written, trying again")
        self.says("can be written again")
        # what a failed flush was about may be lost whatever the next says
        self.fails("DISK_FLUSH", errno.EIO, 1, False)
        self.finish(False)

    def test_a_failed_meta_page_needs_a_new_scribe_and_no_more(self):
        self.begin()
        self.fails("DISK_META", errno.EIO, 1, False)
        now = self.host.children()
        self.assertNotEqual(now.pop("scribe"), self.pids.pop("scribe"))
        self.assertEqual(now, self.pids)
        self.finish(False)

    def decide(self, *args):
        """chatctl, while everybody goes on talking: documents, or why not."""
        answer = []

        def ask():
            try:
                answer.append(self.host.ask(*args, timeout=25))
            except OSError as e:
                answer.append(str(e))
        thread = threading.Thread(target=ask)
        thread.start()
        self.assertTrue(self.world.until(lambda: answer, 30), args)
        thread.join()
        return answer[0]

    def test_what_operators_decide_is_stored_or_refused(self):
        self.begin()
        self.assertIsInstance(self.decide("ban", "mallory"), dict)
        f = self.host.faults
        f.arm("DISK_PAGES", FAIL, times=1 << 30, value=errno.ENOSPC,
              roles="s")
        self.world.pump(0.5)
        for what in ("ban", "mute", "revoke", "unban"):
            self.assertIn("the store cannot be written",
                          self.decide(what, "mallory" if what == "unban"
                                      else "eve"))
        # what leaves no trace is done all the same
        self.assertEqual(self.decide("kick", "eve"), "eve is not connected")
        self.assertEqual(self.decide("broadcast", "--workspace", "nowhere",
                                     "full")["workers"], 3)
        self.assertEqual([b["id"] for b in self.decide("bans")["bans"]],
                         ["mallory"])
        f.clear("DISK_PAGES")
        self.well()
        self.assertIsInstance(self.decide("ban", "eve"), dict)
        self.assertEqual([b["id"] for b in self.decide("bans")["bans"]],
                         ["eve", "mallory"])
        self.finish()

    def test_a_disk_that_became_read_only_is_waited_for(self):
        self.begin()
        f = self.host.faults
        f.arm("DISK_PAGES", FAIL, times=1 << 30, value=errno.EROFS, roles="s")
        self.assertTrue(self.world.until(
            lambda: self.ledger().refused > 0, 30))
        self.world.talk.measure_anew()
        self.assertEqual(self.acked_while(1), 0)
        self.assertNotEqual(self.host.ask("status")["store"], "ok")
        self.typing("read-only")
        f.clear()
        self.finish()
        self.assertEqual(self.ledger().codes, {"STORE_UNAVAILABLE"})


class Unreadable(Case):
    HISTORY = {"sessionId": "r0", "limit": 10}

    def ask(self, member, n):
        member.event("chat:request-history", self.HISTORY, n)
        self.assertTrue(self.world.until(lambda: n in member.answers, 20))
        return member.answers.pop(n)

    def scribe_stands(self):
        with open("/proc/%d/stat" % self.pids["scribe"]) as f:
            return f.read().rpartition(")")[2].split()[0] == "T"

    def test_pages_that_cannot_be_read_cost_an_answer_and_nobody(self):
        self.begin()
        # who changes messages waits for those first, and so for the scribe
        askers = [self.world.talk.add(Member(self.world.talk, "asker%d" % i,
                                             "r0")) for i in range(3)]
        for m in askers:
            m.silent = True
        self.assertTrue(self.world.until(
            lambda: all(m.joined for m in askers), 20))
        self.world.pump(1)
        n = 1 << 20
        self.assertTrue(self.ask(askers[0], n)["ok"])
        # nobody writes while the file is short, so that it can be mended
        os.kill(self.pids["scribe"], signal.SIGSTOP)
        self.assertTrue(self.world.until(self.scribe_stands, 20))
        self.world.talk.measure_anew()
        path = self.host.dir + "/data/db/data.mdb"
        with open(path, "rb") as f:
            whole = f.read()
        os.truncate(path, 8192)
        try:
            for m in askers:
                n += 1
                d = self.ask(m, n)
                self.assertFalse(d["ok"])
                self.assertEqual((d["code"], d["retryable"]),
                                 ("STORE_UNAVAILABLE", True))
            self.world.pump(1)
        finally:
            with open(path, "r+b") as f:
                f.write(whole)
            os.kill(self.pids["scribe"], signal.SIGCONT)
        self.typing("store unreadable")
        self.assertTrue(self.ask(askers[0], n + 1)["ok"])
        self.finish()


class StandsStill(Case):
    """Each role stopped for a while, and woken again."""

    def stop(self, pid, seconds=STOP_S):
        os.kill(pid, signal.SIGSTOP)
        try:
            return self.acked_while(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_the_master_is_not_missed(self):
        self.begin()
        self.assertGreater(self.stop(self.host.proc.pid), 20)
        self.typing("master stopped")
        self.finish()

    def test_a_worker_holds_nobody_up_but_its_own(self):
        self.begin({"ring.slots": 64, "ring.arena_bytes": "64k",
                    "limits.event_bytes": "8k"})
        self.assertGreater(self.stop(self.pids[1]), 20)
        self.finish()

    def test_a_scribe_makes_messages_wait_and_no_typing(self):
        self.begin()
        os.kill(self.pids["scribe"], signal.SIGSTOP)
        self.settle()
        self.world.talk.measure_anew()
        self.assertEqual(self.acked_while(STOP_S), 0)
        os.kill(self.pids["scribe"], signal.SIGCONT)
        self.typing("scribe stopped")
        self.finish()


if __name__ == "__main__":
    unittest.main(argv=[a for a in sys.argv if a != "--long"],
                  warnings="ignore")
