#!/bin/sh
# smoke.sh - the official clients against the conformance server.
# CONFORMANCE: which build, or another program with its command line.
set -eu
cd "$(dirname "$0")"
sh ../system/clients.sh
exec node --test --test-reporter=tap smoke.test.mjs
