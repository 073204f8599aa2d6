#!/usr/bin/env bash
# Frozen with open files, thawed on copies of them in another folder, with other inode numbers: the program goes on as
# if nothing had happened.
. "$E2E/lib.sh"
XDG_RUNTIME_DIR=$PWD/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 runtime

make_folder() {
    mkdir -p "$1/many"
    echo 0123456789 >"$1/data"
    ln "$1/data" "$1/link"
    for ((i = 0; i < 300; i++)); do
        echo >"$1/many/entry-$i"
    done
}
move() { # move FROM TO: other files with the same content, times and links; and whatever had their names is gone
    mkdir "$2"
    cp -a "$1/." "$2"
    rm -r "$1"
}
has_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}

cloudskin-cc -O1 "$E2E/guest/belongings.c" -o belongings.wasm || exit 1
cloudskin-aot -O1 --movable belongings.wasm -o belongings.cell || exit 1
make_folder whole
printf 'go\non\nrest' | cloudskin run --dir whole:/ belongings.cell >whole.out
fact "the program itself ends with 4" [ "${PIPESTATUS[1]}" -eq 4 ]
fact "and has no complaints" eval '! grep -E "inode number| 0$" whole.out | grep -v waiting'

# Standard input is one pipe for all three: what nobody has read is there for who reads on.
mkfifo input
exec 9<>input
make_folder a
: >moved.out
cloudskin run --name files --dir a:/ belongings.cell <&9 >>moved.out 2>>moved.err &
pid=$!
eventually grep -q waiting moved.out
fact "it is frozen with open files" cloudskin freeze files -o first.snap
fact "and ends with 75" exits 75 wait "$pid"
move a b
printf 'go\n' >&9
cloudskin thaw --name files --module belongings.cell --dir b:/ first.snap <&9 >>moved.out 2>>moved.err &
pid=$!
waits_twice() {
    [ "$(grep -c waiting moved.out)" -eq 2 ]
}
eventually waits_twice
fact "on a copy it is frozen again" cloudskin freeze files -o second.snap
fact "and ends with 75 again" exits 75 wait "$pid"
move b c
printf 'on\nrest' >&9
code=0
timeout 60 cloudskin thaw --module belongings.cell --dir c:/ second.snap <&9 >>moved.out 2>>moved.err || code=$?
fact "on a copy of the copy it ends with its own exit code" [ "$code" -eq 4 ]
fact "its output is that of an undisturbed run" cmp moved.out whole.out
fact "what it appended is there once" cmp c/log whole/log
fact "also where it reads" cmp c/both whole/both
exec 9>&-

# Input that came before the freeze and was not read.
cloudskin-cc -O1 "$E2E/guest/waits.c" -o waits.wasm || exit 1
cloudskin-aot -O1 --movable waits.wasm -o waits.cell || exit 1
mkfifo early
exec 9<>early
echo one >&9
echo two >&9
: >waits.out
cloudskin run --name waits waits.cell <&9 >>waits.out 2>>waits.err &
pid=$!
eventually has_lines waits.out 1
fact "a program that has not read its input yet is frozen" cloudskin freeze waits -o waits.snap
fact "and ends with 75" exits 75 wait "$pid"
cloudskin thaw --name waits --module waits.cell waits.snap <&9 >>waits.out 2>>waits.err &
pid=$!
eventually has_lines waits.out 4
fact "so it is when it has read it" cloudskin freeze waits -o waits.2.snap
fact "and ends with 75 again" exits 75 wait "$pid"
exec 9>&-
code=0
cloudskin thaw --module waits.cell waits.2.snap < <(echo three) >>waits.out 2>>waits.err || code=$?
fact "it ends with its own exit code" [ "$code" -eq 5 ]
fact "each line came once" cmp waits.out - <<<$'sleeping\nslept right\ngot one\ngot two\ngot three\nend'

# A database in the middle of a transaction.
programs=$("$E2E/../../sdk/programs/build.sh" --path)
[ -f "$programs/.complete" ] || {
    echo "the programs are not there: run tools/deps" >&2
    exit 1
}
cloudskin-aot -O0 --movable "$programs/wasm/sqlite3.wasm" -o sqlite3.cell || exit 1
cat >begin.sql <<'S'
create table t(a integer primary key, b text);
insert into t(b) values('one'), ('two');
begin;
insert into t(b) with recursive n(x) as (select 1 union all select x + 1 from n where x < 2000) select printf('row %d', x) from n;
update t set b = b || '.' where a % 3 = 0;
select count(*), sum(length(b)) from t;
S
cat >middle.sql <<'S'
delete from t where a % 5 = 0;
select count(*), sum(length(b)) from t;
S
cat >end.sql <<'S'
insert into t(b) values('late');
commit;
vacuum;
pragma integrity_check;
select count(*), max(a), sum(length(b)) from t;
S
mkdir sql.whole sql.a
cat begin.sql middle.sql end.sql | cloudskin run --dir sql.whole:/data sqlite3.cell test.db >sql.whole.out
fact "the undisturbed database is whole" grep -qx ok sql.whole.out
mkfifo script
exec 9<>script
: >sql.out
cloudskin run --name sql --dir sql.a:/data sqlite3.cell test.db <&9 >>sql.out 2>>sql.err &
pid=$!
cat begin.sql >&9
eventually has_lines sql.out 1
fact "sqlite3 is frozen in a transaction" cloudskin freeze sql -o sql.1.snap
fact "and ends with 75" exits 75 wait "$pid"
fact "its journal is there" test -s sql.a/test.db-journal
move sql.a sql.b
cloudskin thaw --name sql --module sqlite3.cell --dir sql.b:/data sql.1.snap <&9 >>sql.out 2>>sql.err &
pid=$!
cat middle.sql >&9
eventually has_lines sql.out 2
fact "and once more on a copy" cloudskin freeze sql -o sql.2.snap
fact "and ends with 75 again" exits 75 wait "$pid"
exec 9>&-
move sql.b sql.c
fact "on a copy of the copy it ends well" eval 'cloudskin thaw --module sqlite3.cell --dir sql.c:/data sql.2.snap <end.sql >>sql.out 2>>sql.err'
fact "with the output of an undisturbed run" cmp sql.out sql.whole.out
fact "and its database" cmp sql.c/test.db sql.whole/test.db
fact "which no journal is left of" test ! -e sql.c/test.db-journal
# What the C library keeps of descriptors: copies, a pipe of the program's own, standard output elsewhere.
cloudskin-cc -O1 "$E2E/guest/copies.c" -o copies.wasm || exit 1
cloudskin-aot -O1 --movable copies.wasm -o copies.cell || exit 1
mkdir before
cat >copies.want <<'END'
waiting
1 1,the pipe, 38
end 0
END
printf 'before, after a line\nthrough the copy\n' >log.want
mkfifo line
exec 9<>line
: >copies.out
cloudskin run --name copies --dir before:/ copies.cell <&9 >>copies.out 2>>copies.err &
pid=$!
eventually has_lines copies.out 1
fact "a program with copies of descriptors and a pipe is frozen" cloudskin freeze copies -o copies.snap
fact "and ends with 75" exits 75 wait "$pid"
move before later
echo a line >&9
code=0
timeout 60 cloudskin thaw --module copies.cell --dir later:/ copies.snap <&9 >>copies.out 2>>copies.err || code=$?
fact "thawed it ends with its own exit code" [ "$code" -eq 3 ]
fact "the pipe has what was in it" diff copies.want copies.out
fact "and copies stand for one file" diff log.want later/log
exec 9>&-

finish
