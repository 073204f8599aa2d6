#!/usr/bin/env bash
# Exceptions that nobody catches, in modules written by hand and in C++.
. "$E2E/host.sh"
guests exceptions exception_start exceptions_kept || exit 1
cloudskin-c++ -O1 -g "$E2E/guest/throws.cpp" -o throws.wasm || exit 1

for how in uncaught callback wide handlers; do
    fact "an exception that leaves the program is reported: $how" \
        answers 134 "uncaught exception" -O1 --invoke $how exceptions.wasm
done
fact "also from the start function" answers 134 "uncaught exception" -O1 exception_start.wasm
fact "exit is no exception, and nothing runs behind it" answers 9 "" -O1 --invoke exit exceptions.wasm
fact "exceptions that are kept are limited" answers 134 "too many live exceptions" -O1 --invoke keep exceptions_kept.wasm

fact "C++: what() of an exception that leaves main" answers 134 "leaves main" -O1 throws.wasm main
fact "C++: one without what()" answers 134 "terminating" -O1 throws.wasm number
fact "C++: out of a callback of the library" answers 134 "in a callback" -O1 throws.wasm callback
fact "C++: caught behind the library" returns "in a callback" -O1 throws.wasm caught
fact "C++: through 20,000 frames" returns "deep" -O1 throws.wasm deep
fact "C++: a second one on the way" answers 134 "terminating" -O1 throws.wasm twice
fact "C++: out of noexcept" answers 134 "terminating" -O1 throws.wasm noexcept
fact "C++: at exit" answers 134 "uncaught exception" -O1 throws.wasm exit
fact "C++: a call of nothing" answers 134 "bad_function_call" -O1 throws.wasm empty
finish
