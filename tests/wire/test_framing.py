#!/usr/bin/python3
"""test_framing.py - WebSocket frames against the plain echo, with figures.

Against build/chatd-conformance (CONFORMANCE=path); --reference: against the
package ws, from which the expectations come.
"""
import os
import struct
import sys
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from raw import Ws, frame, upgrade_request  # noqa: E402
from suite import Registry, main  # noqa: E402

framing = Registry()
MB = 1 << 20


def cut_with(w, code):
    got, _ = w.closed()
    assert got == code, got


def close_frame(code, reason=b""):
    return frame(struct.pack(">H", code) + reason, opcode=8)


def same(w, data):
    got = w.recv()
    assert got == data, "%r..., %d for %d" % (got[:50], len(got), len(data))


def resident(t):
    """Bytes of memory that the server's processes have touched."""
    total = 0
    for pid in t.server.pids():
        try:
            with open("/proc/%d/statm" % pid) as f:
                total += int(f.read().split()[1]) * 4096
        except OSError:
            pass
    return total


class Clock:
    def __init__(self):
        self.began = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.began


# --- messages

@framing("ws-echo", own=True, seconds=9)
def messages_of_100_bytes(t):
    """On one connection, 200 of them under way."""
    w = t.echo()
    n, batch = 50000, 200
    data = frame("x" * 100) * batch
    clock = Clock()
    w.send(data)
    for _ in range(n // batch - 1):
        w.send(data)
        w.need(102 * batch)
    w.need(102 * batch)
    t.note("%.0f messages/s" % (n / clock.seconds()))


@framing("ws-echo", own=True, seconds=9)
def round_trips(t):
    w = t.echo()
    n = 5000
    data = frame("x" * 100)
    clock = Clock()
    for _ in range(n):
        w.send(data)
        w.need(102)
    t.note("%.0f round trips/s" % (n / clock.seconds()))


@framing("ws-echo", own=True, seconds=9, max_payload=32 * MB)
def message_of_16_mb(t):
    w = t.echo()
    data = os.urandom(16 * MB)
    f = frame(data, opcode=2)
    clock = Clock()
    w.send(f)
    same(w, data)
    t.note("%.0f MB/s both ways" % (16 / clock.seconds()))


@framing("ws-echo")
def lengths(t):
    w = t.echo()
    sizes = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536,
             65537, 131072, 999999, 1000000]
    for n in sizes:
        data = os.urandom(n)
        w.binary(data)
        same(w, data)
        w.text("y" * n)
        same(w, "y" * n)
    t.note("%d lengths" % len(sizes))


@framing("ws-echo")
def lengths_that_are_not_minimal(t):
    """Accepted or 1002, but always the same."""
    said = set()
    for n, width in ((0, 16), (5, 16), (125, 16), (0, 64), (5, 64),
                     (126, 64), (65535, 64)):
        w = t.echo()
        w.text("x" * n, width=width)
        f = w.frame()
        if f.opcode == 8:
            assert struct.unpack(">H", f.data[:2])[0] == 1002, f
        else:
            assert f.data == b"x" * n, f
        said.add(f.opcode)
        w.close()
    assert len(said) == 1, said
    t.note("1002" if said == {8} else "accepted")


@framing("ws-echo")
def masks(t):
    w = t.echo()
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\0\0\0",
                 b"\0\0\0\1", os.urandom(4)):
        for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 1000):
            data = os.urandom(n)
            w.binary(data, mask=mask)
            same(w, data)


@framing("ws-echo")
def unmasked_frames(t):
    for op in (0, 1, 2, 8, 9, 10):
        for data in (b"", b"\x03\xe8"):
            w = t.echo()
            w.send(frame(data, opcode=op, mask=None))
            cut_with(w, 1002)


@framing("ws-echo")
def reserved_bits(t):
    for rsv in range(1, 8):
        for op in (1, 2, 8, 9, 10):
            w = t.echo()
            w.send(frame(b"\x03\xe8", opcode=op, rsv=rsv))
            cut_with(w, 1002)


@framing("ws-echo")
def reserved_opcodes(t):
    for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        w = t.echo()
        w.send(frame("x", opcode=op))
        cut_with(w, 1002)


# --- the borders of what the network delivers

@framing("ws-echo")
def header_split_at_every_byte(t):
    w = t.echo()
    for n in (0, 5, 125, 126, 200, 65535, 65536):
        f = frame("z" * n)
        for i in range(1, min(len(f), 16)):
            w.send(f[:i])
            time.sleep(0.002)
            w.send(f[i:])
            same(w, "z" * n)


@framing("ws-echo")
def every_byte_alone(t):
    w = t.echo()
    w.send_slowly(frame("abc", fin=False) + frame("p", opcode=9) +
                  frame("d\u20ac", opcode=0) + frame(b"\0\xff", opcode=2) +
                  frame("x" * 130))
    f = w.frame()
    assert (f.opcode, f.data) == (10, b"p"), f
    same(w, "abcd\u20ac")
    same(w, b"\0\xff")
    same(w, "x" * 130)


@framing("ws-echo")
def many_frames_in_a_segment(t):
    w = t.echo()
    w.send(b"".join(frame("m%d" % i) for i in range(5000)))
    for i in range(5000):
        same(w, "m%d" % i)


@framing("ws-echo")
def frames_behind_the_head(t):
    w = Ws(t.port)
    w.send(upgrade_request(t.path) + frame("a") + frame("b", fin=False) +
           frame("c", opcode=0)[:3])
    w.upgraded()
    w.send(frame("c", opcode=0)[3:])
    same(w, "a")
    same(w, "bc")


# --- fragments

@framing("ws-echo")
def fragments_of_a_text(t):
    w = t.echo()
    text = ("Gr\u00fc\u00dfe \u20ac \U0001f600 " * 40).encode()
    for size in (1, 2, 3, 7, 100, 1000):
        parts = [text[i:i + size] for i in range(0, len(text), size)]
        for i, p in enumerate(parts):
            w.text(p, opcode=0 if i else 1, fin=i == len(parts) - 1)
        same(w, text.decode())


@framing("ws-echo")
def fragments_of_bytes(t):
    w = t.echo()
    data = os.urandom(100000)
    for size in (100, 125, 126, 65535, 65536):
        parts = [data[i:i + size] for i in range(0, len(data), size)]
        for i, p in enumerate(parts):
            w.binary(p, fin=i == len(parts) - 1) if i == 0 else \
                w.text(p, opcode=0, fin=i == len(parts) - 1)
        same(w, data)


@framing("ws-echo")
def empty_fragments(t):
    w = t.echo()
    for parts in (["", ""], ["", "a"], ["a", ""], ["", "a", "", "b", ""],
                  [""] * 100):
        for i, p in enumerate(parts):
            w.text(p, opcode=0 if i else 1, fin=i == len(parts) - 1)
        same(w, "".join(parts))


@framing("ws-echo", own=True)
def fragments_16384(t):
    w = t.echo()
    f = frame("x", opcode=0, fin=False)
    clock = Clock()
    w.send(frame("x", fin=False) + f * 16382 + frame("x", opcode=0))
    same(w, "x" * 16384)
    t.note("%.1f ms" % (clock.seconds() * 1000))


@framing("ws-echo")
def fragments_16385(t):
    for data in ("x", ""):
        w = t.echo()
        f = frame(data, opcode=0, fin=False)
        try:
            w.send(frame("x", fin=False) + f * 16384)
        except OSError:
            pass
        cut_with(w, 1008)


@framing("ws-echo", own=True, seconds=5)
def fragments_without_end_cost_nothing(t):
    """16,383 of one byte each on 100 connections, and then silence."""
    before = resident(t)
    f = frame("x", fin=False) + frame("x", opcode=0, fin=False) * 16382
    all_of_them = []
    for _ in range(100):
        w = t.echo()
        w.send(f)
        all_of_them.append(w)
    for w in all_of_them:
        w.settle()
    grown = (resident(t) - before) / 100
    t.note("%.0f kB a connection" % (grown / 1000))
    if not t.reference:
        assert grown < 100000, grown


@framing("ws-echo")
def lone_continuation(t):
    for fin in (False, True):
        w = t.echo()
        w.text("x", opcode=0, fin=fin)
        cut_with(w, 1002)
    w = t.echo()
    w.text("a", fin=False)
    w.text("b", opcode=0)
    same(w, "ab")
    w.text("c", opcode=0)
    cut_with(w, 1002)


@framing("ws-echo")
def message_inside_a_message(t):
    for op in (1, 2):
        w = t.echo()
        w.text("a", fin=False)
        w.text("b", opcode=op)
        cut_with(w, 1002)


# --- control frames

@framing("ws-echo")
def control_between_fragments(t):
    w = t.echo()
    n = 1000
    # the reference cuts who has 60 pongs pending
    batch = 50 if t.reference else n
    w.send(frame("x", fin=False))
    for i in range(0, n, batch):
        w.send(b"".join(
            frame("p%d" % j, opcode=9) + frame("q", opcode=10) +
            frame("x", opcode=0, fin=j == n - 1)
            for j in range(i, i + batch)))
        for j in range(i, i + batch):
            f = w.frame()
            assert (f.opcode, f.data) == (10, b"p%d" % j), (j, f)
    same(w, "x" * (n + 1))


@framing("ws-echo")
def close_inside_a_message(t):
    w = t.echo()
    w.text("a", fin=False)
    w.send(close_frame(1000))
    cut_with(w, 1000)


@framing("ws-echo")
def control_frames_in_fragments(t):
    for op in (8, 9, 10):
        w = t.echo()
        w.send(frame(b"\x03\xe8", opcode=op, fin=False))
        cut_with(w, 1002)


@framing("ws-echo")
def control_frames_that_are_too_long(t):
    for op in (8, 9, 10):
        for width in (16, 64):
            w = t.echo()
            w.send(frame(b"\x03\xe8" + b"x" * 124, opcode=op, width=width))
            cut_with(w, 1002)
    w = t.echo()
    w.send(frame(b"x" * 125, opcode=9))
    f = w.frame()
    assert (f.opcode, f.data) == (10, b"x" * 125), f


@framing("ws-echo")
def pings_are_answered_in_order(t):
    w = t.echo()
    for i in range(200):
        w.send(frame("%d" % i, opcode=9))
        f = w.frame()
        assert (f.opcode, f.data) == (10, b"%d" % i), f
    w.send(frame("", opcode=9))
    f = w.frame()
    assert (f.opcode, f.data) == (10, b""), f


@framing("ws-echo")
def pongs_are_ignored(t):
    w = t.echo()
    w.send(frame("unasked", opcode=10) * 10000)
    w.text("x")
    same(w, "x")


@framing("ws-echo", own=True, seconds=9)
def ping_flood(t):
    """Pings that nobody reads the answers of: the server keeps few."""
    before = resident(t)
    w = Ws(t.port, seconds=2, rcvbuf=4096)
    w.upgrade(t.path)
    ping = frame("x" * 125, opcode=9) * 1000
    sent = 0
    clock = Clock()
    try:
        while clock.seconds() < 4 and sent < 400000:
            w.send(ping)
            sent += 1000
    except OSError:
        pass
    grown = resident(t) - before
    t.note("%d pings sent, %d kB more" % (sent, grown / 1000))
    if not t.reference:
        assert grown < 8 * MB, grown
    # others do not notice
    v = t.echo()
    v.text("x")
    same(v, "x")
    w.close()


@framing("ws-echo", own=True, seconds=5)
def ping_flood_that_is_read(t):
    """Then every one is answered."""
    w = t.echo()
    n, batch = 50000, 500
    ping = frame("x" * 10, opcode=9)
    clock = Clock()
    if t.reference:
        batch = 50  # it keeps 60 at most
    for _ in range(n // batch):
        w.send(ping * batch)
        w.need(12 * batch)
    t.note("%.0f pongs/s" % (n / clock.seconds()))


# --- close

def valid_code(code):
    return (1000 <= code <= 1003 or 1007 <= code <= 1014 or
            3000 <= code <= 4999)


@framing("ws-echo", seconds=30)
def close_codes_that_are_invalid(t):
    codes = [c for c in list(range(0, 3000, 7)) + list(range(990, 1101)) +
             [2998, 2999, 5000, 5001, 9999, 32768, 65534, 65535]
             if not valid_code(c)]
    for code in codes:
        w = t.echo()
        w.send(close_frame(code))
        cut_with(w, 1002)
    t.note("%d codes" % len(codes))


@framing("ws-echo", seconds=30)
def close_codes_that_are_valid(t):
    codes = [c for c in list(range(1000, 1015)) + list(range(3000, 5000, 13))
             + [3999, 4000, 4998, 4999] if valid_code(c)]
    for code in codes:
        w = t.echo()
        w.send(close_frame(code))
        cut_with(w, code)
    t.note("%d codes" % len(codes))


@framing("ws-echo")
def close_without_a_payload(t):
    w = t.echo()
    w.send(frame(b"", opcode=8))
    cut_with(w, 1005)


@framing("ws-echo")
def close_with_one_byte(t):
    for b in (b"\0", b"\x03", b"\xff"):
        w = t.echo()
        w.send(frame(b, opcode=8))
        cut_with(w, 1002)


@framing("ws-echo")
def close_reasons(t):
    for reason in (b"", b"x" * 123, "Gr\u00fc\u00dfe".encode(),
                   b"\xf0\x9f\x98\x80" * 30):
        w = t.echo()
        w.send(close_frame(1000, reason))
        cut_with(w, 1000)
    for reason in (b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80"):
        w = t.echo()
        w.send(close_frame(1000, reason))
        cut_with(w, 1007)


@framing("ws-echo")
def nothing_counts_behind_a_close(t):
    w = t.echo()
    w.send(close_frame(1000) + frame("x") + frame("p", opcode=9) +
           close_frame(1001) + b"\xff" * 1000)
    cut_with(w, 1000)


@framing("ws-echo", seconds=3)
def the_server_ends_the_connection(t):
    """Behind both close frames, also if the client does not."""
    w = t.echo()
    clock = Clock()
    w.send(close_frame(1000))
    cut_with(w, 1000)
    assert clock.seconds() < 5, clock.seconds()
    t.note("after %.1f ms" % (clock.seconds() * 1000))


# --- UTF-8

GOOD = ["\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff",
        "\U00010000", "\U0010ffff", "\u03ba\u1f79\u03c3\u03bc\u03b5", "\0",
        "\ufffe\ufdd0"]
BAD = [b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc2", b"\xc2\x20",
       b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xe1\x80", b"\xe1\x80\x20",
       b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80",
       b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf", b"\xf1\x80\x80",
       b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
       b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff",
       b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]


@framing("ws-echo")
def utf8_that_is_valid(t):
    w = t.echo()
    for s in GOOD:
        w.text(s)
        same(w, s)
        for n in (7, 8, 15, 16, 31, 32, 33):
            w.text("a" * n + s)
            same(w, "a" * n + s)


@framing("ws-echo")
def utf8_over_every_border(t):
    w = t.echo()
    text = "".join(GOOD)
    data = text.encode()
    for i in range(1, len(data)):
        w.text(data[:i], fin=False)
        w.text(data[i:], opcode=0)
        same(w, text)
    for b in range(len(data)):
        w.text(data[b:b + 1], opcode=0 if b else 1, fin=b == len(data) - 1)
    same(w, text)
    t.note("%d borders" % len(data))


@framing("ws-echo")
def utf8_that_is_not(t):
    for bad in BAD:
        for before in (b"", b"a" * 13, b"a" * 64):
            w = t.echo()
            w.text(before + bad)
            cut_with(w, 1007)
        w = t.echo()
        w.binary(bad)
        same(w, bad)
    t.note("%d sequences" % len(BAD))


@framing("ws-echo")
def utf8_that_is_not_over_borders(t):
    for bad in BAD:
        for i in range(1, len(bad)):
            w = t.echo()
            try:
                w.text(bad[:i], fin=False)
                w.text(bad[i:], opcode=0)
            except OSError:
                pass
            cut_with(w, 1007)


# --- limits

@framing("ws-echo")
def limit_by_declared_length(t):
    """Refused before a byte of the payload is there."""
    sizes = (1000001, 1 << 24, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 53,
             (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
    for op in (1, 2):
        for n in sizes:
            w = t.echo()
            w.send(frame("", opcode=op, length=n))
            cut_with(w, 1009)
    t.note("%d lengths" % len(sizes))


@framing("ws-echo")
def limit_of_a_sum(t):
    for declared in (1, 1000, 1 << 40, (1 << 64) - 1):
        w = t.echo()
        w.send(frame("x" * 500000, fin=False) +
               frame("x" * 500000, opcode=0, fin=False) +
               frame("", opcode=0, length=declared))
        cut_with(w, 1009)


@framing("ws-echo")
def limit_is_reached(t):
    w = t.echo()
    w.send(frame("x" * 500000, fin=False) + frame("y" * 500000, opcode=0))
    same(w, "x" * 500000 + "y" * 500000)


@framing("ws-echo", own=True, seconds=5)
def messages_without_end_cost_their_bytes(t):
    """A declared megabyte of which little comes."""
    before = resident(t)
    held = []
    for _ in range(200):
        w = t.echo()
        w.send(frame("", opcode=2, length=1000000) + b"x" * 100)
        held.append(w)
    time.sleep(0.5)
    grown = (resident(t) - before) / 200
    t.note("%.1f kB a connection" % (grown / 1000))
    if not t.reference:
        assert grown < 50000, grown


# --- permessage-deflate

OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
ALONE = (OFFER + "; server_no_context_takeover; "
         "client_no_context_takeover")


class Deflating(Ws):
    """Compresses as was agreed."""

    def begin(self, t, offer=OFFER):
        self.upgrade(t.path, [offer])
        agreed = self.answer.get("sec-websocket-extensions") or ""
        self.agreed = [x.strip() for x in agreed.split(";")]
        assert self.agreed[0] == "permessage-deflate", self.agreed
        self.tell_fresh = "client_no_context_takeover" in self.agreed
        self.hear_fresh = "server_no_context_takeover" in self.agreed
        self.out = self.into = None
        return self

    def squeeze(self, data, level=9, bits=15):
        if isinstance(data, str):
            data = data.encode()
        if self.out is None or self.tell_fresh:
            self.out = zlib.compressobj(level, zlib.DEFLATED, -bits)
        data = self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\0\0\xff\xff")
        return data[:-4]

    def say(self, data, **kw):
        op = 1 if isinstance(data, str) else 2
        self.send(frame(self.squeeze(data), opcode=op, rsv=4, **kw))

    def hear(self):
        """(message, was it compressed)"""
        f = self.frame()
        assert f.opcode in (1, 2) and f.fin, f
        assert f.rsv in (0, 4), f
        data = f.data
        if f.rsv:
            if self.into is None or self.hear_fresh:
                self.into = zlib.decompressobj(-15)
            data = self.into.decompress(data + b"\0\0\xff\xff")
        return data.decode() if f.opcode == 1 else data, f.rsv == 4


def deflating(t, offer=OFFER):
    return Deflating(t.port).begin(t, offer)


def says(w, data):
    w.say(data)
    got, squeezed = w.hear()
    assert got == data, got[:100]
    return squeezed


@framing("ws-echo", deflate=True)
def deflate_is_agreed_to(t):
    w = deflating(t)
    if not t.reference:
        assert w.tell_fresh and w.hear_fresh, w.agreed
    says(w, "short")
    assert says(w, "long " * 1000)
    t.note("; ".join(w.agreed[1:]) or "no parameters")


@framing("ws-echo", deflate=True)
def deflate_from_1024_bytes(t):
    w = deflating(t, ALONE)
    assert not says(w, "x" * 1023)
    assert says(w, "x" * 1024)
    assert says(w, b"y" * 1024)


@framing("ws-echo", deflate=True)
def deflate_is_optional_a_message(t):
    w = deflating(t)
    w.text("plain")
    assert w.hear()[0] == "plain"
    says(w, "squeezed")
    w.text("plain " * 1000)
    assert w.hear()[0] == "plain " * 1000


@framing("ws-echo", deflate=True)
def deflate_without_context(t):
    """Every message of the server can be read alone."""
    w = deflating(t, ALONE)
    assert w.tell_fresh and w.hear_fresh, w.agreed
    for i in range(20):
        assert says(w, "the same text %d " % (i % 3) * 200)


@framing("ws-echo", deflate=True)
def deflate_offers(t):
    """Each is agreed to, or the connection does without."""
    for offer in ("permessage-deflate; client_max_window_bits",
                  "permessage-deflate; client_max_window_bits=15",
                  "permessage-deflate; server_no_context_takeover",
                  "permessage-deflate; server_max_window_bits=10",
                  "permessage-deflate;server_max_window_bits=\"15\"",
                  "x-webkit-deflate-frame, permessage-deflate",
                  "permessage-deflate; client_max_window_bits, "
                  "permessage-deflate"):
        w = deflating(t, "Sec-WebSocket-Extensions: " + offer)
        says(w, "hello " * 1000)


@framing("ws-echo", deflate=True)
def deflate_window_is_kept(t):
    """What the server compresses can be read with a window of 2^9."""
    w = deflating(t, OFFER + "; server_max_window_bits=9; "
                  "server_no_context_takeover")
    assert "server_max_window_bits=9" in w.agreed, w.agreed
    data = os.urandom(300) * 10
    w.say(data)
    f = w.frame()
    body = f.data
    if f.rsv:
        body = zlib.decompressobj(-9).decompress(body + b"\0\0\xff\xff")
    assert body == data


@framing("ws-echo", deflate=True)
def deflate_offers_that_are_none(t):
    """400, or the connection does without; never agreed to."""
    said = set()
    for offer in ("permessage-deflate; server_max_window_bits=7",
                  "permessage-deflate; server_max_window_bits=16",
                  "permessage-deflate; server_max_window_bits",
                  "permessage-deflate; unknown",
                  "permessage-deflate; client_max_window_bits=x",
                  "permessage-deflate; server_no_context_takeover=1",
                  "permessage-deflate; server_no_context_takeover; "
                  "server_no_context_takeover", "permessage-deflate;",
                  "constructor", "__proto__; toString=1"):
        w = Ws(t.port)
        w.send(upgrade_request(t.path, ["Sec-WebSocket-Extensions: " +
                                        offer]))
        r = w.response()
        said.add(r.status)
        assert r.status in (101, 400), (offer, r)
        if r.status == 101:
            assert r.get("sec-websocket-extensions") is None, (offer, r)
            w.text("x" * 2000)
            same(w, "x" * 2000)
        w.close()
    t.note(" ".join(map(str, sorted(said))))


@framing("ws-echo", deflate=True)
def deflate_is_not_offered(t):
    w = t.echo()
    assert w.answer.get("sec-websocket-extensions") is None
    w.text("x" * 5000)
    f = w.frame()
    assert f.rsv == 0 and len(f.data) == 5000
    w.text("x", rsv=4)
    cut_with(w, 1002)


@framing("ws-echo")
def deflate_is_off_by_default(t):
    w = Ws(t.port)
    w.upgrade(t.path, [OFFER])
    assert w.answer.get("sec-websocket-extensions") is None
    w.text("x", rsv=4)
    cut_with(w, 1002)


@framing("ws-echo", deflate=True)
def deflate_empty_messages(t):
    w = deflating(t, ALONE)
    assert not says(w, "")
    assert not says(w, b"")
    for empty in (b"\0", b"\x02\0", b"\x03\0"):
        w.send(frame(empty, rsv=4))
        assert w.hear()[0] == "", empty
    says(w, "still here")


@framing("ws-echo", deflate=True)
def deflate_in_fragments(t):
    text = "fragments " * 500
    w = deflating(t)
    data = w.squeeze(text)
    for size in (1, 2, 7, 1000):
        w.out = None
        data = w.squeeze(text) if w.tell_fresh else data
        parts = [data[i:i + size] for i in range(0, len(data), size)]
        for i, p in enumerate(parts):
            w.send(frame(p, opcode=0 if i else 1, rsv=0 if i else 4,
                         fin=i == len(parts) - 1))
            w.send(frame("p", opcode=9))
            f = w.frame()
            if i < len(parts) - 1:
                assert (f.opcode, f.data) == (10, b"p"), f
        # the last pong may come before or behind the message
        if f.opcode == 10:
            got, _ = w.hear()
        else:
            got = (zlib.decompressobj(-15).decompress(
                f.data + b"\0\0\xff\xff") if f.rsv else f.data).decode()
            w.frame()
        assert got == text
        w.close()
        w = deflating(t)


@framing("ws-echo", deflate=True)
def deflate_rsv1_where_it_may_not_be(t):
    w = deflating(t)
    data = w.squeeze("x" * 100)
    w.send(frame(data[:3], rsv=4, fin=False) +
           frame(data[3:], opcode=0, rsv=4))
    cut_with(w, 1002)
    for op in (8, 9, 10):
        w = deflating(t)
        w.send(frame(b"\x03\xe8", opcode=op, rsv=4))
        cut_with(w, 1002)
    for rsv in (1, 2, 3, 5, 6, 7):
        w = deflating(t)
        w.send(frame(data, rsv=rsv))
        cut_with(w, 1002)


@framing("ws-echo", deflate=True)
def deflate_kinds_of_blocks(t):
    """Stored, fixed and dynamic, several, and a final one."""
    text = b"".join(b"line %d of a text\n" % i for i in range(300))
    for level, strategy in ((0, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_FIXED),
                            (9, zlib.Z_HUFFMAN_ONLY), (1, zlib.Z_RLE),
                            (9, zlib.Z_DEFAULT_STRATEGY)):
        w = deflating(t)
        c = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
        data = c.compress(text) + c.flush(zlib.Z_SYNC_FLUSH)
        w.send(frame(data[:-4], rsv=4))
        assert w.hear()[0].encode() == text, (level, strategy)
    w = deflating(t)
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(c.compress(text[i:i + 100]) + c.flush(zlib.Z_SYNC_FLUSH)
                    for i in range(0, len(text), 100))
    w.send(frame(data[:-4], rsv=4))
    assert w.hear()[0].encode() == text
    w = deflating(t)
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    # RFC 7692 7.2.3.4: a block with BFINAL and an empty byte behind it
    w.send(frame(c.compress(text) + c.flush() + b"\0", rsv=4))
    assert w.hear()[0].encode() == text


@framing("ws-echo", deflate=True)
def deflate_bad_streams(t):
    """1007, or the part that could be read; never an abort."""
    said = set()
    good = zlib.compressobj(9, zlib.DEFLATED, -15)
    good = good.compress(os.urandom(500)) + good.flush(zlib.Z_SYNC_FLUSH)
    for bad in (b"\xff\xff\xff\xff", b"\x06", b"\x07\xff",
                b"\x00\x05\x00\x00\x00hello", b"\x05\xe0\xff\xff\xff",
                b"\x4b\x04\x03\x00", b"x" * 1000,
                # a distance that reaches back before the beginning
                b"\x4b\x84\x31\x00", b"\x03\x02\x00\x00"):
        w = deflating(t)
        w.send(frame(bad, opcode=2, rsv=4))
        f = w.frame()
        if f.opcode == 8:
            said.add(struct.unpack(">H", f.data[:2])[0])
        else:
            said.add("read")
        w.close()
    assert said <= {1007, 1002, "read"} and 1007 in said, said
    w = deflating(t)
    w.send(frame(good[:200], opcode=2, rsv=4))
    f = w.frame()
    assert f.opcode in (2, 8), f
    t.note(" ".join(map(str, sorted(said, key=str))))


@framing("ws-echo", deflate=True)
def deflate_text_is_utf8(t):
    w = deflating(t)
    w.send(frame(w.squeeze(b"\xff" * 100), opcode=1, rsv=4))
    cut_with(w, 1007)
    w = deflating(t)
    says(w, "\u20ac" * 2000)


def bomb(size):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = bytes(MB)
    data = b"".join(c.compress(chunk) for _ in range(size // MB))
    return (data + c.flush(zlib.Z_SYNC_FLUSH))[:-4]


@framing("ws-echo", own=True, deflate=True, seconds=9)
def deflate_bomb(t):
    """256 MB in 256 kB: the limit is tested while it grows."""
    data = bomb(256 * MB)
    deflating(t).close()
    before = resident(t)
    clock = Clock()
    for _ in range(20):
        w = deflating(t)
        w.send(frame(data, opcode=2, rsv=4))
        cut_with(w, 1009)
    grown = resident(t) - before
    t.note("%d kB each, %.1f ms each, %d kB more" % (
        len(data) / 1000, clock.seconds() * 50, grown / 1000))
    if not t.reference:
        assert grown < 8 * MB, grown


@framing("ws-echo", own=True, deflate=True, seconds=9)
def deflate_bomb_in_fragments(t):
    data = bomb(256 * MB)
    deflating(t).close()
    before = resident(t)
    for _ in range(5):
        w = deflating(t)
        try:
            for i in range(0, len(data), 1000):
                w.send(frame(data[i:i + 1000], opcode=0 if i else 2,
                             rsv=0 if i else 4, fin=i + 1000 >= len(data)))
        except OSError:
            pass
        cut_with(w, 1009)
    grown = resident(t) - before
    t.note("%d kB more" % (grown / 1000))
    if not t.reference:
        assert grown < 8 * MB, grown


@framing("ws-echo", deflate=True)
def deflate_limit(t):
    w = deflating(t)
    assert says(w, "x" * 1000000)
    w.say("x" * 1000001)
    cut_with(w, 1009)


@framing("ws-echo", own=True, deflate=True, seconds=9)
def deflate_speed(t):
    w = deflating(t)
    text = ("{\"id\":%d,\"content\":\"something that was said\"}" * 50)[:2000]
    n, batch = 5000, 20
    w.tell_fresh = True
    data = frame(w.squeeze(text), rsv=4) * batch
    if not w.hear_fresh:
        t.note("with context")
    clock = Clock()
    for _ in range(n // batch):
        w.send(data)
        for _ in range(batch):
            w.frame()
    t.note("%.0f messages of 2 kB/s" % (n / clock.seconds()))


@framing("ws-echo", own=True, deflate=True, seconds=5)
def deflate_costs_no_memory_when_idle(t):
    deflating(t).close()
    before = resident(t)
    held = []
    for _ in range(200):
        w = deflating(t)
        says(w, "something to compress " * 100)
        held.append(w)
    grown = (resident(t) - before) / 200
    t.note("%.1f kB a connection" % (grown / 1000))
    if not t.reference:
        assert grown < 50000, grown


if __name__ == "__main__":
    sys.exit(main(framing, __doc__, jobs=4))
