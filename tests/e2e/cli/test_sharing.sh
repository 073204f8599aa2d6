#!/usr/bin/env bash
# The cache while others use it, and after compiles that were killed.
. "$E2E/../lib.sh"
cloudskin-cc -O1 "$E2E/guest/show.c" -o show.wasm || exit 1
want=$'[show.wasm]\n[args]'
killed() { # run, and kill runner and compiler when the image is being written
    cloudskin cache clear >/dev/null
    setsid cloudskin run -O1 show.wasm args >/dev/null 2>&1 &
    local pid=$!
    eventually compgen -G "$CLOUDSKIN_CACHE/*.lock"
    kill -KILL -- "-$pid"
    wait "$pid" 2>/dev/null
    prints "$want" timeout 60 cloudskin run -O1 show.wasm args
}
for attempt in 1 2 3; do
    fact "killed while it compiles, the next run works ($attempt)" killed
done
fact "and what was left is removed" bash -c 'cloudskin cache trim >/dev/null; ! compgen -G "$CLOUDSKIN_CACHE/*.[lp]*"'

two() { # two first runs at the same time, from different folders
    local pids=() i
    cloudskin cache clear >/dev/null
    mkdir -p a b && cp show.wasm a/ && cp show.wasm b/
    for i in a b; do
        (cd $i && exec cloudskin run -O2 show.wasm args >out) &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || return 1
    done
    [ "$(cat a/out)" = "$want" ] && [ "$(cat b/out)" = "$want" ] &&
        [ "$(compgen -G "$CLOUDSKIN_CACHE/*.O2.*.cell" | wc -l)" -eq 1 ]
}
fact "two first runs of a module make one image" two
cleared() { # runs while others clear
    local i pid
    (for i in 1 2 3 4 5 6; do cloudskin cache clear >/dev/null; read -r -t 0.05 <> <(:) || true; done) &
    pid=$!
    for i in 1 2 3 4; do
        prints "$want" cloudskin run -O0 show.wasm args || return 1
    done
    wait "$pid"
}
fact "clearing while others run does no harm" cleared

limited() { # never more than one image stays; the one just made does
    local level
    for level in -O0 -O1 -O2; do
        CLOUDSKIN_CACHE_SIZE=1K prints "$want" cloudskin run $level show.wasm args || return 1
        [ "$(compgen -G "$CLOUDSKIN_CACHE/*.cell" | wc -l)" -eq 1 ] || return 1
    done
}
fact "the size limit is kept by each run" limited
fact "the cache folder is its owner's alone" prints 700 stat -c %a "$CLOUDSKIN_CACHE"
blocked() { # a folder where a file should be
    echo file >not-a-folder
    CLOUDSKIN_CACHE=$PWD/not-a-folder prints "$want" cloudskin run -O1 show.wasm args && [ "$(cat not-a-folder)" = file ]
}
fact "a file in the place of the cache is no obstacle, and stays" blocked
fact "XDG_CACHE_HOME is where the cache is by default" prints "$PWD/xdg/cloudskin/images" env -u CLOUDSKIN_CACHE \
    XDG_CACHE_HOME="$PWD/xdg" cloudskin cache dir
fact "else it is in HOME" prints "$PWD/home/.cache/cloudskin/images" env -u CLOUDSKIN_CACHE -u XDG_CACHE_HOME \
    HOME="$PWD/home" cloudskin cache dir
finish
