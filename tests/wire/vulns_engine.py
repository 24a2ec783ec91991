"""vulns_engine.py - known vulnerabilities of Engine.IO servers and of HTTP.
"""
import base64
import json
import os
import pickle
import socket
import time

from expect import error, mismatch, unknown
from raw import Conn, Ws, frame, request, upgrade_request
from vulns import (MB, Timer, descriptors, joined,
                   told, until, vuln)

WEBSOCKET = "EIO=4&transport=websocket"
PROTOTYPE = ("__proto__", "constructor", "prototype", "hasOwnProperty",
             "toString", "__defineGetter__", "valueOf")


@vuln("CVE-2026-102599")
def upgrade_with_another_revision(t):
    p = t.polling()
    for eio in ("3", None):
        w = Ws(t.port)
        w.send(upgrade_request(p.target(transport="websocket", eio=eio)) +
               frame("2probe") + frame("5") + frame("2"))
        r = w.response()
        assert r.status == 400 and r.text() == "Bad request", r
        w.close()
    p.say('40{"userId":"u","userName":"u"}')
    assert p.hear()[0].startswith('40{"sid":')


@vuln("CVE-2026-102600")
def sid_of_the_prototype(t):
    for name in PROTOTYPE:
        unknown(t.ask(query="EIO=4&transport=polling&sid=" + name))
        unknown(t.ask("POST", "EIO=4&transport=polling&sid=" + name,
                      body="4x"))
        t.refused_upgrade(WEBSOCKET + "&sid=" + name,
                          text="Session ID unknown")


@vuln("GHSA-gr94-w7qr-f4j3")
def sid_of_the_prototype_over_webtransport(t):
    """There is no WebTransport here: the nearest is to ask for it."""
    for name in PROTOTYPE:
        q = "EIO=4&transport=webtransport&sid=" + name
        error(t.ask(query=q), 0, "Transport unknown")
        t.refused_upgrade(q, text="Transport unknown")
    told(t, request("CONNECT", t.target(q)), (400, 404, 405, 501))


@vuln("CVE-2026-59725", seconds=3)
def octet_stream_many_times(t):
    t.polling()
    before = descriptors(t.server)
    with Timer(30):
        for _ in range(1000):
            p = t.polling()
            r = p.post("4x", ["Content-Type: application/octet-stream"])
            assert (r.status, r.body) == (400, b""), r
            # the answer has an end
    unknown(p.get())
    until(lambda: descriptors(t.server) <= before + 4)


@vuln("CVE-2020-36048", seconds=3)
def huge_bodies(t):
    p = t.polling()
    for size in (1000001, 100 * MB, 1 << 40):
        c = Conn(t.port)
        c.send(request("POST", p.target(), ["Content-Length: %d" % size]))
        try:
            for _ in range(20):
                c.send(b"4" + b"x" * 100000)
        except OSError:
            pass
        assert c.response("POST").status == 413
        c.close()
    c = Conn(t.port)
    c.send(request("POST", p.target(), ["Transfer-Encoding: chunked"]))
    try:
        for _ in range(200):
            c.send(b"%x\r\n%s\r\n" % (100000, b"4" * 100000))
    except OSError:
        pass
    try:
        assert c.response("POST").status == 413
    except AssertionError as e:
        # what was sent behind the answer may have reset the connection
        assert "ended" in str(e), e
    p.say('40{"userId":"u","userName":"u"}')


@vuln("CVE-2020-36048", seconds=3)
def many_small_packets(t):
    for packet in ("3", "6", "0", "5"):
        p = t.polling()
        with Timer(10) as timer:
            p.say(*[packet] * 499999)
        t.note("%.0f ms" % (timer.took * 1000))
    p = t.polling()
    with Timer(10):
        p.post("\x1e" * 999999)
    unknown(p.get())


@vuln("CVE-2023-31125")
def upgrade_with_a_strange_transport(t):
    for transport in ("", "&transport=", "&transport=x",
                      "&transport=webtransport") + tuple(
                          "&transport=" + n for n in PROTOTYPE):
        t.refused_upgrade("EIO=4" + transport, text="Transport unknown")
        p = t.polling()
        t.refused_upgrade("EIO=4&sid=" + p.sid + transport,
                          text="Transport unknown")


@vuln("CVE-2022-41940")
def reset_during_the_answer_to_an_upgrade(t):
    for target in ("/other/?" + WEBSOCKET, t.target("EIO=4&transport=x"),
                   t.target(WEBSOCKET + "&sid=none"), "/"):
        for pause in (0, 0.001, 0.01):
            for _ in range(30):
                c = Conn(t.port)
                c.send(upgrade_request(target))
                if pause:
                    time.sleep(pause)
                c.reset()


@vuln("CVE-2022-21676")
def frame_with_rsv_right_behind_the_upgrade(t):
    p = t.polling()
    for target in (t.target(WEBSOCKET), p.target(transport="websocket")):
        for rsv in (1, 2, 3, 7):
            for data in ("x", "2probe", ""):
                w = Ws(t.port)
                w.send(upgrade_request(target) + frame(data, rsv=rsv))
                w.upgraded()
                if target is t.target(WEBSOCKET):
                    w.open_packet()
                while w.frame().opcode != 8:
                    pass
                w.close()
    p.say('40{"userId":"u","userName":"u"}')


@vuln("CVE-2020-28481")
def no_origin_is_allowed_by_default(t):
    for origin in ("http://evil.example", "null", "http://localhost"):
        for r in (t.ask(headers=["Origin: " + origin]),
                  t.ask(query="EIO=4&transport=x",
                        headers=["Origin: " + origin]),
                  t.ask("OPTIONS", headers=[
                      "Origin: " + origin,
                      "Access-Control-Request-Method: POST"])):
            assert not [n for n, _ in r.fields
                        if n.startswith("access-control")], r


@vuln("CVE-2019-13611", cors_origin="http://here.example")
def websocket_of_a_foreign_origin_with_cookies(t):
    for origin in ("http://evil.example", "http://here.example.evil.example",
                   "https://here.example", "http://here.example:81", "null",
                   "http://HERE.example@evil.example"):
        c = Conn(t.port)
        c.send(upgrade_request(t.target(WEBSOCKET),
                               ["Origin: " + origin, "Cookie: io=x"]))
        r = c.response()
        assert r.status == 400 and r.text() == "Forbidden", (origin, r)
        c.close()
    t.websocket(headers=["Origin: http://here.example", "Cookie: io=x"])


@vuln("CVE-2017-16031", seconds=2)
def ids_cannot_be_guessed(t):
    """3,000 ids: all different; the bits that are not the worker's are
    one in half of them, and no two neighbours are near."""
    n = 3000
    sids = []
    c = Conn(t.port)
    for _ in range(n // 100):
        c.send(request("GET", t.target()) * 100)
        for _ in range(100):
            sids.append(json.loads(c.response().text()[1:])["sid"])
    assert len(set(sids)) == n
    raw = [base64.urlsafe_b64decode(s) for s in sids]
    assert {len(r) for r in raw} == {15}
    for bit in range(14 * 8):
        ones = sum(r[bit // 8] >> bit % 8 & 1 for r in raw)
        # 6 sigma
        assert abs(ones - n / 2) < 6 * (n / 4) ** 0.5, (bit, ones)
    near = min(bin(int.from_bytes(a[:14], "big") ^
                   int.from_bytes(b[:14], "big")).count("1")
               for a, b in zip(raw, raw[1:]))
    assert near > 15, near
    t.note("112 bits")


@vuln("uws-crash")
def websocket_transport_without_upgrade(t):
    for _ in range(20):
        error(t.ask(query=WEBSOCKET), 3, "Bad request")
        mismatch(t.ask(query=WEBSOCKET + "&sid=" + t.polling().sid))
        for headers in (["Upgrade: websocket"], ["Connection: Upgrade"],
                        ["Upgrade: h2c", "Connection: Upgrade"]):
            told(t, request("GET", t.target(WEBSOCKET), headers),
                 (400, 426))


@vuln("CVE-2024-37890")
def many_headers(t):
    for n in (150, 2500):
        headers = ["H%d: x" % i for i in range(n)]
        told(t, upgrade_request(t.target(WEBSOCKET), headers), (101, 431))
        # Upgrade is the last
        told(t, upgrade_request(
            t.target(WEBSOCKET), headers + ["Upgrade: websocket"],
            drop=["Upgrade"]), (101, 400, 431))
        told(t, request("GET", t.target(), headers), (200, 431))


@vuln("CVE-2021-32640")
def blanks_in_the_subprotocol(t):
    for n, statuses in ((8000, (101, 400, 431)), (32000, (431,))):
        for value in ("b" + " " * n + "x", "b," + " ," * (n // 2) + "x"):
            with Timer(1):
                told(t, upgrade_request(
                    t.target(WEBSOCKET),
                    ["Sec-WebSocket-Protocol: " + value]), statuses)


def strange_extensions(t):
    for offer in PROTOTYPE + ("permessage-deflate; __proto__",
                              "permessage-deflate; constructor=1",
                              "permessage-deflate; toString; toString",
                              "x; " * 500 + "y", ", " * 1000 + "x",
                              'permessage-deflate; x="' + "\\\"" * 1000,
                              "permessage-deflate, " * 500 + "x"):
        r = told(t, upgrade_request(
            t.target(WEBSOCKET), ["Sec-WebSocket-Extensions: " + offer]),
            (101, 400))
        assert "__proto__" not in (r.get("sec-websocket-extensions") or "")


@vuln("GHSA-5v72-xg48-5rpm")
def extensions_of_the_prototype(t):
    strange_extensions(t)


@vuln("GHSA-5v72-xg48-5rpm", **{"engine.compression": "on"})
def extensions_of_the_prototype_with_compression(t):
    strange_extensions(t)


@vuln("CVE-2021-45945", seconds=3)
def heads_that_end_at_buffer_borders(t):
    base = request("GET", t.target(), ["X: "])
    sizes = list(range(len(base), len(base) + 600, 7))
    for border in (1024, 2048, 4096, 8192, 16384):
        sizes += range(border - 9, border + 10)
    answers = set()
    c = Conn(t.port)
    for size in sizes:
        data = request("GET", t.target(), ["X: " + "y" * (size - len(base))])
        c.send(data)
        r = c.response()
        answers.add(r.status)
        assert r.status in (200, 431), r
        if r.status != 200 or r.get("connection") == "close":
            c.close()
            c = Conn(t.port)
    c.close()
    for size in range(8100, 8400, 3):
        told(t, request("GET", t.target("x=" + "y" * size +
                                        "&EIO=4&transport=polling")),
             (200, 414, 431))
    assert 200 in answers
    t.note(" ".join(map(str, sorted(answers))))


@vuln("CVE-2021-45945")
def heads_that_are_broken_off(t):
    data = upgrade_request(t.target(WEBSOCKET), ["Cookie: a=b"])
    for i in range(len(data)):
        c = Conn(t.port)
        c.send(data[:i])
        c.close()
    for i in range(0, len(data) - 4):
        for byte in (b"\0", b"\n", b"\xff", b":"):
            c = Conn(t.port)
            try:
                c.send(data[:i] + byte + data[i + 1:])
                c.s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            c.close()


@vuln("CVE-2025-61765")
def pickle_is_never_read(t):
    """No queue of messages of other programs is read: what comes nearest
    are the packets of clients and the control socket."""
    class Bomb:
        def __reduce__(self):
            return os.system, ("exit 0",)
    for protocol in (0, 2, 4):
        data = pickle.dumps(Bomb(), protocol)
        w = joined(t)
        w.binary(data)
        while w.frame().opcode != 8:
            pass
        w.close()
        p = t.polling()
        p.ask(request("POST", p.target(), body=data), "POST")
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(t.server.daemon.dir + "/run/chatd.sock")
        s.sendall(data + b"\n")
        try:
            assert b"ok" not in s.recv(4096)[:2]
        except (ConnectionResetError, socket.timeout):
            pass
        s.close()
    t.server.daemon.ctl("status")
