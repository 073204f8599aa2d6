#!/usr/bin/env bash
# Guests that do not end: calls without end, loops without end, waits without end.
. "$E2E/host.sh"
guests recursion recursion_start loops loop_start waits || exit 1

for how in direct mutual indirect wide parameters caught; do
    fact "endless recursion is a trap: $how" answers 134 "trap: call stack exhausted" -O1 --invoke $how recursion.wasm
done
fact "also in the start function" answers 134 "trap: call stack exhausted" -O1 recursion_start.wasm
fact "also optimised" answers 134 "trap: call stack exhausted" -O3 --invoke wide recursion.wasm
fact "also on the smallest stack" answers 134 "trap: call stack exhausted" -O1 --stack 64K --invoke wide recursion.wasm
fact "also on a large one" answers 134 "trap: call stack exhausted" -O1 --stack 256M --invoke direct recursion.wasm
fact "its back-trace names the functions and counts what it leaves out" \
    answers 134 "more" -O1 --invoke mutual recursion.wasm
fact "ping is there" grep -q '^  #[0-9]* *ping' answer.err
fact "pong is there" grep -q '^  #[0-9]* *pong' answer.err

all="empty counted memory vector calls host_calls clock tail tails table throws nested fills copies branches floats tree"
for level in -O1 -O3; do
    for how in $all; do
        fact "--timeout ends an endless loop: $how $level" \
            answers 143 "stopped: time limit reached (--timeout)" $level --timeout 100ms --invoke "$how" loops.wasm
    done
done
for how in vector clock tail throws copies tree; do
    fact "--cpu-seconds ends an endless loop: $how" \
        answers 152 "stopped: CPU time limit reached (--cpu-seconds)" -O3 --cpu-seconds 100ms --invoke $how loops.wasm
    fact "Ctrl-C ends an endless loop: $how" signalled 130 INT -O3 --invoke $how loops.wasm
    fact "SIGTERM ends an endless loop: $how" signalled 143 TERM -O3 --invoke $how loops.wasm
done
fact "a start function is ended as well" answers 143 "(--timeout)" -O1 --timeout 100ms loop_start.wasm
fact "filling 4 GiB is stopped on the way" answers 143 "(--timeout)" -O1 --timeout 100ms --invoke fill_all loops.wasm

for how in atomic short_waits clock; do
    fact "--timeout ends an endless wait: $how" answers 143 "(--timeout)" -O1 --timeout 100ms --invoke $how waits.wasm
done
mkfifo never
exec 7<>never
input() {
    local code=0
    within cloudskin run -O1 --timeout 100ms --invoke input waits.wasm <never || code=$?
    [ "$code" -eq 143 ]
}
fact "--timeout ends reading what never comes" input
finish
