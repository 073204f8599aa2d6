"""Where programs and results are, and how commands are run."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
BUILD = Path(os.environ.get("CLOUDSKIN_BUILD", ROOT / "build" / "release"))
OUT = ROOT / "build" / "bench"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cloudskin"

COMMAND_TIMEOUT_S = 900
REASON_MAX_CHARS = 300


class BenchError(Exception):
    """A measurement that cannot be made, with the reason."""


def program(name):
    """Path of one of the project's programs."""
    for path in (BUILD / "bin" / name, ROOT / "sdk" / name):
        if path.exists():
            return str(path)
    raise BenchError(f"{name} is not built (run make)")


def host_program(name):
    """Path of a program of the host."""
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"{name} is not installed")
    return path


def run(command, env=None, cwd=None):
    """Run to the end and return it; BenchError with the first line of its complaint when it fails."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env, cwd=cwd,
                              errors="replace", timeout=COMMAND_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{Path(str(command[0])).name}: no end within {COMMAND_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise BenchError(complaint(command, done.returncode, done.stderr or done.stdout))
    return done


def complaint(command, status, text):
    """Why a command failed: the first lines of what it says."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if line != "Caused by:"]
    reason = "; ".join(lines[:4]) if lines else f"exit status {status}"
    reason = reason.replace(f"{ROOT}/", "")
    return f"{Path(str(command[0])).name}: {reason[:REASON_MAX_CHARS]}"


def run_share(command):
    """Run to the end; (standard output, standard error, share of its time that it ran when it could have).

    The share is below 1 when others had the CPU. It is the first thread's; None without /proc/PID/schedstat."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        limit = threading.Timer(COMMAND_TIMEOUT_S, child.kill)
        limit.start()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        limit.cancel()
        try:
            ran, waited = map(int, Path(f"/proc/{child.pid}/schedstat").read_text().split()[:2])
        except OSError:
            ran = waited = 0
        child.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if child.returncode != 0:
        raise BenchError(complaint(command, child.returncode, texts[1] or texts[0]))
    return (*texts, ran / (ran + waited) if ran else None)


def stamp(command, inputs):
    """A key that changes with the command and with the content of its inputs."""
    key = hashlib.sha256("\0".join(str(c) for c in command).encode())
    for path in inputs:
        key.update(Path(path).read_bytes())
    return key.hexdigest()


def make(target, command, inputs):
    """Run command, which writes target, unless that was done before with the same inputs."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    tool = shutil.which(str(command[0])) or str(command[0])
    mark = target.with_name(target.name + ".stamp")
    key = stamp(command, [*inputs, os.path.realpath(tool)])
    if not target.exists() or not mark.exists() or mark.read_text() != key:
        run(command)
        mark.write_text(key)
    return str(target)


CPU_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "abm"}),
    ("x86-64-v2", {"sse4_1", "sse4_2", "ssse3", "popcnt", "cx16"}),
)


def cpu_level():
    """The best level that this machine runs, as cloudskin-aot names it."""
    if platform.machine() == "aarch64":
        return "aarch64"
    flags = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.split(":", 1)[1].split())
            break
    level = ""
    for name, needed in reversed(CPU_LEVELS):
        if not needed <= flags:
            break
        level = name
    if not level:
        raise BenchError("this CPU is below x86-64-v2")
    return level


def march(level):
    """Flags that make clang compile for a level."""
    return ["-march=armv8-a"] if level == "aarch64" else [f"-march={level}"]


def machine():
    """What the figures depend on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    clang = run([host_program("clang-19"), "--version"]).stdout.splitlines()[0]
    return {"cpu": model, "cpus": os.cpu_count(), "level": cpu_level(), "clang": clang,
            "kernel": ".".join(platform.release().split("-")[0].split(".")[:2])}


class Watch:
    """What else the machine did while a row was measured."""

    def __init__(self):
        self.begin = self._now()
        self.load = os.getloadavg()[0]
        self.time = time.monotonic()

    @staticmethod
    def _now():
        """Seconds of all CPUs since boot: busy, stolen by the hypervisor, all; and busy with this and its children."""
        fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        tick = os.sysconf("SC_CLK_TCK")
        idle = fields[3] + fields[4]
        t = os.times()
        own = t.user + t.system + t.children_user + t.children_system
        return (sum(fields) - idle) / tick, fields[7] / tick, sum(fields) / tick, own

    def result(self):
        busy, stolen, total, own = [b - a for a, b in zip(self.begin, self._now())]
        total = max(total, 0.01)
        return {"load_before": round(self.load, 2), "load_after": round(os.getloadavg()[0], 2),
                "others": round(max(0.0, busy - stolen - own) / total, 3), "stolen": round(stolen / total, 3),
                "minutes": round((time.monotonic() - self.time) / 60, 1)}


def save(name, result):
    """Write one row's result as build/bench/NAME.json."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({"row": name, "machine": machine(), **result}, indent=1) + "\n")
    return path
