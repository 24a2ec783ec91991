#!/usr/bin/python3
"""test_wire.py - what malformed handshakes, frames and packets get.

The inputs are those of the wire's edge cases and of known vulnerabilities
that concern WebSocket connections.  After each one the daemon serves
somebody else.
"""
import os
import re
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chatd import Daemon, Raw  # noqa: E402

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
daemon = None


def request(target="/socket.io/?EIO=4&transport=websocket", method="GET",
            version="1.1", headers=(), drop=(), key=KEY):
    fields = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    for d in drop:
        fields.pop(d)
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    lines += ["%s: %s" % kv for kv in fields.items()]
    lines += list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Case(unittest.TestCase):
    def setUp(self):
        self.pids = daemon.children()

    def tearDown(self):
        self.assertEqual(daemon.children(), self.pids, "a process died")
        self.serves()

    def serves(self):
        r = Raw(daemon.port)
        r.upgrade()
        r.connect("witness")
        r.event("chat:join-session",
                {"sessionId": "w", "workspaceId": "w"}, 1)
        self.assertTrue(r.wait_ack(1)["ok"])
        r.close()

    def answer(self, data):
        r = Raw(daemon.port)
        r.send(data)
        out = r.read_head()
        found = re.search(rb"\r\ncontent-length: (\d+)", out, re.I)
        if found:
            out += r.read(int(found.group(1)))
        r.close()
        return out

    def refused(self, data, status, body=None):
        out = self.answer(data)
        self.assertTrue(out.startswith(b"HTTP/1.1 %d " % status),
                        out[:200])
        if body is not None:
            self.assertIn(body.encode(), out)

    def opened(self):
        r = Raw(daemon.port)
        r.upgrade()
        return r

    def joined(self, user="u"):
        r = self.opened()
        r.connect(user)
        return r

    def closes(self, r, code):
        got = r.close_code()
        if isinstance(code, tuple):
            self.assertIn(got, code)
        else:
            self.assertEqual(got, code)
        # and nothing but the end follows
        r.s.settimeout(15)
        self.assertEqual(r.read_all(), b"")
        r.close()


class Http(Case):
    def test_transport_missing(self):
        self.refused(request("/socket.io/?EIO=4"), 400, "Transport unknown")

    def test_case_03_transport_before_everything(self):
        self.refused(request("/socket.io/?EIO=3&transport=x&sid=nope",
                             method="POST"), 400, "Transport unknown")

    def test_case_01_empty_sid_opens(self):
        r = Raw(daemon.port)
        r.upgrade(request("/socket.io/?EIO=4&transport=websocket&sid="))
        r.close()

    def test_unknown_sid(self):
        self.refused(request("/socket.io/?EIO=4&transport=websocket&sid=abc"),
                     400, "Session ID unknown")

    def test_sid_proto(self):
        for sid in ("__proto__", "constructor", "x" * 4000):
            self.refused(request(
                "/socket.io/?EIO=4&transport=websocket&sid=" + sid), 400,
                "Session ID unknown")

    def test_case_02_eio_is_compared_as_a_string(self):
        for eio in ("04", "4.0", "%204", "3", "5", ""):
            self.refused(request(
                "/socket.io/?transport=websocket&EIO=" + eio), 400,
                "Unsupported protocol version")

    def test_eio_absent(self):
        self.refused(request("/socket.io/?transport=websocket"), 400,
                     "Unsupported protocol version")

    def test_case_40_last_key_wins(self):
        r = Raw(daemon.port)
        r.upgrade(request("/socket.io/?EIO=3&EIO=4&transport=websocket"))
        r.close()
        self.refused(request("/socket.io/?EIO=4&EIO=3&transport=websocket"),
                     400)

    def test_case_04_method_before_version(self):
        for method in ("POST", "PUT", "DELETE"):
            self.refused(request("/socket.io/?EIO=3&transport=websocket",
                                 method=method), 400, "Bad handshake method")

    def test_case_05_path(self):
        r = Raw(daemon.port)
        r.upgrade(request("/socket.io/abc/?EIO=4&transport=websocket"))
        r.close()
        self.refused(request("/socket.io?EIO=4&transport=websocket"), 404)
        self.refused(request("/other/?EIO=4&transport=websocket"), 404)

    def test_websocket_without_upgrade(self):
        self.refused(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            b"Host: x\r\n\r\n", 400, '{"code":3,"message":"Bad request"}')

    def test_case_37_origin_with_control_bytes(self):
        self.refused(request(headers=["Origin: http://a\x7fb"]), 400)

    def test_key(self):
        for key in ("", "x", "AAAA", KEY + "AAAA", KEY[:-1] + "*"):
            self.refused(request(key=key), 400,
                         "Missing or invalid Sec-WebSocket-Key header")
        self.refused(request(drop=["Sec-WebSocket-Key"]), 400,
                     "Missing or invalid Sec-WebSocket-Key header")

    def test_version(self):
        out = self.answer(request(drop=["Sec-WebSocket-Version"],
                                  headers=["Sec-WebSocket-Version: 7"]))
        self.assertTrue(out.startswith(b"HTTP/1.1 400"), out)
        self.assertRegex(out, re.compile(
            rb"Sec-WebSocket-Version: 13, ?8", re.I))

    def test_version_8(self):
        r = Raw(daemon.port)
        r.upgrade(request(drop=["Sec-WebSocket-Version"],
                          headers=["Sec-WebSocket-Version: 8"]))
        r.close()

    def test_case_74_firefox_and_lower_case(self):
        r = Raw(daemon.port)
        r.upgrade(request(drop=["Connection", "Upgrade"], headers=[
            "connection: keep-alive, Upgrade", "upgrade: WebSocket"]))
        r.close()

    def test_head_split_at_every_byte(self):
        data = request()
        r = Raw(daemon.port)
        for i in range(len(data)):
            r.send(data[i:i + 1])
        self.assertTrue(r.read_head().startswith(b"HTTP/1.1 101"))
        r.close()

    def test_head_too_large(self):
        self.refused(request(headers=["X: " + "y" * 20000]), 431)

    def test_many_headers(self):
        self.refused(request(headers=["H%d: x" % i for i in range(2500)]),
                     431)

    def test_request_line_too_long(self):
        self.refused(request("/socket.io/?x=" + "y" * 9000), 414)

    def test_garbage(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 4 +
                     b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET / HTTP/1.1\nHost: x\n\n"):
            out = self.answer(data)
            self.assertRegex(out, rb"^HTTP/1.1 (400|501|505) ")

    def test_smuggling(self):
        for headers in (["Content-Length: 4", "Content-Length: 5"],
                        ["Content-Length: 4", "Transfer-Encoding: chunked"],
                        ["Content-Length: -1"], ["Content-Length: 1x"],
                        ["Transfer-Encoding: x"], [" folded: x"],
                        ["Bad Name: x"], ["X\x00: y"]):
            out = self.answer(request(headers=headers))
            self.assertRegex(out, rb"^HTTP/1.1 (400|501) ", str(headers))

    def test_percent_00(self):
        self.refused(request("/socket.io/?EIO=4%00&transport=websocket"),
                     400)

    def test_subprotocol_with_32000_blanks(self):
        self.refused(request(headers=["Sec-WebSocket-Protocol: b" +
                                      " " * 32000 + "x"]), 431)

    def test_extension_names(self):
        r = Raw(daemon.port)
        r.upgrade(request(headers=["Sec-WebSocket-Extensions: constructor, "
                                   "permessage-deflate; __proto__"]))
        r.close()

    def test_reset_during_the_answer(self):
        for _ in range(50):
            r = Raw(daemon.port)
            r.send(request("/other/"))
            r.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
            r.close()

    def test_case_59_frames_behind_the_head(self):
        r = Raw(daemon.port)
        r.upgrade(Raw.UPGRADE + Raw.encode('40{"userId":"u"}'))
        self.assertTrue(r.frame()[1].startswith(b"40{"))
        r.close()

    def test_rsv_frame_right_behind_the_head(self):
        r = Raw(daemon.port)
        r.upgrade(Raw.UPGRADE + Raw.encode("x", rsv=3))
        self.closes(r, 1002)


class Frames(Case):
    def test_case_60_header_split_at_every_byte(self):
        r = self.opened()
        for b in Raw.encode('40{"userId":"split"}'):
            r.send(bytes([b]))
        self.assertTrue(r.frame()[1].startswith(b"40{"))
        for n in (126, 300):
            data = Raw.encode('42["x","%s"]' % ("y" * n))
            for i in range(12):
                r.send(data[i:i + 1])
            r.send(data[12:])
        r.close()

    def test_case_61_ping_between_fragments(self):
        r = self.opened()
        r.text('40{"user', fin=False)
        r.text("hi", opcode=9)
        r.text('Id":"f"}', opcode=0)
        self.assertEqual(r.frame(), (10, b"hi"))
        self.assertTrue(r.frame()[1].startswith(b"40{"))
        r.close()

    def test_case_62_empty_fragments(self):
        r = self.opened()
        r.text("", fin=False)
        r.text("", opcode=0, fin=False)
        r.text('40{"userId":"e"}', opcode=0, fin=False)
        r.text("", opcode=0)
        self.assertTrue(r.frame()[1].startswith(b"40{"))
        r.close()

    def test_case_63_lengths(self):
        r = self.joined("len")
        for i, n in enumerate((125, 126, 127, 65535, 65536, 70000)):
            text = '42%d["x",""]' % i
            pad = "y" * (n - len(text))
            r.text('42%d["x","%s"]' % (i, pad))
            self.assertEqual(r.wait_ack(i)["code"], "UNKNOWN_EVENT")
        r.close()

    def test_case_65_utf8_across_a_border(self):
        r = self.opened()
        data = '40{"userId":"é"}'.encode()
        i = data.index(b"\xc3") + 1
        r.text(data[:i], fin=False)
        r.text(data[i:], opcode=0)
        self.assertTrue(r.frame()[1].startswith(b"40{"))
        r.close()

    def test_case_65_invalid_utf8(self):
        for bad in (b"40\xff", b"4\xc3\x28", b"4\xed\xa0\x80",
                    b"4\xf4\x90\x80\x80", b"4\xc0\x80", b"4\xc3"):
            r = self.opened()
            r.text(bad)
            self.closes(r, 1007)
        r = self.opened()
        r.text(b"4\xc3", fin=False)
        r.text(b"\x28", opcode=0)
        self.closes(r, 1007)

    def test_case_66_close_with_one_byte(self):
        r = self.opened()
        r.text(b"\x03", opcode=8)
        self.closes(r, 1002)

    def test_case_67_close_codes(self):
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535):
            r = self.opened()
            r.text(struct.pack(">H", code), opcode=8)
            self.closes(r, 1002)
        for code in (1000, 1001, 3000, 4999):
            r = self.opened()
            r.text(struct.pack(">H", code), opcode=8)
            self.closes(r, code)

    def test_close_reason_must_be_utf8(self):
        r = self.opened()
        r.text(struct.pack(">H", 1000) + b"\xff", opcode=8)
        self.closes(r, 1007)

    def test_case_68_data_after_close_is_ignored(self):
        r = self.opened()
        r.send(Raw.encode(struct.pack(">H", 1000), opcode=8) +
               Raw.encode('40{"userId":"x"}'))
        self.closes(r, 1000)

    def test_case_69_unmasked(self):
        r = self.opened()
        r.text("40", masked=False)
        self.closes(r, 1002)

    def test_case_70_rsv(self):
        for rsv in (1, 2, 4, 7):
            r = self.opened()
            r.text("40", rsv=rsv)
            self.closes(r, 1002)

    def test_bad_opcodes(self):
        for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            r = self.opened()
            r.text("x", opcode=op)
            self.closes(r, 1002)

    def test_lone_continuation(self):
        r = self.opened()
        r.text("x", opcode=0)
        self.closes(r, 1002)

    def test_new_message_inside_a_message(self):
        r = self.opened()
        r.text("4", fin=False)
        r.text("4")
        self.closes(r, 1002)

    def test_fragmented_and_long_control(self):
        r = self.opened()
        r.text("x", opcode=9, fin=False)
        self.closes(r, 1002)
        r = self.opened()
        r.text("x" * 126, opcode=9)
        self.closes(r, 1002)

    def test_case_71_limit_by_declared_length(self):
        for n in (1000001, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            r = self.opened()
            r.send(b"\x81\xff" + struct.pack(">Q", n) + b"mask")
            self.closes(r, 1009)

    def test_case_72_sum_of_fragments(self):
        r = self.opened()
        part = Raw.encode("4" + "x" * 299999, fin=False)
        more = Raw.encode("x" * 300000, opcode=0, fin=False)
        r.send(part)
        for _ in range(4):
            try:
                r.send(more)
            except OSError:
                break
        self.closes(r, 1009)

    def test_case_73_too_many_fragments(self):
        r = self.opened()
        r.text("4", fin=False)
        empty = Raw.encode("", opcode=0, fin=False)
        try:
            for _ in range(170):
                r.send(empty * 100)
        except OSError:
            pass
        self.closes(r, 1008)

    def test_ping_flood(self):
        r = self.opened()
        ping = Raw.encode("x" * 125, opcode=9) * 1000
        r.s.settimeout(0.5)
        try:
            for _ in range(200):
                r.send(ping)
        except (OSError, socket.timeout):
            pass
        r.close()

    def test_message_of_the_largest_size(self):
        r = self.joined("largest")
        text = '427["x",""]'
        r.text('427["x","%s"]' % ("y" * (1000000 - len(text))))
        self.assertEqual(r.wait_ack(7)["code"], "UNKNOWN_EVENT")
        r.close()


class Engine(Case):
    def test_unknown_packets(self):
        for text in ("", "7", "9x", "x", "-"):
            r = self.opened()
            r.text(text)
            self.closes(r, (1008, 1005))

    def test_ping_from_the_client(self):
        for text in ("2", "2probe"):
            r = self.opened()
            r.text(text)
            self.closes(r, (1008, 1005))

    def test_ignored_packets(self):
        r = self.opened()
        for text in ("0", "5", "6", "3", "3probe"):
            r.text(text)
        r.connect("ignored")
        r.close()

    def test_close_packet(self):
        r = self.opened()
        r.text("1")
        self.closes(r, (1005, 1000))

    def test_message_without_data(self):
        r = self.opened()
        r.text("4")
        self.closes(r, (1008, 1005))

    def test_binary_out_of_turn(self):
        for data in (b"", b"abc"):
            r = self.joined()
            r.text(data, opcode=2)
            self.closes(r, (1008, 1003, 1005))


class SocketIo(Case):
    def bad(self, text, connect=True):
        r = self.joined() if connect else self.opened()
        r.text(text)
        self.closes(r, (1008, 1005))

    def test_case_77_connect_twice(self):
        self.bad("40")

    def test_case_78_connect_error_from_a_client(self):
        self.bad('44{"message":"x"}')

    def test_event_before_connect(self):
        self.bad('42["x"]', connect=False)

    def test_case_79_namespace_not_joined(self):
        self.bad('42/a,["x"]')

    def test_case_80_event_after_disconnect(self):
        r = self.joined()
        r.text("41")
        r.text('42["x"]')
        self.closes(r, (1008, 1005))

    def test_case_81_unknown_namespace_leaves_it_open(self):
        r = self.opened()
        r.text("40/nope,")
        self.assertEqual(r.frame()[1],
                         b'44/nope,{"message":"Invalid namespace"}')
        r.text("40/nope2")
        self.assertEqual(r.frame()[1],
                         b'44/nope2,{"message":"Invalid namespace"}')
        r.connect("stays")
        r.close()

    def test_rejoin_after_disconnect(self):
        r = self.joined()
        r.text("41")
        r.connect("again")
        r.close()

    def test_case_83_connect_payloads(self):
        for p in ("[]", "null", '"x"', "true"):
            self.bad("40" + p, connect=False)

    def test_case_97_reserved_names(self):
        for name in ("connect", "connect_error", "disconnect",
                     "disconnecting", "newListener", "removeListener"):
            self.bad('42["%s"]' % name)

    def test_case_97_ordinary_names(self):
        r = self.joined("names")
        for i, name in enumerate(('"error"', '""', "5", '"__proto__"')):
            r.text("42%d[%s]" % (i, name))
            self.assertEqual(r.wait_ack(i)["code"], "UNKNOWN_EVENT")
        r.close()

    def test_event_names_that_are_none(self):
        for name in ('{"toString":"foo"}', "null", "[]", "true"):
            self.bad("42[%s]" % name)

    def test_payloads_that_are_none(self):
        for p in ("", "{}", "5", "[", "[]", '["x"', '["x",]', '["x"]x',
                  "['x']", '["x",01]', '["x",+1]', '["x",.5]', '["x",1.]',
                  '["x",nul]', '["x","\t"]', '["x","\\q"]', '["x","\\u12"]'):
            self.bad("42" + p)

    def test_case_90_ack_ids(self):
        r = self.joined("ids")
        for n in (0, 5, 2 ** 31, 2 ** 53 - 1):
            r.text('42%d["x"]' % n)
            self.assertEqual(r.wait_ack(n)["code"], "UNKNOWN_EVENT")
        r.close()
        for n in ("1.5", "-1", "1e3", str(2 ** 53), "9" * 400):
            self.bad('42%s["x"]' % n)

    def test_case_91_unknown_ack_is_ignored(self):
        r = self.joined("acks")
        r.text("43999[]")
        r.text('421["x"]')
        self.assertEqual(r.wait_ack(1)["code"], "UNKNOWN_EVENT")
        r.close()

    def test_ack_flood(self):
        r = self.joined("flood")
        r.send(Raw.encode("431[]") * 20000)
        r.text('421["x"]')
        self.assertEqual(r.wait_ack(1)["code"], "UNKNOWN_EVENT")
        r.close()

    def test_attachment_counts(self):
        for p in ('450-["m"]', '4599999-["m"]', '45-["m"]', '45x-["m"]',
                  '451["m"]'):
            self.bad(p)

    def test_text_instead_of_the_second_attachment(self):
        r = self.joined("attach")
        r.text('452-["m",{"_placeholder":true,"num":0}]')
        r.send(Raw.encode(b"x", opcode=2))
        r.text('42["x"]')
        self.closes(r, (1008, 1005))

    def test_event_with_attachments_is_answered(self):
        r = self.joined("attached")
        r.text('451-7["m",{"_placeholder":true,"num":0}]')
        r.send(Raw.encode(b"x", opcode=2))
        self.assertEqual(r.wait_ack(7)["code"], "UNKNOWN_EVENT")
        r.text('451-8["chat:send-message",{"_placeholder":true,"num":0}]')
        r.send(Raw.encode(b"x", opcode=2))
        self.assertEqual(r.wait_ack(8)["code"], "INVALID_PAYLOAD")
        r.close()

    def test_attachments_before_connect(self):
        self.bad('451-["m",{"_placeholder":true,"num":0}]', connect=False)

    def test_placeholder_num_is_a_string(self):
        self.bad('451-["m",{"_placeholder":true,"num":"splice"}]')

    def test_many_digits_and_dashes(self):
        self.bad("4" + "5" * 100000)
        self.bad("45" + "-" * 100000)
        self.bad("42/" + "a" * 100000)

    def test_unknown_types(self):
        for p in ("47", "49[]", "4x", "4["):
            self.bad(p)

    def test_deep_json_is_refused_without_closing(self):
        r = self.joined("deep")
        r.text('421["chat:typing",' + "[" * 500 + "]" * 500 + "]")
        self.assertEqual(r.wait_ack(1)["code"], "INVALID_PAYLOAD")
        r.text('422["x"]')
        self.assertEqual(r.wait_ack(2)["code"], "UNKNOWN_EVENT")
        r.close()

    def test_what_is_json_but_not_for_us(self):
        r = self.joined("strict")
        for i, p in enumerate((
                '{"sessionId":"a","sessionId":"b"}', '{"sessionId":"a\\u0000"}',
                '{"sessionId":"\\ud800"}', '{"x":"\\udc00\\ud800"}')):
            r.text('42%d["chat:join-session",%s]' % (i, p))
            self.assertEqual(r.wait_ack(i)["code"], "INVALID_PAYLOAD", p)
        r.close()

    def test_number_with_a_million_digits(self):
        r = self.joined("digits")
        r.text('421["x",' + "9" * 900000 + "]")
        self.assertEqual(r.wait_ack(1)["code"], "UNKNOWN_EVENT")
        r.close()


class Heartbeat(unittest.TestCase):
    OPTIONS = {"engine.ping_interval": "1s", "engine.ping_timeout": "3s",
               "engine.connect_timeout": "2s"}

    def test_who_does_not_answer_is_closed(self):
        with Daemon(self.OPTIONS) as d:
            began = time.time()
            r = Raw(d.port, 20)
            r.upgrade()
            r.connect("mute")
            self.assertEqual(r.frame(), (1, b"2"))
            self.assertGreater(time.time() - began, 0.9)
            self.assertIn(r.close_code(), (1005, None))
            self.assertGreater(time.time() - began, 3.9)

    def test_who_answers_stays(self):
        with Daemon(self.OPTIONS) as d:
            r = Raw(d.port, 20)
            r.upgrade()
            r.connect("alive")
            for _ in range(3):
                self.assertEqual(r.frame(), (1, b"2"))
                r.text("3")

    def test_case_88_connect_timeout(self):
        with Daemon(self.OPTIONS) as d:
            began = time.time()
            r = Raw(d.port, 20)
            r.upgrade()
            r.text("40/nope")
            r.frame()
            while True:
                try:
                    op, data = r.frame()
                except EOFError:
                    break
                if data == b"2":
                    r.text("3")
                if op == 8:
                    break
            self.assertGreater(time.time() - began, 1.0)

    def test_slow_head_is_closed(self):
        with Daemon({"workers": 1}) as d:
            r = Raw(d.port, 30)
            r.send(b"GET /socket.io/ HTTP/1.1\r\n")
            began = time.time()
            self.assertEqual(r.read_all(), b"")
            self.assertGreater(time.time() - began, 5)


if __name__ == "__main__":
    with Daemon() as daemon:
        program = unittest.main(exit=False, warnings="ignore")
    sys.exit(0 if program.result.wasSuccessful() else 1)
