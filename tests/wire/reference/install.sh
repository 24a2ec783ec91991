#!/bin/sh
# install.sh - the packages of the reference.
set -eu
cd "$(dirname "$0")"
cmp -s package-lock.json node_modules/.installed 2>/dev/null && exit 0
npm ci --silent --no-progress
cp package-lock.json node_modules/.installed
