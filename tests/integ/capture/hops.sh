#!/usr/bin/env bash
# hops.sh CAPTURE_HOPS BIN IMAGES [NAME...]: real programs and kernels that are frozen at random moments and go on in a
# fresh process each time, on alternating CPU levels: output and exit code are those of an undisturbed run. IMAGES: a folder
# that keeps compiled images. HOPS: how often each is frozen at most; SEED: of the moments; both are printed. NAME: only
# these.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../../..
driver=$(realpath "$1") bin=$(realpath "$2") images=$3
shift 3
only=" $* "
hops=${HOPS:-12}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
passed=0 failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cloudskin-hops.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$images" "$scratch/snap"
export PATH=$bin:$PATH
echo "seed $seed, at most $hops hops each"

case $(uname -m) in
x86_64) levels=(x86-64-v2 x86-64-v3) ;;
*) levels=(aarch64 aarch64) ;;
esac
grep -q avx2 /proc/cpuinfo || levels[1]=${levels[0]}
compiler=$(sha256sum "$bin/cloudskin-aot" | cut -c1-16)

image() { # image WASM LEVEL: the path of its image
    local key
    key=$(sha256sum "$1" | cut -c1-16)
    local path=$images/$compiler-$key-$2.cell
    [ -f "$path" ] || cloudskin-aot -O1 --movable --cpu "$2" "$1" -o "$path" || return 1
    echo "$path"
}

said() { # standard error without what differs from run to run
    grep -v -e '^hops: ' -e '^time_ns ' "$1"
}

# hop NAME WASM INPUT ARGUMENT...
hop() {
    local name=$1 wasm=$2 input=$3 one two calm=0 code=0 began ms
    shift 3
    case $only in "  " | *" $name "*) ;; *) return ;; esac
    one=$(image "$wasm" "${levels[0]}") && two=$(image "$wasm" "${levels[1]}") || {
        failed=$((failed + 1))
        return
    }
    local folder=$scratch/$name
    mkdir -p "$folder/calm" "$folder/hopped"
    [ -d "$scratch/files" ] && cp "$scratch"/files/* "$folder/calm" && cp "$scratch"/files/* "$folder/hopped"
    began=$(date +%s%N)
    (cd "$folder/calm" && "$driver" "$two" "$one" 0 1 1 "$scratch/snap" "$@") <"$input" >"$folder/calm.out" 2>"$folder/calm.err" || calm=$?
    ms=$((($(date +%s%N) - began) / 1000000 + 1))
    (cd "$folder/hopped" && "$driver" "$one" "$two" "$hops" $((ms * 1000 / (hops + 1) + 100)) "$seed" "$scratch/snap" "$@") \
        <"$input" >"$folder/hopped.out" 2>"$folder/hopped.err" || code=$?
    local n
    n=$(sed -n 's/^hops: //p' "$folder/hopped.err")
    if [ "$code" -eq "$calm" ] && cmp "$folder/calm.out" "$folder/hopped.out" &&
        diff <(said "$folder/calm.err") <(said "$folder/hopped.err") &&
        diff -r "$folder/calm" "$folder/hopped"; then
        echo "ok   $name: $n hops, $ms ms undisturbed"
        passed=$((passed + 1))
    else
        echo "FAIL $name: exit code $code, undisturbed $calm, $n hops, seed $seed"
        tail -3 "$folder/hopped.err"
        failed=$((failed + 1))
    fi
    rm -rf "$folder"
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
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
