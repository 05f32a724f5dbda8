#!/bin/sh
# libcress.so, libcress.a and the program cress show every function that a public
# header declares, and no name that does not begin with cress_; libcress_zmq those of
# <cress/zeromq.h>, which the others do not have.
set -eu

# names NM-OPTION FILE: the global names that the file defines. A program holds copies of
# the C library's data (stderr@GLIBC_2.2.5): those are not its own.
names() {
    nm --defined-only --format=posix "$@" |
        sed -n -e '/@GLIBC_/d' -e 's/^\([^ ]*\) [A-Z] .*/\1/p' | sort -u
}

# declared HEADER...
declared() {
    cat "$@" | tr '\n;{' ' \n\n' |
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
    [ -e "$CRESS_BUILD_DIR/$2" ] || return 0
    names "$1" "$CRESS_BUILD_DIR/$2" >"$work/shown"
    echo "$2: $(wc -l <"$work/shown") names"
    grep -v '^cress_' "$work/shown" >"$work/strange" || :
    comm -13 "$work/shown" "$work/declared" >"$work/missing"
    comm -12 "$work/shown" "$work/declared_elsewhere" >"$work/foreign"
    empty "$work/strange" "$2 shows names that are not ours"
    empty "$work/missing" "$2 lacks what a header declares"
    empty "$work/foreign" "$2 shows what another library's header declares"
}

status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$CRESS_SOURCE_DIR"
declared greenlet/include/cress/zeromq.h >"$work/zeromq"
# shellcheck disable=SC2046 # no blanks there
declared $(ls ./*/include/cress/*.h | grep -v /zeromq.h) >"$work/all"
[ -s "$work/zeromq" ] && [ -s "$work/all" ]

cp "$work/all" "$work/declared"
cp "$work/zeromq" "$work/declared_elsewhere"
[ -e "$CRESS_BUILD_DIR/libcress.so" ]
check -D libcress.so
check -g libcress.a
check -D cress

cp "$work/zeromq" "$work/declared"
cp "$work/all" "$work/declared_elsewhere"
check -D libcress_zmq.so
check -g libcress_zmq.a
exit $status
