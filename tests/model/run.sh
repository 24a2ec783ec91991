#!/bin/sh
# run.sh - run all models, and the mutants that each of them must catch.
#
#	run.sh [-j jobs] build-folder [model...]
#
# A Spin model is a *.pml; its mutants are the names that its head lists as
# " *   NAME  what is wrong".  The Relacy tests know theirs.  One line each,
# "ok" or "FAIL"; the exit status says whether all were ok.
set -u

jobs=2
if [ "${1-}" = -j ]; then
	jobs=$2
	shift 2
fi
here=$(cd "$(dirname "$0")" && pwd)

# one <folder> <model> <mutant, or ->: explore it, say what came of it
one() {
	dir=$1/$2.$3
	rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || exit 2
	def=
	opt=-O2
	if [ "$3" != - ]; then
		def=-D$3
		opt=-O1	# a mutant is found soon
	fi
	if ! spin $def -a "$here/$2.pml" >log 2>&1 ||
	    ! cc $opt -w -DSAFETY -DCOLLAPSE -o pan pan.c >>log 2>&1; then
		echo "FAIL spin $2 $3: does not compile, see $dir/log"
		exit 1
	fi
	./pan -m1000000 >>log 2>&1
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
	if grep -q 'errors: 0' log && ! grep -q 'not completed\|too small' log
	then
		found=no
	elif grep -q '^pan:1: \(assertion violated\|invalid end state\)' log
	then
		found=yes
	else
		echo "FAIL spin $2 $3: not explored, see $dir/log"
		exit 1
	fi
	case $3,$found in
	-,no)	echo "ok   spin $2, $states states" ;;
	-,yes)	echo "FAIL spin $2: see $dir/log"; exit 1 ;;
	*,yes)	echo "ok   spin $2 catches $3" ;;
	*,no)	echo "FAIL spin $2 does not catch $3"; exit 1 ;;
	esac
	cd / && rm -rf "$dir"
}

if [ "${1-}" = one ]; then
	one "$2" "$3" "$4"
	exit
fi

out=${1:?usage: run.sh [-j jobs] build-folder [model...]}
shift
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
[ $# -gt 0 ] || set -- $(cd "$here" && ls *.pml *.cc | sed 's/\.[a-z]*$//')
bad=$out/failed
rm -f "$bad"

for model in "$@"; do
	[ -e "$here/$model.pml" ] || continue
	echo "$model -"
	sed -n 's/^ \*   \([A-Z][A-Z_]*\)  *[a-z].*/'"$model"' \1/p' \
	    "$here/$model.pml"
done | xargs -P "$jobs" -L 1 "$0" one "$out" || : >"$bad"

for model in "$@"; do
	[ -e "$here/$model.cc" ] || continue
	"$out/$model" || : >"$bad"
done
[ ! -e "$bad" ]
