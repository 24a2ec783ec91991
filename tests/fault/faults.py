# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""faults.py - the file in which fault points are armed, and a daemon with it.

The table is common/tbl_fault.h, the layout common/fault.h.
"""
import json
import mmap
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import UNLIMITED, free_port  # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get("FAULT_BUILD", "build-fault"))
MAGIC, HEAD, ROW = 0x746C6661, 64, 64
NONE, KILL, STOP, ABORT, DELAY, FAIL = range(6)
ACTIONS = {"kill": KILL, "stop": STOP, "abort": ABORT, "delay": DELAY,
           "error": FAIL}
ROLES = {"m": 1, "w": 2, "s": 4, "k": 8, "b": 16}
# fields of a row, by index of 32 bits
(ACTION, LEFT, TIMES, ROLE_BITS, SLOT, VALUE, HITS, FIRED, PID,
 STOPPED) = range(10)
STOP_S = 0.1


def read_table():
    """[(name, who, text)] in the order of the table."""
    with open(os.path.join(ROOT, "common/tbl_fault.h")) as f:
        return re.findall(r'^FAULT_POINT\((\w+),\s*"(\w+)",\s*"([^"]*)"',
                          f.read(), re.M)


class FaultFile:
    """The rows, shared with all processes of a daemon."""

    def __init__(self):
        self.table = read_table()
        self.index = {p[0]: i for i, p in enumerate(self.table)}
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        fd, self.path = tempfile.mkstemp(prefix="chatd-fault-", dir=base)
        size = HEAD + ROW * len(self.table)
        os.ftruncate(fd, size)
        os.fchmod(fd, 0o666)
        self.map = mmap.mmap(fd, size)
        os.close(fd)
        self.words = memoryview(self.map).cast("I")
        self.words[1], self.words[2] = len(self.table), ROW
        self.words[0] = MAGIC
        self.waking = {}

    def _at(self, name):
        return (HEAD + ROW * self.index[name]) // 4

    def get(self, name, field):
        return self.words[self._at(name) + field]

    def arm(self, name, action, hit=1, times=1, roles="", slot=-1, value=0):
        at = self._at(name)
        self.words[at + ACTION] = NONE
        self.words[at + LEFT] = hit
        self.words[at + TIMES] = times
        self.words[at + ROLE_BITS] = sum(ROLES[r] for r in roles)
        self.words[at + SLOT] = slot & 0xFFFFFFFF
        self.words[at + VALUE] = value
        self.words[at + STOPPED] = 0
        self.words[at + ACTION] = action

    def clear(self, name=None):
        for n in [name] if name else self.index:
            self.words[self._at(n) + ACTION] = NONE

    def resume_stopped(self, now):
        """Who stands still has done so for long enough?"""
        for i in range(len(self.table)):
            at = (HEAD + ROW * i) // 4 + STOPPED
            pid = self.words[at]
            if pid == 0:
                continue
            since = self.waking.setdefault(pid, now)
            if now - since < STOP_S:
                continue
            self.words[at] = 0
            del self.waking[pid]
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def close(self):
        self.words.release()
        self.map.close()
        os.unlink(self.path)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(") ", 1)[1][0] not in "ZX"
    except (OSError, IndexError):
        return False


class Host:
    """One daemon; it is started again when it ends, as systemd would."""

    OPTIONS = {"auth.mode": "none", "workers": 3, "log.target": "stderr",
               "content.burst": 0,
               "replay.max": 0, "engine.ping_interval": "3s",
               "engine.ping_timeout": "5s", **UNLIMITED}
    # changes with each reload
    del OPTIONS["limits.history_rate"]

    def __init__(self, options=None, preload=True, data_dir=None):
        """ring.* stand in the file, so that a reload can change them."""
        self.dir = tempfile.mkdtemp(prefix="chatd-faults-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.faults = FaultFile()
        self.options = {**self.OPTIONS, "listen": "127.0.0.1:%d" % self.port,
                        "run_dir": self.dir + "/run",
                        "data_dir": data_dir or self.dir + "/data",
                        **(options or {})}
        if os.geteuid() == 0:
            self.options.update(user="nobody", group="nogroup")
        self.conf = self.dir + "/chatd.conf"
        self.sock = self.dir + "/run/chatd.sock"
        self.env = dict(os.environ, CHATD_FAULT_FILE=self.faults.path)
        if preload:
            # whoever the daemon becomes must be able to read it
            shutil.copy(BUILD + "/fault/disk.so", self.dir + "/disk.so")
            self.env["LD_PRELOAD"] = self.dir + "/disk.so"
        self.proc = None
        self.starts = 0
        self.reloads = 0
        self.rings = {k: self.options.pop(k) for k in list(self.options)
                      if k.startswith("ring.")}
        self.configure()

    def configure(self):
        """A configuration that differs from the one before."""
        self.reloads += 1
        with open(self.conf + ".new", "w") as f:
            f.write("limits.history_rate = %d\n" %
                    (900000 + self.reloads % 7))
            for option in self.rings.items():
                f.write("%s = %s\n" % option)
        os.rename(self.conf + ".new", self.conf)

    def change_rings(self):
        """From 64 slots to 128, and back."""
        self.rings["ring.slots"] = 192 - self.rings["ring.slots"]
        self.configure()
        self.signal(self.proc.pid, signal.SIGHUP)

    def spawn(self):
        args = [BUILD + "/chatd", "-d", "-c", self.conf]
        for k, v in self.options.items():
            args += ["-o", "%s=%s" % (k, v)]
        with open(self.dir + "/log", "ab") as log:
            self.proc = subprocess.Popen(args, env=self.env, stdout=log,
                                         stdin=subprocess.DEVNULL, stderr=log)
        self.starts += 1

    def ask(self, command, *args, timeout=5):
        """The documents of an answer; OSError when there is no daemon."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.sock)
            s.sendall(json.dumps({"v": 1, "command": command,
                                  "args": list(args)}).encode() + b"\n")
            data = b""
            while True:
                part = s.recv(65536)
                if not part:
                    raise OSError("no end: %r" % data[-100:])
                data += part
                if not data.endswith(b"\n"):
                    continue
                last = json.loads(data.rstrip().rsplit(b"\n", 1)[-1])
                if last.get("done"):
                    break
        if not last["ok"]:
            raise OSError(last["error"])
        docs = [json.loads(x) for x in data.splitlines()]
        docs = [x["data"] for x in docs if "data" in x]
        return docs[0] if len(docs) == 1 else docs

    def ready(self):
        if self.proc is None or self.proc.poll() is not None:
            return False
        try:
            s = self.ask("status", timeout=1)
        except (OSError, ValueError):
            return False
        return s["state"] == "running" and s["scribe"] == "ready" and \
            s["workers_ready"] == s["workers"]

    def children(self):
        """{"scribe": pid, slot: pid}"""
        found = {}
        try:
            with open("/proc/%d/task/%d/children" %
                      (self.proc.pid, self.proc.pid)) as f:
                pids = f.read().split()
        except OSError:
            return found
        for p in pids:
            try:
                with open("/proc/%s/cmdline" % p) as f:
                    title = f.read().split("\0")[0]
            except OSError:
                continue
            if title.startswith("chatd: worker"):
                found[int(title.split()[2])] = int(p)
            elif title.startswith("chatd: scribe"):
                found["scribe"] = int(p)
        return found

    def signal(self, pid, sig):
        try:
            os.kill(pid, sig)
            return True
        except (ProcessLookupError, TypeError):
            return False

    def log_text(self):
        with open(self.dir + "/log", errors="replace") as f:
            return f.read()

    def end(self, keep=False):
        self.faults.clear()
        pids = list(self.children().values())
        if self.proc is not None and self.proc.poll() is None:
            for p in pids:
                self.signal(p, signal.SIGCONT)
            self.proc.send_signal(signal.SIGCONT)
            self.proc.terminate()
            try:
                self.proc.wait(15)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        for p in pids:
            if alive(p):
                self.signal(p, signal.SIGKILL)
        self.faults.close()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def wait_for(what, seconds, step=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(step)
    return False
