#!/bin/sh
# build.sh           fetch and build the real programs, natively and for cells, unless that is done
# build.sh --path    print the folder that has or will have native/ and wasm/ with sqlite3, lua and yaml
# The sources are compiled unchanged, with their own makefiles; both builds use clang 19 and the same flags.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sdk=$(dirname "$here")
# shellcheck source=../fetch.sh
. "$sdk/fetch.sh"
# shellcheck source=pins
. "$here/pins"

sysroot=$("$sdk/sysroot/build.sh" --path)
sysroot=$(readlink -f "$sysroot")
key=$({ cat "$here/pins" "$here/build.sh" "$sdk/cloudskin-cc" "$sdk/config.site" "$sdk/cloudskin.toolchain.cmake"; basename "$sysroot"; } | sha256sum | cut -c1-16)
programs=$cloudskin_deps/programs-$key
if [ "${1:-}" = --path ]; then
    echo "$programs"
    exit
fi
[ -f "$programs/.complete" ] && exit 0
for tool in clang-19 clang++-19 llvm-ar-19 make cmake tclsh xz flock; do
    command -v $tool >/dev/null || {
        echo "programs: $tool is missing" >&2
        exit 1
    }
done
exec 9>"$cloudskin_deps/programs.lock"
flock 9
[ -f "$programs/.complete" ] && exit 0

fetch_debian bookworm sqlite3 "$sqlite_file" "$sqlite_sha256"
fetch_debian bookworm lua5.4 "$lua_file" "$lua_sha256"
fetch_debian bookworm yaml-cpp "$yaml_file" "$yaml_sha256"

echo "programs: building sqlite3, lua and yaml-cpp, natively and for cells (some minutes, once)"
work=$programs.work
rm -rf "$work"
mkdir -p "$work/out/native" "$work/out/wasm"
flags="-O2 -ffp-contract=off"

unpack() { # unpack FILE DIRECTORY
    mkdir -p "$2"
    tar -xf "$cloudskin_downloads/$1" --strip-components=1 -C "$2"
}

quietly() {
    "$@" >"$work/log" 2>&1 || {
        tail -n 40 "$work/log" >&2
        echo "programs: failed: $*" >&2
        exit 1
    }
}

# By ./configure && make of the source tree, which makes and uses programs of the host on the way.
build_sqlite() {
    for kind in native wasm; do
        unpack "$sqlite_file" "$work/sqlite-$kind"
    done
    cd "$work/sqlite-native"
    quietly ./configure --disable-tcl --disable-readline --disable-shared CC=clang-19 CFLAGS="$flags"
    quietly make -j"$(nproc)" sqlite3
    cd "$work/sqlite-wasm"
    quietly env CONFIG_SITE="$sdk/config.site" ./configure --host=wasm32-wasi --disable-tcl --disable-readline \
        --disable-shared CC="$sdk/cloudskin-cc" CFLAGS="$flags"
    quietly make -j"$(nproc)" sqlite3
    cp "$work/sqlite-native/sqlite3" "$work/out/native/sqlite3"
    cp "$work/sqlite-wasm/sqlite3" "$work/out/wasm/sqlite3.wasm"
}

build_lua() {
    unpack "$lua_file" "$work/lua-native"
    unpack "$lua_file" "$work/lua-wasm"
    quietly make -C "$work/lua-native/src" posix CC="clang-19 -std=gnu99" MYCFLAGS="$flags" AR="llvm-ar-19 rcu" \
        RANLIB=llvm-ranlib-19
    quietly make -C "$work/lua-wasm/src" posix CC="$sdk/cloudskin-cc -std=gnu99" MYCFLAGS="$flags" \
        AR="llvm-ar-19 rcu" RANLIB=llvm-ranlib-19
    cp "$work/lua-native/src/lua" "$work/out/native/lua"
    cp "$work/lua-wasm/src/lua" "$work/out/wasm/lua.wasm"
}

build_yaml() {
    unpack "$yaml_file" "$work/yaml"
    for kind in native wasm; do
        if [ $kind = native ]; then
            set -- -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19
        else
            set -- -DCMAKE_TOOLCHAIN_FILE="$sdk/cloudskin.toolchain.cmake"
        fi
        quietly cmake -S "$work/yaml" -B "$work/yaml-$kind" "$@" -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_CXX_FLAGS_RELEASE="$flags" -DYAML_CPP_BUILD_TESTS=OFF
        quietly cmake --build "$work/yaml-$kind" -j "$(nproc)" --target yaml-cpp-parse
    done
    cp "$work/yaml-native/util/parse" "$work/out/native/yaml"
    cp "$work/yaml-wasm/util/parse.wasm" "$work/out/wasm/yaml.wasm"
}

(build_sqlite)
(build_lua)
(build_yaml)
for file in "$work/out/wasm"/*.wasm; do
    echo "programs: $(basename "$file"): $(wc -c <"$file") bytes of wasm"
done
touch "$work/out/.complete"
rm -rf "$programs"
mv "$work/out" "$programs"
rm -rf "$work"
