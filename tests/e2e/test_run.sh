#!/usr/bin/env bash
# `cloudskin run`: what the cell sees, limits, exit codes, messages.
. "$E2E/lib.sh"

clang-19 --target=wasm32 -g -O2 -nostdlib -Wl,--export=_start "$E2E/guest/small.c" -o small.wasm || exit 1
run() {
    cloudskin run "$@"
}
call() {
    local func=$1
    shift
    cloudskin run --invoke "$func" small.wasm "$@"
}

in_time() { # in_time SIGNAL COMMAND...: send the signal after it has started, give its exit code
    local signal=$1 pid
    shift
    "$@" &
    pid=$!
    eventually is_running "$pid"
    kill -"$signal" "$pid"
    wait "$pid"
}
is_running() { # the cell spins: it has used CPU time
    [ "$(awk '{ print $14 }' "/proc/$1/stat")" -gt 5 ]
}

fact "arguments reach the guest as they are, also those that look like options" \
    prints $'-x\n--dir\na b' run small.wasm -x --dir 'a b'
fact "the exit code is the guest's" exits 7 run small.wasm
fact "nothing of the environment is inherited" prints "" env SECRET=1 cloudskin run small.wasm
fact "but OMP_ variables" prints "OMP_NUM_THREADS=3" env OMP_NUM_THREADS=3 cloudskin run small.wasm
fact "--env sets a variable, the last one wins" prints "A=2" run --env A=1 --env A=2 small.wasm
fact "--env NAME passes a value on" prints "SECRET=1" env SECRET=1 cloudskin run --env SECRET small.wasm
fact "--env of an unset name is nothing" prints "" env -u NOPE cloudskin run --env NOPE small.wasm

fact "a slash behind the name of a grant is none of it" prints "PWD=/d" run --dir .:/d// small.wasm
fact "nor behind that of a folder here" prints "PWD=." run --dir ./ small.wasm
fact "but the root keeps it" prints "PWD=/" run --dir .:/ small.wasm

fact "--invoke reads i32" prints 42 call add 2 40
fact "--invoke reads negative and hexadecimal numbers" prints -1 call add -2 0x1
fact "i32 arguments may be unsigned" prints -1 call add 4294967295 0
fact "--invoke reads i64" prints 9223372036854775807 call add64 9223372036854775806 1
fact "--invoke refuses an i64 of 65 bits" exits 64 call add64 18446744073709551616 1
fact "--invoke reads f32" prints 0.05 call half 0.1
fact "--invoke reads f64" prints 0.3333333333333333 call ratio 1 3
fact "infinity is printed" prints inf call ratio 1 0
fact "a wrong number of arguments is bad usage" exits 64 call add 1
fact "an argument of the wrong type is bad usage" exits 64 call add 1 x
fact "an argument out of range is bad usage" exits 64 call add 1 4294967296
fact "an unknown function is named" says "no exported function 'nope'; --invoke can call " call nope
fact "and others with it" says "add64" call nope
fact "--memory is named where it is too small" says "(--memory)" run --memory 64K --invoke add small.wasm 1 2
fact "an unknown function is not found" exits 127 call nope

fact "a trap has its exit code" exits 134 call divide 1 0
fact "a trap says why" says "integer divide by zero" call divide 1 0
divide_line=$(awk '/EXPORT\(divide\)/ { inside = 1 } inside && /return/ { print NR; exit }' "$E2E/guest/small.c")
fact "a back-trace has names, file and line" says "divide at $E2E/guest/small.c:$divide_line (" call divide 1 0
fact "unbounded recursion is a trap" says "call stack exhausted" call recurse 1
fact "unbounded recursion on a small stack as well" exits 134 run --stack 64K --invoke recurse small.wasm 1

fact "--timeout ends a loop" exits 143 run --timeout 200ms --invoke spin small.wasm
fact "--timeout ends a wait" exits 143 run --timeout 200ms --invoke wait_for_input small.wasm < <(exec tail -f /dev/null)
fact "--cpu-seconds ends a loop" exits 152 run --cpu-seconds 0.1 --invoke spin small.wasm
fact "--output-bytes ends output" exits 153 run --output-bytes 100 --invoke chatter small.wasm
fact "a limit is explained" says "--cpu-seconds" run --cpu-seconds 0.1 --invoke spin small.wasm
fact "--memory stops growth" prints -1 run --memory 2M --invoke touch small.wasm 64
fact "memory within the limit can be had" prints 64 run --memory 128M --invoke touch small.wasm 64
fact "Ctrl-C" exits 130 in_time INT env --default-signal=INT cloudskin run --invoke spin small.wasm
fact "SIGTERM" exits 143 in_time TERM cloudskin run --invoke spin small.wasm

listening() { # a port is announced on standard error, connections reach the guest
    local pid port answer
    cloudskin run --listen 127.0.0.1:0 --invoke serve small.wasm 3 >served 2>announced &
    pid=$!
    eventually grep -q '^cloudskin: listening on 127.0.0.1:[0-9]*$' announced
    port=$(sed 's/.*://' announced)
    exec 5<>"/dev/tcp/127.0.0.1/$port"
    echo ping >&5
    read -r -t 10 answer <&5
    exec 5>&-
    wait "$pid"
    [ "$answer" = ping ] && [ "$(cat served)" = 0 ]
}
fact "--listen hands in a socket" listening
fact "a bad address is bad usage" exits 64 run --listen nowhere small.wasm
fact "an address that is not ours is refused" exits 71 run --listen 192.0.2.1:80 small.wasm

fact "no arguments: usage" exits 64 cloudskin
fact "no program: usage" exits 64 run
fact "an unknown option is named" says "--frob: no such option" run --frob small.wasm
fact "an unknown option is bad usage" exits 64 run --frob small.wasm
fact "a bad size is bad usage" exits 64 run --memory lots small.wasm
fact "a size is too large, not too small" says "expected at most" run --memory 99999999999T small.wasm
fact "a bad grant is bad usage" exits 64 run --dir a:b:c small.wasm
fact "an unknown level is bad usage" exits 64 run --cpu z80 small.wasm
fact "an unknown verb is bad usage" exits 64 cloudskin frobnicate
fact "a program without a verb is told the way" says "Try 'cloudskin run small.wasm'" cloudskin small.wasm
fact "programs of their own are no verbs, and named" says "cloudskin-aot" cloudskin aot small.wasm
fact "a folder is no output" says "Is a directory" cloudskin-aot small.wasm -o .
fact "LLVM IR goes into a folder that exists" exits 64 cloudskin-aot small.wasm -o ir.cell --keep-ir nowhere
fact "a verb cannot leave its folder" exits 64 cloudskin ../../bin/cloudskin
fact "a missing program is not found" exits 127 run nope.wasm
fact "a missing grant is not found" exits 127 run --dir nope small.wasm
fact "a folder is refused" exits 65 run .
echo "this is text" >text.wasm
fact "a text file is refused" exits 65 run text.wasm
alike() { # all programs say the same of a file that is none
    local program
    for program in "cloudskin run" "cloudskin inspect" "cloudskin-aot -o x.cell" "cloudskin cache add"; do
        says "neither a WebAssembly module nor a cell image, but text: cloudskin-cc and" $program text.wasm || return 1
        exits 65 $program text.wasm || return 1
    done
}
fact "in the same words by all" alike
head -c 500 small.wasm >short.wasm
fact "a truncated module is refused" exits 65 run short.wasm
printf '\0asm\1\0\0\0' >empty.wasm
fact "a module without _start is told so" says "_start" run empty.wasm
closed() {
    cloudskin run --invoke add small.wasm 2 40 <&- >out.closed 2>&- && [ "$(cat out.closed)" = 42 ]
}
fact "closed standard files do no harm" closed
fact "help teaches" prints yes bash -c 'cloudskin run --help | grep -q "Examples:" && echo yes'
fact "version" prints yes bash -c 'cloudskin --version | grep -qE "^cloudskin [0-9.]+$" && echo yes'

cloudskin-aot small.wasm -o small.cell || exit 1
fact "an image runs without the module" prints 42 run --invoke add small.cell 2 40
head -c 70000 small.cell >short.cell
fact "a truncated image is refused" exits 65 run short.cell
finish
