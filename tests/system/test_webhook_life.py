#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""test_webhook_life.py - auth.mode webhook: what may happen to the bridge, to
workers, to who is in, to the configuration, and by TLS."""
import base64
import hashlib
import hmac
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chatd import CHATD, Daemon  # noqa: E402
from test_webhook import Case, Client, INVALID, until  # noqa: E402
from webapp import Application  # noqa: E402

SECRET = b"0123456789abcdef0123456789abcdef"


def jwt(user):
    def part(b):
        return base64.urlsafe_b64encode(b).rstrip(b"=")
    head = part(b'{"alg":"HS256"}') + b"." + part(json.dumps({
        "sub": user, "exp": int(time.time()) + 600,
        "workspaces": ["w"]}).encode())
    return (head + b"." + part(hmac.new(SECRET, head, hashlib.sha256)
                               .digest())).decode()


class DeathsInARow(Case):
    # one that dies again and again is started again as late as after 30 s:
    # who waits is told before that
    OPTIONS = {"auth.webhook_timeout": "5s"}

    def test_bridges_that_are_killed_again_and_again(self):
        end = time.time() + 5
        # a busy machine has more time, without kills
        at_last = end + 60
        self.app.delay = 0.02
        answers = {"sid": 0, "data": 0}
        lock = threading.Lock()
        wrong = []

        def come_and_go(name):
            n = 0
            while time.time() < end or (
                    answers["sid"] <= 20 and time.time() < at_last):
                try:
                    c = Client(self.daemon.port)
                    n += 1
                    a = c.come("%s.%d" % (name, n))
                    c.close()
                except (OSError, EOFError, AssertionError) as e:
                    wrong.append(repr(e))
                    continue
                with lock:
                    answers["sid" if "sid" in a else "data"] += 1
                if "sid" not in a and \
                        a["data"]["code"] != "AUTH_UNAVAILABLE":
                    wrong.append(a)

        threads = [threading.Thread(target=come_and_go, args=("c%d" % i,))
                   for i in range(8)]
        for t in threads:
            t.start()
        while time.time() < end:
            time.sleep(random.uniform(0.05, 0.4))
            try:
                self.kill("bridge")
            except (KeyError, ProcessLookupError):
                pass
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])
        self.assertGreater(answers["sid"], 20)
        self.assertEqual(self.daemon.ctl("status")["worker_restarts"], 0)
        self.assertTrue(until(lambda: "sid" in self.outcome("after")))


class Deaths(Case):
    OPTIONS = {"auth.webhook_timeout": "60s"}

    def test_a_bridge_that_is_killed_in_the_middle(self):
        # long enough for us to come to it
        self.app.delay = 1.5
        clients = [self.new() for _ in range(60)]
        for i, c in enumerate(clients):
            c.ask({"token": "t%d" % i})
        until(lambda: self.app.asked)
        old = self.kill("bridge")
        # each is asked again, and has its answer
        for c in clients:
            self.assertIn("sid", c.answer())
        self.assertNotEqual(self.daemon.children()["bridge"], old)
        status = self.daemon.ctl("status")
        self.assertEqual(status["bridge_restarts"], 1)
        self.assertEqual(status["worker_restarts"], 0)
        self.assertGreater(self.stats()["bridge_repeated"], 0)

    def test_a_worker_that_is_killed_in_the_middle(self):
        self.app.delay = 1.5
        clients = [self.new() for _ in range(40)]
        for i, c in enumerate(clients):
            c.ask({"token": "t%d" % i})
        until(lambda: len(self.app.asked) > 10)
        self.kill(0)
        alive = lost = 0
        for c in clients:
            try:
                self.assertIn("sid", c.answer())
                alive += 1
            except (EOFError, ConnectionError):
                lost += 1
        self.assertGreater(alive, 5)
        self.assertGreater(lost, 5)
        self.app.delay = 0
        for i in range(10):
            self.come("after%d" % i)
        self.assertEqual(self.daemon.ctl("status")["bridge_restarts"], 0)

    def test_orderly_ends(self):
        self.app.mode = "hang"
        for i in range(10):
            self.new().ask({"token": "t%d" % i})
        until(lambda: len(self.app.asked) == 10)
        bridge = self.daemon.children()["bridge"]
        began = time.time()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.time() - began, 15)
        self.assertFalse(os.path.exists("/proc/%d" % bridge))


class Stopped(Case):
    def test_a_bridge_that_stands_still(self):
        pair = [self.come("a"), self.come("b")]
        for c in pair:
            self.assertTrue(c.join()["ok"])
        pid = self.daemon.children()["bridge"]
        os.kill(pid, signal.SIGSTOP)
        try:
            waiting = self.new()
            began = time.time()
            waiting.ask({"token": "t"})
            pair[0].event("chat:send-message", {"message": {
                "id": "m", "sessionId": "s", "content": "x"}}, 2)
            self.assertTrue(pair[0].wait_ack(2)["ok"])
            self.assertLater(waiting.answer())
            self.assertGreater(time.time() - began, 1.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertIn("sid", self.outcome("u"))
        # what nobody waits for any more was not asked
        self.assertEqual(self.app.count("t"), 0)
        self.assertGreater(self.stats()["bridge_missing"], 0)

    def test_a_socket_that_is_full(self):
        pid = self.daemon.children()["bridge"]
        os.kill(pid, signal.SIGSTOP)
        try:
            clients = [self.new() for _ in range(900)]
            for i, c in enumerate(clients):
                c.ask({"token": "%d" % i + "x" * 16000})
            for c in clients:
                self.assertLater(c.answer())
            self.assertEqual(self.stats()["bridge_missing"], 900)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.app.tokens["t"] = {"userId": "u"}
        self.assertTrue(until(lambda: "sid" in self.outcome()))


class Rechecks(Case):
    OPTIONS = {"auth.webhook_recheck": "1s", "auth.expiry_grace": "1s",
               "auth.webhook_timeout": "10s"}

    def setUp(self):
        super().setUp()
        self.app.tokens["a"] = {"userId": "a", "workspaces": ["w", "x"]}
        self.a, self.b = self.come("a"), self.come("b")
        for c in (self.a, self.b):
            self.assertTrue(c.join()["ok"])

    def test_who_is_not_valid_any_more_goes(self):
        self.app.tokens["a"] = 401
        p = self.a.until_packet('42["chat:disconnect-reason"')
        self.assertEqual(json.loads(p[2:])[1]["code"], "TOKEN_REVOKED")
        self.assertEqual(self.a.packet(), "41")
        p = self.b.until_packet('42["chat:user-left"')
        left = json.loads(p[2:])[1]
        self.assertEqual((left["userId"], left["reason"]),
                         ("a", "access-revoked"))
        self.assertEqual(self.stats()["recheck_revoked"], 1)
        # the other one stays, and a stays away
        time.sleep(2.5)
        n = self.app.count("a")
        time.sleep(2)
        self.assertEqual(self.app.count("a"), n)
        self.assertEqual(self.daemon.ctl("status")["sockets"], 1)

    def test_rights_that_change_count_at_once(self):
        self.assertTrue(self.a.join("s2", "x")["ok"])
        self.app.tokens["a"] = {"userId": "a", "workspaces": ["w"]}
        p = self.a.until_packet('42["chat:join-session-error"')
        e = json.loads(p[2:])[1]
        self.assertEqual((e["code"], e["sessionId"]), ("ACCESS_DENIED", "s2"))
        self.assertEqual(self.a.join("s3", "x")["code"], "ACCESS_DENIED")
        self.assertTrue(self.a.join("s3", "w")["ok"])

    def test_a_token_that_is_another_users_now_is_none(self):
        self.app.tokens["a"] = {"userId": "mallory", "workspaces": ["w"]}
        p = self.a.until_packet('42["chat:disconnect-reason"')
        self.assertEqual(json.loads(p[2:])[1]["code"], "TOKEN_REVOKED")

    def test_an_application_that_is_down_changes_nothing(self):
        for mode in (500, b"nonsense", "reset", b'{"userId":"a","role":"x"}'):
            self.app.mode = mode
            time.sleep(1.3)
        self.app.close()
        time.sleep(2.5)
        self.assertEqual(self.daemon.ctl("status")["sockets"], 2)
        for n, c in enumerate((self.a, self.b)):
            c.event("chat:send-message", {"message": {
                "id": "m%d" % n, "sessionId": "s", "content": "x"}}, 7)
            self.assertTrue(c.wait_ack(7)["ok"])
        self.assertEqual(self.stats()["recheck_revoked"], 0)

    def test_another_token(self):
        self.app.tokens.update({
            "a2": {"userId": "a", "workspaces": ["w", "y"]},
            "other": {"userId": "mallory"}, "bad": 403})

        def refresh(token, ack):
            self.a.event("chat:refresh-token", {"token": token}, ack)
            return self.a.wait_ack(ack)

        self.assertEqual(refresh("other", 10)["code"], "ACCESS_DENIED")
        self.assertEqual(refresh("bad", 11)["code"], "SESSION_INVALID")
        self.app.mode = 500
        a = refresh("a2", 12)
        self.assertEqual((a["code"], a["retryable"]),
                         ("AUTH_UNAVAILABLE", True))
        self.app.mode = "ok"
        self.assertEqual(self.a.join("s3", "y")["code"], "ACCESS_DENIED")
        self.assertTrue(refresh("a2", 13)["ok"])
        self.assertTrue(self.a.join("s3", "y")["ok"])
        # and it is the new one that is looked at from now on
        n = self.app.count("a2")
        self.assertTrue(until(lambda: self.app.count("a2") > n + 1))
        n = self.app.count("a")
        time.sleep(2.5)
        self.assertEqual(self.app.count("a"), n)

    def test_who_goes_while_its_new_token_is_looked_at(self):
        self.app.delay = 0.5
        for i in range(10):
            c = self.come("u%d" % i)
            c.event("chat:refresh-token", {"token": "u%d" % i}, 1)
            c.close()
        time.sleep(1.5)
        self.assertEqual(self.daemon.ctl("status")["worker_restarts"], 0)

    def test_what_has_an_end_ends(self):
        at = int(time.time() * 1000) + 4000
        self.app.tokens["e"] = {"userId": "e", "expiresAt": at}
        c = self.come("e")
        p = c.until_packet('42["chat:auth-expired"')
        self.assertEqual(json.loads(p[2:])[1]["graceMs"], 1000)
        p = c.until_packet('42["chat:disconnect-reason"')
        self.assertEqual(json.loads(p[2:])[1]["code"], "TOKEN_EXPIRED")
        self.assertEqual(c.packet(), "41")

    def test_a_crowd_is_not_looked_at_at_once(self):
        self.app.delay = 0.1
        for i in range(60):
            self.come("c%d" % i)
        self.app.most_busy = 0
        n = self.stats()["rechecked"]
        self.assertTrue(until(lambda: self.stats()["rechecked"] > n + 60))
        # two workers, 16 each; and at most so many that are not urgent
        self.assertLessEqual(self.app.most_busy, 17)


class Reloads(unittest.TestCase):
    def setUp(self):
        self.app = Application()
        self.addCleanup(self.app.close)
        self.daemon = Daemon({"workers": 2})
        del self.daemon.options["auth.mode"]
        os.chmod(self.daemon.dir, 0o755)
        self.daemon.conf = self.daemon.dir + "/chatd.conf"
        with open(self.daemon.dir + "/secret", "wb") as f:
            f.write(SECRET)
        self.clients = []

    def tearDown(self):
        for c in self.clients:
            c.close()
        try:
            if self.daemon.proc is not None:
                self.assertNotIn("signal=31", self.daemon.log_text())
        finally:
            self.daemon.__exit__()

    def write(self, mode, **more):
        with open(self.daemon.conf, "w") as f:
            f.write("auth.mode = %s\nauth.secret_file = %s/secret\n"
                    "auth.webhook_url = %s\nauth.webhook_timeout = 10s\n"
                    % (mode, self.daemon.dir, self.app.url))
            for k, v in more.items():
                f.write("%s = %s\n" % (k.replace("__", "."), v))

    def reload(self, mode, **more):
        self.write(mode, **more)
        self.daemon.ctl("reload")

    def new(self):
        self.clients.append(Client(self.daemon.port))
        return self.clients[-1]

    def come(self, token):
        c = self.new()
        self.assertIn("sid", c.come(token))
        self.assertTrue(c.join()["ok"])
        return c

    def bridge(self):
        return self.daemon.ctl("status")["bridge"]

    def test_from_jwt_to_webhook_and_back(self):
        self.write("jwt")
        self.daemon.start()
        old = self.come(jwt("j"))
        self.assertEqual(self.bridge(), "none")
        self.assertNotIn("bridge", self.daemon.children())
        for turn in range(3):
            self.reload("webhook")
            self.assertTrue(until(lambda: self.bridge() == "ready"))
            new = self.come("t%d" % turn)
            self.app.mode = "hang"
            waiting = self.new()
            waiting.ask({"token": "w"})
            until(lambda: self.app.count("w") > turn)
            began = time.time()
            self.reload("jwt")
            # it is not left to its timeout
            self.assertEqual(waiting.answer()["data"]["code"],
                             "AUTH_UNAVAILABLE")
            self.assertLess(time.time() - began, 5)
            self.app.mode = "ok"
            self.assertTrue(until(lambda: self.bridge() == "none"))
            self.assertNotIn("bridge", self.daemon.children())
            self.assertEqual(self.new().come("t")["data"]["code"],
                             "TOKEN_INVALID")
            self.come(jwt("k"))
            # nobody who was in noticed
            for c in (old, new):
                c.event("chat:typing", {"sessionId": "s", "isTyping": True}, 9)
                self.assertTrue(c.wait_ack(9)["ok"])
        status = self.daemon.ctl("status")
        self.assertEqual(status["bridge_restarts"], 0, self.daemon.log_text())
        self.assertEqual(status["worker_restarts"], 0)

    def test_another_application(self):
        self.write("webhook")
        self.daemon.start()
        until(lambda: self.bridge() == "ready")
        pid = self.daemon.children()["bridge"]
        self.app.head = [("Cache-Control", "max-age=600")]
        self.come("t")
        first, self.app = self.app, Application()
        self.addCleanup(self.app.close)
        self.reload("webhook")
        self.come("t")
        self.assertEqual((first.count("t"), self.app.count("t")), (1, 1))
        self.assertEqual(self.daemon.children()["bridge"], pid)

    def test_one_that_is_refused_changes_nothing(self):
        self.write("webhook")
        self.daemon.start()
        until(lambda: self.bridge() == "ready")
        url = self.app.url
        for wrong in ("", "ftp://x/", "http://u:sesame@x/", "http://"):
            with open(self.daemon.conf, "w") as f:
                f.write("auth.mode = webhook\nauth.webhook_url = %s\n" % wrong)
            with self.assertRaises(RuntimeError):
                self.daemon.ctl("reload")
            self.come("t")
        self.assertNotIn("sesame", self.daemon.log_text())
        self.assertNotIn(url.split("/who")[1], self.daemon.log_text())

    def test_the_check_says_what_is_missing(self):
        for url, want in (("", "needs one"), ("ftp://x/", "http:// or"),
                          ("http://u:p@x/", "user or a password")):
            p = subprocess.run(
                [CHATD, "-t", "-c", "/dev/null", "-o", "auth.mode=webhook",
                 "-o", "auth.webhook_url=" + url], capture_output=True,
                text=True)
            self.assertEqual(p.returncode, 1)
            self.assertIn("auth.webhook_url", p.stderr)
            self.assertIn(want, p.stderr)


class Tls(unittest.TestCase):
    conf = "/dev/null"

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="chatd-test-tls-")
        d = cls.dir.name
        os.chmod(d, 0o755)

        def openssl(*args):
            subprocess.run(["openssl", *args], cwd=d, check=True,
                           capture_output=True)

        for name in ("ca", "other"):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                    "2", "-keyout", name + ".key", "-out", name + ".pem",
                    "-subj", "/CN=" + name)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "srv.key",
                "-out", "srv.csr", "-subj", "/CN=localhost")
        with open(d + "/ext", "w") as f:
            f.write("subjectAltName=DNS:localhost\n")
        openssl("x509", "-req", "-in", "srv.csr", "-CA", "ca.pem", "-CAkey",
                "ca.key", "-CAcreateserial", "-days", "2", "-out", "srv.pem",
                "-extfile", "ext")

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def setUp(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.dir.name + "/srv.pem",
                            self.dir.name + "/srv.key")
        self.app = Application(tls)
        self.addCleanup(self.app.close)
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE", None)

    def start(self, authorities, url=None, **options):
        if authorities is not None:
            os.environ["SSL_CERT_FILE"] = authorities
        self.daemon = Daemon({"auth.mode": "webhook",
                              "auth.webhook_url": url or self.app.url,
                              **options})
        self.daemon.conf = self.conf
        self.daemon.start()
        self.addCleanup(self.daemon.__exit__)
        until(lambda: self.daemon.ctl("status")["bridge"] == "ready")
        self.pid = self.daemon.children()["bridge"]

    def outcome(self, token="t"):
        c = Client(self.daemon.port)
        try:
            return c.come(token)
        finally:
            c.close()

    def assertRefused(self):
        self.assertEqual(self.outcome()["data"]["code"], "AUTH_UNAVAILABLE")
        self.assertEqual(self.app.asked, [])
        self.assertEqual(self.daemon.children()["bridge"], self.pid)

    def test_an_authority_that_is_known(self):
        self.start(self.dir.name + "/ca.pem")
        for i in range(20):
            self.assertIn("sid", self.outcome("t%d" % i))
        self.app.mode = 401
        self.assertEqual(self.outcome(), INVALID)
        self.assertLess(self.app.accepted, 5)
        self.assertEqual(self.daemon.children()["bridge"], self.pid)

    def test_an_authority_that_is_not(self):
        self.start(self.dir.name + "/other.pem")
        self.assertRefused()

    def test_those_of_the_system_do_not_know_ours(self):
        self.start(None)
        self.assertRefused()

    def test_the_certificate_of_somebody_else(self):
        self.start(self.dir.name + "/ca.pem",
                   "https://127.0.0.1:%d/" % self.app.port)
        self.assertRefused()

    def test_a_file_that_is_not_there(self):
        self.start(self.dir.name + "/none.pem")
        self.assertRefused()
        self.assertIn("no certificate can be checked",
                      self.daemon.log_text())

    def test_another_file_counts_after_a_reload(self):
        name = self.dir.name + "/changing.pem"

        def put(which):
            with open(self.dir.name + "/" + which, "rb") as f, \
                    open(name, "wb") as g:
                g.write(f.read())

        def write(timeout):
            with open(self.dir.name + "/conf", "w") as f:
                f.write("auth.webhook_timeout = %s\n" % timeout)

        put("other.pem")
        write("5s")
        self.conf = self.dir.name + "/conf"
        self.start(name)
        self.assertRefused()
        put("ca.pem")
        # a reload is one when something changes
        write("6s")
        self.daemon.ctl("reload")
        self.assertIn("sid", self.outcome("u"))
        self.assertEqual(self.daemon.children()["bridge"], self.pid)

    def test_a_name_that_does_not_exist(self):
        self.start(self.dir.name + "/ca.pem", "https://chatd-test.invalid/",
                   **{"auth.webhook_timeout": "3s"})
        self.assertRefused()


if __name__ == "__main__":
    unittest.main()
