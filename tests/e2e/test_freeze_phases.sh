#!/usr/bin/env bash
# freeze and thaw around what comes before a program and behind it: start functions, _initialize, results of --invoke.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 runtime
mkfifo input

cloudskin-cc -O1 "$E2E/guest/phases.c" -o phases.wasm || exit 1
cloudskin-cc -O1 -DREACTOR -mexec-model=reactor "$E2E/guest/phases.c" -o reactor.wasm || exit 1
# The same program with `prepare` as its start function: a section behind that of exports.
python3 - <<'P' || exit 1
def leb(b, at):
    v = shift = 0
    while True:
        v |= (b[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not b[at - 1] & 0x80:
            return v, at
b = open("phases.wasm", "rb").read()
at = 8
while b[at] != 7:
    n, body = leb(b, at + 1)
    at = body + n
n, body = leb(b, at + 1)
name = b"\x07prepare\x00"
found = b.index(name, body, body + n) + len(name)
func, behind = leb(b, found)
index = b[found:behind]
open("start.wasm", "wb").write(b[:body + n] + bytes([8, len(index)]) + index + b[body + n:])
P

begin() { # begin NAME VERB ARGUMENTS...: descriptor 9 is its standard input; NAME.out gets what it writes
    local name=$1 verb=$2
    shift 2
    cloudskin "$verb" --name "$name" "$@" <input >"$name.out" 2>"$name.err" &
    pid=$!
    exec 9>input
}
freeze() { # freeze NAME, when it has written a line
    eventually test -s "$1.out" && cloudskin freeze "$1" -o "$1.snap" && exits 75 wait "$pid"
    local code=$?
    exec 9>&-
    return $code
}

begin invoked run --invoke answer phases.wasm 20
fact "a function that was invoked is frozen" freeze invoked
fact "thaw prints what it returns" eval 'echo | cloudskin thaw invoked.snap | cmp - <(echo 40)'

begin start run start.wasm
fact "a start function is frozen" freeze start
fact "the program comes behind it" eval \
    'echo | exits 3 cloudskin thaw start.snap >start.rest; cmp start.rest - <<<"main, prepared"'
begin kept run start.wasm
eventually test -s kept.out
fact "with --keep the same program goes on" cloudskin freeze --keep kept -o kept.snap
echo >&9
exec 9>&-
fact "to its own end" exits 3 wait "$pid"
fact "having said all of it" eval 'cat kept.out | cmp - <(printf "prepare\nmain, prepared\n")'

refused() { # what --invoke names is not in a snapshot of what comes before it
    eventually test -s early.out
    says "still being initialised: answer is called after that" cloudskin freeze early -o early.snap &&
        exits 65 cloudskin freeze early -o early.snap && exits 65 cloudskin checkpoint early -o early &&
        [ ! -e early.snap ] && echo >&9 && echo >&9 && exec 9>&- && exits 0 wait "$pid" &&
        cmp early.out - <<<$'prepare\nanswer\n41'
}
begin early run --invoke answer start.wasm 20
fact "before what is invoked its start function is not" refused
begin early run --invoke answer reactor.wasm 20
fact "nor is _initialize" refused
fact "_initialize may be what is invoked, and runs once" eval \
    'echo | cloudskin run --invoke _initialize reactor.wasm | cmp - <(echo prepare)'
begin late run --invoke answer reactor.wasm 20
echo >&9
eventually eval '[ "$(wc -l <late.out)" -eq 2 ]'
fact "then it is" freeze late
fact "and what it returns is that of an undisturbed run" eval 'echo | cloudskin thaw late.snap | cmp - <(echo 41)'
finish
