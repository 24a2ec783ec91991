"""servers.py - the programs under test, one for each set of options.

A Conformance server is build/chatd-conformance or whatever takes its
command line; Real is the daemon with its chat events.  A server is started
when the first test asks for it and ended by its pid.
"""
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
from chatd import Daemon, ROOT, free_port  # noqa: E402

CONFORMANCE = os.environ.get("CONFORMANCE", "build/chatd-conformance")


def milliseconds(value):
    return "%dms" % value


# how an option of the conformance server is called in the configuration
DAEMON_OPTIONS = {
    "ping_interval": ("engine.ping_interval", milliseconds),
    "ping_timeout": ("engine.ping_timeout", milliseconds),
    "connect_timeout": ("engine.connect_timeout", milliseconds),
    "upgrade_timeout": ("engine.upgrade_timeout", milliseconds),
    "max_payload": ("engine.max_payload", str),
    "transports": ("engine.transports", str),
    "cors_origin": ("cors.origins", str),
    "cookie": ("engine.cookie", str),
    "workers": ("workers", str),
}


def descendants(pid):
    found = []
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            children = [int(p) for p in f.read().split()]
    except OSError:
        return found
    for p in children:
        found += [p] + descendants(p)
    return found


class Conformance:
    def __init__(self, command, mode, workers, options):
        self.command, self.mode = command, mode
        self.options = {"workers": workers, **options}
        self.port = None
        self.proc = None

    def __str__(self):
        return " ".join([self.mode] + ["--%s=%s" % (k, v) for k, v in
                                       sorted(self.options.items())])

    def start(self):
        self.port = free_port()
        args = shlex.split(self.command)
        args += ["--port", str(self.port), "--mode", self.mode]
        for name, value in self.options.items():
            args.append("--" + name.replace("_", "-"))
            if value is not True:
                args.append(str(value))
        self.log = tempfile.TemporaryFile()
        self.proc = subprocess.Popen(args, cwd=ROOT, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=self.log)
        said = b""
        end = time.monotonic() + 30
        while b"\n" not in said:
            ready, _, _ = select.select([self.proc.stdout], [], [],
                                        max(0, end - time.monotonic()))
            more = os.read(self.proc.stdout.fileno(), 4096) if ready else b""
            if not more:
                raise RuntimeError("%s does not start: %r %s" %
                                   (self, said, self.errors()))
            said += more
        want = b"listening on 127.0.0.1:%d\n" % self.port
        assert said == want, "it says %r, not %r" % (said, want)
        # what it says later is not kept back
        threading.Thread(target=self.proc.stdout.read, daemon=True).start()
        return self

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-6000:]

    def alive(self):
        return self.proc.poll() is None

    def pids(self):
        return [self.proc.pid] + descendants(self.proc.pid)

    def stop(self):
        """None, or what is wrong with its end."""
        if self.proc.poll() is not None:
            return "%s had ended with %d: %s" % (self, self.proc.returncode,
                                                 self.errors())
        self.proc.send_signal(signal.SIGTERM)
        try:
            status = self.proc.wait(60)
        except subprocess.TimeoutExpired:
            for p in self.pids():
                os.kill(p, signal.SIGKILL)
            self.proc.wait()
            return "%s did not end: %s" % (self, self.errors())
        text = self.errors()
        if status != 0 or re.search("Sanitizer|runtime error", text):
            return "%s ended with %d: %s" % (self, status, text)
        return None


class Real:
    """The daemon, with the interface of Conformance."""

    def __init__(self, workers, options):
        o = {"workers": workers}
        for name, value in options.items():
            key, conv = DAEMON_OPTIONS.get(name, (name, str))
            o[key] = conv(value)
        self.daemon = Daemon(o)
        self.port = self.daemon.port

    def __str__(self):
        return "chatd %s" % self.daemon.options

    def start(self):
        self.daemon.start()
        return self

    def errors(self):
        return self.daemon.log_text()[-6000:]

    def alive(self):
        return self.daemon.proc.poll() is None

    def pids(self):
        return [self.daemon.proc.pid] + descendants(self.daemon.proc.pid)

    def stop(self):
        try:
            if not self.alive():
                return "%s had ended: %s" % (self, self.errors())
            status = self.daemon.stop(timeout=60)
            text = self.errors()
            if status != 0 or re.search("Sanitizer|runtime error", text):
                return "%s ended with %d: %s" % (self, status, text)
            return None
        finally:
            self.daemon.__exit__()


class Pool:
    """Servers by mode and options."""

    def __init__(self, command=CONFORMANCE, workers=2, reference=False):
        self.command, self.workers = command, workers
        self.reference = reference
        self.lock = threading.Lock()
        self.running = {}

    def make(self, mode, options):
        options = dict(options)
        workers = options.pop("workers", self.workers)
        if mode == "chat" and not self.reference:
            return Real(workers, options)
        options = {k: v for k, v in options.items() if "." not in k}
        return Conformance(self.command, mode, workers, options)

    def get(self, mode, options):
        key = (mode, tuple(sorted(options.items())))
        with self.lock:
            if key not in self.running:
                self.running[key] = (threading.Lock(), [])
            lock, found = self.running[key]
        with lock:
            if not found:
                found.append(self.make(mode, options).start())
            return found[0]

    def own(self, mode, options):
        """One that nobody else uses; the caller stops it."""
        return self.make(mode, options).start()

    def stop(self):
        """End all of them: what was wrong with their ends."""
        wrong = []
        for _, found in self.running.values():
            for server in found:
                text = server.stop()
                if text:
                    wrong.append(text)
        self.running = {}
        return wrong
