#!/usr/bin/env bash
# `cloudskin checkpoint --every` of a program that cannot travel for a while, and into a folder that is removed; what
# freeze says of files without a name.
set -uo pipefail
. "$E2E/lib.sh"
export XDG_RUNTIME_DIR=$PWD/runtime XDG_STATE_HOME=$PWD/state
mkdir -m 700 runtime
mkfifo in out
exec 7<>in 8<>out
cell=''
trap '[ -z "$cell" ] || kill -9 "$cell" 2>/dev/null' EXIT

begin() { # a cell that waits for questions
    rm -rf data
    mkdir data
    cloudskin run -O1 --name sh --dir data:/d shell.wasm <in >out 2>err 7<&- 8<&- &
    cell=$!
    answers "error No such file or directory" open z r none
}
answers() { # answers WANT QUESTION
    local want=$1 reply='(nothing)'
    shift
    printf '%s\n' "$*" >&7
    read -r -t 60 -u 8 reply
    [ "$reply" = "$want" ] || {
        printf '%s\nanswered:\n%s\nnot:\n%s\n' "$*" "$reply" "$want"
        return 1
    }
}
ends() {
    echo "exit 3" >&7
    exits 3 wait "$cell" && cell=''
}
every() { # every FOLDER: in the background; what it says is in every.err
    : >every.out
    : >every.err
    cloudskin checkpoint sh --every 50ms -o "$1" >>every.out 2>>every.err 7<&- 8<&- &
    tool=$!
}
has_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}
grows() { # grows FILE: by two lines
    eventually has_lines "$1" $(($(wc -l <"$1") + 2))
}
nameless() { # the program has a file open that has no name
    answers 0 open a bc /d/gone && answers 0 unlink /d/gone
}

cloudskin-cc -O1 "$E2E/guest/shell.c" -o shell.wasm || exit 1

fact "a program begins" begin
every good
fact "checkpoints are made" eventually test -s every.out
fact "with a file without a name they fail" eval 'nameless && eventually grep -q "has no name any more" every.err'
fact "and go on" grows every.err
fact "until it is closed" eval 'answers 0 close a && grows every.out'
fact "the program ends by itself" ends
fact "when the last one was good the exit code is 0" wait "$tool"

fact "a program begins once more" begin
every refused
fact "checkpoints are made then" eventually test -s every.out
fact "it has a file without a name to its end" eval 'nameless && eventually test -s every.err'
fact "freeze says which descriptor and why" says \
    "descriptor 4: /d/gone has no name any more (removed while it is open, as tmpfile() does)" cloudskin freeze sh -o sh.snap
fact "with the exit code of what cannot travel" exits 65 cloudskin freeze sh -o sh.snap
fact "it ends, too" ends
fact "the exit code is that of the last one" exits 65 wait "$tool"
fact "and the reason is said" grep -q "'sh' has ended, and the last checkpoint failed: .*has no name any more" every.err

fact "a third program begins" begin
every removed
fact "checkpoints are made in a folder" eventually test -s every.out
remove() { # while files are made there
    rm -rf removed
    [ ! -e removed ]
}
fact "that is removed" eventually remove
# Not the first line: that may be of one that failed in the middle of the removal, and one after it have been good.
fact "they fail then" grows every.err
fact "the program is not disturbed" ends
fact "the system refused the last one" exits 71 wait "$tool"

# Two folders: what is in the first one ends where the second one begins.
fact "a fourth program begins" begin
fact "two checkpoints in one folder" eval 'cloudskin checkpoint sh && cloudskin checkpoint sh'
fact "one in another" cloudskin checkpoint sh -o other
listed() { # listed NUMBER TEXT OPTIONS...
    cloudskin checkpoint --list "${@:3}" sh | grep "^ *$1 " | finds -- "$2"
}
fact "the list says that the first ones are out" listed 2 "no: its later checkpoints are in another folder"
fact "that of the other folder has it" listed 1 "yes" -o other
fact "one more in the first" cloudskin checkpoint sh
fact "is good" listed 3 "yes"
fact "those before it are of another folder's time, or run" listed 2 "no: it is of an earlier run, or others came between in another folder"
fact "the fourth ends" ends

finish
