#!/usr/bin/env bash
# Guest programs compiled with cloudskin-cc and cloudskin-c++: run as cells they print what their native builds
# print, or what NAME.expected says. Where Node is installed it runs them too, as an engine that is not ours: from
# version 20 on, since the WASI of older ones does not go back in a folder.
. "$E2E/../../e2e/lib.sh"
guest=$(cd "$E2E/guest" && pwd)
engines=${ENGINES:-cell}
node_20() {
    [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge 20 ]
}
[ -z "${ENGINES:-}" ] && node_20 && engines="cell node"
native_flags="-O2 -ffp-contract=off -w"

run_cell() {
    cloudskin run --dir .:/data "$@"
}
run_node() {
    node --no-warnings "$E2E/node.mjs" . "$@"
}

# same ENGINE WASM EXPECTED CODE ARGUMENT...: same output and exit code?
same() {
    local engine=$1 wasm=$2 want=$3 code=$4 got
    shift 4
    (cd run && "run_$engine" "../$wasm" "$@") >got.txt
    got=$?
    diff "$want" got.txt && [ "$got" -eq "$code" ] || {
        echo "exit code $got, want $code"
        return 1
    }
}

# program NAME WASM EXPECTED CODE ARGUMENT...: one fact for each engine
program() {
    local name=$1 engine
    shift
    for engine in $engines; do
        [ "$engine" = node ] && [ -n "${only_cell:-}" ] && continue
        rm -rf run && mkdir run
        fact "$name ($engine)" same "$engine" "$@"
    done
}

# What a program should print: its own text file, or what its native build prints.
expected() { # expected NAME COMPILER SOURCE...
    local name=$1 compiler=$2
    shift 2
    if [ -f "$guest/$name.expected" ]; then
        cp "$guest/$name.expected" "$name.want"
        code=$(cat "$guest/$name.code" 2>/dev/null || echo 0)
        return
    fi
    "$compiler" $native_flags "$@" -o "$name.native" -lm -lpthread || return 1
    rm -rf run && mkdir run
    # Descriptors of whoever runs the tests would be no free numbers there.
    (cd run && "../$name.native" "${args[@]}" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-) >"$name.want"
    code=$?
}

one() { # one SOURCE
    local source=$1 name compiler=clang-19 guest_compiler=cloudskin-cc flags=
    name=$(basename "${source%.*}")
    if [[ $source == *.cpp ]]; then
        compiler=clang++-19 guest_compiler=cloudskin-c++ flags=-std=c++20
        native_flags="$native_flags -std=c++20"
    fi
    only_cell=$(head -n 1 "$source" | grep -o 'Engines: cell')
    args=()
    [ -f "$guest/$name.args" ] && read -ra args <"$guest/$name.args"
    if ! expected "$name" "$compiler" "$source"; then
        fact "$name is built natively" false
        return
    fi
    for level in $levels; do
        if "$guest_compiler" $level -Wall $flags "$source" -o "$name.wasm" -lm >cc.log 2>&1; then
            program "$name $level" "$name.wasm" "$name.want" "$code" "${args[@]}"
        else
            fact "$name is compiled" sh -c "cat cc.log; false"
        fi
    done
}

for source in "$guest"/*.c "$guest"/*.cpp; do
    case " ${ONLY:-$(basename "$source")} " in
    *" $(basename "$source") "*) levels=-O2
        [[ $source == */jumps*.c* || $source == */exceptions.cpp ]] && levels="-O0 -O2"
        one "$source"
        ;;
    esac
done
if [ -n "${ONLY:-}" ]; then
    finish
    exit
fi

only_cell=
# Objects and archives of both languages, linked in the ways that makefiles do.
parts() {
    local p=$guest/parts
    cloudskin-cc -O2 -c "$p/callback.c" -o callback.o && cloudskin-c++ -O2 -c "$p/shape.cpp" -o shape.o &&
        llvm-ar-19 rcs libshape.a shape.o && cloudskin-c++ -O2 -c "$p/main.cpp" -o main.o &&
        cloudskin-c++ main.o callback.o -L. -lshape -o parts.wasm
}
parts_native() {
    local p=$guest/parts
    clang-19 -O2 -c "$p/callback.c" -o native.o && clang++-19 -O2 "$p/main.cpp" "$p/shape.cpp" native.o -o parts.native &&
        ./parts.native >parts.want
}
fact "C and C++ objects and archives are linked" parts
fact "and natively" parts_native
program "exceptions and jumps cross objects, archives and C" parts.wasm parts.want 0

# Memory that runs out, and that is freed twice.
run_small() {
    cloudskin run --memory 32M "$@"
}
freed_twice() {
    cloudskin run exhaust.wasm "$1" >twice.txt 2>&1
    [ $? -eq 134 ] && grep -q memory_freed_twice twice.txt && ! grep '^freed twice' twice.txt
}
echo "all found again" >exhaust.want
fact "a program that exhausts memory is compiled" cloudskin-cc -O2 "$guest/parts/exhaust.c" -o exhaust.wasm
rm -rf run && mkdir run
fact "malloc fails when memory is used up, and finds it again" same small exhaust.wasm exhaust.want 0
fact "a block that is freed twice is a trap" freed_twice at-once
fact "and when others were freed in between" freed_twice between

# ".." from one grant into another, in whichever way the path is written.
across() {
    cat >across.c <<'C' && cloudskin-cc -O2 across.c -o across.wasm || return 1
#include <stdio.h>
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "r");
        putchar(f ? getc(f) : '-');
        if (f)
            fclose(f);
    }
    return 0;
}
C
    rm -rf one two && mkdir -p one/sub two && echo 1 >one/f && echo 2 >two/f
    prints 2222 cloudskin run --dir one:/one --dir two:/two across.wasm /one/../two/f ../two/f sub/../../two/f /two/./f &&
        prints 12 cloudskin run --dir one:/in --dir two:/in/two across.wasm /in/two/../f /in/two/../two/f &&
        prints -- cloudskin run --dir one:/one across.wasm /one/../two/f ../../etc/passwd
}
fact "'..' leads from one grant into another" across

# The drivers behave like a compiler.
cat >hello.c <<'C'
#include <stdio.h>
int main(void) { printf("hello %d\n", ANSWER); return 0; }
C
echo "hello 42" >hello.want
echo '-DANSWER=42 -O1' >flags.rsp
fact "options from a file" cloudskin-cc @flags.rsp hello.c -o hello.wasm
program "hello" hello.wasm hello.want 0
fact "-E" grep -q 'hello' <(cloudskin-cc -E -DANSWER=1 hello.c)
fact "-S" sh -c 'cloudskin-cc -S -DANSWER=1 hello.c -o hello.s && grep -q "functype" hello.s'
fact "-M names headers of the sysroot" sh -c 'cloudskin-cc -M -DANSWER=1 hello.c | grep -q include/stdio.h'
fact "--help says what is special, then what clang says" sh -c 'cloudskin-cc --help | grep -q CLOUDSKIN_SYSROOT'
fact "-c says nothing about options of the linker" sh -c '! cloudskin-cc -DANSWER=1 -c hello.c -o hello.o 2>&1 | grep .'
fact "jumps in C++ with link-time optimisation" cloudskin-c++ -flto -O2 -std=c++20 "$guest/jumps_in_cpp.cpp" -o lto.wasm
program "and they run" lto.wasm jumps_in_cpp.want 0
fact "link-time optimisation" cloudskin-c++ -flto -O2 -std=c++20 "$guest/exceptions.cpp" -o lto.wasm
program "link-time optimised exceptions" lto.wasm exceptions.want 0
fact "-pthread links with atomics and shared memory" cloudskin-c++ -pthread -O2 -std=c++20 "$guest/library.cpp" -o threads.wasm
fact "also with -fno-openmp" prints wasm32-unknown-wasi-threads cloudskin-cc -pthread -fno-openmp -dumpmachine
# Natively -pthread may be told to the linker alone.
linked_late() { # linked_late OPTION...: of the compiler
    echo '_Atomic int one; _Thread_local int two; int main(void) { return one++ + two++; }' >late.c &&
        cloudskin-cc -c "$@" late.c -o late.o && cloudskin-cc late.o -pthread -o late.wasm && cloudskin run late.wasm
}
fact "-pthread for the linker alone" linked_late
fact "makes no shared memory, as with it everywhere" eval \
    '! cloudskin inspect late.wasm | finds shared && linked_late -pthread && cloudskin inspect late.wasm | finds shared'
cat >caught.cpp <<'C'
#include <csetjmp>
#include <string>
static jmp_buf buf;
int main(int argc, char **) { try { throw argc; } catch (int n) { std::string s(n, 's'); return setjmp(buf) + s[0]; } }
C
for level in -O0 -O2; do
    fact "setjmp in a catch block is refused by name $level" says "caught.cpp: 'main' calls setjmp in a catch block" \
        cloudskin-c++ $level -c caught.cpp -o caught.o
    fact "and is an error" exits 1 cloudskin-c++ $level -c caught.cpp -o caught.o
done
# Options of makefiles written for other machines: what is about them is dropped without a word.
quiet() {
    cloudskin-cc -DANSWER=42 hello.c -o hello.wasm "$@" >quiet.txt 2>&1 && ! grep . quiet.txt
}
for options in -pie -static-pie -no-pie -rdynamic -static -static-libgcc -mtune=native -march=native -m64 -mcmodel=medium \
    -fstack-clash-protection -lnsl -lrt -Wl,-O1,--sort-common,--as-needed,-z,relro,-z,now -Wl,-Bsymbolic-functions \
    -fcommon -Wl,-dynamic-linker,/lib/ld.so "-Xlinker -rpath -Xlinker /lib" "-Xlinker --as-needed"; do
    # shellcheck disable=SC2086 # words of one option
    fact "$options says nothing" quiet $options
    program "hello with $options" hello.wasm hello.want 0
done
# The stack stands below the data: where the data begins tells its size.
cat >where.c <<'C'
#include <stdio.h>
extern char __global_base;
int main(void) { printf("%zu\n", (size_t)&__global_base >> 20); return 0; }
C
stack_size() {
    cloudskin-cc where.c -o where.wasm "$@" && prints 1 cloudskin run where.wasm
}
for options in -Wl,-zstack-size=1048576 "-Wl,-z -Wl,stack-size=1048576" "-Xlinker -z -Xlinker stack-size=1048576" \
    -Wl,-z,relro,-z,stack-size=1048576; do
    # shellcheck disable=SC2086
    fact "$options sets the stack" stack_size $options
done
iso_unix() {
    echo 'int unix;' >unix.c && cloudskin-cc -std=c99 -c unix.c -o unix.o && cloudskin-c++ -std=c++20 -x c++ -c unix.c -o unix.o
}
fact "\"unix\" is a program's own name where the standard says so" iso_unix
# Headers that are compiled by themselves, as makefiles do it, and used.
precompiled() { # precompiled OPTION...: with these makes pre.pch
    rm -f pre.pch && echo '#define ANSWER 42' >pre.h && cloudskin-cc "$@" pre.h -o pre.pch &&
        cloudskin-cc -include-pch pre.pch hello.c -o hello.wasm
}
for options in "" "-x c-header" -xc-header; do
    # shellcheck disable=SC2086
    fact "a header is compiled: $options" precompiled $options
    program "and used" hello.wasm hello.want 0
done
one_definition() {
    printf 'int table[100];\nint main(void) { return table[7]; }\n' >common.c &&
        cloudskin-cc -fcommon common.c -o common.wasm && cloudskin run common.wasm
}
pthread_header() {
    cloudskin-cc -pthread pre.h -o threads.pch && cloudskin-cc -pthread -include-pch threads.pch -c hello.c -o hello.o
}
fact "and with threads" pthread_header
fact "-fcommon takes a program that defines everything once" one_definition
# What is said of an object's place holds, whichever definition the linker takes.
cat >weak.c <<'C'
#include <stdint.h>
#include <stdio.h>
__attribute__((weak)) char one[300], two[300], three[300];
int before(void);
int main(void)
{
    volatile uintptr_t place[3] = {(uintptr_t)one, (uintptr_t)two, (uintptr_t)three};
    int same = (uintptr_t)one % 64 == place[0] % 64 && (uintptr_t)two % 64 == place[1] % 64 &&
               (uintptr_t)three % 64 == place[2] % 64;
    printf("%d\n", same && before());
    return 0;
}
C
cat >strong.c <<'C'
char one[101] = {1}, two[101] = {2}, three[101] = {3}; // of which two cannot begin at a line
int before(void) { return one[0] && two[0] && three[0]; }
C
# Long literals of several objects are one, as the linker makes it of short ones.
literal='"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"'
cat >literal.c <<C
const char *one(void);
const char *volatile mine = $literal $literal $literal;
int main(void) { return one() != mine; }
C
echo "const char *one(void) { return $literal $literal $literal; }" >one.c
literals() {
    cloudskin-cc -O2 -Wl,-O2 literal.c one.c -o literal.wasm && cloudskin run literal.wasm
}
echo 1 >weak.want
fact "a weak object gives way" cloudskin-cc -O2 strong.c weak.c -o weak.wasm
program "and nothing is believed of its place" weak.wasm weak.want 0
fact "long literals are one" literals
fact "-shared says what to do" says "an archive" cloudskin-cc -shared hello.c -DANSWER=1 -o hello.so
fact "and is an error" exits 1 cloudskin-cc -shared hello.c -DANSWER=1 -o hello.so
fact "the archiver that goes with it" prints "$(command -v llvm-ar-19)" cloudskin-cc -print-prog-name=ar
fact "an error is an error" exits 1 sh -c 'cloudskin-cc -c /dev/null/none.c 2>/dev/null'

# Projects that know nothing of cells.
cmake_project() {
    cmake -S "$E2E/cmake-project" -B cm -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$share/cloudskin.toolchain.cmake" &&
        cmake --build cm && cmake --install cm --prefix inst && cp inst/bin/greeting.wasm .
}
share=$(dirname "$(command -v cloudskin-cc)")/../share/cloudskin
[ -d "$share" ] || share=$(dirname "$(command -v cloudskin-cc)")
printf 'configured 2.3 4\nhello cell 2 4\nnobody to greet\n' >greeting.want
fact "a CMake project builds unchanged" cmake_project
program "and runs" greeting.wasm greeting.want 0
tests_run() {
    ctest --test-dir cm >ctest.txt 2>&1 && grep -q "100% tests passed, 0 tests failed out of 3" ctest.txt
}
fact "its tests run, in both forms that CMake has" tests_run
finish
