#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""The ring, the scribe and the store, each against its floor, in one run.

    store.py [build folder [quick | history [messages]]]

Publications by 1, 2 and 4 producers; messages that the scribe commits in
batches as they form, with the same rows of a bare LMDB as the floor; pages of
history; bytes written and bytes of the file; and how long nobody is answered
when the scribe is killed.  With `history' the same of a store with ten
million messages: eight gigabytes below $TMPDIR, ten minutes.  Prints a table
and writes bench-store.json, or bench-history.json, into the build folder.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import run
from run import Chatd, Table, chatd, failures, median, progress

OUT = run.OUT
MODE = sys.argv[2] if len(sys.argv) > 2 else ""
QUICK = MODE == "quick"
KILLS = 12 if QUICK else 60
SESSIONS_EACH = 10


def tool(name, *args, timeout=600, many=False):
    """What a program says in JSON; a list of its lines if there are many."""
    p = subprocess.run([OUT + "/bench/" + name, *args], text=True,
                       stdout=subprocess.PIPE, timeout=timeout)
    if p.returncode != 0:
        failures.append(name)
        return [] if many else None
    lines = [json.loads(x) for x in p.stdout.splitlines()]
    return lines if many else lines[0]


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] \
        if values else None


def div(a, b):
    return a / b if a and b else None


# --- ring and scribe --------------------------------------------------------

def publishing(table):
    progress("publishing")
    for r in tool("ring_bench", "-j", "-r", "40" if QUICK else "200") or []:
        most = 60 if r["producers"] == 2 else None
        table.add("publish, %d producer%s" %
                  (r["producers"], "" if r["producers"] == 1 else "s"), "ns",
                  r["ring"], r["shared_floor"],
                  div(r["ring"], r["shared_floor"]),
                  "<= %d" % most if most else "",
                  r["ring"] <= most if most else None, [r])


def scribe(table):
    progress("the scribe")
    got = tool("store_bench", "--json", "--seconds", "0.2" if QUICK else "1")
    if not got:
        return
    for r in got["rows"]:
        if r["senders"] == 10:
            continue
        table.add("scribe, %d under way (batches of %.0f)" %
                  (r["senders"], r["batch"]), "messages/s", r["scribe"],
                  r["bare"], r["ratio"], ">= 0.50 x bare LMDB",
                  r["ratio"] >= 0.5, [r])
        table.add("written to the file, %d under way" % r["senders"],
                  "bytes/message",
                  r["written_bytes"], r["bare_written_bytes"],
                  div(r["written_bytes"], r["bare_written_bytes"]))
    table.add("file", "bytes/message", got["file_bytes"],
              got["bare_file_bytes"],
              div(got["file_bytes"], got["bare_file_bytes"]))
    table.add("pages of 50, newest, small store", "pages/CPU-s",
              got["pages_per_s"], got["bare_pages_per_s"],
              div(got["pages_per_s"], got["bare_pages_per_s"]))


# --- clients ----------------------------------------------------------------

class Client(chatd.Raw):
    """A member of one session, or of several."""

    def __init__(self, port, user, session, *more):
        super().__init__(port, timeout=60)
        self.user, self.session, self.asked = user, session, 0
        self.sessions = (session, *more)
        self.upgrade()
        self.connect(user)
        for s in self.sessions:
            self.ask("chat:join-session", {"sessionId": s,
                                           "workspaceId": "default"})

    def until(self, start):
        """The next packet that begins so, whatever comes before it."""
        while True:
            _, data = self.frame()
            if data == b"2":
                self.text("3")
            elif data.startswith(start):
                return data

    def ask(self, name, payload):
        self.asked += 1
        self.event(name, payload, ack=self.asked)
        got = json.loads(self.until(b"43%d[" % self.asked)
                         [2 + len(str(self.asked)):])[0]
        if not got.get("ok"):
            failures.append("%s: %s" % (name, got))
        return got

    def say(self, text):
        """Milliseconds until a message is acknowledged."""
        begun = time.monotonic()
        self.ask("chat:send-message", {"message": {
            "id": "%s-%s-%d" % (self.user, text, time.time_ns()),
            "sessionId": self.session, "type": "user", "content": text}})
        return (time.monotonic() - begun) * 1000


def restart(table):
    """The scribe is killed: until the next message is durable."""
    gap = []
    with Chatd({"workers": 2}) as d:
        c = Client(d.port, "ada", "restart")
        floor = [c.say("calm") for _ in range(30)]
        for n in range(KILLS):
            progress("scribe killed %d" % (n + 1))
            pid = d.children().get("scribe")
            while not pid:
                time.sleep(0.01)
                pid = d.children().get("scribe")
            # it has been up for long enough not to be waited for
            time.sleep(0.7)
            os.kill(pid, signal.SIGKILL)
            begun = time.monotonic()
            c.say("kill")
            gap.append((time.monotonic() - begun) * 1000)
        c.close()
    calm = median(floor)
    for q, name in ((0.5, "p50"), (0.99, "p99")):
        ms = quantile(gap, q)
        table.add("scribe killed until the next durable message, %d kills" %
                  KILLS, name + " ms", ms, calm, None,
                  "<= 20" if q == 0.5 else "",
                  ms <= 20 if q == 0.5 else None, [gap])


# --- ten million messages ---------------------------------------------------

def ask_pages(port, name, ready, go, stop, counts, sessions, last):
    """Pages of many sessions, eight under way; until told to stop.

    With 'last' anywhere up to that seq, in so many sessions that what was read
    once is seldom read again.
    """
    rnd = random.Random(name)
    each = SESSIONS_EACH if last else 1
    clients = [Client(port, "%s-%d" % (name, i), *(
        "session-%d" % n for n in rnd.sample(range(1, sessions + 1), each)))
        for i in range(8)]

    def begin(c):
        payload = {"sessionId": rnd.choice(c.sessions), "limit": 50}
        if last:
            payload["beforeSeq"] = rnd.randint(60, last)
        c.event("chat:request-history", payload)

    ready.set()
    go.wait()
    for c in clients:
        begin(c)
    while not stop.is_set():
        for c in clients:
            got = c.until(b'42["chat:history-response"')
            counts["bytes"] += len(got)
            counts["pages"] += 1
            if got.count(b'"seq":') < 50:
                counts["short"] = got[:200].decode(errors="replace")
            begin(c)
    for c in clients:
        c.close()


def cpu(pid):
    """User and system seconds of a process and all below it."""
    total, todo = 0.0, [pid]
    while todo:
        p = todo.pop()
        try:
            with open("/proc/%d/stat" % p) as f:
                x = f.read().rsplit(")", 1)[1].split()
            total += (int(x[11]) + int(x[12])) / os.sysconf("SC_CLK_TCK")
            with open("/proc/%d/task/%d/children" % (p, p)) as f:
                todo += [int(c) for c in f.read().split()]
        except OSError:
            continue
    return total


def drop(path):
    """Nothing of the file in memory that no process has mapped."""
    fd = os.open(path, os.O_RDWR)
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def warm(path):
    """All of the file in memory."""
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 22):
            pass


def through_daemon(table, data_dir, sessions, last):
    """Pages that clients get, and what others feel of it."""
    path = data_dir + "/db/data.mdb"
    seconds = 8
    for what, deep, cold in (("newest", False, False),
                             ("random, warm", True, False),
                             ("random, cold", True, True)):
        progress("daemon: " + what)
        warm(path)
        with Chatd({"workers": 1}, data_dir) as d:
            talker = Client(d.port, "talker", "quiet")
            alone = [talker.say("alone") for _ in range(200)]
            ready, go, stop = (threading.Event() for _ in range(3))
            counts = {"pages": 0, "bytes": 0}
            t = threading.Thread(target=ask_pages, args=(
                d.port, what[:6].replace(",", ""), ready, go, stop, counts,
                sessions, deep and last))
            t.start()
            if not ready.wait(120):
                failures.append("nobody reads: " + what)
            if cold:
                drop(path)
            go.set()
            time.sleep(0.3)
            before, begun, used = dict(counts), time.monotonic(), \
                cpu(d.proc.pid)
            beside = []
            while time.monotonic() - begun < seconds:
                beside.append(talker.say("beside"))
                time.sleep(0.005)
            wall = time.monotonic() - begun
            used = cpu(d.proc.pid) - used
            pages = counts["pages"] - before["pages"]
            stop.set()
            t.join()
            talker.close()
        if "short" in counts:
            failures.append("pages, %s: %s" % (what, counts["short"]))
        table.add("daemon: pages, %s" % what, "pages/s", pages / wall)
        size = (counts["bytes"] - before["bytes"]) / max(pages, 1)
        table.add("daemon: a page", "bytes", size)
        table.add("daemon: pages, %s" % what, "pages/CPU-s",
                  div(pages, used))
        for q, name in ((0.5, "p50"), (0.99, "p99")):
            table.add("daemon: a message beside them, %s" % what,
                      name + " ms", quantile(beside, q), quantile(alone, q),
                      None, "", None)


PHASES = {
    "newest": "pages, newest, warm",
    "random": "pages, anywhere, warm",
    "cold": "pages, anywhere, nothing in memory",
}


def bare_phases(table, rows):
    for r in rows:
        phase = r["phase"]
        if phase == "build":
            table.add("store of %s messages in %s sessions" %
                      ("{:,}".format(r["messages"]),
                       "{:,}".format(r["rooms"])), "bytes/message",
                      r["bytes_per_message"])
        elif phase in PHASES:
            table.add("store: " + PHASES[phase],
                      "pages/s" if phase == "cold" else "pages/CPU-s",
                      r["pages_per_s"], r["floor"], r["ratio"])
        elif phase.startswith("restart"):
            table.add("scribe's start, %s pages" % phase[8:],
                      "ms to the first durable message",
                      r["first_message_ms"])
        elif phase == "trim":
            table.add("retention, slices of 64", "messages removed/s",
                      r["removed_per_s"], r["floor"], r["ratio"])


def history(table, messages):
    sessions = 1000
    with tempfile.TemporaryDirectory(prefix="chatd-history-") as d:
        os.chmod(d, 0o755)
        common = ["-d", d, "-n", str(messages), "-s", "4"]
        for phases in (["build"], ["newest", "random", "cold"], ["restart"]):
            progress("store: " + " ".join(phases))
            bare_phases(table, tool("history_bench", *common, *phases,
                                    timeout=3600, many=True))
        subprocess.run(["chown", "-R", "nobody:nogroup", d], check=True)
        through_daemon(table, d, sessions, messages // sessions // 2)
        progress("store: trim")
        bare_phases(table, tool("history_bench", *common, "trim",
                                timeout=3600, many=True))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    here, table = run.machine(), Table()
    if MODE == "history":
        messages = int(sys.argv[3]) if len(sys.argv) > 3 else 10000000
        history(table, messages)
    else:
        for part in (publishing, scribe, restart):
            part(table)
    progress("")
    print("%(cpu)s, %(cores)d cores, Linux %(kernel)s" % here)
    table.show()
    name = "bench-history" if MODE == "history" else "bench-store"
    with open("%s/%s.json" % (OUT, name), "w") as f:
        json.dump({"machine": here, "failures": failures,
                   "rows": table.rows}, f, indent=1)
    for f in failures:
        print("failed: %s" % f)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
