#!/usr/bin/env bash
# Each option of `cloudskin run`, in all its forms; what test_run.sh checks already is not repeated.
. "$E2E/../lib.sh"
cloudskin-cc -O1 "$E2E/guest/show.c" -o show.wasm || exit 1
cloudskin cache add -O1 show.wasm || exit 1
show() { # show OPTIONS... -- ARGUMENTS...
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    cloudskin run -O1 "${options[@]}" show.wasm "$@"
}
mkdir -p data/sub other
echo text | tee data/file data/sub/file >/dev/null
echo other >other/file

# --dir and --cwd
fact "without a grant there are no files" prints $'/etc/passwd: No such file or directory\nfile: No such file or directory' \
    bash -c 'cloudskin run -O1 show.wasm read /etc/passwd file | sed "s/: .*/: No such file or directory/"'
fact "--dir HOST: the guest's name is HOST as written" prints "data/file: text" \
    show --dir data --cwd / -- read data/file
fact "and the program starts there" prints $'file: text\n/data/file: text' show --dir data -- read file /data/file
fact "--dir HOST, absolute" prints "$PWD/data/file: text" show --dir "$PWD/data" -- read "$PWD/data/file"
fact "--dir HOST:GUEST" prints "/d/file: text" show --dir data:/d -- read /d/file
fact "--dir=HOST:GUEST" prints "/d/file: text" show --dir=data:/d -- read /d/file
fact "--dir HOST:/ is all that the guest sees" prints "/sub/file: text" show --dir data:/ -- read /sub/file
fact "--dir .: files as they are named here" prints "data/file: text" show --dir . -- read data/file
fact "several grants" prints $'/a/file: text\n/b/file: other' show --dir data:/a --dir other:/b -- read /a/file /b/file
fact "a grant within another's name" prints $'/a/file: text\n/a/b/file: other' \
    show --dir data:/a --dir other:/a/b -- read /a/file /a/b/file
fact "a grant can be written" prints "/d/new: written" show --dir data:/d -- write /d/new
fact "and the file is there" test -f data/new
fact "--dir HOST:GUEST:ro cannot" prints "/d/file: Read-only file system" show --dir data:/d:ro -- write /d/file
fact "--dir HOST:ro cannot, under its own name" prints "file: Read-only file system" \
    show --dir data:ro -- write file
fact "but can be read" prints "file: text" show --dir data:ro -- read file
fact "a file is no folder to grant" bash -c '! cloudskin run -O1 --dir show.wasm show.wasm'
fact "and is named as one" says "folder to grant, show.wasm: Not a directory" cloudskin run -O1 --dir show.wasm show.wasm
fact "an empty working directory is bad usage" exits 64 show --dir data --cwd "" -- cwd
fact "one that is in no grant is as well" exits 64 show --dir data:/d --cwd /nope -- cwd
fact "and is named" says "working directory '/nope': in no granted folder" show --dir data:/d --cwd /nope -- cwd
fact "one that is not there is missing" exits 127 show --dir data:/d --cwd /d/nope -- cwd
fact "a file is none" exits 127 show --dir data:/d --cwd /d/file -- cwd
for twice in data:/d /d data:d/ data:/./d; do
    fact "two folders with one name are bad usage ($twice)" exits 64 show --dir other:/d --dir "$twice" -- cwd
done
fact "and both are named" says "'other' and 'data' would both be '/d' for the program" \
    show --dir other:/d --dir data:/d -- cwd
fact "names that only begin alike are two" prints $'/d/file: other\n/dd/file: text' \
    show --dir other:/d --dir data:/dd -- read /d/file /dd/file
fact "an empty grant is bad usage" exits 64 show --dir "" -- cwd
fact "an unknown mode is bad usage" exits 64 show --dir data:/d:rx -- cwd
fact "the working directory is the first grant" prints /b show --dir other:/b --dir data:/a -- cwd
fact "and names start there" prints "file: other" show --dir other:/b --dir data:/a -- read file
fact "--cwd sets it" prints /a/sub show --dir other:/b --dir data:/a --cwd /a/sub -- cwd
fact "and names start there too" prints "file: text" show --dir other:/b --dir data:/a --cwd /a -- read file

# --env
fact "nothing of the environment is inherited" prints "" env -i PATH="$PATH" HOME=/ A=1 CLOUDSKIN_CACHE="$CLOUDSKIN_CACHE" \
    cloudskin run -O1 show.wasm env
fact "but OMP_*, and --env" prints $'A=1\nB=two words\nC=\nOMP_PLACES=cores' env -i PATH="$PATH" A=1 D=4 OMP_PLACES=cores \
    CLOUDSKIN_CACHE="$CLOUDSKIN_CACHE" bash -c \
    'cloudskin run -O1 --env A --env "B=two words" --env C= --env missing show.wasm env | sort'
fact "--env overrules what is inherited" prints OMP_PLACES=x env OMP_PLACES=cores cloudskin run -O1 --env OMP_PLACES=x \
    show.wasm env
fact "a variable without a name is bad usage" exits 64 show --env =x -- env

# the program's own arguments
fact "what stands behind the program is its own" prints $'[show.wasm]\n[args]\n[--dir]\n[-O9]\n[]\n[--]' \
    show -- args --dir -O9 "" --
fact "-- ends the options" prints $'[show.wasm]\n[args]' cloudskin run -O1 -- show.wasm args
fact "10,000 arguments arrive" prints 10002 bash -c 'cloudskin run -O1 show.wasm args $(seq 10000) | wc -l'

# --cpu, --nan, -O
for level in x86-64-v2 x86-64-v3 x86-64-v4 aarch64; do
    if cloudskin run --cpu $level show.wasm args >/dev/null 2>levels.err; then
        fact "--cpu $level runs" prints $'[show.wasm]\n[args]' show --cpu $level -- args
    else
        fact "--cpu $level is refused with a reason" grep -q -- "--cpu $level: this machine cannot run it" levels.err
        fact "--cpu $level is bad usage" exits 64 show --cpu $level -- args
    fi
done
for nan in native canonical; do
    fact "--nan $nan" prints $'[show.wasm]\n[args]' show --nan $nan -- args
done
fact "--nan has two modes" exits 64 show --nan quiet -- args
for level in -O0 -O2 -O3; do
    fact "$level" prints $'[show.wasm]\n[args]' cloudskin run $level show.wasm args
done
fact "the last -O counts" prints $'[show.wasm]\n[args]' cloudskin run -O0 -O1 show.wasm args
for bad in -O4 -O -O11 -Os; do
    fact "$bad is bad usage" exits 64 cloudskin run $bad show.wasm
done

# limits
for option in --memory --stack --threads --open-files --cpu-seconds --output-bytes --timeout; do
    for value in 0 -1 x "" 1x 99999999999999999999999; do
        fact "$option '$value' is bad usage" exits 64 show $option "$value" -- args
    done
    fact "$option names itself" says "$option 'x'" show $option x -- args
    fact "$option needs a value" says "$option needs a value" cloudskin run $option
done
fact "--open-files counts what is open at the start" exits 64 show --open-files 4 --dir data --listen 127.0.0.1:0 -- args
fact "and says what the least is" says "--open-files 4: at least 5 are needed" \
    show --open-files 4 --dir data --listen 127.0.0.1:0 -- args
fact "so many will do" prints $'[show.wasm]\n[args]' show --open-files 4 --dir data -- args
fact "all limits at once do no harm" prints $'[show.wasm]\n[args]' show --memory 64M --stack 1M --threads 1 --open-files 8 \
    --cpu-seconds 10 --output-bytes 1K --timeout 1m -- args
fact "an abbreviated option is understood or named" bash -c \
    'cloudskin run --time 10 show.wasm >/dev/null 2>short.err || grep -q -- --time short.err'

# --listen
addresses() { # two sockets, one of IPv6 where the machine has it
    local second=127.0.0.1:0
    [ ! -e /proc/net/if_inet6 ] || ! grep -q '^0*1 ' /proc/net/if_inet6 || second='[::1]:0'
    cloudskin run -O1 --listen 127.0.0.1:0 --listen "$second" show.wasm args >/dev/null 2>listen.err &&
        [ "$(grep -c '^cloudskin: listening on .*:[1-9][0-9]*$' listen.err)" -eq 2 ]
}
fact "--listen may be repeated" addresses
for bad in 127.0.0.1 127.0.0.1:x 127.0.0.1:70000 :-1 '[::1' ''; do
    fact "--listen '$bad' is bad usage" exits 64 show --listen "$bad" -- args
    fact "and says where help is" says "Try 'cloudskin run --help'" show --listen "$bad" -- args
done
taken() {
    local pid port code=0
    cloudskin run -O1 --listen 127.0.0.1:0 --dir . show.wasm read fifo 2>first.err &
    pid=$!
    eventually grep -q 'listening on' first.err
    port=$(sed 's/.*://' first.err)
    cloudskin run -O1 --listen "127.0.0.1:$port" show.wasm args 2>second.err || code=$?
    kill "$pid"
    wait "$pid"
    [ "$code" -eq 71 ] && grep -qi 'in use' second.err
}
mkfifo fifo
fact "a port that is taken is named" taken
fact "a bad size of the cache is refused" exits 65 env CLOUDSKIN_CACHE_SIZE=junk cloudskin run show.wasm args
cp "$(command -v cloudskin)" lonely
fact "a verb that is not installed says so" says "not installed" ./lonely inspect show.wasm
fact "and exits with 127" exits 127 ./lonely cache ls
finish
