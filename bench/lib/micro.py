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
PROCESS_ROUNDS_PER_PAIR = 5

BAR_START_P50_NS = 100_000
BAR_START_P99_NS = 500_000
BAR_PROCESS_NATIVE = 2.0
BAR_PROCESS_CRUN = 4.0
BAR_IDLE_BYTES = 64 * 1024
BAR_HOSTCALL_PS = 3000
BAR_COMPILE_S_PER_MB = {1: 5.0, 3: 15.0}


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
    rounds = {name: [] for name in commands}
    for _ in range(args.pairs):
        for name, command in commands.items():
            rounds[name].append(numbers(tools.run(command).stdout, "start_ns"))
    result = {}
    for name, runs in rounds.items():
        result[name] = {"p50_ns": stats.median([stats.percentile(r, 50) for r in runs]),
                        "p99_ns": stats.median([stats.percentile(r, 99) for r in runs])}
        print(f"{name}: p50 {result[name]['p50_ns'] / 1e3:.1f} us, p99 {result[name]['p99_ns'] / 1e3:.1f} us")
    cell = result["cell"]
    bars = {"p50 <= 100 us": cell["p50_ns"] <= BAR_START_P50_NS, "p99 <= 500 us": cell["p99_ns"] <= BAR_START_P99_NS}
    if "wasmtime" in result:
        bars["not slower than wasmtime"] = cell["p50_ns"] <= result["wasmtime"]["p50_ns"]
    return {"title": "Start of a cell in a running process", "starts": STARTS, "pairs": args.pairs,
            "result": result, "bars": bars}


def crun_bundle():
    """A container with one static program; the command that runs it."""
    bundle = OUT / "bundle"
    hello = bundle / "rootfs" / "hello"
    source = GUESTS / "hello.c"
    tools.make(hello, [tools.host_program("clang-19"), "-O2", "-static", "-o", hello, source], [source])
    config = bundle / "config.json"
    crun = tools.host_program("crun")
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


def settled_cell(wasm):
    """`cloudskin run` of wasm, once its best image is in the cache."""
    command = [tools.program("cloudskin"), "run", wasm]
    images = tools.CACHE / "images"
    tools.run(command)
    before, quiet = None, 0
    while quiet < 4:
        time.sleep(0.5)
        now = sorted((p.name, p.stat().st_size) for p in images.glob("**/*") if p.is_file())
        quiet = quiet + 1 if now == before else 0
        before = now
    return command


def process_commands(args):
    """name -> command, and name -> reason of what cannot be run here."""
    source = GUESTS / "hello.c"
    native = OUT / "hello"
    wasm = hello_wasm()
    tools.make(native, [tools.host_program("clang-19"), "-O2", "-o", native, source], [source])
    commands = {"native": [str(native)], "cell": settled_cell(wasm)}
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
    ratio = {name: stats.pair_ratio(times[name], times["cell"]) for name in times if name != "cell"}
    print(stats.table(["process", "ms", "to cell"],
                      [[n, f"{stats.median(t) / 1e6:.2f}", f"{ratio.get(n, 1.0):.2f}"] for n, t in times.items()]))
    for name, reason in missing.items():
        print(f"n/a {name}: {reason}")
    bars = {"<= 2x native": 1 / ratio["native"] <= BAR_PROCESS_NATIVE}
    if "crun" in ratio:
        bars["at least 4x faster than crun"] = ratio["crun"] >= BAR_PROCESS_CRUN
    if "wasmtime" in ratio:
        bars["faster than wasmtime"] = ratio["wasmtime"] > 1
    return {"title": "`cloudskin run hello` as a whole process", "rounds": rounds, "times_ns": times,
            "median_ns": {n: stats.median(t) for n, t in times.items()}, "to_cell": ratio, "missing": missing,
            "bars": bars}


def row_idle(args):
    """Memory of idle cells."""
    level = args.cpu or tools.cpu_level()
    output = tools.run([embedder("idle"), image(bare_wasm("first"), level), str(IDLE_CELLS)]).stdout
    resident = numbers(output, "resident_bytes")[0] / IDLE_CELLS
    tables = numbers(output, "page_table_bytes")[0] / IDLE_CELLS
    print(f"{IDLE_CELLS} idle cells: {resident / 1024:.1f} KiB each resident, {tables / 1024:.1f} KiB page tables")
    return {"title": "Memory of an idle cell", "cells": IDLE_CELLS, "resident_bytes": resident,
            "page_table_bytes": tables, "bars": {"<= 64 KiB": resident + tables <= BAR_IDLE_BYTES}}


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
            "bars": {"<= 3 ns over a C call": over <= BAR_HOSTCALL_PS}}


def timed(command):
    begin = time.monotonic()
    tools.run(command)
    return time.monotonic() - begin


def row_compile(args):
    """Compile time of a real module."""
    wasm = args.module or os.environ.get("CLOUDSKIN_BENCH_MODULE") or find_sqlite()
    level = args.cpu or tools.cpu_level()
    mb = Path(wasm).stat().st_size / 1e6
    aot = tools.program("cloudskin-aot")
    OUT.mkdir(parents=True, exist_ok=True)
    target = OUT / "module.cell"
    commands = {"O1": [aot, wasm, "-o", target, "--cpu", level, "-O1"],
                "O3": [aot, wasm, "-o", target, "--cpu", level, "-O3"]}
    missing = {}
    if not args.no_peers:
        peers.install()
        wasmtime = [peers.paths()["wasmtime"], "compile", "-C", "cache=n", "-o", OUT / "module.cwasm", wasm]
        try:
            tools.run(wasmtime)
            commands["wasmtime"] = wasmtime
        except BenchError as e:
            missing["wasmtime"] = str(e)
    rounds = max(1, args.pairs // 3)
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(timed(command))
    per_mb = {name: stats.median(t) / mb for name, t in times.items()}
    print(stats.table(["compiler", "s", "s per MB"],
                      [[n, f"{stats.median(t):.2f}", f"{per_mb[n]:.2f}"] for n, t in times.items()]))
    for name, reason in missing.items():
        print(f"n/a {name}: {reason}")
    return {"title": "Compile time", "module": Path(wasm).name, "module_mb": mb, "rounds": rounds, "cpus": os.cpu_count(),
            "times_s": times, "s_per_mb": per_mb, "missing": missing,
            "bars": {"-O1 <= 5 s per MB": per_mb["O1"] <= BAR_COMPILE_S_PER_MB[1],
                     "-O3 <= 15 s per MB": per_mb["O3"] <= BAR_COMPILE_S_PER_MB[3]}}


def find_sqlite():
    """sqlite's shell as tools/deps builds it for the demo and the tests."""
    deps = Path(os.environ.get("CLOUDSKIN_DEPS", tools.CACHE / "deps"))
    found = [p for p in deps.glob("programs*/**/sqlite3.wasm") if ".work" not in str(p)]
    if not found:
        raise BenchError("no sqlite3.wasm (run make demo, or name a module with --module)")
    return str(max(found, key=lambda p: p.stat().st_mtime))
