#!/usr/bin/env bash
# Print the path of promtool: what is installed, else that of Debian's package prometheus, unpacked into the cache; the
# package is not installed, since that would start a server.
set -euo pipefail
command -v promtool && exit
folder=${XDG_CACHE_HOME:-$HOME/.cache}/cloudskin/peers/promtool
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
if [ ! -x "$folder/promtool" ]; then
    work=$(mktemp -d "$folder/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && timeout 300 apt-get download prometheus) >&2
    dpkg-deb -x "$work"/prometheus_*.deb "$work/unpacked"
    mv "$work/unpacked/usr/bin/promtool" "$folder/promtool"
fi
echo "$folder/promtool"
