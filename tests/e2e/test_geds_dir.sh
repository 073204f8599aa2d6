#!/usr/bin/env bash
# Buckets as folders of cells: what a program makes of them, what S3 clients see meanwhile, freezes in the middle of
# reading and writing, a store that is killed; snapshots and programs that are objects.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run TMPDIR=$PWD/tmp
mkdir -m 700 run state tmp
mkfifo in out
exec 7<>in 8<>out
cell=''
trap '[ -z "$cell" ] || kill -9 "$cell" 2>/dev/null; cloudskin down >/dev/null 2>&1' EXIT
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 >up.txt || return 1
    endpoint=http://$(cloudskin stat | awk '$1 == "S3" { print $2 }')
}
s3() { # s3 OPTIONS... OBJECT
    curl -sSf --path-as-is -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:us-east-1:s3 \
        --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "${@:1:$#-1}" "$endpoint/${!#}"
}
s3_put() { # s3_put FILE OBJECT
    s3 -o put.log -X PUT --data-binary "@$1" "$2"
}
begin() { # begin ARGUMENTS...: a cell that waits for questions
    cloudskin "$@" <in >out 2>err 7<&- 8<&- &
    cell=$!
}
answers() { # answers WANT QUESTION: does the cell answer so?
    local want=$1
    shift
    printf '%s\n' "$*" >&7
    reply='(nothing)'
    read -r -t 60 -u 8 reply
    [ "$reply" = "$want" ] || {
        printf '%s\nanswered:\n%s\nnot:\n%s\n' "$*" "$reply" "$want"
        cat err
        return 1
    }
}
ends() { # ends CODE [QUESTION]: the cell ends so
    local code=0
    [ $# -lt 2 ] || printf '%s\n' "$2" >&7
    wait "$cell" || code=$?
    cell=''
    [ "$code" -eq "$1" ] || {
        echo "ended with $code, not $1"
        cat err
        return 1
    }
}
said() { # said TEXT: on the standard error of the cell
    grep -qF -- "$1" err || {
        cat err
        return 1
    }
}
bytes() { # bytes OBJECT: what S3 gets of it
    s3 "$1"
}
freeze() { # freeze SNAPSHOT
    cloudskin freeze sh -o "$1" && ends 75
}
size_of() {
    cloudskin stat --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["size"])'
}
kill_store() {
    local process
    process=$(cloudskin stat --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["process"])') && kill -9 "$process" &&
        eventually exits 127 cloudskin ls
}
lossy() { # lossy NUMBER FATE MESSAGE [COMMAND...]
    rm -f run/lossy ready
    exec 9> >(exec python3 "$E2E/tools/lossy.py" "$PWD/run/lossy" "$PWD/run/cloudskin/controller.socket" "$@" >ready 7<&- 8<&-)
    eventually grep -q ready ready
}
begin_lossy() { # begin_lossy MESSAGE: a cell to which the answer to that one is lost
    lossy 1 behind "$1" || return 1
    CLOUDSKIN_CONTROLLER=unix:$PWD/run/lossy begin run --name sh --dir geds://scenes:/in shell.wasm 9>&-
}
zeros_shown() {
    bytes "$1" | tr '\0' 0
}
nothing() {
    ! cloudskin stat "$1" >/dev/null 2>&1
}

cloudskin-cc -O1 "$E2E/guest/shell.c" -o shell.wasm || exit 1
echo hello >small
head -c 3000000 /dev/zero >zeros

# --- what is not there
fact "nothing is up: run says what to do" says "cloudskin up" cloudskin run --dir geds://scenes shell.wasm
fact "its exit code says so" exits 127 cloudskin run --dir geds://scenes shell.wasm
fact "it is up" up
eval "$(cloudskin keys)"
fact "a bucket that is missing is named" says "cloudskin mb geds://scenes" cloudskin run --dir geds://scenes shell.wasm
fact "its exit code says so" exits 127 cloudskin run --dir geds://scenes shell.wasm
cloudskin mb geds://scenes
cloudskin mb geds://snaps
for wrong in geds:// geds://scenes: geds://scenes::ro geds://scenes:/in:rx geds://scenes/a//b geds:///x; do
    fact "--dir $wrong is refused" exits 64 cloudskin run --dir "$wrong" shell.wasm
done

# --- reading
for key in small a/b/c a/b/d "a/sp ace" 'ü/x' both both/x; do
    cloudskin put small "geds://scenes/$key"
done
cloudskin put zeros geds://scenes/zeros
: >empty
fact "S3 makes an empty folder" s3_put empty scenes/void/
fact "a key with an empty part" cloudskin put small geds://scenes/a//odd
fact "and one with a long part" cloudskin put small "geds://scenes/$(head -c 300 /dev/zero | tr '\0' n)"
begin run --name sh --dir geds://scenes:/in:ro --dir geds://scenes/a/b:/b shell.wasm
fact "folders are shown" answers "a/ both small void/ zeros ü/" ls /in
fact "what no path leads to is left out" answers "b/ sp ace" ls /in/a
fact "a prefix is a folder" answers "c d" ls /b
fact "nothing is above it" answers "error No such file or directory" stat /b/../../small
fact "a name that goes back is fine" answers "file 6 1 1" stat /in/a/../small
fact "empty parts and dots are nothing" answers "file 6 1 1" stat /in/./a//b/c
fact "an empty folder is one" answers "" ls /in/void
fact "of a file and a folder of one name, the file is seen" answers "file 6 1 1" stat /in/both
fact "and the folder with a slash" answers "x" ls /in/both/
fact "and what is in it" answers "file 6 1 1" stat /in/both/x
fact "what is not there is missing" answers "error No such file or directory" stat /in/nothing
fact "a file is no folder" answers "error Not a directory" ls /in/small
fact "a folder is no file to write" answers "error Is a directory" open z w /b/../b/
fact "too long a part" answers "error Filename too long" stat "/in/$(head -c 256 /dev/zero | tr '\0' n)"
fact "too long a path" answers "error Filename too long" stat "/in/$(for i in $(seq 12); do printf 'n%.0s' $(seq 90) && printf /; done)"
fact "a file is opened" answers 0 open a r /in/small
fact "and read" answers "'hel'" read a 3
fact "and is as large as it is" answers 6 end a
fact "at a place" answers "'ell'" pread a 3 1
cloudskin put zeros geds://scenes/small
fact "somebody replaces it: its reader sees the old one" answers "'ello'" pread a 4 1
fact "its path is the new one" answers "file 3000000 1 1" stat /in/small
fact "one file has one number" answers 1 same /in/a/b/c /b/c
fact "other ones have others" answers 0 same /in/a/b/c /in/a/b/d
fact "read-only: nothing is made" answers "error Read-only file system" open z wc /in/new
fact "or cut" answers "error Read-only file system" open z wt /in/small
fact "or removed" answers "error Read-only file system" unlink /in/small
fact "or renamed to another folder" answers "error Read-only file system" rename /in/small /b/small
fact "there are no links" answers "error Not supported" link /b/c /b/link
fact "of no kind" answers "error Not supported" symlink c /b/link
fact "a large one is opened" answers 0 open b r /in/zeros
fact "it ends well" ends 0 "exit 0"
fact "and quietly" exits 1 grep -v compiling err

# --- writing
begin run --name sh --dir geds://scenes --cwd /scenes shell.wasm
fact "the bucket's name is the folder's" answers 0 open a wc out/one.txt
fact "a file is written" answers 9 write a 'some text'
fact "the cell knows of it" answers "file 9 1 1" stat out/one.txt
fact "nobody else does" nothing geds://scenes/out/one.txt
fact "it is closed" answers 0 close a
fact "S3 sees it at once" prints "some text" bytes scenes/out/one.txt
fact "a second writer of one file" answers 0 open a b out/one.txt
fact "and a third" answers 0 open b r out/one.txt
fact "one writes" answers 4 pwrite a 5 TEXT
fact "the other one reads it" answers "'some TEXT'" read b 100
fact "the world does not" prints "some text" bytes scenes/out/one.txt
fact "until a sync" answers 0 sync a
fact "then it does" prints "some TEXT" bytes scenes/out/one.txt
fact "it is cut" answers 0 cut a 4
fact "and made longer" answers 0 cut a 6
fact "and closed" answers 0 close a
fact "what is between is zeros" prints "some00" zeros_shown scenes/out/one.txt
fact "a large one is made" answers 0 open a bc big
fact "of many pieces" answers 5000000 fill a 5000000
fact "closed" answers 0 close a
fact "opened in the middle" answers 0 open a b big
fact "a little is changed" answers 3 pwrite a 3000000 xyz
fact "appended to" answers 5000000 end a
fact "by four bytes" answers 4 write a last
fact "closed again" answers 0 close a
patched() {
    cloudskin get geds://scenes/big big.got 2>/dev/null && [ "$(tail -c +3000001 big.got | head -c 3)" = xyz ] && [ "$(tail -c 4 big.got)" = last ] &&
        [ "$(stat -c %s big.got)" -eq 5000004 ]
}
fact "all of it is there" patched
fact "the rest is as it was" answers 0 open a b big
fact "what was changed is put back" answers 0 cut a 3000000
fact "that is" answers 0 seek a 0
fact "the same bytes" answers 3000000 verify a
fact "closed" answers 0 close a
fact "O_APPEND" answers 0 open a wa out/one.txt
fact "adds at the end" answers 3 write a end
fact "closed" answers 0 close a
fact "all of it" prints "some00end" zeros_shown scenes/out/one.txt
fact "O_EXCL refuses what is there" answers "error File exists" open a wx big
fact "and takes what is not" answers 0 open a wx excl
fact "it is written" answers 4 write a mine
s3_put small scenes/excl
fact "somebody was first: the close says so" answers "error File exists" close a
fact "and a line does" said "geds://scenes/excl: not written: it was to be a new object"
fact "the first one stays" prints hello bytes scenes/excl
fact "a file is opened to be changed" answers 0 open a b excl
fact "and is" answers 1 pwrite a 0 X
s3_put zeros scenes/excl
fact "somebody replaced it: the close says so" answers "error Stale file handle" close a
fact "and so does a line" said "geds://scenes/excl: not written: it was replaced or removed since it was opened"
fact "nobody's work is lost" cmp zeros <(bytes scenes/excl)
fact "a file is removed" answers 0 unlink excl
fact "for all" nothing geds://scenes/excl
fact "a file is opened" answers 0 open a wc gone
fact "removed while it is open" answers 0 unlink gone
fact "written" answers 1 write a x
fact "closed" answers 0 close a
fact "it has no name" nothing geds://scenes/gone
fact "a file is opened" answers 0 open a wc old
fact "renamed while it is open" answers 0 rename old new
fact "written" answers 3 write a abc
fact "closed" answers 0 close a
fact "it has the new name" prints abc bytes scenes/new
fact "only" nothing geds://scenes/old
fact "a file is opened to be changed" answers 0 open a b new
fact "renamed" answers 0 rename new newer
fact "changed" answers 1 write a A
fact "closed" answers 0 close a
fact "it has the change under its new name" prints Abc bytes scenes/newer
fact "it goes back" answers 0 rename newer new
fact "a file replaces another" answers 0 rename new out/one.txt
fact "at once" prints Abc bytes scenes/out/one.txt

# --- folders
fact "a folder is made" answers 0 mkdir m
fact "it is there" answers "folder 0 1 0" stat m
fact "S3 sees its marker" cloudskin stat geds://scenes/m/
fact "not twice" answers "error File exists" mkdir m
fact "not over a file" answers "error File exists" mkdir big
fact "not in a file" answers "error Not a directory" mkdir big/x
fact "a file is not made in a file either" answers "error Not a directory" open z wc big/x
fact "one in it" answers 0 open a wc m/file
fact "is written" answers 0 close a
fact "a full one is not removed" answers "error Directory not empty" rmdir m
fact "a folder is renamed" answers 0 rename m n
fact "with what is in it" answers "file" ls n
fact "and is gone" answers "error No such file or directory" stat m
fact "not into itself" answers "error Invalid argument" rename n n/n
fact "not onto a full one" answers "error Directory not empty" rename n a
fact "not onto a file" answers "error Not a directory" rename n big
fact "a file not onto a folder" answers "error Is a directory" rename big n
fact "its file goes" answers 0 unlink n/file
fact "the folder stays" answers "" ls n
fact "and is removed" answers 0 rmdir n
fact "then it is gone" answers "error No such file or directory" rmdir n
fact "unlink is not for folders" answers "error Is a directory" unlink a
fact "a file with a slash is none" answers "error Not a directory" unlink big/

# --- the end of a program
fact "a file is left open" answers 0 open a wc left
fact "with text" answers 6 write a behind
fact "the program ends by itself" ends 3 "exit 3"
fact "what it left is written" prints behind bytes scenes/left
begin run --name sh --dir geds://scenes shell.wasm
fact "a file is left open" answers 0 open a wt /scenes/left
fact "with other text" answers 4 write a half
fact "the program traps" ends 134 "trap x"
fact "a line says what was not written" said "geds://scenes/left: not written: the program did not close it (4 bytes)"
fact "the object is as it was" prints behind bytes scenes/left
begin run --dir geds://scenes shell.wasm
fact "a file is left open" answers 0 open a wt /scenes/left
fact "with other text" answers 4 write a half
kill -9 "$cell"
fact "it is killed" ends 137
fact "the object is as it was" prints behind bytes scenes/left
begin run --dir geds://scenes shell.wasm
fact "a file is left open" answers 0 open a wt /scenes/left
kill -TERM "$cell"
fact "it is terminated" ends 143
fact "the object is as it was" prints behind bytes scenes/left
fact "no temporary file is left" exits 1 bash -c 'ls -A tmp | grep .'

# --- freezing
begin run --name sh --dir geds://scenes:/in shell.wasm
fact "one is read" answers 0 open a r /in/big
fact "to its middle" answers 1000 seek a 1000
fact "one is written" answers 0 open b bct /in/half
fact "of some length" answers 700000 fill b 700000
fact "through two descriptors" answers 0 open c r /in/half
fact "one is changed" answers 0 open d b /in/out/one.txt
fact "in its middle" answers 1 pwrite d 1 B
fact "one was synced" answers 0 open e wct /in/synced
fact "with text" answers 3 write e abc
fact "so" answers 0 sync e
fact "one has lost its name" answers 0 open f bct /in/nameless
fact "it has text" answers 4 write f deep
fact "and no name" answers 0 unlink /in/nameless
fact "a folder is begun" answers 0 opendir g /in
fact "by one entry" answers . next g
fact "it is frozen" freeze sh.snap
fact "what was not closed has no name" nothing geds://scenes/half
fact "inspect names the bucket" bash -c 'cloudskin inspect sh.snap | finds -F -- "--dir geds://scenes:/in"'
fact "the store goes down" cloudskin down
fact "nothing is up: thaw says so" says "cloudskin up" cloudskin thaw --dir geds://scenes:/in sh.snap
fact "it comes up" up
fact "thaw wants to write what was written" says "read-only here" cloudskin thaw --dir geds://scenes:/in:ro sh.snap
begin thaw --name sh --dir geds://scenes:/in sh.snap
fact "it is read on" answers 3000000 verify a
fact "what was written is there" answers "file 700000 1 1" fstat c
fact "and right" answers 700000 verify c
fact "it is closed" answers 0 close b
fact "and has its name" prints 700000 size_of geds://scenes/half
fact "the change is closed" answers 0 close d
fact "and there" prints ABc bytes scenes/out/one.txt
fact "what was synced goes on" answers 3 write e def
fact "is closed" answers 0 close e
fact "and whole" prints abcdef bytes scenes/synced
fact "without a name it goes on" answers "'deep'" pread f 10 0
fact "the folder goes on" answers .. next g
fact "with its entries" answers a next g
fact "one is read" answers 0 open h r /in/synced
fact "and renamed" answers 0 rename /in/synced /in/moved
fact "another one" answers 0 open i r /in/left
cloudskin put zeros geds://scenes/left
fact "is replaced by somebody: it cannot be frozen" says "geds://scenes/left was replaced since it was opened" cloudskin freeze sh -o again.snap
fact "and runs on" answers "'behind'" read i 10
fact "it is closed" answers 0 close i
fact "it is frozen again" freeze again.snap
cloudskin put small geds://scenes/big
fact "its object was replaced: thaw says so" says "/in/big changed since it was saved (--stale-files" cloudskin thaw --dir geds://scenes:/in again.snap
fact "its exit code says so" exits 127 cloudskin thaw --dir geds://scenes:/in again.snap
cloudskin rm geds://scenes/big
fact "its object is gone: thaw says so" says "/in/big is not there (--stale-files" cloudskin thaw --dir geds://scenes:/in again.snap
fact "without the bucket it does not go on" says "/in is not granted (--dir)" cloudskin thaw again.snap
mkdir folder
fact "nor with a folder" says "was in a bucket" cloudskin thaw --dir folder:/in again.snap
begin thaw --stale-files --dir geds://scenes:/in again.snap
fact "--stale-files goes on" answers "'deep'" pread f 10 0
fact "what was renamed is read" answers "'abc'" pread h 3 0
fact "what is gone cannot be read" answers "error Bad file descriptor" read a 3
fact "it ends" ends 0 "exit 0"

# --- checkpoints
checkpoint() {
    timeout 60 cloudskin checkpoint sh -o points
}
begin run --name sh --dir geds://scenes:/in shell.wasm
fact "a file is written" answers 0 open a wct /in/point
fact "in part" answers 5 write a first
fact "not as an object" exits 64 cloudskin checkpoint sh -o geds://snaps/points
fact "a checkpoint is made" checkpoint
fact "the file is written on" answers 6 write a second
fact "and another one closed" answers 0 open b wct /in/later
fact "it is" answers 0 close b
kill -9 "$cell"
fact "it is killed" ends 137
begin thaw --dir geds://scenes:/in points
fact "it is where it was" answers 5 end a
fact "a line says what is not" said "objects that it has written or removed in buckets since stay"
fact "it goes on" answers 5 write a again
fact "to the end" answers 0 close a
fact "which is right" prints firstagain bytes scenes/point
fact "it ends" ends 0 "exit 0"

# --- the store is killed
begin run --name sh --dir geds://scenes:/in shell.wasm
fact "one is read" answers 0 open a r /in/zeros
fact "one is written" answers 0 open b wct /in/torn
fact "with many bytes" answers 4000000 fill b 4000000
fact "the store is killed" kill_store
fact "a close is an error" answers "error I/O error" close b
fact "a line says why" said "geds://scenes: "
fact "as is a look" answers "error I/O error" stat /in/zeros
fact "the line comes once" prints 1 grep -c "geds://scenes: " err
fact "one more is begun" answers "error I/O error" open b wct /in/later
fact "it comes up" up
fact "there is no half object" nothing geds://scenes/torn
fact "the cell goes on with it" answers "file 3000000 1 1" stat /in/zeros
fact "what it had open too" answers 3000000 end a
fact "from its beginning" answers 0 seek a 0
fact "a file is written" answers 0 open b wct /in/later
fact "with bytes" answers 10 fill b 10
fact "the store is killed again" kill_store
fact "a sync is an error" answers "error I/O error" sync b
fact "it comes up" up
fact "the next one is none" answers 0 sync b
fact "all is there" prints 10 size_of geds://scenes/later
cloudskin put small geds://scenes/zeros
fact "what it read was replaced while the store was killed" kill_store
fact "it comes up" up
fact "that is an error" answers "error Stale file handle" pread a 10 1000000
fact "it ends" ends 0 "exit 0"

# --- the answer to a change is lost: it is not made again (its message: behind greeting, look at the bucket and those
# of the same call before it)
fact "its answer will be lost" begin_lossy 3
fact "a file is removed" answers 0 unlink /in/later
fact "it is" nothing geds://scenes/later
fact "what is not there is still missing" answers "error No such file or directory" unlink /in/later
fact "it ends" ends 0 "exit 0"
exec 9>&-
cloudskin put small geds://scenes/later
fact "its answer will be lost" begin_lossy 7
fact "a file is renamed" answers 0 rename /in/later /in/latest
fact "it has its new name" prints 6 size_of geds://scenes/latest
fact "only" nothing geds://scenes/later
fact "a look finds it" answers "file 6 1 1" stat /in/latest
fact "it ends" ends 0 "exit 0"
exec 9>&-
cloudskin put small geds://scenes/tree/one
fact "its answer will be lost" begin_lossy 11
fact "a file is written in a folder" answers 0 open a wct /in/tree/two
fact "which is renamed" answers 0 rename /in/tree /in/wood
fact "the file is closed" answers 0 close a
fact "and in the folder's new place" prints $'wood/one\nwood/two' bash -c 'cloudskin ls -r geds://scenes | grep -E "tree|wood"'
fact "it ends" ends 0 "exit 0"
exec 9>&-

# --- snapshots and programs as objects
cloudskin put shell.wasm geds://snaps/
begin run --name sh --dir geds://scenes:/in geds://snaps/shell.wasm
fact "a program from a bucket" answers 0 open a wct /in/half
fact "writes" answers 700000 fill a 700000
fact "a snapshot is an object, and it runs on" cloudskin freeze --keep sh -o geds://snaps/kept
fact "S3 has it" test "$(bytes snaps/kept | head -c 8 | tail -c 7)" = snapcsk
fact "it does run on" answers "file 700000 1 1" stat /in/half
fact "a snapshot needs a name" exits 64 cloudskin freeze sh -o geds://snaps/folder/
fact "and a bucket" exits 127 cloudskin freeze sh -o geds://nosuch/sim
fact "it still runs" answers "file 700000 1 1" stat /in/half
fact "the store is killed" kill_store
fact "nothing is frozen without it" says "cloudskin up" cloudskin freeze sh -o geds://snaps/sim
fact "it comes up" up
fact "it still runs" answers "file 700000 1 1" stat /in/half
fact "it is frozen, compressed" bash -c 'cloudskin freeze --compress sh -o geds://snaps/deep/sim'
fact "and ends" ends 75
fact "nothing else is in the bucket" prints $'deep/sim\nkept\nshell.wasm' cloudskin ls -r geds://snaps
fact "it is inspected" bash -c 'cloudskin inspect geds://snaps/deep/sim | finds -F "cloudskin thaw --dir geds://scenes:/in"'
fact "in JSON too" bash -c 'cloudskin inspect --json geds://snaps/deep/sim | python3 -c "import json, sys; d = json.load(sys.stdin); assert d[\"path\"] == \"geds://snaps/deep/sim\""'
fact "a program is inspected" bash -c 'cloudskin inspect geds://snaps/shell.wasm | finds "^geds://snaps/shell.wasm: WebAssembly"'
fact "no such object" exits 127 cloudskin inspect geds://snaps/nothing
fact "no such object to thaw" exits 127 cloudskin thaw geds://snaps/nothing
fact "no such program" exits 127 cloudskin run geds://snaps/nothing.wasm
begin thaw --name sh --dir geds://scenes:/in geds://snaps/deep/sim
fact "it is thawed from there" answers 0 close a
fact "and has written its file" prints 700000 size_of geds://scenes/half
fact "it ends" ends 0 "exit 0"
# The cell's connection to the store is the one behind that of `freeze`: it is lost when the snapshot gets its name,
# behind the greeting (and a look at what gets it).
freeze_through() { # freeze_through KEY
    CLOUDSKIN_CONTROLLER=unix:$PWD/run/lossy timeout 60 cloudskin freeze sh -o "geds://snaps/$1" 9>&-
}
begin run --name sh geds://snaps/shell.wasm
fact "a cell waits" answers "error No such file or directory" stat /in
fact "the question is lost" lossy 2 before 3
fact "then nothing is frozen" exits 71 freeze_through lost
fact "it runs on" answers "error No such file or directory" stat /in
fact "and there is no snapshot" prints $'deep/sim\nkept\nshell.wasm' cloudskin ls -r geds://snaps
exec 9>&-
printf '%s\n' 'cloudskin rm geds://snaps/$(cloudskin ls -r geds://snaps | grep -oE "\.freeze\.[0-9a-f]+")' >lost.sh
fact "the question is lost, and the object too" lossy 2 before 3 bash lost.sh
fact "that is no proof of the new name" says "it is not known whether the snapshot has its name" freeze_through gone
fact "it runs on" answers "error No such file or directory" stat /in
exec 9>&-
fact "the question is lost, and the object again" lossy 2 before 3 bash lost.sh
cloudskin put small geds://snaps/other
fact "what has the name is another object: no proof either" exits 71 freeze_through other
fact "it runs on" answers "error No such file or directory" stat /in
cloudskin rm geds://snaps/other
exec 9>&-
fact "question and store are lost" lossy 2 away 3
fact "then it is not known" says "it is not known whether the snapshot has its name" freeze_through away
fact "and it runs on" answers "error No such file or directory" stat /in
exec 9>&-
fact "the answer is lost" lossy 2 behind 3
fact "then the cell looks" freeze_through found
fact "and is frozen" ends 75
exec 9>&-
fact "once" prints 1 bash -c 'cloudskin ls geds://snaps | grep -c found'
begin thaw geds://snaps/found
fact "it goes on from there" answers "error No such file or directory" stat /in
fact "it ends" ends 0 "exit 0"
cloudskin put shell.wasm geds://snaps/damaged
fact "no snapshot is refused" exits 65 cloudskin thaw geds://snaps/damaged
finish
