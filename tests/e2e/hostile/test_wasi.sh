#!/usr/bin/env bash
# Guests that take more than they were given, through the system interface.
. "$E2E/host.sh"
cloudskin-cc -O1 -D_GNU_SOURCE -Wno-unused-result "$E2E/guest/greedy.c" -o greedy.wasm || exit 1
guests wasi_wild || exit 1
mkdir -p outside data/plain
echo secret >outside/file
echo file | tee data/file data/plain/file >/dev/null
ln -s loop data/loop
ln -s ../outside/file data/far

fact "paths lead nowhere but beneath the grant" returns "0 escaped" -O1 --dir data:/data greedy.wasm paths
fact "also without any grant" returns "0 escaped" -O1 greedy.wasm paths
fact "also with a read-only grant" returns "0 escaped" -O1 --dir data:/data:ro greedy.wasm paths
fact "nothing was made outside" prints "data outside" bash -c 'ls -d */ | tr -d "/" | xargs'

# The folder that the guest opens files in becomes a link to one outside, and back, all the time.
race() {
    local pid swaps=0
    ln -sfn plain data/swap
    ln -sfn "$PWD/outside" data/other
    within cloudskin run -O1 --dir data:/data greedy.wasm race >race.out &
    pid=$!
    while kill -0 "$pid" 2>/dev/null && [ "$swaps" -lt 20000 ]; do
        ln -sfn ../outside data/next && mv -T data/next data/swap
        ln -sfn plain data/next && mv -T data/next data/swap
        swaps=$((swaps + 1))
    done
    wait "$pid" || {
        cat race.out
        return 1
    }
}
fact "nor do they while the host changes links" race

fact "descriptors end, the program does not" returns "3 opened, then No file descriptors available, folder refused" \
    -O1 --open-files 7 --dir data:/data greedy.wasm descriptors
few() {
    (ulimit -n 40 && returns "$1" -O1 --dir data:/data greedy.wasm descriptors) || grep -q 'opened, then' answer.out
}
fact "also when the host has few itself" few "any number"
fact "reading without end is stopped" answers 143 "(--timeout)" -O1 --timeout 100ms --dir /dev:/dev greedy.wasm \
    endless /dev/zero
mkfifo data/pipe
fact "opening a pipe that nobody writes is stopped" answers 143 "(--timeout)" -O1 --timeout 100ms --dir data:/data \
    greedy.wasm endless /data/pipe
fact "output without end is stopped" answers 153 "output limit reached (--output-bytes)" -O1 --output-bytes 3000000 \
    greedy.wasm flood
fact "at the byte" prints 3000000 bash -c 'wc -c <answer.out'
fact "standard error counts as well" prints "153 100" bash -c \
    'cloudskin run -O1 --output-bytes 100 greedy.wasm flood error 2>flood.err; echo "$? $(tr -cd x <flood.err | wc -c)"'
fact "output without end is stopped by the clock" answers 143 "(--timeout)" -O1 --timeout 100ms greedy.wasm flood
rm -f answer.out
fact "a full disk is the guest's error" prints "3 No space left on device" bash -c \
    'text=$(cloudskin run -O1 greedy.wasm polite 2>&1 >/dev/full); echo "$? $text"'
fact "a reader that leaves ends the program as it does natively" prints 141 bash -c \
    'timeout 20 cloudskin run -O1 greedy.wasm flood | head -c 10 >/dev/null; echo ${PIPESTATUS[0]}'
fact "memory ends, the program does not" answers 0 "" -O1 --memory 64M greedy.wasm allocate

# Each seed is another order of calls; sockets, clocks and files outside of the grant are not there to be harmed.
wild() {
    local seed
    echo keep >outside/file
    for seed in 1 2 3 4 5 6; do
        rm -rf data && mkdir data && echo file >data/file
        returns 2 -O1 --timeout 10s --dir data:/data --listen 127.0.0.1:0 --invoke wild wasi_wild.wasm $seed || return 1
    done
    [ "$(cat outside/file)" = keep ]
}
fact "arguments that nobody means are answered with errors" wild
finish
