#!/usr/bin/env bash
# What `inspect` shows of a frozen program: all that its thaw needs; and of a folder of checkpoints.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime XDG_STATE_HOME=$PWD/state
export XDG_RUNTIME_DIR XDG_STATE_HOME
mkdir -m 700 runtime

cloudskin-cc -O1 -g "$E2E/guest/holds.c" -o holds.wasm || exit 1
cloudskin-aot -O1 --movable holds.wasm -o holds.cell || exit 1
mkdir in out
echo 0123456789 >"in/read me"
mkfifo input
exec 9<>input

hold() { # hold NAME OPTIONS... -- ARGUMENTS: frozen into NAME.snap, where it waits
    local name=$1 options=() code=0
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    : >"$name.out"
    cloudskin run --name "$name" --dir in:/in:ro --dir out:/out "${options[@]}" holds.cell "$@" <&9 >"$name.out" 2>"$name.err" &
    pid=$!
    eventually grep -q waiting "$name.out" && cloudskin freeze "$name" -o "$name.snap" || return 1
    wait "$pid" || code=$?
    [ "$code" -eq 75 ]
}
shows() { # shows TEXT SNAPSHOT: is this a part of it?
    cloudskin inspect "$2" >shown.txt && { grep -qF -- "$1" shown.txt || { cat shown.txt && false; }; }
}
json() { # json EXPRESSION COMMAND...
    local expression=$1
    shift
    "$@" >out.json && python3 -c "import json; d = json.load(open('out.json')); assert $expression, d"
}

fact "a program with files is frozen" hold one --listen 127.0.0.1:0 --env "SECRET=of mine" -- 3 "two words" "it's"
fact "its arguments are shown as a shell takes them" shows "arguments   holds.cell 3 'two words' 'it'\\''s'" one.snap
fact "and the names of its environment" shows "environment SECRET PWD (names only)" one.snap
fact "without values" eval '! cloudskin inspect one.snap | grep -q "of mine"'
fact "in JSON neither" eval '! cloudskin inspect --json one.snap | grep -q "of mine"'
fact "and where it began" shows "directory   /in when it began" one.snap
fact "a folder" shows "folders     /in, read-only" one.snap
fact "another one" shows "              /out" one.snap
fact "a file that it reads" shows "'/in/read me': file to read, at byte 4 of 11, read-only" one.snap
fact "a file that it writes" shows "/out/log: file to write, at byte 5 of 5, appends" one.snap
fact "standard input" shows "   0  standard input: pipe" one.snap
fact "standard output" shows "   1  standard output: file, at byte 8 of 8" one.snap
fact "a socket" shows "listening socket 1: listener" one.snap
fact "CPU time" eval 'cloudskin inspect one.snap | grep -qE "^  so far +[0-9.]+ s of CPU time$"'
fact "sizes have the unit that fits" eval 'cloudskin inspect one.snap | grep -qE "^  memory +[0-9.]+ MiB, of which [0-9.]+ KiB stand in the file$"'
fact "and the command that goes on with it" shows \
    "cloudskin thaw --dir FOLDER:/in:ro --dir FOLDER:/out --listen ADDRESS:PORT [--output FILE] one.snap" one.snap
# The command as it stands there, given to a shell.
odd=$'it\'s a \\ in a\nname\t.snap'
goes_on_with() { # goes_on_with FILE: is this what a shell makes of the last word of what is shown?
    local line
    line=$(cloudskin inspect "$1" | tail -n 1) && eval "set -- \"\$1\" ${line##*FILE] }" && [ "$1" = "$2" ]
}
cp one.snap "$odd" && cp one.snap 'back\slash.snap'
fact "also when its name is an odd one" goes_on_with "$odd"
fact "or has but one odd character" goes_on_with 'back\slash.snap'
rm -f "$odd"
fact "JSON has the path" json 'd["path"] == "one.snap" and d["kind"] == "snapshot"' cloudskin inspect --json one.snap
fact "and the arguments" json 'd["arguments"] == ["holds.cell", "3", "two words", "it'"\\'"'s"]' cloudskin inspect --json one.snap
fact "the environment" json 'd["environment"] == ["SECRET", "PWD"] and d["directory"] == "/in"' cloudskin inspect --json one.snap
fact "the folders" json '[(f["path"], f["read_only"], f["needed"]) for f in d["folders"]] == [("/in", True, True), ("/out", False, True)]' \
    cloudskin inspect --json one.snap
fact "the files" json '[(f["offset"], f["bytes"], f["reads"], f["writes"], f["appends"]) for f in d["files"] if f.get("path") == "/out/log"] == [(5, 5, False, True, True)]' cloudskin inspect --json one.snap
fact "and the sockets" json 'd["listening_sockets"] == 1' cloudskin inspect --json one.snap
as_shown() { # the command that was shown, with folders and an address
    local shown
    shown=$(cloudskin inspect one.snap | tail -n 1 | sed 's/FOLDER:/./g; s/ADDRESS:PORT/127.0.0.1:0/; s/\[--output FILE\]/--output one.out/')
    shown=${shown//.\/in/in:\/in}
    shown=${shown//.\/out/out:\/out}
    echo >&9
    exits 3 eval "$shown <&9"
}
fact "which does" as_shown
fact "thaw names the option for a folder" says "/in is not granted (--dir)" cloudskin thaw --dir out:/out --listen 127.0.0.1:0 one.snap
fact "for a socket" says "listening socket 1 is not given (--listen)" cloudskin thaw --dir in:/in:ro --dir out:/out one.snap
changed() {
    echo more >>"in/read me"
    says "changed since it was saved (--stale-files goes on)" cloudskin thaw --dir in:/in:ro --dir out:/out --listen 127.0.0.1:0 one.snap
}
fact "and for a file that changed" changed

# ---- the call stack ----

line_of() { # line_of TEXT: in the source
    grep -n -m 1 -F -- "$1" "$E2E/guest/holds.c" | sed 's/:.*//'
}
waits_at=$E2E/guest/holds.c:$(line_of 'read(0, &c, 1)')
fact "the host function is the innermost" eval 'cloudskin inspect one.snap | grep -qE "^  #0 +[a-z_0-9]*fd_read[a-z_0-9]* \(host\)"'
fact "what called it has file and line" eval 'cloudskin inspect --all one.snap | grep -qE " wait_for_line at $waits_at \(wasm 0x[0-9a-f]+\)|$waits_at"'
fact "main too" eval 'cloudskin inspect one.snap | grep -qE " main at $E2E/guest/holds.c:$(line_of "return descend(argc") \(wasm 0x[0-9a-f]+\)"'
fact "so has JSON" json 'any(f.get("file", "").endswith("holds.c") and f["line"] == '"$(line_of 'return descend(argc')"' and f["kind"] == "call" for f in d["frames"])' \
    cloudskin inspect --json one.snap
cp holds.cell away && cp holds.wasm holds.cell
fact "from the module as well as from the image" eval 'cloudskin inspect one.snap | grep -qF " main at $E2E/guest/holds.c:$(line_of "return descend(argc")"'
mv away holds.cell
fact "where it was frozen is said in the same way" grep -qE "frozen in [a-z_]+( at [^ ]+:[0-9]+)? \(wasm 0x[0-9a-f]+\)" one.err

# ---- a deep stack ----

fact "a deep recursion is frozen" hold deep --output-bytes 1M -- 20000
fact "output is counted with a limit" shows ", 8 bytes of output" deep.snap
fact "its stack is cut" eval 'cloudskin inspect deep.snap >deep.txt && [ "$(grep -c " descend" deep.txt)" -lt 40 ]'
fact "which is said" eval 'count=$(sed -n "s/^call stack (\([0-9]*\) frames.*/\1/p" deep.txt); grep -qF "... $((count - 40)) more, which --all shows" deep.txt'
fact "both ends are shown" eval 'grep -q " wait_for_line" deep.txt && grep -q " main" deep.txt'
fact "--all has the rest" eval '[ "$(cloudskin inspect --all deep.snap | grep -c " descend")" -gt 20000 ]'
fact "and so has JSON" json 'len([f for f in d["frames"] if f["name"] == "descend"]) > 20000' cloudskin inspect --json deep.snap

# ---- checkpoints ----

points=$PWD/state/cloudskin/checkpoints/two
fact "no checkpoints, no list" says "no such" eval 'cloudskin checkpoint --list two 2>&1 | tr A-Z a-z >&2'
fact "which is 127" exits 127 cloudskin checkpoint --list two
mkdir empty
fact "an empty folder is none" says "empty: no checkpoint there" cloudskin inspect empty
fact "which is 127 too" exits 127 cloudskin inspect empty
fact "--list makes none" exits 64 cloudskin checkpoint --list --keep 3 two
cloudskin run --name two --dir in:/in:ro --dir out:/out holds.cell <&9 >two.out 2>two.err &
pid=$!
keeps() { # until there are two checkpoints, and an older one that they stand on
    cloudskin checkpoint two --every 200ms --keep 2 >made.txt 2>&1 &
    local maker=$! code=0
    eventually test -e "$points/000006.snap" || code=1
    kill "$maker"
    wait "$maker"
    return "$code"
}
eventually grep -q waiting two.out
fact "checkpoints are made" keeps
list() { # list EXPRESSION: of all, in JSON
    json "$1" cloudskin inspect --json "$points"
}
fact "the folder is listed while the program runs" eval 'cloudskin inspect "$points" >list.txt'
fact "by its name as well" eval 'cloudskin checkpoint --list two | sed "s/[0-9.]* s //" | diff - <(sed "s/[0-9.]* s //" list.txt)'
fact "with program" grep -q "^checkpoints of .*holds.cell in $points\$" list.txt
fact "and the newest" eval 'newest=$(ls "$points" | grep snap | tail -n 1 | sed "s/^0*//; s/\..*//"); grep -qE "^ +$newest +[0-9.]+ s .*(all|since [0-9]+) +yes" list.txt'
fact "which thaw takes" grep -q "^thaw takes $newest, or another one with --at NUMBER" list.txt
fact "one that is kept for others says so" grep -qE '^ +1 .* all +no: kept for later ones only' list.txt
fact "in JSON" list 'd["kind"] == "checkpoints" and d["newest"] == '"$newest"' and d["checkpoints"][0]["base"] == 0 and not d["checkpoints"][0]["good"] and d["checkpoints"][-1]["good"] and d["checkpoints"][-1]["bytes"] > 0 and d["checkpoints"][-1]["base"] == '"$newest"' - 1'
kill -9 "$pid"
wait "$pid" 2>/dev/null
fact "it is listed when the program is gone" list 'sum(c["good"] for c in d["checkpoints"]) == 2'
spoil() { # the newest journal says that it is of no use
    cp -a "$points" spoilt
    printf 'the disk was full' | dd of="spoilt/$(printf %06d "$newest").undo" bs=1 seek=2048 conv=notrunc 2>/dev/null
    cloudskin inspect spoilt | grep -q "no: the disk was full" && json 'd["newest"] == 0' cloudskin inspect --json spoilt
}
fact "what cannot be gone back to says why" spoil
lose() { # something in the middle of the chain is gone
    cp -a "$points" lost
    rm lost/000001.snap
    cloudskin inspect lost | grep -q "no: $((newest - 1)), which it stands on, cannot be read"
}
fact "or what is missing" lose
damage() {
    cp -a "$points" damaged
    printf XX | dd of="damaged/$(printf %06d "$newest").snap" bs=1 seek=50 conv=notrunc 2>/dev/null
    exits 65 cloudskin inspect damaged >damaged.txt && grep -qE "^ +$newest .* no: snapshot: part 'info': wrong checksum" damaged.txt &&
        exits 65 cloudskin checkpoint -o damaged --list any
}
fact "a damaged one is listed as such" damage
fact "a checkpoint by itself is described" shows "increment   on" "$points/$(printf %06d "$newest").snap"
finish
