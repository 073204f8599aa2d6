#!/usr/bin/env bash
# A program that started in the image that was compiled first goes over to the better one while it runs.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime CLOUDSKIN_CACHE=$PWD/cache
export XDG_RUNTIME_DIR CLOUDSKIN_CACHE
mkdir -m 700 runtime
PATIENCE=180 # what is waited for is a compiler, at low priority
mkfifo input

cloudskin-cc -O2 "$E2E/guest/lines.c" -o lines.wasm || exit 1
cloudskin-cc -O2 "$E2E/guest/deep.c" -o deep.wasm || exit 1
cloudskin-aot lines.wasm -o plain.cell || exit 1
seq 1 9 | cloudskin run plain.cell 16 >lines.whole
cloudskin-aot deep.wasm -o plain.cell || exit 1
cloudskin run plain.cell none 100 >deep.whole

in_image() { # in_image PID LEVEL: is code of this image mapped?
    grep -q " r-xp .*-movable.$2\..*\.cell" "/proc/$1/maps"
}
no_thread_waits() { # of PID: but for the main one and that of its name
    [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l)" -eq 2 ]
}

cloudskin run --name up lines.wasm 16 <input >up.out &
pid=$!
exec 9>input
seq 1 3 >&9
eventually eval '[ "$(wc -l <up.out)" -ge 4 ]'
fact "it starts in the image that is compiled fast" in_image "$pid" O1
fact "while it waits for input it goes over" eventually in_image "$pid" O3
fact "and nothing goes on waiting for that" eventually no_thread_waits "$pid"
seq 4 6 >&9
eventually eval '[ "$(wc -l <up.out)" -ge 7 ]'
fact "it can be frozen" cloudskin freeze up -o up.snap
fact "by an exit with 75" exits 75 wait "$pid"
exec 9>&-
fact "and goes on" eval 'seq 7 9 | exits 5 cloudskin thaw up.snap >up.rest'
fact "the output is that of an undisturbed run" eval 'cat up.out up.rest | cmp - lines.whole'

CLOUDSKIN_CACHE=$PWD/made cloudskin cache add --quiet -O3 --movable deep.wasm || exit 1
better=$(basename made/*.O3.*.cell)
cloudskin run --name busy deep.wasm none 100 >busy.out &
pid=$!
eventually test -s busy.out
mv "made/$better" "cache/$better" # before the compiler in the background has it, and before the program ends
fact "a program that computes goes over as well" eventually in_image "$pid" O3
fact "with all its frames" exits 7 wait "$pid"
fact "and the same output" cmp busy.out deep.whole

# The images are there already: compiling at low priority beside other tests takes a sanitized compiler its time.
hash=$(sha256sum lines.wasm | cut -d ' ' -f 1)
better=$(basename cache/"$hash".*.O3.*.cell)
mkdir other
cp cache/"$hash".*.O1.*.cell other
mv "cache/$better" better
rm -rf cache
cloudskin run --name up lines.wasm 16 <input >up.out &
pid=$!
exec 9>input
eventually cloudskin freeze --keep up -o up.snap
exec 9>&-
fact "a program that ends before does not wait for it" exits 5 wait "$pid"
export CLOUDSKIN_CACHE=$PWD/other
cloudskin thaw --name up up.snap <input >up.rest &
pid=$!
exec 9>input
fact "a thawed one begins in the first image as well" eventually in_image "$pid" O1
mv better "other/$better"
fact "and goes over when the other one is there" eventually in_image "$pid" O3
exec 9>&-
fact "to its end" exits 5 wait "$pid"
finish
