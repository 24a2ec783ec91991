#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""test_webhook.py - auth.mode webhook: the real daemon and a web application
that is well, slow, wrong, or not there; clients who connect, stay, and are
looked at again.

    WEBHOOK_DOWN_S=30   how long the application is down (5)
"""
import json
import os
import signal
import statistics
import sys
import threading
import time
import unittest

import socketio

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chatd import Daemon, Raw  # noqa: E402
from webapp import Application  # noqa: E402

DOWN_S = float(os.environ.get("WEBHOOK_DOWN_S", "5"))
# how long something may take on a busy machine
PATIENCE_S = 20


def until(fn, seconds=PATIENCE_S, step=0.02):
    end = time.time() + seconds
    while time.time() < end:
        value = fn()
        if value:
            return value
        time.sleep(step)
    return fn()


class Client(Raw):
    """A client that says what it is told, and remembers what came."""

    def __init__(self, port, timeout=PATIENCE_S, head=()):
        super().__init__(port, timeout)
        request = Raw.UPGRADE
        if head:
            request = request[:-2] + "".join(
                "%s: %s\r\n" % h for h in head).encode() + b"\r\n"
        self.upgrade(request)
        self.seen = []

    def ask(self, auth):
        self.text("40" + (auth if isinstance(auth, str)
                          else json.dumps(auth)))

    def packet(self):
        """The next Socket.IO packet; pings are answered."""
        while True:
            op, data = self.frame()
            if data == b"2":
                self.text("3")
            elif op == 1:
                return data.decode()

    def answer(self):
        """What CONNECT is answered: {"sid": ...} or the error."""
        p = self.packet()
        if p[:2] not in ("40", "44"):
            raise AssertionError(p)
        return json.loads(p[2:])

    def come(self, token):
        self.ask({"token": token})
        return self.answer()

    def join(self, session="s", workspace="w"):
        self.event("chat:join-session", {"sessionId": session,
                                         "workspaceId": workspace}, 1)
        return self.wait_ack(1)

    def until_packet(self, prefix):
        """Skip to the packet that begins so; None at the end."""
        try:
            while True:
                p = self.packet()
                if p.startswith(prefix):
                    return p
        except EOFError:
            return None


def refusal(code, text, retryable, **more):
    return {"message": text,
            "data": {"code": code, "retryable": retryable, **more}}


INVALID = refusal("SESSION_INVALID", "Invalid session", False)
REQUIRED = refusal("AUTHENTICATION_REQUIRED", "Authentication required", False)
MALFORMED = refusal("TOKEN_INVALID", "Token validation failed", False)
EXPIRED = refusal("TOKEN_EXPIRED", "Token validation failed", False)


class Case(unittest.TestCase):
    OPTIONS = {}

    def setUp(self):
        self.app = Application()
        self.daemon = Daemon({"auth.mode": "webhook", "workers": 2,
                              "auth.webhook_url": self.app.url,
                              "auth.webhook_timeout": "3s",
                              **self.OPTIONS})
        self.addCleanup(self.app.close)
        self.daemon.start()
        self.addCleanup(self.daemon.__exit__)
        self.clients = []
        self.assertTrue(until(self.bridge_is_ready))

    def tearDown(self):
        for c in self.clients:
            c.close()
        # no process died of a call that its sandbox does not know
        self.assertNotIn("signal=31", self.daemon.log_text())

    def bridge_is_ready(self):
        return self.daemon.ctl("status")["bridge"] == "ready"

    def stats(self):
        return self.daemon.ctl("stats", "*")["counters"]

    def new(self, **kw):
        c = Client(self.daemon.port, **kw)
        self.clients.append(c)
        return c

    def come(self, token):
        c = self.new()
        self.assertIn("sid", c.come(token))
        return c

    def outcome(self, token="t"):
        return self.new().come(token)

    def assertLater(self, answer, most=30):
        """AUTH_UNAVAILABLE, with a time."""
        after = answer.get("data", {}).pop("retryAfter", None)
        self.assertEqual(answer, refusal("AUTH_UNAVAILABLE",
                                         "Authentication failed", True))
        self.assertIn(after, range(1, most + 1))

    def kill(self, who):
        pid = self.daemon.children()[who]
        os.kill(pid, signal.SIGKILL)
        return pid


class Outcomes(Case):
    def test_who_the_application_knows_comes_in_with_its_rights(self):
        self.app.tokens["t"] = {
            "userId": "auth0|7", "userName": "Ada \u00e4", "role": "agent",
            "workspaces": ["w", {"id": "x", "sessions": ["only"]}],
            "more": {"that": ["is", "ignored"]}}
        c = self.new(head=[("User-Agent", "test \"1\"")])
        self.assertIn("sid", c.come("t"))
        a = c.join()
        self.assertTrue(a["ok"], a)
        self.assertEqual(a["presence"]["userId"], "auth0|7")
        self.assertEqual(a["presence"]["userName"], "Ada \u00e4")
        self.assertTrue(c.join("only", "x")["ok"])
        self.assertEqual(c.join("other", "x")["code"], "ACCESS_DENIED")
        self.assertEqual(c.join("s2", "y")["code"], "ACCESS_DENIED")
        (q,) = self.app.asked
        self.assertEqual({k: v for k, v in q.items() if k[0] != "_"},
                         {"token": "t", "remoteAddress": "127.0.0.1",
                          "userAgent": "test \"1\""})
        self.assertEqual(q["_line"], "POST /who?x=1 HTTP/1.1")
        self.assertEqual(q["_head"]["content-type"], "application/json")

    def test_the_bearer_counts_when_auth_has_no_token(self):
        c = self.new(head=[("Authorization", "Bearer abc")])
        c.ask("{}")
        self.assertIn("sid", c.answer())
        self.assertEqual(self.app.asked[0]["token"], "abc")

    def test_what_is_no_token_never_leaves_us(self):
        for auth, want in (
                ("", REQUIRED), ("{}", REQUIRED),
                ({"token": ""}, REQUIRED), ({"token": None}, REQUIRED),
                ({"userId": "me", "userName": "me"}, REQUIRED),
                ({"token": 1}, MALFORMED), ({"token": ["a"]}, MALFORMED),
                ({"token": "x" * 16385}, MALFORMED)):
            c = self.new()
            c.ask(auth)
            self.assertEqual(c.answer(), want)
        self.assertEqual(self.app.asked, [])
        self.app.tokens["x" * 16384] = {"userId": "u"}
        self.assertIn("sid", self.outcome("x" * 16384))

    def test_whom_it_refuses_is_refused(self):
        for status in (401, 403):
            self.app.mode = status
            self.assertEqual(self.outcome(), INVALID)
        self.assertEqual(self.stats()["bridge_refused"], 2)
        # the connection stays, and may try another
        c = self.new()
        self.assertEqual(c.come("a"), INVALID)
        self.app.mode = "ok"
        self.assertIn("sid", c.come("b"))

    def test_anything_else_may_be_tried_again(self):
        for mode in (500, 502, 400, 404, 204, 201, "redirect", b"", b"{",
                     b"[]", b"null", b"<html>", b'{"userId":1}',
                     b'{"userName":"x"}', b'{"userId":"u","role":"root"}',
                     b'{"userId":"u","workspaces":"w"}',
                     b'{"userId":"u","userId":"v"}', "huge", "half", "reset",
                     "http nonsense"):
            self.app.mode = mode
            with self.subTest(mode=mode):
                self.assertLater(self.outcome("t"))
                self.app.mode = "ok"
                self.assertIn("sid", self.outcome("fine"))
        # a redirect is not followed, and nobody died of anything
        self.assertEqual(self.daemon.ctl("status")["bridge_restarts"], 0)
        self.app.mode = "large"
        self.assertIn("sid", self.outcome("t"))

    def test_who_does_not_answer_in_time_may_be_tried_again(self):
        for mode in ("hang", "trickle"):
            self.app.mode = mode
            began = time.time()
            self.assertLater(self.outcome())
            self.assertGreater(time.time() - began, 2.9)
            self.assertLess(time.time() - began, 20)

    def test_times_are_milliseconds(self):
        now = int(time.time() * 1000)
        self.app.tokens["old"] = {"userId": "u", "expiresAt": now - 1}
        self.app.tokens["new"] = {"userId": "u", "expiresAt": now + 60000}
        self.assertEqual(self.outcome("old"), EXPIRED)
        self.assertIn("sid", self.outcome("new"))

    def test_limits_are_those_of_the_identity(self):
        self.daemon.stop()
        self.daemon.options["limits.connections_per_user"] = 1
        self.daemon.start()
        until(self.bridge_is_ready)
        first = self.come("same")
        # it answers when it is asked whether it is there
        reader = threading.Thread(target=first.until_packet, args=("end",),
                                  daemon=True)
        reader.start()
        self.assertEqual(self.outcome("same")["data"]["code"],
                         "TOO_MANY_CONNECTIONS")
        self.come("other")
        first.s.shutdown(2)
        reader.join()

    def test_tokens_and_answers_are_not_logged(self):
        self.daemon.stop()
        self.daemon.options["log.level"] = "debug"
        self.daemon.start()
        until(self.bridge_is_ready)
        self.app.tokens["sesame"] = {"userId": "u", "x": "rosebud"}
        self.come("sesame")
        self.app.mode = b'{"sesame":"rosebud"'
        self.assertLater(self.outcome("sesame"))
        self.app.mode = "http nonsense"
        self.assertLater(self.outcome("sesame"))
        log = self.daemon.log_text()
        self.assertNotIn("sesame", log)
        self.assertNotIn("rosebud", log)
        self.assertIn("no answer", log)

    def test_the_stock_client_sees_the_contracts_words(self):
        def attempt(auth):
            said = []
            c = socketio.Client(reconnection=False, handle_sigint=False)
            c.on("connect_error", said.append)
            try:
                c.connect("http://127.0.0.1:%d" % self.daemon.port, auth=auth,
                          transports=["websocket"], wait_timeout=10)
                sid = c.get_sid()
                c.disconnect()
                return sid
            except socketio.exceptions.ConnectionError:
                until(lambda: said)
                return said[0]

        self.app.tokens["bad"] = 401
        self.assertEqual(len(attempt({"token": "good"})), 20)
        self.assertEqual(attempt({"token": "bad"}), INVALID)
        self.assertEqual(attempt({}), REQUIRED)
        self.app.mode = 500
        self.assertLater(attempt({"token": "good"}))


class Impatient(Case):
    OPTIONS = {"auth.webhook_timeout": "60s", "engine.connect_timeout": "2s"}

    def test_the_connect_timeout_counts(self):
        self.app.mode = "hang"
        c = self.new(timeout=60)
        c.ask({"token": "t"})
        began = time.time()
        self.assertIsNone(c.until_packet("4"))
        self.assertLess(time.time() - began, 20)


class Meanwhile(Case):
    OPTIONS = {"auth.webhook_timeout": "15s"}

    def test_what_comes_behind_connect_waits_for_it(self):
        self.app.delay = 0.5
        c = self.new()
        c.ask({"token": "t"})
        c.event("chat:join-session", {"sessionId": "s", "workspaceId": "w"}, 1)
        c.event("chat:send-message", {"message": {
            "id": "m", "sessionId": "s", "content": "early"}}, 2)
        self.assertIn("sid", c.answer())
        self.assertTrue(c.wait_ack(1)["ok"])
        self.assertEqual(c.wait_ack(2)["seq"], 1)

    def test_who_goes_meanwhile_is_nobodys_problem(self):
        self.app.delay = 0.5
        for i in range(20):
            c = self.new()
            c.ask({"token": "t%d" % i})
            if i % 2:
                c.text("41")
            c.close()
        until(lambda: len(self.app.asked) == 20)
        time.sleep(1)
        self.app.delay = 0
        self.assertIn("sid", self.outcome())
        self.assertEqual(self.daemon.ctl("status")["worker_restarts"], 0)

    def test_several_at_once_are_one_post_if_they_say_the_same(self):
        # all of them have asked until then
        self.app.delay = 2
        same = [self.new() for _ in range(5)]
        for c in same:
            c.ask({"token": "same"})
        other = self.new()
        other.ask({"token": "other"})
        for c in same + [other]:
            self.assertIn("sid", c.answer())
        self.assertEqual(self.app.count("same"), 1)
        self.assertEqual(self.app.count("other"), 1)
        self.assertEqual(self.stats()["bridge_shared"], 4)

    def test_a_slow_application_slows_nobody_down(self):
        pair = [self.come("a"), self.come("b")]
        for c in pair:
            self.assertTrue(c.join()["ok"])
        self.app.delay = 2
        waiting = [self.new() for _ in range(50)]
        for i, c in enumerate(waiting):
            c.ask({"token": "w%d" % i})
        took = []
        for i in range(300):
            began = time.time()
            pair[0].event("chat:send-message", {"message": {
                "id": "m%d" % i, "sessionId": "s", "content": "x"}})
            while '"m%d"' % i not in pair[1].until_packet(
                    '42["chat:message-received"'):
                pass
            took.append(time.time() - began)
        self.assertLess(statistics.quantiles(took, n=100)[98], 0.5)
        for c in waiting:
            self.assertIn("sid", c.answer())

    def test_connections_are_kept_and_bounded(self):
        for i in range(30):
            self.come("t%d" % i)
        self.assertLess(self.app.accepted, 5)
        self.app.delay = 0.3
        many = [self.new() for _ in range(150)]
        for i, c in enumerate(many):
            c.ask({"token": "m%d" % i})
        for c in many:
            self.assertIn("sid", c.answer())
        self.assertLessEqual(self.app.most_busy, 64)
        self.assertGreater(self.app.most_busy, 16)

    def test_what_may_be_remembered_is(self):
        self.app.head = [("Cache-Control", "private, max-age=60")]
        for _ in range(5):
            self.come("t")
        self.assertEqual(self.app.count("t"), 1)
        self.assertEqual(self.stats()["bridge_cached"], 4)
        self.app.head = [("Cache-Control", "no-store, max-age=60")]
        for _ in range(3):
            self.come("u")
        self.assertEqual(self.app.count("u"), 3)

    def test_recovery_works_as_with_any_identity(self):
        a, b = self.come("a"), self.new()
        was = b.come("b")
        for c in (a, b):
            self.assertTrue(c.join()["ok"])
        a.event("chat:send-message", {"message": {
            "id": "m1", "sessionId": "s", "content": "x"}}, 2)
        a.wait_ack(2)
        p = b.until_packet('42["chat:message-received"')
        offset = json.loads(p[2:])[-1]
        b.close()
        a.event("chat:send-message", {"message": {
            "id": "m2", "sessionId": "s", "content": "missed"}}, 3)
        a.wait_ack(3)
        self.app.delay = 0.3
        again = self.new()
        again.ask({"token": "b", "pid": was["pid"], "offset": offset})
        got = []
        while not got or not got[-1].startswith("40"):
            got.append(again.packet())
        self.assertEqual(json.loads(got[-1][2:])["sid"], was["sid"])
        self.assertTrue(any("missed" in p for p in got) or
                        "missed" in again.until_packet(
                            '42["chat:message-received"'))
        # of somebody else it is another socket
        other = self.new()
        other.ask({"token": "c", "pid": was["pid"], "offset": offset})
        self.assertNotEqual(other.answer()["sid"], was["sid"])


class Down(Case):
    def test_clients_are_told_when_and_come_in_again(self):
        live = [self.come("a"), self.come("b")]
        for c in live:
            self.assertTrue(c.join()["ok"])
        self.app.close()
        end = time.time() + DOWN_S
        n = refused = 0
        slowest = 0.0
        while time.time() < end or n <= 10:
            began = time.time()
            self.assertLater(self.outcome("t%d" % n))
            slowest = max(slowest, time.time() - began)
            n += 1
            # who is in notices nothing
            live[0].event("chat:send-message", {"message": {
                "id": "m%d" % n, "sessionId": "s", "content": "x"}}, n)
            self.assertTrue(live[0].wait_ack(n)["ok"])
            time.sleep(0.05)
        self.assertLess(slowest, 5)
        stats = self.stats()
        # it is not asked for each of them
        self.assertGreater(stats["bridge_held_off"], n / 2)
        self.assertLess(stats["bridge_asked"], n / 2 + 10)
        self.assertEqual(self.daemon.ctl("status")["web_application"], "down")
        self.assertEqual([w["role"] for w in self.daemon.ctl("workers")],
                         ["worker", "worker", "bridge"])
        self.assertIn("web application does not answer",
                      str(self.daemon.ctl("health")["issues"]))
        self.assertRegex(self.daemon.log_text(),
                         r'the application does not answer.* reason=".*'
                         r"[Cc]onnect")
        self.app.open()
        while True:
            a = self.outcome("back")
            if "sid" in a:
                break
            # a client that does what it is told is soon in
            refused += 1
            self.assertLess(refused, 5)
            time.sleep(a["data"]["retryAfter"])
        until(lambda: self.daemon.ctl("status")["web_application"] == "up")
        self.assertIn("the application answers again", self.daemon.log_text())
        for i in range(20):
            self.come("c%d" % i)

    def test_a_thousand_clients_at_once(self):
        daemon = self.daemon
        failed = []

        def some(first):
            for i in range(first, first + 250):
                try:
                    c = Client(daemon.port, timeout=60)
                    self.clients.append(c)
                    c.ask({"token": "t%d" % i})
                except OSError as e:
                    failed.append(e)

        threads = [threading.Thread(target=some, args=(n,))
                   for n in range(0, 1000, 250)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        for c in self.clients:
            for _ in range(10):
                a = c.answer()
                if "sid" in a:
                    break
                time.sleep(a["data"]["retryAfter"])
                c.ask({"token": "again%d" % id(c)})
            self.assertIn("sid", a)
        self.assertLessEqual(self.app.most_busy, 64)
        self.assertEqual(daemon.ctl("status")["sockets"], 1000)


if __name__ == "__main__":
    unittest.main()
