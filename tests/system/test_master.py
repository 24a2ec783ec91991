#!/usr/bin/python3
"""test_master.py - the parent process and chatctl, with the real daemon.

Starting, refusing to start, privileges, supervision, reload, stop, control
socket, limits.  Runs as root (every role as nobody) or as anybody else.
"""
import contextlib
import base64
import grp
import hashlib
import hmac
import json
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chatd import CHATCTL, CHATD, Raw, free_port  # noqa: E402

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")
SANITIZED = b"sanitizers" in subprocess.run(
    [CHATD, "-V"], capture_output=True).stdout
SECRET = "0123456789abcdef0123456789abcdef"


def until(condition, seconds=30.0, pause=0.02):
    """The first true answer; False when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            return False
        time.sleep(pause)


def alive(pid):
    """Runs, and is not a zombie."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def proc_status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1)
                    for line in f if ":\t" in line)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def open_files(pid):
    found = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    return found


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Daemon:
    """A daemon in a directory of its own; say what to start it with."""

    def __init__(self, **options):
        self.dir = tempfile.mkdtemp(prefix="chatd-master-")
        os.chmod(self.dir, 0o755)
        self.run = self.dir + "/run"
        self.sock = self.run + "/chatd.sock"
        self.conf = "/dev/null"
        self.port = free_port()
        self.options = {
            "listen": "127.0.0.1:%d" % self.port, "run_dir": self.run,
            "data_dir": self.dir + "/data", "auth.mode": "none",
            "workers": "2", "limits.connect_rate": "0"}
        if ROOT:
            self.options.update(user="nobody", group="nogroup")
        self.set(**options)
        self.chatd, self.chatctl = CHATD, CHATCTL
        self.popen = {}
        self.proc = self.log = None
        self.raws = []

    def raw(self):
        """A connection that is closed with the daemon."""
        self.raws.append(Raw(self.port))
        return self.raws[-1]

    def set(self, **options):
        for k, v in options.items():
            self.options[k.replace("__", ".")] = str(v)

    def write_conf(self, text):
        self.conf = self.dir + "/chatd.conf"
        with open(self.conf, "w") as f:
            f.write(text)

    def args(self, *flags):
        args = [self.chatd, *flags, "-c", self.conf]
        for k, v in self.options.items():
            args += ["-o", "%s=%s" % (k, v)]
        return args

    def once(self, *flags, timeout=60, **popen):
        """Run to its end."""
        return subprocess.run(self.args(*flags), capture_output=True,
                              text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL,
                              **{**self.popen, **popen})

    def start(self, wait=True):
        if self.log is None:
            self.log = open(self.dir + "/log", "ab")
        self.proc = subprocess.Popen(self.args("-d"), stdout=self.log,
                                     stderr=self.log,
                                     stdin=subprocess.DEVNULL, **self.popen)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.proc.poll() is not None:
                raise AssertionError("chatd ended: " + self.log_text())
            return self.running()
        if not until(ready, 90):
            raise AssertionError("chatd is not ready: " + self.log_text())

    def running(self):
        p = self.ctl("-j", "status")
        return p.returncode == 0 and \
            json.loads(p.stdout)["state"] == "running"

    def log_text(self):
        with open(self.dir + "/log", errors="replace") as f:
            return f.read()

    def ctl(self, *args, **kw):
        return subprocess.run([self.chatctl, "-s", self.sock, *args],
                              capture_output=True, text=True, timeout=60,
                              **kw)

    def ask(self, *args):
        p = self.ctl("-j", *args)
        if p.returncode != 0:
            raise AssertionError("chatctl %s: %s" % (args, p.stderr))
        return json.loads(p.stdout)

    @property
    def pid(self):
        return self.proc.pid

    def workers(self):
        return {w["slot"]: w["pid"] for w in self.ask("workers")}

    def scribe(self):
        return self.ask("store")["scribe"]["pid"]

    def children(self):
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid)) as f:
            return [int(p) for p in f.read().split()]

    def all_ready(self):
        s = self.ask("status")
        return s["workers_ready"] == s["workers"] and s["scribe"] == "ready"

    def stop(self, timeout=60):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(timeout)

    def kill(self):
        if self.proc is not None and self.proc.poll() is None:
            children = self.children()
            self.proc.kill()
            self.proc.wait()
            until(lambda: not any(alive(p) for p in children), 10)

    def kill_detached(self):
        """What a test that failed has left in the background."""
        try:
            with open(self.run + "/chatd.pid") as f:
                pid = int(f.read())
        except (OSError, ValueError):
            return
        if self.proc is None and alive(pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.kill_detached()
        for c in self.raws:
            c.close()
        if self.log is not None:
            self.log.close()
        if exc[0] is not None and self.proc is not None:
            print(self.log_text(), file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)


class CommandLine(unittest.TestCase):
    def test_V_tells_version_libraries_and_abi(self):
        p = subprocess.run([CHATD, "-V"], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0)
        for what in ("chatd", "build", "libevent", "lmdb", "ring_abi",
                     "store_schema"):
            self.assertRegex(p.stdout, r"(?m)^%s +\S" % what)

    def test_an_answer_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            for flag in ("-V", "-T"):
                p = subprocess.run([CHATD, flag, "-c", "/dev/null",
                                    "-o", "auth.mode=none"],
                                   stdout=full, stderr=subprocess.PIPE,
                                   text=True)
                self.assertEqual(p.returncode, 1, flag)
                self.assertIn("cannot write", p.stderr)

    def test_wrong_usage_is_status_2(self):
        for args in (["-x"], ["-o"], ["stray"], ["-d", "stray"]):
            p = subprocess.run([CHATD, *args], capture_output=True, text=True)
            self.assertEqual(p.returncode, 2, args)
            self.assertIn("usage: chatd", p.stderr)

    def test_t_and_n_accept_what_is_good_and_make_nothing(self):
        with Daemon(log__target="stderr") as d:
            for flag in ("-t", "-n"):
                p = d.once(flag)
                self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertEqual(os.listdir(d.dir), [])

    def test_t_tells_all_errors_each_with_file_and_line(self):
        with Daemon() as d:
            d.write_conf("workers = many\n\nmax_connection = 3\n"
                         "[log]\nlevel = loud\n")
            d.options.pop("workers")
            p = d.once("-t")
            self.assertEqual(p.returncode, 1)
            lines = p.stderr.splitlines()
            self.assertEqual(len(lines), 3, p.stderr)
            for line, number in zip(lines, (1, 3, 5)):
                self.assertTrue(line.startswith("%s:%d: " % (d.conf, number)),
                                line)
            self.assertIn("max_connections", lines[1])

    def test_t_looks_at_sockets_directories_and_user(self):
        with Daemon(log__target="stderr") as d:
            with open(d.dir + "/file", "w"):
                pass
            with open(d.dir + "/secret", "w") as f:
                f.write(SECRET)
            d.set(listen="192.0.2.7:3002, unix:%s/file" % d.dir,
                  data_dir=d.dir + "/file", auth__mode="jwt",
                  auth__secret_file=d.dir + "/secret")
            if ROOT:
                d.set(user="nobodyatall")
            p = d.once("-t")
            self.assertEqual(p.returncode, 1)
            for what in ("192.0.2.7:3002", "no socket", "not a directory",
                         *(["nobodyatall"] if ROOT else [])):
                self.assertIn(what, p.stderr)
            for line in p.stderr.splitlines():
                self.assertTrue(line.startswith("-o: "), line)

    def test_t_is_content_while_the_daemon_runs(self):
        with Daemon(log__target="stderr") as d:
            d.start()
            p = d.once("-t")
            self.assertEqual((p.returncode, p.stderr), (0, ""))

    @unittest.skipUnless(ROOT, "only root becomes somebody else")
    def test_what_a_reload_could_not_read_is_warned_of(self):
        with Daemon(log__target="stderr", auth__mode="jwt") as d:
            secret = d.dir + "/secret"
            with open(secret, "w") as f:
                f.write(SECRET)
            os.chmod(secret, 0o600)
            os.chmod(d.dir, 0o755)
            d.set(auth__secret_file=secret)
            p = d.once("-t")
            self.assertEqual(p.returncode, 0)
            self.assertIn("warning: auth.secret_file: user nobody may not "
                          "read %s" % secret, p.stderr)
            d.start()
            self.assertIn("may not read " + secret, d.log_text())
            os.chmod(secret, 0o644)
            self.assertEqual(d.once("-t").stderr, "")

    def test_t_warns_of_a_log_that_cannot_be_opened(self):
        with Daemon(log__target="syslog") as d:
            p = d.once("-t")
            there = os.path.exists("/dev/log")
            self.assertEqual((p.returncode, "cannot open syslog" in p.stderr),
                             (0, not there))
            # a foreground daemon does not need it
            self.assertEqual(d.once("-t", "-d").stderr, "")

    def test_that_everybody_is_believed_is_said_at_the_start(self):
        with Daemon() as d:
            d.start()
            self.assertIn("auth.mode is none", d.log_text())

    def test_T_prints_what_is_effective_and_where_from(self):
        with Daemon() as d:
            d.write_conf("limits.message_rate = 7\n")
            p = d.once("-T")
            self.assertEqual(p.returncode, 0)
            self.assertRegex(p.stdout,
                             r"limits\.message_rate = 7.*%s:1" % d.conf)
            self.assertRegex(p.stdout, r"workers = 2.*-o")
            self.assertRegex(p.stdout, r"path = \S+.*default")
            # and it says the same when it is read back
            d.write_conf(p.stdout)
            d.options = {}
            again = d.once("-T")
            self.assertEqual(
                [x.split("#")[0].strip() for x in again.stdout.splitlines()],
                [x.split("#")[0].strip() for x in p.stdout.splitlines()])


class Start(unittest.TestCase):
    def refused(self, d, *words):
        p = d.once("-d")
        self.assertEqual(p.returncode, 1, p.stderr)
        plain = [x for x in p.stderr.splitlines()
                 if x and not x.startswith("time=")]
        text = "\n".join(plain) or p.stderr
        for w in words:
            self.assertIn(w, text)
        return p

    def test_a_port_in_use_is_named(self):
        with Daemon() as d, socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            d.set(listen="127.0.0.1:%d" % s.getsockname()[1])
            self.refused(d, d.options["listen"], "in use")

    def test_all_errors_of_the_configuration_end_the_start(self):
        with Daemon(workers="many", max_connections="-1") as d:
            p = d.once("-d")
            self.assertEqual(p.returncode, 1)
            self.assertEqual(len(p.stderr.splitlines()), 2, p.stderr)

    @unittest.skipUnless(ROOT, "needs root")
    def test_an_unknown_user_is_named(self):
        with Daemon(user="nobodyatall") as d:
            self.refused(d, "nobodyatall")

    @unittest.skipUnless(ROOT, "needs root")
    def test_a_data_directory_of_somebody_else_is_not_taken(self):
        with Daemon() as d:
            os.mkdir(d.dir + "/data")
            with open(d.dir + "/data/precious", "w"):
                pass
            self.refused(d, "data_dir", "not writable", "nobody")
            self.assertEqual(os.stat(d.dir + "/data").st_uid, 0)

    def test_a_store_that_cannot_be_opened_ends_the_start(self):
        with Daemon() as d:
            os.mkdir(d.dir + "/data")
            with open(d.dir + "/data/db", "w") as f:
                f.write("this is not a directory")
            if ROOT:
                os.chown(d.dir + "/data", NOBODY.pw_uid, -1)
            began = time.monotonic()
            self.refused(d, "scribe")
            self.assertLess(time.monotonic() - began, 10)
            self.assertEqual(os.listdir(d.run), [])

    def test_a_second_daemon_on_the_data_names_the_first(self):
        with Daemon() as d, Daemon(data_dir=d.dir + "/data") as e:
            d.start()
            self.refused(e, "pid %d" % d.pid, d.dir + "/data")
            self.assertEqual(d.ask("status")["state"], "running")

    def test_a_second_daemon_in_the_run_directory_names_the_first(self):
        with Daemon() as d, Daemon(run_dir=d.run) as e:
            d.start()
            self.refused(e, "pid %d" % d.pid, d.run)
            self.assertEqual(d.ask("status")["state"], "running")

    def test_too_few_descriptors_are_refused_few_lower_the_maximum(self):
        def limit(n):
            return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
        with Daemon() as d:
            p = d.once("-d", preexec_fn=limit(128))
            self.assertEqual(p.returncode, 1)
            self.assertIn("descriptors is 128", p.stderr)
            d.popen["preexec_fn"] = limit(1024)
            d.start()
            s = d.ask("status")
            self.assertLess(s["max_connections"], 1024)
            self.assertGreater(s["max_connections"], 300)
            self.assertEqual(s["max_connections_configured"], 100000)
            self.assertIn("lowers max_connections", d.log_text())

    def test_without_d_it_returns_when_it_is_ready(self):
        with Daemon() as d:
            d.set(log__target=d.dir + "/chatd.log")
            if ROOT:
                os.chown(d.dir, NOBODY.pw_uid, -1)
            p = d.once()
            self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "", ""))
            # no waiting here: ready means ready
            s = d.ask("status")
            self.assertEqual(s["state"], "running")
            self.assertEqual(s["workers_ready"], 2)
            self.assertEqual(os.getsid(s["pid"]), s["pid"])
            for fd in "012":
                self.assertEqual(os.readlink("/proc/%d/fd/%s"
                                             % (s["pid"], fd)), "/dev/null")
            self.assertEqual(d.ctl("stop").returncode, 0)
            self.assertFalse(alive(s["pid"]))
            # and the next one can have the place at once
            self.assertEqual(d.once().returncode, 0)
            self.assertEqual(d.ctl("stop").returncode, 0)

    def test_the_service_manager_is_told(self):
        with Daemon() as d, socket.socket(socket.AF_UNIX,
                                          socket.SOCK_DGRAM) as s:
            path = d.dir + "/notify"
            s.bind(path)
            os.chmod(path, 0o666)
            s.settimeout(20)
            d.popen["env"] = {**os.environ, "NOTIFY_SOCKET": path}
            d.start(wait=False)
            self.assertEqual(s.recv(100), b"READY=1")
            self.assertTrue(d.running())
            for p in d.children():
                with open("/proc/%d/environ" % p) as f:
                    self.assertNotIn("NOTIFY_SOCKET", f.read())
            os.kill(d.pid, signal.SIGHUP)
            self.assertTrue(s.recv(100).startswith(
                b"RELOADING=1\nMONOTONIC_USEC="))
            self.assertEqual(s.recv(100), b"READY=1")
            self.assertEqual(d.stop(), 0)
            self.assertEqual(s.recv(100), b"STOPPING=1")

    def test_without_d_a_failed_start_is_told_by_status_and_stderr(self):
        with Daemon() as d, socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            d.set(listen="127.0.0.1:%d" % s.getsockname()[1],
                  log__target=d.dir + "/chatd.log")
            p = d.once()
            self.assertEqual(p.returncode, 1)
            self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
            self.assertIn(d.options["listen"], p.stderr)


class Place(unittest.TestCase):
    def test_files_are_there_while_it_runs_and_gone_after(self):
        with Daemon() as d:
            d.start()
            with open(d.run + "/chatd.pid") as f:
                self.assertEqual(f.read(), "%d\n" % d.pid)
            st = os.stat(d.sock)
            self.assertEqual(st.st_mode & 0o777, 0o660)
            if ROOT:
                self.assertEqual(st.st_uid, NOBODY.pw_uid)
                self.assertEqual(st.st_gid, grp.getgrnam("nogroup").gr_gid)
            self.assertEqual(d.stop(), 0)
            self.assertEqual(os.listdir(d.run), [])
            self.assertEqual(d.ctl("status").returncode, 3)

    @unittest.skipUnless(ROOT, "needs root")
    def test_nobody_keeps_roots_powers(self):
        with Daemon() as d:
            d.start()
            bind_only = 1 << 10
            for pid in [d.pid, *d.children()]:
                st = proc_status(pid)
                self.assertEqual(set(st["Uid"].split()),
                                 {str(NOBODY.pw_uid)})
                self.assertNotIn("0", st["Gid"].split())
                self.assertEqual(st["NoNewPrivs"], "0" if SANITIZED else "1")
                allowed = bind_only if pid == d.pid else 0
                for what in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
                    self.assertEqual(int(st[what], 16) & ~allowed, 0, what)
            self.assertEqual(len(d.children()), 3)

    @unittest.skipUnless(ROOT, "already somebody else")
    def test_it_also_runs_when_somebody_else_starts_it(self):
        with Daemon() as d:
            # the checkout may be where nobody can go
            os.mkdir(d.dir + "/bin")
            d.chatd = shutil.copy(CHATD, d.dir + "/bin/chatd")
            os.chown(d.dir, NOBODY.pw_uid, NOBODY.pw_gid)
            d.options.pop("user")
            d.options.pop("group")
            d.popen.update(user=NOBODY.pw_uid, group=NOBODY.pw_gid,
                           extra_groups=[], cwd="/")
            d.start()
            st = proc_status(d.pid)
            self.assertEqual(set(st["Uid"].split()), {str(NOBODY.pw_uid)})
            w = d.workers()[0]
            os.kill(w, signal.SIGKILL)
            self.assertTrue(until(lambda: d.all_ready() and
                                  d.workers()[0] != w))
            self.assertEqual(d.stop(), 0)

    def test_children_have_titles_and_few_descriptors(self):
        with Daemon() as d:
            d.start()
            crowd = [d.raw() for _ in range(300)]
            self.assertTrue(until(
                lambda: d.ask("status")["connections"] >= 300))
            self.assertGreater(descriptors(d.pid), 300)
            old = d.scribe()
            os.kill(old, signal.SIGKILL)
            self.assertTrue(until(lambda: d.all_ready() and
                                  d.scribe() != old))
            self.assertLess(descriptors(d.scribe()), 120)
            titles = set()
            for p in d.children():
                with open("/proc/%d/cmdline" % p) as f:
                    titles.add(f.read().split("\0")[0])
                with open("/proc/%d/environ" % p) as f:
                    self.assertIn("CHATD_ROLE=", f.read())
            self.assertEqual(titles, {"chatd: scribe", "chatd: worker 0",
                                      "chatd: worker 1"})
            for c in crowd:
                c.close()


class Listeners(unittest.TestCase):
    def get(self, family, address):
        with socket.socket(family) as s:
            s.settimeout(5)
            s.connect(address)
            s.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\n"
                      b"Connection: close\r\n\r\n")
            return s.recv(4096)

    def test_tcp4_tcp6_and_unix_are_served(self):
        port = free_port()
        with Daemon() as d:
            path = d.dir + "/web.sock"
            listen = ["127.0.0.1:%d" % port, "unix:" + path]
            v6 = os.path.exists("/proc/net/if_inet6") and socket.has_ipv6
            try:
                with socket.socket(socket.AF_INET6) as s:
                    s.bind(("::1", 0))
            except OSError:
                v6 = False
            if v6:
                listen.append("[::1]:%d" % port)
            d.set(listen=",".join(listen))
            d.start()
            for f, a in [(socket.AF_INET, ("127.0.0.1", port)),
                         (socket.AF_UNIX, path),
                         *([(socket.AF_INET6, ("::1", port))] if v6 else [])]:
                self.assertTrue(self.get(f, a).startswith(b"HTTP/1.1 "), a)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o666)
            self.assertEqual(d.stop(), 0)
            if os.access(d.dir, os.W_OK) and not ROOT:
                self.assertFalse(os.path.exists(path))

    def test_a_stale_unix_socket_is_replaced_another_is_not(self):
        with Daemon() as d:
            os.mkdir(d.dir + "/web")
            if ROOT:
                os.chown(d.dir + "/web", NOBODY.pw_uid, -1)
            path = d.dir + "/web/sock"
            d.set(listen="unix:" + path)
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path)
                s.listen()
                p = d.once("-d")
                self.assertEqual(p.returncode, 1)
                self.assertIn("somebody answers", p.stderr)
                self.assertTrue(os.path.exists(path))
            d.start()
            self.assertTrue(self.get(socket.AF_UNIX, path)
                            .startswith(b"HTTP/1.1 "))
            self.assertEqual(d.stop(), 0)
            self.assertFalse(os.path.exists(path))
            with open(path, "w") as f:
                f.write("mine")
            p = d.once("-d")
            self.assertEqual(p.returncode, 1)
            self.assertIn("no socket", p.stderr)
            with open(path) as f:
                self.assertEqual(f.read(), "mine")


class Supervision(unittest.TestCase):
    def test_a_killed_worker_is_replaced_and_its_clients_end(self):
        with Daemon() as d:
            d.start()
            before = d.workers()
            crowd = [d.raw() for _ in range(20)]
            for c in crowd:
                c.upgrade()
            loads = {w["slot"]: w["connections"] for w in d.ask("workers")}
            self.assertEqual(loads, {0: 10, 1: 10})
            os.kill(before[0], signal.SIGKILL)
            self.assertTrue(until(lambda: d.all_ready() and
                                  d.workers()[0] != before[0]))
            self.assertEqual(d.workers()[1], before[1])
            ended = 0
            for c in crowd:
                c.s.settimeout(0.3)
                try:
                    ended += c.s.recv(1) == b""
                except (socket.timeout, BlockingIOError):
                    pass
            self.assertEqual(ended, 10)
            self.assertEqual(d.ask("status")["connections"], 10)
            w = [w for w in d.ask("workers") if w["slot"] == 0][0]
            self.assertEqual((w["restarts"], w["connections"]), (1, 0))
            self.assertEqual(d.ask("stats", "closed_worker")["counters"],
                             {"closed_worker": 10})
            # the new one takes clients; it is the emptier
            more = [d.raw() for _ in range(10)]
            for c in more:
                c.upgrade()
            loads = {w["slot"]: w["connections"] for w in d.ask("workers")}
            self.assertEqual(loads, {0: 10, 1: 10})

    def test_a_killed_scribe_is_replaced_and_nothing_is_lost(self):
        with Daemon() as d:
            d.start()
            a = d.raw()
            a.upgrade()
            a.connect("ada")
            a.event("chat:join-session",
                    {"sessionId": "s", "workspaceId": "w"}, 1)
            self.assertTrue(a.wait_ack(1)["ok"])
            for i in range(5):
                old = d.scribe()
                os.kill(old, signal.SIGKILL)
                a.event("chat:send-message", {"message": {
                    "id": "m%d" % i, "content": "hello", "type": "user",
                    "sessionId": "s"}}, 10 + i)
                self.assertEqual(a.wait_ack(10 + i)["seq"], i + 1)
                self.assertTrue(until(lambda: d.scribe() not in (0, old)))
            p = d.ctl("-j", "history", "w/s")
            self.assertEqual([json.loads(x)["seq"]
                              for x in p.stdout.splitlines()],
                             [1, 2, 3, 4, 5])
            self.assertEqual(d.ask("status")["scribe_restarts"], 5)

    def test_whoever_dies_early_again_and_again_is_slowed_down(self):
        with Daemon() as d:
            d.start()
            times = []
            for _ in range(5):
                pid = until(lambda: d.workers()[1])
                os.kill(pid, signal.SIGKILL)
                began = time.monotonic()
                until(lambda: d.workers()[1] not in (0, pid))
                times.append(time.monotonic() - began)
            self.assertGreater(times[4], 0.5)
            # whatever else there was to wait for
            self.assertGreater(times[4], min(times))
            self.assertTrue(until(d.all_ready))
            self.assertEqual(d.ask("status")["state"], "running")

    def test_no_child_outlives_a_killed_master(self):
        with Daemon() as d:
            d.start()
            c = d.raw()
            c.upgrade()
            children = d.children()
            self.assertEqual(len(children), 3)
            d.proc.kill()
            d.proc.wait()
            # the next one starts at once and waits for the last of them
            e = Daemon(data_dir=d.dir + "/data", run_dir=d.run)
            e.sock = d.sock
            with e:
                e.start()
                self.assertFalse(any(alive(p) for p in children[:1]))
                self.assertTrue(until(
                    lambda: not any(alive(p) for p in children), 50))

    def test_slots_and_descriptors_come_back(self):
        with Daemon() as d:
            d.start()
            base = descriptors(d.pid)
            for _ in range(10):
                crowd = [d.raw() for _ in range(100)]
                for c in crowd:
                    c.close()
            self.assertTrue(until(
                lambda: descriptors(d.pid) <= base + 2 and
                d.ask("status")["connections"] == 0))
            self.assertEqual(d.ask("stats", "accepted")["counters"],
                             {"accepted": 1000})


class Limits(unittest.TestCase):
    def head(self, c):
        c.send(Raw.UPGRADE)
        return c.read_head()

    def test_beyond_max_connections_is_told_to_come_back(self):
        with Daemon(max_connections=5) as d:
            d.start()
            crowd = [d.raw() for _ in range(5)]
            for c in crowd:
                c.upgrade()
            for _ in range(20):
                c = d.raw()
                head = self.head(c)
                self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
                self.assertIn(b"\r\nRetry-After: ", head)
                c.close()
            self.assertEqual(d.ask("stats", "refused")["counters"],
                             {"refused": 20})
            crowd.pop().close()

            def room():
                c = d.raw()
                ok = self.head(c).startswith(b"HTTP/1.1 101 ")
                c.close()
                return ok
            self.assertTrue(until(room))

    def test_an_address_that_comes_too_often_is_told_so(self):
        with Daemon(limits__connect_rate=3) as d:
            d.start()
            for i in range(6):
                head = self.head(d.raw())
                if i < 3:
                    self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
                else:
                    self.assertTrue(head.startswith(b"HTTP/1.1 429 "), head)
                    self.assertIn(b"\r\nRetry-After: ", head)
            self.assertEqual(d.ask("stats", "connect_limited")["counters"],
                             {"connect_limited": 3})

    def test_without_descriptors_it_waits_and_does_not_spin(self):
        with Daemon() as d:
            d.start()
            # only the same user may, and root needs one more capability

            def limit(n):
                subprocess.run(["prlimit", "--pid", str(d.pid),
                                "--nofile=%d:" % n], check=True,
                               **({"user": NOBODY.pw_uid,
                                   "group": NOBODY.pw_gid,
                                   "extra_groups": []} if ROOT else {}))
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            first = d.raw()
            first.upgrade()
            highest = max(int(x) for x in os.listdir("/proc/%d/fd" % d.pid))
            limit(highest + 4)
            crowd = [d.raw() for _ in range(20)]
            self.assertTrue(until(lambda: "no descriptors left" in
                                  d.log_text()))
            began = cpu_seconds(d.pid)
            time.sleep(1.2)
            self.assertLess(cpu_seconds(d.pid) - began, 0.3)
            first.send(Raw.encode("2"))
            # chatctl has to wait as well, and is served afterwards
            answer = []
            t = threading.Thread(
                target=lambda: answer.append(d.ctl("-j", "status")))
            t.start()
            time.sleep(0.2)
            limit(soft)
            for c in crowd:
                self.assertTrue(self.head(c).startswith(b"HTTP/1.1 101 "))
            t.join()
            self.assertEqual(answer[0].returncode, 0)


class Reload(unittest.TestCase):
    CONF = "limits.message_rate = %s\nlog.level = %s\n"

    def test_a_change_is_made_everywhere_and_told(self):
        with Daemon() as d:
            d.write_conf(self.CONF % (30, "info"))
            d.start()
            d.write_conf(self.CONF % (31, "debug"))
            self.assertEqual(d.ask("reload"), {"changed": [
                {"option": "log.level", "old": "info", "new": "debug",
                 "what": "value"},
                {"option": "limits.message_rate", "old": "30",
                 "new": "31", "what": "value"}]})
            config = {x["option"]: x["value"] for x in d.ask("config")}
            self.assertEqual(config["limits.message_rate"], "31")
            self.assertEqual(d.ask("reload"), {"changed": []})
            self.assertEqual(d.ask("status")["reloads"], 1)
            self.assertIn("limits.message_rate", d.ctl("reload").stdout +
                          d.log_text())
            # by signal; and a worker that starts later has it too
            d.write_conf(self.CONF % (1, "info"))
            os.kill(d.pid, signal.SIGHUP)
            self.assertTrue(until(lambda: d.ask("status")["reloads"] == 2))
            for pid in d.workers().values():
                os.kill(pid, signal.SIGKILL)
            self.assertTrue(until(lambda: d.all_ready() and
                                  d.ask("status")["worker_restarts"] == 2))
            c = d.raw()
            c.upgrade()
            c.connect("ada")
            c.event("chat:join-session",
                    {"sessionId": "s", "workspaceId": "w"}, 1)
            self.assertTrue(c.wait_ack(1)["ok"])
            codes = []
            for i in (2, 3):
                c.event("chat:send-message", {"message": {
                    "content": "hi", "type": "user", "sessionId": "s"}}, i)
                codes.append(c.wait_ack(i).get("ok"))
            self.assertEqual(codes, [True, False])

    def test_what_cannot_be_reloaded_is_refused_by_name(self):
        with Daemon() as d:
            d.options.pop("workers")
            d.write_conf("workers = 2\nlimits.message_rate = 5\n")
            d.start()
            d.write_conf("workers = 3\nlimits.message_rate = 6\n"
                         "max_connections = 128\n")
            p = d.ctl("-j", "reload")
            self.assertEqual(p.returncode, 1)
            self.assertIn("workers", p.stderr)
            self.assertIn("max_connections", p.stderr)
            self.assertNotIn("message_rate", p.stderr)
            config = {x["option"]: x["value"] for x in d.ask("config")}
            self.assertEqual(config["limits.message_rate"], "5")
            self.assertEqual(d.ask("stats", "reloads_refused")["counters"],
                             {"reloads_refused": 1})

    def test_errors_are_told_and_the_old_stays(self):
        with Daemon() as d:
            d.write_conf("limits.message_rate = 5\n")
            d.start()
            d.write_conf("limits.message_rate = lots\n\nwat = 1\n")
            p = d.ctl("-j", "reload")
            self.assertEqual(p.returncode, 1)
            errors = json.loads(p.stdout)["errors"]
            self.assertEqual([e.rsplit("/", 1)[1].split(": ")[0]
                              for e in errors],
                             ["chatd.conf:1", "chatd.conf:3"])
            self.assertIn("2 errors", p.stderr)
            config = {x["option"]: x["value"] for x in d.ask("config")}
            self.assertEqual(config["limits.message_rate"], "5")

    def test_a_child_that_hangs_is_named_and_nobody_switches(self):
        with Daemon() as d:
            d.write_conf("limits.message_rate = 5\n")
            d.start()
            w = d.workers()[1]
            os.kill(w, signal.SIGSTOP)
            d.write_conf("limits.message_rate = 6\n")
            began = time.monotonic()
            p = d.ctl("reload")
            self.assertEqual(p.returncode, 1)
            self.assertIn("worker 1", p.stderr)
            self.assertGreater(time.monotonic() - began, 4)
            config = {x["option"]: x["value"] for x in d.ask("config")}
            self.assertEqual(config["limits.message_rate"], "5")
            os.kill(w, signal.SIGCONT)
            self.assertEqual(len(d.ask("reload")["changed"]), 1)
            self.assertEqual(d.workers()[1], w)

    def test_a_child_that_dies_meanwhile_does_not_spoil_it(self):
        with Daemon() as d:
            d.write_conf("limits.message_rate = 5\n")
            d.start()
            w = d.workers()[1]
            os.kill(w, signal.SIGSTOP)
            d.write_conf("limits.message_rate = 6\n")
            p = subprocess.Popen([CHATCTL, "-s", d.sock, "-j", "reload"],
                                 stdout=subprocess.PIPE, text=True)
            time.sleep(1.5)
            second = d.ctl("reload")
            self.assertEqual(second.returncode, 1)
            self.assertIn("under way", second.stderr)
            os.kill(w, signal.SIGKILL)
            out, _ = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 0)
            self.assertEqual(len(json.loads(out)["changed"]), 1)
            self.assertTrue(until(d.all_ready))

    def test_stderr_is_kept_in_the_background(self):
        with Daemon(log__target="stderr") as d:
            with open(d.dir + "/stderr", "wb") as f:
                p = subprocess.run(d.args(), stdin=subprocess.DEVNULL,
                                   stdout=f, stderr=f, timeout=90)
            self.assertEqual(p.returncode, 0)

            def said(what):
                with open(d.dir + "/stderr", errors="replace") as f:
                    return f.read().count(what)

            pid = d.ask("status")["pid"]
            os.kill(pid, signal.SIGUSR1)
            os.kill(pid, signal.SIGUSR2)
            self.assertTrue(until(lambda: said("upgrading in place")))
            scribe = d.scribe()
            os.kill(scribe, signal.SIGKILL)
            self.assertTrue(until(lambda: d.scribe() not in (0, scribe) and
                                  d.all_ready()))
            self.assertTrue(until(lambda: said("scribe ready") == 2))
            self.assertEqual(d.ctl("stop").returncode, 0)
            self.assertTrue(said("stopped"))

    def test_the_log_changes_in_all_processes(self):
        with Daemon() as d:
            os.mkdir(d.dir + "/log.d")
            if ROOT:
                os.chown(d.dir + "/log.d", NOBODY.pw_uid, -1)
            log = d.dir + "/log.d/chatd.log"
            conf = "log.target = %s\nlog.format = %s\nlog.level = debug\n"
            d.write_conf(conf % (log, "logfmt"))
            self.assertEqual(d.once().returncode, 0)
            pid = d.ask("status")["pid"]
            d.write_conf(conf % (log, "json"))
            self.assertEqual(len(d.ask("reload")["changed"]), 1)
            with open(log) as f:
                self.assertTrue(f.readline().startswith("time="))
            # rotated: the old file gets nothing more, the new one is JSON
            os.rename(log, log + ".1")
            os.kill(pid, signal.SIGUSR1)
            for p in (pid, d.scribe(), *d.workers().values()):
                self.assertTrue(until(lambda: log in open_files(p)), p)
            old = os.path.getsize(log + ".1")
            c = d.raw()
            c.upgrade()
            c.send(b"\x00")
            c.close()
            scribe = d.scribe()
            os.kill(scribe, signal.SIGKILL)
            self.assertTrue(until(lambda: d.scribe() not in (0, scribe) and
                                  d.all_ready()))
            self.assertEqual(d.ctl("stop").returncode, 0)
            self.assertEqual(os.path.getsize(log + ".1"), old)
            with open(log) as f:
                lines = [json.loads(x) for x in f]
            self.assertIn("stopped", [x["msg"] for x in lines])
            self.assertIn("scribe", [x["role"] for x in lines])


class Stop(unittest.TestCase):
    def test_signals_that_end_it_and_signals_that_do_not(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            with Daemon() as d:
                d.start()
                for s in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE,
                          signal.SIGHUP):
                    os.kill(d.pid, s)
                time.sleep(0.2)
                self.assertTrue(d.running())
                children = d.children()
                d.proc.send_signal(sig)
                self.assertEqual(d.proc.wait(60), 0)
                self.assertFalse(any(alive(p) for p in children))

    def test_children_leave_the_terminals_signals_to_the_master(self):
        with Daemon() as d:
            d.start()
            before = sorted(d.children())
            for p in before:
                for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                          signal.SIGUSR1, signal.SIGUSR2):
                    os.kill(p, s)
            time.sleep(0.3)
            self.assertEqual(sorted(d.children()), before)

    def test_chatctl_stop_returns_when_it_has_ended(self):
        with Daemon() as d:
            d.start()
            pids = [d.pid, *d.children()]
            p = d.ctl("stop")
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertFalse(any(alive(x) for x in pids))
            self.assertFalse(os.path.exists(d.sock))
            self.assertEqual(d.proc.wait(60), 0)

    def test_a_child_that_hangs_is_killed_in_the_end(self):
        with Daemon() as d:
            d.start()
            os.kill(d.workers()[0], signal.SIGSTOP)
            began = time.monotonic()
            self.assertEqual(d.stop(timeout=60), 0)
            self.assertGreater(time.monotonic() - began, 4)
            self.assertLess(time.monotonic() - began, 50)

    def test_a_second_signal_hurries(self):
        with Daemon() as d:
            d.start()
            os.kill(d.workers()[0], signal.SIGSTOP)
            d.proc.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            began = time.monotonic()
            self.assertEqual(d.stop(), 0)
            self.assertLess(time.monotonic() - began, 3)

    def test_history_is_the_same_after_a_stop(self):
        with Daemon() as d:
            d.start()
            c = d.raw()
            c.upgrade()
            c.connect("ada")
            c.event("chat:join-session",
                    {"sessionId": "s", "workspaceId": "w"}, 1)
            c.wait_ack(1)
            for i in range(3):
                c.event("chat:send-message", {"message": {
                    "content": "n%d" % i, "type": "user",
                    "sessionId": "s"}}, 5 + i)
                self.assertTrue(c.wait_ack(5 + i)["ok"])
            before = d.ctl("-j", "history", "w/s").stdout
            self.assertEqual(len(before.splitlines()), 3)
            self.assertEqual(d.stop(), 0)
            d.start()
            self.assertEqual(d.ctl("-j", "history", "w/s").stdout, before)
            self.assertEqual(len(d.ctl("-j", "history", "w/s", "2")
                                 .stdout.splitlines()), 2)
            self.assertRegex(d.ctl("history", "w/s").stdout,
                             r"(?m)^\d{4}-\d\d-\d\d .*  3  ada: n2$")


class Chatctl(unittest.TestCase):
    COMMANDS = ("status", "workers", "ring", "store", "stats", "config",
                "version")

    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def test_each_command_answers_as_table_and_as_json(self):
        for c in self.COMMANDS:
            self.assertIsNotNone(self.d.ask(c))
            p = self.d.ctl(c)
            self.assertEqual((p.returncode, p.stderr), (0, ""), c)
            self.assertGreater(len(p.stdout.splitlines()), 2, c)
            self.assertNotRegex(p.stdout, r"[{}]")
        self.assertEqual(len(self.d.ctl("workers").stdout.splitlines()), 3)

    def test_stats_takes_a_pattern(self):
        s = self.d.ask("stats", "closed_p*")
        self.assertEqual(set(s["counters"]),
                         {"closed_peer", "closed_protocol"})
        self.assertEqual(s["gauges"], {})

    def test_exit_statuses(self):
        for args, status in ((["nonsense"], 2), (["status", "x"], 2), ([], 2),
                             (["history"], 2), (["token"], 2),
                             (["history", "w/none"], 1),
                             (["history", "none"], 2),
                             (["tail", "none"], 2), (["--help"], 0),
                             (["tail", "w/none"], 1), (["help"], 0),
                             (["help", "tail"], 0), (["help", "x"], 2)):
            p = self.d.ctl(*args)
            self.assertEqual(p.returncode, status, args)
            if status:
                self.assertNotEqual(p.stderr, "")
        p = self.d.ctl("statsu")
        self.assertIn("status", p.stderr)
        p = subprocess.run([CHATCTL, "-s", self.d.dir + "/none", "status"],
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, 3)

    def completed(self, *words):
        """What bash offers for the last of these words."""
        p = subprocess.run(
            ["bash", "-c", 'source <("$0" completion bash) && '
             'COMP_WORDS=(chatctl "$@") COMP_CWORD=$# && _chatctl && '
             'echo "${COMPREPLY[@]}"', CHATCTL, *words],
            capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        return p.stdout.split()

    def test_a_shell_completes_what_is_typed_as_it_stands(self):
        for words, offered in (
                (["sta"], ["stats", "status"]), (["unm"], ["unmute"]),
                (["-j", "-s", "/x", "heal"], ["health"]), (["-s", ""], []),
                (["session", "s"], ["show", "status"]),
                (["session", "status", "w/s", "pa"], ["paused"]),
                (["ban", ""], ["--for"]), (["status", ""], []),
                (["kick", ""], ["--conn"]), (["unban", ""], []),
                (["user", ""], ["show"]), (["retention", ""], ["run"]),
                (["broadcast", ""], ["--workspace", "--session", "--name"]),
                (["help", "tok"], ["token"]),
                (["token", "--sec"], ["--secret-file"])):
            self.assertEqual(sorted(self.completed(*words)), sorted(offered),
                             words)
        self.assertEqual(self.d.ctl("completion", "csh").returncode, 2)
        self.assertIn("bashcompinit", self.d.ctl("completion", "zsh").stdout)

    def test_the_socket_may_come_from_the_environment(self):
        p = subprocess.run([CHATCTL, "-j", "status"], capture_output=True,
                           text=True,
                           env={**os.environ, "CHATD_SOCKET": self.d.sock})
        self.assertEqual(p.returncode, 0)

    def test_answers_are_quick(self):
        times = []
        for _ in range(20):
            for c in self.COMMANDS:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.d.sock)
                    began = time.monotonic()
                    s.sendall(b'{"v":1,"command":"%s"}\n' % c.encode())
                    while s.recv(65536):
                        pass
                    times.append(time.monotonic() - began)
        times.sort()
        self.assertLess(times[len(times) // 2], 0.010)

    def member_of_t(self):
        """ada's connection, in the session w/t."""
        c = self.d.raw()
        c.upgrade()
        c.connect("ada")
        c.event("chat:join-session",
                {"sessionId": "t", "workspaceId": "w"}, 1)
        self.assertTrue(c.wait_ack(1)["ok"])
        return c

    def test_tail_shows_messages_as_they_come(self):
        c = self.member_of_t()
        for flag in ([], ["-j"]):
            p = subprocess.Popen([CHATCTL, "-s", self.d.sock, *flag, "tail",
                                  "w/t"], stdout=subprocess.PIPE, text=True)
            # until it listens
            lines = []
            t = threading.Thread(target=lambda: lines.append(
                p.stdout.readline()))
            t.start()
            n = 10
            while t.is_alive() and n < 60:
                c.event("chat:send-message", {"message": {
                    "content": "evil \x1b[2J text", "type": "user",
                    "sessionId": "t"}}, n)
                self.assertTrue(c.wait_ack(n)["ok"])
                t.join(0.1)
                n += 1
            self.assertIn("evil", lines[0])
            self.assertNotIn("\x1b", lines[0])
            if flag:
                self.assertEqual(json.loads(lines[0])["userId"], "ada")
            p.send_signal(signal.SIGINT)
            self.assertEqual(p.wait(60), 0)
            p.stdout.close()
        c.close()

    def test_a_stream_ends_when_nothing_can_be_written(self):
        c = self.member_of_t()
        with open("/dev/full", "w") as full:
            p = subprocess.Popen([CHATCTL, "-s", self.d.sock, "-j", "tail",
                                  "w/t"], stdout=full,
                                 stderr=subprocess.PIPE, text=True)
        try:
            for n in range(10, 40):
                if p.poll() is not None:
                    break
                c.event("chat:send-message", {"message": {
                    "content": "x", "type": "user", "sessionId": "t"}}, n)
                self.assertTrue(c.wait_ack(n)["ok"])
                time.sleep(0.5)
            self.assertEqual(p.poll(), 1)
            self.assertIn("cannot write", p.stderr.read())
        finally:
            p.kill()
            p.wait()
            p.stderr.close()
        c.close()

    def exchange(self, data, end=True):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(self.d.sock)
            try:
                s.sendall(data)
                if end:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = b""
            try:
                while True:
                    more = s.recv(65536)
                    if not more:
                        break
                    answer += more
            except ConnectionResetError:
                pass
            return answer

    def test_garbage_is_answered_or_dropped_and_harms_nobody(self):
        garbage = [
            b"\n", b"\0\n", b"hello\n", b"\xff\xfe\xfd\n", b"[]\n", b"{}\n",
            b'"status"\n', b"null\n", b"{" * 5000 + b"\n",
            b'{"v":2,"command":"status"}\n', b'{"v":"1","command":"x"}\n',
            b'{"v":1}\n', b'{"v":1,"command":5}\n',
            b'{"v":1,"command":"' + b"x" * 200 + b'"}\n',
            b'{"v":1,"command":"status","args":{}}\n',
            b'{"v":1,"command":"status","args":[1]}\n',
            b'{"v":1,"command":"status","args":["x"]}\n',
            b'{"v":1,"command":"stats","args":[' + b'"",' * 40 + b'""]}\n',
            b'{"v":1,"v":1,"command":"status"}\n',
            b'{"v":1,"command":"status"} x\n',
            b'{"v":1,"command":"history","args":["' + b"x" * 60000 + b'"]}\n',
            b'{"v":1,"command":"history","args":["w/\\u0000"]}\n',
            b"x" * 65536, b"x" * 300000,
        ]
        for g in garbage:
            answer = self.exchange(g)
            last = json.loads(answer.splitlines()[-1])
            self.assertEqual((last["done"], last["ok"]), (True, False), g[:60])
            self.assertIn("error", last)
        for g in (b"", b"x", b'{"v":1,"comm'):
            self.assertEqual(self.exchange(g), b"")
        self.assertTrue(self.d.running())

    def test_many_silent_askers_do_not_lock_others_out(self):
        crowd = []
        for _ in range(60):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            try:
                s.connect(self.d.sock)
            except BlockingIOError:
                pass
            crowd.append(s)
        began = time.monotonic()
        self.assertEqual(self.d.ctl("status").returncode, 0)
        self.assertLess(time.monotonic() - began, 25)
        for s in crowd:
            s.close()

    def test_an_asker_that_does_not_read_is_dropped(self):
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(self.d.sock)
        s.sendall(b'{"v":1,"command":"stats"}\n')
        began = cpu_seconds(self.d.pid)
        time.sleep(1)
        self.assertLess(cpu_seconds(self.d.pid) - began, 0.3)
        self.assertTrue(self.d.running())
        s.close()

    @unittest.skipUnless(ROOT, "needs root")
    def test_strangers_are_refused(self):
        # the checkout may be where nobody can go
        chatctl = shutil.copy(CHATCTL, self.d.dir + "/chatctl")
        p = subprocess.run([chatctl, "-s", self.d.sock, "status"],
                           capture_output=True, text=True, cwd="/", user=1,
                           group=1, extra_groups=[])
        self.assertEqual(p.returncode, 1, p.stdout)
        # members of the group are not, also when it is not their first
        os.chmod(self.d.sock, 0o666)

        def ask(**who):
            code = ("import socket\n"
                    "s = socket.socket(socket.AF_UNIX)\n"
                    "s.connect(%r)\n"
                    "q = b'{\"v\":1,\"command\":\"version\"}\\n'\n"
                    "try: s.sendall(q)\n"
                    "except OSError: pass\n"
                    "try:\n"
                    "    for i in range(9): print(s.recv(65536))\n"
                    "except OSError: pass\n" % self.d.sock)
            return subprocess.run(["/usr/bin/python3", "-c", code],
                                  capture_output=True, text=True,
                                  cwd="/", **who).stdout
        gid = grp.getgrnam("nogroup").gr_gid
        self.assertIn('"ok":false', ask(user=1, group=1, extra_groups=[]))
        self.assertIn('"ok":true', ask(user=1, group=gid, extra_groups=[]))
        self.assertIn('"ok":true', ask(user=1, group=1, extra_groups=[gid]))
        self.assertIn('"ok":true', ask(user=NOBODY.pw_uid, group=1,
                                       extra_groups=[]))
        os.chmod(self.d.sock, 0o660)

    def test_without_a_worker_the_master_still_answers(self):
        with Daemon(workers=1) as d:
            d.start()

            def none():
                pid = d.workers()[0]
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                p = d.ctl("history", "w/s")
                self.assertEqual(p.returncode, 1)
                return "no worker" in p.stderr
            # early deaths make the next one wait
            self.assertTrue(until(none, 60))


class Token(unittest.TestCase):
    @staticmethod
    def take_apart(token, secret):
        head, body, mac = token.strip().split(".")

        def plain(s):
            return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
        good = hmac.new(secret.encode(), (head + "." + body).encode(),
                        hashlib.sha256).digest()
        assert plain(mac) == good, "signature"
        assert "=" not in token
        return json.loads(plain(head)), json.loads(plain(body))

    def test_a_token_is_a_jwt_with_the_right_claims(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(SECRET + "\n")
            f.flush()
            p = subprocess.run(
                [CHATCTL, "-s", "/nonexistent", "token", "--user", "ad\"a",
                 "--name", "Ada \u00e4", "--role", "agent", "--workspace",
                 "w1", "--workspace", "w2", "--session", "s1", "--session",
                 "s2", "--expires", "2h", "--secret-file", f.name],
                capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        head, body = self.take_apart(p.stdout, SECRET)
        self.assertEqual(head, {"alg": "HS256", "typ": "JWT"})
        self.assertEqual(body.pop("exp") - body["iat"], 7200)
        self.assertLess(abs(body.pop("iat") - time.time()), 5)
        self.assertEqual(body, {
            "sub": "ad\"a", "name": "Ada \u00e4", "role": "agent",
            "workspaces": ["w1", {"id": "w2", "sessions": ["s1", "s2"]}]})

    def test_the_longest_secret_is_the_daemon_s(self):
        for length, status in ((65536, 0), (65537, 1)):
            with tempfile.NamedTemporaryFile("w") as f:
                f.write("x" * length)
                f.flush()
                p = subprocess.run([CHATCTL, "-s", "/nonexistent", "token",
                                    "--user", "a", "--secret-file", f.name],
                                   capture_output=True, text=True)
                self.assertEqual(p.returncode, status, p.stderr)
                p = subprocess.run([CHATD, "-t", "-c", "/dev/null", "-o",
                                    "auth.secret_file=" + f.name, "-o",
                                    "log.target=stderr"],
                                   capture_output=True, text=True)
                self.assertEqual("too long" in p.stderr, status == 1,
                                 p.stderr)

    def test_secrets_that_are_too_short_or_not_there_are_refused(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("short\n")
            f.flush()
            for path in (f.name, "/nonexistent"):
                p = subprocess.run([CHATCTL, "-s", "/nonexistent", "token",
                                    "--user", "a", "--secret-file", path],
                                   capture_output=True, text=True)
                self.assertEqual(p.returncode, 1)
                self.assertIn(path, p.stderr)

    def test_wrong_arguments_are_usage(self):
        for args in (["--user", ""], ["--role", "king", "--user", "a"],
                     ["--user", "a", "--expires", "soon"],
                     ["--user", "a", "--session", "s"], ["a"],
                     ["--user", "a", "b"]):
            p = subprocess.run([CHATCTL, "token", *args],
                               capture_output=True, text=True)
            self.assertEqual(p.returncode, 2, args)

    def test_the_daemon_that_runs_accepts_what_was_signed_for_it(self):
        with Daemon() as d:
            secret = d.dir + "/the secret"
            with open(secret, "w") as f:
                f.write(SECRET + "\n")
            if ROOT:
                os.chown(secret, NOBODY.pw_uid, -1)
            d.options.pop("auth.mode")
            d.write_conf('auth.mode = jwt\nauth.secret_file = "%s"\n'
                         "auth.issuer = us\nauth.audience = them\n" % secret)
            d.start()
            p = d.ctl("token", "--user", "ada", "--workspace", "w")
            self.assertEqual(p.returncode, 0, p.stderr)
            _, body = self.take_apart(p.stdout, SECRET)
            self.assertEqual((body["iss"], body["aud"]), ("us", "them"))
            for token, answer in ((p.stdout.strip(), b"40{"),
                                  (p.stdout.strip()[:-3] + "AAA", b"44{")):
                c = d.raw()
                c.upgrade()
                c.text('40{"token":"%s"}' % token)
                op, data = c.frame()
                self.assertTrue(data.startswith(answer), data)
                c.close()


if __name__ == "__main__":
    unittest.main()
