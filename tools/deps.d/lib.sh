# Sourced by the steps of tools/deps; not a step.

deps_say() {
    echo "deps: $*"
}

# Run a command as root: directly, or through sudo without asking for a password.
deps_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo "$@"
    else
        deps_say "this needs root: run it yourself and start again:"
        echo "    $*"
        return 1
    fi
}

# Print those of the given Debian packages that are not installed.
deps_missing() {
    local package
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) echo "$package" ;;
        esac
    done
}

# Install the given Debian packages unless they are there.
deps_packages() {
    local missing
    # one question for all of them, since this runs before every make
    if [ "$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed)" -eq $# ]; then
        return 0
    fi
    mapfile -t missing < <(deps_missing "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    deps_say "installing ${missing[*]}"
    if ! deps_apt_install "${missing[@]}" >/dev/null 2>&1; then
        deps_as_root apt-get update -qq
        deps_apt_install "${missing[@]}"
    fi
}

deps_apt_install() {
    deps_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
