"""edges_sio.py - cases 77 to 96: namespaces and acknowledgements."""
import json
import time

from expect import unknown
from raw import Ws, check_age, frame
from sio import (ONE, alive, asked, bad, bad_polling, call, connected,
                 joined, leave, refused)
from suite import Registry

edge = Registry()


# --- 77 to 88: namespaces and their CONNECT

@edge("edge")
def E077_connect_twice_closes(t):
    bad(t, "40")
    bad(t, "40{}")
    w = joined(t, "/a", "")
    w.text("40/a,")
    refused(w)


@edge("edge")
def E077_connect_twice_closes_polling(t):
    bad_polling(t, "40")


@edge("edge")
def E078_connect_error_from_a_client_closes(t):
    bad(t, '44{"message":"x"}')
    bad(t, '44{"message":"x"}', join=False)
    bad_polling(t, '44{"message":"x"}')


@edge("edge")
def E079_namespace_not_joined_closes_all(t):
    for packet in ('42/a,["x"]', '42/nope,["x"]', "43/a,0[]", "41/a,",
                   "41/nope,"):
        bad(t, packet)
    bad_polling(t, '42/a,["x"]')


@edge("edge")
def E079_the_good_namespaces_too(t):
    w = joined(t, "", "/a")
    assert call(w, '"x"', 1, "/a") == "[]"
    w.text('42/mw,["x"]')
    refused(w)


@edge("edge")
def E079_event_before_any_connect(t):
    for packet in ('42["x"]', "41", "430[]", '44"x"'):
        bad(t, packet, join=False)


@edge("edge")
def E079_close_says_why(t):
    code, reason = bad(t, '42/a,["x"]')
    if t.deviates("D4"):
        assert code == 1008 and reason, (code, reason)
        t.note("%d %s" % (code, reason))
    else:
        assert (code, reason) == (1005, ""), (code, reason)


@edge("edge")
def E079_close_packet_on_a_websocket(t):
    w = joined(t)
    w.text("1")
    if t.deviates("D5"):
        code, _ = w.closed()
        assert code in (1000, 1005, 1008), code
    else:
        alive(w)


@edge("edge")
def E080_event_behind_disconnect_closes(t):
    w = joined(t)
    leave(w)
    w.text('42["x"]')
    refused(w)
    w = joined(t, "", "/a")
    leave(w, "/a,")
    w.text('42/a,["x"]')
    refused(w)


@edge("edge")
def E080_disconnect_leaves_the_connection(t):
    w = joined(t, "", "/a")
    leave(w)
    assert call(w, '"x",1', 1, "/a") == "[1]"
    w.text("40")
    connected(w.packet())
    alive(w)


@edge("edge")
def E081_refused_connect_leaves_it_open(t):
    for p in (t.websocket(), joined(t)):
        p.text("40/mw,")
        assert p.packet() == ('44/mw,{"message":"not authorized","data":'
                              '{"content":"Please retry later"}}')
        p.text("40/nope,")
        assert p.packet() == '44/nope,{"message":"Invalid namespace"}'


@edge("edge")
def E081_retry_is_allowed(t):
    w = t.websocket()
    for _ in range(3):
        w.text('40/mw,{"ok":false}')
        assert w.packet().startswith("44/mw,")
    w.text('40/mw,{"ok":true}')
    connected(w.packet(), "/mw")
    assert call(w, '"x",5', 3, "/mw") == "[5]"


@edge("edge")
def E081_refused_by_polling(t):
    p = t.polling()
    p.say("40/mw,")
    assert p.hear()[0].startswith("44/mw,")
    p.say('40/mw,{"ok":true}')
    connected(p.hear()[0], "/mw")


@edge("edge")
def E081_packet_to_a_refused_namespace_closes(t):
    w = joined(t)
    w.text("40/mw,")
    assert w.packet().startswith("44/mw,")
    w.text('42/mw,["x"]')
    refused(w)


@edge("edge")
def E082_with_and_without_comma(t):
    for text in ("40/a", "40/a,", "40/a,{}", '40/a,{"x":1}'):
        w = t.websocket()
        w.text(text)
        connected(w.packet(), "/a")
        assert call(w, '"x"', 0, "/a") == "[]"
    for text in ("41/a", "41/a,"):
        w = joined(t, "/a")
        leave(w, text[2:])
        w.text("40")
        connected(w.packet())


@edge("edge")
def E083_connect_payloads_that_are_none(t):
    for payload in ("[]", "null", '"x"', "true", "[1]", "{", "{}x",
                    "{]", "x"):
        bad(t, "40/a," + payload, join=False)
        bad(t, "40" + payload, join=False)


@edge("sio")
def E083_payload_is_the_auth(t):
    for payload, auth in (("", {}), ("{}", {}), ('{"a":[1,{"b":"\u00e9"}]}',
                                                {"a": [1, {"b": "\u00e9"}]}),
                          ('{"__proto__":1}', {"__proto__": 1}),
                          (' {"a" : 1 } ', {"a": 1})):
        w = t.websocket()
        w.text("40" + payload)
        connected(w.packet())
        got = w.packet()
        assert got.startswith('42["auth",'), got
        got = json.loads(got[2:])[1]
        assert got == auth, (payload, got)


@edge("edge")
def E084_query_is_part_of_the_name(t):
    w = t.websocket()
    for nsp in ("/a?x=1", "/?x=1", "/a?"):
        w.text("40%s," % nsp)
        assert w.packet() == '44%s,{"message":"Invalid namespace"}' % nsp
    connect = joined(t, "/a")
    connect.text('42/a?x=1,["x"]')
    refused(connect)


@edge("edge")
def E085_odd_names(t):
    w = t.websocket()
    for nsp in ("//", "///a", "/A", "/a/", "/a b", "/\u00e9", "/__proto__",
                '/a"b', "/" + "x" * 1000):
        w.text("40%s," % nsp)
        assert (w.packet() ==
                '44%s,{"message":"Invalid namespace"}' % nsp), nsp
    w.text("40")
    connected(w.packet())


@edge("edge")
def E085_payload_may_look_like_a_name(t):
    """`42/a["m"]' has the namespace `/a["m"]'."""
    w = joined(t, "/a")
    w.text('42/a["m"]')
    refused(w)


@edge("edge")
def E086_event_in_the_payload_of_the_connect(t):
    p = t.polling()
    p.say("40", '420["x",1]')
    if t.deviates("D3"):
        got = p.gather(2)
        connected(got[0])
        assert got[1] == "430[1]", got
    else:
        assert p.get().packets()[-1] == "1"
        unknown(p.get())


@edge("edge", handshake_delay=500)
def E086_events_wait_for_the_verdict(t):
    w = t.websocket()
    w.send(frame("40") + frame('420["x",0]') + frame('451-1["x",%s]' % ONE) +
           frame(b"\1\2", opcode=2) + frame('422["x",2]'))
    if t.deviates("D3"):
        connected(w.packet())
        got = [w.packet() for _ in range(4)]
        assert got == ["430[0]", "461-1[%s]" % ONE, b"\1\2", "432[2]"], got
    else:
        refused(w)


@edge("edge", handshake_delay=500)
def E086_other_namespaces_do_not_wait(t):
    w = joined(t)
    w.text("40/a,")
    assert call(w, '"x",1', 5) == "[1]"
    connected(w.packet(), "/a")


@edge("edge", handshake_delay=500)
def E086_events_for_a_refused_connect(t):
    """They are for a namespace that is not joined then."""
    w = joined(t)
    w.send(frame("40/mw,") + frame('42/mw,["x"]'))
    if t.deviates("D3"):
        assert w.packet().startswith("44/mw,")
        if not w.silent(0.3):
            refused(w)
        else:
            alive(w)
    else:
        refused(w)


@edge("edge", handshake_delay=500)
def E087_closed_before_the_verdict(t):
    for end in (Ws.close, Ws.reset,
                lambda w: w.send(frame(b"\x03\xe8", opcode=8))):
        for nsps in (["40"], ["40", "40/a,"], ["40/mw,"]):
            w = t.websocket()
            for text in nsps:
                w.text(text)
            time.sleep(0.05)
            end(w)
    p = t.polling()
    p.say("40", "40/a,")
    p.say("1")
    unknown(p.get())
    time.sleep(1)
    alive(joined(t))


@edge("edge", handshake_delay=500)
def E087_left_before_the_verdict(t):
    """`41' for a namespace that is not joined yet."""
    w = t.websocket()
    w.send(frame("40") + frame("41"))
    if t.deviates("D3"):
        # it waits, too: joined, then left
        connected(w.packet())
        w.text("40")
        connected(w.packet())
    else:
        refused(w)
    alive(joined(t))


@edge("edge", seconds=2, connect_timeout=1500)
def E088_connect_timeout_counts_from_the_open(t):
    w = t.websocket()
    time.sleep(1)
    code, _ = w.closed()
    check_age(w, 1.3, 3)
    assert code in (1005, 1008), code


@edge("edge", seconds=2, connect_timeout=1500)
def E088_refused_namespaces_do_not_stop_it(t):
    w = t.websocket()
    for nsp in ("/nope", "/mw", "/nope"):
        time.sleep(0.3)
        w.text("40%s," % nsp)
        assert w.packet().startswith("44" + nsp)
    w.closed()
    check_age(w, 1.3, 3)


@edge("edge", seconds=3, connect_timeout=1500)
def E088_a_join_stops_it(t):
    w = joined(t, "/a")
    time.sleep(2)
    assert call(w, '"x"', 0, "/a") == "[]"
    # for good: who leaves all namespaces may stay
    leave(w, "/a,")
    time.sleep(2)
    w.text("40")
    connected(w.packet())


@edge("edge", seconds=2, connect_timeout=1500)
def E088_by_polling(t):
    p = t.polling()
    c = p.poll()
    r = c.response()
    assert r.text() == "1", r
    check_age(p, 1.3, 3)
    unknown(p.get())


# --- 89 to 96: acknowledgements

@edge("edge")
def E089_ack_id_zero(t):
    w = joined(t)
    assert call(w, '"x","y"', 0) == '["y"]'
    w.text('42["x"]')
    alive(w)


@edge("edge")
def E090_large_ack_ids(t):
    w = joined(t)
    for n in (2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1):
        assert call(w, '"x",1', n) == "[1]", n


@edge("edge")
def E090_ack_ids_that_are_too_large(t):
    w = joined(t)
    w.text('42%d["x"]' % (2 ** 53 + 1))
    if t.deviates("D9"):
        refused(w)
    else:
        assert w.packet() == "43%d[]" % 2 ** 53


@edge("edge")
def E090_ack_ids_that_are_none(t):
    for n in ("1.5", "-1", "1e3", "0x1", "+1"):
        bad(t, '42%s["x"]' % n)


@edge("edge")
def E090_leading_zeros(t):
    w = joined(t)
    w.text('42007["x"]')
    assert w.packet() == "437[]"


@edge("edge")
def E091_unknown_ack_is_ignored(t):
    w = joined(t)
    for text in ("43999[]", '430["x"]', "43%d[]" % (2 ** 53 - 1),
                 "461-5[%s]" % ONE):
        w.text(text)
        if text.startswith("46"):
            w.binary(b"x")
        alive(w)


@edge("edge")
def E092_ack_payload_is_an_array(t):
    w = joined(t)
    w.text('420["x"]')
    assert w.packet() == "430[]"
    w.text('421["x",[]]')
    assert w.packet() == "431[[]]"
    for payload in ("{}", '"x"', "null", "true"):
        bad(t, "430" + payload)


@edge("edge")
def E092_ack_may_be_empty(t):
    w = joined(t)
    n, = asked(w)
    w.text("43%d[]" % n)
    assert w.packet() == '42["answered",0]'
    n, = asked(w)
    w.text('43%d["a",{"b":[1]}]' % n)
    assert w.packet() == '42["answered",0,"a",{"b":[1]}]'


@edge("edge")
def E092_packets_without_payload(t):
    """The reference takes them; nobody sends them."""
    for packet in ("42", "420", "43", "430"):
        w = joined(t)
        w.text(packet)
        if t.deviates("D10"):
            refused(w)
            continue
        if packet == "420":
            assert w.packet() == "430[]"
        alive(w)


@edge("edge")
def E093_ack_with_binary_is_type_6(t):
    w = joined(t)
    w.text('451-7["x",%s]' % ONE)
    w.binary(b"\0\1\xff")
    assert w.packet() == "461-7[%s]" % ONE
    assert w.packet() == b"\0\1\xff"


@edge("edge")
def E093_binary_ack_of_the_client(t):
    w = joined(t, "/a")
    n, = asked(w, nsp="/a")
    w.text("461-/a,%d[%s]" % (n, ONE))
    w.binary(b"abc")
    assert w.packet() == '451-/a,["answered",0,%s]' % ONE
    assert w.packet() == b"abc"


@edge("edge")
def E093_type_6_without_binary_is_refused(t):
    bad(t, "460-0[]")
    bad(t, "46[]")


@edge("edge")
def E094_double_ack_is_ignored(t):
    w = joined(t)
    n, = asked(w)
    w.text('43%d["first"]' % n)
    w.text('43%d["second"]' % n)
    assert w.packet() == '42["answered",0,"first"]'
    alive(w)


@edge("edge")
def E094_acks_in_any_order(t):
    w = joined(t)
    ids = asked(w, 10)
    for i in (9, 0, 5, 3):
        w.text('43%d[%d]' % (ids[i], i))
        assert w.packet() == '42["answered",%d,%d]' % (i, i)


@edge("edge")
def E095_ack_for_the_socket_before(t):
    w = joined(t)
    n, = asked(w)
    leave(w)
    w.text("40")
    connected(w.packet())
    w.text('43%d["late"]' % n)
    alive(w)


@edge("edge")
def E095_ack_behind_disconnect(t):
    w = joined(t)
    n, = asked(w)
    leave(w)
    w.text("43%d[]" % n)
    refused(w)


@edge("edge")
def E096_ack_ids_of_the_server_differ(t):
    w = joined(t)
    ids = asked(w, 50) + asked(w, 50)
    assert len(set(ids)) == 100, ids
    v = joined(t, "/a", "")
    more = asked(v, 5, "/a") + asked(v, 5)
    assert len(set(more)) >= 5, more
