"""edges_ws.py - cases 59 to 76: WebSocket frames.

test_framing.py has the long form; here each claim of the list is tested
where an Engine.IO session is behind the frames, or on the plain echo.
"""
import struct
import time

from raw import (Ended, Ws, check_age, frame, request, sleep_until,
                 upgrade_request)
from suite import Registry

edge = Registry()


def cut_with(w, code):
    got, _ = w.closed()
    assert got == code, got


def close_frame(code, reason=b""):
    return frame(struct.pack(">H", code) + reason, opcode=8)


@edge("eio-echo")
def E059_frames_behind_the_head(t):
    w = t.websocket(coalesced=frame("4first") + frame("4second"))
    if t.deviates("D14"):
        assert [w.recv(), w.recv()] == ["4first", "4second"]
    w.text("4third")
    assert w.recv() == "4third"


@edge("eio-echo")
def E059_part_of_a_frame_behind_the_head(t):
    data = frame("4first")
    w = t.websocket(coalesced=data[:5])
    w.send(data[5:])
    assert w.recv() == "4first"


@edge("ws-echo")
def E059_on_the_plain_echo(t):
    w = Ws(t.port)
    w.send(upgrade_request(t.path) + frame("a") + frame("b"))
    w.upgraded()
    assert [w.recv(), w.recv()] == ["a", "b"]


@edge("eio-echo")
def E060_header_split_at_every_byte(t):
    w = t.websocket()
    for n in (1, 125, 126, 300, 65535, 65536):
        text = "4" + "y" * (n - 1)
        data = frame(text)
        w.send_slowly(data[:15])
        w.send(data[15:])
        assert w.recv() == text, n


@edge("ws-echo")
def E061_ping_between_fragments(t):
    w = t.echo()
    w.text("a", fin=False)
    w.send(frame("hi", opcode=9))
    f = w.frame()
    assert (f.opcode, f.data) == (10, b"hi"), f
    w.send(frame("unasked", opcode=10))
    w.text("b", opcode=0)
    assert w.recv() == "ab"


@edge("eio-echo")
def E062_empty_frames_and_fragments(t):
    w = t.websocket()
    w.text("", fin=False)
    w.text("", opcode=0, fin=False)
    w.text("4a", opcode=0, fin=False)
    w.text("", opcode=0)
    assert w.recv() == "4a"
    w.binary(b"")
    assert w.recv() == b""
    w.send(frame("", opcode=9))
    f = w.frame()
    assert (f.opcode, f.data) == (10, b""), f


@edge("ws-echo")
def E062_empty_messages_on_the_plain_echo(t):
    w = t.echo()
    w.text("")
    assert w.recv() == ""
    w.binary(b"")
    assert w.recv() == b""


@edge("eio-echo")
def E063_lengths(t):
    w = t.websocket()
    for n in (0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537):
        w.binary(b"z" * n)
        assert w.recv() == b"z" * n, n
        w.text("4" + "z" * n)
        assert w.recv() == "4" + "z" * n, n


@edge("ws-echo")
def E064_non_minimal_lengths(t):
    said = []
    for n, width in ((5, 16), (125, 16), (5, 64), (126, 64), (65535, 64)):
        w = t.echo()
        w.text("x" * n, width=width)
        f = w.frame()
        if f.opcode == 8:
            assert struct.unpack(">H", f.data[:2])[0] == 1002, f
        else:
            assert f.opcode == 1 and f.data == b"x" * n, f
        said.append(f.opcode == 8)
    assert len(set(said)) == 1, said
    t.note("refused" if said[0] else "accepted")


@edge("ws-echo")
def E065_utf8_across_a_fragment_border(t):
    w = t.echo()
    text = "\u00e9\u20ac\U0001f600".encode()
    for i in range(1, len(text)):
        w.text(text[:i], fin=False)
        w.text(text[i:], opcode=0)
        assert w.recv().encode() == text


@edge("ws-echo")
def E065_invalid_utf8_across_a_fragment_border(t):
    for first, second in ((b"\xc3", b"\x28"), (b"\xe2\x82", b"x"),
                          (b"\xf0\x9f", b""), (b"a", b"\xa9"),
                          (b"\xed", b"\xa0\x80"), (b"\xf4", b"\x90\x80\x80")):
        w = t.echo()
        w.text(first, fin=False)
        w.text(second, opcode=0)
        cut_with(w, 1007)


@edge("eio-echo")
def E065_invalid_utf8_in_a_frame(t):
    for bad in (b"4\xff", b"4\xc3\x28", b"4\xed\xa0\x80",
                b"4\xf4\x90\x80\x80", b"4\xc0\x80", b"4\xe0\x80\x80",
                b"4\xf0\x80\x80\x80", b"4\xc3"):
        w = t.websocket()
        w.text(bad)
        cut_with(w, 1007)


@edge("eio-echo")
def E066_close_with_one_byte(t):
    w = t.websocket()
    w.send(frame(b"\x03", opcode=8))
    cut_with(w, 1002)


@edge("ws-echo")
def E067_bad_close_codes(t):
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999,
                 5000, 65535):
        w = t.echo()
        w.send(close_frame(code))
        cut_with(w, 1002)


@edge("ws-echo")
def E067_good_close_codes(t):
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012,
                 1013, 1014, 3000, 3999, 4000, 4999):
        w = t.echo()
        w.send(close_frame(code, b"bye"))
        cut_with(w, code)


@edge("ws-echo")
def E067_close_without_a_code(t):
    w = t.echo()
    w.send(frame(b"", opcode=8))
    cut_with(w, 1005)


@edge("ws-echo")
def E067_reason_is_utf8(t):
    w = t.echo()
    w.send(close_frame(1000, b"\xff"))
    cut_with(w, 1007)


@edge("eio-echo")
def E068_data_behind_the_close_is_ignored(t):
    w = t.websocket()
    w.send(close_frame(1000) + frame("4x") + frame("y", opcode=9))
    cut_with(w, 1000)


@edge("eio-echo")
def E069_unmasked(t):
    for op in (1, 2, 8, 9, 10):
        w = t.websocket()
        w.send(frame(b"\x03\xe8", opcode=op, mask=None))
        cut_with(w, 1002)


@edge("eio-echo")
def E070_rsv_bits(t):
    for rsv in (1, 2, 3, 4, 5, 6, 7):
        w = t.websocket()
        w.text("4x", rsv=rsv)
        cut_with(w, 1002)


@edge("eio-echo", deflate=True)
def E070_rsv1_when_deflate_was_not_agreed(t):
    w = t.websocket()
    w.text("4x", rsv=4)
    cut_with(w, 1002)


@edge("eio-echo", max_payload=5000)
def E071_declared_length_is_enough(t):
    for n in (5001, 65535, 65536, 1 << 31, 1 << 32, (1 << 53) - 1, 1 << 53,
              (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        w = t.websocket()
        w.send(frame("", length=n, width=16 if n < 65536 else 64))
        cut_with(w, 1009)


@edge("eio-echo", max_payload=5000)
def E071_the_largest_is_taken(t):
    w = t.websocket()
    w.text("4" + "x" * 4999)
    assert w.recv() == "4" + "x" * 4999
    w.binary(b"x" * 5000)
    assert w.recv() == b"x" * 5000
    w.binary(b"x" * 5001)
    cut_with(w, 1009)


@edge("eio-echo", max_payload=5000)
def E072_sum_of_fragments(t):
    w = t.websocket()
    w.text("4" + "x" * 1999, fin=False)
    w.text("x" * 2000, opcode=0, fin=False)
    w.text("x" * 1000, opcode=0, fin=False)
    # the header of the next is one byte too many
    w.send(frame("", opcode=0, length=1, width=7))
    cut_with(w, 1009)


@edge("eio-echo", max_payload=5000)
def E072_sum_of_fragments_at_the_limit(t):
    w = t.websocket()
    w.text("4" + "x" * 2499, fin=False)
    w.text("x" * 2500, opcode=0)
    assert w.recv() == "4" + "x" * 4999


def flood(w, first, each, n):
    """So many more fragments; the server may cut before the last."""
    try:
        w.send(first)
        for _ in range(n // 128):
            w.send(each * 128)
        w.send(each * (n % 128))
    except OSError:
        pass


@edge("eio-echo")
def E073_many_tiny_fragments(t):
    w = t.websocket()
    flood(w, frame("4", fin=False), frame("x", opcode=0, fin=False), 17000)
    cut_with(w, 1008)


@edge("eio-echo")
def E073_many_empty_fragments(t):
    w = t.websocket()
    flood(w, frame("4", fin=False), frame("", opcode=0, fin=False), 17000)
    cut_with(w, 1008)


@edge("eio-echo")
def E073_16384_fragments_are_fine(t):
    w = t.websocket()
    began = time.monotonic()
    flood(w, frame("4", fin=False), frame("x", opcode=0, fin=False), 16382)
    w.text("", opcode=0)
    assert w.recv() == "4" + "x" * 16382
    t.note("%.0f ms" % ((time.monotonic() - began) * 1000))


@edge("eio-echo")
def E074_firefox(t):
    w = Ws(t.port)
    w.send(upgrade_request(
        t.target("EIO=4&transport=websocket"), drop=["Connection", "Upgrade"],
        headers=["connection: keep-alive, Upgrade", "upgrade: websocket"]))
    w.upgraded()
    w.open_packet()


@edge("eio-echo")
def E074_spellings(t):
    for connection, upgrade in (("upgrade", "WebSocket"),
                                ("UPGRADE", "WEBSOCKET"),
                                ("keep-alive,upgrade", "websocket"),
                                ("Upgrade, keep-alive", "websocket")):
        w = Ws(t.port)
        w.send(upgrade_request(
            t.target("EIO=4&transport=websocket"),
            drop=["Connection", "Upgrade"],
            headers=["Connection: " + connection, "Upgrade: " + upgrade]))
        w.upgraded()
        w.open_packet()


@edge("eio-echo")
def E074_keys(t):
    for key in ("", "x", "AAAA", "dGhlIHNhbXBsZSBub25jZQ==AAAA",
                "dGhlIHNhbXBsZSBub25jZQ=*", "dGhlIHNhbXBsZSBub25jZQ"):
        t.refused_upgrade("EIO=4&transport=websocket", key=key,
                          text="Missing or invalid Sec-WebSocket-Key header")
    t.refused_upgrade("EIO=4&transport=websocket",
                      drop=["Sec-WebSocket-Key"],
                      text="Missing or invalid Sec-WebSocket-Key header")


@edge("eio-echo")
def E074_versions(t):
    for version in ("7", "12", "14", "x", ""):
        r = t.refused_upgrade(
            "EIO=4&transport=websocket", drop=["Sec-WebSocket-Version"],
            headers=["Sec-WebSocket-Version: " + version])
        assert r.get("sec-websocket-version") == "13, 8", r
        assert r.get("content-type") == "text/html", r
    w = Ws(t.port)
    w.send(upgrade_request(t.target("EIO=4&transport=websocket"),
                           drop=["Sec-WebSocket-Version"],
                           headers=["Sec-WebSocket-Version: 8"]))
    w.upgraded()


@edge("eio-echo")
def E074_first_subprotocol_is_echoed(t):
    w = t.websocket(headers=["Sec-WebSocket-Protocol: one, two"])
    assert w.answer.get("sec-websocket-protocol") == "one", w.answer
    assert t.websocket().answer.get("sec-websocket-protocol") is None


@edge("eio-echo")
def E074_extensions_are_not_taken_by_default(t):
    w = t.websocket(headers=["Sec-WebSocket-Extensions: permessage-deflate; "
                             "client_max_window_bits"])
    assert w.answer.get("sec-websocket-extensions") is None, w.answer


@edge("eio-echo")
def E075_missing_host(t):
    r = t.tell(request("GET", t.target(), host=None))
    assert r.status == 400, r
    c = t.conn()
    c.send(upgrade_request(t.target("EIO=4&transport=websocket"),
                           drop=["Host"]))
    r = c.response()
    assert r.status == (400 if t.deviates("D15") else 101), r
    c.close()


@edge("eio-echo")
def E075_http_1_0_polling(t):
    """Without Host, and without keep-alive unless asked for."""
    c = t.conn()
    c.send(request("GET", t.target(), version="1.0", host=None))
    r = c.response()
    assert r.status == 200 and r.body[:1] == b"0", r
    assert (r.get("connection") or "close").lower() == "close", r
    assert c.rest() == b""


@edge("eio-echo")
def E075_http_1_0_upgrade(t):
    c = Ws(t.port)
    c.send(upgrade_request(t.target("EIO=4&transport=websocket"),
                           version="1.0"))
    r = c.response()
    assert r.status == (400 if t.deviates("D15") else 101), r
    c.close()


@edge("eio-echo")
def E075_other_versions(t):
    """Answered or cut, not waited for."""
    for version in ("0.9", "2.0", "1.2", "9.9", "x"):
        c = t.conn()
        c.send(request("GET", t.target(), version=version))
        try:
            r = c.response()
            assert r.status in (200, 400, 505), (version, r)
        except Ended:
            pass  # cut without a word
        c.close()


@edge("eio-echo", seconds=9, ping_interval=3000, ping_timeout=3000)
def E076_only_the_heartbeat_sees_a_dead_peer(t):
    """Nobody reads and nobody answers: as with a peer that is gone."""
    w = t.websocket()
    sleep_until(w, 5)
    v = t.websocket()
    assert w.recv() == "2"
    code, _ = w.closed()
    check_age(w, 5.9, 30)
    assert v.recv() == "2"
    t.note("closed with %d" % code)
