"""vulns_more.py - further inputs worth a test, without a number."""
import json
import threading
import time

from expect import unknown
from raw import Conn, Ended, Ws, chunked, frame, request, upgrade_request
from vulns import MB, Timer, alive, joined, memory, push, told, vuln

WEBSOCKET = "EIO=4&transport=websocket"
FAST = {"ping_interval": 1000, "ping_timeout": 1000}


def ends(c, seconds):
    """The connection ends within so many seconds."""
    c.s.settimeout(seconds)
    c.rest()
    c.close()


@vuln("slow head", seconds=25)
def that_trickles_is_cut(t):
    """A byte now and then does not put the deadline off."""
    slow = []
    for i in range(100):
        c = Conn(t.port, seconds=40)
        c.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX: ")
        slow.append(c)
    began = time.monotonic()
    while slow and time.monotonic() - began < 35:
        time.sleep(1)
        for c in list(slow):
            try:
                c.send(b"x")
                if not c.silent(0.001):
                    slow.remove(c)
                    c.close()
            except OSError:
                slow.remove(c)
                c.close()
    took = time.monotonic() - began
    assert not slow, "%d still there after %.0f s" % (len(slow), took)
    t.note("after %.0f s" % took)


@vuln("slow body", seconds=30)
def that_trickles_closes_its_session(t):
    slow = []
    for i in range(50):
        p = t.polling()
        c = Conn(t.port, seconds=60)
        c.send(request("POST", p.target(), ["Content-Length: 1000"]) + b"4")
        slow.append((c, p))
    began = time.monotonic()
    left = list(slow)
    while left and time.monotonic() - began < 45:
        time.sleep(1)
        for c, p in list(left):
            try:
                c.send(b"x")
                if not c.silent(0.001):
                    left.remove((c, p))
            except OSError:
                left.remove((c, p))
    took = time.monotonic() - began
    assert not left, "%d still there after %.0f s" % (len(left), took)
    for c, p in slow:
        c.close()
        unknown(p.get())
    t.note("after %.0f s" % took)


@vuln("slow frame", seconds=4, **FAST)
def that_trickles_is_no_pong(t):
    """The heartbeat ends it: a frame that does not end is no pong."""
    slow = []
    for i in range(50):
        w = t.websocket()
        w.send(frame("4", length=1000))
        slow.append(w)
    began = time.monotonic()
    left = list(slow)
    while left and time.monotonic() - began < 20:
        time.sleep(0.2)
        for w in list(left):
            try:
                w.send(b"x")
                w.s.settimeout(0.001)
                if not w.s.recv(65536):
                    left.remove(w)
            except TimeoutError:
                pass
            except OSError:
                left.remove(w)
    took = time.monotonic() - began
    assert not left, "%d still there" % len(left)
    t.note("after %.1f s" % took)


@vuln("idle connection", seconds=20)
def says_nothing_and_is_cut(t):
    held = [Conn(t.port, seconds=40) for _ in range(100)]
    began = time.monotonic()
    for c in held:
        ends(c, 40)
    t.note("after %.0f s" % (time.monotonic() - began))


@vuln("handshakes", growth=64 * MB, own=True, seconds=20,
      connect_timeout=3000)
def a_hundred_thousand_without_connect(t):
    before = memory(t.server)
    conns = [Conn(t.port) for _ in range(4)]
    data = request("GET", t.target()) * 50
    n = 100000
    refused = 0

    def some(c):
        nonlocal refused
        for _ in range(n // 50 // len(conns)):
            c.send(data)
            for _ in range(50):
                if c.response().status != 200:
                    refused += 1
    with Timer(120) as timer:
        threads = [threading.Thread(target=some, args=(c,)) for c in conns]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
    grown = memory(t.server) - before
    t.note("%.0f/s, at most %.0f MB, %d refused" %
           (n / timer.took, grown / MB, refused))
    # and they go: their time is over, and polls find nothing
    time.sleep(4)
    p = t.polling()
    time.sleep(4)
    r = p.get()
    assert r.status == 400 or "1" in r.packets(), r


@vuln("namespaces", seconds=5)
def connect_to_a_hundred_thousand(t):
    w = joined(t)
    n = 100000
    with Timer(60) as timer:
        for i in range(0, n, 500):
            w.send(b"".join(frame("40/n%d," % j) for j in range(i, i + 500)))
            for j in range(i, i + 500):
                assert (w.packet() ==
                        '44/n%d,{"message":"Invalid namespace"}' % j)
    t.note("%.0f/s" % (n / timer.took))
    alive(w)


@vuln("rooms", growth=24 * MB, seconds=15)
def join_very_many(t):
    """Twenty sessions a socket; the rest is refused."""
    w = joined(t)
    n, ok = 20000, 0
    with Timer(90) as timer:
        for i in range(0, n, 200):
            w.send(b"".join(frame(
                '42%d["chat:join-session",{"sessionId":"r%d",'
                '"workspaceId":"w"}]' % (j, j)) for j in range(i, i + 200)))
            left = 200
            while left:
                got = w.packet()
                if got.startswith("43"):
                    left -= 1
                    answer = json.loads(got[got.index("["):])[0]
                    ok += answer["ok"]
                    if not answer["ok"]:
                        assert answer["code"] == "TOO_MANY_SESSIONS", answer
    assert ok == 20, ok
    t.note("%.0f/s" % (n / timer.took))


@vuln("rooms", growth=24 * MB, seconds=15)
def join_and_leave_very_many(t):
    w = joined(t)
    n = 2000
    for i in range(0, n, 20):
        w.send(b"".join(
            frame('42%d["chat:join-session",{"sessionId":"l%d",'
                  '"workspaceId":"w"}]' % (2 * j, j)) +
            frame('42%d["chat:leave-session",{"sessionId":"l%d"}]' %
                  (2 * j + 1, j)) for j in range(i, i + 20)))
        left = 40
        while left:
            got = w.packet()
            left -= got.startswith("43")
    alive(w, 999999)


@vuln("deep JSON")
def is_refused_or_taken(t):
    for depth in (33, 500, 5000, 100000, 499000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            n = min(depth, 900000 // (len(opening) + len(closing)))
            text = opening * n + "1" + closing * n
            for packet in ('421["chat:send-message",%s]' % text,
                           "40%s" % text, "431%s" % text):
                w = joined(t) if packet[1] != "0" else t.websocket()
                push(w, frame(packet))
                push(w, frame("end", opcode=9))
                while w.frame().opcode not in (8, 10):
                    pass
                w.close()


@vuln("deep JSON")
def that_does_not_end(t):
    for text in ("[" * 900000, '{"a":' * 150000, '[{"a":' * 120000):
        w = joined(t)
        with Timer(5):
            push(w, frame("42" + text))
            while w.frame().opcode != 8:
                pass
        w.close()


@vuln("long number", growth=24 * MB)
def of_900000_digits(t):
    w = joined(t)
    for number in ("9" * 900000, "-" + "1" * 900000, "0." + "3" * 900000,
                   "1e" + "9" * 900000, "1e-" + "9" * 900000):
        with Timer(5):
            for i, event in enumerate(('"x",%s', '"chat:typing",%s',
                                       '"chat:send-message",{"message":%s}')):
                w.text("42%d[%s]" % (i, event % number))
                while not w.packet().startswith("43%d[" % i):
                    pass


@vuln("ack flood", seconds=3)
def of_ids_that_nobody_gave(t):
    w = joined(t)
    with Timer(20) as timer:
        for i in range(100):
            w.send(b"".join(frame("43%d[]" % (i * 1000 + j))
                            for j in range(1000)))
        alive(w)
    t.note("%.0f/s" % (100000 / timer.took))


@vuln("ack flood", seconds=3)
def of_events_that_ask(t):
    """Nobody reads the answers: it is not read from any more."""
    w = Ws(t.port, seconds=2, rcvbuf=4096)
    w.upgrade(t.target(WEBSOCKET))
    w.open_packet()
    w.text('40{"userId":"flood","userName":"flood"}')
    w.packet()
    data = b"".join(frame('42%d["nothing"]' % i) for i in range(1000))
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
    t.note("%d events, %d kB" % (sent, grown / 1000))
    assert grown < 4 * MB, grown
    w.close()


@vuln("probe")
def repeated_ten_thousand_times(t):
    p = t.polling()
    w = p.probe()
    w.send(frame("2probe") * 10000)
    n = 0
    while n < 10000:
        f = w.frame()
        if f.opcode == 8:
            break
        assert f.data == b"3probe", f
        n += 1
    t.note("%d answers" % n)
    w.close()
    p.say('40{"userId":"u","userName":"u"}')


@vuln("probe")
def of_many_sockets_at_once(t):
    p = t.polling()
    first = p.probe()
    for _ in range(200):
        w = p.probe()
        while w.frame().opcode != 8:
            pass
        w.close()
    first.text("2probe")
    assert first.recv() == "3probe"


@vuln("Content-Length")
def twice(t):
    p = t.polling()
    for lengths in (("3", "3"), ("3", "30"), ("30", "3"), ("0", "3")):
        told(t, request("POST", p.target(), ["Content-Length: " + n
                                             for n in lengths]) + b"4ab" +
             request("GET", t.target()), (400, 0))
    told(t, request("POST", p.target(), ["Content-Length: 3, 3"]) + b"4ab",
         (400, 0))
    p.say('40{"userId":"u","userName":"u"}')


@vuln("smuggling")
def with_both_lengths(t):
    """Whatever is answered: what is behind it is no request."""
    p = t.polling()
    victim = t.polling()
    inner = request("POST", victim.target(), body="1")
    for headers, body in (
            (["Content-Length: %d" % (5 + len(inner)),
              "Transfer-Encoding: chunked"], b"0\r\n\r\n" + inner),
            (["Transfer-Encoding: chunked",
              "Content-Length: 4"], chunked([b"4ab"]) + inner),
            (["Transfer-Encoding: chunked, identity"],
             chunked([b"4ab"]) + inner),
            (["Transfer-Encoding: identity"], b"4ab" + inner),
            (["Transfer-Encoding: xchunked"], chunked([b"4ab"]) + inner),
            (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
             chunked([b"4ab"]) + inner),
            (["Transfer-Encoding : chunked"], chunked([b"4ab"]) + inner),
            (["Transfer-Encoding:\x0bchunked"], chunked([b"4ab"]) + inner),
            (["Content-Length : 3"], b"4ab" + inner),
            (["X: y\n Content-Length: 3"], b"4ab" + inner),
            ([" Content-Length: 3"], b"4ab" + inner)):
        c = Conn(t.port)
        c.send(request("POST", p.target(), headers) + body)
        try:
            while True:
                r = c.response("POST")
                assert r.status in (400, 501), (headers, r)
        except Ended:
            pass
        c.close()
    assert victim.post("3").status == 200, "the inner request was obeyed"
    p.say('40{"userId":"u","userName":"u"}')


@vuln("URL")
def in_absolute_form(t):
    for target in ("http://127.0.0.1" + t.target(),
                   "http://evil.example" + t.target(),
                   "https://evil.example:99999" + t.target(),
                   "//evil.example" + t.target(), "*",
                   "http://" + "x" * 5000 + "/"):
        told(t, request("GET", target), (200, 400, 404))


@vuln("URL")
def with_zero_bytes_and_escapes(t):
    for query in ("EIO=4&transport=polling&sid=%00",
                  "EIO=4%00&transport=polling",
                  "EIO=4&transport=polling%00websocket",
                  "EIO=4&transport=polling&%00=%00&%=%&%zz=%z&&&===&",
                  "EIO=4&transport=polling&x=" + "%00" * 2000,
                  "EIO=4&transport=polling&" + "&" * 5000,
                  "EIO=4&transport=polling&" + "x&" * 2500,
                  "EIO=4&transport=polling&x=%ff%fe%c0%80"):
        told(t, request("GET", t.target(query)), (200, 400))
    for target in (b"/socket.io/?EIO=4&transport=polling\0",
                   b"/socket.io/\0?EIO=4", b"/socket.io/?\xff\xfe",
                   b"/socket.io/?EIO=4&transport=polling#x"):
        told(t, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n",
             (200, 400, 404, 0))
    for target in ("/../socket.io/", "/socket.io/../../etc/passwd",
                   "/socket.io/..%2f..%2fetc/passwd", "/%2e%2e/",
                   "/socket.io/socket.io.js/../../x",
                   "/socket.io/socket.io.js%00"):
        r = told(t, request("GET", target), (400, 404))
        assert b"root:" not in r.body


@vuln("long head")
def over_16_kb(t):
    for headers in (["X: " + "y" * 20000], ["Cookie: " + "y" * 100000],
                    ["X%d: %s" % (i, "y" * 1000) for i in range(100)],
                    ["X" * 20000 + ": y"]):
        told(t, request("GET", t.target(), headers), (431, 400))
        told(t, upgrade_request(t.target(WEBSOCKET), headers), (431, 400))


@vuln("long head")
def without_end(t):
    c = Conn(t.port)
    push(c, b"GET / HTTP/1.1\r\n")
    push(c, b"X: " + b"y" * 65536, 500)
    try:
        assert c.response().status in (400, 431)
    except Ended:
        pass
    c.close()
    c = Conn(t.port)
    push(c, b"y" * 65536, 500)
    try:
        assert c.response().status in (400, 414, 431)
    except Ended:
        pass
    c.close()


@vuln("long sid")
def of_a_million_characters(t):
    for n in (1000, 8000, 1000000):
        query = "EIO=4&transport=polling&sid=" + "A" * n
        told(t, request("GET", t.target(query)), (400, 414, 431, 0))
        told(t, upgrade_request(t.target(query)), (400, 414, 431, 0))


@vuln("garbage")
def that_is_no_http(t):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 10000,
                 b"\r\n" * 10000, b"GET\r\n\r\n", b"\xff" * 10000,
                 b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n\r\n",
                 b"\r\n\r\n\0\r\nQUIT\n" * 100, b"*1\r\n$4\r\nPING\r\n",
                 b"GET / HTTP/1.1\nHost: x\n\n", b"<policy-file-request/>\0",
                 frame("40") * 100):
        c = Conn(t.port, seconds=20)
        push(c, data)
        try:
            c.s.shutdown(1)
        except OSError:
            pass
        ends(c, 20)
