#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""chatd against a floor, in one run on one machine.

    run.py [build folder [quick]]

CPU time is that of a server's whole process tree.  Absolute figures of two
machines, or of two moments of one, say little; so floor and daemon take
turns, round by round, and the ratio is the median of the rounds' ratios.
Prints a table and writes bench.json into the build folder.  The load
generator verifies what it receives: a violation makes the exit status 1, a
missed target does not.
"""

import base64
import hashlib
import hmac
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))
import chatd  # noqa: E402

OUT = sys.argv[1] if len(sys.argv) > 1 else "build"
QUICK = len(sys.argv) > 2 and sys.argv[2] == "quick"
ROUNDS = 1 if QUICK else 5
SECONDS = 1.0 if QUICK else 1.5
CONNECTIONS = 10000

# name, shape, which floor, the least ratio to it, where that comes from
RELAY = [
    ("1 room x 1,000, one under way",
     ["--members", "1000", "--senders", "10", "--window", "1"],
     "write", 0.9, ""),
    ("1 room x 1,000, 8 under way",
     ["--members", "1000", "--senders", "10", "--window", "8"],
     "coalesce", 0.6, ""),
    ("100 rooms x 20, 5 senders each",
     ["--rooms", "100", "--members", "20", "--senders", "5", "--window", "5"],
     "coalesce", 0.56, "what uWebSockets reached"),
    ("1,000 rooms x 2, both send",
     ["--rooms", "1000", "--members", "2", "--window", "2"],
     "write", 0.45, ""),
]

failures = []


class Floor:
    def __init__(self, kind):
        options = ["--coalesce"] if kind == "coalesce" else []
        self.proc = subprocess.Popen([OUT + "/bench/floor", *options],
                                     stdout=subprocess.PIPE, text=True)
        self.address = self.proc.stdout.readline().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        self.proc.wait(10)
        self.proc.stdout.close()


class Chatd(chatd.Daemon):
    def __init__(self, options=None, data_dir=None):
        super().__init__(options, data_dir)
        self.address = "127.0.0.1:%d" % self.port


def server(kind):
    return Chatd() if kind == "chatd" else Floor(kind)


def generator(s, *options):
    return [OUT + "/bench/load", "--json", "--server-pid", str(s.proc.pid),
            *options, s.address]


def load(s, what, *options):
    """A run of the generator; its report, or None."""
    p = subprocess.run(generator(s, *options), stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=180)
    if p.returncode != 0:
        failures.append(what)
        print("%s: exit status %d\n%s" % (what, p.returncode, p.stderr),
              file=sys.stderr)
    return json.loads(p.stdout) if p.stdout else None


def pss(pid):
    """Bytes of the process and all below it, shared pages by their share."""
    total, todo = 0, [pid]
    while todo:
        pid = todo.pop()
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                todo += [int(x) for x in f.read().split()]
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += 1024 * int(re.search(r"^Pss:\s+(\d+)", f.read(),
                                              re.M).group(1))
        except OSError:
            continue
    return total


class Held:
    """Connections that stand and do nothing."""

    def __init__(self, s, *options):
        self.command = generator(s, "--hold", *options)

    def __enter__(self):
        self.p = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        line = self.p.stdout.readline()
        self.setup = json.loads(line)["setup"] if line else None
        if not line:
            failures.append(" ".join(self.command))
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        self.p.wait(30)
        self.p.stdout.close()


def median(values):
    values = [v for v in values if v]
    return statistics.median(values) if values else None


def ratio(rounds, a, b):
    """The median over the rounds of a's figure by b's."""
    return median([r[a] / r[b] for r in rounds if r.get(a) and r.get(b)])


def progress(text):
    if sys.stderr.isatty():
        print("\r\033[K%s" % text, end="", file=sys.stderr, flush=True)


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, unit, chatd_n, floor_n=None, r=None, target="",
            good=None, rounds=None):
        self.rows.append({"what": what, "unit": unit, "chatd": chatd_n,
                          "floor": floor_n, "ratio": r, "target": target,
                          "reached": good, "rounds": rounds})

    @staticmethod
    def number(n):
        if n is None:
            return "-"
        if n >= 1000:
            return "{:,.0f}".format(n)
        return "%.0f" % n if n >= 100 else "%.2f" % n

    def show(self):
        head = ("what", "chatd", "floor", "ratio", "target", "")
        lines = [head] + [
            ("%s, %s" % (r["what"], r["unit"]), self.number(r["chatd"]),
             self.number(r["floor"]),
             "-" if r["ratio"] is None else "%.2f" % r["ratio"], r["target"],
             {None: "", True: "ok", False: "missed"}[r["reached"]])
            for r in self.rows]
        width = [max(len(x[i]) for x in lines) for i in range(6)]
        for x in lines:
            print("  ".join([x[0].ljust(width[0])] +
                            [x[i].rjust(width[i]) for i in (1, 2, 3)] +
                            [x[4].ljust(width[4]), x[5]]).rstrip())


def bare_send():
    """What no server can do better that sends once a delivery."""
    p = subprocess.run([OUT + "/bench/bare"], capture_output=True, text=True,
                       timeout=60)
    return json.loads(p.stdout)["sends_per_cpu_s"] if p.stdout else None


def relay(table):
    """Deliveries a CPU-second, and how long they take, at full speed."""
    rounds = [[{} for _ in range(ROUNDS)] for _ in RELAY]
    for n in range(ROUNDS):
        rounds[0][n]["bare"] = bare_send()
        # all three stand all the time, and take turns
        with server("write") as a, server("coalesce") as b, \
                server("chatd") as c:
            servers = {"write": a, "coalesce": b, "chatd": c}
            for i, (name, shape, floor, _, _) in enumerate(RELAY):
                for kind, s in servers.items():
                    if QUICK and kind not in ("chatd", floor):
                        continue
                    progress("%s: %s, round %d" % (name, kind, n + 1))
                    r = load(s, "%s: %s" % (name, kind), *shape, "--warmup",
                             "0.3", "--seconds", str(SECONDS))
                    if r:
                        rounds[i][n][kind] = r["deliveries_per_cpu_s"]
                        rounds[i][n][kind + "_report"] = r
    for i, (name, _, floor, least, why) in enumerate(RELAY):
        r = ratio(rounds[i], "chatd", floor)
        table.add(name, "deliveries/CPU-s",
                  median([x.get("chatd") for x in rounds[i]]),
                  median([x.get(floor) for x in rounds[i]]), r,
                  ">= %.2f x limit-%s%s" % (least, floor,
                                            why and ", " + why),
                  r is not None and r >= least, rounds[i])
    bare = median([x["bare"] for x in rounds[0]])
    table.add("the floor itself by bare send(2), 1 room x 1,000",
              "deliveries/CPU-s", median([x.get("write") for x in rounds[0]]),
              bare, ratio(rounds[0], "write", "bare"), ">= 200,000")


def store_floor():
    """Messages a second that a bare LMDB group commit takes: by batch."""
    program = OUT + "/bench/store_bench"
    if not os.access(program, os.X_OK):
        return None
    p = subprocess.run([program, "--json", "--seconds",
                        "0.2" if QUICK else "0.5"],
                       capture_output=True, text=True,
                       timeout=120)
    try:
        return json.loads(p.stdout)
    except ValueError:
        failures.append("store_bench")
        print(p.stdout + p.stderr, file=sys.stderr)
        return None


def durable(table):
    """Acknowledged messages a second with 1,000 sessions of one member."""
    shape = ["--rooms", "1000", "--members", "1", "--window", "1",
             "--seconds", str(SECONDS)]
    rounds = [{} for _ in range(min(ROUNDS, 3))]
    for r in rounds:
        progress("durable messages: floor")
        bare = store_floor()
        if bare:
            r["lmdb"] = bare.get("messages_per_s")
            r["lmdb_report"] = bare
        with server("chatd") as s:
            progress("durable messages: chatd")
            got = load(s, "durable messages", *shape)
            if got:
                r["chatd"] = got["acked_per_s"]
                r["chatd_report"] = got
    n = median([x.get("chatd") for x in rounds])
    r = ratio(rounds, "chatd", "lmdb")
    table.add("durable messages, 1,000 senders", "acknowledged/s", n,
              median([x.get("lmdb") for x in rounds]), r,
              ">= 20,000 and >= 0.50 x bare LMDB",
              n is not None and n >= 20000 and (r is None or r >= 0.5),
              rounds)


CONTENT = [
    # text, what, which figures of content_bench
    ("100 characters", "validation", ["plain_scan", "plain_measure"]),
    ("100 characters", "limits", ["plain_limits"]),
    ("100 characters", "content rules", ["plain_html", "plain_burst"]),
    ("100 characters", "content rules, 1,019 of an operator's",
     ["plain_rules", "plain_burst"]),
    ("code with < and >", "content rules", ["code_html", "code_burst"]),
    ("active HTML", "content rules", ["html_html", "html_burst"]),
    ("5,000 characters", "validation and content rules",
     ["long_scan", "long_measure", "long_html", "long_burst"]),
]


def content(table):
    """The share of a message's CPU that looking at it takes."""
    name, shape, _, _, _ = RELAY[-1]
    progress("content: CPU of a message")
    with server("chatd") as s:
        got = load(s, "content", *shape, "--warmup", "0.3", "--seconds",
                   str(SECONDS))
    # one delivery a message: the daemon's whole CPU for it
    each = 1e9 / got["deliveries_per_cpu_s"] if got else None
    progress("content: what is looked at")
    p = subprocess.run([OUT + "/bench/content_bench", "-s",
                        "0.05" if QUICK else "0.3"], capture_output=True,
                       text=True, timeout=120, check=True)
    ns = json.loads(p.stdout)
    for text, what, keys in CONTENT:
        n = sum(ns[k] for k in keys)
        table.add("%s: %s" % (text, what), "ns of a message's CPU", n, each,
                  n / each if each else None, rounds=[ns])


LATENCY = [
    # name, shape, histogram, targets in ms
    ("one idle sender, sent to durable",
     ["--members", "2", "--senders", "1", "--rate", "50"], 4, "sent_us",
     {"p50": 1}),
    ("1,000 messages/s, sent to durable",
     ["--rooms", "100", "--members", "2", "--rate", "1000"], 10, "sent_us",
     {}),
    ("30,000 deliveries/s, sent to received",
     ["--rooms", "100", "--members", "31", "--rate", "1000"], 10,
     "delivered_us", {"p50": 1, "p99": 5}),
]


def latency(table):
    with server("chatd") as s, server("write") as f:
        for name, shape, seconds, hist, targets in LATENCY:
            if QUICK:
                seconds = 1.5
            reports = []
            for one in (f, s):
                progress("%s: %s" % (name, one.address))
                reports.append(load(one, name, *shape, "--warmup", "0.2",
                                    "--seconds", str(seconds)))
            floor, got = reports
            if not floor or not got:
                continue
            for q in ("p50", "p99", "p999"):
                ms = got[hist][q] / 1000
                most = targets.get(q)
                table.add(name, q + " ms", ms, floor[hist][q] / 1000, None,
                          "<= %g" % most if most else "",
                          ms <= most if most else None,
                          [{"chatd_report": got, "write_report": floor}])


HELD = [
    # what, how far, how many rooms, the most bytes
    ("idle connection", ["--until", "connect", "--members", "20"], 1024),
    ("joined connection", ["--members", "20"], 1536),
]


def memory(table):
    for what, options, most in HELD:
        each = {}
        for kind in ("write", "chatd"):
            progress("memory a %s: %s" % (what, kind))
            with server(kind) as s:
                before = pss(s.proc.pid)
                with Held(s, "--rooms", str(CONNECTIONS // 20), *options):
                    time.sleep(1)
                    each[kind] = (pss(s.proc.pid) - before) / CONNECTIONS
        table.add("%s, %d of them" % (what, CONNECTIONS), "PSS bytes",
                  each["chatd"], each["write"], None, "<= %d" % most,
                  each["chatd"] <= most, [each])


def token(i):
    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    body = {"sub": "u%d" % i, "name": "user %d" % i,
            "exp": int(time.time()) + 3600, "workspaces": ["bench"]}
    text = b64(b'{"alg":"HS256","typ":"JWT"}') + b"." + \
        b64(json.dumps(body).encode())
    sign = hmac.new(SECRET.encode(), text, hashlib.sha256).digest()
    return (text + b"." + b64(sign)).decode()


SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"


def connecting(table):
    n = 2000 if QUICK else 5000
    rounds = [{} for _ in range(min(ROUNDS, 3))]
    for r in rounds:
        for kind in ("write", "chatd"):
            progress("connecting: " + kind)
            with server(kind) as s:
                with Held(s, "--until", "open", "--rooms", str(n // 2)) as h:
                    r[kind] = h.setup and h.setup["per_cpu_second"]
                    r[kind + "_setup"] = h.setup
        progress("tokens and joins")
        with tempfile.TemporaryDirectory(prefix="chatd-bench-") as d:
            os.chmod(d, 0o755)
            with open(d + "/secret", "w") as f:
                f.write(SECRET)
            with open(d + "/tokens", "w") as f:
                f.write("".join(token(i) + "\n" for i in range(n)))
            for kind, transport in (("jwt", "websocket"),
                                    ("upgraded", "upgrade")):
                with Chatd({"auth.mode": "jwt",
                            "auth.secret_file": d + "/secret"}) as s, \
                        Held(s, "--token-file", d + "/tokens", "--rooms",
                             str(n // 2), "--transport", transport) as h:
                    r[kind] = h.setup and h.setup["per_cpu_second"]
                    r[kind + "_per_s"] = h.setup and \
                        h.setup["clients"] / h.setup["seconds"]
                    r[kind + "_setup"] = h.setup
    accepted = median([x.get("chatd") for x in rounds])
    table.add("connections accepted", "per CPU-s", accepted,
              median([x.get("write") for x in rounds]),
              ratio(rounds, "chatd", "write"), ">= 25,000",
              accepted is not None and accepted >= 25000, rounds)
    joined = median([x.get("jwt") for x in rounds])
    table.add("handshake + token + join", "per CPU-s", joined, None, None,
              ">= 10,000", joined is not None and joined >= 10000)
    for name, kind, unit in (
            ("handshake + token + join", "jwt_per_s", "per s"),
            ("polling + upgrade + token + join", "upgraded", "per CPU-s"),
            ("polling + upgrade + token + join", "upgraded_per_s", "per s")):
        table.add(name, unit, median([x.get(kind) for x in rounds]), None,
                  None, "", None, rounds)


def polling(table):
    """GETs and POSTs that are answered, a second, over two workers."""
    rounds = []
    for _ in range(min(ROUNDS, 3)):
        progress("polling")
        with Chatd({"workers": 2}) as s:
            got = load(s, "polling", "--transport", "polling", "--rooms",
                       "100", "--members", "2", "--senders", "2",
                       "--seconds", "2" if QUICK else "5")
        if got:
            rounds.append({"per_s": got["requests_per_s"],
                           "per_cpu": got["requests_per_s"] *
                           got["seconds"] / got["server_cpu"]})
    for unit, kind in (("per s", "per_s"), ("per CPU-s", "per_cpu")):
        table.add("polling round trips", unit,
                  median([x[kind] for x in rounds]), None, None, "", None,
                  rounds)


def streams(table):
    """Agents that write: chunks from due to received, and their cost."""
    name = "%d streams x 50 chunks/s x 2 viewers" % (100 if QUICK else 1000)
    progress(name)
    with Chatd({"workers": 2, "limits.chunk_rate": 0}) as s:
        p = subprocess.run(
            [OUT + "/bench/stream", "--json", "--streams",
             name.split()[0], "--seconds", "2" if QUICK else "5",
             "--server-pid", str(s.proc.pid), s.address],
            capture_output=True, text=True, timeout=180)
    if p.returncode != 0:
        failures.append(name)
        print("%s: exit status %d\n%s" % (name, p.returncode, p.stderr),
              file=sys.stderr)
    if not p.stdout:
        return
    got = json.loads(p.stdout)
    for q in ("p50", "p99", "p999"):
        table.add(name + ", due to received", q + " ms",
                  got["chunk_us"][q] / 1000, rounds=[got])
    table.add(name, "server CPU us a chunk", got["server_cpu_us_per_chunk"],
              rounds=[got])


def joining(table):
    """In a session of many, against one of ten: the answer is bounded."""
    most = 2000 if QUICK else 10000
    got = {}
    for members in (10, most):
        progress("joins among %d" % members)
        with Chatd({"engine.ping_interval": "5m",
                    "limits.join_rate": 0}) as s:
            p = subprocess.run(
                [OUT + "/bench/join", "--json", "--members", str(members),
                 "--server-pid", str(s.proc.pid), s.address],
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=300)
        if p.returncode != 0:
            failures.append("joins")
            print("joins: %s" % p.stderr, file=sys.stderr)
            return
        got[members] = json.loads(p.stdout)
    few, many = got[10], got[most]
    name = "join among %d, against among 10" % most
    for key, unit in (("cpu_us", "CPU us"), ("bytes", "bytes"),
                      ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms")):
        table.add(name, unit, many[key], few[key], rounds=[got])


def store(table):
    """The rows of store.py: ring, scribe, store, restarts."""
    progress("ring, scribe, store")
    subprocess.run(["/usr/bin/python3", HERE + "/store.py", OUT] +
                   (["quick"] if QUICK else []), stdout=subprocess.DEVNULL,
                   timeout=600)
    with open(OUT + "/bench-store.json") as f:
        got = json.load(f)
    failures.extend(got["failures"])
    table.rows.extend(got["rows"])


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = re.search(r"model name\s*: (.*)", f.read())
    return {"cpu": cpu.group(1) if cpu else "", "cores": os.cpu_count(),
            "kernel": platform.release(), "load": os.getloadavg(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"), "quick": QUICK}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.time()
    here = machine()
    table = Table()
    here["seconds"] = {}
    for part in (relay, durable, content, latency, memory, connecting, polling,
                 joining, streams, store):
        began = time.time()
        try:
            part(table)
        except (RuntimeError, OSError, subprocess.SubprocessError) as e:
            failures.append(part.__name__)
            print("%s: %s" % (part.__name__, e), file=sys.stderr)
        here["seconds"][part.__name__] = round(time.time() - began, 1)
    progress("")
    print("%(cpu)s, %(cores)d cores, Linux %(kernel)s" % here, end="")
    print(", load %.1f before, %.0f s" % (here["load"][0],
                                          time.time() - start))
    table.show()
    with open(OUT + "/bench.json", "w") as f:
        json.dump({"machine": here, "failures": failures,
                   "rows": table.rows}, f, indent=1)
    for f in failures:
        print("failed: " + f)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
