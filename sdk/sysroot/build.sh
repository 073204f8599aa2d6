#!/bin/sh
# build.sh              build the guest sysroot unless it is there
# build.sh --path       print where it is or will be
# build.sh --link NAME  make NAME a link to it
# The sysroot is cached outside the build tree under a name that is the hash of its recipe: all files here but this.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=../fetch.sh
. "$here/../fetch.sh"

key() {
    find "$here" -type f ! -name build.sh ! -name '*~' | LC_ALL=C sort | xargs -d '\n' cat | sha256sum | cut -c1-16
}

sysroot=$cloudskin_deps/sysroot-$(key)
found() {
    # While the recipe is being worked on, the last one that was built serves.
    if [ ! -f "$sysroot/.complete" ] && [ -d "$cloudskin_deps/sysroot" ]; then
        readlink -f "$cloudskin_deps/sysroot"
    else
        echo "$sysroot"
    fi
}
case ${1:-} in
--path)
    found
    exit
    ;;
--link)
    mkdir -p "$(dirname "$2")"
    ln -sfn "$(found)" "$2"
    exit
    ;;
esac
[ -f "$sysroot/.complete" ] && exit 0

for program in clang-19 wasm-ld-19 llvm-ar-19 make xz python3 flock; do
    command -v $program >/dev/null || {
        echo "sysroot: $program is missing (tools/deps installs it)" >&2
        exit 1
    }
done
# shellcheck source=pins
. "$here/pins"
mkdir -p "$cloudskin_deps"
exec 9>"$cloudskin_deps/sysroot.lock"
flock 9
[ -f "$sysroot/.complete" ] && exit 0

fetch_pypi "$wheel_package" "$wheel_file" "$wheel_sha256"
fetch_debian "$musl_suite" musl "$musl_file" "$musl_sha256"
fetch_debian "$wasilibc_suite" wasi-libc "$wasilibc_file" "$wasilibc_sha256"
fetch_debian "$llvm_suite" llvm-toolchain-19 "$llvm_file" "$llvm_sha256"

echo "sysroot: building the guest C and C++ libraries (some minutes, once)"
work=$sysroot.work
rm -rf "$work"
mkdir -p "$work/out"
"$here/unpack.sh" "$cloudskin_downloads" "$work/src"
for variant in wasm32-wasi wasm32-wasi-threads; do
    make -s -j"${JOBS:-$(nproc)}" -f "$here/Makefile" SRC="$work/src" OUT="$work/out" OBJ="$work/obj/$variant" \
        VARIANT=$variant all
done
# The names that newer compilers use for the same thing, and what the sources ask to be passed on.
ln -s wasm32-wasi "$work/out/lib/wasm32-wasip1"
ln -s wasm32-wasi-threads "$work/out/lib/wasm32-wasip1-threads"
mkdir -p "$work/out/licenses"
cp "$work/src/libc/musl/COPYRIGHT" "$work/out/licenses/musl"
cp "$work/src/licenses/wasi-libc" "$work/src/licenses/llvm" "$work/out/licenses/"
find "$work/out" -name .done -delete
touch "$work/out/.complete"
rm -rf "$sysroot"
mv "$work/out" "$sysroot"
rm -rf "$work"
ln -sfn "$(basename "$sysroot")" "$cloudskin_deps/sysroot"
echo "sysroot: $sysroot"
