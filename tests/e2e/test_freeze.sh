#!/usr/bin/env bash
# `cloudskin run --name`, ps, freeze, thaw: a running program becomes a file and goes on elsewhere.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 runtime

cloudskin-cc -O2 "$E2E/guest/deep.c" -o deep.wasm || exit 1
seq 1 40 >lines
cloudskin run --dir . deep.wasm lines >whole
fact "the program itself ends with 7" exits 7 cloudskin run --dir . deep.wasm lines

begin() { # begin NAME OPTIONS...: start it in the background; its output goes to NAME.out
    local name=$1
    shift
    cloudskin run --name "$name" "$@" --dir . deep.wasm lines >"$name.out" 2>"$name.err" &
    pid=$!
    eventually has_lines "$name.out" 2
}
has_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}
goes_on() { # goes_on NAME OPTIONS...: what it had written and what it writes now is the whole output
    local name=$1 code=0
    shift
    cloudskin thaw "$@" --dir . "$name.snap" >"$name.rest" || code=$?
    [ "$code" -eq 7 ] && cat "$name.out" "$name.rest" | cmp - whole
}

begin one
fact "ps lists it" eval 'cloudskin ps | grep -q "^one .*deep.wasm"'
fact "ps --json as well" eval 'cloudskin ps --json | grep -q "\"name\": \"one\""'
fact "a second cell of that name is refused" exits 71 cloudskin run --name one deep.wasm
fact "local/NAME is that cell as well" cloudskin freeze --keep local/one -o kept.snap
fact "freeze writes a file" cloudskin freeze one -o one.snap
fact "run ends with 75" exits 75 wait "$pid"
fact "and says where it was" grep -q "frozen in" one.err
fact "it was in the middle" eval '[ "$(wc -l <one.out)" -lt 40 ]'
fact "ps lists it no more" eval '! cloudskin ps | grep -q "^one "'
fact "inspect shows the call stack with names" eval 'cloudskin inspect one.snap | grep -q " main "'
fact "and the CPU time, which the program never asked for" eval \
    'cloudskin inspect one.snap | grep "CPU time" | grep -qv "so far 0\.000 s"'
fact "inspect --json is JSON" eval 'cloudskin inspect --json one.snap | python3 -c "import json, sys; assert json.load(sys.stdin)[\"frames\"]"'
fact "thaw goes on, and the output is that of an undisturbed run" goes_on one
fact "again from the same file" goes_on one
fact "on another CPU level" goes_on one --cpu x86-64-v2

begin two -O1
fact "with --keep it runs on" cloudskin freeze --keep two -o two.snap
fact "to its own end" exits 7 wait "$pid"
fact "with the whole output" cmp two.out whole
fact "and the file is good for going on" eval 'cloudskin thaw --dir . two.snap >rest; tail -n 3 rest | cmp - <(tail -n 3 whole)'

begin three
fact "JSON says what was written" eval 'cloudskin freeze --json three -o three.snap | grep -q "\"frames\""'
exits 75 wait "$pid"
cloudskin thaw --name again --dir . three.snap >three.rest &
pid=$!
eventually has_lines three.rest 1
fact "ps lists it by its program, not by the snapshot" eval 'cloudskin ps | grep -q "^again .*deep.wasm$"'
fact "a thawed program is frozen again" cloudskin freeze again -o four.snap
fact "its thaw ends with 75" exits 75 wait "$pid"
cloudskin thaw --dir . four.snap >four.rest
fact "three parts are the whole" eval 'cat three.out three.rest four.rest | cmp - whole'

begin five
fact "a full disk loses nothing" exits 71 cloudskin freeze five -o /dev/full/x
fact "nor does an output that fails" eval '! cloudskin freeze five -o - >/dev/full'
fact "the program runs on" exits 7 wait "$pid"
fact "and writes the whole output" cmp five.out whole

# What --output names is only touched when a program goes on.
cloudskin run --name six --output six.out --dir . deep.wasm lines 2>six.err &
pid=$!
eventually has_lines six.out 2
cloudskin freeze six -o six.snap
exits 75 wait "$pid"
head -c -10 six.snap >cut.snap # whole, but for its last part
cp six.out six.kept
echo more >>six.out
cp six.out six.more
fact "a snapshot without its end is refused" exits 65 cloudskin thaw --output six.out --dir . cut.snap
fact "and has not cut the output" cmp six.out six.more
fact "nor made one" eval 'exits 65 cloudskin thaw --output new.out --dir . cut.snap; ! test -e new.out'
fact "too small a limit has not either" eval 'exits 71 cloudskin thaw --memory 64K --output six.out --dir . six.snap; cmp six.out six.more'
printf 1 >one.byte
fact "too short an output is named" says "standard output has 1 bytes" \
    cloudskin thaw --output one.byte --dir . six.snap
fact "an output that cannot be made is named" says "nowhere/x: No such file" \
    cloudskin thaw --output nowhere/x --dir . six.snap
fact "the whole one cuts it, and goes on" eval 'exits 7 cloudskin thaw --output six.out --dir . six.snap && cmp six.out whole'
fact "into a new file goes the rest" eval 'exits 7 cloudskin thaw --output new.out --dir . six.snap && cat six.kept new.out | cmp - whole'

fact "no such cell" exits 127 cloudskin freeze nobody -o x.snap
fact "no such snapshot" exits 127 cloudskin thaw nothing.snap
fact "a module is no snapshot" exits 65 cloudskin thaw deep.wasm
head -c 2000 one.snap >short.snap
fact "a snapshot that was cut is refused" exits 65 cloudskin thaw --dir . short.snap
damage() { # one byte in the middle
    python3 - "$1" <<'P'
import sys
b = bytearray(open("one.snap", "rb").read())
b[len(b) * int(sys.argv[1]) // 10] ^= 0x41
open("bad.snap", "wb").write(b)
P
    exits 65 cloudskin thaw --dir . bad.snap
}
for tenth in 1 3 5 7 9; do
    fact "a damaged one as well ($tenth)" damage "$tenth"
done
fact "without its folder it is refused by name" says "lines" cloudskin thaw --dir "$XDG_RUNTIME_DIR:." one.snap
seq 2 41 >lines
fact "a file that changed is named" says "lines" cloudskin thaw --dir . one.snap
fact "and its exit code is that of a missing file" exits 127 cloudskin thaw --dir . one.snap
fact "--stale-files goes on" exits 7 cloudskin thaw --stale-files --dir . one.snap

# Standard input that is a file goes on where it was read to, if it is still that file.
cat >reads.c <<'C' && cloudskin-cc -O1 reads.c -o reads.wasm || exit 1
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
    static char buffer[16]; /* so that not all of it is read at once */
    char line[16];
    setvbuf(stdin, buffer, _IOFBF, sizeof buffer);
    while (fgets(line, sizeof line, stdin)) {
        fputs(line, stdout);
        fflush(stdout);
        while (strcmp(line, "20\n") == 0 && access("go", F_OK) != 0)
            usleep(1000);
    }
    return 9;
}
C
seq 1 40 >numbers
cloudskin run --name reads --dir . reads.wasm <numbers >reads.out 2>/dev/null &
pid=$!
eventually has_lines reads.out 20
fact "a program that reads a file as standard input is frozen" cloudskin freeze reads -o reads.snap
exits 75 wait "$pid"
: >go
reads() { # reads INPUT OPTIONS...
    local input=$1
    shift
    cloudskin thaw "$@" --dir . reads.snap <"$input" >reads.rest
}
fact "it goes on in the middle of it" exits 9 reads numbers
fact "with nothing lost" eval 'cat reads.out reads.rest | cmp - numbers'
mkdir -p copies
cp -p numbers copies/
fact "in a copy as well" exits 9 reads copies/numbers
seq 50 90 >numbers
fact "other content is refused" says "standard input changed" reads numbers
fact "as a file that is missing" exits 127 reads numbers
fact "and so is less of it" exits 127 reads lines
fact "--stale-files goes on with it" exits 9 reads numbers --stale-files
fact "at the old place" eval 'tail -n 1 reads.rest | grep -qx 90'
fact "what is no file is taken as it is" eval 'echo 77 | exits 9 reads /dev/stdin'
cloudskin-aot deep.wasm -o plain.cell
seq 1 40 >lines
cloudskin run --name plain --dir . plain.cell lines >/dev/null &
pid=$!
eventually eval 'cloudskin ps | grep -q "^plain "'
fact "an image that is not movable says so" says "--movable" cloudskin freeze plain -o x.snap
fact "and runs on" exits 7 wait "$pid"
fact "bad names are refused" exits 64 cloudskin run --name ../x deep.wasm
fact "and a name is told what it may begin with" says "beginning with none of" cloudskin run --name .x deep.wasm


cloudskin-cc -O1 "$E2E/guest/waits.c" -o waits.wasm || exit 1
# --module: what it names is looked at, whatever the cache has.
seq 1 40 >lines
begin named
cloudskin freeze named -o named.snap
exits 75 wait "$pid"
fact "another program in the place of its own is refused by name" says "waits.wasm is not the program of the snapshot" \
    cloudskin thaw --module waits.wasm --dir . named.snap
fact "with the exit code of what is refused" exits 65 cloudskin thaw --module waits.wasm --dir . named.snap
fact "a file that is no program as well" exits 65 cloudskin thaw --module lines --dir . named.snap
fact "one that is not there is missing" exits 127 cloudskin thaw --module nothing.wasm --dir . named.snap
fact "and is named" says "--module nothing.wasm: No such file" cloudskin thaw --module nothing.wasm --dir . named.snap
fact "its own goes on" goes_on named --module deep.wasm
away() { # away CODE TEXT: the program is not where it was, nor in the cache
    local code=0
    CLOUDSKIN_CACHE=$PWD/none cloudskin thaw --dir . named.snap 2>away.err || code=$?
    [ "$code" -eq "$1" ] && grep -q -- "$2" away.err
}
mv deep.wasm away.wasm
fact "a program that is not there any more is missing" away 127 "name it by --module"
cp waits.wasm deep.wasm
fact "another one in its place is refused" away 65 "deep.wasm is another file now"
mv away.wasm deep.wasm

# A module that is in the snapshot has no other name.
mkdir fake
cp "$(command -v cloudskin)" fake/
cat >fake/cloudskin-aot <<S
#!/usr/bin/env bash
[ "\$1" != --version ] || exec "$(command -v cloudskin-aot)" --version
while [ "\$1" != --name ] && [ \$# -gt 0 ]; do shift; done
echo "it is called \$2" >&2
exit 7
S
chmod +x fake/cloudskin-aot
begin inside
cloudskin freeze --embed inside -o inside.snap
exits 75 wait "$pid"
fact "a compiler that fails on an embedded module is said with the name of the snapshot" says \
    "cloudskin: inside.snap: the compiler failed with exit code 7" \
    env CLOUDSKIN_CACHE="$PWD/none" fake/cloudskin thaw --dir . inside.snap
fact "and so does the compiler call it" says "it is called inside.snap" \
    env CLOUDSKIN_CACHE="$PWD/none" fake/cloudskin thaw --dir . inside.snap

mkfifo input
begin_waits() { # begin_waits VERB...: descriptor 9 is its standard input
    cloudskin "$@" <input >>waits.out 2>>waits.err &
    pid=$!
    exec 9>input
}
said_lines() {
    [ "$(wc -l <waits.out)" -ge "$1" ]
}
: >waits.out
begin_waits run --name waits waits.wasm
eventually said_lines 1
fact "a program that sleeps is frozen" cloudskin freeze waits -o sleeps.snap
fact "and ends with 75" exits 75 wait "$pid"
exec 9>&-
begin_waits thaw --name waits sleeps.snap
eventually said_lines 2
echo one >&9
eventually said_lines 3
fact "one that waits for input as well" cloudskin freeze waits -o reads.snap
fact "and ends with 75 again" exits 75 wait "$pid"
exec 9>&-
begin_waits thaw reads.snap
echo two >&9
exec 9>&-
fact "it ends with its own exit code" exits 5 wait "$pid"
fact "it slept as long as it wanted to, and read each line once" \
    cmp waits.out - <<<$'sleeping\nslept right\ngot one\ngot two\nend'

# --stack is for what is called after thaw: what was called before has room of its own.
cloudskin-cc -O1 "$E2E/guest/dive.c" -o dive.wasm || exit 1
cloudskin-aot -O1 --movable dive.wasm -o dive.cell || exit 1
fact "a recursion that 1 MiB of stack does not hold" eval 'exits 134 cloudskin run --stack 1M dive.cell 40000 16000 <lines'
cloudskin run --name dive dive.cell 40000 16000 <input >dive.out 2>dive.err &
pid=$!
exec 9>input
eventually has_lines dive.out 1
fact "is frozen in its depth" cloudskin freeze dive -o dive.snap
fact "and ends with 75" exits 75 wait "$pid"
exec 9>&-
cloudskin run dive.cell 40000 16000 <lines | tail -n 1 >dive.want
fact "it goes on with 1 MiB for what it calls then" eval 'cloudskin thaw --stack 1M dive.snap <lines | cmp - dive.want'
fact "64 KiB do not hold that" exits 134 cloudskin thaw --stack 64K dive.snap <lines

# A write that a slow pipe has taken a part of goes on with the rest.
cloudskin-cc -O1 "$E2E/guest/long_write.c" -o writes.wasm || exit 1
mkfifo slow
cloudskin run --name writes writes.wasm >slow 2>writes.err &
pid=$!
exec 8<slow
head -c 100000 <&8 >writes.out
fact "a program that writes to a slow pipe is frozen" cloudskin freeze writes -o writes.snap
fact "and ends with 75" exits 75 wait "$pid"
cat <&8 >>writes.out
exec 8<&-
fact "some of the data has been taken" eval '[ "$(wc -c <writes.out)" -ge 100000 ] && [ "$(wc -c <writes.out)" -lt 1500000 ]'
cloudskin thaw writes.snap >>writes.out 2>>writes.err || code=$?
fact "the rest follows" [ "$code" -eq 6 ]
fact "as one write" grep -q "wrote 1500000" writes.err
alphabet() { # the first 1,500,000 letters
    awk 'BEGIN { while (n++ < 57693) printf "abcdefghijklmnopqrstuvwxyz" }' | head -c 1500000
}
fact "nothing is lost or written twice" eval 'alphabet | cmp - writes.out'
finish
