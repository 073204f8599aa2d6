#!/usr/bin/env bash
# `cloudskin checkpoint` and thaw of checkpoints: whatever the program and the tool are killed at, going back gives the
# files and the output of an undisturbed run. KILLS: rounds of each kind of kill.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime XDG_STATE_HOME=$PWD/state
export XDG_RUNTIME_DIR XDG_STATE_HOME
mkdir -m 700 runtime
kills=${KILLS:-4}
points=state/cloudskin/checkpoints/sim
exec </dev/null
mkfifo slowly # as standard input: it lets the program run for 25 s
exec 8<>slowly

cloudskin-cc -O2 "$E2E/guest/writes.c" -o writes.wasm || exit 1
mkdir whole
cloudskin run -O1 --movable --output whole.out --dir whole:. writes.wasm 120
fact "the program itself ends with 9" [ $? -eq 9 ]

begin() { # begin [INPUT]: the program in the background, in a fresh folder
    rm -rf data data.out state
    mkdir data
    cloudskin run -O1 --name sim --output data.out --dir data:. writes.wasm 120 <"${1:-slowly}" 2>run.err &
    pid=$!
    eventually has_lines data.out 2
}
has_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}
more_lines() { # it has written on
    local now
    now=$(wc -l <data.out)
    eventually has_lines data.out $((now + 3))
}
ends() { # without more of these pauses
    local code
    echo >&8
    exits 9 wait "$pid"
    code=$?
    read -r <&8
    return $code
}
end_it() {
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}
keep_copy() {
    rm -rf kept
    mkdir kept
    cp -a data data.out state kept/
}
take_copy() {
    rm -rf data data.out state
    cp -a kept/. .
}
goes_back() { # goes_back OPTIONS...: and ends as if nothing had happened
    exits 9 timeout 120 cloudskin thaw --name sim "$@" --output data.out --dir data:. &&
        cmp data.out whole.out && diff -r data whole
}

begin
fact "one checkpoint" eval 'cloudskin checkpoint sim >one.out'
fact "says its number, bytes and pause" grep -Eq '^1: [0-9]+ bytes, [0-9.]+ ms$' one.out
more_lines
fact "the next is another full one for another command" eval 'cloudskin checkpoint --json sim | python3 -c "
import json, sys
c = json.load(sys.stdin)
assert c[\"number\"] == 2 and c[\"pause_ms\"] > 0"'
more_lines
fact "a second program does not get the folder of a running one" \
    says "a running program keeps its checkpoints" cloudskin thaw --name sim --dir data:.
end_it
keep_copy
fact "a killed program goes on from the newest" goes_back
take_copy
fact "and from an earlier one" goes_back --at 1
take_copy
fact "by its file" eval 'exits 9 cloudskin thaw --output data.out --dir data:. "$points/000001.snap" && diff -r data whole'
take_copy
fact "or its folder" eval 'exits 9 cloudskin thaw --output data.out --dir data:. "$points" && diff -r data whole'
take_copy
fact "it says which one, and how old it is" says "/writes.wasm, " \
    timeout 120 cloudskin thaw --name sim --output data.out --dir data:.
take_copy
fact "and what happens to later ones" says "1 later checkpoint removed" \
    timeout 120 cloudskin thaw --name sim --at 1 --output data.out --dir data:.
take_copy
fact "without a file for the output it says that some comes again" says "will come again" \
    timeout 120 cloudskin thaw --name sim --dir data:.
take_copy
fact "one that is not there" exits 127 cloudskin thaw --name sim --at 7 --dir data:.
fact "without its folder it is refused by name" says "is not granted" cloudskin thaw --name sim
fact "and nothing was changed" diff -r data kept/data
unchanged() {
    diff -r data kept/data && cmp data.out kept/data.out && diff -r state kept/state
}
fact "limits are checked before files are brought back" says "more open files than allowed" \
    cloudskin thaw --name sim --at 1 --open-files 4 --output data.out --dir data:.
fact "those of memory as well" exits 71 \
    cloudskin thaw --name sim --at 1 --memory 1M --output data.out --dir data:.
fact "a second folder by another spelling of a name as well" says "would both be '.' for the program" \
    cloudskin thaw --name sim --output data.out --dir data:. --dir whole:./
fact "all is as it was then" unchanged
fact "a read-only folder as well" says "is read-only here" cloudskin thaw --name sim --dir data:.:ro
python3 - "$points/000002.snap" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(3000)
    byte = f.read(1)[0]
    f.seek(3000)
    f.write(bytes([byte ^ 0x41]))
P
hints() { # does a refusal name another checkpoint? then nothing else may be damaged
    [[ $(cloudskin thaw --name sim --dir data:. "$@" 2>&1) == *"takes the checkpoint before"* ]]
}
fact "a damaged one is refused, and the one before is named" says "--at 1 takes the checkpoint before" \
    cloudskin thaw --name sim --output data.out --dir data:.
fact "nothing was changed then either" diff -r data kept/data
fact "and that one can be taken" goes_back --at 1
take_copy
rm data.out
seq 100000 >data.out
fact "no other one is named where the output is refused" eval '! hints --output data.out'
take_copy
printf XXXXXXXX | dd of="$points/000002.undo" bs=1 seek=4200 conv=notrunc 2>/dev/null
fact "nor where a journal is damaged" eval '! hints --output data.out'
fact "which is said" says "journal: " cloudskin thaw --name sim --output data.out --dir data:.

begin
cloudskin checkpoint sim --every 50ms --keep 2 >ignores.out &
tool=$!
more_points() {
    local now
    now=$(wc -l <ignores.out)
    eventually has_lines ignores.out $((now + 3))
}
eventually has_lines ignores.out 1
fact "in the background of a script it is not for Ctrl-C" eval 'kill -INT "$tool" && more_points'
fact "SIGTERM ends it" eval 'kill "$tool" && exits 143 wait "$tool"'
# Such a job ignores SIGINT, and its programs would.
env --default-signal=INT cloudskin checkpoint sim --every 50ms --keep 2 >every.out &
tool=$!
increments() {
    [ "$(grep -c ' on [0-9]*, ' every.out)" -ge 3 ]
}
eventually increments
fact "--every goes on until Ctrl-C" eval 'kill -INT "$tool" && exits 130 wait "$tool"'
fact "with increments" grep -q ' on [0-9]*, ' every.out
fact "and --keep 2 of them have before-images" eval '[ "$(ls $points/*.undo | wc -l)" -eq 2 ]'
more_lines
end_it
number=$(tail -n 1 every.out)
number=${number%%:*}
keep_copy
# Without their journals they are snapshots like others, which stand on what is beside them.
mkdir snaps
cp "$points"/*.snap snaps/
last=$(printf 'snaps/%06u.snap' "$number")
fact "an increment without its journal is one of a program whose files have changed" says "changed since it was saved" \
    cloudskin thaw --dir data:. "$last"
base=$(printf '%06u.snap' $((number - 1)))
rm "snaps/$base"
fact "a base that is missing is named" says "changed since $base, which is not there" cloudskin thaw --dir data:. "$last"
rm -r snaps
fact "an increment is gone back to" goes_back
take_copy
fact "the one before too" goes_back --at $((number - 1))

begin /dev/null
cloudskin checkpoint sim --every 200ms >every.out &
tool=$!
exits 9 wait "$pid" >/dev/null
fact "with --every it ends with the cell" wait "$tool"
fact "which was not disturbed" eval 'cmp data.out whole.out && diff -r data whole'

# Checkpoints that others meddle with: another folder in between, a base that is removed, folders with their names.
thaws() { # thaws FOLDER
    exits 9 timeout 120 cloudskin thaw --output data.out --dir data:. "$1" && cmp data.out whole.out && diff -r data whole
}
begin
rm -rf one two every.out
cloudskin checkpoint sim --every 500ms -o one >every.out &
tool=$!
eventually has_lines every.out 1
fact "a checkpoint in another folder" cloudskin checkpoint sim -o two
eventually has_lines every.out 2
rm one/000002.snap
eventually has_lines every.out 3
kill "$tool"
wait "$tool"
end_it
fact "is no base for those in the first one" grep -Eq '^2: [0-9]+ bytes, ' every.out
fact "nor is one that was removed" grep -Eq '^3: [0-9]+ bytes, ' every.out
fact "and the newest is good" thaws one
begin
mkdir -p "$points"/000001.snap "$points"/000001.1.kept "$points"/000002.part
ln -s nowhere "$points/000002.snap"
echo foreign >"$points/notes"
for n in 3 4 5; do
    fact "checkpoint $n among folders of such names" cloudskin checkpoint sim --keep 1
done
fact "--keep 1 of them is left" eval '[ "$(ls $points/*.undo)" = "$points/000005.undo" ]'
more_lines
end_it
fact "which is gone back to" thaws "$points"
fact "foreign files are left" test -e "$points/notes"

# A second crash behind a first one: what was thawed is good to go back to without a new checkpoint.
begin
cloudskin checkpoint sim >/dev/null
more_lines
end_it
cloudskin thaw --name sim --output data.out --dir data:. <slowly 2>thaw.err &
pid=$!
more_lines
end_it
fact "a thawed program that is killed goes back to the same checkpoint" goes_back

# Its output goes elsewhere for a while: neither that file nor its own is harmed by what is undone of the other.
begin
cloudskin checkpoint sim >/dev/null
more_lines
end_it
cp data.out full.out
cloudskin thaw --name sim --dir data:. <slowly >other.out 2>thaw.err &
pid=$!
eventually test -s other.out
end_it
fact "a thaw to another output leaves the program's own" cmp data.out full.out
fact "a file that is not its output is not cut" says "is not the file that it went to" \
    cloudskin thaw --name sim --output whole.out --dir data:.
fact "and it goes back with its own" goes_back

# By the names of outputs there are other files now.
begin
cloudskin checkpoint sim >/dev/null
more_lines
end_it
cloudskin thaw --name sim --output new.out --dir data:. <slowly 2>thaw.err &
pid=$!
eventually test -s new.out
end_it
keep_copy
seq 100000 >x
cp x foreign
mv x new.out
refuses() { # refuses TEXT FILE OPTIONS...: and nothing is changed
    local was
    was=$(cksum <"$2")
    says "$1" cloudskin thaw --name sim --output "$2" --dir data:. "${@:3}" &&
        [ "$(cksum <"$2")" = "$was" ] && diff -r data kept/data && diff -r state kept/state
}
fact "a file that has got the name of an output is not cut" refuses "neither the file that it went to nor a copy" new.out
fact "nor its own files changed" unchanged
rm new.out
cp foreign new.out
fact "nor one that has got its number as well" refuses "neither the file that it went to nor a copy" new.out
rm new.out
fact "a new one by that name is good" eval \
    'exits 9 timeout 120 cloudskin thaw --name sim --output new.out --dir data:. && tail -n 20 new.out | cmp - <(tail -n 20 whole.out)'
begin
more_lines
cloudskin checkpoint sim >/dev/null
more_lines
end_it
keep_copy
tac data.out >x
mv x data.out
fact "one that is no copy of it is refused" refuses "neither the file that it went to nor a copy" data.out
head -c 10 kept/data.out >data.out
fact "so is what is left of one" refuses "neither the file that it went to nor a copy" data.out
cp --remove-destination kept/data.out new.out
fact "a copy by another name is not known as one" refuses "is not the file that it went to" new.out
take_copy
fact "a copy by its name is" goes_back
begin
more_lines
cloudskin checkpoint sim >/dev/null
more_lines
end_it
keep_copy
for size in 0 10; do
    truncate -s $size data.out
    fact "an output that was cut to $size bytes is refused" refuses "was cut to $size bytes" data.out
done
seq 100000 >data.out
fact "so is one that has got other bytes" refuses "has other bytes than the program wrote" data.out
cat kept/data.out >data.out
fact "with its own it is good" goes_back

# An output that the program has changed in place: the file, and a copy of it, are brought back.
cloudskin-cc -O2 "$E2E/guest/rewrites.c" -o rewrites.wasm || exit 1
head -c 200000 /dev/zero | tr '\0' A >plain.out
rewritten() { # rewritten HOW: checkpointed, changed and killed
    rm -rf data data.out state
    mkdir data
    cloudskin run -O1 --name sim --output data.out --dir data:. rewrites.wasm "$1" 2>run.err &
    pid=$!
    eventually test -s data.out && cloudskin checkpoint sim >/dev/null || return 1
    touch data/go
    eventually test -e data/did || return 1
    end_it
    rm data/go
    touch data/end
    keep_copy
}
ends_plain() {
    exits 3 timeout 120 cloudskin thaw --name sim --output data.out --dir data:. && cmp data.out plain.out
}
for how in tail cut; do
    fact "$how: the output is changed in place" rewritten $how
    fact "$how: it is brought back" ends_plain
    take_copy
    cp data.out x && mv x data.out
    fact "$how: in a copy as well" ends_plain
done
rewritten cut
rm data.out
seq 100000 >data.out
fact "the bytes that a journal has do not make a copy of a foreign file" refuses "neither the file that it went to nor a copy" data.out
rewritten tail
truncate -s 0 data.out
fact "the bytes that a journal has do not hide that others are lost" refuses "was cut to 0 bytes" data.out
take_copy
rm -f new.out
cloudskin thaw --name sim --output new.out --dir data:. 2>thaw.err
fact "what stays overwritten in another output is said" grep -q "overwrote in its former output stays so" thaw.err
rewritten quiet
rm data.out
seq 5000 >data.out
fact "a file with the number of an output that nothing was written to since" refuses "is not the file that it went to" data.out
ln -s nowhere link.out
fact "a refusal leaves nothing" eval 'exits 127 cloudskin thaw --name sim --output link.out && [ ! -e nowhere ] && [ -L link.out ]'
rm -f link.out
rm data/end data.out # that one is the program's
cloudskin run -O1 --name sim --output data.out --dir data:. rewrites.wasm quiet 2>run.err &
pid=$!
eventually test -s data.out
fact "the program is frozen" cloudskin freeze sim -o quiet.snap
wait "$pid"
rm data.out
seq 5000 >data.out
fact "nor is one behind a freeze cut" says "is not the file that it went to" cloudskin thaw --output data.out --dir data:. quiet.snap
fact "which is as it was" eval 'seq 5000 | cmp - data.out'

# Two checkpoints, and a copy.
begin
cloudskin checkpoint sim >/dev/null
more_lines
cloudskin checkpoint sim >/dev/null
more_lines
end_it
cp data.out x && mv x data.out
fact "a copy goes back to both" goes_back --at 1

begin
more_lines
cloudskin checkpoint sim >/dev/null
more_lines
mv data.out new.out
lines=$(wc -l <new.out)
eventually has_lines new.out $((lines + 3))
cloudskin checkpoint sim >/dev/null
lines=$(wc -l <new.out)
eventually has_lines new.out $((lines + 3))
end_it
cp new.out data.out
keep_copy
cp new.out x && mv x new.out
takes_new() { # --at 1
    refuses "neither the file that it went to nor a copy" new.out --at 1
}
fact "a copy of one that was renamed between them is refused for the older one, before anything is changed" takes_new
mv new.out data.out
rm -f new.out

# Only its owner, or who has CAP_FOWNER, may set the time of change.
if [ "$(id -u)" -eq 0 ]; then
    begin
    more_lines
    cloudskin checkpoint sim >/dev/null
    more_lines
    end_it
    keep_copy
    chown 65534 data.out
    chmod 666 data.out
    fact "an output of somebody else's that may be written to is brought back" eval 'exits 9 timeout 120 \
        setpriv --bounding-set=-fowner cloudskin thaw --name sim --output data.out --dir data:. && cmp data.out whole.out'
    take_copy
    find data -type f -exec chown 65534 {} + -exec chmod 666 {} +
    keep_copy
    fact "a file of the program's that is somebody else's now is not" says "belongs to somebody else" \
        setpriv --bounding-set=-fowner cloudskin thaw --name sim --output data.out --dir data:.
    fact "and nothing is changed" unchanged
    fact "but where its time of change may be set" goes_back
fi

# The program moves or removes the file that its output goes to.
cloudskin-cc -O2 "$E2E/guest/rotates.c" -o rotates.wasm || exit 1
rotated() { # rotated HOW: checkpointed, changed and killed
    rm -rf data data.out state
    mkdir data
    cloudskin run -O1 --name sim --output data/out.txt --dir data:. rotates.wasm "$1" 2>run.err &
    pid=$!
    eventually grep -q first data/out.txt && cloudskin checkpoint sim >/dev/null || return 1
    touch data/go
    eventually test -e data/did || return 1
    end_it
    rm data/go
    touch data/end data.out
    keep_copy
}
ends_rotated() { # ends_rotated FILE FOUND
    exits 3 timeout 120 cloudskin thaw --name sim --output "data/$1" --dir data:. && prints $'first\nlast' cat "data/$2" &&
        [ "$(ls data)" = $'end\nout.txt' ]
}
refuses_out() { # refuses_out [FILE]
    says "and standard output has that name" cloudskin thaw --name sim --output "data/${1:-out.txt}" --dir data:. && unchanged
}
fact "an output that the program renames" rotated renames
changed=$(stat -c %y data)
fact "is not made by its old name" refuses_out
fact "not even until that is refused" [ "$(stat -c %y data)" = "$changed" ]
touch data/out.txt kept/data/out.txt
fact "nor taken there" refuses_out
rm data/out.txt kept/data/out.txt
fact "and comes back by its new one" ends_rotated out.old out.txt
fact "an output that the program removes" rotated removes
fact "is not made by its name" refuses_out
fact "and comes back beside another one" eval 'exits 3 timeout 120 cloudskin thaw --name sim --output new.out --dir data:. &&
    prints first head -n 1 data/out.txt && prints last cat new.out'
rm -f new.out
rotated folder
fact "an output in a folder that goes is refused" refuses_out made/new.out
rotated inplace
fact "an output that the program writes to by its path as well comes back" ends_rotated out.txt out.txt
rotated inplace-renames
fact "also when it has another name since" ends_rotated out.old out.txt
rotated inplace-links
fact "and when that was by a second name" ends_rotated out.txt out.txt
rotated cuts
fact "one that it only cuts by its path comes back" ends_rotated out.txt out.txt

# What may not be changed here is found before anything is.
plainly=()
[ "$(id -u)" -ne 0 ] || plainly=(setpriv --bounding-set=-dac_override)
forbidden() { # forbidden FILE: it may not be written to, or nothing in it removed
    local mode
    mode=$(stat -c %a "$1")
    chmod a-w "$1"
    says "cannot be brought back: Permission denied" "${plainly[@]}" cloudskin thaw --name sim --output new.out --dir data:. &&
        [ ! -e new.out ] && unchanged && chmod "$mode" "$1"
}
rotated cuts
fact "a file that may not be written to" forbidden data/out.txt
fact "and a folder" forbidden data
fact "are brought back when they may be" eval 'exits 3 timeout 120 "${plainly[@]}" cloudskin thaw --name sim --output new.out --dir data:. &&
    prints first cat data/out.txt'
rm -f new.out
for how in over copies copies-first; do
    fact "an output that the program renames another file over ($how)" rotated $how
    fact "is not taken by its name ($how)" refuses_out
    fact "and comes back beside another one ($how)" eval 'exits 3 timeout 120 cloudskin thaw --name sim --output new.out --dir data:. &&
        prints first head -n 1 data/out.txt && prints last cat new.out && [ "$(ls data)" = $'"'end\nout.txt'"' ]'
    rm -f new.out
done

begin
cloudskin checkpoint sim >/dev/null
more_lines
cloudskin freeze sim -o frozen.snap 2>/dev/null
wait "$pid"
fact "a checkpoint before a freeze is refused" says "was frozen after it" cloudskin thaw --name sim --dir data:.
fact "the frozen one goes on" eval 'exits 9 cloudskin thaw --output data.out --dir data:. frozen.snap && diff -r data whole && cmp data.out whole.out'

fact "no such cell" exits 127 cloudskin checkpoint nobody
fact "no cell at all" exits 64 cloudskin checkpoint
fact "a bad time" says "--every: expected a time" cloudskin checkpoint sim --every 0
fact "a bad number" exits 64 cloudskin checkpoint sim --keep 0
fact "--at without checkpoints" exits 64 cloudskin thaw --at 1 --dir . frozen.snap

# Killed at any change of a file: the program while it is checkpointed and runs on, the tool, and thaw.
killed_program() { # killed_program N
    begin
    cloudskin checkpoint sim >/dev/null || return 1
    more_lines
    faultat kill "$1" -p "$pid" >kill.out &
    local killer=$!
    eventually grep -q watching kill.out
    cloudskin checkpoint sim >/dev/null 2>&1
    wait "$killer"
    end_it
    goes_back
}
killed_tool() {
    begin
    cloudskin checkpoint sim >/dev/null || return 1
    more_lines
    faultat kill "$1" cloudskin checkpoint sim >kill.out 2>&1
    more_lines
    end_it
    goes_back
}
killed_thaw() {
    take_copy
    faultat kill "$1" cloudskin thaw --name sim --at 1 --output data.out --dir data:. >kill.out 2>&1
    goes_back --at 1
}
# At the older of two checkpoints nothing had been written, so that a copy is known by the newer one only.
late() {
    rm -rf data data.out state
    mkdir data
    cloudskin run -O1 --name sim --output data.out --dir data:. rotates.wasm late 2>run.err &
    pid=$!
    eventually cloudskin checkpoint sim && [ ! -s data.out ] || return 1
    touch data/go
    eventually test -e data/did && cloudskin checkpoint sim >/dev/null || return 1
    touch data/end
    exits 3 wait "$pid"
    rm data/go
    cp data.out x && mv x data.out
    keep_copy
}
late_killed() { # late_killed N
    take_copy
    faultat kill "$1" cloudskin thaw --name sim --at 1 --output data.out --dir data:. >kill.out 2>&1
    exits 3 timeout 120 cloudskin thaw --name sim --at 1 --output data.out --dir data:. && prints last cat data.out
}
# Behind the renaming the output is there by its old name only, and the same command would begin a new one.
renamed_killed() { # renamed_killed N
    local name=out.old
    take_copy
    faultat kill "$1" cloudskin thaw --name sim --output data/out.old --dir data:. >kill.out 2>&1
    if [ -e data/out.txt ]; then
        name=out.txt
        [ ! -e "$points/restoring" ] || refuses_first_name || return 1
    fi
    ends_rotated $name out.txt
}
refuses_first_name() { # also when its way back was begun by the present one, and killed again
    says "has another name now" cloudskin thaw --name sim --output data/out.old --dir data:. || return 1
    faultat killed 1 --under "$points" --only renameat cloudskin thaw --name sim --output data/out.txt --dir data:. >kill.out 2>&1
    says "has another name now" cloudskin thaw --name sim --output data/out.old --dir data:.
}
full_disk() { # at the Nth write of a checkpoint: the program runs on, and the one before is good
    begin
    cloudskin checkpoint sim >/dev/null || return 1
    faultat ENOSPC "$1" --only write --times 0 -p "$pid" >kill.out &
    local killer=$!
    eventually grep -q watching kill.out
    says "No space left" cloudskin checkpoint sim || return 1
    [ -z "$(ls "$points" | grep part)" ] || return 1
    ends || return 1
    wait "$killer"
    cmp data.out whole.out && diff -r data whole && goes_back
}
if command -v faultat >/dev/null && [ "${SANITIZED:-}" = "" ]; then
    for ((n = 1; n <= kills * 4; n += 4)); do
        fact "the program is killed at its change $n" killed_program "$n"
    done
    for ((n = 1; n <= 9; n += 4)); do
        fact "the disk is full at write $n of a checkpoint" full_disk "$n"
    done
    for ((n = 1; n <= kills; n++)); do
        fact "the tool is killed at its change $((n * 2 - 1))" killed_tool "$((n * 2 - 1))"
    done
    fact "a copy of what was empty at a checkpoint" late
    for ((n = 1; n <= kills * 6; n++)); do
        fact "goes back to that when thaw was killed at its change $n" late_killed "$n"
    done
    rotated renames
    for ((n = 1; n <= kills * 8; n++)); do
        fact "an output that was renamed comes back when thaw was killed at its change $n" renamed_killed "$n"
    done
    begin
    cloudskin checkpoint sim >/dev/null
    more_lines
    cloudskin checkpoint sim >/dev/null
    more_lines
    end_it
    keep_copy
    take_copy
    mkdir out
    mv data.out out/
    fact "an output that cannot be written to is called that" says "checkpoint 2: standard output cannot be brought back: Input/output error" \
        faultat EIO 1 --under out --only ftruncate cloudskin thaw --name sim --output out/data.out --dir data:.
    rm -r out
    for ((n = 1; n <= kills * 12; n += 12)); do
        fact "thaw is killed at its change $n" killed_thaw "$n"
    done
fi
finish
