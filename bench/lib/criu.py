"""Freeze and thaw against CRIU with a native twin of the same program, both to memory and back."""

import os
import subprocess
import tempfile
import time

from . import freeze, peers, stats, tools
from .tools import BenchError

SIZES_MIB = (1, 4, 1024)
SMALL_MIB = 4  # up to here it must be so much faster and smaller
SMALL_FASTER, SMALL_SMALLER = 5, 3
PATIENCE_S = 60


def _numbers(path):
    with open(path, "rb") as f:
        return [int(line) for line in f.read().split() if line.isdigit()]


def _until(path, what):
    """Wait until what(numbers in the file) is true; returns them."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        numbers = _numbers(path)
        if what(numbers):
            return numbers
        time.sleep(0.0005)
    raise BenchError("the native twin writes nothing")


def _bytes_in(folder):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def _criu(program, verb, folder, *options):
    tools.run([program, verb, "-D", folder, "-o", f"{verb}.log", *options])


def one_round(program, twin, mib, folder):
    """The same figures as freeze.one_round. CRIU leaves the process dead, as freeze does."""
    out, images = os.path.join(folder, "out"), os.path.join(folder, "images")
    os.makedirs(images)
    with open(out, "wb") as f:
        p = subprocess.Popen([twin, str(mib)], stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.DEVNULL,
                             start_new_session=True)
    try:
        _until(out, lambda numbers: len(numbers) > 1)
        started = time.monotonic_ns()
        _criu(program, "dump", images, "-t", str(p.pid))
        dumped = time.monotonic_ns()
        p.wait()
        before = _numbers(out)
        _criu(program, "restore", images, "-d")
        restored = time.monotonic_ns()
        after = _until(out, lambda numbers: len(numbers) >= len(before) + freeze.LINES_AFTER)
    finally:
        try:
            os.kill(p.pid, 9)  # the restored one has the same number
        except ProcessLookupError:
            pass
    size = _bytes_in(images)
    for name in os.listdir(images):
        os.unlink(os.path.join(images, name))
    os.rmdir(images)
    return {"pause_ns": freeze.longest_step(after[len(before) - 1:]), "dump_ns": dumped - started,
            "restore_ns": restored - dumped, "bytes": size}


def _measure(args, cell, twin, program, folder):
    cloudskin, rows = tools.program("cloudskin"), []
    env = dict(os.environ, XDG_RUNTIME_DIR=folder)
    for mib in SIZES_MIB:
        ours, theirs = [], []
        for number in range(args.pairs + 1):
            a = freeze.one_round(cloudskin, cell, mib, folder, env)
            b = one_round(program, twin, mib, folder)
            if number:  # the first is for the host's pages
                ours.append(a)
                theirs.append(b)
        rows.append({"mib": mib, "ours": ours, "theirs": theirs,
                     "pause_ns": stats.median([r["pause_ns"] for r in ours]), "bytes": ours[-1]["bytes"],
                     "criu_pause_ns": stats.median([r["pause_ns"] for r in theirs]),
                     "criu_bytes": theirs[-1]["bytes"]})
    return rows


def _bars(rows):
    bars = []
    for r in rows:
        faster, smaller = r["criu_pause_ns"] / r["pause_ns"], r["criu_bytes"] / r["bytes"]
        small = r["mib"] <= SMALL_MIB
        want_faster, want_smaller = (SMALL_FASTER, SMALL_SMALLER) if small else (1, 1)
        bars.append(stats.bar(f"{r['mib']} MiB: at least {want_faster}x as fast as CRIU", f"{faster:.1f}x",
                              faster >= want_faster))
        bars.append(stats.bar(f"{r['mib']} MiB: CRIU's images at least {want_smaller}x as large", f"{smaller:.2f}x",
                              smaller >= want_smaller))
    return bars


def row_criu(args):
    """A running program of some size is frozen to memory and goes on: as a cell, and its native twin by CRIU."""
    level = args.cpu or tools.cpu_level()
    if args.no_peers:
        raise BenchError("it is about another engine (--no-peers)")
    program = peers.criu()
    source = tools.BENCH / "guest" / "touched.c"
    wasm, cell, twin = tools.OUT / "touched.wasm", tools.OUT / "touched.cell", tools.OUT / "touched"
    tools.make(wasm, [tools.program("cloudskin-cc"), "-O2", "-o", wasm, source], [source])
    tools.make(cell, [tools.program("cloudskin-aot"), wasm, "-o", cell, "--cpu", level, "--movable"], [wasm])
    tools.make(twin, [tools.host_program("cc"), "-O2", "-o", twin, source], [source])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        rows = _measure(args, cell, twin, program, folder)
    print(stats.table(["MiB touched", "pause ms", "CRIU ms", "MiB in the file", "CRIU MiB"],
                      [[r["mib"], f"{r['pause_ns'] / 1e6:.1f}", f"{r['criu_pause_ns'] / 1e6:.1f}",
                        f"{r['bytes'] / 2**20:.2f}", f"{r['criu_bytes'] / 2**20:.2f}"] for r in rows]))
    return {"title": "Freeze and thaw against CRIU", "level": level, "pairs": args.pairs, "rows": rows,
            "criu": peers.CRIU_VERSION, "bars": _bars(rows)}
