#!/usr/bin/env bash
# Real programs, compiled unchanged, run as cells: same output and exit code as their native builds.
# ROWS: size of the database (820,000 make 100 MB). ENGINES: as in tests/integ/sdk.
. "$E2E/../lib.sh"
programs=$("$E2E/../../../sdk/programs/build.sh" --path)
[ -f "$programs/.complete" ] || {
    echo "the programs are not there: run tools/deps" >&2
    exit 1
}
engines=${ENGINES:-cell}
rows=${ROWS:-20000}
shopt -s nullglob

run_native() { # run_NAME PROGRAM ARGUMENT...
    local program=$1
    shift
    "$programs/native/$program" "$@"
}
run_cell() {
    local program=$1
    shift
    cloudskin run --dir .:/data "$programs/wasm/$program.wasm" "$@"
}
run_node() {
    local program=$1
    shift
    node --no-warnings --stack-size=4000 "$E2E/../../integ/sdk/node.mjs" . "$programs/wasm/$program.wasm" "$@"
}

# compare ENGINE INPUT PROGRAM ARGUMENT...: run natively and in the engine, each in its own folder
compare() {
    local engine=$1 input=$2 who code_native=0 code_engine=0
    shift 2
    (cd native && run_native "$@") <"$input" >native.out 2>native.err || code_native=$?
    (cd "$engine" && "run_$engine" "$@") <"$input" >"$engine.out" 2>"$engine.err" || code_engine=$?
    diff native.out "$engine.out" && diff native.err <(grep -v '^cloudskin: compiling' "$engine.err") &&
        [ "$code_native" -eq "$code_engine" ] || {
        echo "exit code $code_engine, natively $code_native"
        return 1
    }
}

awk 'BEGIN { for (i = 0; i < 3000; i++) printf "- id: %d\n  name: \"entry %d\"\n  tags: [a%d, b, {c: %d}]\n", i, i * 7, i % 9, i }' \
    >big.yaml
# Nested deeper than the parser allows: it throws through all its frames.
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "["; print "" }' >deep.yaml

sed "s/@ROWS@/$rows/" "$E2E/sql/build.sql" >build.sql
for engine in $engines; do
    rm -rf native "$engine" && mkdir native "$engine"
    fact "sqlite3 makes a database of $rows rows ($engine)" compare "$engine" build.sql sqlite3 test.db
    fact "and it is the same file" cmp native/test.db "$engine/test.db"
    fact "sqlite3 answers queries ($engine)" compare "$engine" "$E2E/sql/queries.sql" sqlite3 test.db
    echo "     database: $(wc -c <"$engine/test.db" 2>/dev/null) bytes"
    for script in "$E2E"/lua/*.lua; do
        cp "$script" native/ && cp "$script" "$engine/"
        fact "lua: $(basename "$script") ($engine)" compare "$engine" /dev/null lua "$(basename "$script")"
    done
    for text in "$E2E"/yaml/*.yaml big.yaml deep.yaml; do
        fact "yaml: $(basename "$text") ($engine)" compare "$engine" "$text" yaml
    done
done
finish
