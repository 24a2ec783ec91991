#!/bin/sh
# deps.sh - install what is missing, and only that (Debian, as root).
#
#   deps.sh build|demo|test|bench
#
# A package is installed when the program or header that it brings is not
# there; so a node that came from elsewhere is left alone.
set -eu

want=${1:-build}

# what has to be there : the package that brings it
build='
gcc: gcc
pkg-config: pkg-config
/usr/include/event2/event.h: libevent-dev
/usr/include/cjson/cJSON.h: libcjson-dev
/usr/include/bsd/bsd.h: libbsd-dev
/usr/include/lmdb.h: liblmdb-dev
/usr/include/uthash.h: uthash-dev
/usr/include/jose/jose.h: libjose-dev
/usr/include/jansson.h: libjansson-dev
/usr/include/xxhash.h: libxxhash-dev
/usr/include/seccomp.h: libseccomp-dev
/usr/include/openssl/evp.h: libssl-dev
/usr/include/zlib.h: zlib1g-dev
curl-config: libcurl4-openssl-dev
/usr/include/pcre2.h: libpcre2-dev
/usr/include/gumbo.h: libgumbo-dev
/usr/include/stdio.h: libc6-dev
'
demo='
node: nodejs
npm: npm
'
bench='
/usr/bin/python3: python3
'
test='
clang: clang
clang-format: clang-format
ctags: universal-ctags
mandoc: mandoc
g++: g++
spin: spin
curl: curl
valgrind: valgrind
/usr/bin/python3: python3
/usr/include/cmocka.h: libcmocka-dev
/usr/include/relacy/relacy.hpp: relacy-dev
/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a: libclang-rt-14-dev
/usr/bin/mdb_stat: lmdb-utils
/usr/sbin/nginx: nginx-light
/usr/sbin/haproxy: haproxy
/usr/bin/chromium: chromium
/usr/bin/openssl: openssl
/usr/lib/python3/dist-packages/socketio/client.py: python3-socketio
/usr/lib/python3/dist-packages/requests/api.py: python3-requests
/usr/lib/python3/dist-packages/websocket/_core.py: python3-websocket
/usr/lib/python3/dist-packages/aiohttp/client.py: python3-aiohttp
'

case $want in
build) list=$build ;;
demo) list=$build$demo ;;
bench) list=$build$bench ;;
test) list=$build$demo$test ;;
*)
	echo "usage: deps.sh build|demo|test|bench" >&2
	exit 2
	;;
esac

is_there() {
	case $1 in
	/*) test -e "$1" ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

missing=$(printf '%s\n' "$list" | while IFS=': ' read -r what package; do
	if [ -n "$what" ] && ! is_there "$what"; then
		echo "$package"
	fi
done | sort -u)
[ -n "$missing" ] || exit 0

echo "installing:" $missing
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "deps.sh: install these packages first:" $missing >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# an index that is missing or too old says so by failing
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
