#!/bin/sh
# check.sh - the house rules, each a command; run by `make check'.
#
# layers, headers that compile alone, formatting, the length of functions
# and files, calls that we do without, manual pages, the sample
# configuration.  Warnings as errors are the compilers' (gcc and clang).
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
bad=0

sources() {
	git ls-files -c -o --exclude-standard -- '*.c' '*.h'
}

fail() {
	echo "check: $*"
	bad=1
}

rule() {
	printf '%s\n' "-- $1"
}

rule layers
tests/layers.sh . || fail "layers"

rule "headers alone"
flags="-std=gnu11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only -x c
    -Wno-unused-parameter
    $(pkg-config --cflags libevent_core libbsd-overlay jose)"
# the models' headers are C++: they are compiled with the models
for h in $(sources | grep '\.h$' | grep -v -e '/tbl_' -e '^tests/model/'); do
	# shellcheck disable=SC2086
	printf '#include "%s"\n' "$h" | gcc $flags - ||
	    fail "$h does not compile alone"
done

rule formatting
# the tables of rows, and what is lined up by hand, say so themselves
for f in $(sources); do
	clang-format --dry-run -Werror --style=file "$f" 2>/dev/null ||
	    fail "$f: run clang-format -i"
done

rule "functions of at most 100 lines, files of at most 800"
for f in $(sources | grep '\.c$'); do
	ctags -x --c-kinds=f --fields=+ne --_xformat='%N %n %e' "$f" |
	    awk -v f="$f" '{ n = $3 - $2 + 1; if (n > 100) {
		print f ":" $2 ": " $1 " has " n " lines"; bad = 1 } }
		END { exit bad }' || fail "$f: a function is too long"
	lines=$(wc -l <"$f")
	[ "$lines" -le 800 ] || fail "$f: $lines lines"
done

rule "calls that we do without"
sources | grep -v '^tests/' | xargs grep -nE \
    '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|alloca)[[:space:]]*\(' &&
    fail "use the bounded ones"

rule "manual pages"
for m in etc/man/*.[1-8]; do
	[ -e "$m" ] || continue
	mandoc -Tlint -Wwarning "$m" || fail "$m"
done

rule "white space"
git grep -nE '[[:space:]]+$' -- '*.c' '*.h' '*.md' '*.sh' '*.py' '*.mjs' \
    Makefile '*.mk' && fail "white space at the end of lines"

[ $bad -eq 0 ] && echo "check: all house rules are kept"
exit $bad
