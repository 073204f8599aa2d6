"""Start, process, idle memory, host call and compile time."""

import os
import re
import statistics
import time
from pathlib import Path

from . import peers, stats, tools
from .tools import BenchError

GUESTS = tools.BENCH / "guest"
OUT = tools.OUT / "micro"

STARTS = 2000
IDLE_CELLS = 1000
PROCESS_ROUNDS_PER_PAIR = 20

BAR_START_P50_NS = 100_000
BAR_START_P99_NS = 500_000
BAR_PROCESS_NATIVE = 2.0
BAR_PROCESS_CRUN = 4.0
BAR_IDLE_BYTES = 64 * 1024
BAR_HOSTCALL_PS = 3000
BAR_COMPILE_S_PER_MB = {"O1": 5.0, "O3": 15.0}


def bare_wasm(name):
    """A guest without a C library."""
    source = GUESTS / f"{name}.c"
    target = OUT / f"{name}.wasm"
    return tools.make(target, [tools.host_program("clang-19"), "--target=wasm32", "-O2", "-nostdlib",
                               "-Wl,--no-entry", "-o", target, source], [source])


def image(wasm, level):
    target = Path(wasm).with_suffix(".cell")
    aot = tools.program("cloudskin-aot")
    return tools.make(target, [aot, wasm, "-o", target, "--cpu", level], [wasm])


def embedder(name):
    """A program of bench/CMakeLists.txt, brought up to date."""
    tools.run([tools.host_program("cmake"), "--build", tools.BUILD, "--target", "bench_programs"])
    return str(tools.BUILD / "bench" / name)


def c_program(name, flags=()):
    source = tools.BENCH / f"{name}.c"
    target = OUT / name
    return tools.make(target, [tools.host_program("clang-19"), "-std=gnu17", "-O2", "-o", target, source, *flags],
                      [source])


def numbers(text, key):
    """All N of the lines "KEY N"."""
    return [int(n) for n in re.findall(rf"^{key} (\d+)$", text, re.MULTILINE)]


def row_start(args):
    """Start of a cell, and of an instance in wasmtime's pool, in a running process."""
    level = args.cpu or tools.cpu_level()
    wasm = bare_wasm("first")
    commands = {"cell": [embedder("start"), image(wasm, level), "first", str(STARTS)]}
    if not args.no_peers:
        peers.install()
        library = peers.paths()["libwasmtime"]
        commands["wasmtime"] = [c_program("start_wasmtime", [library, f"-Wl,-rpath,{os.path.dirname(library)}"]),
                                wasm, "first", str(STARTS)]
    found = {name: {"p50_ns": [], "p99_ns": []} for name in commands}
    for i in range(args.pairs):
        for name in list(commands) if i % 2 == 0 else reversed(commands):
            times = numbers(tools.run(commands[name]).stdout, "start_ns")
            for percent in (50, 99):
                found[name][f"p{percent}_ns"].append(stats.percentile(times, percent))
    medians = {name: {key: stats.median(values) for key, values in of.items()} for name, of in found.items()}
    print(stats.table(["start", "p50 us", "p99 us"],
                      [[name, f"{m['p50_ns'] / 1e3:.1f}", f"{m['p99_ns'] / 1e3:.1f}"] for name, m in medians.items()]))
    cell = medians["cell"]
    bars = [stats.bar("p50 <= 100 us", f"{cell['p50_ns'] / 1e3:.1f} us", cell["p50_ns"] <= BAR_START_P50_NS),
            stats.bar("p99 <= 500 us", f"{cell['p99_ns'] / 1e3:.1f} us", cell["p99_ns"] <= BAR_START_P99_NS)]
    if "wasmtime" in found:
        bars += stats.not_worse("cell / wasmtime", {key.removesuffix("_ns"): stats.pairs(found["cell"][key], values)
                                                    for key, values in found["wasmtime"].items()})
    return {"title": "Start of a cell in a running process", "starts": STARTS, "pairs": args.pairs,
            "peer_versions": {"wasmtime (C library)": peers.pinned()["wasmtime"]} if "wasmtime" in found else {},
            "rounds_ns": found, "result": medians, "bars": bars}


def crun_bundle():
    """A container with one static program; the command that runs it."""
    bundle = OUT / "bundle"
    hello = bundle / "rootfs" / "hello"
    source = GUESTS / "hello.c"
    tools.make(hello, [tools.host_program("clang-19"), "-O2", "-static", "-o", hello, source], [source])
    config = bundle / "config.json"
    crun = peers.crun()
    config.unlink(missing_ok=True)
    tools.run([crun, "spec"], cwd=bundle)
    text = config.read_text()
    text = text.replace('"sh"', '"/hello"').replace('"terminal": true', '"terminal": false')
    config.write_text(text)
    return [crun, "run", "-b", str(bundle), f"cloudskin-bench-{os.getpid()}"]


def hello_wasm():
    source = GUESTS / "hello.c"
    target = OUT / "hello.wasm"
    return tools.make(target, [tools.program("cloudskin-cc"), "-O2", "-o", target, source], [source])


def cached_cell(wasm):
    """`cloudskin run` of wasm, whose best image is in the cache: nothing is left to compile in the background."""
    cloudskin = tools.program("cloudskin")
    tools.run([cloudskin, "cache", "add", wasm])
    return [cloudskin, "run", wasm]


def process_commands(args):
    """name -> command, and name -> reason of what cannot be run here."""
    source = GUESTS / "hello.c"
    native = OUT / "hello"
    wasm = hello_wasm()
    tools.make(native, [tools.host_program("clang-19"), "-O2", "-o", native, source], [source])
    commands = {"native": [str(native)], "cell": cached_cell(wasm)}
    missing = {}
    if args.no_peers:
        return commands, missing
    try:
        peers.install()
        wasmtime = peers.paths()["wasmtime"]
        target = OUT / "hello.cwasm"
        tools.make(target, [wasmtime, "compile", "-o", target, wasm], [wasm])
        commands["wasmtime"] = [wasmtime, "run", "--allow-precompiled", str(target)]
    except BenchError as e:
        missing["wasmtime"] = str(e)
    try:
        if os.geteuid() != 0:
            raise BenchError("crun needs root")
        commands["crun"] = crun_bundle()
    except BenchError as e:
        missing["crun"] = str(e)
    return commands, missing


# crun refuses a machine whose cgroups are of both versions; without this mount they are of one.
CRUN_SHELL = 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"'


def row_process(args):
    """Whole processes: native, cell, wasmtime, crun."""
    commands, missing = process_commands(args)
    rounds = args.pairs * PROCESS_ROUNDS_PER_PAIR
    timer = [c_program("process"), str(rounds)]
    for command in commands.values():
        timer += ["--", *command]
    if "crun" in commands:
        timer = [tools.host_program("unshare"), "-m", "sh", "-c", CRUN_SHELL, "sh", *timer]
    output = tools.run(timer).stdout
    times = {name: numbers(output, str(i)) for i, name in enumerate(commands)}
    ratio = {name: stats.pair_ratio(times[name], times["cell"]) for name in times}
    print(stats.table(["process", "ms", "to cell"],
                      [[n, f"{stats.median(t) / 1e6:.2f}", f"{ratio[n]:.2f}"] for n, t in times.items()]))
    for name, reason in missing.items():
        print(f"n/a {name}: {reason}")
    native = stats.pair_ratio(times["cell"], times["native"])
    bars = [stats.bar("cell / native <= 2", f"{native:.2f}", native <= BAR_PROCESS_NATIVE)]
    for name, text, least in (("crun", "crun / cell >= 4", BAR_PROCESS_CRUN),
                              ("wasmtime", "wasmtime / cell > 1, its module precompiled", 1)):
        if name in ratio:
            reached = ratio[name] >= least if name == "crun" else ratio[name] > least
            bars.append(stats.bar(text, f"{ratio[name]:.2f}", reached))
        else:
            bars.append(stats.bar(text, missing.get(name, "left out"), None))
    return {"title": "`cloudskin run hello` as a whole process", "rounds": rounds, "pairs": args.pairs,
            "times_ns": times, "median_ns": {n: stats.median(t) for n, t in times.items()}, "to_cell": ratio,
            "peer_versions": peers.versions_of(commands), "missing": missing, "bars": bars}


def row_idle(args):
    """Memory of idle cells."""
    level = args.cpu or tools.cpu_level()
    output = tools.run([embedder("idle"), image(bare_wasm("first"), level), str(IDLE_CELLS)]).stdout
    resident = numbers(output, "resident_bytes")[0] / IDLE_CELLS
    tables = numbers(output, "page_table_bytes")[0] / IDLE_CELLS
    print(f"{IDLE_CELLS} idle cells: {resident / 1024:.1f} KiB each resident, {tables / 1024:.1f} KiB page tables")
    return {"title": "Memory of an idle cell", "cells": IDLE_CELLS, "resident_bytes": resident,
            "page_table_bytes": tables,
            "bars": [stats.bar("resident and page tables <= 64 KiB", f"{(resident + tables) / 1024:.1f} KiB",
                               resident + tables <= BAR_IDLE_BYTES)]}


def row_hostcall(args):
    """A host call against a C call through a pointer."""
    level = args.cpu or tools.cpu_level()
    output = tools.run([embedder("hostcall"), image(bare_wasm("hostcall"), level), str(args.pairs)]).stdout
    pairs = [tuple(map(int, line.split())) for line in output.splitlines()]
    cell = statistics.median(p[0] for p in pairs)
    native = statistics.median(p[1] for p in pairs)
    over = statistics.median(p[0] - p[1] for p in pairs)
    print(f"host call {cell / 1000:.2f} ns, C call {native / 1000:.2f} ns, over it {over / 1000:.2f} ns")
    return {"title": "A host call", "pairs": len(pairs), "cell_ps": cell, "native_ps": native, "over_ps": over,
            "bars": [stats.bar("<= 3 ns over a C call", f"{over / 1000:.2f} ns", over <= BAR_HOSTCALL_PS)]}


def timed(command):
    """(seconds, seconds of all CPUs) until its end."""
    before = os.times()
    begin = time.monotonic()
    tools.run(command)
    seconds = time.monotonic() - begin
    after = os.times()
    return seconds, (after.children_user + after.children_system) - (before.children_user + before.children_system)


def compilers(args, wasm):
    """name -> command that compiles wasm, and name -> reason of what is not to be had."""
    OUT.mkdir(parents=True, exist_ok=True)
    aot = [tools.program("cloudskin-aot"), wasm, "-o", OUT / "module.cell", "--cpu", args.cpu or tools.cpu_level()]
    commands = {"O1": [*aot, "-O1"], "O3": [*aot, "-O3"]}
    missing = {}
    if not args.no_peers:
        peers.install()
        wasmtime = [peers.paths()["wasmtime"], "compile", "-C", "cache=n", "-o", OUT / "module.cwasm", wasm]
        try:
            tools.run(wasmtime)
            commands["wasmtime"] = wasmtime
        except BenchError as e:
            missing["wasmtime"] = str(e)
    return commands, missing


def row_compile(args):
    """Compile time of a real module."""
    wasm = args.module or os.environ.get("CLOUDSKIN_BENCH_MODULE") or find_sqlite()
    mb = Path(wasm).stat().st_size / 1e6
    commands, missing = compilers(args, wasm)
    rounds = max(1, args.pairs // 3)
    times = {name: [] for name in commands}
    cpu = {name: [] for name in commands}
    for i in range(rounds):
        for name in list(commands) if i % 2 == 0 else reversed(commands):
            seconds, cpu_seconds = timed(commands[name])
            times[name].append(seconds)
            cpu[name].append(cpu_seconds)
    per_mb = {name: stats.median(t) / mb for name, t in times.items()}
    ratio = {name: stats.pair_ratio(t, times["wasmtime"]) for name, t in times.items()} if "wasmtime" in times else {}
    print(stats.table(["compiler", "s", "CPU s", "s per MB", "to wasmtime"],
                      [[n, f"{stats.median(t):.2f}", f"{stats.median(cpu[n]):.2f}", f"{per_mb[n]:.2f}",
                        f"{ratio[n]:.1f}" if ratio else "n/a"] for n, t in times.items()]))
    for name, reason in missing.items():
        print(f"n/a {name}: {reason}")
    return {"title": "Compile time", "module": Path(wasm).name, "module_mb": mb, "rounds": rounds, "pairs": args.pairs,
            "cpus": os.cpu_count(), "times_s": times, "cpu_s": cpu, "s_per_mb": per_mb, "to_wasmtime": ratio,
            "peer_versions": peers.versions_of(commands), "missing": missing,
            "bars": [stats.bar(f"-{name} <= {most:.0f} s per MB", f"{per_mb[name]:.2f}", per_mb[name] <= most)
                     for name, most in BAR_COMPILE_S_PER_MB.items()]}


def find_sqlite():
    """sqlite's shell as tools/deps builds it for the demo and the tests."""
    deps = Path(os.environ.get("CLOUDSKIN_DEPS", tools.CACHE / "deps"))
    found = [p for p in deps.glob("programs*/**/sqlite3.wasm") if ".work" not in str(p)]
    if not found:
        raise BenchError("no sqlite3.wasm (run make demo, or name a module with --module)")
    return str(max(found, key=lambda p: p.stat().st_mtime))
