"""Freezing a running cell and going on in another process."""

import os
import subprocess
import tempfile
import time

from . import micro, stats, tools
from .tools import BenchError

SIZES_MIB = (1, 64, 1024)
BARS_MS = {1: 1, 64: 25, 1024: 400}


def wait_for(stream, what):
    for line in stream:
        if what(line):
            return line
    raise BenchError("the program ended too early")


# A line may have been made before the freeze and written after it: the pause is the longest step among some lines.
LINES_AFTER = 3


def longest_step(numbers):
    return max(b - a for a, b in zip(numbers, numbers[1:]))


def begin(cloudskin, cell, mib, env):
    p = subprocess.Popen([cloudskin, "run", "--name", "bench", cell, str(mib)], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, env=env)
    wait_for(p.stdout, lambda line: line == b"touched\n")
    return p, int(wait_for(p.stdout, lambda line: line.strip().isdigit()))


def one_round(cloudskin, cell, mib, folder, env):
    """Nanoseconds between the lines that the program made around the freeze, of which the freeze, and bytes. Both sides
    use the machine's real-time clock."""
    snap = os.path.join(folder, "bench.snap")
    p, line = begin(cloudskin, cell, mib, env)
    started = time.monotonic_ns()
    done = subprocess.run([cloudskin, "freeze", "bench", "-o", snap], capture_output=True, env=env, check=False)
    frozen = time.monotonic_ns()
    if done.returncode != 0:
        raise BenchError(f"freeze failed: {done.stderr.decode()}")
    thaw = subprocess.Popen([cloudskin, "thaw", "--module", cell, snap], stdout=subprocess.PIPE, env=env)
    try:
        after = [int(wait_for(thaw.stdout, lambda line: line.strip().isdigit())) for _ in range(LINES_AFTER)]
    finally:
        thaw.terminate()
        thaw.wait()
        thaw.stdout.close()
    rest = p.stdout.read()
    p.stdout.close()
    if p.wait() != 75:
        raise BenchError("the frozen program did not end")
    last = [line, *(int(word) for word in rest.split() if word.isdigit())][-1]
    return {"pause_ns": longest_step([last, *after]), "freeze_ns": frozen - started, "bytes": os.path.getsize(snap)}


def by_commands(cloudskin, cell, pairs, folder):
    """The program is frozen and thawed by the two commands."""
    env, rows = dict(os.environ, XDG_RUNTIME_DIR=folder), []
    for mib in SIZES_MIB:
        one_round(cloudskin, cell, mib, folder, env)
        got = [one_round(cloudskin, cell, mib, folder, env) for _ in range(pairs)]
        rows.append({"mib": mib, "rounds": got, "pause_ns": stats.median([g["pause_ns"] for g in got]),
                     "freeze_ns": stats.median([g["freeze_ns"] for g in got]), "bytes": got[-1]["bytes"]})
    return rows


HANDOVER_PARTS = ("stop_ns", "write_ns", "read_ns", "call_ns")
HANDOVER_KEYS = ("pause_ns", *HANDOVER_PARTS, "memcpy_ns")
MEMCPY_SHARE = 0.6


def hand_over(cell, mib, pairs, folder, instance):
    output = tools.run([micro.embedder("snapshot"), cell, "handover", mib, pairs,
                        os.path.join(folder, "handover.snap"), instance]).stdout
    rounds = {key: micro.numbers(output, key) for key in (*HANDOVER_KEYS, "file_bytes")}
    if any(len(values) != pairs for values in rounds.values()):
        raise BenchError("the program printed another number of rounds")
    return rounds


def between_processes(cell, pairs, folder):
    """The cell goes from one process that embeds it to another one, which is up and has an instance ready: one whose
    memory is present, and a new one."""
    rows = []
    for mib in SIZES_MIB:
        new = hand_over(cell, mib, pairs, folder, "new")
        rounds = hand_over(cell, mib, pairs, folder, "prepared")
        shares = stats.pairs(rounds["memcpy_ns"], rounds["pause_ns"])
        rows.append({"mib": mib, "rounds": rounds, "new_rounds": new, "new_pause_ns": stats.median(new["pause_ns"]),
                     "share": stats.median(shares), **{key: stats.median(values) for key, values in rounds.items()}})
    return rows


def handover_bars(rows):
    bars = []
    for r in rows:
        most = BARS_MS[r["mib"]]
        bars.append(stats.bar(f"pause with {r['mib']} MiB touched <= {most} ms", f"{r['pause_ns'] / 1e6:.2f} ms",
                              r["pause_ns"] <= most * 1e6))
        bars.append(stats.bar(f"{r['mib']} MiB / pause >= {MEMCPY_SHARE:.0%} of a memcpy's speed", f"{r['share']:.0%}",
                              r["share"] >= MEMCPY_SHARE))
    return bars


def row_freeze(args):
    """A running cell of some size is frozen to memory and goes on in another process."""
    level = args.cpu or tools.cpu_level()
    source = tools.BENCH / "guest" / "touched.c"
    wasm, cell = tools.OUT / "touched.wasm", tools.OUT / "touched.cell"
    tools.make(wasm, [tools.program("cloudskin-cc"), "-O2", "-o", wasm, source], [source])
    tools.make(cell, [tools.program("cloudskin-aot"), wasm, "-o", cell, "--cpu", level, "--movable"], [wasm])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        processes = between_processes(cell, args.pairs, folder)
        commands = by_commands(tools.program("cloudskin"), cell, args.pairs, folder)
    print(stats.table(["between processes, MiB", "pause ms", "stop", "write", "read", "first call", "memcpy ms", "share",
                       "pause not prepared"],
                      [[r["mib"], *[f"{r[key] / 1e6:.2f}" for key in HANDOVER_KEYS], f"{r['share']:.0%}",
                        f"{r['new_pause_ns'] / 1e6:.2f}"] for r in processes]))
    print()
    print(stats.table(["by commands, MiB", "pause ms", "of it freeze ms", "MiB in the file"],
                      [[r["mib"], f"{r['pause_ns'] / 1e6:.1f}", f"{r['freeze_ns'] / 1e6:.1f}", f"{r['bytes'] / 2**20:.1f}"]
                       for r in commands]))
    return {"title": "Freeze and thaw", "level": level, "pairs": args.pairs, "rows": processes, "commands": commands,
            "bars": handover_bars(processes)}


PRECOPY_BARS_MS = {64: 3, 1024: 10}
DIRTY_SHARE = 0.05  # a second
INCREMENT_MIB, INCREMENT_SHARE, INCREMENT_BAR = 1024, 0.01, 1 / 20
PAGE_BYTES = 4096


def pages_of(mib, share):
    return int((mib << 20) / PAGE_BYTES * share)


def dirtied_cell(level):
    source = tools.BENCH / "guest" / "dirtied.c"
    wasm, cell = tools.OUT / "dirtied.wasm", tools.OUT / "dirtied.cell"
    tools.make(wasm, [tools.program("cloudskin-cc"), "-O2", "-o", wasm, source], [source])
    return tools.make(cell, [tools.program("cloudskin-aot"), wasm, "-o", cell, "--cpu", level, "--movable"], [wasm])


def one_line(output, key):
    return micro.numbers(output, key)[0]


def row_precopy(args):
    """A cell that writes to 5 % of its memory a second is sent to another process while it runs."""
    level = args.cpu or tools.cpu_level()
    cell, program, rows = dirtied_cell(level), micro.embedder("snapshot"), []
    for mib in PRECOPY_BARS_MS:
        command = [program, cell, "precopy", mib, pages_of(mib, DIRTY_SHARE)]
        tools.run(command)
        got = [tools.run(command).stdout for _ in range(args.pairs)]
        rows.append({"mib": mib, **{key: [one_line(output, key) for output in got]
                                    for key in ("pause_ns", "rounds", "bytes", "plain_pause_ns")}})
    medians = [{"mib": r["mib"], **{k: stats.median(v) for k, v in r.items() if k != "mib"}} for r in rows]
    print(stats.table(["MiB touched", "pause ms", "without rounds ms", "rounds", "MiB sent"],
                      [[m["mib"], f"{m['pause_ns'] / 1e6:.1f}", f"{m['plain_pause_ns'] / 1e6:.1f}", f"{m['rounds']:.0f}",
                        f"{m['bytes'] / 2**20:.1f}"] for m in medians]))
    return {"title": "Pause with pre-copy", "level": level, "pairs": args.pairs, "rows": rows, "medians": medians,
            "bars": [stats.bar(f"pause with {m['mib']} MiB touched <= {PRECOPY_BARS_MS[m['mib']]} ms",
                               f"{m['pause_ns'] / 1e6:.1f} ms", m["pause_ns"] <= PRECOPY_BARS_MS[m["mib"]] * 1e6)
                     for m in medians]}


def row_incremental(args):
    """1 GiB is written whole; then 1 % of its pages, which were written to meanwhile."""
    level = args.cpu or tools.cpu_level()
    cell, program = dirtied_cell(level), micro.embedder("snapshot")
    keys = ("full_ns", "full_bytes", "increment_ns", "increment_bytes")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        command = [program, cell, "incremental", INCREMENT_MIB, pages_of(INCREMENT_MIB, INCREMENT_SHARE), folder]
        tools.run(command)
        got = [tools.run(command).stdout for _ in range(args.pairs)]
    rounds = [{key: one_line(output, key) for key in keys} for output in got]
    m = {key: stats.median([r[key] for r in rounds]) for key in keys}
    times = stats.median([r["increment_ns"] / r["full_ns"] for r in rounds])
    sizes = stats.median([r["increment_bytes"] / r["full_bytes"] for r in rounds])
    print(stats.table(["", "ms", "MiB"], [[name, f"{m[name + '_ns'] / 1e6:.1f}", f"{m[name + '_bytes'] / 2**20:.1f}"]
                                          for name in ("full", "increment")]))
    return {"title": "Incremental checkpoint", "level": level, "pairs": args.pairs, "mib": INCREMENT_MIB, "rounds": rounds,
            "medians": m, "time_ratio": times, "size_ratio": sizes,
            "bars": [stats.bar("bytes <= 1/20 of a full one", f"1/{1 / sizes:.0f}", sizes <= INCREMENT_BAR),
                     stats.bar("time <= 1/20 of a full one", f"1/{1 / times:.0f}", times <= INCREMENT_BAR)]}
