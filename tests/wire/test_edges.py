#!/usr/bin/python3
"""test_edges.py - the edge cases of the wire, each with pass or deviation.

Against build/chatd-conformance (CONFORMANCE=path) and, where rooms and
recovery are needed, build/chatd (CHATD=path); --reference: against what the
cases were read off from.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import edges_chat  # noqa: E402
import edges_event  # noqa: E402
import edges_http  # noqa: E402
import edges_poll  # noqa: E402
import edges_sio  # noqa: E402
import edges_upgrade  # noqa: E402
import edges_ws  # noqa: E402
from deviations import DEVIATIONS  # noqa: E402
from suite import Registry, main  # noqa: E402

CASES = 112

registry = Registry()
for part in (edges_http, edges_poll, edges_upgrade, edges_ws, edges_sio,
             edges_event, edges_chat):
    registry.tests += part.edge.tests


def all_cases():
    """Every number has a test, and every deviation."""
    found = {int(re.match(r"E(\d{3})_", t[0]).group(1))
             for t in registry.tests}
    missing = sorted(set(range(1, CASES + 1)) - found)
    yield "all_cases_have_a_test", missing and "without: %s" % missing
    mine = [n for n, d in DEVIATIONS.items() if not d.advised]
    yield "deviations_are_few", (len(mine) > 5 and
                                 "more than five: %s" % mine)
    names = set()
    for t in registry.tests:
        names |= {c for c in t[1].__code__.co_consts
                  if isinstance(c, str) and re.fullmatch(r"D\d+", c)}
    untested = sorted(set(DEVIATIONS) - names)
    yield "deviations_have_a_test", untested and "without: %s" % untested


if __name__ == "__main__":
    sys.exit(main(registry, __doc__, after=all_cases))
