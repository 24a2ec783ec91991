"""edges_upgrade.py - cases 41 to 58: from polling to a WebSocket."""
import json
import time

from expect import echoes, gone, mismatch, unknown
from raw import (Ended, Ws, check_age, frame, request, sleep_until,
                 upgrade_request)
from suite import Registry

edge = Registry()
# as fast as a machine that is busy can follow
FAST = {"ping_interval": 3000, "ping_timeout": 3000}


def probed(p):
    """A WebSocket that has its `3probe'."""
    w = p.probe()
    w.text("2probe")
    assert w.recv() == "3probe"
    return w


def upgraded_echoes(w, text="4hi"):
    w.text(text)
    assert w.packet() == text


def closed_quietly(w):
    """A close frame, for the reference an empty one, and the end."""
    code, _ = w.closed()
    assert code in (1000, 1002, 1003, 1005, 1008), code


# --- 41 to 46: probing

@edge("eio-echo")
def E041_noop_for_every_get(t):
    p = t.polling()
    c = p.poll()
    w = probed(p)
    for _ in range(4):
        r = c.response()
        assert (r.status, r.body) == (200, b"6"), r
        c = p.poll()
    r = c.response()
    assert r.body == b"6", r
    w.text("5")
    upgraded_echoes(w)


@edge("eio-echo")
def E041_noop_for_a_get_behind_the_probe(t):
    p = t.polling()
    w = probed(p)
    for _ in range(3):
        assert p.get().body == b"6"
    w.text("5")
    upgraded_echoes(w)


@edge("eio-echo")
def E041_noop_comes_at_once(t):
    took = []
    for _ in range(5):
        p = t.polling()
        c = p.poll()
        assert c.silent(0.1)
        w = probed(p)
        began = time.monotonic()
        assert c.response().body == b"6"
        took.append(time.monotonic() - began)
        w.close()
    t.note("noop after %.0f ms" % (min(took) * 1000))
    if t.deviates("D2"):
        assert min(took) < 0.06, took
    else:
        assert 0.06 < min(took) < 0.15, took


@edge("eio-echo")
def E041_no_noop_before_the_probe(t):
    p = t.polling()
    c = p.poll()
    w = p.probe()
    assert c.silent(0.4)
    w.text("2probe")
    assert w.recv() == "3probe"
    assert c.response().body == b"6"


@edge("eio-echo")
def E041_get_pending_at_the_5_is_answered(t):
    """No stock client has one there; it may not hang."""
    p = t.polling()
    w = p.probe()
    c = p.poll()
    assert c.silent(0.2)
    w.text("2probe")
    assert w.recv() == "3probe"
    w.text("5")
    upgraded_echoes(w)
    r = c.response()
    assert r.status == 200 and r.text() in ("1", "6"), r


@edge("eio-echo")
def E042_nothing_but_3probe(t):
    p = t.polling()
    w = probed(p)
    for i in range(3):
        p.say("4m%d" % i)
    assert w.silent(0.5)
    assert p.gather(3) == ["4m0", "4m1", "4m2"]
    assert w.silent(0.3)


@edge("eio-echo")
def E043_what_is_queued_goes_by_polling(t):
    p = t.polling()
    p.say("4before")
    w = probed(p)
    p.say("4during", "bAQID")
    assert p.gather(3) == ["4before", "4during", "bAQID"]
    assert w.silent(0.2)


@edge("eio-echo")
def E043_pending_get_gets_data(t):
    p = t.polling()
    w = probed(p)
    assert p.get().body == b"6"
    p.say("4x")
    assert p.hear() == ["4x"]
    assert w.silent(0.2)


@edge("eio-echo")
def E044_post_while_probing(t):
    p = t.polling()
    w = probed(p)
    for text in ("4a", "4b" + "x" * 50000, "bAQID"):
        p.say(text)
        assert p.hear() == [text]
    w.text("5")
    upgraded_echoes(w)


@edge("eio-echo")
def E044_post_under_way_at_the_5(t):
    """Its body ends after the upgrade: it is answered, not forgotten."""
    p = t.polling()
    w = probed(p)
    c = t.conn()
    data = request("POST", p.target(), body="4late")
    c.send(data[:-2])
    time.sleep(0.2)
    w.text("5")
    upgraded_echoes(w)
    try:
        c.send(data[-2:])
        r = c.response("POST")
        assert r.status in (200, 400), r
    except (Ended, OSError):
        pass  # cut: the client has broken the rule
    upgraded_echoes(w)


@edge("eio-echo")
def E045_probe_and_upgrade_in_one_segment(t):
    p = t.polling()
    w = p.probe()
    w.send(frame("2probe") + frame("5") + frame("4a") + frame("4b"))
    assert [w.recv() for _ in range(3)] == ["3probe", "4a", "4b"]


@edge("eio-echo")
def E045_probe_and_upgrade_behind_the_head(t):
    p = t.polling()
    w = Ws(t.port)
    w.send(upgrade_request(p.target(transport="websocket")) +
           frame("2probe") + frame("5") + frame("4a"))
    w.upgraded()
    assert [w.recv() for _ in range(2)] == ["3probe", "4a"]


@edge("edge")
def E045_connect_behind_the_upgrade(t):
    p = t.polling()
    w = p.probe()
    w.send(frame("2probe") + frame("5") + frame("40"))
    assert w.recv() == "3probe"
    assert w.recv().startswith('40{"sid":')


@edge("eio-echo")
def E045_upgrade_without_a_probe(t):
    p = t.polling()
    p.say("4queued")
    w = p.probe()
    w.text("5")
    assert w.recv() == "4queued"
    upgraded_echoes(w)


@edge("eio-echo")
def E045_byte_by_byte(t):
    p = t.polling()
    w = Ws(t.port)
    w.send_slowly(upgrade_request(p.target(transport="websocket")) +
                  frame("2probe") + frame("5") + frame("4a"))
    w.upgraded()
    assert [w.recv() for _ in range(2)] == ["3probe", "4a"]


@edge("eio-echo")
def E046_get_behind_the_upgrade_is_code_3(t):
    p = t.polling()
    w = p.upgrade()
    upgraded_echoes(w)
    mismatch(p.get())
    upgraded_echoes(w)


@edge("eio-echo")
def E046_post_behind_the_upgrade_is_code_3(t):
    p = t.polling()
    w = p.upgrade()
    upgraded_echoes(w)
    mismatch(p.post("4x"))
    mismatch(p.ask(request("PUT", p.target(), body=""), "PUT"))
    upgraded_echoes(w)


@edge("eio-echo")
def E046_websocket_without_upgrade_is_code_3(t):
    p = t.polling()
    mismatch(p.ask(request("GET", p.target(transport="websocket"))))
    echoes(p)


@edge("eio-echo")
def E046_get_for_a_websocket_session(t):
    w = t.websocket()
    mismatch(t.ask(query="EIO=4&transport=polling&sid=" + w.sid))
    upgraded_echoes(w)


@edge("eio-echo")
def E046_order_over_the_upgrade(t):
    """What was queued by polling comes first, then the WebSocket's."""
    p = t.polling()
    w = probed(p)
    p.say(*["4p%d" % i for i in range(20)])
    w.send(frame("5") + b"".join(frame("4w%d" % i) for i in range(20)))
    got = [w.recv() for _ in range(40)]
    assert got == (["4p%d" % i for i in range(20)] +
                   ["4w%d" % i for i in range(20)]), got


# --- 47 to 50: what goes wrong with a probe

def second_is_closed(p):
    w = p.probe()
    closed_quietly(w)


@edge("eio-echo")
def E047_second_while_probing(t):
    p = t.polling()
    w = probed(p)
    second_is_closed(p)
    assert p.get().body == b"6"
    w.text("5")
    upgraded_echoes(w)


@edge("eio-echo")
def E047_second_before_the_first_has_probed(t):
    p = t.polling()
    w = p.probe()
    second_is_closed(p)
    w.send(frame("2probe") + frame("5"))
    assert w.recv() == "3probe"
    upgraded_echoes(w)


@edge("eio-echo")
def E047_second_behind_the_upgrade(t):
    p = t.polling()
    w = p.upgrade()
    upgraded_echoes(w)
    second_is_closed(p)
    upgraded_echoes(w)


@edge("eio-echo")
def E047_second_for_a_websocket_session(t):
    """A session that began on a WebSocket has nothing to upgrade."""
    w = t.websocket()
    v = Ws(t.port)
    v.upgrade(t.target("EIO=4&transport=websocket&sid=" + w.sid))
    if t.deviates("D13"):
        closed_quietly(v)
    else:
        v.text("2probe")
        assert v.recv() == "3probe"
        v.close()
    upgraded_echoes(w)


@edge("eio-echo", seconds=2, upgrade_timeout=1000)
def E048_timeout_closes_only_the_websocket(t):
    for probe in (False, True):
        p = t.polling()
        w = p.probe()
        began = time.monotonic()
        if probe:
            w.text("2probe")
            assert w.recv() == "3probe"
        closed_quietly(w)
        took = time.monotonic() - began
        assert 0.7 < took < 5, took
        echoes(p)


@edge("eio-echo", seconds=2, upgrade_timeout=1000)
def E048_another_attempt_is_allowed(t):
    p = t.polling()
    closed_quietly(probed(p))
    w = p.upgrade()
    upgraded_echoes(w)


@edge("eio-echo", seconds=2, upgrade_timeout=1000)
def E048_the_timer_ends_with_the_upgrade(t):
    p = t.polling()
    w = p.upgrade()
    upgraded_echoes(w)
    time.sleep(1.5)
    upgraded_echoes(w)


def wrong(t, send, closes=True):
    for probe in (False, True):
        p = t.polling()
        c = p.poll()
        w = probed(p) if probe else p.probe()
        send(w)
        closed_quietly(w) if closes else w.close()
        if c.silent(0.2):
            p.say("4x")
            assert c.response().text() == "4x"
        else:
            assert c.response().text() == "6"
        echoes(p)
        upgraded_echoes(p.upgrade())


@edge("eio-echo")
def E049_ping_on_the_probe(t):
    wrong(t, lambda w: w.text("2"))


@edge("eio-echo")
def E049_pong_on_the_probe(t):
    wrong(t, lambda w: w.text("3probe"))


@edge("eio-echo")
def E049_message_on_the_probe(t):
    wrong(t, lambda w: w.text("4x"))


@edge("eio-echo")
def E049_binary_on_the_probe(t):
    wrong(t, lambda w: w.binary(b"\1\2"))


@edge("eio-echo")
def E049_close_packet_on_the_probe(t):
    wrong(t, lambda w: w.text("1"))


@edge("eio-echo")
def E049_other_pings_on_the_probe(t):
    for text in ("2prob", "2probes", "2PROBE"):
        wrong(t, lambda w: w.text(text))


@edge("eio-echo")
def E049_nonsense_on_the_probe(t):
    for text in ("", "9", "x"):
        wrong(t, lambda w: w.text(text))


@edge("eio-echo")
def E049_bad_frame_on_the_probe(t):
    def send(w):
        w.text("4x", rsv=2)
        assert w.closed()[0] == 1002
    wrong(t, send, False)


@edge("eio-echo")
def E049_close_frame_on_the_probe(t):
    wrong(t, lambda w: w.send(frame(b"\x03\xe8", opcode=8)))


@edge("eio-echo")
def E049_lost_probe(t):
    for end in (Ws.close, Ws.reset):
        wrong(t, end, False)


@edge("eio-echo")
def E050_close_packet_closes_the_probe(t):
    p = t.polling()
    w = probed(p)
    p.say("1")
    closed_quietly(w)
    unknown(p.get())


@edge("eio-echo")
def E050_parse_error_closes_the_probe(t):
    p = t.polling()
    w = p.probe()
    p.post("9")
    closed_quietly(w)
    unknown(p.get())


@edge("eio-echo")
def E050_aborted_get_closes_the_probe(t):
    p = t.polling()
    c = p.poll()
    w = p.probe()
    assert c.silent(0.1)
    c.close()
    closed_quietly(w)
    gone(p)


@edge("edge")
def E050_kick_closes_the_probe(t):
    p = t.polling()
    p.say("40")
    p.hear()
    w = probed(p)
    p.say('42["kick",true]')
    got = []
    for _ in range(10):
        r = p.get()
        if r.status != 200:
            break
        got += r.packets()
    assert [x for x in got if x != "6"] == ["41", "1"], got
    closed_quietly(w)
    unknown(p.get())


@edge("eio-echo", seconds=5, ping_interval=1500, ping_timeout=2100)
def E050_ping_timeout_closes_the_probe(t):
    p = t.polling()
    w = probed(p)
    closed_quietly(w)
    check_age(p, 3.3, 60)
    unknown(p.get())


# --- 51, 52: the heartbeat

@edge("eio-echo", seconds=5, **FAST)
def E051_ping_during_the_probe_goes_over_polling(t):
    p = t.polling()
    w = probed(p)
    got = []
    while "2" not in got and time.monotonic() < p.opened + 5.9:
        r = p.get()
        assert r.status == 200, r
        got += r.packets()
        time.sleep(0.05)
    assert "2" in got and set(got) <= {"2", "6"}, got
    check_age(p, 2.9, 60)
    assert w.silent(0.1)
    p.say("3")
    w.text("5")
    upgraded_echoes(w)


@edge("eio-echo", seconds=6, ping_interval=5000, ping_timeout=5000)
def E052_the_ping_timer_is_not_restarted(t):
    p = t.polling()
    sleep_until(p, 4)
    w = p.upgrade()
    assert w.recv() == "2"
    check_age(p, 4.8, 8.8)


@edge("eio-echo", seconds=7, **FAST)
def E052_a_pending_pong_is_forgiven(t):
    p = t.polling()
    assert p.get().body == b"2"
    w = p.upgrade()
    sleep_until(p, 6.5)
    w.text("4hi")
    assert w.packet() == "4hi"


@edge("eio-echo", seconds=12, **FAST)
def E052_the_heartbeat_goes_on(t):
    p = t.polling()
    assert p.get().body == b"2"
    w = p.upgrade()
    w.text("3")
    began = time.monotonic()
    assert w.recv() == "2"
    assert 2.8 < time.monotonic() - began < 5.9
    w.text("3")
    assert w.recv() == "2"
    # and who is silent is closed
    closed_quietly(w)


# --- 53 to 55: which upgrades are refused

@edge("eio-echo")
def E053_revision_differs(t):
    p = t.polling()
    for eio in ("3", None, "5", ""):
        c = t.conn()
        c.send(upgrade_request(p.target(transport="websocket", eio=eio)))
        r = c.response()
        assert r.status == 400 and r.text() == "Bad request", r
        assert c.rest() == b""
    echoes(p)
    upgraded_echoes(p.upgrade())


@edge("eio-echo")
def E053_revision_of_requests_differs(t):
    p = t.polling()
    for eio in ("3", None):
        mismatch(p.ask(request("GET", p.target(eio=eio))))
        mismatch(p.ask(request("POST", p.target(eio=eio), body="4x"), "POST"))
    echoes(p)


@edge("eio-echo")
def E053_unknown_sid(t):
    t.refused_upgrade("EIO=4&transport=websocket&sid=" + "A" * 20,
                      text="Session ID unknown")


@edge("eio-echo")
def E053_sid_of_a_closed_session(t):
    p = t.polling()
    p.say("1")
    t.refused_upgrade("EIO=4&transport=websocket&sid=" + p.sid,
                      text="Session ID unknown")


@edge("eio-echo", transports="polling")
def E054_websocket_disabled(t):
    p = t.polling()
    assert p.open["upgrades"] == []
    for target in (p.target(transport="websocket"),
                   t.target("EIO=4&transport=websocket")):
        c = t.conn()
        c.send(upgrade_request(target))
        r = c.response()
        assert r.status == 400 and "Transport unknown" in r.text(), r
        c.close()
    echoes(p)


@edge("eio-echo", transports="websocket")
def E054_polling_disabled(t):
    r = t.ask()
    assert r.status == 400, r
    assert json.loads(r.body) == {"code": 0, "message": "Transport unknown"}
    upgraded_echoes(t.websocket())


@edge("eio-echo")
def E055_polling_with_upgrade_header(t):
    w = Ws(t.port)
    w.send(upgrade_request(t.target("EIO=4&transport=polling")))
    w.upgraded()
    closed_quietly(w)


@edge("eio-echo")
def E055_of_a_session(t):
    p = t.polling()
    w = Ws(t.port)
    w.send(upgrade_request(p.target()))
    w.upgraded()
    closed_quietly(w)
    echoes(p)


# --- 56 to 58

BINARY = ('452-7["x",{"_placeholder":true,"num":0},'
          '{"_placeholder":true,"num":1}]', b"\1\2\3", b"\4\5\6")
ANSWER = '462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'


@edge("edge")
def E056_attachments_stay_with_their_packet_on_polling(t):
    p = t.polling()
    p.say("40")
    p.hear()
    w = probed(p)
    p.say(BINARY[0], "bAQID", "bBAUG")
    got = []
    while not [x for x in got if x != "6"]:
        got = p.get().packets()
    assert [x for x in got if x != "6"] == [ANSWER, "bAQID", "bBAUG"], got
    assert w.silent(0.2)


@edge("edge")
def E056_attachments_stay_with_their_packet_on_websocket(t):
    p = t.polling()
    p.say("40")
    p.hear()
    w = probed(p)
    p.say(BINARY[0], "bAQID", "bBAUG")
    w.text("5")
    assert [w.recv() for _ in range(3)] == [ANSWER, BINARY[1], BINARY[2]]


@edge("edge")
def E056_a_packet_may_begin_on_polling(t):
    """The decoder is the session's, not the transport's."""
    p = t.polling()
    p.say("40")
    p.hear()
    p.say(BINARY[0], "bAQID")
    w = p.upgrade()
    w.binary(BINARY[2])
    assert [w.recv() for _ in range(3)] == [ANSWER, BINARY[1], BINARY[2]]


@edge("eio-echo", seconds=13, **FAST)
def E057_polling_forever(t):
    p = t.polling()
    for i in range(4):
        assert p.get().body == b"2"
        p.say("3")
        echoes(p, "4%d" % i)
    check_age(p, 11.8, 60)


@edge("eio-echo", workers=3, seconds=3)
def E058_upgrade_at_any_worker(t):
    for i in range(30):
        p = t.polling()
        echoes(p, "4%d" % i)
        w = p.upgrade()
        upgraded_echoes(w, "4w%d" % i)
        w.close()


@edge("eio-echo", workers=3, seconds=3)
def E058_requests_at_any_worker(t):
    sessions = [t.polling() for _ in range(20)]
    for turn in range(5):
        for i, p in enumerate(sessions):
            echoes(p, "4%d.%d" % (turn, i))


@edge("chat", workers=3, seconds=3)
def E058_upgrade_at_any_worker_of_the_daemon(t):
    for i in range(30):
        p = t.polling()
        p.say('40{"userId":"u"}')
        assert p.hear()[0].startswith('40{"sid":')
        w = p.upgrade()
        w.text('421["chat:join-session",'
               '{"sessionId":"e058","workspaceId":"w"}]')
        while not w.packet().startswith('431[{"ok":true'):
            pass
        w.close()
