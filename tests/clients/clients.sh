#!/bin/sh
# clients.sh - the client libraries of these tests, all versions of them.
set -eu
cd "$(dirname "$0")"
sh ../system/clients.sh
cmp -s package-lock.json node_modules/.installed 2>/dev/null && exit 0
npm ci --silent --no-progress
cp package-lock.json node_modules/.installed
