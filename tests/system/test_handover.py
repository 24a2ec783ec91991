#!/usr/bin/python3
"""test_handover.py - any worker serves any session, whoever is in between.

Connections that are handed from worker to worker, also while workers die;
clients behind proxies; the browser's bundle and its reload.
"""
import base64
import http.client
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_master import Daemon, descriptors, until  # noqa: E402

POLLING = "/socket.io/?EIO=4&transport=polling"


def slot_of(sid):
    """The worker that has the session: the last byte of its id."""
    return base64.urlsafe_b64decode(sid)[-1]


class Client:
    """One kept-alive connection that asks for whatever it is told."""

    def __init__(self, port, timeout=10):
        self.http = http.client.HTTPConnection("127.0.0.1", port,
                                               timeout=timeout)

    def ask(self, method, path, body=None, **headers):
        self.http.request(method, path, body, headers)
        r = self.http.getresponse()
        return r.status, r.read().decode(), r

    def handshake(self, **headers):
        status, body, _ = self.ask("GET", POLLING, **headers)
        return status, json.loads(body[1:])["sid"] if status == 200 else body

    def post(self, sid, body):
        return self.ask("POST", "%s&sid=%s" % (POLLING, sid), body)[:2]

    def get(self, sid):
        return self.ask("GET", "%s&sid=%s" % (POLLING, sid))[:2]

    def close(self):
        self.http.close()


def unknown(status, body):
    return status == 400 and json.loads(body)["code"] == 1


class AnyWorker(unittest.TestCase):
    """What is asked for is a namespace that is not there: each POST is
    answered by exactly one packet to the next GET."""

    def round_trip(self, post, get, sid, name):
        self.assertEqual(post.post(sid, "40/%s," % name), (200, "ok"))
        status, body = get.get(sid)
        self.assertEqual(status, 200)
        self.assertTrue(body.startswith("44/%s," % name), body)

    def test_a_connection_carries_requests_of_all_sessions(self):
        with Daemon(workers=4) as d:
            d.start()
            sids = []
            while len(sids) < 40 or len(set(map(slot_of, sids))) < 4:
                c = Client(d.port)
                sids.append(c.handshake()[1])
                c.close()
            pool = [Client(d.port) for _ in range(3)]
            for i in range(1500):
                self.round_trip(random.choice(pool), random.choice(pool),
                                random.choice(sids), "n%d" % i)
            stats = d.ask("stats", "handoffs*")["counters"]
            self.assertGreater(stats["handoffs"], 1000)
            self.assertEqual(stats["handoffs"], stats["handoffs_taken"])
            for c in pool:
                c.close()

    def test_sessions_of_a_dead_worker_are_unknown_at_once(self):
        with Daemon(workers=3) as d:
            d.start()
            sids = {}
            while len(sids) < 3:
                c = Client(d.port)
                sid = c.handshake()[1]
                sids[slot_of(sid)] = sid
                c.close()
            old = d.workers()
            os.kill(old[1], signal.SIGKILL)
            # whether the next one is there already or not
            for _ in range(100):
                c = Client(d.port)
                began = time.monotonic()
                try:
                    answer = c.post(sids[1], "40/x,")
                except (http.client.HTTPException, OSError):
                    # was in the dead one's hands
                    continue
                finally:
                    c.close()
                self.assertTrue(unknown(*answer), answer)
                self.assertLess(time.monotonic() - began, 2)
            c, other = Client(d.port), Client(d.port)
            for slot in (0, 2):
                self.round_trip(c, other, sids[slot], "y")
            self.assertTrue(unknown(*c.get(sids[1])))

    def test_nothing_leaks_when_workers_die_in_between(self):
        with Daemon(workers=4) as d:
            d.start()
            baseline = descriptors(d.pid)
            stop, sids, lock = threading.Event(), [], threading.Lock()
            counts = {"answers": 0, "unknown": 0, "cut": 0}
            wrong = []

            def count(what):
                with lock:
                    counts[what] += 1

            def one(c):
                # two POSTs to one session at a time are none of it
                with lock:
                    sid = sids.pop(random.randrange(len(sids))) \
                        if len(sids) > 40 else None
                if sid is None:
                    status, sid = c.handshake()
                    if status != 200:
                        wrong.append((status, sid))
                        return
                else:
                    status, body = c.post(sid, "40/x,")
                    count("answers" if status == 200 else "unknown")
                    if status != 200:
                        if not unknown(status, body):
                            wrong.append((status, body))
                        return
                with lock:
                    sids.append(sid)

            def client():
                c = Client(d.port)
                while not stop.is_set():
                    try:
                        one(c)
                    except (http.client.HTTPException, OSError):
                        count("cut")
                        c.close()
                c.close()

            threads = [threading.Thread(target=client) for _ in range(12)]
            for t in threads:
                t.start()
            for i in range(12):
                time.sleep(0.4)
                pid = d.workers().get(random.randrange(4))
                if pid:
                    os.kill(pid, signal.SIGKILL)
            until(d.all_ready, 20)
            time.sleep(0.5)
            stop.set()
            for t in threads:
                t.join(30)
                self.assertFalse(t.is_alive(), "a request without an answer")
            self.assertEqual(wrong, [])
            self.assertGreater(counts["answers"], 500, counts)
            self.assertGreater(counts["unknown"], 0, counts)
            # a connection whose record nobody has is never let go
            self.assertTrue(until(lambda: d.ask("status")["connections"] == 0),
                            counts)
            self.assertTrue(until(lambda: descriptors(d.pid) <= baseline),
                            (descriptors(d.pid), baseline))


class Proxies(unittest.TestCase):
    RATE = 6

    def start(self, d, **options):
        d.set(limits__connect_rate=self.RATE, **options)
        d.start()

    def how_many(self, connect, n=20):
        """How many of n handshakes are let in, the others told 429."""
        status = [connect() for _ in range(n)]
        self.assertLessEqual(set(status), {200, 429}, status)
        return status.count(200)

    def forwarded(self, d, address):
        def connect():
            c = Client(d.port)
            try:
                return c.handshake(**{"X-Forwarded-For": address})[0]
            finally:
                c.close()
        return connect

    def test_clients_of_a_trusted_proxy_are_limited_by_their_address(self):
        with Daemon() as d:
            self.start(d, trusted_proxies="127.0.0.0/8, 10.0.0.0/8")
            for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1",
                            "192.0.2.3, 10.1.1.1"):
                self.assertEqual(
                    self.how_many(self.forwarded(d, address)), self.RATE,
                    address)
            # what a client made up stands in front of what is true
            self.assertEqual(self.how_many(self.forwarded(
                d, "198.51.100.1, 192.0.2.1")), 0)

    def test_nobody_else_is_believed(self):
        with Daemon() as d:
            self.start(d)
            n = sum(self.how_many(self.forwarded(d, "192.0.2.%d" % i), 3)
                    for i in range(1, 8))
            self.assertEqual(n, self.RATE)

    def proxied(self, connect, header):
        request = ("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                   % POLLING).encode()

        def once():
            with connect() as s:
                s.settimeout(10)
                s.sendall(header + request)
                data = b""
                while True:
                    more = s.recv(65536)
                    if not more:
                        break
                    data += more
            return int(data.split()[1]) if data else None
        return once

    @staticmethod
    def v1(address):
        return ("PROXY TCP4 %s 10.0.0.1 40000 80\r\n" % address).encode()

    @staticmethod
    def v2(address):
        return (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" +
                socket.inet_aton(address) + socket.inet_aton("10.0.0.1") +
                b"\x9c\x40\0\x50")

    def test_a_proxy_listener_limits_by_what_the_header_says(self):
        with Daemon() as d:
            path = d.dir + "/sock"
            os.chmod(d.dir, 0o777)
            self.start(d, listen="127.0.0.1:%d?proxy,unix:%s?proxy" %
                       (d.port, path))

            def tcp():
                return socket.create_connection(("127.0.0.1", d.port))

            def unix():
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                return s

            for i, header in enumerate((self.v1, self.v2)):
                for j, connect in enumerate((tcp, unix)):
                    address = "192.0.2.%d" % (10 * i + j)
                    self.assertEqual(self.how_many(
                        self.proxied(connect, header(address))), self.RATE)
            # the same client by whatever way
            self.assertEqual(self.how_many(self.proxied(
                unix, self.v2("192.0.2.0"))), 0)
            # without a header nothing is answered
            self.assertIsNone(self.proxied(tcp, b"")())

    def test_a_unix_socket_is_not_limited_unless_somebody_is_told(self):
        with Daemon() as d:
            path = d.dir + "/sock"
            os.chmod(d.dir, 0o777)
            self.start(d, listen="127.0.0.1:%d,unix:%s" % (d.port, path))

            def unix():
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                return s

            self.assertEqual(self.how_many(self.proxied(unix, b"")), 20)

    def test_t_warns_of_what_is_hardly_meant(self):
        with Daemon(trusted_proxies="0.0.0.0/0") as d:
            p = d.once("-t")
            self.assertEqual(p.returncode, 0)
            self.assertIn("warning: trusted_proxies holds all", p.stderr)


class Bundle(unittest.TestCase):
    def write(self, where, name, text):
        with open(os.path.join(where, name + ".new"), "w") as f:
            f.write(text)
        os.chmod(f.name, 0o644)
        os.rename(f.name, os.path.join(where, name))

    def test_a_reload_brings_a_new_one_and_closes_nothing(self):
        with tempfile.TemporaryDirectory() as files, Daemon() as d:
            os.chmod(files, 0o755)
            one = "/*!\n * Socket.IO v4.8.4\n */\n" + "1" * 3000000
            self.write(files, "socket.io.js", one)
            self.write(files, "socket.io.js.map", '{"version":3}')
            d.write_conf("client_dir = %s\n" % files)
            d.start()
            c = Client(d.port)
            status, body, r = c.ask("GET", "/socket.io/socket.io.js")
            self.assertEqual((status, r.headers["ETag"]), (200, '"4.8.4"'))
            self.assertEqual(body, one)
            status, body, r = c.ask("GET", "/socket.io/socket.io.js",
                                    **{"If-None-Match": '"4.8.4"'})
            self.assertEqual((status, body), (304, ""))
            sid = c.handshake()[1]
            # in the middle of the old one
            slow = socket.create_connection(("127.0.0.1", d.port))
            slow.settimeout(10)
            slow.sendall(b"GET /socket.io/socket.io.js HTTP/1.1\r\n"
                         b"Host: x\r\nConnection: close\r\n\r\n")
            got = slow.recv(1000)
            self.write(files, "socket.io.js", "/*! Socket.IO v4.9.0 */ two")
            changed = d.ask("reload")["changed"]
            self.assertEqual([x["option"] for x in changed], ["client_dir"])
            status, body, r = c.ask("GET", "/socket.io/socket.io.js",
                                    **{"If-None-Match": '"4.8.4"'})
            self.assertEqual((status, r.headers["ETag"]), (200, '"4.9.0"'))
            self.assertEqual(body, "/*! Socket.IO v4.9.0 */ two")
            # the session and the one that was being sent are as they were
            self.assertEqual(c.post(sid, "40/x,"), (200, "ok"))
            while True:
                more = slow.recv(1 << 20)
                if not more:
                    break
                got += more
            slow.close()
            self.assertEqual(got.split(b"\r\n\r\n", 1)[1].decode(), one)
            # and a third reload has nothing to do
            self.assertEqual(d.ask("reload")["changed"], [])
            # a worker that starts now has it, too
            for pid in d.workers().values():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
            self.assertTrue(until(d.all_ready, 20))
            c.close()
            c = Client(d.port)
            status, body, r = c.ask("GET", "/socket.io/socket.io.js")
            self.assertEqual((status, r.headers["ETag"]), (200, '"4.9.0"'))
            c.close()


if __name__ == "__main__":
    unittest.main()
