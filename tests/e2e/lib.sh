# Sourced by the end-to-end tests: facts are checked one by one and counted.
passed=0
failed=0

# fact NAME COMMAND...: the command has to succeed.
fact() {
    local name=$1
    shift
    if "$@" >fact.log 2>&1; then
        echo "ok   $name"
        passed=$((passed + 1))
    else
        echo "FAIL $name"
        sed 's/^/    /' fact.log
        failed=$((failed + 1))
    fi
}

# exits CODE COMMAND...: does it exit with this code?
exits() {
    local want=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" -eq "$want" ] || {
        echo "exit code $got, not $want: $*"
        return 1
    }
}

# prints TEXT COMMAND...: is this its whole standard output (but for newlines at the end)?
prints() {
    local want=$1 got
    shift
    got=$("$@")
    [ "$got" = "$want" ] || {
        printf 'printed:\n%s\nnot:\n%s\n' "$got" "$want"
        return 1
    }
}

# says TEXT COMMAND...: is this part of what it writes to standard error?
says() {
    local want=$1 got
    shift
    got=$("$@" 2>&1 >/dev/null)
    [[ $got == *"$want"* ]] || {
        printf 'said:\n%s\nwithout:\n%s\n' "$got" "$want"
        return 1
    }
}

# Until the command succeeds, for at most 120 seconds, or PATIENCE seconds.
eventually() {
    local end=$((SECONDS + ${PATIENCE:-120}))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        read -r -t 0.05 <> <(:) || true
    done
}

# producer | finds [OPTIONS] PATTERN: has it a line that grep finds? Unlike grep -q it reads all that comes: a producer that
# is ended by SIGPIPE would fail the pipe under pipefail, whatever was found.
finds() {
    [ "$(grep -c "$@")" -gt 0 ]
}
export -f finds

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

# A port that nobody listens at. Not one that the kernel gives connections: it stays free for what is started anew.
free_port() {
    python3 -c 'import random, socket
while True:
    port = random.randrange(10000, 30000)
    try:
        socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break'
}
