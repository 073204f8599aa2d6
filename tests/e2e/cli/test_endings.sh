#!/usr/bin/env bash
# How programs end: exit codes, and the back-trace of a trap.
. "$E2E/../lib.sh"
cloudskin-cc -O1 -g "$E2E/guest/show.c" -o debug.wasm || exit 1
cloudskin-cc -O1 "$E2E/guest/show.c" -o named.wasm || exit 1
cloudskin-cc -O1 -s "$E2E/guest/show.c" -o bare.wasm || exit 1
end() {
    cloudskin run -O1 named.wasm end "$@"
}

for code in 0 1 2 63 64 65 100 127 130 134 143 152 255; do
    fact "exit($code)" exits $code end $code
done
fact "exit codes are eight bits" exits 1 end 257
fact "_exit" exits 5 end _exit
fact "abort is 134" exits 134 end abort
fact "SIGTERM raised inside is 143" exits 143 end term
fact "SIGKILL raised inside is 137" exits 137 end kill
fact "a trap is 134" exits 134 end trap

trace() { # trace MODULE LEVEL: of the trap, without the first line
    cloudskin run "$2" "$1" end trap 2>&1 >/dev/null | grep -v '^cloudskin: compiling' >trace.txt
}
line_of() { # line_of TEXT: its line in the source
    grep -n -F "$1" "$E2E/guest/show.c" | head -1 | cut -d : -f 1
}
frames() { # frames PATTERN...: the first frames
    local number=0 pattern
    for pattern; do
        sed -n "$((number + 2))p" trace.txt | grep -qE "^  #$number +$pattern( |\$)" || {
            cat trace.txt
            echo "frame $number is not: $pattern"
            return 1
        }
        number=$((number + 1))
    done
}
for level in -O0 -O1 -O3; do
    trace debug.wasm $level
    fact "the first line says what and why $level" grep -q '^cloudskin: debug.wasm: trap: integer divide by zero$' trace.txt
    fact "with -g there are functions, files and lines $level" frames \
        "inner at .*show\.c:$(line_of 'return n / zero')" "middle at .*show\.c:$(line_of 'return inner(n)')" \
        "end at .*show\.c:$(line_of 'return middle(7)')|main at .*show\.c:$(line_of 'return middle(7)')"
    trace named.wasm $level
    fact "without -g there are functions $level" frames "inner \(wasm 0x[0-9a-f]+\)" "middle \(wasm 0x[0-9a-f]+\)"
    trace bare.wasm $level
    fact "stripped there are numbers $level" frames "func\[[0-9]+\] \(wasm 0x[0-9a-f]+\)" "func\[[0-9]+\] \(wasm 0x[0-9a-f]+\)"
done
fact "an image says the same as its module" bash -c \
    'cloudskin-aot -O1 debug.wasm -o debug.cell && cloudskin run debug.cell end trap 2>image.txt
     cloudskin run -O1 debug.wasm end trap 2>module.txt
     diff <(sed s/debug.cell/debug.wasm/ image.txt) module.txt'
finish
