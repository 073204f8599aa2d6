"""From the request to stop a running cell until it has stopped with its state saved."""

import secrets

from . import kernels, micro, stats, tools
from .tools import BenchError

STOPS = 200  # of each kernel
SEED_MAX = 2**32
GUESTS = ("loop", "deep")  # beside the kernels
BAR_P50_NS, BAR_P99_NS = 1e6, 10e6


def guest_cell(name, level):
    """A movable cell of one of bench/guest."""
    source = tools.BENCH / "guest" / f"{name}.c"
    wasm, cell = tools.OUT / f"{name}.wasm", tools.OUT / f"{name}.cell"
    tools.make(wasm, [tools.program("cloudskin-cc"), "-O2", "-o", wasm, source], [source])
    return tools.make(cell, [tools.program("cloudskin-aot"), wasm, "-o", cell, "--cpu", level, "--movable"], [wasm])


def cells(args, level):
    """name -> movable cell of the kernels (or those named) and of the guests."""
    guests = [name for name in GUESTS if not args.only or name in args.only]
    only = [name for name in args.only or () if name not in GUESTS]
    found = [] if args.only and not only else kernels.find(only)
    made = {kernel.name: kernel.cell(level, ["--movable"])[2] for kernel in found}
    return made | {name: guest_cell(name, level) for name in guests}


def row_stop(args):
    """The kernels, a loop without a call and a deep recursion are stopped at random moments."""
    level = args.cpu or tools.cpu_level()
    seed = args.seed or 1 + secrets.randbelow(SEED_MAX)
    program, rows = micro.embedder("stop"), []
    for name, cell in cells(args, level).items():
        output = tools.run([program, cell, args.stops, seed]).stdout
        times = micro.numbers(output, "stop_ns")
        if len(times) != args.stops:
            raise BenchError(f"{name}: it was stopped {len(times)} times only (seed {seed})")
        rows.append({"name": name, "stop_ns": times, "starts": micro.numbers(output, "starts")[0],
                     "p50_ns": stats.percentile(times, 50), "p99_ns": stats.percentile(times, 99), "max_ns": max(times)})
    print(f"seed {seed}")
    print(stats.table(["kernel", "p50 us", "p99 us", "longest us", "starts"],
                      [[r["name"], *[f"{r[key] / 1e3:.0f}" for key in ("p50_ns", "p99_ns", "max_ns")], r["starts"]]
                       for r in rows]))
    p50, p99 = [max(rows, key=lambda r, key=key: r[key]) for key in ("p50_ns", "p99_ns")]
    return {"title": "From the request to stopped", "level": level, "stops": args.stops, "seed": seed, "rows": rows,
            "bars": [stats.bar("worst kernel: p50 <= 1 ms", f"{p50['p50_ns'] / 1e6:.2f} ms ({p50['name']})",
                               p50["p50_ns"] <= BAR_P50_NS),
                     stats.bar("worst kernel: p99 <= 10 ms", f"{p99['p99_ns'] / 1e6:.2f} ms ({p99['name']})",
                               p99["p99_ns"] <= BAR_P99_NS)]}
