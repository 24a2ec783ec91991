#!/bin/sh
# layers.sh - which folder may include which; run by `make check'.
set -eu
cd "${1:-$(dirname "$0")/..}"

# folder: the folders it may include, besides itself
may='
common:
shm:     common
proto:   common
chat:    common
store:   common
master:  common shm
bridge:  common shm
scribe:  common shm store
clerk:   common store
worker:  common shm proto chat store
chatctl: common
'
# header: the only places that may include it
only='
lmdb.h:          store/
cjson/cJSON.h:   common/json
jose/:           chat/token.c
jansson.h:       chat/token.c
curl/:           bridge/
hiredis/:        bridge/
seccomp.h:       common/sandbox.c
zlib.h:          proto/deflate.c
pcre2.h:         common/rules.c
gumbo.h:         chat/html
stdatomic.h:     shm/ store/ master/ scribe/ worker/ clerk/
sys/socket.h:    common/ shm/ master/ worker/ clerk/ chatctl/ bridge/
event2/:         common/ master/ worker/ scribe/ bridge/ chatctl/
store/write.h:   store/ scribe/ clerk/
'

includes() {	# prints "file:line header" for each #include
	find common shm proto chat store worker scribe clerk bridge master chatctl \
	    -name '*.[ch]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include' \
	    {} + 2>/dev/null |
	    sed -E 's/^([^:]+:[0-9]+):[^"<]*["<]([^">]+)[">].*/\1 \2/'
}

includes | awk -v may="$may" -v only="$only" '
BEGIN {
	n = split(may, l, "\n")
	for (i = 1; i <= n; i++)
		if (split(l[i], f, ":") > 1)
			ok[f[1]] = " " f[1] " " f[2] " "
	n = split(only, l, "\n")
	for (i = 1; i <= n; i++)
		if (split(l[i], f, ":") > 1)
			sys[f[1]] = f[2]
}
{
	dir = $1; sub("/.*", "", dir)
	inc = $2; sub("/.*", "", inc)
	seen++
	if (inc in ok && index(ok[dir], " " inc " ") == 0) {
		print $1 ": " dir "/ may not include " $2; bad = 1
	}
	for (h in sys) {
		if (index($2, h) != 1)
			continue
		good = 0
		n = split(sys[h], p, " ")
		for (i = 1; i <= n; i++)
			if (index($1, p[i]) == 1)
				good = 1
		if (!good) {
			print $1 ": only" sys[h] " may include " $2; bad = 1
		}
	}
}
END {
	if (seen == 0) {
		print "layers.sh: found nothing to look at"; bad = 1
	}
	exit bad
}'
