"""edges_http.py - cases 1 to 9 and 31 to 40: the handshake and HTTP."""
import gzip
import json
import os
import re
import signal
import time
import zlib

from expect import bare, echoes, error, mismatch, unknown
from raw import request, sleep_until, unbase64, upgrade_request
from suite import Registry

edge = Registry()
# as fast as a machine that is busy can follow
FAST = {"ping_interval": 3000, "ping_timeout": 3000}
ORIGIN = "http://here.example"
CORS = {"cors_origin": ORIGIN, "cors_credentials": True}


# --- 1 to 5: the query and the path

@edge("eio-echo")
def E001_empty_sid_opens_polling(t):
    r = t.ask(query="EIO=4&transport=polling&sid=")
    assert r.status == 200 and r.body[:1] == b"0", r


@edge("eio-echo")
def E001_empty_sid_opens_websocket(t):
    t.websocket("sid=")


@edge("eio-echo")
def E002_eio_is_compared_as_a_string(t):
    for eio in ("04", "4.0", "%204", "4%20", "4a", "3", "5", "", "0x4"):
        error(t.ask(query="transport=polling&EIO=" + eio), 5,
              "Unsupported protocol version")


@edge("eio-echo")
def E002_absent_eio_is_refused(t):
    error(t.ask(query="transport=polling"), 5, "Unsupported protocol version")


@edge("eio-echo")
def E002_eio_is_decoded_before(t):
    r = t.ask(query="transport=polling&EIO=%34")
    assert r.status == 200 and r.body[:1] == b"0", r


@edge("eio-echo")
def E002_websocket_is_refused_before_the_101(t):
    for query in ("EIO=3&", "EIO=04&", ""):
        query += "transport=websocket"
        if t.deviates("D1"):
            t.refused_upgrade(query, text="Unsupported protocol version")
            continue
        c = t.conn()
        c.send(upgrade_request(t.target(query)))
        assert c.response().status == 101
        assert c.rest().startswith(b"HTTP/1.1 400 Bad Request\r\n")


@edge("eio-echo")
def E003_transport_comes_before_everything(t):
    for transport in ("x", "", "webtransport", "polling%20", "Polling",
                      "__proto__", "constructor"):
        error(t.ask("POST", "EIO=3&sid=none&transport=" + transport,
                    body=""), 0, "Transport unknown")


@edge("eio-echo")
def E003_transport_absent(t):
    error(t.ask(query="EIO=4"), 0, "Transport unknown")
    error(t.ask(query=""), 0, "Transport unknown")
    error(t.tell(request("GET", t.path)), 0, "Transport unknown")


@edge("eio-echo")
def E003_transport_of_an_upgrade(t):
    for query in ("EIO=3&sid=none&transport=x", "EIO=4", "EIO=4&transport=",
                  "EIO=4&transport=webtransport"):
        r = t.refused_upgrade(query, text="Transport unknown")
        assert r.get("content-type") == "text/html", r


@edge("eio-echo")
def E003_sid_comes_before_method_and_version(t):
    for method in ("GET", "POST", "PUT", "DELETE"):
        unknown(t.ask(method, "EIO=3&transport=polling&sid=none", body=""))


@edge("eio-echo")
def E003_odd_sids_are_unknown(t):
    for sid in ("__proto__", "constructor", "x", "A" * 20, "-" * 20, "%00",
                "%20", "toString", "A" * 4000, "%ff%fe"):
        unknown(t.ask(query="EIO=4&transport=polling&sid=" + sid))
        t.refused_upgrade("EIO=4&transport=websocket&sid=" + sid,
                          text="Session ID unknown")


@edge("eio-echo")
def E003_errors_keep_the_connection(t):
    c = t.conn()
    for _ in range(3):
        c.send(request("GET", t.target("EIO=4&transport=x")))
        r = c.response()
        error(r, 0, "Transport unknown")
        assert r.get("cache-control") is None, r
    c.send(request("GET", t.target()))
    assert c.response().status == 200
    c.close()


@edge("eio-echo")
def E004_other_methods_without_sid(t):
    for method in ("POST", "PUT", "OPTIONS", "DELETE", "PATCH"):
        for eio in ("4", "3", "04"):
            error(t.ask(method, "EIO=%s&transport=polling" % eio, body=""), 2,
                  "Bad handshake method")


@edge("eio-echo")
def E004_other_methods_for_a_websocket(t):
    for method in ("POST", "PUT"):
        error(t.ask(method, "EIO=4&transport=websocket", body=""), 2,
              "Bad handshake method")


@edge("eio-echo")
def E004_websocket_without_upgrade(t):
    mismatch(t.ask(query="EIO=4&transport=websocket"))


@edge("eio-echo")
def E005_path_is_a_prefix(t):
    for more in ("abc/", "abc", "a/b/c"):
        r = t.tell(request("GET", t.path + more + "?EIO=4&transport=polling"))
        assert r.status == 200 and r.body[:1] == b"0", r


@edge("sio")
def E005_path_is_a_prefix_for_socket_io(t):
    r = t.tell(request("GET", "/socket.io/abc/?EIO=4&transport=polling"))
    assert r.status == 200 and r.body[:1] == b"0", r


@edge("eio-echo")
def E005_without_slash_is_404(t):
    for path in (t.path[:-1], "/", "/x" + t.path, "/other/"):
        bare(t.tell(request("GET", path + "?EIO=4&transport=polling")), 404)


@edge("sio")
def E005_without_slash_is_404_for_socket_io(t):
    bare(t.tell(request("GET", "/socket.io?EIO=4&transport=polling")), 404)


# --- 6: the deadline

@edge("eio-echo", seconds=7, **FAST)
def E006_poll_behind_the_deadline_finds_it_dead(t):
    p = t.polling()
    time.sleep(6.3)
    unknown(p.get())


@edge("eio-echo", own=True, seconds=9, **FAST)
def E006_deadline_is_tested_on_arrival(t):
    """The server sleeps over the deadline and wakes up with the request
    already there: it may not take the late client for one in time."""
    p = t.polling()
    c = t.conn()
    c.send(request("GET", t.target()))
    assert c.response().status == 200  # the connection is accepted
    sleep_until(p, 4)
    pids = t.server.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        sleep_until(p, 7.5)
        c.send(request("GET", p.target()))
        time.sleep(0.1)
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
    unknown(c.response())


# --- 7 to 9: the answers' heads

@edge("eio-echo")
def E007_answer_to_a_post(t):
    r = t.polling().post("4hi")
    assert r.status == 200 and r.body == b"ok", r
    assert r.get("content-length") == "2", r
    assert r.get("content-type") == "text/html", r


@edge("eio-echo")
def E008_no_store_on_every_200(t):
    p = t.polling()
    post = p.post("4hi")
    get = p.get()
    for r in (p.answer, post, get):
        assert r.status == 200 and r.get("cache-control") == "no-store", r
    for r in (p.answer, get):
        assert r.get("content-type") == "text/plain; charset=UTF-8", r
        assert r.get("content-length") == str(len(r.body)), r
        assert r.get("x-xss-protection") is None, r


@edge("eio-echo")
def E008_xss_protection_for_explorers(t):
    for agent in ("Mozilla/4.0 (compatible;MSIE 8.0)",
                  "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0)"):
        p = t.polling(headers=["User-Agent: " + agent])
        for r in (p.answer, p.post("4x"), p.get()):
            assert r.get("x-xss-protection") == "0", r


@edge("eio-echo")
def E008_open_packet(t):
    p = t.polling()
    assert list(p.open) == ["sid", "upgrades", "pingInterval", "pingTimeout",
                            "maxPayload"], p.open
    assert re.fullmatch("[A-Za-z0-9_-]{20}", p.sid), p.sid
    assert p.open["upgrades"] == ["websocket"]
    assert p.open["pingInterval"] == 25000
    assert p.open["pingTimeout"] == 20000
    assert p.open["maxPayload"] == 1000000
    assert t.websocket().open["upgrades"] == []


@edge("eio-echo", **CORS)
def E009_errors_carry_cors_headers(t):
    o = ["Origin: " + ORIGIN]
    p = t.polling(headers=o)
    for r in (p.answer, p.post("4x"), p.get(),
              t.ask(query="EIO=4&transport=x", headers=o),
              t.ask(query="EIO=4&transport=polling&sid=none", headers=o),
              t.ask("POST", headers=o, body=""),
              t.ask("PUT", "EIO=4&transport=polling&sid=" + p.sid, o, ""),
              p.post("x", ["Content-Type: application/octet-stream"]),
              t.ask(query="EIO=3&transport=polling", headers=o)):
        assert r.get("access-control-allow-origin") == ORIGIN, r
        assert r.get("access-control-allow-credentials") == "true", r
        assert "Origin" in (r.get("vary") or ""), r


@edge("eio-echo", **CORS)
def E009_foreign_origin_gets_no_permission(t):
    for r in (t.ask(headers=["Origin: http://other.example"]),
              t.ask(headers=["Origin: http://here.example.evil.example"]),
              t.ask(headers=["Origin: null"])):
        assert r.status == 200, r
        assert r.get("access-control-allow-origin") is None, r
        assert r.get("access-control-allow-credentials") == "true", r
        assert "Origin" in (r.get("vary") or ""), r


@edge("eio-echo", cors_origin="*")
def E009_star(t):
    for r in (t.ask(headers=["Origin: http://other.example"]),
              t.ask(query="EIO=4&transport=x",
                    headers=["Origin: http://other.example"])):
        assert r.get("access-control-allow-origin") == "*", r
        assert r.get("vary") is None, r
        assert r.get("access-control-allow-credentials") is None, r


@edge("eio-echo", **CORS)
def E009_preflight(t):
    r = t.ask("OPTIONS", headers=[
        "Origin: " + ORIGIN, "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: x-a, content-type"])
    assert r.status == 204 and r.body == b"", r
    assert r.get("content-length") == "0", r
    assert r.get("access-control-allow-origin") == ORIGIN, r
    assert (r.get("access-control-allow-methods") ==
            "GET,HEAD,PUT,PATCH,POST,DELETE"), r
    assert r.get("access-control-allow-headers") == "x-a, content-type", r
    names = sorted(v.strip() for n, v in r.fields if n == "vary"
                   for v in v.split(","))
    assert names == ["Access-Control-Request-Headers", "Origin"], r


@edge("eio-echo", **CORS)
def E009_preflight_comes_before_the_checks(t):
    r = t.ask("OPTIONS", "EIO=3&transport=x&sid=none",
              ["Origin: " + ORIGIN, "Access-Control-Request-Method: GET"])
    assert r.status == 204, r
    assert r.get("access-control-allow-headers") is None, r


@edge("eio-echo", **CORS)
def E009_websocket_carries_cors_headers(t):
    w = t.websocket(headers=["Origin: " + ORIGIN])
    assert w.answer.get("access-control-allow-origin") == ORIGIN, w.answer


@edge("eio-echo", **CORS)
def E009_websocket_of_a_foreign_origin(t):
    query = "EIO=4&transport=websocket"
    headers = ["Origin: http://other.example"]
    if t.deviates("D8"):
        t.refused_upgrade(query, text="Forbidden", headers=headers)
        # who sends no Origin is no browser
        t.websocket()
    else:
        t.websocket(headers=headers)


@edge("eio-echo")
def E009_without_cors_nothing_is_said(t):
    for r in (t.ask(headers=["Origin: " + ORIGIN]),
              t.ask(query="EIO=4&transport=x", headers=["Origin: " + ORIGIN])):
        assert not [n for n, _ in r.fields if n.startswith("access-")], r
        assert r.get("vary") is None, r


# --- 31 to 40

@edge("eio-echo")
def E031_utf8_over_segments(t):
    p = t.polling()
    text = "4\u00e9\u20ac\U0001f600"
    c = t.conn()
    c.send_slowly(request("POST", p.target(), body=text), 0.001)
    assert c.response("POST").body == b"ok"
    assert p.hear() == [text]


@edge("eio-echo")
def E031_invalid_utf8_is_replaced(t):
    p = t.polling()
    for bad, good in ((b"4a\xffb", "4a\ufffdb"), (b"4\xc3", "4\ufffd"),
                      (b"4\xe2\x82x", "4\ufffdx"),
                      (b"4\xed\xa0\x80", "4\ufffd\ufffd\ufffd")):
        assert p.post(bad.decode("latin-1").encode("latin-1")).status == 200
        assert p.hear() == [good], bad


@edge("eio-echo", deflate=True)
def E032_gzip_from_1024_bytes(t):
    for size, coded in ((1023, False), (1024, True), (5000, True)):
        p = t.polling(headers=["Accept-Encoding: gzip, deflate, br"])
        text = "4" + "x" * (size - 1)
        p.say(text)
        r = p.get()
        assert r.get("content-encoding") == ("gzip" if coded else None), r
        body = gzip.decompress(r.body) if coded else r.body
        assert body == text.encode(), size
        assert r.get("cache-control") == "no-store", r


@edge("eio-echo", deflate=True)
def E032_deflate_when_only_that_is_offered(t):
    p = t.polling(headers=["Accept-Encoding: deflate"])
    p.say("4" + "x" * 3000)
    r = p.get()
    assert r.get("content-encoding") == "deflate", r
    assert zlib.decompress(r.body) == b"4" + b"x" * 3000


@edge("eio-echo", deflate=True)
def E032_only_if_offered(t):
    for accept in ([], ["Accept-Encoding: identity"],
                   ["Accept-Encoding: gzip;q=0"]):
        p = t.polling(headers=accept)
        p.say("4" + "x" * 3000)
        r = p.get()
        assert r.get("content-encoding") is None, r
        assert r.body == b"4" + b"x" * 3000


@edge("eio-echo", deflate=True)
def E032_never_br(t):
    p = t.polling(headers=["Accept-Encoding: br"])
    p.say("4" + "x" * 3000)
    assert p.get().get("content-encoding") is None
    p = t.polling(headers=["Accept-Encoding: br, deflate;q=0.5, gzip;q=0.8"])
    p.say("4" + "x" * 3000)
    assert p.get().get("content-encoding") == "gzip"


@edge("eio-echo")
def E032_off_by_default(t):
    p = t.polling(headers=["Accept-Encoding: gzip, deflate"])
    p.say("4" + "x" * 3000)
    r = p.get()
    assert r.get("content-encoding") is None and len(r.body) == 3001, r


@edge("eio-echo")
def E033_base64_without_padding(t):
    p = t.polling()
    for text, data in (("AQ", b"\1"), ("AQI", b"\1\2"), ("AQID", b"\1\2\3"),
                       ("AQ==", b"\1"), ("AQI=", b"\1\2"), ("", b"")):
        p.say("b" + text)
        got = p.hear()
        assert len(got) == 1 and got[0][:1] == "b", got
        assert unbase64(got[0][1:]) == data, (text, got)


@edge("eio-echo")
def E033_answers_are_padded(t):
    p = t.polling()
    for text, back in (("AQ", "bAQ=="), ("AQI", "bAQI="), ("-_-_", "b+/+/")):
        p.say("b" + text)
        assert p.hear() == [back], text


@edge("edge")
def E034_binary_behind_its_text(t):
    p = t.polling()
    p.say("40")
    p.hear()
    p.say('452-7["x",{"_placeholder":true,"num":0},'
          '{"_placeholder":true,"num":1}]', "bAQID", "bBAUG")
    assert p.gather(3) == [
        '462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        "bAQID", "bBAUG"]


@edge("edge")
def E034_binary_may_span_posts(t):
    p = t.polling()
    p.say("40")
    p.hear()
    p.say('452-7["x",{"_placeholder":true,"num":0},'
          '{"_placeholder":true,"num":1}]')
    p.say("bAQID")
    p.say("bBAUG", '428["y"]')
    assert p.gather(4) == [
        '462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        "bAQID", "bBAUG", "438[]"]


@edge("eio-echo")
def E034_order_in_a_payload(t):
    p = t.polling()
    packets = ["4a", "bAQID", "4b", "4c", "bBAUG"]
    p.say(*packets)
    assert p.gather(5) == packets


@edge("eio-echo", seconds=8, **FAST)
def E035_pong_and_messages_in_one_payload(t):
    p = t.polling()
    assert p.get().body == b"2"
    time.sleep(1)
    p.say("3", "4a", "4b")
    assert p.gather(2) == ["4a", "4b"]
    # the pong counted: past the deadline the session is there
    sleep_until(p, 6.5)
    echoes(p)


@edge("eio-echo")
def E036_head_handshake(t):
    c = t.conn()
    c.send(request("HEAD", t.target()))
    r = c.response("HEAD")
    assert r.status == 400, r
    assert r.get("content-type") == "application/json", r
    # no body: the next answer begins right behind the head
    c.send(request("GET", t.target()))
    r = c.response()
    assert r.status == 200 and r.body[:1] == b"0", r


@edge("eio-echo")
def E037_origin_with_control_bytes(t):
    """Node's own parser says 400 to them without a body; the reference,
    should one come through, says code 3."""
    for origin in ("http://a\x7fb", "http://a\x01b", "\x1f"):
        for sid in ("", "&sid=none"):
            r = t.ask(query="EIO=4&transport=polling" + sid,
                      headers=["Origin: " + origin])
            assert r.status == 400, r
            if r.body:
                mismatch(r)
    c = t.conn()
    c.send(upgrade_request(t.target("EIO=4&transport=websocket"),
                           ["Origin: http://a\x7fb"]))
    r = c.response()
    assert r.status == 400 and r.text() in ("", "Bad request"), r
    assert c.rest() == b""


@edge("eio-echo")
def E037_other_origins_are_fine(t):
    for origin in ("http://a.example", "null", "http://\xe9.example",
                   "http://a\tb", "x"):
        assert t.ask(headers=["Origin: " + origin]).status == 200, origin


@edge("eio-echo", cookie="io")
def E038_cookie_on_the_polling_handshake(t):
    p = t.polling()
    assert (p.answer.get("set-cookie") ==
            "io=%s; Path=/; HttpOnly; SameSite=Lax" % p.sid), p.answer


@edge("eio-echo", cookie="io")
def E038_no_cookie_afterwards(t):
    p = t.polling()
    assert p.post("4x").get("set-cookie") is None
    assert p.get().get("set-cookie") is None
    assert p.probe().answer.get("set-cookie") is None


@edge("eio-echo", cookie="io")
def E038_no_cookie_on_a_101(t):
    assert t.websocket().answer.get("set-cookie") is None


@edge("eio-echo")
def E038_no_cookie_by_default(t):
    assert t.polling().answer.get("set-cookie") is None


@edge("eio-echo", cookie="io")
def E039_sid_in_a_cookie_is_not_read(t):
    p = t.polling()
    q = t.polling(headers=["Cookie: io=%s; sid=%s" % (p.sid, p.sid)])
    assert q.sid != p.sid
    echoes(p)


@edge("eio-echo")
def E040_last_key_wins(t):
    assert t.ask(query="EIO=3&EIO=4&transport=x&transport=polling"
                 ).status == 200
    error(t.ask(query="EIO=4&EIO=3&transport=polling"), 5,
          "Unsupported protocol version")
    error(t.ask(query="EIO=4&transport=polling&transport=x"), 0,
          "Transport unknown")
    unknown(t.ask(query="EIO=4&transport=polling&sid=&sid=none"))
    assert t.ask(query="EIO=4&transport=polling&sid=none&sid=").status == 200


@edge("client")
def E040_last_key_wins_for_the_application(t):
    p = t.polling("who=a&who=b&q=%20x%2B+y")
    p.say("40")
    p.hear()
    p.say('420["getHandshake"]')
    query = json.loads(p.hear()[0][3:])[0]["query"]
    assert query["who"] == "b", query
    assert query["q"] == " x+ y", query
    assert query["EIO"] == "4" and query["transport"] == "polling", query
