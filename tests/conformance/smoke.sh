#!/bin/sh
# smoke.sh - the official clients against the conformance server, and what
# suites for WebSockets send against its mode ws-echo.
# CONFORMANCE: which build, or another program with its command line.
set -eu
cd "$(dirname "$0")"
sh ../system/clients.sh
status=0
node --test --test-reporter=tap smoke.test.mjs || status=1
/usr/bin/python3 test_echo.py || status=1
/usr/bin/python3 chaos.py || status=1
exit $status
