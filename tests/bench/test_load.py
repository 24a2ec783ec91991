#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Does the load generator see what a server does wrong?

    test_load.py [build folder]

Each test runs the generator against a server with one planted fault and
insists on exactly the kinds of violations that follow from it; and against
servers without a fault, where there must be none.
"""

import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = "build"


class Server:
    """A server that prints where it listens and ends with its input."""

    def __init__(self, *command):
        self.command = command

    def __enter__(self):
        self.p = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.address = self.p.stdout.readline().split()[-1]
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait(10)
        self.p.stdin.close()
        self.p.stdout.close()


def fault_server(fault=None, drop=0):
    command = ["/usr/bin/python3", os.path.join(HERE, "faultserver.py")]
    if fault:
        command += ["--fault", fault]
    return Server(*command, "--drop", str(drop))


def floor(*options):
    return Server(os.path.join(OUT, "bench", "floor"), *options)


def load(server, *options):
    """Exit status and report of the generator."""
    p = subprocess.run(
        [os.path.join(OUT, "bench", "load"), "--json", "--warmup", "0",
         *options, server.address],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    try:
        report = json.loads(p.stdout)
    except ValueError:
        report = None
    return p.returncode, report, p.stderr


SMALL = ("--rooms", "2", "--members", "4", "--rate", "600", "--count", "160",
         "--grace", "0.3")
AGAIN = ("--rooms", "2", "--members", "4", "--rate", "300", "--count", "450",
         "--grace", "2", "--reconnect")
PATIENT = ("--grace", "20")


class Faults(unittest.TestCase):
    def sees(self, fault, options, *kinds, maybe=(), drop=0, times=None):
        """All of 'kinds' must be reported, of others only 'maybe'; of the
        first one so many."""
        # only what is to be missed makes it wait for long; a server that is
        # slow just now is waited for the second time
        for grace in (() if kinds else PATIENT, PATIENT):
            with fault_server(fault, drop) as server:
                status, report, err = load(server, *options, *grace)
            self.assertIsNotNone(report, err)
            found = {k for k, n in report["violations"].items()
                     if n > 0 and k != "total"}
            if found - set(maybe) == set(kinds) and times in (
                    None, kinds and report["violations"][kinds[0]]):
                break
        self.assertEqual(found - set(maybe), set(kinds), err)
        if times is not None:
            self.assertEqual(report["violations"][kinds[0]], times)
        self.assertEqual(status, 1 if kinds else 0, err)
        return report

    def test_none(self):
        report = self.sees(None, SMALL + ("--history",))
        self.assertEqual(report["total"]["sent"], 160)
        self.assertEqual(report["total"]["acked"], 160)
        self.assertEqual(report["total"]["deliveries"], 160 * 3)
        self.assertEqual(report["total"]["history_messages"], 160 * 2)

    def test_a_lost_delivery(self):
        self.sees("lose", SMALL, "lost", times=2)

    def test_a_second_delivery(self):
        self.sees("dup", SMALL, "duplicate", times=2)

    def test_another_order_for_one(self):
        self.sees("swap", SMALL, "order", times=2)

    def test_a_gap(self):
        self.sees("gap", SMALL, "gap", times=2)

    def test_a_seq_given_twice(self):
        self.sees("sameseq", SMALL, "differ", maybe=("lost", "gap"))

    def test_another_seq_for_one(self):
        # who is right depends on who is heard first
        self.sees("renumber", SMALL, "differ", maybe=("lost", "gap"))

    def test_another_seq_for_the_sender(self):
        self.sees("wrongseq", SMALL, "differ")

    def test_another_seq_in_the_acknowledgement(self):
        self.sees("ackseq", SMALL, "differ")

    def test_a_message_sent_back(self):
        self.sees("echo", SMALL, "echo")

    def test_a_message_of_another_session(self):
        self.sees("stray", SMALL, "foreign")

    def test_a_message_of_another_session_in_disguise(self):
        self.sees("relabel", SMALL, "foreign")

    def test_a_changed_text(self):
        self.sees("text", SMALL, "garbled", "lost")

    def test_a_shortened_text(self):
        self.sees("cut", SMALL, "garbled", "lost")

    def test_broken_json(self):
        self.sees("json", SMALL, "garbled", "lost")

    def test_a_binary_frame(self):
        self.sees("binary", SMALL, "garbled")

    def test_no_announcement(self):
        self.sees("nosent", SMALL, "unacked")

    def test_no_acknowledgement(self):
        self.sees("noack", SMALL, "unacked")

    def test_two_announcements(self):
        self.sees("twicesent", SMALL, "duplicate")

    def test_two_acknowledgements(self):
        self.sees("twiceack", SMALL, "duplicate")

    def test_a_foreign_acknowledgement(self):
        self.sees("misack", SMALL, "foreign", "unacked")

    def test_a_refusal(self):
        self.sees("refuse", SMALL, "refused", "unacked")

    def test_a_cut_connection(self):
        self.sees("close", SMALL, "closed", maybe=("lost", "unacked"))

    def test_pings_are_answered_and_no_fault(self):
        self.sees("ping", SMALL)

    def test_bytes_that_come_alone_are_no_fault(self):
        self.sees("split", ("--count", "20", "--rate", "20"))

    def test_history_that_lacks_a_message(self):
        self.sees("histlose", SMALL + ("--history",), "history")

    def test_history_with_a_message_twice(self):
        self.sees("histdup", SMALL + ("--history",), "history")

    def test_history_in_another_order(self):
        self.sees("histswap", SMALL + ("--history",), "history")

    def test_history_with_another_text(self):
        self.sees("histtext", SMALL + ("--history",), "history")

    def test_history_that_hides_a_page(self):
        self.sees("histmore", ("--rate", "2000", "--count", "300",
                               "--history"), "history")

    def test_reconnecting_is_no_fault(self):
        report = self.sees(None, AGAIN + ("--history",), drop=300)
        self.assertEqual(report["total"]["acked"], 450)
        self.assertEqual(report["total"]["history_messages"], 900)
        self.assertGreater(report["total"]["reconnects"], 5)
        self.assertGreater(report["total"]["resent"], 0)

    def test_a_refusal_to_be_retried_is_no_fault(self):
        report = self.sees("retry", AGAIN)
        self.assertEqual(report["total"]["resent"], 2)

    def test_a_refusal_to_be_retried_is_one_without_reconnect(self):
        self.sees("retry", SMALL, "refused", "unacked")

    def test_an_acknowledged_message_that_is_forgotten(self):
        # whether its number or the next message's is heard of first tells
        # which of the two is taken for the wrong one
        self.sees("forget", AGAIN + ("--history",), "differ",
                  maybe=("lost", "history"))

    def test_the_last_acknowledged_message_is_forgotten(self):
        # nothing comes after it: only the missing deliveries tell
        self.sees("forget", ("--members", "3", "--rate", "300", "--count",
                             "20", "--grace", "0.5", "--history"),
                  "lost", "history")

    def test_a_message_sent_again_is_stored_again(self):
        with fault_server("nodedupe", 300) as server:
            status, report, err = load(server, *AGAIN)
        self.assertEqual(status, 1, err)
        self.assertGreater(report["violations"]["differ"], 0)

    def test_a_replay_that_lacks_a_message(self):
        self.sees("replaylose", AGAIN, "lost", drop=300)

    def test_a_replay_with_too_much(self):
        self.sees("replaydup", AGAIN, "duplicate", drop=300)

    def test_a_replay_cut_short(self):
        self.sees("truncated", AGAIN, "truncated", drop=300)

    def test_a_join_without_an_answer(self):
        with fault_server("mutejoin") as server:
            status, report, err = load(server, "--step-timeout", "5", *AGAIN)
        self.assertEqual(status, 1, err)
        self.assertEqual(report["violations"]["stuck"], 1)


    # --- polling

    def test_polling_is_no_fault(self):
        for how in (("polling",), ("polling", "--mix"), ("upgrade",)):
            report = self.sees(None, SMALL + ("--history", "--transport")
                               + how)
            self.assertEqual(report["total"]["deliveries"], 160 * 3, how)
            self.assertEqual(report["total"]["upgrades"],
                             8 if how == ("upgrade",) else 0)
            if how != ("upgrade",):
                self.assertGreater(report["total"]["requests"], 320)

    def test_faults_are_seen_by_polling_too(self):
        for fault, *kinds in (("lose", "lost"), ("dup", "duplicate"),
                              ("swap", "order"), ("noack", "unacked")):
            self.sees(fault, SMALL + ("--transport", "polling"), *kinds)

    def test_a_number_of_requests(self):
        with fault_server() as server:
            status, report, err = load(server, "--members", "4",
                                       "--transport", "polling",
                                       "--requests", "500")
        self.assertEqual(status, 0, err)
        self.assertGreaterEqual(report["total"]["requests"], 500)
        self.assertLess(report["total"]["requests"], 600)

    def test_a_session_that_is_unknown(self):
        self.sees("unknown", SMALL + ("--transport", "polling"), "unknown",
                  "closed", maybe=("lost", "unacked"))

    def test_a_post_that_is_answered_with_something_else(self):
        self.sees("status", SMALL + ("--transport", "polling"), "status")

    def test_more_than_a_probe(self):
        self.sees("probe", SMALL + ("--transport", "upgrade"), "probe")

    # --- recovery

    def test_recovery_is_no_fault(self):
        for how in ("websocket", "polling", "upgrade"):
            report = self.sees(None, AGAIN + ("--history", "--recover",
                                              "--transport", how), drop=300)
            total = report["total"]
            self.assertGreater(total["recovered"], 5, how)
            self.assertEqual(total["history_messages"], 900)

    def test_cuts_of_its_own(self):
        report = self.sees(None, AGAIN + ("--recover", "--cut", "20"))
        self.assertGreater(report["total"]["cuts"], 10)
        self.assertGreater(report["total"]["recovered"], 10)

    def test_who_is_not_recovered_is_counted(self):
        report = self.sees("norecover", AGAIN + ("--recover",), drop=300)
        self.assertEqual(report["total"]["recovered"], 0)
        self.assertGreater(report["total"]["unrecovered"], 5)

    def test_recovered_as_somebody_else(self):
        self.sees("identity", AGAIN + ("--recover",), "identity", drop=300)

    def test_a_recovery_that_lacks_a_message(self):
        self.sees("recoverlose", AGAIN + ("--recover",), "lost", drop=300)

    def test_a_recovery_with_too_much(self):
        self.sees("recoverdup", AGAIN + ("--recover",), "duplicate",
                  drop=300)


class Floor(unittest.TestCase):
    def keeps_its_promises(self, *options):
        with floor(*options) as server:
            for shape in (("--members", "50", "--window", "1"),
                          ("--members", "50", "--window", "8"),
                          ("--rooms", "20", "--members", "10", "--senders",
                           "5", "--window", "3"),
                          ("--rooms", "50", "--members", "2", "--window",
                           "4", "--size", "3000")):
                status, report, err = load(server, *shape, "--count", "2000",
                                           "--server-pid",
                                           str(server.p.pid))
                self.assertEqual(status, 0, err)
                self.assertEqual(report["total"]["complete"], 2000)
                self.assertGreater(report["server_cpu"], 0)

    def test_one_send_a_delivery(self):
        self.keeps_its_promises()

    def test_all_in_one_send(self):
        self.keeps_its_promises("--coalesce")


class Options(unittest.TestCase):
    def test_nonsense_is_refused(self):
        for args in (["--rooms", "0", "127.0.0.1:1"], ["--rooms", "x", "a:1"],
                     ["127.0.0.1"], [], ["--until", "open", "127.0.0.1:1"],
                     ["--nonsense", "127.0.0.1:1"], ["127.0.0.1:1", "b"],
                     ["--transport", "pigeon", "127.0.0.1:1"],
                     ["--mix", "127.0.0.1:1"], ["--recover", "127.0.0.1:1"],
                     ["--cut", "5", "127.0.0.1:1"]):
            p = subprocess.run([os.path.join(OUT, "bench", "load"), *args],
                               capture_output=True, timeout=10)
            self.assertEqual(p.returncode, 2, args)

    def test_nobody_there(self):
        status, report, err = load(
            type("Nobody", (), {"address": "127.0.0.1:1"}))
        self.assertEqual((status, report), (3, None), err)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        OUT = sys.argv.pop(1)
    unittest.main()
