#!/usr/bin/env bash
# Snapshots that include the module, and compressed ones.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 runtime

cloudskin-cc -O1 "$E2E/guest/deep.c" -o deep.wasm || exit 1
seq 1 40 >lines
cloudskin run -O1 --dir . deep.wasm lines >whole

begin() { # begin NAME VERB...: in the background; its output goes to NAME.out
    local name=$1 verb=$2
    shift 2
    cloudskin "$verb" --name "$name" "$@" >"$name.out" 2>"$name.err" &
    pid=$!
    eventually has_lines "$name.out" 2
}
has_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}
goes_on() { # goes_on BEFORE OPTIONS... SNAPSHOT: what was written before, and what comes now, is the whole output
    local before=$1 code=0
    shift
    cloudskin thaw --dir . "$@" >rest || code=$?
    [ "$code" -eq 7 ] && cat "$before" rest | cmp - whole
}
alone() { # with an empty cache, and without the module's file
    mv deep.wasm away.wasm
    CLOUDSKIN_CACHE=$PWD/cache$((++caches)) "$@"
    local code=$?
    mv away.wasm deep.wasm
    return "$code"
}
caches=0

begin one run -O1 --dir . deep.wasm lines
fact "--keep leaves a plain snapshot" cloudskin freeze --keep one -o plain.snap
head -n "$(wc -l <one.out)" one.out >before
fact "--embed includes the module" cloudskin freeze --embed one -o embedded.snap
fact "run ends with 75" exits 75 wait "$pid"
fact "inspect says so" eval 'cloudskin inspect embedded.snap | grep -q "embedded"'
fact "and in JSON" eval 'cloudskin inspect --json embedded.snap | grep -q "\"module_embedded\": true"'
fact "a plain one does not" eval 'cloudskin inspect --json plain.snap | grep -q "\"module_embedded\": false"'
fact "inspect takes names from it" eval 'alone cloudskin inspect embedded.snap | grep -q " main "'
fact "a plain one needs the module" alone exits 127 cloudskin thaw --dir . plain.snap
fact "thaw of one that embeds it needs nothing" alone goes_on one.out embedded.snap
embed_again() {
    begin two thaw --dir . embedded.snap || return 1
    cloudskin freeze --embed --compress=5 two -o again.snap 2>frozen || return 1
    exits 75 wait "$pid"
}
fact "it can be embedded once more" alone embed_again
cat one.out two.out >both.out
fact "and thawed again" alone goes_on both.out again.snap
fact "the last one is compressed" eval '[ "$(head -c 4 again.snap | od -An -tx1)" = " 28 b5 2f fd" ]'
fact "which freeze says" grep -q " bytes compressed to $(stat -c %s again.snap), in" frozen
fact "and inspect" eval 'cloudskin inspect again.snap | grep -q "compressed to $(stat -c %s again.snap) bytes"'
fact "it is smaller" eval '[ "$(stat -c %s again.snap)" -lt "$(stat -c %s embedded.snap)" ]'
fact "a pipe will do" goes_on both.out <(cat again.snap)
fact "and a pipe with a plain one" goes_on one.out <(cat embedded.snap)

cut_at() { # cut_at PERCENT
    head -c $(($(stat -c %s again.snap) * $1 / 100)) again.snap >cut.snap
    exits 65 cloudskin thaw --dir . cut.snap
}
damage_at() { # damage_at PERCENT
    python3 -c 'import sys
b = bytearray(open("again.snap", "rb").read())
b[len(b) * int(sys.argv[1]) // 100] ^= 0x41
open("bad.snap", "wb").write(b)' "$1"
    exits 65 cloudskin thaw --dir . bad.snap
}
looked_at() { # looked_at SNAPSHOT BYTE: and thaw says the same of it
    python3 -c 'import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[int(sys.argv[2])] ^= 0x41
open("bad.snap", "wb").write(b)' "$1" "$2"
    exits 65 cloudskin inspect bad.snap && exits 65 cloudskin inspect --json bad.snap &&
        says "$(cloudskin inspect bad.snap 2>&1 | tail -n 1 | sed 's/.*snapshot: //')" cloudskin thaw --dir . bad.snap
}
bytes=$(stat -c %s plain.snap)
for percent in 1 30 60 80 99; do
    fact "inspect finds damage ($percent %)" looked_at plain.snap $((bytes * percent / 100))
done
fact "and of a compressed one" looked_at again.snap $(($(stat -c %s again.snap) / 2))
for percent in 1 50 99; do
    fact "a compressed one that was cut is refused ($percent)" cut_at "$percent"
    fact "a damaged one as well ($percent)" damage_at "$percent"
done
fact "it says what is wrong" says "ends too early" cloudskin thaw --dir . cut.snap
{ cat again.snap && echo more; } >longer.snap
fact "nothing may stand behind it" exits 65 cloudskin thaw --dir . longer.snap
echo nothing | python3 -c 'import sys; sys.stdout.buffer.write(b"\x28\xb5\x2f\xfd" + sys.stdin.buffer.read())' >fake.snap
fact "something else with its first bytes is refused" exits 65 cloudskin thaw fake.snap
fact "inspect refuses it too" exits 65 cloudskin inspect fake.snap

other_module() { # another module of the same length in the place of the embedded one, with right checksums
    python3 - <<'P'
import struct
b = bytearray(open("embedded.snap", "rb").read())
at = b.index(b"\0asm\x01\0\0\0")
b[at + 40] ^= 1
open("other.snap", "wb").write(b)
P
    says "module" cloudskin thaw --dir . other.snap
}
fact "a module that was changed is refused" other_module

checkpoint_compressed() { # a file of a folder of checkpoints may be compressed as well
    local points=$PWD/state/cloudskin/checkpoints/four libexec
    libexec=$(dirname "$(command -v cloudskin)")/../libexec/cloudskin
    cloudskin run -O1 --name four --output four.txt --dir . deep.wasm lines &
    pid=$!
    eventually has_lines four.txt 2 && cloudskin checkpoint four || return 1
    kill -9 "$pid"
    wait "$pid"
    "$libexec/zstd.helper" compress 3 <"$points/000001.snap" >compressed.snap || return 1
    mv compressed.snap "$points/000001.snap"
    exits 7 cloudskin thaw --name four --output four.txt --dir . && cmp four.txt whole
}
XDG_STATE_HOME=$PWD/state fact "a checkpoint that was compressed is gone back to" checkpoint_compressed

begin three run -O1 --dir . deep.wasm lines
incomplete() { # an installation without the helper
    local bin
    bin=$(dirname "$(command -v cloudskin)")
    mkdir -p part/bin part/libexec/cloudskin
    cp "$bin/cloudskin" part/bin/
    cp "$bin"/../libexec/cloudskin/{freeze,inspect} part/libexec/cloudskin/
}
incomplete
for verb in "thaw again.snap" "inspect again.snap" "freeze --compress three -o x.snap"; do
    fact "${verb%% *} says that the helper is missing" eval "says 'is not installed' part/bin/cloudskin $verb"
done
fact "levels are from 1 to 19" exits 64 cloudskin freeze --compress=20 three -o x.snap
fact "a full disk loses nothing" exits 71 cloudskin freeze --compress three -o /dev/full/x
echo before >placed.snap
too_large() { # the helper fails, when the cell has said that all went well
    (
        ulimit -f 0
        exits 71 cloudskin freeze --compress three -o placed.snap 2>/dev/null
    ) && [ "$(cat placed.snap)" = before ]
}
fact "nor a helper that cannot write" too_large
fact "whose file is gone" eval '! ls .placed.snap.* 2>/dev/null'
fact "nor does an output that fails" eval '! cloudskin freeze --compress three -o - >/dev/full'
fact "or a reader that leaves" eval 'cloudskin freeze --embed three -o - 2>leaves.err | true; grep -q "Broken pipe" leaves.err'
fact "--keep --compress gives the file its name" cloudskin freeze --keep --compress=19 three -o placed.snap
fact "in the place of the one before" eval '[ "$(head -c 4 placed.snap | od -An -tx1)" = " 28 b5 2f fd" ]'
mv deep.wasm away.wasm
fact "without the module's file --embed says so" says "no module to embed" cloudskin freeze --embed three -o x.snap
mv away.wasm deep.wasm
fact "the program runs on" exits 7 wait "$pid"
fact "and writes the whole output" cmp three.out whole
finish
