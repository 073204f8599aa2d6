"""Freezing a running cell and going on in another process."""

import os
import subprocess
import tempfile
import time

from . import stats, tools
from .tools import BenchError

SIZES_MIB = (1, 64, 1024)
BARS_MS = {1: 1, 64: 25, 1024: 400}


def wait_for(stream, what):
    for line in stream:
        if what(line):
            return line
    raise BenchError("the program ended too early")


def begin(cloudskin, cell, mib, env):
    p = subprocess.Popen([cloudskin, "run", "--name", "bench", cell, str(mib)], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, env=env)
    wait_for(p.stdout, lambda line: line == b"touched\n")
    wait_for(p.stdout, lambda line: line.strip().isdigit())
    return p


def one_round(cloudskin, cell, mib, folder, env):
    """Nanoseconds from the last line that the program wrote before it was frozen until the first one after it was
    thawed is read, of which the freeze, and bytes. The thawed program may say a time that it read before it was frozen, so the
    end is measured here. Both sides use the machine's real-time clock."""
    snap = os.path.join(folder, "bench.snap")
    p = begin(cloudskin, cell, mib, env)
    started = time.monotonic_ns()
    done = subprocess.run([cloudskin, "freeze", "bench", "-o", snap], capture_output=True, env=env, check=False)
    frozen = time.monotonic_ns()
    if done.returncode != 0:
        raise BenchError(f"freeze failed: {done.stderr.decode()}")
    thaw = subprocess.Popen([cloudskin, "thaw", "--module", cell, snap], stdout=subprocess.PIPE, env=env)
    try:
        wait_for(thaw.stdout, lambda line: line.strip().isdigit())
        first = time.time_ns()
    finally:
        thaw.terminate()
        thaw.wait()
        thaw.stdout.close()
    rest = p.stdout.read()
    p.stdout.close()
    if p.wait() != 75:
        raise BenchError("the frozen program did not end")
    lines = [int(line) for line in rest.split() if line.isdigit()]
    last = lines[-1] if lines else None
    return {"pause_ns": first - last if last else None, "freeze_ns": frozen - started, "bytes": os.path.getsize(snap)}


def row_freeze(args):
    """A running cell of some size is frozen to memory and thawed by another process."""
    level = args.cpu or tools.cpu_level()
    source = tools.BENCH / "guest" / "touched.c"
    wasm, cell = tools.OUT / "touched.wasm", tools.OUT / "touched.cell"
    tools.make(wasm, [tools.program("cloudskin-cc"), "-O2", "-o", wasm, source], [source])
    tools.make(cell, [tools.program("cloudskin-aot"), wasm, "-o", cell, "--cpu", level, "--movable"], [wasm])
    cloudskin, rows = tools.program("cloudskin"), []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        env = dict(os.environ, XDG_RUNTIME_DIR=folder)
        for mib in SIZES_MIB:
            one_round(cloudskin, cell, mib, folder, env)
            got = [one_round(cloudskin, cell, mib, folder, env) for _ in range(args.pairs)]
            pauses = [g["pause_ns"] for g in got if g["pause_ns"]]
            if not pauses:
                raise BenchError("no line was written between the start of the freeze and its end")
            rows.append({"mib": mib, "rounds": got, "pause_ns": stats.median(pauses),
                         "freeze_ns": stats.median([g["freeze_ns"] for g in got]), "bytes": got[-1]["bytes"]})
    print(stats.table(["MiB touched", "pause ms", "of it freeze ms", "MiB in the file"],
                      [[r["mib"], f"{r['pause_ns'] / 1e6:.1f}", f"{r['freeze_ns'] / 1e6:.1f}", f"{r['bytes'] / 2**20:.1f}"]
                       for r in rows]))
    return {"title": "Freeze and thaw", "level": level, "pairs": args.pairs, "rows": rows,
            "bars": [stats.bar(f"pause with {r['mib']} MiB touched <= {BARS_MS[r['mib']]} ms",
                               f"{r['pause_ns'] / 1e6:.1f} ms", r["pause_ns"] <= BARS_MS[r["mib"]] * 1e6) for r in rows]}
