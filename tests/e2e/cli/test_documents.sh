#!/usr/bin/env bash
# Help, manual pages, completion and JSON say what the programs do.
. "$E2E/../lib.sh"
root=$E2E/../../..
. "$root/tools/completion/cloudskin.bash"
cloudskin-cc -O1 "$E2E/guest/show.c" -o show.wasm && cloudskin-aot -O1 show.wasm -o show.cell || exit 1

long_options() { # of a help text
    grep -oE -- '--[a-z][a-z-]+' | sort -u
}
cloudskin run --help >run.txt
cloudskin cache --help >cache.txt
cloudskin inspect --help >inspect.txt
cloudskin-aot --help >aot.txt
for verb in thaw freeze checkpoint ps up down keys ca token put get ls rm mv cp stat watch mb rb pin spill relocate tier fsck; do
    cloudskin $verb --help >$verb.txt
done
for name in run cache inspect aot thaw freeze checkpoint ps up down keys ca token put get ls rm mv cp stat watch mb rb pin spill relocate tier fsck; do
    fact "help of $name has examples" grep -q Example $name.txt
    page=cloudskin-$name
    sed 's/\\-/-/g' "$root/docs/man/$page.1" >page.txt
    for option in $(long_options <$name.txt); do
        [ "$option" = --help ] || fact "the manual page of $name has $option" grep -qF -- "$option" page.txt
    done
    for option in $(long_options <page.txt); do
        fact "the help of $name has $option" grep -qF -- "$option" $name.txt
    done
done
for option in --dir --cwd --env --listen --invoke --cpu --nan -O0 --memory --stack --threads --open-files --cpu-seconds \
    --output-bytes --timeout; do
    fact "the help of run has $option" grep -qF -- "$option" run.txt
done
for code in 64 65 71 75 127 130 134 143 152 153; do
    fact "the help of run has exit code $code" grep -qw $code run.txt
    fact "its manual page has exit code $code" grep -qw $code "$root/docs/man/cloudskin-run.1"
done
for page in cloudskin cloudskin-cc cloudskin-c++; do
    fact "there is a manual page of $page" test -s "$root/docs/man/$page.1"
done
fact "help is the same by all its names" bash -c \
    'cloudskin help run | diff - run.txt && cloudskin help thaw | diff - thaw.txt && cloudskin help cache | diff - cache.txt && cloudskin help | diff - <(cloudskin --help)'
for verb in run ps freeze thaw checkpoint inspect cache up down keys ca token put get ls rm mv cp stat watch mb rb pin spill relocate tier fsck; do
    fact "the overview has $verb" bash -c "cloudskin help | grep -qw $verb"
done
fact "the guest compilers have help" bash -c 'cloudskin-cc --help | grep -q sysroot'

complete_words() { # complete_words WORD...: what is offered for the last one
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _cloudskin
    printf '%s\n' "${COMPREPLY[@]}"
}
offered() { # offered TEXT WORD...
    local text=$1
    shift
    complete_words "$@" >offered.txt
    grep -qxF -- "$text" offered.txt
}
for option in $(long_options <run.txt) -O0 -O1 -O2 -O3; do
    case $option in --version) continue ;; esac
    fact "completion of run has $option" offered "$option" cloudskin run "$option"
done
fact "completion has the verbs" offered inspect cloudskin ins
fact "completion has levels" offered aarch64 cloudskin run --cpu a
fact "completion has modules" offered show.wasm cloudskin run sh

json() { # json EXPRESSION COMMAND...: is the output one JSON text, and this true of it?
    local expression=$1
    shift
    "$@" >out.json && python3 -c "import json; d = json.load(open('out.json')); assert $expression, d"
}
cloudskin cache add -O1 show.wasm
fact "inspect --json of an image" json 'd["kind"] == "image"' cloudskin inspect --json show.cell
fact "inspect --json of a module" json 'd["kind"] == "module"' cloudskin inspect --json show.wasm
fact "cloudskin-aot --json" json 'd["opt_level"] == 1' cloudskin-aot -O1 --json show.wasm -o json.cell
fact "cache ls --json" json 'len(d) == 1 and d[0]["opt"] == 1 and d[0]["bytes"] > 0 and d[0]["used_ns"] // 1000000 == round(d[0]["used"] * 1000)' cloudskin cache ls --json
fact "cache trim --json" json 'd["removed"] == 0' cloudskin cache trim --json
fact "one image is one image" eval 'cloudskin cache ls | grep -qE "^1 image, [0-9.]+ KiB of 2.0 GiB in "'
fact "cache clear --json" json 'd["removed"] == 1' cloudskin cache clear --json
fact "cache ls --json of nothing" json 'd == []' cloudskin cache ls --json
alike() {
    local verb
    for verb in ps inspect cache freeze; do
        says "Try 'cloudskin $verb --help'." cloudskin "$verb" --nonsense || return 1
    done
}
fact "usage errors are said alike" alike
name_of_all() { # a name that JSON has to escape
    cp show.wasm $'a "name"\\\t\xff.wasm'
    json 'd["opt_level"] == 0' cloudskin-aot -O0 --json $'a "name"\\\t\xff.wasm' -o all.cell
}
fact "names are escaped" name_of_all
finish
