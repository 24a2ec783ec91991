"""vulns_frames.py - known vulnerabilities of WebSocket implementations."""
import os
import struct
import time
import zlib

from raw import Conn, Ws, frame, request
from vulns import (MB, Timer, cut, joined, memory, push, told, vuln)

COMPRESSION = {"engine.compression": "on"}
OFFER = ["Sec-WebSocket-Extensions: permessage-deflate; "
         "client_max_window_bits"]


@vuln("CVE-2026-48779", growth=16 * MB, seconds=5)
def fragments_of_one_byte(t):
    """16,000 of them on each of 50 connections."""
    before = memory(t.server)
    data = frame("4", fin=False) + frame("x", opcode=0, fin=False) * 16000
    held = []
    for _ in range(50):
        w = t.websocket()
        w.send(data)
        held.append(w)
    for w in held:
        w.settle()
    grown = (memory(t.server) - before) / len(held)
    t.note("%.0f kB each" % (grown / 1000))
    assert grown < 200000, grown
    for w in held:
        w.close()


@vuln("CVE-2026-48779", seconds=5)
def a_message_in_tiny_segments(t):
    held = []
    head = frame("4" + "x" * 99999)
    for _ in range(20):
        w = t.websocket()
        w.send(head[:14])
        held.append(w)
    before = memory(t.server)
    for i in range(300):
        for w in held:
            w.send(head[14 + i:15 + i])
    grown = (memory(t.server) - before) / len(held)
    t.note("%.1f kB each" % (grown / 1000))
    assert grown < 50000, grown
    for w in held:
        w.close()


@vuln("CVE-2026-62389")
def fragments_without_end(t):
    for data in ("x", ""):
        for first in (frame("4", fin=False), frame("", fin=False),
                      frame(b"", opcode=2, fin=False)):
            w = t.websocket()
            push(w, first)
            push(w, frame(data, opcode=0, fin=False) * 1000, 20)
            cut(w, (1008,))


@vuln("CVE-2026-45736")
def close_frames_hold_nothing_else(t):
    """A reason of ours is text that was meant, to its last byte."""
    seen = set()
    for data in ("9", "4x", "47", "2", "", "451-x", '42["connect"]', "44{}",
                 "40[]", "41{}", '42/a,["x"]', "4" + "x" * 10, '42[{}]'):
        for w in (t.websocket(), joined(t)):
            w.text(data)
            while True:
                f = w.frame()
                if f.opcode == 8:
                    break
                assert f.opcode == 1, f
            if f.data:
                reason = f.data[2:].decode("ascii")
                assert reason.isprintable(), reason
                assert struct.unpack(">H", f.data[:2])[0] in (
                    1002, 1003, 1007, 1008, 1009), f
                seen.add(reason)
            w.close()
    for payload in (b"", struct.pack(">H", 1000),
                    struct.pack(">H", 4999) + b"bye"):
        w = t.websocket()
        w.send(frame(payload, opcode=8))
        f = w.frame()
        assert f.opcode == 8 and f.data in (b"", payload[:2], payload), f
        w.close()
    t.note("%d reasons" % len(seen))


@vuln("CVE-2016-10542")
def message_of_256_mb(t):
    for n in (256 * MB, 1 << 32, 1 << 62):
        for op in (1, 2):
            w = t.websocket()
            w.send(frame("", opcode=op, length=n))
            push(w, b"x" * 65536, 16)
            cut(w, (1009,))


@vuln("CVE-2016-10518")
def pings_are_copied_exactly(t):
    w = t.websocket()
    for n in list(range(0, 126)):
        data = os.urandom(n)
        w.send(frame(data, opcode=9))
        f = w.frame()
        assert (f.opcode, f.data) == (10, data), f
    # a length that is not true: nothing comes before the rest is there
    w.send(frame(b"abc", opcode=9, length=125))
    assert w.silent(0.3)
    w.close()


@vuln("ws-8.23", growth=4 * MB, seconds=9)
def ping_flood(t):
    w = Ws(t.port, seconds=2, rcvbuf=4096)
    w.upgrade(t.target("EIO=4&transport=websocket"))
    data = frame("x" * 125, opcode=9) * 1000
    before = memory(t.server)
    end = time.monotonic() + 3
    sent = 0
    try:
        while time.monotonic() < end:
            w.send(data)
            sent += 1000
    except OSError:
        pass
    grown = memory(t.server) - before
    t.note("%d pings, %d kB" % (sent, grown / 1000))
    assert grown < 4 * MB, grown
    w.close()


def bomb(size):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = b"4" * MB
    data = b"".join(c.compress(chunk) for _ in range(size // MB))
    return (data + c.flush(zlib.Z_SYNC_FLUSH))[:-4]


@vuln("CVE-2016-10544", seconds=3, **COMPRESSION)
def bomb_of_256_mb(t):
    data = bomb(256 * MB)
    with Timer(30) as timer:
        for _ in range(10):
            w = t.websocket(headers=OFFER)
            assert w.answer.get("sec-websocket-extensions")
            push(w, frame(data, opcode=2, rsv=4))
            cut(w, (1009,))
    t.note("%.0f ms each" % (timer.took * 100))


@vuln("CVE-2018-1000518", seconds=3, **COMPRESSION)
def bomb_in_fragments(t):
    data = bomb(64 * MB)
    for size in (1, 100, 10000):
        w = t.websocket(headers=OFFER)
        parts = [data[i:i + size] for i in range(0, len(data), size)]
        push(w, frame(parts[0], rsv=4, fin=False))
        push(w, b"".join(frame(p, opcode=0, fin=False) for p in parts[1:]))
        push(w, frame("", opcode=0))
        cut(w, (1008, 1009))


@vuln("CVE-2021-21419", seconds=5, **COMPRESSION)
def small_messages_that_inflate_to_the_limit(t):
    """A hundred of just under a megabyte each: time, not memory."""
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    # a binary message that nobody asked for ends it: a pong does not
    data = c.compress(b"3" + b"x" * 999000) + c.flush(zlib.Z_SYNC_FLUSH)
    w = t.websocket(headers=OFFER)
    with Timer(20) as timer:
        w.send(frame(data[:-4], rsv=4) * 100)
        w.settle()
    t.note("%.1f ms each" % (timer.took * 10))


@vuln("CVE-2026-50161")
def lengths_that_overflow(t):
    for n in ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 14,
              (1 << 63) + 100, 0xffffffff, 0x100000000, 0x7fffffff):
        for op in (0, 1, 2, 9):
            w = t.websocket()
            if op == 0:
                w.send(frame("4" + "x" * 100, fin=False))
            w.send(frame("", opcode=op, length=n, width=64) + b"y" * 1000)
            cut(w, (1002, 1009))


@vuln("CVE-2026-50161")
def body_lengths_that_overflow(t):
    p = t.polling()
    for n in ("18446744073709551615", "18446744073709551616",
              "9223372036854775808", "-1", "+3", "0x10", "3 ", "1e3", "3,3",
              "99999999999999999999999999999", ""):
        told(t, request("POST", p.target(), ["Content-Length: " + n]) +
             b"4xy", (200, 400, 413))
    for size in ("ffffffffffffffff", "10000000000000000", "-1", "0x3",
                 "fffffffffffffffd", "g", ""):
        p = t.polling()
        c = Conn(t.port)
        c.send(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
               size.encode() + b"\r\n4xy\r\n0\r\n\r\n")
        try:
            r = c.response("POST")
            assert r.status in (400, 413), (size, r)
        except AssertionError as e:
            assert "ended" in str(e), e
        c.close()
    # one that could be: it is refused, or waited for and given up
    p = t.polling()
    c = Conn(t.port)
    c.send(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
           b"7fffffffffffffff\r\n4xy\r\n0\r\n\r\n")
    time.sleep(0.2)
    c.close()
