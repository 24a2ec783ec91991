#!/bin/sh
# stock.sh - the stock JavaScript clients, browsers and proxies among them.
# CHATD, CHATCTL, CONFORMANCE: which build.  Arguments: test files; default:
# all.
set -eu
cd "$(dirname "$0")"
sh clients.sh
[ $# -gt 0 ] || set -- *.test.mjs
status=0
for t; do
	node --test --test-reporter=tap "$t" || status=1
done
exit $status
