#!/usr/bin/env bash
# The image cache as `cloudskin run` and `cloudskin cache` use it.
. "$E2E/lib.sh"

clang-19 --target=wasm32 -O2 -nostdlib -Wl,--export=_start "$E2E/guest/small.c" -o small.wasm || exit 1
run() {
    cloudskin run --invoke add "$@" small.wasm 2 40
}
has() { # has OPT: is there an image with this optimisation?
    compgen -G "$CLOUDSKIN_CACHE/*.$1.*.cell" >/dev/null
}
images() {
    compgen -G "$CLOUDSKIN_CACHE/*.cell" | wc -l
}

fact "the first run compiles and runs" prints 42 run
fact "its image is the quick one" has O1
fact "the better one follows in the background" eventually has O3
fact "no lock and no part stay behind" eventually bash -c '! compgen -G "$CLOUDSKIN_CACHE/*.[lp]*"'
fact "the second run uses it" prints 42 run
fact "-O2 compiles exactly that" prints 42 run -O2
fact "it is there afterwards" has O2
fact "--nan canonical is an image of its own" prints 42 run -O1 --nan canonical
fact "four images are listed" prints 4 bash -c 'cloudskin cache ls --json | grep -c module'

printf x >>"$(compgen -G "$CLOUDSKIN_CACHE/*.native.O3.*.cell")"
truncate -s 5000 "$(compgen -G "$CLOUDSKIN_CACHE/*.native.O3.*.cell")"
fact "a damaged image is made anew" prints 42 run -O3

fact "with a header" eval 'cloudskin cache ls | head -n 1 | grep -q "^MODULE .* PROGRAM$"'
fact "and the place of each module" eval '[ "$(cloudskin cache ls | grep -c " $PWD/small.wasm$")" -eq 4 ]'
fact "in JSON too" eval 'cloudskin cache ls --json | grep -q "\"program\": \"$PWD/small.wasm\""'
fact "clear removes all" exits 0 cloudskin cache clear
fact "none is left" prints 0 images
many() {
    local pids=() i
    for i in 1 2 3 4 5 6; do
        run -O1 >"out.$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || return 1
    done
    [ "$(cat out.? | sort -u)" = 42 ]
}
fact "concurrent first runs all succeed" many
fact "and made one image" prints 1 images

export CLOUDSKIN_CACHE_SIZE=1
fact "a run over the size limit works" prints 42 run -O2
fact "only the new image stays" prints 1 images
fact "and it is the new one" has O2
unset CLOUDSKIN_CACHE_SIZE

fact "a folder that cannot be made is no obstacle" prints 42 env CLOUDSKIN_CACHE=/dev/null/x cloudskin run \
    --invoke add small.wasm 2 40
# A full disk is found out when the image is there.
mkdir -p counted/bin
cp "$(command -v cloudskin)" counted/bin/
cat >counted/bin/cloudskin-aot <<S
#!/usr/bin/env bash
[ "\$1" = --version ] || echo >>"$PWD/counted/compiles"
exec "$(command -v cloudskin-aot)" "\$@"
S
chmod +x counted/bin/cloudskin-aot
counted() {
    CLOUDSKIN_CACHE=$PWD/counted/cache counted/bin/cloudskin run -O1 --invoke add small.wasm 2 40
}
no_room() { # for this image
    local image
    counted && image=$(compgen -G "counted/cache/*.cell") && rm "$image" counted/compiles &&
        ln -s /dev/full "${image%.cell}.part" && counted 2>counted.err | grep -qx 42
}
fact "a disk that turns out to be full is no obstacle" no_room
fact "it is said" grep -q "the image is not kept: .*No space left" counted.err
fact "nothing is compiled twice" prints 1 eval 'wc -l <counted/compiles'
fact "with room for it it is kept again" eval 'counted && [ -n "$(compgen -G "counted/cache/*.cell")" ]'
mkdir full
if unshare --mount --map-root-user mount -t tmpfs none full 2>/dev/null; then
    fact "a full one is none" eval '
        unshare --mount --map-root-user bash -c "mount -t tmpfs -o size=64k none full &&
            CLOUDSKIN_CACHE=\$PWD/full cloudskin run --invoke add small.wasm 2 40" 2>full.err | grep -qx 42'
    fact "which is said" grep -q "the image is not kept: .*No space left" full.err
fi
fact "nor is a missing HOME" prints 42 env -u CLOUDSKIN_CACHE -u HOME -u XDG_CACHE_HOME cloudskin run \
    --invoke add small.wasm 2 40
fact "a bad size limit is named" says "CLOUDSKIN_CACHE_SIZE" env CLOUDSKIN_CACHE_SIZE=x cloudskin run small.wasm

fact "add compiles ahead of the first run" exits 0 cloudskin cache add -O3 small.wasm
fact "and the image is there" has O3
fact "trim to a size" exits 0 cloudskin cache trim 1K
fact "nothing is left" prints 0 images
fact "an unknown command is bad usage" exits 64 cloudskin cache frob
for suffix in cell part lock; do
    cloudskin cache clear >/dev/null
    run -O1 >/dev/null
    image=$(compgen -G "$CLOUDSKIN_CACHE/*.O1.*.cell")
    rm "$image"
    mkdir -p "${image%.cell}.$suffix/full"
    fact "a folder with the name of a file of the cache ($suffix) is no obstacle" prints 42 run -O1
    fact "it stays" test -d "${image%.cell}.$suffix/full"
    rm -r "${image%.cell}.$suffix"
done
cloudskin cache clear >/dev/null
run -O1 >/dev/null
chmod 0 "$CLOUDSKIN_CACHE"/*.cell
fact "an image that may not be read is none" prints 42 setpriv --bounding-set=-dac_override,-dac_read_search \
    cloudskin run --invoke add -O1 small.wasm 2 40
cloudskin cache clear >/dev/null
fact "dir names the folder" prints "$CLOUDSKIN_CACHE" cloudskin cache dir
# A compiler of our own in PATH, beside a runner that has none.
mkdir -p elsewhere/bin elsewhere/libexec/cloudskin fake
bin=$(dirname "$(command -v cloudskin)")
cp "$bin/cloudskin" elsewhere/bin/
cp "$bin/../libexec/cloudskin/cache" elsewhere/libexec/cloudskin/
fake() { # fake BODY: what the compiler does
    printf '#!/bin/bash\nif [ "$1" = --version ]; then\n    echo "fake 1"\n    exit\nfi\n%s\n' "$1" \
        >fake/cloudskin-aot
    chmod +x fake/cloudskin-aot
}
elsewhere() {
    PATH="$PWD/fake:/usr/bin:/bin" elsewhere/bin/cloudskin run "$@" --invoke add small.wasm 2 40
}
fact "without a compiler and without an image the compiler is named" says "cloudskin-aot: no such program" \
    elsewhere
fact "that is exit code 127" exits 127 elsewhere
fact "an image of another compiler will do then" exits 0 run -O1
fact "and is found" prints 42 elsewhere
fact "clear again" exits 0 cloudskin cache clear
fake "echo '1 2' >&3; read -r -t 1.3 <> <(:); exec '$bin/cloudskin-aot' \"\$@\""
fact "a compile of more than a second is reported" says "compiling small.wasm" elsewhere -O2
mkfifo endless.wasm
fake "echo \$\$ >compiler; exec '$bin/cloudskin-aot' endless.wasm -o endless.cell --progress-fd 3"
PATH="$PWD/fake:/usr/bin:/bin" elsewhere/bin/cloudskin run -O3 small.wasm &
runner=$!
eventually test -s compiler
compiler=$(cat compiler)
fact "while it compiles there is a compiler" kill -0 "$compiler"
kill -9 "$runner"
fact "a compiler whose runner is killed ends as well" eventually eval "! kill -0 $compiler"
fake 'kill -9 $$'
fact "a compiler that crashes is reported" says "failed with exit code 137" elsewhere -O1
fact "and is no refusal of the module" exits 71 elsewhere -O1
fake 'echo "small.wasm: no" >&2; exit 65'
fact "a refusal is passed on once" prints "small.wasm: no" bash -c "$(declare -f elsewhere); elsewhere -O1 2>&1"
fact "a refusal has its exit code" exits 65 elsewhere -O1
fact "clear once more" exits 0 cloudskin cache clear
fake "case \"\$*\" in *-O3*) exit 71 ;; esac; exec '$bin/cloudskin-aot' \"\$@\""
fact "a program runs though its best image finds no space" prints 42 elsewhere
fact "which is noted" eventually eval 'compgen -G "$CLOUDSKIN_CACHE/*.O3.*.failed" >/dev/null'
fake "exec '$bin/cloudskin-aot' \"\$@\""
touch -d '2 minutes ago' "$CLOUDSKIN_CACHE"/*.failed
fact "two minutes later it runs" prints 42 elsewhere
fact "and the image is made" eventually eval '[ -n "$(compgen -G "$CLOUDSKIN_CACHE/*.O3.*.cell")" ]'
finish
