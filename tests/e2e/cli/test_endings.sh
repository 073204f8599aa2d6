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

cat >arrays.c <<'C'
__attribute__((noinline)) static int deep(volatile int *above, int n)
{
    volatile int here[64];
    here[n % 64] = *above + n;
    return n == 0 ? 0 : deep(here, n - 1) + here[n % 64];
}
int main(int argc, char **argv)
{
    volatile int first = 1, *wild = (volatile int *)0x80000000;
    (void)argv;
    return argc > 1 ? *wild : deep(&first, 1000000);
}
C
cloudskin-cc -O1 arrays.c -o arrays.wasm || exit 1
fact "a stack in memory that is full is said to be" says "the program's stack in memory is full" cloudskin run -O1 arrays.wasm
fact "and another access is not" eval '! says "stack in memory" cloudskin run -O1 arrays.wasm wild'

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

# Descriptors that the caller has closed, and a full disk: as other tools, with a message
cloudskin-aot -O1 named.wasm -o named.cell
for verb in "--version" "--help" "run --help" "ps" "ps --json" "inspect named.wasm" "inspect named.cell" \
    "inspect --json named.wasm" "inspect --help" "cache ls" "cache dir" "cache --help" "freeze --help" "help thaw"; do
    fact "output that is closed is named: $verb" says 'standard output: ' eval "cloudskin $verb 3>&- >&-"
    fact "with exit code 71: $verb" exits 71 eval "cloudskin $verb >&-"
    fact "so does a full disk: $verb" exits 71 eval "cloudskin $verb >/dev/full"
done
for options in "--help" "--version" "--json named.wasm -O0 -o x.cell"; do
    fact "cloudskin-aot $options" exits 71 eval "cloudskin-aot $options >&-"
done
fact "nothing that it opens becomes its standard output" eval 'cloudskin-aot -O0 named.wasm -o closed.cell <&- >&- 2>&-'
fact "and the image is whole" cloudskin inspect closed.cell
cat >echo.c <<'END'
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
    char c;
    int got = (int)read(0, &c, 1), in = errno;
    int put = (int)write(1, "x", 1), out = errno;
    fprintf(stderr, "read %d %d, write %d %d\n", got, got < 0 && in == EBADF, put, put < 0 && out == EBADF);
    return put == 1 ? 0 : 3;
}
END
cloudskin-cc echo.c -o echo.wasm
fact "a guest gets the error of its own output" exits 3 eval 'cloudskin run -O1 echo.wasm <&- >&-'
closed_twice() {
    cloudskin run -O1 echo.wasm 2>said <&- >&-
    grep "read -1 1, write -1 1" said
}
fact "as a native program does" closed_twice
finish
