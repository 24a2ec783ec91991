"""vulns_packets.py - known vulnerabilities of Socket.IO parsers and of chats.
"""
import json
import time

from raw import Ws, frame
from vulns import (MB, ONE, Timer, alive, cut, joined, memory, push, vuln)


def bytes_frame(n):
    return frame(b"x" * n, opcode=2)


@vuln("CVE-2026-69185")
def no_attachment_and_then_many(t):
    for head in ('450-["m"]', '460-0["m"]', '4500-["m"]'):
        w = joined(t)
        w.text(head)
        push(w, bytes_frame(1000), 5000)
        cut(w)


@vuln("CVE-2026-33151")
def a_hundred_thousand_attachments(t):
    for head in ('4599999-["m"]', '4511-["m",%s]' % ONE,
                 '4699999-0["m"]', '45' + "9" * 30 + '-["m"]'):
        w = joined(t)
        w.text(head)
        push(w, bytes_frame(10000), 500)
        cut(w)


@vuln("CVE-2026-48804", seconds=3)
def partial_packets_and_the_end(t):
    data = frame('4510-["m",%s]' % ONE) + bytes_frame(100000) * 3
    for end in (Ws.close, Ws.reset):
        for _ in range(100):
            w = joined(t)
            w.send(data)
            end(w)


@vuln("CVE-2026-48804", growth=16 * MB, seconds=3)
def partial_packets_that_stay(t):
    """40 clients with nine tenths of a megabyte in nine attachments each."""
    before = memory(t.server)
    held = []
    for _ in range(40):
        w = joined(t)
        w.send(frame('4510-["m",%s]' % ONE) + bytes_frame(100000) * 9)
        held.append(w)
    for w in held:
        w.settle()
    grown = memory(t.server) - before
    t.note("%d kB each" % (grown / len(held) / 1000))
    assert grown < 40 * 1.2 * MB, grown
    for w in held:
        w.close()


@vuln("CVE-2026-48804")
def attachments_before_connect(t):
    for packet in ('452-["m",%s]' % ONE, '451-/nope,["m",%s]' % ONE,
                   '461-0[%s]' % ONE):
        w = t.websocket()
        w.text(packet)
        push(w, bytes_frame(1000), 1000)
        cut(w)


@vuln("CVE-2024-38355")
def event_called_error(t):
    w = joined(t)
    for args in ('"error"', '"error","x"', '"error",{"message":"x"}',
                 '"error",null'):
        w.text("42[%s]" % args)
        w.text("421[%s]" % args)
        got = w.packet()
        assert got.startswith("431[") and "UNKNOWN_EVENT" in got, got
    alive(w)


@vuln("CVE-2023-32695")
def event_name_that_is_an_object(t):
    for name in ('{"toString":"foo"}', '{"toString":{"x":1}}', "[]", "null",
                 '{"__proto__":null}', "[[]]", "true"):
        for packet in ("42[%s]", "420[%s]", "451-[%s,%s]"):
            w = joined(t)
            if packet[1] == "5":
                w.text(packet % (name, ONE))
                push(w, bytes_frame(1))
            else:
                w.text(packet % name)
            cut(w)


@vuln("CVE-2022-2421")
def placeholder_with_a_strange_num(t):
    for num in ('"splice"', '"constructor"', '"__proto__"', '"length"', "-1",
                "1", "1e308", "null", "{}", "0.5", "4294967296"):
        w = joined(t)
        w.text('451-["m",{"_placeholder":true,"num":%s}]' % num)
        push(w, bytes_frame(1))
        cut(w)


@vuln("CVE-2020-36049", seconds=3)
def long_digits_names_and_dashes(t):
    n = 900000
    took = []
    for packet in ("4" + "5" * n, "45" + "-" * n, "42" + "1" * n,
                   "42/" + "a" * n, "42/" + "a" * n + ",", "40/" + "," * n,
                   "451-/" + "a" * n, "4" + "2" * n, "43" + "0" * n + "[]",
                   '42["' + "\\" * (n // 2 * 2) + '"]',
                   '42["' + "\\u0000" * (n // 6) + '"]',
                   "42[" + " " * n + "]", "42[" + '"x",' * (n // 4) + "1]"):
        w = joined(t)
        with Timer(5) as timer:
            w.text(packet)
            while True:
                # closed, or ignored, or refused as a namespace: in no time
                w.send(frame("end", opcode=9))
                f = w.frame()
                if f.opcode in (8, 10):
                    break
        took.append(timer.took)
        w.close()
    t.note("%.0f ms at most" % (max(took) * 1000))


@vuln("CVE-2020-36406", seconds=5)
def leaving_while_a_room_is_served(t):
    """Members leave, join again and go while messages are on their way to
    them."""
    def call(w, n, name, payload):
        w.send(frame('42%d%s' % (n, json.dumps([name, payload]))))
    room = {"sessionId": "vuln", "workspaceId": "w"}
    speaker = joined(t, "speaker")
    call(speaker, 1, "chat:join-session", room)
    members = []
    for i in range(40):
        w = joined(t, "m%d" % i)
        call(w, 1, "chat:join-session", room)
        members.append(w)
    for turn in range(10):
        for i in range(20):
            call(speaker, 100 + i, "chat:send-message", {"message": {
                "id": "m%d.%d" % (turn, i), "sessionId": "vuln",
                "content": "x" * 1000, "type": "user"}})
        for i, w in enumerate(members):
            if i % 4 == turn % 4:
                w.send(b"".join(frame(x) for x in (
                    '42["chat:leave-session",{"sessionId":"vuln"}]',
                    '42["chat:join-session",%s]' % json.dumps(room),
                    '42["chat:leave-session",{"sessionId":"vuln"}]',
                    '42["chat:join-session",%s]' % json.dumps(room))))
        members.pop().reset()
        last = members.pop()
        last.send(frame("41") + frame("1"))
        last.close()
    # the rest gets what is said at the end
    time.sleep(0.5)
    call(speaker, 999, "chat:send-message", {"message": {
        "id": "last", "sessionId": "vuln", "content": "last",
        "type": "user"}})
    for w in members:
        while '"content":"last"' not in w.packet():
            pass
        w.close()
    speaker.close()


@vuln("OSV-2020-1695", seconds=3)
def a_room_that_empties_itself(t):
    """All members go at once, again and again."""
    room = '{"sessionId":"osv","workspaceId":"w"}'
    for turn in range(10):
        members = []
        for i in range(20):
            w = joined(t, "o%d" % i)
            w.text('421["chat:join-session",%s]' % room)
            members.append(w)
        for i, w in enumerate(members):
            w.text('42["chat:send-message",{"message":{"id":"o%d.%d",'
                   '"sessionId":"osv","content":"x","type":"user"}}]' %
                   (turn, i))
            w.text('42["chat:leave-session",{"sessionId":"osv"}]')
        for w in members:
            w.reset() if turn % 2 else w.close()
