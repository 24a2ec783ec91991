# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""test_slow_reads.py - whoever waits for the disk waits alone.

Each read of the store takes two seconds; who asked for one gets the right
answer that late, and everybody else is served as before.
"""
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../system"))
import chatd  # noqa: E402
import faults  # noqa: E402

SLOW_S = 2
# of messages from their sender to the disk and back, while a read is slow: a
# machine does hundreds, a worker that waits for the read not one
ENOUGH = 3


def client(host, user, session):
    c = chatd.Raw(host.port, timeout=30)
    c.upgrade()
    c.connect(user)
    c.event("chat:join-session",
            {"sessionId": session, "workspaceId": "w1"}, ack=1)
    assert c.wait_ack(1)["ok"]
    return c


def send(c, session, number):
    c.event("chat:send-message",
            {"message": {"id": "%s-%d" % (session, number), "content": "x",
                         "sessionId": session}}, ack=100 + number)
    assert c.wait_ack(100 + number)["ok"]


class SlowReads(unittest.TestCase):
    def setUp(self):
        # one worker: whoever blocks its loop blocks all
        self.host = faults.Host({"workers": "1"}, preload=False)
        self.host.spawn()
        faults.wait_for(self.host.ready, 30)

    def tearDown(self):
        self.host.faults.clear()
        self.host.end()

    def test_others_do_not_wait(self):
        asks = client(self.host, "ada", "s1")
        other = client(self.host, "bob", "s2")
        for i in range(20):
            send(asks, "s1", i)
        self.host.faults.arm("STORE_READ", faults.DELAY, times=1000,
                             roles="w", value=SLOW_S * 1000)
        began = time.monotonic()
        asks.event("chat:request-history", {"sessionId": "s1"}, ack=7)
        done = 0
        while done < 1000:
            send(other, "s2", done)
            if time.monotonic() - began > SLOW_S * 0.9:
                break
            done += 1
        self.assertGreaterEqual(done, ENOUGH)
        page = asks.wait_ack(7)
        self.assertGreaterEqual(time.monotonic() - began, SLOW_S * 0.9)
        self.assertEqual([m["seq"] for m in page["messages"]],
                         list(range(1, 21)))
        asks.close()
        other.close()


if __name__ == "__main__":
    unittest.main()
