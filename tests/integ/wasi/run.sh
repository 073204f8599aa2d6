#!/usr/bin/env bash
# What guest programs see of files, clocks and sockets.
. "$SOURCES/../../e2e/lib.sh"

# The same source for both: its words have to be the same.
build() {
    local name
    for name; do
        "$GUEST_CC" -O2 -D_GNU_SOURCE -Wall -Werror -Wno-unused-result "$SOURCES/$name.c" -o "$name.wasm" || exit 1
    done
}
build_native() {
    local name
    for name; do
        cc -O2 -D_GNU_SOURCE -Wall -Werror -Wno-unused-result "$SOURCES/$name.c" -o "$name.native" || exit 1
    done
}
run() {
    cloudskin run -O1 "$@"
}

# as_native NAME: in a fresh folder each, do cell and native program say the same?
as_native() {
    local name=$1
    rm -rf cell native
    mkdir cell native
    (cd native && "../$name.native") >native.txt || return 1
    run --dir cell:/data "$name.wasm" >cell.txt || return 1
    diff native.txt cell.txt && same_tree native cell
}
same_tree() {
    diff <(cd "$1" && find . | sort) <(cd "$2" && find . | sort) && diff -r --no-dereference "$1" "$2"
}

build files folders waiting escape readonly server limits unstable
build_native files folders waiting

fact "files behave as natively, and hold the same bytes afterwards" as_native files
fact "folders, links and times behave as natively" as_native folders

# A pipe that stays open, with five bytes in it.
with_pipe() {
    mkfifo "$1"
    exec 6<>"$1"
    printf hello >&6
    "${@:2}" <"$1"
    exec 6>&-
}
waits() {
    with_pipe pipe1 ./waiting.native >native.txt &&
        with_pipe pipe2 cloudskin run -O1 waiting.wasm >cell.txt && diff native.txt cell.txt
}
fact "sleeping, polling and clocks behave as natively" waits

prepare_escape() {
    rm -rf outer
    mkdir -p outer/grant/sub
    echo secret >outer/secret
    echo mine >outer/grant/mine
    ln -s .. outer/grant/up
    ln -s ../secret outer/grant/out
    ln -s ../../secret outer/grant/sub/out
    ln -s "$PWD/outer/secret" outer/grant/absolute
    ln -s / outer/grant/root
    ln -s /proc/self/root outer/grant/magic
    ln -s ../.. outer/grant/sub/up2
}
no_way_out() {
    prepare_escape
    find outer ! -path '*/grant/*' | sort >before.txt
    prints "0 ways out" run --dir outer/grant:/data escape.wasm || return 1
    find outer ! -path '*/grant/*' | sort | diff before.txt - && [ "$(cat outer/secret)" = secret ]
}
fact "there is no way out of a grant" no_way_out
no_way_out_of_root() {
    prepare_escape
    prints "0 ways out" run --dir outer/grant:/ escape.wasm root
}
fact "nor when the grant is the guest's root" no_way_out_of_root

read_only() {
    rm -rf ro rw
    mkdir -p ro/d rw
    echo content >ro/f
    find ro -printf '%p %s %T@ %y\n' | sort >before.txt
    run --dir ro:/data:ro --dir rw:/out readonly.wasm >said.txt || return 1
    find ro -printf '%p %s %T@ %y\n' | sort | diff before.txt - && diff - said.txt <<'END'
read: 7
write: EBADF
futimens: EROFS
open to write: EROFS
open to read and write: EROFS
open to append: EROFS
truncate by opening: EROFS
create what exists: ok
create: EROFS
mkdir: EROFS
rmdir: EROFS
unlink: EROFS
rename: EROFS
link: EROFS
symlink: EROFS
utimens: EROFS
link into the writable grant: EROFS
write in the writable grant: ok
END
}
fact "a read-only grant is not changed, and says so" read_only

limit() {
    rm -rf grant
    mkdir grant
    exits 42 run --open-files 20 --dir grant:/data limits.wasm >said.txt || return 1
    diff - said.txt <<'END'
16 opened, then EMFILE
the number again: 1
atexit ran
END
}
fact "open files are limited, and exit codes arrive" limit

older() {
    rm -rf grant
    mkdir grant
    run --dir grant:/data unstable.wasm >said.txt || return 1
    diff - said.txt <<'END'
set: 0
at: 4
current: 0
at: 5
end: 0
at: 9
stat: 0
size: 10
path stat: 0
size: 10
poll: 0
events: 1
userdata: 99
written
write: 0
END
}
fact "modules of the older interface work" older

serve() {
    local port=$((20000 + $$ % 20000)) pid answer=
    mkdir -p grant
    run --dir grant:/data --listen "127.0.0.1:$port" server.wasm >said.txt &
    pid=$!
    eventually connect "$port" || { kill "$pid"; return 1; }
    printf 'hello\n' >&5
    read -r -t 10 answer <&5
    exec 5>&- 5<&-
    wait "$pid" || return 1
    [ "$answer" = HELLO ] && diff - said.txt <<'END'
accept: ok
end: 0
shutdown: 0
close: 0
END
}
connect() {
    exec 5<>"/dev/tcp/127.0.0.1/$1"
}
fact "a handed-in socket accepts, receives and sends" serve

finish
