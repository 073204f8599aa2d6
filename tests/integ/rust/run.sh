#!/usr/bin/env bash
# guest/tour.rs built natively and for cells by Debian's rustc: the same output, messages and exit codes. Programs for
# wasm32-wasi abort when they panic, so the native one is told to do the same: both end with 134.
. "$E2E/../../e2e/lib.sh"
rustc=/usr/bin/rustc # not one that a user installed for other targets
unset RUST_BACKTRACE

build() { # build TARGET OUTPUT OPTION...
    local target=$1 output=$2
    shift 2
    "$rustc" --edition 2021 --target "$target" "$@" "$E2E/guest/tour.rs" -o "$output"
}
native=$("$rustc" -vV | sed -n 's/^host: //p')

# The same arguments for both, in folders of their own. What a panic says comes first; the back-trace is the cell's.
both() { # both LEVEL ARGUMENT...
    local level=$1 want=0 got=0
    shift
    rm -rf a b && mkdir a b
    (cd a && VALUE=one ../tour.native "$@") <input >want.txt 2>want.err || want=$?
    (cd b && cloudskin run "$level" --dir . --env VALUE=one ../tour.wasm "$@") <input >got.txt 2>got.err || got=$?
    [ "$want" -eq "$got" ] || {
        echo "exit code $got, natively $want"
        cat got.err
        return 1
    }
    diff want.txt got.txt && diff <(said want.err) <(said got.err)
}
said() { # said FILE
    grep -E '^(thread|Error:|note:)' "$1"
}

printf '1\n20\n-300\n' >input
for mode in "-C opt-level=0 -C debug-assertions=yes" "-C opt-level=3"; do
    read -ra options <<<"$mode"
    rm -f tour.native tour.wasm
    fact "natively $mode" build "$native" tour.native -C panic=abort "${options[@]}"
    fact "for cells $mode" build wasm32-wasi tour.wasm "${options[@]}"
    [ -f tour.native ] && [ -f tour.wasm ] || continue
    for level in -O1 -O3; do
        cloudskin cache add --quiet "$level" tour.wasm
        fact "collections, ownership, numbers, files $level" both "$level" all .
        fact "standard input $level" both "$level" input
        fact "an error from main is 1 $level" both "$level" halve 7
        fact "exit code $level" both "$level" exit 42
    done
    fact "abort" both -O1 abort
    for end in "bounds 9" "divide 0" "overflow 11" "unwrap x" "borrow" "nothing"; do
        read -ra part <<<"$end"
        fact "a panic: $end" both -O1 "${part[@]}"
    done
done
fact "a panic is the trap of an abort" exits 134 cloudskin run -O1 tour.wasm bounds 9
fact "whose back-trace leads to it" says '_ZN4tour4main' cloudskin run -O1 tour.wasm bounds 9
fact "recursion without end is a trap" exits 134 cloudskin run -O1 tour.wasm deep
finish
