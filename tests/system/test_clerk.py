#!/usr/bin/python3
"""test_clerk.py - chatctl's long commands with the real daemon, under load.

Backup and restoring, verify, export, compact, retention, health: each while
messages are sent, each with a process of it killed.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chatd import CHATCTL, Daemon, Raw  # noqa: E402

ROOMS = ["r0", "r1", "r2"]
PATIENCE = 60


def until(condition, seconds=PATIENCE):
    """The first true answer; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("did not happen: %r" % condition)
        time.sleep(0.01)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def join(d, user, room, **more):
    c = Raw(d.port, timeout=PATIENCE)
    c.upgrade()
    c.connect(user)
    c.event("chat:join-session", {"sessionId": room, "workspaceId": "w",
                                  "userId": user, "userName": user, **more},
            0)
    return c, c.wait_ack(0)


def send(c, ack, room, text):
    c.event("chat:send-message", {"message": {
        "id": text, "content": text + " " + "x" * 200, "type": "user",
        "sessionId": room}}, ack)


class Load:
    """Messages into all rooms, one after the other, until told to stop."""

    def __init__(self, d, tag):
        self.d, self.tag = d, tag
        self.acked = {r: [] for r in ROOMS}
        self.errors = []
        self.running = True
        self.threads = [threading.Thread(target=self.write, args=(r,))
                        for r in ROOMS]
        for t in self.threads:
            t.start()

    def write(self, room):
        i = 0
        while self.running:
            try:
                c, joined = join(self.d, "user-" + room, room)
                assert joined["ok"], joined
                while self.running:
                    i += 1
                    text = "%s-%s-%d" % (self.tag, room, i)
                    send(c, i, room, text)
                    answer = c.wait_ack(i)
                    if answer["ok"]:
                        self.acked[room].append((answer["seq"], text))
                c.close()
            except (OSError, EOFError, RuntimeError):
                # a worker was killed: come back
                time.sleep(0.05)
            except Exception as e:  # noqa: B902
                self.errors.append(repr(e))
                return

    def count(self):
        return sum(len(a) for a in self.acked.values())

    def more(self, n=30):
        """Wait until it has sent some more: the daemon works."""
        goal = self.count() + n
        until(lambda: self.count() >= goal or self.errors)

    def stop(self):
        self.running = False
        for t in self.threads:
            t.join()
        return self.acked


class Ctl:
    """A chatctl that runs."""

    def __init__(self, d, *args, out=subprocess.PIPE, flags=("-j",)):
        self.p = subprocess.Popen(
            [CHATCTL, *flags, "-s", d.dir + "/run/chatd.sock", *args],
            stdout=out, stderr=subprocess.PIPE)

    def wait(self):
        self.out, self.err = self.p.communicate(timeout=PATIENCE)
        self.err = self.err.decode()
        return self.p.returncode

    def last(self):
        lines = self.out.splitlines()
        return json.loads(lines[-1]) if lines else {}


def clerk_of(d):
    """The pid of the clerk that runs, or None."""
    return d.ctl("store")["clerk"].get("pid")


def offline(path):
    p = subprocess.run([CHATCTL, "-j", "verify", "--offline", path],
                       capture_output=True, text=True, timeout=PATIENCE)
    lines = p.stdout.splitlines()
    return p.returncode, json.loads(lines[-1]) if lines else None, p.stderr


def errors(d):
    """What chatctl verify finds."""
    ctl = Ctl(d, "verify")
    if ctl.wait() not in (0, 1) or "errors" not in ctl.last():
        raise AssertionError("%s%s" % (ctl.err, d.log_text()[-3000:]))
    return ctl.last()["errors"]


def histories(d):
    """All messages of all rooms, as lines."""
    found = {}
    for r in ROOMS:
        p = subprocess.run([CHATCTL, "-j", "-s", d.dir + "/run/chatd.sock",
                            "history", "w/" + r, "10000"],
                           capture_output=True, text=True, check=True)
        found[r] = p.stdout.splitlines()
    return found


def restore(backup, directory):
    """What the manual says: the file becomes db/data.mdb, no lock.mdb."""
    os.makedirs(directory + "/db", mode=0o700)
    shutil.copy(backup, directory + "/db/data.mdb")
    if os.geteuid() == 0:
        for p in ("", "/db", "/db/data.mdb"):
            shutil.chown(directory + p, "nobody", "nogroup")


class Case(unittest.TestCase):
    """One daemon under load."""

    options = {}

    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="chatd-clerk-")
        os.chmod(self.tmp, 0o755)
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        self.d = Daemon(self.options)
        self.addCleanup(self.d.__exit__)
        self.d.start()
        self.load = Load(self.d, "a")
        self.addCleanup(self.load.stop)
        self.load.more()

    def begin_blocked(self, *args):
        """A backup into a pipe that nobody reads; and its clerk."""
        r, w = os.pipe()
        # a pipe that is full before the clerk has written anything much
        os.set_blocking(w, False)
        try:
            while True:
                os.write(w, b"." * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(w, True)
        ctl = Ctl(self.d, "backup", *args, "-", out=w)
        os.close(w)
        pid = until(lambda: clerk_of(self.d))
        return ctl, r, pid

    def end_all(self):
        self.load.stop()
        self.assertEqual(self.load.errors, [])


class Backup(Case):
    def test_a_backup_under_load_is_restored_and_goes_on(self):
        self.load.more(100)
        before = {r: list(a) for r, a in self.load.acked.items()}
        path = self.tmp + "/backup"
        ctl = Ctl(self.d, "backup", path)
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.assertTrue(ctl.last()["verified"])
        self.assertEqual(ctl.last()["bytes"], os.path.getsize(path))
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        # what is there is not overwritten
        again = Ctl(self.d, "backup", path)
        self.assertEqual(again.wait(), 1)
        self.assertIn("exists", again.err)
        self.load.more()
        self.end_all()
        original = histories(self.d)
        self.assertEqual(errors(self.d), [])
        self.d.stop()
        self.check_restored(path, before, original)

    def check_restored(self, path, before, original):
        status, answer, err = offline(path)
        self.assertEqual((status, err), (0, ""))
        restore(path, self.tmp + "/data")
        with Daemon(data_dir=self.tmp + "/data") as d:
            for r, lines in histories(d).items():
                # the beginning of what the store holds, and all of what
                # was acknowledged before
                self.assertEqual(lines, original[r][:len(lines)])
                held = {m["seq"]: m["id"] for m in map(json.loads, lines)}
                for seq, text in before[r]:
                    self.assertEqual(held.get(seq), text)
                # a client that has seen more than there is now
                c, joined = join(d, "late", r, afterSeq=10 ** 6)
                self.assertTrue(joined["ok"], joined)
                self.assertEqual(joined["lastSeq"], len(lines))
                send(c, 1, r, "new")
                self.assertEqual(c.wait_ack(1)["seq"], len(lines) + 1)
                # what the backup knows is recognised
                if before[r]:
                    seq, text = before[r][-1]
                    w, _ = join(d, "user-" + r, r)
                    send(w, 2, r, text)
                    self.assertEqual(w.wait_ack(2)["seq"], seq)
                    w.close()
                c.close()
            self.assertEqual(errors(d), [])

    def test_who_reads_slowly_gets_all_of_it(self):
        ctl, r, clerk = self.begin_blocked()
        scribe = self.d.children()["scribe"]
        os.kill(scribe, signal.SIGKILL)
        os.kill(self.d.children()[0], signal.SIGKILL)
        until(lambda: self.d.children().get("scribe", scribe) != scribe)
        self.load.more()
        # a second one is refused, and told who is at it
        second = Ctl(self.d, "verify")
        self.assertEqual(second.wait(), 1)
        self.assertIn("backup is under way (pid %d" % clerk, second.err)
        with open(self.tmp + "/copy", "wb") as f:
            skip = True
            while True:
                data = os.read(r, 65536)
                if skip:
                    data, skip = data.lstrip(b"."), not data.strip(b".")
                    if skip and data == b"":
                        continue
                if not data:
                    break
                f.write(data)
        os.close(r)
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.assertIn("cannot be read again", ctl.err)
        status, answer, err = offline(self.tmp + "/copy")
        self.assertEqual((status, err), (0, ""))
        self.end_all()

    def test_who_reads_nothing_does_not_blow_up_the_store(self):
        ctl, r, clerk = self.begin_blocked("--max-growth", "1m")
        data = self.d.data_dir + "/db/data.mdb"
        began = os.path.getsize(data)
        self.assertEqual(ctl.wait(), 1)
        self.assertIn("given up: the store has grown", ctl.err)
        self.assertIn("not complete", ctl.err)
        self.assertLess(os.path.getsize(data) - began, 64 << 20)
        until(lambda: not alive(clerk))
        os.close(r)
        # what it held is used again
        self.load.more()
        self.assertIsNone(clerk_of(self.d))
        self.end_all()

    def test_a_full_destination_is_named(self):
        with open("/dev/full", "wb") as full:
            ctl = Ctl(self.d, "backup", "-", out=full)
        self.assertEqual(ctl.wait(), 1)
        self.assertIn("disk is full", ctl.err)
        bad = Ctl(self.d, "backup", self.tmp + "/nowhere/backup")
        self.assertEqual(bad.wait(), 1)
        self.assertEqual(os.listdir(self.tmp), [])
        self.full_disk()
        self.load.more()
        self.end_all()

    def full_disk(self):
        """The same with a disk of its own, where that may be had."""
        disk = self.tmp + "/disk"
        os.mkdir(disk)
        p = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none",
                            disk], capture_output=True)
        if p.returncode != 0:
            return
        try:
            ctl = Ctl(self.d, "backup", disk + "/backup")
            self.assertEqual(ctl.wait(), 1)
            self.assertIn("disk is full", ctl.err)
            self.assertEqual(os.listdir(disk), [])
        finally:
            # the clerk may still have it open
            until(lambda: subprocess.run(["umount", disk],
                                         capture_output=True).returncode == 0)


class Killed(Case):
    def test_a_killed_clerk_is_told_and_harms_nobody(self):
        for i, args in enumerate((["backup", "-"], ["export", "w/r0"])):
            ctl, r, clerk = self.begin_blocked() if i == 0 else \
                self.begin_export()
            os.kill(clerk, signal.SIGKILL)
            self.assertEqual(ctl.wait(), 1)
            self.assertIn("was killed", ctl.err)
            os.close(r)
            until(lambda: not clerk_of(self.d))
            self.load.more()
        self.assertEqual(errors(self.d), [])
        self.end_all()

    def begin_export(self):
        """It waits for its first line to be taken."""
        r, w = os.pipe()
        os.set_blocking(w, False)
        try:
            while True:
                os.write(w, b"." * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(w, True)
        ctl = Ctl(self.d, "export", "w/r0", out=w)
        os.close(w)
        return ctl, r, until(lambda: clerk_of(self.d))

    def test_a_clerk_does_not_outlive_its_chatctl(self):
        for sig in (signal.SIGKILL, signal.SIGTERM):
            ctl, r, clerk = self.begin_blocked()
            ctl.p.send_signal(sig)
            ctl.wait()
            # our end of the pipe is still open: it is chatctl that matters
            until(lambda: not alive(clerk))
            os.close(r)
            until(lambda: not clerk_of(self.d))
        self.load.more()
        self.end_all()

    def test_a_clerk_does_not_outlive_its_daemon(self):
        ctl, r, clerk = self.begin_blocked()
        self.load.stop()
        self.assertEqual(self.d.stop(), 0)
        self.assertEqual(ctl.wait(), 1)
        self.assertIn("daemon", ctl.err)
        until(lambda: not alive(clerk))
        os.close(r)

    def test_a_stopped_chatctl_holds_up_nobody(self):
        ctl, r, clerk = self.begin_blocked()
        ctl.p.send_signal(signal.SIGSTOP)
        self.load.more(100)
        self.assertEqual(self.d.ctl("status")["state"], "running")
        ctl.p.send_signal(signal.SIGKILL)
        ctl.wait()
        until(lambda: not alive(clerk))
        os.close(r)
        self.end_all()


class Export(Case):
    options = {"store.max_messages_per_session": 0}

    def test_an_export_is_the_history(self):
        self.load.more(300)
        before = [text for _, text in list(self.load.acked["r1"])]
        # under load: a beginning of the history, all that was there
        ctl = Ctl(self.d, "export", "w/r1", self.tmp + "/under-load")
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.load.stop()
        history = histories(self.d)["r1"]
        with open(self.tmp + "/under-load") as f:
            lines = f.read().splitlines()
        self.assertEqual(lines, history[:len(lines)])
        self.assertGreaterEqual(len(lines), len(before))
        ctl = Ctl(self.d, "export", "w/r1", flags=())
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.assertEqual(ctl.out.decode().splitlines(), history)
        self.assertEqual(ctl.err, "")
        for name in ("w/nothing", "nonsense"):
            ctl = Ctl(self.d, "export", name)
            self.assertEqual(ctl.wait(), 1)
            self.assertIn("session", ctl.err)
        self.end_all()


class Compact(Case):
    def test_the_next_start_is_smaller_and_loses_nothing(self):
        # a snapshot that is held makes pages that will be free
        ctl, r, clerk = self.begin_blocked("--max-growth", "2m")
        self.assertEqual(ctl.wait(), 1)
        os.close(r)
        until(lambda: not clerk_of(self.d))
        ctl = Ctl(self.d, "compact")
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.assertGreater(ctl.last()["saved_bytes"], 0)
        # what is stored after it is not lost either
        self.load.more()
        self.end_all()
        before = histories(self.d)
        big = os.path.getsize(self.d.data_dir + "/db/data.mdb")
        self.d.stop()
        self.d.start()
        self.assertLess(os.path.getsize(self.d.data_dir + "/db/data.mdb"),
                        big)
        self.assertEqual(histories(self.d), before)
        self.assertEqual(errors(self.d), [])


class Retention(Case):
    options = {"store.max_messages_per_session": 20}

    def test_retention_on_demand_leaves_what_is_to_be_kept(self):
        self.load.more(200)
        ctl = Ctl(self.d, "export", "w/r0", self.tmp + "/while-it-goes-on")
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.end_all()
        ctl = Ctl(self.d, "retention", "run")
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.assertEqual(ctl.last()["sessions"], len(ROOMS))
        for r, lines in histories(self.d).items():
            kept = [json.loads(x)["seq"] for x in lines]
            last = self.load.acked[r][-1][0]
            self.assertEqual(kept, list(range(last - 19, last + 1)))
        # again there is nothing to do
        ctl = Ctl(self.d, "retention", "run")
        self.assertEqual(ctl.wait(), 0, ctl.err)
        self.assertEqual(ctl.last()["messages_removed"], 0)
        self.assertEqual(errors(self.d), [])
        with open(self.tmp + "/while-it-goes-on") as f:
            seqs = [json.loads(x)["seq"] for x in f]
        self.assertEqual(seqs, sorted(set(seqs)))


class Damage(Case):
    def test_a_flipped_byte_and_a_daemon_in_the_way_are_named(self):
        self.load.more(100)
        status, _, err = offline(self.d.data_dir)
        self.assertEqual(status, 1)
        self.assertIn("a daemon with pid %d" % self.d.proc.pid, err)
        self.end_all()
        seq, text = self.load.acked["r2"][-1]
        self.d.stop()
        path = self.d.data_dir + "/db/data.mdb"
        status, answer, err = offline(self.d.data_dir)
        self.assertEqual((status, answer["errors_found"]), (0, 0))
        self.assertEqual(answer["pages"]["lost"], 0)
        with open(path, "r+b") as f:
            data = f.read()
            # pages that are free may hold older copies of the message
            f.seek(0)
            f.write(data.replace((text + " xxx").encode(),
                                 (text + " yxx").encode()))
        for where in (self.d.data_dir, path):
            status, answer, err = offline(where)
            self.assertEqual(status, 1)
            found = [(e["table"], e["key"].split("|")[1], e["error"])
                     for e in answer["errors"]]
            self.assertEqual(found, [("msg", str(seq), "the checksum is wrong")])
        # half a file is no store
        with open(self.tmp + "/half", "wb") as f:
            f.write(data[:len(data) // 2])
        status, answer, err = offline(self.tmp + "/half")
        self.assertEqual(status, 1)
        with open(self.tmp + "/nonsense", "wb") as f:
            f.write(os.urandom(65536))
        status, answer, err = offline(self.tmp + "/nonsense")
        self.assertEqual(status, 1)
        self.assertNotEqual(err, "")


class Look(Case):
    def test_health_and_store_tell(self):
        p = subprocess.run([CHATCTL, "-j", "-s",
                            self.d.dir + "/run/chatd.sock", "health"],
                           capture_output=True, text=True)
        answer = json.loads(p.stdout)
        self.assertEqual(sorted(answer), sorted([
            "status", "score", "issues", "timestamp", "connections",
            "uptime", "version"]))
        self.assertEqual(p.returncode,
                         1 if answer["status"] == "unhealthy" else 0)
        self.assertEqual(self.d.ctl("store")["state"], "ok")
        # a worker that is missing shows
        os.kill(self.d.children()[1], signal.SIGSTOP)
        os.kill(self.d.children()[1], signal.SIGKILL)
        until(lambda: any("died" in i or "workers are ready" in i
                          for i in self.d.ctl("health")["issues"]))
        self.end_all()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
