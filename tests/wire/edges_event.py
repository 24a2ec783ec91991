"""edges_event.py - cases 97 to 105, 108 and 111: events and what they carry.
"""
import json
import re

from expect import unknown
from raw import Ws, frame
from sio import (ONE, alive, asked, bad, call, connected, joined, leave,
                 refused)
from suite import Registry

edge = Registry()


# --- 97 to 103: events and attachments

RESERVED = ("connect", "connect_error", "disconnect", "disconnecting",
            "newListener", "removeListener")


@edge("edge")
def E097_reserved_names_are_refused(t):
    for name in RESERVED:
        bad(t, '42["%s"]' % name)
        bad(t, '420["%s","x"]' % name)


@edge("edge")
def E097_reserved_names_in_escapes(t):
    """What counts is the name, not how it is written."""
    bad(t, '42["\\u0063onnect"]')
    bad(t, '42["disconnec\\u0074"]')


@edge("edge")
def E097_reserved_names_of_binary_events(t):
    bad(t, '451-["disconnect",%s]' % ONE, b"x")


@edge("edge")
def E097_ordinary_names(t):
    w = joined(t)
    for name in ('"error"', '""', "5", "0", "-1", '"__proto__"',
                 '"constructor"', '"Connect"', '"connect "', '"message"',
                 "1.5", '"\u00e9"', '"' + "x" * 1000 + '"', '"toString"'):
        assert call(w, name + ",1", 3) == "[1]", name


@edge("edge")
def E097_names_that_are_none(t):
    for name in ('{"toString":"foo"}', "null", "[]", "true", '["x"]', ""):
        bad(t, "42[%s]" % name)


@edge("edge")
def E097_payloads_that_are_none(t):
    for payload in ("{}", "[", '["x"', '["x",]', '["x"]x', "['x']",
                    '["x",01]', '["x",+1]', '["x",.5]', '["x",1.]',
                    '["x",nul]', '["x","\t"]', '["x","\\q"]', '["x","\\u12"]',
                    '["x"][]', "null", '"x"', '["x",tru]', '["x" 1]',
                    '["x",{"a"}]', '["x",{a:1}]', '["x",\ufeff1]'):
        bad(t, "42" + payload)


@edge("edge")
def E097_white_space_in_the_payload(t):
    w = joined(t)
    w.text('421[ "x" ,\t1 , { "a" : [ ] }\r\n] ')
    assert json.loads(w.packet()[3:]) == [1, {"a": []}]


@edge("edge")
def E097_unknown_types(t):
    for packet in ("47", "48[]", "49", "4x", "4[", '4"', "4-"):
        bad(t, packet)
    bad(t, "4")


@edge("edge")
def E097_disconnect_with_payload(t):
    for packet in ("41{}", "41[]", '41"x"', "41null"):
        bad(t, packet)


@edge("edge")
def E098_placeholders_of_plain_events_stay(t):
    w = joined(t)
    for args in (ONE, '{"_placeholder":true,"num":5}', '{"_placeholder":true}',
                 '[%s,{"x":%s}]' % (ONE, ONE),
                 '{"_placeholder":true,"num":"splice"}'):
        assert json.loads(call(w, '"x",' + args)) == [json.loads(args)]
    n, = asked(w)
    w.text("43%d[%s]" % (n, ONE))
    assert json.loads(w.packet()[2:]) == ["answered", 0, json.loads(ONE)]


@edge("edge")
def E099_num_is_checked(t):
    for num in ('"splice"', "-1", "1", "1e3", "null", '"0"', "true", "{}",
                "10", "99999999999999999999"):
        bad(t, '451-["x",{"_placeholder":true,"num":%s}]' % num, b"y")
    bad(t, '451-["x",{"_placeholder":true}]', b"y")


@edge("edge")
def E099_num_is_whole(t):
    w = joined(t)
    w.text('451-0["x",{"_placeholder":true,"num":0.5}]')
    w.binary(b"y")
    if t.deviates("D11"):
        refused(w)
    else:
        assert w.packet() == "430[null]"


@edge("edge")
def E099_name_is_no_placeholder(t):
    bad(t, "451-[%s]" % ONE, b"y")


@edge("edge")
def E099_other_objects_are_no_placeholders(t):
    w = joined(t)
    for other in ('{"_placeholder":"true","num":0}', '{"placeholder":true}',
                  '{"_placeholder":1,"num":0}',
                  '{"_placeholder":false,"num":0}',
                  '"_placeholder"', '{"x":{"_placeholder":null,"num":0}}'):
        w.text('451-0["x",%s,%s]' % (ONE, other))
        w.binary(b"y")
        assert (json.loads(w.packet()[len("461-0"):]) ==
                [json.loads(ONE), json.loads(other)]), other
        assert w.packet() == b"y"


@edge("edge")
def E100_text_between_attachments_closes(t):
    for text in ('42["x"]', "40/a,", "41", '451-["x",%s]' % ONE):
        bad(t, '452-["x",%s]' % ONE, b"y", text)


@edge("edge")
def E100_pong_between_attachments_is_fine(t):
    w = joined(t)
    w.text('452-0["x",%s,{"_placeholder":true,"num":1}]' % ONE)
    for packet in ("3", b"a", "3probe", "6", b"b"):
        w.text(packet) if isinstance(packet, str) else w.binary(packet)
    assert w.packet().startswith("462-0[")
    assert [w.packet(), w.packet()] == [b"a", b"b"]


@edge("edge")
def E100_binary_out_of_turn_closes(t):
    for data in (b"", b"x"):
        bad(t, data)
        bad(t, data, join=False)
    w = joined(t)
    w.text('451-0["x",%s]' % ONE)
    w.binary(b"y")
    w.packet(), w.packet()
    w.binary(b"z")
    refused(w)


@edge("edge")
def E101_number_of_attachments(t):
    for count in ("0", "11", "99999", "", "x", "1.5", "-1", "9" * 400, " ",
                  "00"):
        bad(t, '45%s-["x",%s]' % (count, ONE))
    bad(t, '451["x",%s]' % ONE)
    bad(t, "45")
    bad(t, "45-")
    bad(t, "45" + "5" * 100000)


@edge("edge")
def E101_ten_are_fine(t):
    w = joined(t)
    holders = ",".join('{"_placeholder":true,"num":%d}' % i
                       for i in range(10))
    w.text('4510-0["x",%s]' % holders)
    for i in range(10):
        w.binary(bytes([i]) * i)
    assert w.packet() == "4610-0[%s]" % holders
    for i in range(10):
        assert w.packet() == bytes([i]) * i


@edge("edge")
def E102_partial_packet_is_dropped_with_the_session(t):
    for end in (Ws.close, Ws.reset):
        w = joined(t)
        w.text('452-0["x",%s]' % ONE)
        w.binary(b"a")
        end(w)
    bad(t, b"b")


@edge("edge")
def E102_partial_packet_by_polling(t):
    p = t.polling()
    p.say("40")
    p.hear()
    p.say('452-0["x",%s]' % ONE, "bAQID")
    p.say("1")
    unknown(p.get())
    alive(joined(t))


def binary_answer(w, n=0):
    """A binary acknowledgement with its attachments in their places."""
    got = w.packet()
    m = re.fullmatch(r"46(\d+)-%d(\[.*\])" % n, got)
    assert m, got
    parts = [w.packet() for _ in range(int(m.group(1)))]

    def fill(v):
        if isinstance(v, dict):
            if v.get("_placeholder") is True:
                return parts[v["num"]]
            return {k: fill(x) for k, x in v.items()}
        return [fill(x) for x in v] if isinstance(v, list) else v
    return fill(json.loads(m.group(2)))


@edge("edge")
def E103_one_attachment_twice(t):
    w = joined(t)
    w.text('451-0["x",%s,{"again":%s}]' % (ONE, ONE))
    w.binary(b"abc")
    assert binary_answer(w) == [b"abc", {"again": b"abc"}]


@edge("edge")
def E103_order_is_by_num(t):
    w = joined(t)
    w.text('452-0["x",{"_placeholder":true,"num":1},%s]' % ONE)
    w.binary(b"a")
    w.binary(b"b")
    assert binary_answer(w) == [b"b", b"a"]


@edge("edge")
def E103_unreferenced_attachment_is_dropped(t):
    w = joined(t)
    w.text('452-0["x",{"_placeholder":true,"num":1}]')
    w.binary(b"a")
    w.binary(b"b")
    assert binary_answer(w) == [b"b"]
    w.text('451-0["x",1]')
    w.binary(b"a")
    assert w.packet() == "430[1]"


@edge("edge")
def E103_deep_places(t):
    w = joined(t)
    w.text('452-0["x",{"a":[1,{"b":%s}],"__proto__":'
           '{"_placeholder":true,"num":1}}]' % ONE)
    w.binary(b"a")
    w.binary(b"b")
    got = binary_answer(w)[0]
    assert got["a"] == [1, {"b": b"a"}], got


# --- 104, 105: text and numbers

@edge("edge")
def E104_unicode(t):
    w = joined(t)
    for text in ('"\U0001f600"', '"\u2028\u2029"', r'"\ud800"',
                 r'"\udc00\ud800"', r'"\u0000"', r'"a\u0000b"',
                 r'"\ud83d\ude00"', '"\ufeff\uffff"', r'"\u001e"',
                 '"\U0010ffff"', r'"\"\\\/\b\f\n\r\t"', '"\x7f"',
                 '{"\u00e9\\u0000":"\\udfff"}'):
        got = call(w, '"x",' + text)
        assert json.loads(got) == [json.loads(text)], (text, got)
        # nothing unpaired gets out raw
        got.encode("utf-8")


@edge("edge")
def E104_unicode_by_polling(t):
    p = t.polling()
    p.say("40")
    p.hear()
    for text in ('"\U0001f600\u2028"', r'"\u001e"', r'"\ud800"'):
        p.say('420["x",%s]' % text)
        got, = p.hear()
        assert json.loads(got[3:]) == [json.loads(text)], got


@edge("edge")
def E105_numbers(t):
    w = joined(t)
    args = '12345678901234567890,1e400,-0,{"a":1,"a":2},1.0,1E5,-1e-400'
    got = call(w, '"x",' + args)
    if t.deviates("D6"):
        assert got == "[%s]" % args, got
    else:
        assert got == ("[12345678901234567000,null,0,"
                       '{"a":2},1,100000,0]'), got


@edge("edge")
def E105_numbers_that_are_exact(t):
    w = joined(t)
    args = "[0,1,-1,9007199254740991,-9007199254740991,0.5,-0.25,1e21]"
    assert json.loads(call(w, '"x",' + args)) == [json.loads(args)]


@edge("edge")
def E105_long_number(t):
    w = joined(t)
    got = call(w, '"x",' + "9" * 900000)
    assert got == ("[%s]" % ("9" * 900000) if t.deviates("D6")
                   else "[null]"), got[:100]


@edge("edge")
def E105_deep_nesting(t):
    """An own limit is allowed; the connection or the server is not lost
    without a word."""
    w = joined(t)
    depth = 500
    w.text('420["x",%s%s]' % ("[" * depth, "]" * depth))
    f = w.frame()
    if f.opcode == 8:
        t.note("refused")
    else:
        assert f.data.count(b"[") == depth + 1, f
        t.note("taken")
    alive(joined(t))


# --- 108, 111

@edge("edge")
def E108_kick_true_says_41_for_each_namespace(t):
    w = joined(t, "", "/a")
    w.text('42/a,["kick",true]')
    got = sorted([w.packet(), w.packet()])
    assert got == ["41", "41/a,"], got
    w.closed()


@edge("edge")
def E108_kick_false_leaves_the_connection(t):
    w = joined(t, "", "/a")
    w.text('42["kick",false]')
    assert w.packet() == "41"
    assert call(w, '"x",1', 2, "/a") == "[1]"
    w.text("40")
    connected(w.packet())
    alive(w)


@edge("edge")
def E108_event_behind_a_kick_closes(t):
    w = joined(t)
    w.text('42["kick",false]')
    assert w.packet() == "41"
    w.text('42["x"]')
    refused(w)


@edge("edge")
def E108_what_was_sent_before_arrives_before(t):
    w = joined(t)
    w.send(frame('420["x",1]') + frame('42["big",300000]') +
           frame('42["kick",true]'))
    assert w.packet() == "430[1]"
    assert len(w.packet()) == 300000 + len('42["bigb",""]')
    assert w.packet() == "41"
    w.closed()


@edge("client")
def E111_handshake_stays_behind_the_upgrade(t):
    p = t.polling("token=abc", headers=["X-Test: one", "User-Agent: me/1"])
    p.query = "token=other"
    p.say("40")
    p.hear()
    w = p.upgrade()
    w.text('420["getHandshake"]')
    h = json.loads(w.packet()[3:])[0]
    assert h["query"]["token"] == "abc", h
    assert h["query"]["transport"] == "polling", h
    assert h["query"]["EIO"] == "4", h
    assert h["headers"]["x-test"] == "one", h
    assert h["headers"]["user-agent"] == "me/1", h
    assert "token=abc" in h["url"], h


@edge("client")
def E111_of_a_socket_that_connects_behind_the_upgrade(t):
    p = t.polling("token=abc", headers=["X-Test: one"])
    w = p.upgrade()
    w.text("40/abc,")
    connected(w.packet(), "/abc")
    got = w.packet()
    h = json.loads(got[got.index("["):])[1]
    assert h["query"]["token"] == "abc", h
    assert h["headers"]["x-test"] == "one", h


@edge("client")
def E111_on_a_websocket(t):
    w = joined(t, query="token=abc")
    w.text('420["getHandshake"]')
    h = json.loads(w.packet()[3:])[0]
    assert h["query"]["token"] == "abc", h
    assert h["query"]["transport"] == "websocket", h
    assert h["auth"] == {} and h["xdomain"] is False, h
    assert h["headers"]["upgrade"] == "websocket", h
    assert isinstance(h["issued"], int) and isinstance(h["time"], str), h


@edge("edge")
def E112_ids_differ(t):
    """Two tabs are two sockets; a namespace has ids of its own."""
    w = t.websocket()
    ids = [w.sid]
    for nsp in ("", "/a"):
        w.text("40" + (nsp + "," if nsp else ""))
        ids.append(connected(w.packet(), nsp))
    ids.append(joined(t).id)
    leave(w)
    w.text("40")
    ids.append(connected(w.packet()))
    assert len(set(ids)) == len(ids), ids
