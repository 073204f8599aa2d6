# Sourced by the tests of hostile guests: whatever the guest does, the host answers in time, with a reason on standard
# error and the exit code that the manual names.
. "$E2E/../lib.sh"
patience=${SANITIZED:+120} # seconds that any one guest may take; a host that hangs fails the test
patience=${patience:-30}

# guests NAME...: write these modules
guests() {
    PYTHONDONTWRITEBYTECODE=1 python3 "$E2E/modules.py" "$@"
}

# within COMMAND...: killed when it takes too long
within() {
    timeout -s KILL "$patience" "$@"
}

# answers CODE TEXT ARGUMENTS...: does `cloudskin run ARGUMENTS` exit so, and say so?
answers() {
    local want=$1 text=$2 code=0
    shift 2
    within cloudskin run "$@" </dev/null >answer.out 2>answer.err || code=$?
    head -c 2000 answer.err
    [ "$code" -eq "$want" ] || {
        echo "exit code $code, not $want: cloudskin run $*"
        return 1
    }
    # the reason is there, and no more than a screen of it
    [[ $(<answer.err) == *"$text"* ]] && [ "$(wc -c <answer.err)" -lt 8000 ] || {
        echo "without: $text"
        return 1
    }
}

# returns TEXT ARGUMENTS...: does it end well, having printed this?
returns() {
    local want=$1
    shift
    answers 0 "" "$@" && [ "$(<answer.out)" = "$want" ] || {
        echo "printed: $(head -c 200 answer.out)"
        return 1
    }
}

# signalled CODE SIGNAL ARGUMENTS...: the signal ends it so, once it has used CPU time
signalled() {
    local want=$1 signal=$2 pid code=0
    shift 2
    env --default-signal=INT cloudskin run "$@" </dev/null 2>answer.err &
    pid=$!
    eventually used_time "$pid"
    kill -"$signal" "$pid"
    (exec 2>/dev/null; eventually gone "$pid" || kill -KILL "$pid")
    wait "$pid" || code=$?
    [ "$code" -eq "$want" ] || {
        echo "exit code $code, not $want: cloudskin run $*"
        return 1
    }
}
used_time() {
    [ "$(awk '{ print $14 + $15 }' "/proc/$1/stat")" -gt 5 ]
}
gone() {
    [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}
