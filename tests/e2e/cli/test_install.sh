#!/usr/bin/env bash
# What is installed works by itself: the build tree and the sources are hidden from it where that is possible.
. "$E2E/../lib.sh"
build=$(dirname "$(dirname "$(command -v cloudskin)")")
root=$(cd "$E2E/../../.." && pwd)
sysroot=$("$root/sdk/sysroot/build.sh" --path)
prefix="$PWD/the prefix" # with a space, as folders may have
fact "make install PREFIX= is there" grep -qF -- '--install build/release --prefix "$(PREFIX)"' "$root/Makefile"
fact "it installs" cmake --install "$build" --prefix "$prefix"
for file in bin/cloudskin bin/cloudskin-aot bin/cloudskin-cc bin/cloudskin-c++ libexec/cloudskin/inspect \
    libexec/cloudskin/cache share/man/man1/cloudskin.1 share/man/man1/cloudskin-run.1 share/man/man1/cloudskin-aot.1 \
    share/man/man1/cloudskin-cc.1 share/man/man1/cloudskin-c++.1 share/bash-completion/completions/cloudskin \
    share/cloudskin/cloudskin.toolchain.cmake share/cloudskin/config.site bin/cloudskin-controller libexec/cloudskin/objects \
    libexec/cloudskin/up libexec/cloudskin/fsck lib/libcloudskin.so lib/libcloudskin.a include/cloudskin/geds.h \
    share/man/man1/cloudskin-put.1; do
    fact "$file is there" test -s "$prefix/$file"
done
fact "the Python package is there" test "$(ls "$prefix"/share/cloudskin/cloudskin-*.whl | wc -l)" = 1
cat >hello.cpp <<'END'
#include <iostream>
#include <stdexcept>
int main(int argc, char **) try { if (argc > 1) throw std::runtime_error("thrown"); std::cout << "hello\n"; }
catch (const std::exception &e) { std::cout << e.what() << "\n"; return 3; }
END
echo 'int puts(const char *); int main(void) { puts("hello"); return 3; }' >hello.c
cat >use.sh <<'END'
set -e
bin="$PWD/the prefix/bin"
export PATH=$bin:/usr/bin:/bin CLOUDSKIN_CACHE=$PWD/cache
cloudskin-cc -O2 hello.c -o c.wasm
cloudskin-c++ -O2 hello.cpp -o cpp.wasm
cloudskin run -O1 c.wasm || echo "exit code $?"
cloudskin run -O1 cpp.wasm throw || echo "exit code $?"
cloudskin-aot -O1 c.wasm -o c.cell
cloudskin run c.cell || echo "exit code $?"
cloudskin inspect c.cell | head -1
cloudskin cache ls --json | grep -c module
END
# A file system of its own over each folder: nothing in it is seen.
cat >hidden.sh <<'END'
for folder; do
    mount -t tmpfs none "$folder" || exit 99
done
exec bash use.sh
END
used() {
    local code=0
    unshare --mount --map-root-user bash hidden.sh "$build" "$root" "$sysroot" >used.txt 2>used.err || code=$?
    if [ "$code" -eq 99 ] || grep -q '^unshare' used.err; then # not allowed here
        code=0
        bash use.sh >used.txt 2>used.err || code=$?
    fi
    cat used.txt used.err
    [ "$code" -eq 0 ] && [ "$(sed 3,\$d used.txt)" = $'hello\nexit code 3' ] &&
        grep -q '^thrown$' used.txt && grep -q ': cell image' used.txt && [ "$(tail -1 used.txt)" = 2 ]
}
fact "it compiles, runs and inspects without the build tree" used
moved() { # the folder can be moved as a whole
    mv 'the prefix' 'it moved' && sed 's/the prefix/it moved/' use.sh >use2.sh && bash use2.sh >moved.txt 2>&1
    cat moved.txt
    [ "$(sed 3,\$d moved.txt)" = $'hello\nexit code 3' ]
}
fact "it can be moved" moved
finish
