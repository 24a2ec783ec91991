#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""test_talk.py - books that are kept must show what is wrong.

No daemon: what a server might say is said here, and each violation that is
planted must be found.
"""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import FaultFile, read_table  # noqa: E402
import faults  # noqa: E402
from talk import Member, Reader, Talk  # noqa: E402


class Books(unittest.TestCase):
    def setUp(self):
        self.talk = Talk(1)
        self.addCleanup(self.talk.sel.close)
        self.m = self.talk.add(Member(self.talk, "me", "r"))
        self.m.last = 0
        self.m.joined = True
        self.began = time.monotonic()

    def got(self, seq, mid="o-%d", text=None, room="r"):
        mid = mid % seq if "%" in mid else mid
        self.m.on_event(["chat:message-received", {
            "seq": seq, "id": mid, "sessionId": room,
            "content": text or "text of " + mid}])

    def sent(self, seq, mid, **more):
        self.m.on_event(["chat:message-sent", {
            "seq": seq, "messageId": mid, **more}])

    def pend(self):
        mid = self.talk.ledger.new_id("r", "me")
        self.m.pending[mid] = [time.monotonic(), time.monotonic(), None]
        return mid

    def wrong(self, text):
        self.assertTrue(any(text in w for w in self.talk.ledger.wrong),
                        self.talk.ledger.wrong)

    def right(self):
        self.assertEqual(self.talk.ledger.wrong, [])

    def behind(self, top):
        return self.talk.behind({"r": top}, self.began)

    def test_all_in_order_is_right(self):
        for seq in (1, 2):
            self.got(seq)
        self.sent(3, self.pend())
        self.got(4)
        self.right()
        self.assertIsNone(self.behind(4))

    def test_an_answer_about_the_past_may_come_early(self):
        mid = self.pend()
        self.sent(3, mid, duplicate=True)
        for seq in (1, 2, 4):
            self.got(seq)
        self.right()
        self.assertIsNone(self.behind(4))

    def test_a_gap_that_stays_is_found(self):
        self.sent(1, self.pend())
        self.got(3)
        self.assertIn("lacks [2]", self.behind(3))

    def test_a_message_behind_its_successor_is_found(self):
        self.got(1)
        self.got(3)
        self.got(2)
        self.wrong("out of order")

    def test_a_message_that_comes_twice_is_found(self):
        self.got(1)
        self.got(1)
        self.wrong("twice")

    def test_two_messages_in_one_place_are_found(self):
        self.got(1, "a")
        self.talk.ledger.note("r", 1, "b")
        self.wrong("is a and b")

    def test_one_message_in_two_places_is_found(self):
        self.got(1, "a")
        self.got(2, "a")
        self.wrong("has seq 1 and 2")

    def test_an_acknowledgement_that_names_another_place_is_found(self):
        mid = self.pend()
        self.sent(1, mid)
        self.talk.ledger.note("r", 2, mid)
        self.wrong("has seq 1 and 2")

    def test_text_that_changed_is_found(self):
        mid = self.pend()
        self.got(1, mid, "something else")
        self.wrong("something else")

    def test_a_message_of_another_room_is_found(self):
        self.got(1, room="other")
        self.wrong("other in r")

    def test_a_refusal_for_ever_is_found(self):
        self.m.acks[1] = self.pend()
        self.m.on_ack(1, {"ok": False, "retryable": False})
        self.wrong("is refused")

    def test_who_gets_nothing_through_is_found(self):
        self.got(1)
        self.assertIn("nothing through", self.behind(1))
        self.began = time.monotonic() + 1
        self.pend()
        self.assertIn("waits for", self.behind(1))
        self.assertIn("has 1 of 2", self.behind(2))

    # --- changes

    def updated(self, revision, mid, text):
        self.m.on_event(["chat:message-updated", {
            "id": mid, "content": text, "revision": revision}])

    def changed(self, **answer):
        self.m.own_message("me-1")
        self.m.request("chat:edit-message", "me-1", "new")
        self.m.on_ack(self.m.nack, answer)

    def test_changes_in_order_are_right(self):
        self.m.revision = 0
        self.talk.ledger.changes.ask("o-1", "x")
        self.got(1)
        self.updated(1, "o-1", "x")
        self.changed(ok=True, revision=2)
        self.updated(2, "me-1", "new")
        self.talk.ledger.changes.mark()
        self.right()
        self.sent(2, self.pend())
        self.assertIsNone(self.behind(2))

    def test_a_change_that_comes_twice_is_found(self):
        self.m.revision = 0
        self.updated(1, "o-1", "x")
        self.updated(1, "o-1", "x")
        self.wrong("revision 1 behind 1")

    def test_a_revision_of_two_changes_is_found(self):
        self.changed(ok=True, revision=1)
        self.updated(1, "o-1", "x")
        self.wrong("revision 1 is")

    def test_a_change_that_was_not_told_is_found(self):
        self.m.revision = 0
        self.sent(1, self.pend())
        self.changed(ok=True, revision=3)
        self.talk.ledger.changes.mark()
        self.assertIn("has revision 0 of 3", self.behind(1))

    def test_a_change_that_is_refused_is_found(self):
        self.changed(ok=False, retryable=True)
        self.right()
        self.changed(ok=False, retryable=False)
        self.wrong("is refused")

    def test_text_that_nobody_asked_for_is_found(self):
        mid = self.pend()
        self.talk.ledger.changes.ask(mid, "asked")
        self.got(1, mid, "asked")
        self.right()
        self.got(2, mid + "-", "text of " + mid + "-")
        self.talk.ledger.content(mid, None)
        self.wrong("says None")

    def test_a_lost_change_is_found(self):
        self.m.revision = 0
        self.got(1)
        self.updated(1, "o-1", "x")
        self.updated(2, "o-1", "y")
        self.talk.ledger.is_now("r", "o-1", "y")
        self.right()
        self.talk.ledger.is_now("r", "o-1", "x")
        self.wrong("not 'y'")

    def read(self, *seqs):
        r = Reader(self.talk, "r")
        r.on_ack(2, {"ok": True, "hasMore": False, "messages": [
            {"seq": s, "id": "o-%d" % s, "content": "text of o-%d" % s}
            for s in seqs]})
        r.compare(3)

    def test_history_that_lacks_a_message_is_found(self):
        for seq in (1, 2, 3):
            self.got(seq)
        self.read(1, 2, 3)
        self.right()
        self.read(1, 2)
        self.wrong("seq 3 was o-3, history has None")

    def test_history_with_a_gap_is_found(self):
        self.read(1, 3)
        self.wrong("history has 3 after 1")


class Table(unittest.TestCase):
    def test_the_table_is_read_whole(self):
        table = read_table()
        with open(faults.ROOT + "/common/tbl_fault.h") as f:
            rows = sum(line.startswith("FAULT_POINT(") for line in f)
        self.assertEqual(len(table), rows)
        self.assertGreaterEqual(len(table), 100)
        self.assertEqual(len({t[0] for t in table}), len(table))
        for name, who, text in table:
            self.assertRegex(who, "^[bmwsk]+e?$", name)
            self.assertTrue(text)

    def test_a_row_is_armed_where_the_daemon_looks(self):
        f = FaultFile()
        self.addCleanup(f.close)
        f.arm("AFTER_CAS", faults.KILL, 3, roles="ws", slot=-1)
        at = faults.HEAD + faults.ROW * f.index["AFTER_CAS"]
        self.assertEqual(bytes(f.map[at:at + 20]),
                         b"\1\0\0\0\3\0\0\0\1\0\0\0\6\0\0\0\xff\xff\xff\xff")
        f.clear()
        self.assertEqual(f.get("AFTER_CAS", faults.ACTION), 0)


if __name__ == "__main__":
    unittest.main()
