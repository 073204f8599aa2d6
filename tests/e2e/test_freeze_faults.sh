#!/usr/bin/env bash
# freeze and thaw when things go wrong: outputs that are no files, clients and cells that are killed, many at once.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 runtime

cloudskin-cc -O2 "$E2E/guest/lines.c" -o lines.wasm || exit 1
cloudskin-aot --movable lines.wasm -o lines.cell || exit 1
cloudskin-cc -O2 "$E2E/guest/deep.c" -o deep.wasm || exit 1
mkfifo input
# begin NAME VERB ARGUMENTS...: descriptor 9 is its standard input; NAME.out gets what it writes
begin() {
    local name=$1 verb=$2
    shift 2
    cloudskin "$verb" --name "$name" "$@" <input >"$name.out" 2>"$name.err" &
    pid=$!
    exec 9>input
    eventually eval "cloudskin ps | grep -q '^$name '"
}
goes_on() { # the program of $pid ends as ever
    exec 9>&-
    exits 5 wait "$pid"
}
tell_more() { # to a program that may have been frozen, which leaves the pipe without a reader
    (trap '' PIPE && echo more >&9) 2>/dev/null
}
next_line() { # it reads one more line
    local lines
    lines=$(wc -l <one.out)
    echo more >&9
    eventually eval "[ \"\$(wc -l <one.out)\" -gt $lines ]"
}
no_parts() {
    [ -z "$(find . -name '.*.snap.*')" ]
}

begin one run lines.cell 16
eventually test -s one.out
fact "an output whose reader has gone is an error" eval \
    'cloudskin freeze one -o - | head -c 10 >/dev/null; [ "${PIPESTATUS[0]}" -eq 71 ]'
fact "and no end of the cell" kill -0 "$pid"
mkfifo pipe
next_line
cat pipe >piped.snap 9>&- &
reader=$!
fact "a pipe gets the snapshot" cloudskin freeze --keep one -o pipe
wait "$reader"
fact "it stays a pipe" test -p pipe
fact "what came out of it is whole" cloudskin inspect piped.snap
echo old >target.snap
ln -s target.snap link.snap
next_line
fact "a link leads to the file" cloudskin freeze --keep one -o link.snap
fact "and stays a link" test -L link.snap
fact "the file is replaced" cloudskin inspect target.snap
next_line
ln -s nowhere/x dangling.snap
ln -s loop.snap loop.snap
fact "a link that leads nowhere is refused" says "leads nowhere" cloudskin freeze one -o dangling.snap
fact "and stays a link" test -L dangling.snap
fact "so is one to itself" exits 71 cloudskin freeze one -o loop.snap
fact "a folder is refused" exits 71 cloudskin freeze one -o .
fact "a folder that is not there as well" exits 71 cloudskin freeze one -o nowhere/x.snap
fact "so is a name that no file can have" exits 71 cloudskin freeze one -o $'two\nlines.snap'
fact "a full disk has its own exit code" eval 'exits 71 cloudskin freeze one -o - >/dev/full'
fact "an option that is none is named" says "--nothing" cloudskin freeze --nothing one

chmod 755 runtime/cloudskin
fact "a folder of sockets that is not private is not trusted" says "not a private folder" cloudskin freeze one -o x.snap
fact "not by ps either" says "not a private folder" cloudskin ps
chmod 700 runtime/cloudskin
next_line
kill -STOP "$pid"
fact "ps lists a cell whose process is stopped" eval 'cloudskin ps | grep "^one .*does not answer"'
fact "JSON as well" eval 'cloudskin ps --json | grep -q "\"answers\": false"'
cloudskin freeze one -o stopped.snap 2>stopped.err 9>&- &
client=$!
eventually grep -q "process is stopped" stopped.err
kill -9 "$client"
wait "$client"
rm -f .stopped.snap.*
cloudskin freeze one -o ended.snap 2>ended.err 9>&- &
client=$!
eventually grep -q "process is stopped" ended.err
was=(.ended.snap.*)
kill -TERM "$client"
fact "a client that is ended ends by the signal" exits 143 wait "$client"
fact "and takes its half file along" eval '[ -n "${was[0]}" ] && [ ! -e "${was[0]}" ] && [[ "${was[0]}" != *"*" ]]'
kill -CONT "$pid"
fact "a client that was killed while it waited has frozen nothing" eval \
    '[ ! -e stopped.snap ] && [ ! -e ended.snap ] && kill -0 "$pid"'
next_line

only_one() {
    local i got=0 code pids=()
    for i in 1 2 3 4; do
        cloudskin freeze one -o "only$i.snap" 9>&- &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        code=0
        wait "$i" || code=$?
        if [ "$code" -eq 0 ]; then got=$((got + 1)); else [ "$code" -eq 127 ] || return 1; fi
    done
    [ "$got" -eq 1 ] && exits 75 wait "$pid" && mv only?.snap one.snap
}
fact "of four clients at once one freezes the cell, for the others there is none" only_one
exec 9>&-
fact "no parts are left over" no_parts

mkdir elsewhere
fact "an image is found where it was" eval \
    '(cd elsewhere && exits 5 cloudskin thaw ../one.snap </dev/null >../one.rest)'
fact "memory is what it was" eval 'tail -n 1 one.rest | cmp - <(cloudskin run lines.cell 16 </dev/null | tail -n 1)'
fact "inspect has the names of functions from the image" eval 'cloudskin inspect one.snap | grep -q " main "'
change_middle() { # one byte of memory's content, 16 MiB: two threads read it
    cp one.snap bad.snap
    printf '\xa5\x5a\xc3\x3c' | dd of=bad.snap bs=1 seek=$(($(stat -c %s one.snap) / 2)) conv=notrunc status=none
}
change_middle
fact "content that was changed is found" says "wrong checksum" cloudskin thaw bad.snap
head -c 9000000 one.snap >short.snap
fact "so is content that is missing" says "ends too early" cloudskin thaw short.snap
mv lines.cell away.cell
fact "and says why there are none" eval "cloudskin inspect one.snap | grep -q 'no names, as the program is not at $PWD/lines.cell'"
fact "thaw says what to do" says "name it by --module" cloudskin thaw one.snap
fact "which helps" eval 'exits 5 cloudskin thaw --module away.cell one.snap </dev/null'
mkfifo lines.cell
fact "a pipe where the program was keeps nobody waiting" eval "timeout 5 cloudskin inspect one.snap | grep -q 'no names'"
fact "neither does it keep thaw" eval 'timeout 5 cloudskin thaw one.snap 2>&1 | grep -q "name it by --module"'
mv away.cell lines.cell
cp lines.cell $'odd\e[31m.cell'
begin odd run $'odd\e[31m.cell'
cloudskin freeze odd -o odd.snap
exec 9>&-
fact "a name is no command to the terminal" eval '! cloudskin inspect odd.snap | grep -q $'"'\\e'"
python3 - <<'P' || exit 1
b = open("lines.wasm", "rb").read()
name = b"\x0e__host_fd_read"
assert b.count(name) == 1
open("named.wasm", "wb").write(b.replace(name, b"\x0e\x1b[1m\nerror kkk"))
P
cloudskin-aot -O1 --movable named.wasm -o $'na\e[1m\nmed.cell'
begin named run $'na\e[1m\nmed.cell'
eventually test -s named.out
fact "nor is that of a program" eval 'cloudskin ps | grep "^named .*na?\[1m?med.cell$"'
fact "nor that of a function, which is no answer of the cell either" eval \
    'cloudskin freeze named -o named.snap 2>named.say && grep -F "in \1b[1m\0aerror kkk" named.say'
exec 9>&-
fact "the program says it in the same way" eval 'exits 75 wait "$pid" && grep -F "frozen in \1b[1m\0aerror kkk" named.err'
long=$(printf 'n%.0s' {1..255})
begin long run lines.cell
eventually test -s long.out
fact "a snapshot may have a name as long as names are" eval 'cloudskin freeze long -o "$long" && mv "$long" long.snap'
exec 9>&-
fact "and is good" eval 'exits 5 cloudskin thaw --module lines.cell long.snap </dev/null'
fact "another program is refused by name" says "is not the program" cloudskin thaw --module deep.wasm one.snap
cloudskin-aot -O1 lines.wasm -o plain.cell
fact "an image that is not movable as well" exits 65 cloudskin thaw --module plain.cell one.snap
fact "and why" says "is an image of the program made without --movable" cloudskin thaw --module plain.cell one.snap
mv lines.cell away.cell
cp plain.cell lines.cell
fact "so is one in the place of what was run" says "lines.cell is one made without --movable" cloudskin thaw one.snap
mv away.cell lines.cell
fact "run says what a snapshot is for" says 'but a snapshot: `cloudskin thaw` goes on with it' cloudskin run one.snap
fact "inspect takes one from a pipe" eval 'cloudskin inspect <(cat one.snap) | grep " main "'
cloudskin-aot -O1 --movable --nan canonical lines.wasm -o canonical.cell
fact "running it with a name says that it cannot be frozen" says "made without --movable" \
    cloudskin run --name plain plain.cell </dev/null
fact "and one of the other NaN mode" exits 65 cloudskin thaw --module canonical.cell one.snap
fact "a snapshot without a name is none" exits 64 cloudskin thaw ''
fact "options come before the snapshot, which is said" says "before the snapshot" cloudskin thaw one.snap --name x

same_name() {
    local i code ran=0 pids=()
    for i in 1 2 3 4; do
        cloudskin run --name twin lines.cell <input >/dev/null 2>"twin$i.err" &
        pids+=($!)
    done
    exec 9>input
    eventually eval '[ "$(grep -l "is running" twin?.err | wc -l)" -eq 3 ]' || return 1
    exec 9>&-
    for i in "${pids[@]}"; do
        code=0
        wait "$i" || code=$?
        if [ "$code" -eq 5 ]; then ran=$((ran + 1)); else [ "$code" -eq 71 ] || return 1; fi
    done
    [ "$ran" -eq 1 ]
}
fact "of four cells that start at once with one name one gets it" same_name

cloudskin-aot --movable deep.wasm -o deep.cell || exit 1
cloudskin run --name deep deep.cell none 200 >deep.out &
deep=$!
eventually eval "cloudskin ps | grep -q '^deep '"
many_keep() {
    local i pids=()
    for i in 1 2 3 4 5 6; do
        cloudskin freeze --keep deep -o "many$i.snap" 9>&- &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || return 1
    done
    for i in 1 2 3 4 5 6; do
        cloudskin inspect "many$i.snap" || return 1
    done
}
fact "six clients at once get six snapshots" many_keep
keep_often() { # of one that lasts, however long they take
    local i
    for ((i = 0; i < 30; i++)); do
        cloudskin freeze --keep often -o - >often.snap || return 1
    done
}
cloudskin run --name often deep.cell none 1000000 >often.out &
often=$!
eventually eval "cloudskin ps | grep -q '^often '"
fact "thirty in a row are written" keep_often
cloudskin freeze often -o often.snap
fact "the program ran until then" exits 75 wait "$often"
as_undisturbed() {
    local size
    size=$(stat -c %s often.out)
    [ "$size" -gt 0 ] && cloudskin run deep.cell none 1000000 2>/dev/null | head -c "$size" | cmp - often.out
}
fact "and said what it says undisturbed" as_undisturbed
fact "and the program ends as ever" exits 7 wait "$deep"
fact "having said what it always says" eval 'cloudskin run deep.cell none 200 | cmp - deep.out'

# Whoever is killed, and whenever: there is a snapshot that goes on, or a cell that does, never both.
RANDOM=${SEED:-$$}
echo "seed $RANDOM"
pause() { # up to some milliseconds
    local until=$((${EPOCHREALTIME/[.,]/} + RANDOM % 12000))
    while [ "${EPOCHREALTIME/[.,]/}" -lt "$until" ]; do :; done
}
kill_client() {
    local i code
    for ((i = 0; i < 12; i++)); do
        begin kill run lines.cell 16
        eventually test -s kill.out
        rm -f kill.snap
        cloudskin freeze kill -o kill.snap 2>/dev/null 9>&- &
        client=$!
        pause
        kill -9 "$client" 2>/dev/null
        wait "$client" 2>/dev/null
        tell_more
        exec 9>&-
        code=0
        wait "$pid" || code=$?
        case $code in
        75) exits 5 cloudskin thaw kill.snap </dev/null || return 1 ;;
        5) [ ! -e kill.snap ] || return 1 ;;
        *) echo "exit code $code" && return 1 ;;
        esac
    done
}
fact "a client that is killed at any moment" kill_client
kill_cell() {
    local i code frozen
    for ((i = 0; i < 12; i++)); do
        begin kill run lines.cell 16
        eventually test -s kill.out
        rm -f kill.snap
        cloudskin freeze kill -o kill.snap 2>kill.say 9>&- &
        client=$!
        pause
        kill -9 "$pid" 2>/dev/null
        frozen=0
        wait "$client" || frozen=$?
        exec 9>&-
        wait "$pid" 2>/dev/null
        if [ -e kill.snap ]; then
            [ "$frozen" -eq 0 ] && exits 5 cloudskin thaw kill.snap </dev/null || return 1
        else
            [ "$frozen" -ne 0 ] || return 1
        fi
    done
}
fact "a cell that is killed at any moment" kill_cell
end_or_freeze() { # the cell ends by itself as it is frozen
    local i code frozen
    for ((i = 0; i < 12; i++)); do
        begin ends run lines.cell 1
        eventually test -s ends.out
        rm -f ends.snap
        cloudskin freeze ends -o ends.snap 2>ends.say 9>&- &
        client=$!
        pause
        exec 9>&-
        frozen=0 code=0
        wait "$client" || frozen=$?
        wait "$pid" || code=$?
        case $frozen.$code in
        0.75) exits 5 cloudskin thaw ends.snap </dev/null || return 1 ;;
        127.5) [ ! -e ends.snap ] || return 1 ;;
        *) echo "exit codes $frozen of freeze, $code of run" && cat ends.say && return 1 ;;
        esac
    done
}
fact "a cell that ends by itself at that moment" end_or_freeze
rm -f .kill.snap.*
silent() { # connected, and says nothing; the cell ends all the same
    begin quiet run lines.cell
    python3 - <<'P' 9>&- &
import socket, os, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["XDG_RUNTIME_DIR"] + "/cloudskin/quiet.sock")
open("connected", "w").close()
s.recv(1)
P
    client=$!
    eventually test -e connected || return 1
    cloudskin ps | grep "^quiet " || return 1
    goes_on && wait "$client"
}
SECONDS=0
fact "a client that says nothing keeps nobody waiting" silent
fact "least of all the cell" test "$SECONDS" -lt 9
finish
