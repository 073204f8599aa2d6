#!/usr/bin/env bash
# hops.sh CAPTURE_HOPS BIN IMAGES [NAME...]: real programs and kernels that are frozen at random moments and go on in a
# fresh process each time, on alternating CPU levels: output and exit code are those of an undisturbed run. IMAGES: a folder
# that keeps compiled images. HOPS: how often each is frozen at most; SEED: of the moments; both are printed. NAME: only
# these. HOPS_AARCH64: the cross-built capture_hops: one hop in three is to 64-bit Arm, under qemu. HOPS_KEEP: a folder
# for the files of what fails.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../../..
driver=$(realpath "$1") bin=$(realpath "$2") images=$3
shift 3
only=" $* "
hops=${HOPS:-12}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
passed=0 failed=0 hops_made=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cloudskin-hops.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$images" "$scratch/snap"
images=$(realpath "$images")
export PATH=$bin:$PATH
echo "seed $seed, at most $hops hops each"

case $(uname -m) in
x86_64)
    levels=(x86-64-v2)
    ! grep -qw avx2 /proc/cpuinfo || levels+=(x86-64-v3)
    ! grep -qw avx512vl /proc/cpuinfo || levels+=(x86-64-v4)
    if [ -n "${HOPS_AARCH64:-}" ]; then
        CAPTURE_HOPS_AARCH64=$(realpath "$HOPS_AARCH64") && export CAPTURE_HOPS_AARCH64
        levels+=(aarch64)
    fi
    ;;
*) levels=(aarch64) ;;
esac
echo "levels ${levels[*]}"
compiler=$(sha256sum "$bin/cloudskin-aot" | cut -c1-16)

image() { # image WASM LEVEL: the path of its image
    local key
    key=$(sha256sum "$1" | cut -c1-16)
    local path=$images/$compiler-$key-$2.cell
    [ -f "$path" ] || cloudskin-aot -O1 --movable --cpu "$2" "$1" -o "$path" >&2 || return 1
    echo "$path"
}

said() { # standard error without what differs from run to run
    grep -v -e '^hops: ' -e '^time_ns ' "$1"
}

# hop NAME WASM INPUT ARGUMENT...
hop() {
    local name=$1 wasm=$2 input=$3 level one all="" calm=0 began ms us n try
    shift 3
    case $only in "  " | *" $name "*) ;; *) return ;; esac
    for level in "${levels[@]}"; do
        one=$(image "$wasm" "$level") || {
            failed=$((failed + 1))
            return
        }
        all+=${all:+,}$one
    done
    local folder=$scratch/$name
    mkdir -p "$folder/calm"
    [ -d "$scratch/files" ] && cp "$scratch"/files/* "$folder/calm"
    began=$(date +%s%N)
    (cd "$folder/calm" && "$driver" "${all%%,*}" 0 1 1 "$scratch/snap" "$@") <"$input" >"$folder/calm.out" 2>"$folder/calm.err" || calm=$?
    ms=$((($(date +%s%N) - began) / 1000000 + 1))
    if grep -q '^capture_hops: ' "$folder/calm.err"; then
        echo "FAIL $name: $(head -1 "$folder/calm.err")"
        failed=$((failed + 1))
        return
    fi
    us=$((ms * 1000 / (hops + 1) + 100))
    # A process gets on for longer than it is meant to when the machine is busy; then the next way has shorter parts.
    for try in 1 2 3; do
        n=0
        hopped "$@" || {
            failed=$((failed + 1))
            break
        }
        [ "$n" -lt $((hops * 9 / 10)) ] && [ "$us" -gt 1 ] && [ "$try" -lt 3 ] || {
            echo "ok   $name: $n hops in $((($(date +%s%N) - began) / 1000000)) ms, $ms ms undisturbed"
            passed=$((passed + 1))
            break
        }
        us=$((us * n / hops / 2))
        us=$((us > 0 ? us : 1))
    done
    hops_made=$((hops_made + n))
    rm -rf "$folder"
}

# hopped ARGUMENT...: one way of hop's program; n becomes the number of hops.
hopped() {
    local code=0
    rm -rf "$folder/hopped"
    mkdir "$folder/hopped"
    [ -d "$scratch/files" ] && cp "$scratch"/files/* "$folder/hopped"
    began=$(date +%s%N)
    (cd "$folder/hopped" && "$driver" "$all" "$hops" "$us" "$seed" "$scratch/snap" "$@") \
        <"$input" >"$folder/hopped.out" 2>"$folder/hopped.err" || code=$?
    n=$(sed -n 's/^hops: //p' "$folder/hopped.err")
    if [ "$code" -eq "$calm" ] && cmp "$folder/calm.out" "$folder/hopped.out" &&
        diff <(said "$folder/calm.err") <(said "$folder/hopped.err") &&
        diff -r "$folder/calm" "$folder/hopped"; then
        return
    fi
    [ -z "${HOPS_KEEP:-}" ] || cp -r "$folder" "$HOPS_KEEP"
    echo "FAIL $name: exit code $code, undisturbed $calm, $n hops, seed $seed"
    tail -3 "$folder/hopped.err"
    return 1
}

programs=$("$root/sdk/programs/build.sh" --path)
e2e=$root/tests/e2e/programs
[ -f "$programs/.complete" ] || {
    echo "the programs are not there: run tools/deps" >&2
    exit 1
}
sed "s/@ROWS@/${ROWS:-4000}/" "$e2e/sql/build.sql" >"$scratch/build.sql"
cat "$scratch/build.sql" "$e2e/sql/queries.sql" >"$scratch/all.sql"
hop sqlite3 "$programs/wasm/sqlite3.wasm" "$scratch/all.sql" test.db
mkdir "$scratch/files" && cp "$e2e"/lua/*.lua "$scratch/files"
for script in "$e2e"/lua/*.lua; do
    hop "lua-$(basename "$script" .lua)" "$programs/wasm/lua.wasm" /dev/null "$(basename "$script")"
done
rm -r "$scratch/files"
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "- id: %d\n  name: \"entry %d\"\n  tags: [a%d, b, {c: %d}]\n", i, i * 7, i % 9, i }' \
    >"$scratch/big.yaml"
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "["; print "" }' >"$scratch/deep.yaml"
for text in "$e2e"/yaml/*.yaml "$scratch/big.yaml" "$scratch/deep.yaml"; do
    hop "yaml-$(basename "$text" .yaml)" "$programs/wasm/yaml.wasm" "$text"
done

for source in "$root"/bench/kernels/*.c "$root"/bench/kernels/*.cpp; do
    name=$(basename "$source")
    name=${name%.*}
    wasm=$scratch/$name.wasm
    case $only in "  " | *" $name "*) ;; *) continue ;; esac
    case $source in *.cpp) cc=cloudskin-c++ ;; *) cc=cloudskin-cc ;; esac
    "$cc" -O2 -ffp-contract=off "$source" -o "$wasm" || {
        failed=$((failed + 1))
        continue
    }
    hop "$name" "$wasm" /dev/null ${KERNEL_ARGUMENTS:-}
done
echo "$hops_made hops"
[ "$hops_made" -gt 0 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
