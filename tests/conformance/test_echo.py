#!/usr/bin/python3
"""test_echo.py - mode ws-echo under what suites for WebSockets send.

Messages of all sizes, cut in all ways, in any order with pings; texts that
are and are not UTF-8; compression as RFC 7692 allows it; large messages.
What comes back must be what was sent.  CONFORMANCE: which build.
"""
import os
import random
import sys
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "wire"))
from raw import Ws, frame  # noqa: E402
from servers import Conformance  # noqa: E402

COMMAND = os.environ.get("CONFORMANCE", "build/chatd-conformance")
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(
    1, 1 << 32)

# Sections 4 and 5 of Markus Kuhn's stress test name such; True: well-formed.
TEXTS = [
    (b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
     True),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", True),
    (b"\x00", True), (b"\xc2\x80", True), (b"\xe0\xa0\x80", True),
    (b"\xf0\x90\x80\x80", True), (b"\x7f", True), (b"\xdf\xbf", True),
    (b"\xef\xbf\xbf", True), (b"\xf4\x8f\xbf\xbf", True),
    (b"\xed\x9f\xbf", True), (b"\xee\x80\x80", True),
    (b"\xef\xbf\xbd", True), (b"\xef\xb7\x90", True),
    (b"\xf8\x88\x80\x80\x80", False), (b"\xfc\x84\x80\x80\x80\x80", False),
    (b"\xf7\xbf\xbf\xbf", False), (b"\xf4\x90\x80\x80", False),
    (b"\x80", False), (b"\xbf", False), (b"\x80\xbf\x80", False),
    (b"\xc0 \xc1 ", False), (b"\xe0 ", False), (b"\xf0 ", False),
    (b"\xc0", False), (b"\xe0\x80", False), (b"\xf0\x80\x80", False),
    (b"\xe2\x82", False), (b"\xf0\x9f\x98", False), (b"\xfe", False),
    (b"\xff", False), (b"\xc0\xaf", False), (b"\xe0\x80\xaf", False),
    (b"\xf0\x80\x80\xaf", False), (b"\xc1\xbf", False),
    (b"\xe0\x9f\xbf", False), (b"\xf0\x8f\xbf\xbf", False),
    (b"\xed\xa0\x80", False), (b"\xed\xaf\xbf", False),
    (b"\xed\xb0\x80", False), (b"\xed\xbf\xbf", False),
    (b"\xed\xa0\x80\xed\xb0\x80", False), (b"\xed\xaf\xbf\xed\xbf\xbf", False),
]


def squeeze(data, bits=15, level=6):
    """A compressed message without the bytes that RFC 7692 leaves out."""
    z = zlib.compressobj(level, zlib.DEFLATED, -bits)
    out = z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH)
    assert out[-4:] == b"\x00\x00\xff\xff"
    return out[:-4]


class Echo(unittest.TestCase):
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Conformance(COMMAND, "ws-echo", 1, cls.options).start()

    @classmethod
    def tearDownClass(cls):
        wrong = cls.server.stop()
        if wrong:
            raise AssertionError(wrong)

    def open(self, headers=()):
        w = Ws(self.server.port)
        self.addCleanup(w.close)
        w.upgrade("/echo", headers)
        return w

    def refused(self, w, code):
        self.assertEqual(w.closed()[0], code)


class Plain(Echo):
    options = {"max_payload": 17000000}

    def test_random_messages_cut_at_random(self):
        rnd = random.Random(SEED)
        w = self.open()
        for _ in range(400):
            self.exchange(w, rnd)

    def exchange(self, w, rnd):
        """A few messages and pings, written in pieces of any size; the
        answers come in the same order."""
        out, expect = b"", []
        for _ in range(rnd.randrange(1, 6)):
            data = rnd.randbytes(rnd.choice([0, 1, 5, 125, 126, 127, 1000,
                                             65535, 65536, 70000]))
            if rnd.random() < 0.5:
                data = data.hex()
            out += self.cut(data, rnd, expect)
            expect.append(data)
        at = 0
        while at < len(out):
            n = rnd.choice([1, 2, 7, 100, 4096, 65536])
            w.send(out[at:at + n])
            at += n
        for data in expect:
            if isinstance(data, tuple):
                f = w.frame()
                self.assertEqual((f.opcode, f.data), (10, data[0]), SEED)
            else:
                self.assertTrue(w.recv() == data, "seed %d" % SEED)

    @staticmethod
    def cut(data, rnd, expect):
        """The frames of a message, with pings between them."""
        raw = data.encode() if isinstance(data, str) else data
        opcode = 1 if isinstance(data, str) else 2
        cuts = sorted(rnd.randrange(len(raw) + 1)
                      for _ in range(rnd.choice([0, 0, 1, 2, 20])))
        parts = [raw[a:b] for a, b in zip([0] + cuts, cuts + [len(raw)])]
        out = b""
        for i, part in enumerate(parts):
            if i > 0 and rnd.random() < 0.3:
                ping = rnd.randbytes(rnd.choice([0, 1, 125]))
                out += frame(ping, opcode=9)
                expect.append((ping,))
            out += frame(part, opcode=opcode if i == 0 else 0,
                         fin=i == len(parts) - 1, mask=rnd.randbytes(4))
        return out

    def test_texts(self):
        for text, good in TEXTS:
            for pieces in ([text], [text[:1], text[1:]],
                           [text[i:i + 1] for i in range(len(text))]):
                w = self.open()
                for i, p in enumerate(pieces):
                    w.send(frame(p, opcode=0 if i else 1,
                                 fin=i == len(pieces) - 1))
                with self.subTest(text=text, pieces=len(pieces)):
                    if good:
                        self.assertEqual(w.recv(), text.decode())
                    else:
                        self.refused(w, 1007)
                w.close()

    def test_opcodes_that_are_reserved(self):
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]:
            w = self.open()
            w.send(frame("x", opcode=opcode))
            self.refused(w, 1002)

    def test_fragments_in_disorder(self):
        for frames in ([frame("x", opcode=0)],
                       [frame("x", fin=False), frame("y")],
                       [frame("x", opcode=9, fin=False)],
                       [frame("x", fin=False), frame("", opcode=0),
                        frame("z", opcode=0)]):
            w = self.open()
            w.send(b"".join(frames))
            if len(frames) == 3:
                self.assertEqual(w.recv(), "x")
            self.refused(w, 1002)

    def test_a_message_of_16_mebibytes(self):
        data = random.Random(1).randbytes(1 << 20) * 16
        for n in (len(data), 1 << 20, 65536):
            w = self.open()
            began = time.monotonic()
            for at in range(0, len(data), n):
                w.send(frame(data[at:at + n], opcode=0 if at else 2,
                             fin=at + n >= len(data)))
            self.assertTrue(w.recv() == data)
            took = time.monotonic() - began
            print("  16 MiB in frames of %8d bytes: %.2f s" % (n, took))
            w.close()

    def test_many_small_messages(self):
        w = self.open()
        one = frame("x" * 64)
        began = time.monotonic()
        for _ in range(100):
            w.send(one * 200)
            self.assertTrue(w.need(200 * 66) == (b"\x81@" + b"x" * 64) * 200)
        took = time.monotonic() - began
        print("  20,000 messages of 64 bytes: %.2f s" % took)


class Deflate(Echo):
    options = {"deflate": True, "max_payload": 100000}
    OFFER = "Sec-WebSocket-Extensions: permessage-deflate"

    def agreed(self, params=""):
        w = self.open([self.OFFER + params])
        answer = w.answer.get("sec-websocket-extensions")
        self.assertTrue(answer and answer.startswith("permessage-deflate"),
                        answer)
        return w

    def receive(self, w):
        """One message: was it compressed, and what is in it?"""
        f = w.frame()
        self.assertTrue(f.fin)
        if f.rsv == 0:
            return False, f.data
        self.assertEqual(f.rsv, 4)
        z = zlib.decompressobj(-15)
        return True, z.decompress(f.data + b"\x00\x00\xff\xff")

    def test_messages_of_all_sizes(self):
        w = self.agreed()
        for n in [0, 1, 10, 1023, 1024, 5000, 65535, 65536, 100000]:
            data = (b"compressible " * (n // 13 + 1))[:n]
            w.binary(squeeze(data), rsv=4)
            small, got = self.receive(w)
            self.assertTrue(got == data, n)
            self.assertEqual(small, n >= 1024)

    def test_levels_windows_and_memories(self):
        rnd = random.Random(SEED)
        for bits in range(9, 16):
            w = self.agreed("; client_max_window_bits=%d; "
                            "server_max_window_bits=%d" % (bits, bits))
            self.assertIn("server_max_window_bits=%d" % bits,
                          w.answer.get("sec-websocket-extensions"))
            for level in (0, 1, 9):
                data = rnd.randbytes(200) * 200
                w.binary(squeeze(data, bits, level), rsv=4)
                f = w.frame()
                if f.rsv:
                    z = zlib.decompressobj(-bits)
                    self.assertTrue(z.decompress(
                        f.data + b"\x00\x00\xff\xff") == data)
                else:
                    self.assertTrue(f.data == data)
            w.close()

    def test_a_compressed_message_in_fragments(self):
        w = self.agreed()
        data = b"abc" * 5000
        raw = squeeze(data)
        for n in (1, 3, 1000):
            for at in range(0, len(raw), n):
                w.send(frame(raw[at:at + n], opcode=0 if at else 2,
                             fin=at + n >= len(raw), rsv=0 if at else 4))
                if at == 0 and n < len(raw):
                    w.send(frame("p", opcode=9))
                    self.assertEqual(w.frame().data, b"p")
            self.assertTrue(self.receive(w)[1] == data)

    def test_what_is_not_compressed_is_taken(self):
        w = self.agreed()
        w.text("plain")
        self.assertEqual(self.receive(w), (False, b"plain"))

    def test_each_message_stands_alone(self):
        w = self.agreed()
        self.assertIn("client_no_context_takeover",
                      w.answer.get("sec-websocket-extensions"))
        for _ in range(3):
            w.binary(squeeze(b"again and again " * 100), rsv=4)
            self.assertEqual(self.receive(w),
                             (True, b"again and again " * 100))

    def test_a_stream_that_ends_in_a_final_block(self):
        w = self.agreed()
        z = zlib.compressobj(6, zlib.DEFLATED, -15)
        w.text(z.compress(b"final") + z.flush() + b"\x00", rsv=4)
        self.assertEqual(self.receive(w)[1], b"final")

    def test_too_much_is_seen_while_inflating(self):
        bomb = squeeze(b"\x00" * (64 << 20), 15, 9)
        self.assertLess(len(bomb), 100000)
        w = self.agreed()
        w.binary(bomb, rsv=4)
        self.refused(w, 1009)
        w = self.agreed()
        w.binary(squeeze(b"x" * 100001), rsv=4)
        self.refused(w, 1009)

    def test_what_does_not_inflate(self):
        for raw in (b"\xff\xff\xff\xff", b"\x06", squeeze(b"x" * 5000)[:-9]):
            w = self.agreed()
            w.binary(raw, rsv=4)
            self.refused(w, 1007)

    def test_text_is_utf8_when_it_is_inflated(self):
        w = self.agreed()
        w.text(squeeze("ä€😀".encode()), rsv=4)
        self.assertEqual(self.receive(w)[1], "ä€😀".encode())
        w.text(squeeze(b"\xed\xa0\x80"), rsv=4)
        self.refused(w, 1007)

    def test_the_bit_belongs_to_the_first_frame_of_a_message(self):
        for frames in ([frame("x", fin=False), frame("y", opcode=0, rsv=4)],
                       [frame("x", opcode=9, rsv=4)],
                       [frame("x", rsv=2)], [frame("x", rsv=1)]):
            w = self.agreed()
            w.send(b"".join(frames))
            self.refused(w, 1002)

    def test_without_an_offer_there_is_none(self):
        w = self.open()
        self.assertIsNone(w.answer.get("sec-websocket-extensions"))
        w.text("x" * 5000)
        self.assertEqual(self.receive(w), (False, b"x" * 5000))
        w.send(frame("x", rsv=4))
        self.refused(w, 1002)


if __name__ == "__main__":
    print("SEED=%d" % SEED)
    unittest.main()
