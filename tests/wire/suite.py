"""suite.py - how the suites of this folder are written and run.

A test is a function with a Test as its argument; its decorator says which
server it needs.  What it asserts is what the reference does; where chatd
does something else on purpose the test asks deviates(), which names the
row of deviations.py, and asserts either.
"""
import argparse
import concurrent.futures
import threading
import time
import traceback

from deviations import DEVIATIONS
from raw import Conn, Polling, Ws, request, upgrade_request
from servers import CONFORMANCE, Pool

REFERENCE = "node tests/wire/reference/server.mjs"
PATHS = {"eio-echo": "/engine.io/", "ws-echo": "/echo"}


class Registry:
    def __init__(self):
        self.tests = []

    def __call__(self, mode, own=False, seconds=1, **options):
        """own: a server of its own; seconds: about how long it waits."""
        def add(fn):
            assert fn.__name__ not in [t[0] for t in self.tests], fn.__name__
            self.tests.append((fn.__name__, fn, mode, own, seconds, options))
            return fn
        return add


class Test:
    def __init__(self, server, mode, reference):
        self.server, self.mode, self.reference = server, mode, reference
        self.port = server.port
        self.path = PATHS.get(mode, "/socket.io/")
        self.deviation = None
        self.notes = []

    def deviates(self, number):
        """True when chatd is under test, false with the reference."""
        assert number in DEVIATIONS, number
        if not self.reference:
            self.deviation = number
        return not self.reference

    def note(self, text):
        """A figure, shown behind the name."""
        self.notes.append(text)

    def target(self, query="EIO=4&transport=polling"):
        return self.path + "?" + query

    def conn(self, seconds=None):
        return Conn(self.port, seconds)

    def ask(self, method="GET", query="EIO=4&transport=polling", headers=(),
            body=None, **kw):
        """One request on a connection of its own."""
        return self.tell(request(method, self.target(query), headers, body,
                                 **kw), method)

    def tell(self, data, method="GET"):
        c = self.conn()
        try:
            c.send(data)
            return c.response(method)
        finally:
            c.close()

    def polling(self, query="", headers=()):
        return Polling(self.port, self.path, query, headers)

    def refused_upgrade(self, query, status=400, text=None, headers=(), **kw):
        """An upgrade request that gets an error and the end."""
        c = self.conn()
        c.send(upgrade_request(self.target(query), headers, **kw))
        r = c.response()
        assert r.status == status, r
        assert (r.get("connection") or "").lower() == "close", r
        if text is not None:
            assert r.text() == text, r
        assert c.rest() == b""
        c.close()
        return r

    def echo(self):
        """The WebSocket of the ws-echo mode."""
        w = Ws(self.port)
        w.upgrade(self.path)
        return w

    def websocket(self, query="", headers=(), coalesced=b""):
        """An Engine.IO session that begins on a WebSocket."""
        w = Ws(self.port)
        q = "EIO=4&transport=websocket" + ("&" + query if query else "")
        w.began = time.monotonic()
        w.send(upgrade_request(self.target(q), headers) + coalesced)
        w.upgraded()
        w.open_packet()
        return w

    def still_serves(self):
        if self.mode == "ws-echo":
            w = self.echo()
            w.text("x")
            assert w.recv() == "x"
        else:
            self.polling()


def run_one(pool, test):
    name, fn, mode, own, seconds, options = test
    began = time.monotonic()
    t = None
    server = None
    try:
        server = (pool.own if own else pool.get)(mode, options)
        t = Test(server, mode, pool.reference)
        fn(t)
        wrong = None
    except Exception:
        wrong = traceback.format_exc(limit=-4)
    if server and not own and not server.alive():
        wrong = (wrong or "") + "the server died: " + server.errors()
    if server and own:
        text = server.stop()
        if text and wrong is None:
            wrong = text
    return t, wrong, time.monotonic() - began


class Report:
    """Lines in the order of the names, as soon as they are known."""

    def __init__(self, names, times):
        self.names, self.times = names, times
        self.lines = {}
        self.next = 0
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def add(self, name, t, wrong, took):
        if wrong is not None:
            line = "%-60s FAIL\n%s" % (name, indent(wrong))
        elif t is not None and t.deviation:
            line = "%-60s deviation %s: %s" % (
                name, t.deviation, DEVIATIONS[t.deviation].title)
        else:
            line = "%-60s pass" % name
        if self.times:
            line += "  %.1f s" % took
        if t is not None and t.notes:
            line += "  (" + ", ".join(t.notes) + ")"
        with self.lock:
            if wrong is None:
                self.passed += 1
            else:
                self.failed += 1
            self.lines[name] = line
            while (self.next < len(self.names) and
                   self.names[self.next] in self.lines):
                print(self.lines[self.names[self.next]], flush=True)
                self.next += 1


def indent(text):
    return "".join("    %s\n" % x for x in text.rstrip().split("\n")).rstrip()


def run(pool, tests, jobs, times=False):
    """Run them; those that wait long begin first."""
    report = Report([t[0] for t in tests], times)
    with concurrent.futures.ThreadPoolExecutor(jobs) as ex:
        waiting = {ex.submit(run_one, pool, t): t[0]
                   for t in sorted(tests, key=lambda t: -t[4])}
        for done in concurrent.futures.as_completed(waiting):
            report.add(waiting[done], *done.result())
    return report


def main(registry, doc, jobs=12, after=None):
    ap = argparse.ArgumentParser(description=doc)
    ap.add_argument("--server", default=CONFORMANCE,
                    help="command line of the conformance server")
    ap.add_argument("--reference", action="store_true",
                    help="the reference is under test")
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--jobs", type=int, default=jobs)
    ap.add_argument("--only", help="tests whose name holds this")
    ap.add_argument("--times", action="store_true",
                    help="how long each took")
    ap.add_argument("--list", action="store_true", help="names only")
    args = ap.parse_args()
    if args.reference:
        args.server = REFERENCE
    reference = args.reference or "reference/server.mjs" in args.server
    tests = sorted(registry.tests, key=lambda t: t[0])
    if args.only:
        tests = [t for t in tests if args.only in t[0]]
    if args.list:
        print("\n".join(t[0] for t in tests))
        return 0
    pool = Pool(args.server, args.workers, reference)
    began = time.monotonic()
    try:
        report = run(pool, tests, args.jobs, args.times)
    finally:
        wrong = pool.stop()
    passed, failed = report.passed, report.failed
    for text in wrong:
        print("FAIL the end of a server\n" + indent(text))
        failed += 1
    if after and not args.only:
        for name, text in after():
            if text:
                print("%-60s FAIL\n%s" % (name, indent(text)))
                failed += 1
            else:
                print("%-60s pass" % name)
                passed += 1
    print("in %.0f s" % (time.monotonic() - began))
    print("%d passed, %d failed" % (passed, failed))
    return 0 if failed == 0 and passed > 0 else 1
