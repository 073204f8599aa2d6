#!/usr/bin/env bash
# Snapshots that were made once, by tests/golden/make, are good for ever: each goes on with images that this compiler
# makes of its program, and writes what it would have written then.
. "$E2E/lib.sh"
golden=$E2E/../golden
mkdir folder
touch folder/{alpha,beta,gamma,delta,epsilon}
for opt in -O0 -O1 -O3; do
    cloudskin-aot --movable $opt "$golden/golden.wasm" -o golden$opt.cell || exit 1
done

goes_on() { # goes_on SNAPSHOT OPTIONS...
    local snapshot=$1 code=0
    shift
    echo hello | cloudskin thaw --dir folder:. "$@" "$golden/$snapshot.snap" >out || code=$?
    [ "$code" -eq 9 ] && cmp out "$golden/$snapshot.expected"
}

snapshots=(recursion vectors exceptions tables half_read_folder pending_read embedded compressed version_1 wasi_2)
for snapshot in "${snapshots[@]}"; do
    for opt in -O0 -O1 -O3; do
        fact "$snapshot goes on at $opt" goes_on "$snapshot" --module golden$opt.cell
    done
    fact "$snapshot has a call stack" eval 'cloudskin inspect "$golden/$snapshot.snap" | grep -q "^  #0 "'
done
fact "the embedded module is compiled" goes_on embedded
CLOUDSKIN_CACHE=$PWD/other
export CLOUDSKIN_CACHE
fact "another one is asked for" exits 127 cloudskin thaw --dir folder:. "$golden/recursion.snap"
fact "no golden snapshot is left out" test "${#snapshots[@]}" -eq "$(find "$golden" -name '*.snap' | wc -l)"
finish
