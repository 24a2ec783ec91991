#!/usr/bin/python3
"""test_vulns.py - inputs that broke others, against the daemon.

Every entry of the protocol page's table of known vulnerabilities, named by
its number, and further inputs.  CHATD=path: which build.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vulns_engine  # noqa: E402
import vulns_frames  # noqa: E402
import vulns_more  # noqa: E402
import vulns_packets  # noqa: E402
from suite import main  # noqa: E402
from vulns import vuln  # noqa: E402

# importing them has registered their tests
PARTS = (vulns_engine, vulns_packets, vulns_frames, vulns_more)

# the table, in its order
TABLE = """
    CVE-2026-102599 CVE-2026-102600 GHSA-gr94-w7qr-f4j3 CVE-2026-59725
    CVE-2026-69185 CVE-2026-33151 CVE-2026-48804 CVE-2025-61765
    CVE-2024-38355 CVE-2023-32695 CVE-2022-2421 CVE-2020-36049 CVE-2020-36048
    CVE-2023-31125 CVE-2022-41940 CVE-2022-21676 CVE-2020-28481
    CVE-2019-13611 CVE-2017-16031 uws-crash CVE-2026-48779 CVE-2026-62389
    CVE-2026-45736 CVE-2024-37890 CVE-2021-32640 GHSA-5v72-xg48-5rpm
    CVE-2016-10542 CVE-2016-10518 ws-8.23 CVE-2016-10544 CVE-2018-1000518
    CVE-2021-21419 CVE-2021-45945 CVE-2020-36406 OSV-2020-1695
    CVE-2026-50161
""".split()


def complete():
    names = [t[0].split(" ")[0] for t in vuln.tests]
    missing = [n for n in TABLE if n not in names]
    yield "the table is complete", missing and "without: %s" % missing


if __name__ == "__main__":
    sys.exit(main(vuln, __doc__, jobs=1, after=complete))
