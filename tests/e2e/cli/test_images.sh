#!/usr/bin/env bash
# Images that are not what they should be are refused with a reason; nothing of them runs.
. "$E2E/../lib.sh"
cloudskin-cc -O1 "$E2E/guest/show.c" -o show.wasm || exit 1
cloudskin-aot -O1 show.wasm -o show.cell || exit 1
size=$(wc -c <show.cell)
refused() { # refused FILE [TEXT]
    local code=0
    timeout 20 cloudskin run "$1" args >refused.out 2>refused.err </dev/null || code=$?
    [ "$code" -eq 65 ] && [ ! -s refused.out ] && grep -q "^cloudskin: $1: ." refused.err &&
        grep -qF -- "${2:-}" refused.err || {
        echo "exit code $code"
        cat refused.err
        return 1
    }
}
fact "the image runs" prints $'[show.cell]\n[args]' cloudskin run show.cell args

# It is what it is: options that ask for another one are not passed over.
level=$(cloudskin inspect --json show.cell | python3 -c 'import json, sys; print(json.load(sys.stdin)["cpu"])')
other=x86-64-v2
[ "$level" != x86-64-v2 ] || cloudskin-aot -O1 --cpu x86-64-v3 show.wasm -o show.cell
fact "options that say what it is" prints $'[show.cell]\n[args]' cloudskin run --cpu "$level" --nan native -O1 show.cell args
fact "another level" says "an image made with --cpu $level, which --cpu contradicts" cloudskin run --cpu $other show.cell
fact "other NaNs" says "an image made with --nan native" cloudskin run --nan canonical show.cell
fact "another optimisation" exits 65 cloudskin run -O3 show.cell

# -o names a pipe, or a link to one: what it is stays.
piped() {
    ln -s /proc/self/fd/1 out.link
    cloudskin-aot -O1 show.wasm -o out.link | cmp - show.cell && [ -L out.link ] &&
        cloudskin-aot -O1 show.wasm -o out.link >out.cell && cmp out.cell show.cell && [ -L out.link ]
}
fact "an image can be written into a pipe" piped
cp show.wasm same.wasm && ln -s same.wasm same.link
printf '\0asm\1\0\0\0\1' >short.wasm
fact "a module is called as it is said" says "its name: offset " cloudskin-aot --name "its name" short.wasm -o none.cell
fact "the module is not overwritten" bash -c 'cloudskin-aot same.wasm -o same.wasm 2>same.err; [ $? -eq 64 ] &&
    cloudskin-aot -O1 same.link -o same.wasm 2>/dev/null; [ $? -eq 64 ] && grep -q "another name" same.err && cmp same.wasm show.wasm'

cuts() {
    local len
    for len in 1 4 8 63 64 100 500 4096 65535 65536 $((size / 2)) $((size - 1)); do
        head -c "$len" show.cell >cut.cell
        refused cut.cell || { echo "at $len"; return 1; }
    done
}
fact "cut anywhere it is refused" cuts
damage() { # one byte of each of 64 places, and all of the header
    local at old i
    for i in $(seq 0 63) $(seq 100 163); do
        at=$((i < 100 ? i : (i - 100) * size / 64))
        cp show.cell bad.cell
        old=$(od -An -tu1 -j "$at" -N 1 bad.cell)
        # shellcheck disable=SC2059 # the byte
        printf "\\x$(printf %02x $(((old + 1) % 256)))" | dd of=bad.cell bs=1 seek="$at" conv=notrunc status=none
        refused bad.cell || { echo "at $at"; return 1; }
    done
}
fact "damaged anywhere it is refused" damage
longer() {
    cp show.cell longer.cell
    echo more >>longer.cell
    refused longer.cell
}
fact "with more behind it, it is refused" longer

cp /bin/true foreign.cell
fact "a program of the host is refused" refused foreign.cell
: >empty.cell
fact "an empty file is refused" refused empty.cell
head -c 100000 /dev/zero >zeros.cell
fact "zeros are refused" refused zeros.cell
truncate -s 100G sparse.cell
fact "a hundred gigabytes are refused" refused sparse.cell
printf '\0asm' >head.wasm
fact "a module of four bytes is refused" bash -c 'cloudskin run head.wasm; [ $? -eq 65 ]'
printf '\0asm\15\0\1\0' >component.wasm
fact "a component is refused" says "version" cloudskin run component.wasm
fact "a folder is no program" bash -c 'mkdir folder; cloudskin run folder 2>folder.err; code=$?
    cat folder.err; [ $code -eq 65 -o $code -eq 71 ] && [ -s folder.err ]'

other=aarch64
[ "$(uname -m)" != aarch64 ] || other=x86-64-v2
cloudskin-aot -O1 --cpu $other show.wasm -o other.cell || exit 1
fact "an image of another machine is refused, by name" refused other.cell $other
fact "it can be looked at" bash -c 'cloudskin inspect other.cell | grep -q '$other
cloudskin-aot -O1 --cpu x86-64-v4 show.wasm -o v4.cell || exit 1
if grep -qw avx512vl /proc/cpuinfo; then
    fact "an image of the highest level runs where the CPU has it" prints $'[v4.cell]\n[args]' cloudskin run v4.cell args
else
    fact "an image of a level that the CPU lacks is refused, by name" refused v4.cell x86-64-v4
fi

# In the cache such files are made anew.
cached() {
    local image
    cloudskin cache clear >/dev/null
    cloudskin run -O1 show.wasm >/dev/null || return 1
    image=$(compgen -G "$CLOUDSKIN_CACHE/*.cell")
    "$@" "$image"
    prints $'[show.wasm]\n[args]' cloudskin run -O1 show.wasm args && cloudskin inspect "$image" >/dev/null
}
overwrite() { # the file itself is replaced: running cells keep theirs
    cp "$1" "$2.new" && mv "$2.new" "$2"
}
fact "a foreign file in the cache is made anew" cached overwrite foreign.cell
fact "an empty one too" cached overwrite empty.cell
fact "one of another machine too" cached overwrite other.cell

# Which loops run without polls for thousands of iterations: those that LLVM may make vectors of.
has_runs() { # has_runs LOOP LEVEL
    rm -rf ir && mkdir ir && cloudskin-cc -O2 -nostdlib -Wl,--no-entry "-D$1" "$E2E/guest/counted.c" -o counted.wasm &&
        cloudskin-aot --cpu "$2" counted.wasm -o counted.cell --keep-ir ir || exit 1
    cat ir/*.opt.ll | finds '^loop\.run'
}
for level in x86-64-v4 aarch64; do
    fact "a loop that adds to an array has runs ($level)" has_runs ADD $level
    fact "so has one that hands a float on ($level)" has_runs DIFFERENCES $level
    fact "a search has none ($level)" eval "! has_runs FIND $level"
done
fact "a sum of floats has none on x86-64" eval '! has_runs SUM x86-64-v4'
fact "but where vectors are added up in order" has_runs SUM aarch64
finish
