#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""What comes on a listener that expects the PROXY protocol, byte for byte.

Whose address the daemon took shows in limits.connect_rate: so many
handshakes of one address pass, then it is 429.
"""

import itertools
import os
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../system"))
from chatd import Daemon, Raw, free_port  # noqa: E402

RATE = 4
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = (b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n"
           b"Connection: close\r\n\r\n")
daemon = None
addresses = ("192.0.2.%d" % i for i in range(1, 255))


def v1(source, target="10.0.0.1", family="TCP4"):
    return ("PROXY %s %s %s 40000 443\r\n" % (family, source,
                                              target)).encode()


def v2(source=None, target="10.0.0.1", command=1, transport=1, tlvs=b"",
       family=None, version=2, cut=0):
    if source is None:
        code, body = 0, b""
    else:
        six = ":" in source
        f = socket.AF_INET6 if six else socket.AF_INET
        code = 2 if six else 1
        body = (socket.inet_pton(f, source) +
                socket.inet_pton(f, "2001:db8::1" if six else target) +
                struct.pack(">HH", 40000, 443))
    if family is not None:
        code = family
    body += tlvs
    return (SIGNATURE + bytes([version << 4 | command,
                               code << 4 | transport]) +
            struct.pack(">H", len(body)) + body[:len(body) - cut])


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def setUpModule():
    global daemon, proxied
    proxied = free_port()
    daemon = Daemon({"limits.connect_rate": RATE, "workers": 2})
    daemon.options["listen"] = "127.0.0.1:%d, 127.0.0.1:%d?proxy" % (
        daemon.port, proxied)
    daemon.start()


def tearDownModule():
    daemon.__exit__(None, None, None)


def statistic(name):
    def find(x):
        if isinstance(x, dict):
            if x.get("name") == name:
                return x["value"]
            if isinstance(x.get(name), int):
                return x[name]
            x = list(x.values())
        if isinstance(x, list):
            for y in x:
                n = find(y)
                if n is not None:
                    return n
        return None
    return find(daemon.ctl("stats", name)) or 0


class Case(unittest.TestCase):
    def send(self, *pieces, pause=0.0):
        """Everything that is answered, b"" if the connection is closed."""
        r = Raw(proxied)
        r.s.settimeout(15)
        try:
            for p in pieces:
                r.send(p)
                time.sleep(pause)
            return r.read_all()
        except (BrokenPipeError, ConnectionResetError):
            return b""
        finally:
            r.close()

    def status(self, header, request=REQUEST):
        answer = self.send(header + request)
        return int(answer.split()[1]) if answer else None

    def passes(self, header):
        return [self.status(header) for _ in range(RATE + 2)].count(200)


class Takes(Case):
    """Each of these is a client of its own, and limited by its address."""

    def limited(self, make):
        for address in itertools.islice(addresses, 2):
            self.assertEqual(self.passes(make(address)), RATE, address)

    def test_version_1(self):
        self.limited(v1)

    def test_version_1_of_the_longest_kind(self):
        source = "2001:0db8:000f:%04x:ffff:ffff:ffff:ffff"
        for i in (1, 2):
            self.assertEqual(self.passes(v1(
                source % i, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "TCP6")), RATE)

    def test_version_2(self):
        self.limited(v2)

    def test_version_2_of_ipv6(self):
        # one client has a whole /64
        for i in (3, 4):
            self.assertEqual(self.passes(v2("2001:db8:f:%d::1" % i)), RATE)
        self.assertEqual(self.passes(v2("2001:db8:f:4::2")), 0)

    def test_one_client_in_either_version(self):
        address = next(addresses)
        self.assertEqual(self.passes(v1(address)), RATE)
        self.assertEqual(self.passes(v2(address)), 0)

    def test_one_client_as_mapped_ipv6(self):
        address = next(addresses)
        self.assertEqual(self.passes(v1(address)), RATE)
        self.assertEqual(self.passes(v2("::ffff:" + address)), 0)

    def test_with_details_behind_the_addresses(self):
        tlvs = (tlv(1, b"h2") + tlv(2, b"chat.example.com") +
                tlv(4, bytes(100)) + tlv(0x20, b"\1" + bytes(4) + tlv(
                    0x21, b"TLSv1.3")) + tlv(5, b"x" * 128))
        self.limited(lambda a: v2(a, tlvs=tlvs))

    def test_with_a_checksum(self):
        header = v2(next(addresses), tlvs=tlv(3, bytes(4)))
        crc = struct.pack(">I", crc32c(header))
        self.assertEqual(self.status(header[:-4] + crc), 200)
        bad = bytes([crc[0] ^ 1]) + crc[1:]
        self.assertIsNone(self.status(header[:-4] + bad))

    def test_byte_for_byte(self):
        for make in (v1, v2):
            data = make(next(addresses))
            answer = self.send(*(data[i:i + 1] for i in range(len(data))),
                               REQUEST, pause=0.002)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)

    def test_a_websocket_in_the_same_segment(self):
        r = Raw(proxied)
        r.upgrade(v2(next(addresses)) + Raw.UPGRADE)
        r.connect("proxied")
        r.close()

    def test_nobody_known(self):
        # health checks of the proxy itself, and what it cannot tell
        before = statistic("proxy_bad")
        for header in (v2(command=0), v2("192.0.2.1", command=0),
                       b"PROXY UNKNOWN\r\n",
                       b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
                       v2(family=0, transport=0, tlvs=b""),
                       v2(family=3, transport=1, tlvs=bytes(216))):
            self.assertIn(self.status(header), (200, 429), header)
        self.assertEqual(statistic("proxy_bad"), before)

    def test_a_forwarded_header_in_it_is_not_believed(self):
        address = next(addresses)
        lines = [REQUEST.replace(
            b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.%d\r\n\r\n" % i)
            for i in range(RATE + 2)]
        self.assertEqual([self.status(v2(address), x)
                          for x in lines].count(200), RATE)

    def test_all_requests_of_the_connection_are_of_that_client(self):
        address = next(addresses)
        kept = REQUEST.replace(b"Connection: close\r\n", b"")
        answer = self.send(v1(address) + kept * RATE + REQUEST)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), RATE)
        self.assertEqual(answer.count(b"HTTP/1.1 429"), 1)


class Closes(Case):
    """Without a word, at once, and counted."""

    def closed(self, *pieces):
        before = statistic("proxy_bad")
        began = time.monotonic()
        self.assertEqual(self.send(*pieces), b"")
        self.assertLess(time.monotonic() - began, 4, pieces)
        self.assertEqual(statistic("proxy_bad"), before + 1, pieces)

    def test_no_header(self):
        self.closed(REQUEST)
        self.closed(Raw.UPGRADE)

    def test_tls(self):
        self.closed(bytes.fromhex("16030100f8010000f40303") + bytes(200))

    def test_garbage(self):
        for data in (b"\0", b"PROXz", b"PROXY ", b"PROXY TCP5 1.2.3.4 ",
                     b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
                     b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
                     b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n",
                     b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
                     b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
                     b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
                     b"PROXY TCP4 ::1 ::2 1 2\r\n",
                     b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
                     b"PROXY TCP4 " + b"1" * 200,
                     b"PROXY UNKNOWN " + b"x" * 93 + b"\r\n",
                     b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"):
            with self.subTest(data=data):
                self.closed(data + b"\r\n\r\n")

    def test_version_2_that_is_none(self):
        a = "192.0.2.1"
        for data in (v2(a, version=1), v2(a, version=3), v2(a, command=2),
                     v2(a, command=15), SIGNATURE[:-1] + b"x",
                     # shorter than its addresses
                     SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
                     SIGNATURE + b"\x21\x21\0\x23" + bytes(35),
                     # details that are not whole
                     v2(a, tlvs=b"\1"), v2(a, tlvs=b"\1\0\5abcd"),
                     # more than any proxy sends
                     SIGNATURE + b"\x21\x11\xff\xff"):
            with self.subTest(data=data):
                self.closed(data + REQUEST)

    def test_two_headers(self):
        # the second one is no request
        answer = self.send(v1("192.0.2.250") * 2 + REQUEST)
        self.assertTrue(answer == b"" or
                        answer.startswith(b"HTTP/1.1 400"), answer)

    def test_a_header_that_does_not_end(self):
        for data in (b"PROXY TCP4 192.", v2("192.0.2.1", cut=4),
                     SIGNATURE[:5]):
            r = Raw(proxied, 90)
            r.send(data)
            r.s.shutdown(socket.SHUT_WR)
            self.assertEqual(r.read_all(), b"")
            r.close()

    def test_a_header_where_none_is_expected(self):
        for header in (v1("192.0.2.1"), v2("192.0.2.1")):
            r = Raw(daemon.port)
            r.send(header + REQUEST)
            self.assertRegex(r.read_all(), rb"^HTTP/1.1 4(00|29) ")
            r.close()


class Lives(Case):
    def test_the_daemon_is_as_it_was(self):
        self.assertEqual(sorted(map(str, daemon.children())),
                         ["0", "1", "scribe"])
        self.assertEqual(statistic("worker_restarts"), 0)


if __name__ == "__main__":
    unittest.main()
