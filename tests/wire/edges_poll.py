"""edges_poll.py - cases 10 to 30: GET and POST of a polling session."""
import time

from expect import bare, echoes, gone, unknown
from raw import Conn, RS, check_age, chunked, request, sleep_until
from suite import Registry

edge = Registry()
SMALL = {"max_payload": 5000}
# as fast as a machine that is busy can follow
FAST = {"ping_interval": 3000, "ping_timeout": 3000}


# --- 10 to 18: POST

@edge("eio-echo", **SMALL)
def E010_413_keeps_the_session(t):
    p = t.polling()
    bare(p.post("4" + "x" * 5000), 413)
    echoes(p)


@edge("eio-echo", **SMALL)
def E010_413_delivers_nothing(t):
    p = t.polling()
    bare(p.post("4first" + RS + "4" + "x" * 5000), 413)
    echoes(p, "4second")


@edge("eio-echo", **SMALL)
def E010_413_for_chunks(t):
    p = t.polling()
    bare(p.ask(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
               chunked([b"4"] + [b"x" * 1000] * 5), "POST"), 413)
    echoes(p)


@edge("eio-echo", **SMALL)
def E010_the_largest_is_taken(t):
    p = t.polling()
    assert p.open["maxPayload"] == 5000
    echoes(p, "4" + "x" * 4999)
    bare(p.post("4" + "x" * 5000), 413)
    p.ask(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
          chunked([b"4"] + [b"y" * 833] * 6 + [b"z"]), "POST")
    assert p.hear() == ["4" + "y" * 4998 + "z"]


@edge("eio-echo", **SMALL)
def E011_the_limit_counts_bytes(t):
    p = t.polling()
    echoes(p, "4" + "\u00e9" * 2499)
    bare(p.post("4" + "\u00e9" * 2500), 413)
    echoes(p, "4" + "\U0001f600" * 1249)
    bare(p.post("4" + "\U0001f600" * 1250), 413)
    echoes(p)


@edge("eio-echo")
def E012_empty_post_is_ok_and_closes(t):
    p = t.polling()
    r = p.post("")
    assert (r.status, r.body) == (200, b"ok"), r
    unknown(p.get())


@edge("eio-echo")
def E012_post_without_length(t):
    p = t.polling()
    r = p.ask(request("POST", p.target()), "POST")
    assert (r.status, r.body) == (200, b"ok"), r
    unknown(p.get())


@edge("eio-echo")
def E012_empty_chunked_post(t):
    p = t.polling()
    r = p.ask(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
              chunked([]), "POST")
    assert (r.status, r.body) == (200, b"ok"), r
    unknown(p.get())


def closes_with_ok(t, body):
    p = t.polling()
    r = p.post(body)
    assert (r.status, r.body) == (200, b"ok"), r
    unknown(p.get())


@edge("eio-echo")
def E013_trailing_separator(t):
    closes_with_ok(t, "4a" + RS)


@edge("eio-echo")
def E013_leading_separator(t):
    closes_with_ok(t, RS + "4a")


@edge("eio-echo")
def E013_double_separator(t):
    closes_with_ok(t, "4a" + RS + RS + "4b")


@edge("eio-echo")
def E013_only_a_separator(t):
    closes_with_ok(t, RS)


@edge("eio-echo")
def E013_bad_packets(t):
    for bad in ("7", "9", "x", "-4a", " 4a", "/", "\u00e9"):
        closes_with_ok(t, bad)


@edge("eio-echo")
def E013_ping_from_the_client(t):
    for ping in ("2", "2probe"):
        closes_with_ok(t, ping)


@edge("eio-echo")
def E013_ignored_packets(t):
    p = t.polling()
    p.say("0", "5", "6", "3", "3anything", "0{}", "6x")
    echoes(p)


@edge("eio-echo")
def E014_packets_before_the_bad_one_are_handled(t):
    p = t.polling()
    c = p.poll()
    assert c.silent(0.2)
    r = p.post("4a" + RS + "9")
    assert (r.status, r.body) == (200, b"ok"), r
    assert c.response().packets()[0] == "4a"
    gone(p)


@edge("edge")
def E014_packets_behind_the_bad_one_are_not(t):
    p = t.polling()
    p.say("40")
    p.hear()
    c = p.poll()
    assert c.silent(0.2)
    p.post("9" + RS + '420["x"]')
    assert c.response().packets() == ["1"]
    gone(p)


@edge("eio-echo")
def E015_octet_stream_is_400_and_closes(t):
    p = t.polling()
    bare(p.post("4hi", ["Content-Type: application/octet-stream"]), 400)
    unknown(p.get())


@edge("eio-echo")
def E015_octet_stream_ends_the_pending_get(t):
    p = t.polling()
    c = p.poll()
    assert c.silent(0.2)
    bare(p.post("4hi", ["Content-Type: application/octet-stream"]), 400)
    r = c.response()
    assert (r.status, r.body) == (200, b"1"), r
    unknown(p.get())


@edge("eio-echo")
def E015_only_the_exact_type(t):
    p = t.polling()
    for kind in ("application/octet-stream; charset=x", "application/json",
                 "application/x-www-form-urlencoded", "x"):
        p.post("4" + kind, ["Content-Type: " + kind])
        assert p.hear() == ["4" + kind]


@edge("eio-echo")
def E016_without_type_it_is_text(t):
    p = t.polling()
    r = p.post("4h\u00e9")
    assert (r.status, r.body) == (200, b"ok"), r
    assert p.hear() == ["4h\u00e9"]


@edge("eio-echo")
def E017_chunked_post(t):
    p = t.polling()
    body = "4h\u00e9llo \u20ac".encode()
    for parts in ([body], [body[i:i + 1] for i in range(len(body))],
                  [body[:4], body[4:]]):
        r = p.ask(request("POST", p.target(), ["Transfer-Encoding: chunked"])
                  + chunked(parts), "POST")
        assert (r.status, r.body) == (200, b"ok"), r
        assert p.hear() == [body.decode()]


@edge("eio-echo")
def E017_chunk_extensions_and_trailers(t):
    p = t.polling()
    r = p.ask(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
              b"2;a=b\r\n4h\r\n001;c\r\ni\r\n0;x=\"y\"\r\nX-T: 1\r\n\r\n",
              "POST")
    assert (r.status, r.body) == (200, b"ok"), r
    assert p.hear() == ["4hi"]


@edge("eio-echo")
def E017_chunks_byte_by_byte(t):
    p = t.polling()
    c = t.conn()
    c.send_slowly(request("POST", p.target(), ["Transfer-Encoding: chunked"])
                  + chunked([b"4hello", b" world"]))
    r = c.response("POST")
    assert (r.status, r.body) == (200, b"ok"), r
    assert p.hear() == ["4hello world"]


@edge("eio-echo")
def E017_expect_100_continue(t):
    p = t.polling()
    c = t.conn()
    c.send(request("POST", p.target(), ["Expect: 100-continue",
                                        "Content-Length: 3"]))
    assert c.head()[0] == 100
    c.send(b"4hi")
    r = c.response("POST")
    assert (r.status, r.body) == (200, b"ok"), r
    assert p.hear() == ["4hi"]


@edge("eio-echo")
def E018_pipelined_get_behind_a_post(t):
    p = t.polling()
    c = t.conn()
    c.send(request("POST", p.target(), body="4hi") +
           request("GET", p.target()))
    r = c.response("POST")
    assert (r.status, r.body) == (200, b"ok"), r
    r = c.response()
    assert (r.status, r.body) == (200, b"4hi"), r


@edge("eio-echo")
def E018_many_requests_on_a_connection(t):
    p = t.polling()
    c = t.conn()
    for i in range(100):
        c.send(request("POST", p.target(), body="4m%d" % i))
        r = c.response("POST")
        assert (r.status, r.body) == (200, b"ok"), r
        c.send(request("GET", p.target()))
        assert c.response().text() == "4m%d" % i


@edge("eio-echo")
def E018_sessions_share_a_connection(t):
    sessions = [t.polling() for _ in range(8)]
    c = t.conn()
    for turn in range(3):
        for i, p in enumerate(sessions):
            c.send(request("POST", p.target(), body="4%d.%d" % (turn, i)))
            assert c.response("POST").body == b"ok"
        for i, p in enumerate(sessions):
            c.send(request("GET", p.target()))
            assert c.response().text() == "4%d.%d" % (turn, i)


@edge("eio-echo")
def E018_sessions_pipelined_on_a_connection(t):
    sessions = [t.polling() for _ in range(8)]
    c = t.conn()
    c.send(b"".join(request("POST", p.target(), body="4%d" % i) +
                    request("GET", p.target())
                    for i, p in enumerate(sessions)))
    for i in range(len(sessions)):
        assert c.response("POST").body == b"ok"
        assert c.response().text() == "4%d" % i


@edge("eio-echo")
def E018_head_byte_by_byte(t):
    p = t.polling()
    c = t.conn()
    c.send_slowly(request("POST", p.target(), body="4hi") +
                  request("GET", p.target()))
    assert c.response("POST").body == b"ok"
    assert c.response().body == b"4hi"


# --- 19 to 22: overlap and aborts

@edge("eio-echo")
def E019_second_get_is_400_first_gets_1(t):
    p = t.polling()
    first = p.poll()
    assert first.silent(0.2)
    bare(p.get(), 400)
    r = first.response()
    assert (r.status, r.body) == (200, b"1"), r
    unknown(p.get())


@edge("eio-echo")
def E020_second_post_is_400_first_is_cut(t):
    p = t.polling()
    first = t.conn()
    first.send(request("POST", p.target(), ["Content-Length: 100"]) + b"4a")
    time.sleep(0.3)
    bare(p.post("4b"), 400)
    assert first.rest() == b""
    unknown(p.get())


@edge("eio-echo")
def E020_the_pending_get_gets_1(t):
    p = t.polling()
    get = p.poll()
    first = t.conn()
    first.send(request("POST", p.target(), ["Content-Length: 100"]) + b"4a")
    time.sleep(0.3)
    bare(p.post("4b"), 400)
    r = get.response()
    assert (r.status, r.body) == (200, b"1"), r
    assert first.rest() == b""


@edge("eio-echo")
def E021_aborted_get_closes(t):
    p = t.polling()
    c = p.poll()
    assert c.silent(0.2)
    c.close()
    gone(p)


@edge("eio-echo")
def E021_reset_get_closes(t):
    p = t.polling()
    c = p.poll()
    assert c.silent(0.2)
    c.reset()
    gone(p)


@edge("eio-echo")
def E022_aborted_post_closes(t):
    for end in (Conn.close, Conn.reset):
        p = t.polling()
        c = t.conn()
        c.send(request("POST", p.target(), ["Content-Length: 100"]) + b"4a")
        time.sleep(0.2)
        end(c)
        time.sleep(0.2)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            r = p.ask(request("PUT", p.target(), body=""), "PUT")
            if r.status != 500:
                break
            time.sleep(0.05)
        unknown(r)


@edge("eio-echo")
def E022_aborted_chunked_post_closes(t):
    p = t.polling()
    c = p.poll()
    d = t.conn()
    d.send(request("POST", p.target(), ["Transfer-Encoding: chunked"]) +
           b"2\r\n4a\r\n")
    time.sleep(0.2)
    d.close()
    r = c.response()
    assert (r.status, r.body) == (200, b"1"), r
    unknown(p.get())


# --- 23 to 30: what a session answers

@edge("eio-echo")
def E023_put_is_500(t):
    p = t.polling()
    bare(p.ask(request("PUT", p.target(), body="4a"), "PUT"), 500)


@edge("eio-echo")
def E023_delete_is_500(t):
    p = t.polling()
    bare(p.ask(request("DELETE", p.target()), "DELETE"), 500)


@edge("eio-echo")
def E023_others_are_500(t):
    p = t.polling()
    for method in ("PATCH", "OPTIONS", "HEAD"):
        bare(p.ask(request(method, p.target()), method), 500)


@edge("eio-echo")
def E023_session_lives(t):
    p = t.polling()
    for method in ("PUT", "DELETE", "PATCH"):
        bare(p.ask(request(method, p.target(), body="4a"), method), 500)
    echoes(p)


@edge("eio-echo")
def E024_close_packet_gives_the_get_a_noop(t):
    p = t.polling()
    c = p.poll()
    assert c.silent(0.2)
    r = p.post("1")
    assert (r.status, r.body) == (200, b"ok"), r
    r = c.response()
    assert (r.status, r.body) == (200, b"6"), r
    unknown(p.get())


@edge("eio-echo")
def E024_close_packet_without_a_get(t):
    p = t.polling()
    r = p.post("1")
    assert (r.status, r.body) == (200, b"ok"), r
    unknown(p.get())


@edge("edge")
def E025_disconnect_leaves_the_get_pending(t):
    p = t.polling()
    p.say("40")
    assert p.hear()[0].startswith('40{"sid":')
    c = p.poll()
    p.say("41")
    assert c.silent(0.7)
    p.say("40")
    assert c.response().text().startswith('40{"sid":')


@edge("eio-echo")
def E026_bad_packet_gives_the_get_a_close(t):
    p = t.polling()
    c = p.poll()
    assert c.silent(0.2)
    p.post("9")
    r = c.response()
    assert (r.status, r.body) == (200, b"1"), r
    unknown(p.get())


def closed_by_the_server(t):
    """A session that a Socket.IO error has closed without a GET."""
    p = t.polling()
    p.say("40")
    assert p.hear()[0].startswith('40{"sid":')
    p.say("4nonsense")
    return p


@edge("edge")
def E027_next_get_gets_noop_and_close(t):
    p = closed_by_the_server(t)
    time.sleep(1)
    r = p.get()
    assert (r.status, r.text()) == (200, "6" + RS + "1"), r


@edge("edge")
def E027_then_it_is_unknown(t):
    p = closed_by_the_server(t)
    assert p.get().status == 200
    unknown(p.get())


@edge("edge", seconds=33)
def E027_it_waits_30_seconds_for_the_get(t):
    early = closed_by_the_server(t)
    late = closed_by_the_server(t)
    time.sleep(28)
    r = early.get()
    assert (r.status, r.text()) == (200, "6" + RS + "1"), r
    time.sleep(3.5)
    unknown(late.get())


@edge("edge")
def E027_pending_get_gets_the_close(t):
    p = t.polling()
    p.say("40")
    p.hear()
    c = p.poll()
    assert c.silent(0.2)
    p.say("4nonsense")
    assert c.response().text() == "1"
    unknown(p.get())


@edge("edge")
def E028_kick_without_a_get(t):
    p = t.polling()
    p.say("40")
    p.hear()
    p.say('42["kick",true]')
    assert p.get().text() == "41"
    assert p.get().text() == "6" + RS + "1"
    unknown(p.get())


@edge("edge")
def E028_kick_with_a_get(t):
    p = t.polling()
    p.say("40")
    p.hear()
    c = p.poll()
    assert c.silent(0.2)
    p.say('42["kick",true]')
    assert c.response().text() == "41"
    assert p.get().text() == "6" + RS + "1"
    unknown(p.get())


@edge("eio-echo", seconds=4, **FAST)
def E029_ping_answers_the_poll(t):
    p = t.polling()
    r = p.poll().response()
    check_age(p, 2.9, 5.9)
    assert (r.status, r.body) == (200, b"2"), r


@edge("eio-echo", seconds=8, **FAST)
def E029_interval_restarts_at_the_pong(t):
    p = t.polling()
    assert p.get().body == b"2"
    time.sleep(1)
    began = time.monotonic()
    p.say("3")
    assert p.get().body == b"2"
    took = time.monotonic() - began
    assert 2.9 <= took < 5.9, took


@edge("eio-echo", seconds=7, **FAST)
def E030_ping_waits_for_the_next_get(t):
    p = t.polling()
    time.sleep(4)
    assert p.get().body == b"2"
    p.say("3")
    sleep_until(p, 6.3)
    echoes(p)


@edge("eio-echo", seconds=7, **FAST)
def E030_pong_is_due_from_the_queueing(t):
    p = t.polling()
    time.sleep(4)
    r = p.get()
    assert r.body == b"2", r
    sleep_until(p, 6.5)
    unknown(p.get())


@edge("eio-echo", seconds=13, ping_interval=3000, ping_timeout=4500)
def E030_a_packet_puts_the_deadline_off_once(t):
    """The pong was due at 7.5 s; the packet at 6 s makes that 10.5 s."""
    p = t.polling()
    time.sleep(3.3)
    assert p.get().body == b"2"
    sleep_until(p, 6)
    p.say("4a")
    sleep_until(p, 8.3)
    r = p.post("4b")
    assert r.status == 200, r
    sleep_until(p, 12)
    unknown(p.get())
