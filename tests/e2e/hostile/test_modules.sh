#!/usr/bin/env bash
# Modules that are giant, nested, or lie about themselves.
. "$E2E/host.sh"
guests functions_too_many nesting_deep nesting_loops nesting_ifs nesting_too_deep branches_wide \
    branches_too_wide branches_claimed locals_too_many locals_everywhere function_too_long names_hostile \
    debug_hostile names_lying import_unknown import_typed_wrong start_typed_wrong section_claimed count_claimed \
    number_endless functions_million operands_deep || exit 1

fact "65,000 nested blocks run" returns "" -O1 nesting_deep.wasm
fact "2,000 nested loops run" returns "" -O1 nesting_loops.wasm
fact "2,000 nested conditions run" returns "" -O1 nesting_ifs.wasm
fact "100,000 nested blocks are refused" answers 65 "nested too deeply" -O1 nesting_too_deep.wasm
fact "65,520 branch targets run" returns "" -O1 branches_wide.wasm
fact "more are refused" answers 65 "too many labels (limit 65520)" -O1 branches_too_wide.wasm
fact "four billion that are not there are refused" answers 65 "unexpected end" -O1 branches_claimed.wasm
fact "a million and one functions are refused" answers 65 "too many functions: 1000001" -O1 functions_too_many.wasm
fact "four billion locals are refused" answers 65 "too many locals" -O1 locals_too_many.wasm
fact "50,000 locals in 100,000 functions are refused" answers 65 "too many locals in all functions" -O1 \
    locals_everywhere.wasm
fact "a function of 7.7 MB is refused" answers 65 "at most 7654321" -O1 function_too_long.wasm
fact "a section of 4 GiB in a few bytes is refused" answers 65 "offset 0x8: length out of bounds" -O1 \
    section_claimed.wasm
fact "a count of four billion in a few bytes is refused" answers 65 "4294967295 types in 0 bytes" -O1 count_claimed.wasm
fact "a number without end is refused" answers 65 "integer representation too long" -O1 number_endless.wasm
if [ -z "${SANITIZED:-}" ]; then
    fact "half a million operands at once run" returns 500000 -O0 --invoke sum operands_deep.wasm
fi

# A million functions take their time; the compile can be followed and be given up.
give_up() {
    local pid code=0
    setsid env --default-signal=INT cloudskin run -O1 functions_million.wasm 2>answer.err &
    pid=$!
    eventually grep -q '^cloudskin: compiling functions_million.wasm' answer.err
    kill -INT -- "-$pid" # as the terminal does: to all of the foreground group
    wait "$pid" || code=$?
    [ "$code" -eq 130 ] || echo "exit code $code"
    [ "$code" -eq 130 ]
}
fact "the compile of a million functions can be given up" give_up
fact "and leaves nothing that disturbs the next run" returns "" -O1 nesting_loops.wasm

fact "an import that is not there is named" answers 65 'unknown import: "env" "no_such_function"' -O1 \
    import_unknown.wasm
fact "an import of another type is named" answers 65 'incompatible import type: "wasi_snapshot_preview1" "fd_write"' \
    -O1 import_typed_wrong.wasm
fact "a _start with parameters is not called" answers 64 "_start takes 1 argument" -O1 start_typed_wrong.wasm
clean_names() {
    answers 134 "trap: unreachable" -O1 names_hostile.wasm || return 1
    [ "$(tr -d '\n -~' <answer.err | wc -c)" -eq 0 ] && [ "$(wc -l <answer.err)" -eq 2 ]
}
fact "names cannot send commands to a terminal, nor make lines of their own" clean_names
fact "long names are cut" answers 134 "xxx..." -O1 --invoke long names_hostile.wasm
fact "debug information that is none is not used" answers 134 "here" -O1 debug_hostile.wasm
fact "names that lie are not used" answers 134 "_start" -O1 names_lying.wasm
finish
