#!/bin/sh
# libcress.so, libcress.a and the program cress show every function that a public
# header declares, and no name that does not begin with cress_.
set -eu

# names NM-OPTION FILE: the global names that the file defines. A program holds copies of
# the C library's data (stderr@GLIBC_2.2.5): those are not its own.
names() {
    nm --defined-only --format=posix "$@" |
        sed -n -e '/@GLIBC_/d' -e 's/^\([^ ]*\) [A-Z] .*/\1/p' | sort -u
}

declared() {
    cat "$CRESS_SOURCE_DIR"/*/include/cress/*.h | tr '\n;{' ' \n\n' |
        sed -n 's/.*CRESS_API [^(]*\(cress_[a-z0-9_]*\)(.*/\1/p' | sort -u
}

# empty FILE WHAT: fails when the file has a line, and shows it.
empty() {
    [ ! -s "$1" ] && return 0
    echo "$2:"
    cat "$1"
    status=1
}

# check NM-OPTION FILE
check() {
    names "$1" "$CRESS_BUILD_DIR/$2" >"$work/shown"
    echo "$2: $(wc -l <"$work/shown") names"
    grep -v '^cress_' "$work/shown" >"$work/strange" || :
    comm -13 "$work/shown" "$work/declared" >"$work/missing"
    empty "$work/strange" "$2 shows names that are not ours"
    empty "$work/missing" "$2 lacks what a header declares"
}

status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
declared >"$work/declared"
[ -s "$work/declared" ]
check -D libcress.so
check -g libcress.a
check -D cress
exit $status
