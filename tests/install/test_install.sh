#!/bin/sh
# Installs cress into a prefix of its own, moves the prefix, and from there builds
# and runs what a user would: a program by pkg-config, programs by find_package
# (shared and static), and a module that the installed cress loads.
set -eu

here=$(dirname "$0")
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "FAILED: $*"
    exit 1
}

# needed FILE: the shared libraries that it names.
needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# answers EXPECTED COMMAND...: the command serves on a port of the kernel's choice,
# GET / gives EXPECTED, and SIGTERM ends it with status 0.
answers() {
    expected=$1
    shift
    rm -f "$work/stderr"
    mkfifo "$work/stderr"
    "$@" --bind 127.0.0.1:0 2>"$work/stderr" &
    pid=$!
    exec 3<"$work/stderr"
    url=
    while [ -z "$url" ] && read -r line <&3; do
        echo "$line"
        url=$(expr "$line" : '.*Listening at: \(http://[0-9.:]*\)' || :)
    done
    [ -n "$url" ] || fail "$* ended before it listened"
    got=$(curl -sS --max-time 10 "$url/") || fail "$*: no answer from $url"
    [ "$got" = "$expected" ] || fail "$*: answered '$got' instead of '$expected'"
    kill -TERM "$pid"
    wait "$pid" || fail "$*: status $? after SIGTERM"
    pid=
    exec 3<&-
    echo "ok: $*"
}

cmake --install "$CRESS_BUILD_DIR" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"
prefix=$work/prefix
lib=$(dirname "$(find "$prefix" -name libcress.so)")
export LD_LIBRARY_PATH="$lib" PKG_CONFIG_PATH="$lib/pkgconfig"

if readelf -d "$prefix/bin/cress" "$lib/libcress.so" | grep -E 'R(UN)?PATH'; then
    fail "an installed file refers to the build folder"
fi

# shellcheck disable=SC2046 # flags are words
cc -Wall -Wextra -Werror "$here/app.c" -o "$work/app" $(pkg-config --cflags --libs cress)
needed "$work/app" | grep -qx 'libcress\.so\.0' || fail "not linked to libcress.so.0"
answers 'hello, world' "$work/app"

cmake -G Ninja -S "$here/consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/consumer" >/dev/null
answers 'hello, world' "$work/consumer/app_shared"

# Green ZeroMQ, where it was built: libcress itself knows nothing of libzmq.
if needed "$lib/libcress.so" | grep zmq; then
    fail "libcress.so needs libzmq"
fi
if [ -e "$lib/libcress_zmq.so" ]; then
    # shellcheck disable=SC2046
    cc -Wall -Wextra -Werror "$here/zeromq.c" -o "$work/zeromq" $(pkg-config --cflags --libs cress_zmq)
    needed "$work/zeromq" | grep -qx 'libcress_zmq\.so\.0' || fail "not linked to libcress_zmq.so.0"
    for program in "$work/zeromq" "$work/consumer/zeromq_shared" "$work/consumer/zeromq_static"; do
        [ "$("$program")" = 'hello, zeromq' ] || fail "$program does not work"
        echo "ok: $program"
    done
fi

unset LD_LIBRARY_PATH
if needed "$work/consumer/app_static" | grep libcress; then
    fail "the static program needs libcress.so"
fi
answers 'hello, world' "$work/consumer/app_static"

# shellcheck disable=SC2046
cc -shared -fPIC "$here/module.c" -o "$work/module.so" $(pkg-config --cflags cress)
answers 'hello, module' "$prefix/bin/cress" "$work/module.so"
