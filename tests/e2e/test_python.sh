#!/usr/bin/env bash
# The Python package: the wheel in a new environment, its types, and its tests with the oldest fsspec and a new one.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_LIBRARY PYTHONPATH
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run PYTHONDONTWRITEBYTECODE=1
mkdir -m 700 run state
trap 'cloudskin down >/dev/null 2>&1' EXIT
root=$(cd "$E2E/../.." && pwd)
wheels=$(dirname "$(dirname "$(command -v cloudskin)")")/wheel
export INCLUDE=$root/src/client/include
new=$(python3 "$E2E/s3/clients.py" "$E2E/python/fsspec-new") && old=$(python3 "$E2E/s3/clients.py" "$E2E/python/fsspec-old") || {
    echo "fsspec cannot be installed"
    exit 1
}
# The library of a sanitizer has to be the first of a program.
sanitized() {
    if [ -n "${SANITIZED:-}" ]; then
        LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$@"
    else
        "$@"
    fi
}
tests() { # tests PYTHON FILES...
    local python=$1
    shift
    (cd "$E2E/python" && PYTHONPATH=$site sanitized timeout 500 "$python" -m pytest -q --no-header -p no:cacheprovider "$@") >pytest.log 2>&1
    local code=$?
    grep -E '^(ok|FAIL) ' pytest.log
    passed=$((passed + $(grep -c '^ok ' pytest.log)))
    failed=$((failed + $(grep -c '^FAIL ' pytest.log)))
    [ "$code" -eq 0 ] || sed 's/^/    /' pytest.log | tail -n 200
    fact "all of it ran: $*" test "$code" -eq 0
}
there_and_back() {
    sanitized plain/bin/python - <<'END'
import cloudskin
with cloudskin.connect() as store:
    store.create_bucket("wheel")
    store.put("wheel", "k", b"bytes")
    assert store.get("wheel", "k") == b"bytes"
try:
    import cloudskin.fs
except ImportError as e:
    assert "fsspec" in str(e)
else:
    raise SystemExit("fsspec is there")
END
}
same_again() {
    python3 -m zipfile -e "$1" again &&
        python3 "$root/sdk/python/wheel.py" 0.1.0 again/cloudskin/libcloudskin.so.0 again/wheel && cmp "$1" again/wheel/*.whl
}

fact "it is up" timeout 60 cloudskin up -d --s3 127.0.0.1:0
fact "there is one wheel" test "$(ls "$wheels"/*.whl | wc -l)" = 1
wheel=$(ls "$wheels"/*.whl)
fact "it names the system that it needs" bash -c "[[ '$wheel' == *-py3-none-manylinux_2_*_$(uname -m).whl ]]"
fact "it is the same when it is made again" same_again "$wheel"
fact "an environment is made" python3 -m venv plain
fact "the wheel is installed without a network" plain/bin/pip install --quiet --disable-pip-version-check --no-index "$wheel"
fact "an object goes there and back, without fsspec" there_and_back
fact "the verbs see it" prints bytes cloudskin get geds://wheel/k -
fact "a library that is not there is named" says "CLOUDSKIN_LIBRARY" env CLOUDSKIN_LIBRARY=/none plain/bin/python -c 'import cloudskin'
site=$PWD/site
plain/bin/pip install --quiet --disable-pip-version-check --no-index --target "$site" "$wheel"
fact "its types are complete" mypy --strict --cache-dir mypy --python-version 3.11 --ignore-missing-imports "$root/sdk/python/cloudskin"
fact "programs see them" env MYPYPATH="$site" mypy --strict --cache-dir mypy --python-version 3.11 --ignore-missing-imports "$E2E/python/typed.py"
tests "$new/python" test_abi.py test_store.py test_watch.py test_files.py test_fs.py test_abstract.py
tests "$old/python" test_fs.py
fact "nothing is left" prints geds://wheel cloudskin ls
finish
