#!/usr/bin/env bash
# A database that is being written is gone back to an earlier checkpoint: it is whole, and ends as an undisturbed one.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime XDG_STATE_HOME=$PWD/state
export XDG_RUNTIME_DIR XDG_STATE_HOME
mkdir -m 700 runtime
programs=$("$E2E/../../sdk/programs/build.sh" --path)
[ -f "$programs/.complete" ] || {
    echo "the programs are not there: run tools/deps" >&2
    exit 1
}
cloudskin-aot -O0 --movable "$programs/wasm/sqlite3.wasm" -o sqlite3.cell || exit 1
{
    echo "create table t(a integer primary key, b text, c integer); create index i on t(c);"
    for ((k = 0; k < 150; k++)); do
        echo "begin;"
        echo "insert into t(b, c) with recursive n(x) as (select 1 union all select x + 1 from n where x < 300)
            select printf('row %d %d', $k, x), (x * 7919 + $k) % 1000 from n;"
        echo "update t set b = b || '.' where c % 17 = $((k % 17)); delete from t where c = $k;"
        echo "commit; select count(*), sum(length(b)) from t;"
    done
    echo "pragma integrity_check;"
} >work.sql

mkdir whole data
cloudskin run --output whole.out --dir whole:/data sqlite3.cell test.db <work.sql
fact "the undisturbed database is whole" [ "$(tail -n 1 whole.out)" = ok ]
cloudskin run --name sim --output data.out --dir data:/data sqlite3.cell test.db <work.sql 2>/dev/null &
pid=$!
has_lines() {
    [ "$(wc -l <data.out)" -ge "$1" ]
}
eventually has_lines 2
timeout -s INT 1.5 cloudskin checkpoint sim --every 100ms --keep 5 >points.out
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
number=$(tail -n 1 points.out)
number=${number%%:*}
cloudskin thaw --name sim --module sqlite3.cell --output data.out --dir data:/data <work.sql 2>/dev/null &
pid=$!
eventually has_lines "$(($(wc -l <data.out) + 2))"
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
fact "a database is gone back to an earlier checkpoint behind two crashes" exits 0 timeout 200 \
    cloudskin thaw --name sim --at $((number - 2)) --module sqlite3.cell --output data.out --dir data:/data <work.sql
fact "it is whole" [ "$(tail -n 1 data.out)" = ok ]
fact "its output is that of an undisturbed run" cmp data.out whole.out
fact "and its file" cmp data/test.db whole/test.db
finish
