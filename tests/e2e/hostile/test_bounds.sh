#!/usr/bin/env bash
# Guests that reach for what is not theirs: memory, tables, functions of other types.
. "$E2E/host.sh"
guests memory addresses dropped memory_4g memories_16 memories_17 memory_above_max memory_too_large data_outside data_across \
    stack_pointer tables table_too_large tables_100 tables_101 elements_outside || exit 1

for level in -O1 -O3; do
    for how in load_end load_far load_v128 store_end store_far store_v128 atomic_far fill fill_far copy copy_far init \
        init_far dropped; do
        fact "outside of memory is a trap: $how $level" \
            answers 134 "trap: out of bounds memory access" $level --invoke $how memory.wasm
        fact "the function is named" grep -q "^  #0 *$how " answer.err
    done
done
for level in -O0 -O1 -O2 -O3; do
    for how in load byte extended f32 f64 v128 widened splat zero lane constant local times_0 not_selected in_a_loop \
        in_an_arm before_a_trap overwritten; do
        fact "a load whose value is dropped is a trap: $how $level" \
            answers 134 "trap: out of bounds memory access" $level --invoke $how dropped.wasm
    done
done
for level in -O1 -O2 -O3; do
    for what in "above_first -8" "store_first -8" "below_second 4" "far_offset -8" "up -16 64" "down 16 -16" \
        "up 131000 131080" "far_offset 65537"; do
        # shellcheck disable=SC2086 # function and arguments
        fact "an address that wraps is outside: $what $level" \
            answers 134 "trap: out of bounds memory access" $level --invoke ${what%% *} addresses.wasm ${what#* }
    done
    fact "a legal address below the one before is read $level" returns 0 $level --invoke below_second addresses.wasm 8
    fact "a loop downwards reads to 0 $level" returns 0 $level --invoke down addresses.wasm 64 -8
    fact "a loop upwards ends at its bound $level" returns 0 $level --invoke up addresses.wasm 0 4096
done
fact "an unaligned atomic is a trap" answers 134 "trap: unaligned atomic" -O1 --invoke atomic_unaligned memory.wasm
fact "memory grows to a page below 4 GiB and no further" returns 65535 -O1 --invoke grow memory.wasm
fact "by 4 GiB beyond a page it does not" returns -1 -O1 --invoke grow_4g memory.wasm
fact "nor by all numbers" returns -1 -O1 --invoke grow_most memory.wasm
fact "--memory stops growth that is used" returns 1024 -O1 --memory 64M --invoke touch memory.wasm
fact "--memory is kept when it is no whole page" returns 1 -O1 --memory 100000 --invoke touch memory.wasm
fact "4 GiB can be had from the start" returns 0 -O1 --invoke last memory_4g.wasm
fact "the byte behind is outside" answers 134 "out of bounds memory access" -O1 --invoke behind memory_4g.wasm
fact "--memory refuses what is too large from the start" answers 71 "passes the limit" -O1 --memory 1G --invoke last \
    memory_4g.wasm
fact "16 memories of 4 GiB can be had" returns 0 -O1 --invoke last memories_16.wasm
fact "--memory counts them together" answers 71 "passes the limit" -O1 --memory 32G --invoke last memories_16.wasm
fact "17 memories are refused" answers 65 "too many memories: 17, at most 16" -O1 memories_17.wasm
fact "a memory above its maximum is refused" answers 65 "must not be greater" -O1 memory_above_max.wasm
fact "a memory of more than 4 GiB is refused" answers 65 "at most 65536 pages" -O1 memory_too_large.wasm
fact "data behind the end is a trap" answers 134 "data segment 0" -O1 data_outside.wasm
fact "data across the end is a trap" answers 134 "data segment 0" -O1 data_across.wasm

for how in high low down; do
    fact "a stack pointer overwritten is a trap: $how" \
        answers 134 "out of bounds memory access" -O1 --invoke $how stack_pointer.wasm
done

for level in -O1 -O3; do
    fact "an indirect call with the wrong result $level" \
        answers 134 "trap: indirect call type mismatch" $level --invoke wrong_result tables.wasm
    fact "an indirect call with wrong parameters $level" \
        answers 134 "trap: indirect call type mismatch" $level --invoke wrong_type tables.wasm
    fact "an indirect call of nothing $level" answers 134 "trap: uninitialized element" $level --invoke null tables.wasm
    for how in outside far_outside; do
        fact "an indirect call outside of the table: $how $level" \
            answers 134 "trap: out of bounds table access" $level --invoke $how tables.wasm
    done
done
fact "a table is filled within its bounds" answers 134 "out of bounds table access" -O1 --invoke fill tables.wasm
fact "a table is read within its bounds" answers 134 "out of bounds table access" -O1 --invoke get tables.wasm
fact "a table does not grow by all numbers" returns -1 -O1 --invoke grow_most tables.wasm
fact "nor beyond ten million entries" returns -1 -O1 --invoke grow_large tables.wasm
fact "growing a table until it fails does no harm" returns "" -O1 --invoke grow tables.wasm
fact "a huge table is refused" answers 65 "at most 10000000" -O1 table_too_large.wasm
fact "huge tables are counted together" answers 71 "passes the limit" -O1 tables_100.wasm
fact "101 tables are refused" answers 65 "too many tables: 101, at most 100" -O1 tables_101.wasm
fact "elements behind the end are a trap" answers 134 "element segment 0" -O1 elements_outside.wasm
finish
