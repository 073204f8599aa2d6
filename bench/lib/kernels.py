"""The kernels: the same source natively, as a cell, and in other engines."""

import re
from pathlib import Path

from . import peers, stats, tools
from .tools import BenchError

SOURCES = tools.BENCH / "kernels"
NATIVE_FLAGS = ["-O3", "-ffp-contract=off"]
BAR_GEOMEAN = 1.03
BAR_WORST = 1.15
BAR_POLLS = 1.01
EXACT = 0.01    # to how much a ratio with a bar should be known
PAIRS_MORE = 6  # and how many times the rounds asked for that may take
BAR_MOVABLE = 1.01
BAR_MOVABLE_WORST = 1.05
BAR_MOVABLE_SIZE = 2.5
PEERS = ("wasmtime", "wasm2c", "wamr")

# What the kernels are compiled with; Binaryen may use nothing else.
WASM_FEATURES = ("bulk-memory", "bulk-memory-opt", "exception-handling", "extended-const", "multivalue",
                 "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext", "simd")


class Kernel:
    """One source file and where its programs go."""

    def __init__(self, source):
        self.source = source
        self.name = source.stem
        self.cxx = source.suffix == ".cpp"
        self.inputs = [source, SOURCES / "kernel.h"]
        self.out = tools.OUT / "kernels" / self.name

    def native(self, name, flags):
        compiler = tools.host_program("clang++-19" if self.cxx else "clang-19")
        std = "-std=gnu++17" if self.cxx else "-std=gnu17"
        target = self.out / name
        return [tools.make(target, [compiler, std, *flags, "-o", target, self.source, "-lm"], self.inputs)]

    def wasm(self):
        compiler = tools.program("cloudskin-c++" if self.cxx else "cloudskin-cc")
        target = self.out / f"{self.name}.wasm"
        return tools.make(target, [compiler, "-O3", "-o", target, self.source, "-lm"], self.inputs)

    def cell(self, level, extra=()):
        wasm = self.wasm()
        target = self.out / f"{self.name}{''.join(extra)}.cell"
        aot = tools.program("cloudskin-aot")
        return [tools.program("cloudskin"), "run",
                tools.make(target, [aot, wasm, "-o", target, "--cpu", level, *extra], [wasm])]

    def wasmtime(self):
        """wasmtime compiles for the CPU it is on; it knows exceptions in their standard encoding only."""
        wasmtime = peers.paths()["wasmtime"]
        wasm = self.wasm()
        target = self.out / f"{self.name}.cwasm"
        try:
            tools.make(target, [wasmtime, "compile", "-o", target, wasm], [wasm])
        except BenchError as e:
            if "legacy_exceptions" not in str(e):
                raise
            standard = self.standard_exceptions()
            tools.make(target, [wasmtime, "compile", "-o", target, standard], [standard])
        return [wasmtime, "run", "--allow-precompiled", target]

    def standard_exceptions(self):
        """The module with its exceptions re-encoded, and nothing else changed."""
        wasm = self.wasm()
        target = self.out / f"{self.name}.standard.wasm"
        features = [f"--enable-{name}" for name in WASM_FEATURES]
        return tools.make(target, [*peers.wasm_opt(), "--mvp-features", *features, "--emit-exnref", wasm, "-o", target],
                          [wasm])

    def wamr(self, level):
        """Bounds checks by the hardware and SIMD are what wamrc does when nothing else is said; addresses through GS
        (segue) are what makes most kernels faster."""
        wamrc, iwasm = peers.wamr()
        wasm = self.wasm()
        target = self.out / f"{self.name}.aot"
        cpu = ["--target=aarch64"] if level == "aarch64" else ["--target=x86_64", f"--cpu={level}", "--enable-segue"]
        try:
            tools.make(target, [wamrc, "--opt-level=3", "--size-level=3", *cpu, "-o", target, wasm], [wasm])
        except BenchError as e:
            if "invalid section id" not in str(e):  # the section of exceptions
                raise
            raise BenchError("wamrc compiles no exceptions") from None
        return [iwasm, target]

    def wasm2c(self, level):
        where = peers.paths()
        wasm = self.wasm()
        folder = self.out / "wasm2c"
        code = folder / "guest.c"
        tools.make(code, [where["wasm2c"], wasm, "-n", "guest", "-o", code], [wasm])
        shim = tools.BENCH / "wasm2c_wasi.c"
        runtime = [f"{where['wasm2c_runtime']}/wasm-rt-{part}.c"
                   for part in ("impl", "mem-impl", "exceptions-impl")]
        target = folder / self.name
        command = [tools.host_program("clang-19"), *NATIVE_FLAGS, *tools.march(level), "-w",
                   f"-I{folder}", f"-I{where['wasm2c_runtime']}", f"-I{where['simde']}", "-o", target,
                   code, shim, *runtime, "-lm", "-lpthread"]
        return [tools.make(target, command, [code, shim])]


def find(only):
    """The kernels, or those named."""
    found = [Kernel(p) for p in sorted(SOURCES.iterdir()) if p.suffix in (".c", ".cpp")]
    if only:
        unknown = set(only) - {k.name for k in found}
        if unknown:
            raise BenchError(f"no kernel named {', '.join(sorted(unknown))}")
        found = [k for k in found if k.name in only]
    return found


def measure(command, size):
    """(standard output, nanoseconds of the kernel itself, share of them that it had a CPU)."""
    out, err, share = tools.run_share([*command, *size])
    match = re.search(r"^time_ns (\d+)$", err, re.MULTILINE)
    if match is None:
        raise BenchError(f"{command[0]} printed no time")
    return out, int(match.group(1)), 1.0 if share is None else share


def prepare(kernel, level, with_peers):
    """variant -> command, and variant -> reason why there is none. Native and cell must be there."""
    commands = {"native": kernel.native("native", [*NATIVE_FLAGS, *tools.march(level)]),
                "cell": kernel.cell(level),
                "default": kernel.native("default", ["-O3"])}
    missing = {}
    makers = {"wasmtime": kernel.wasmtime, "wasm2c": lambda: kernel.wasm2c(level), "wamr": lambda: kernel.wamr(level)}
    for variant, maker in makers.items() if with_peers else ():
        try:
            commands[variant] = maker()
        except BenchError as e:
            missing[variant] = str(e)
    return commands, missing


def warm_up(commands, size, missing):
    """Run every variant once, which is not measured; variant -> output. A peer that fails, or that prints something
    else than the native program, moves to missing; any other failure is an error."""
    outputs = {}
    for variant in list(commands):
        try:
            outputs[variant] = measure(commands[variant], size)[0]
            if variant in PEERS and outputs[variant] != outputs["native"]:
                raise BenchError("its output differs")
        except BenchError as e:
            if variant not in PEERS:
                raise
            missing[variant] = str(e)
            del commands[variant]
    return outputs


def rounds(commands, count, size, first=0):
    """(variant -> times, variant -> shares), each round running every variant in turn, every other round from the
    last to the first. A time is that of the kernel on a CPU: when others had it does not count."""
    times = {variant: [] for variant in commands}
    shares = {variant: [] for variant in commands}
    for i in range(first, first + count):
        for variant in list(commands) if i % 2 == 0 else reversed(commands):
            _, ns, share = measure(commands[variant], size)
            times[variant].append(round(ns * share))
            shares[variant].append(round(share, 3))
    return times, shares


def compare_rounds(commands, args, over="with", under="without", begun=None):
    """Rounds of over and under, as `rounds`, after those that were begun; more of them, up to PAIRS_MORE times as many,
    until the 95 % interval of the median of their ratio is as narrow as EXACT twice in a row. That depends on how the
    ratios scatter, not on what they are, but where they have two modes the two go together: the interval is what it
    was when it stopped."""
    commands = {variant: commands[variant] for variant in (over, under)}
    times, shares = begun or rounds(commands, args.pairs, args.size)
    narrow = 0
    while args.pairs >= stats.PAIRS_MIN and len(times[over]) < PAIRS_MORE * args.pairs:
        error = stats.median_error(stats.pairs(times[over], times[under]))
        narrow = narrow + 1 if error <= EXACT else 0
        if narrow == 2:
            break
        for whole, part in zip((times, shares), rounds(commands, args.pairs, args.size, len(times[over]))):
            for variant, values in part.items():
                whole[variant] += values
    return times, shares


def kernel_row(kernel, args, level):
    commands, missing = prepare(kernel, level, not args.no_peers)
    outputs = warm_up(commands, args.size, missing)
    times, shares = rounds(commands, args.pairs, args.size)
    to_native = {v: stats.pair_ratio(t, times["native"]) for v, t in times.items()}
    to_cell = {v: stats.pair_ratio(t, times["cell"]) for v, t in times.items()}
    compare_rounds(commands, args, "cell", "native", (times, shares))  # these two have the bars
    ratios = stats.pairs(times["cell"], times["native"])
    to_native["cell"] = stats.median(ratios)
    return {"name": kernel.name, "missing": missing, "times_ns": times, "cpu_share": shares,
            "median_ns": {v: stats.median(t) for v, t in times.items()},
            "to_native": to_native, "to_cell": to_cell, "error": stats.median_error(ratios),
            "equal": outputs["cell"] == outputs["native"], "output": outputs["native"]}


def _ratio(ratios, variant):
    return f"{ratios[variant]:.3f}" if variant in ratios else "n/a"


def _print_rows(rows, shown):
    heads = ["kernel", "native ms", "cell ms", "cell/native", "+-", "rounds", "default/native",
             *[f"{p}/cell" for p in shown], "output"]
    lines = []
    for r in rows:
        lines.append([r["name"], f"{r['median_ns']['native'] / 1e6:.1f}", f"{r['median_ns']['cell'] / 1e6:.1f}",
                      _ratio(r["to_native"], "cell"), f"{r['error']:.3f}", len(r["times_ns"]["cell"]),
                      _ratio(r["to_native"], "default"), *[_ratio(r["to_cell"], p) for p in shown],
                      "equal" if r["equal"] else "differs"])
    print(stats.table(heads, lines))


def _peer_summary(rows, peer):
    """Of the kernels that the peer runs, or why it runs none."""
    both = [r for r in rows if peer in r["to_cell"]]
    reasons = {r["missing"].get(peer) for r in rows}
    if not both:
        return {"kernels": 0, "to_cell": None, "reason": reasons.pop() if len(reasons) == 1 else "runs no kernel"}
    return {"kernels": len(both), "to_cell": stats.geomean([r["to_cell"][peer] for r in both]),
            "cell_to_native": stats.geomean([r["to_native"]["cell"] for r in both])}


def _peer_bar(peer, value, count):
    text = f"faster than {peer}: geometric mean of {peer} / cell > 1"
    if value["to_cell"] is None:
        return stats.bar(text, value["reason"], None)
    return stats.bar(text, f"{value['to_cell']:.3f} over {value['kernels']} of {count} kernels", value["to_cell"] > 1)


def summarise(rows, failed, shown):
    """Geometric means, the worst row, and the bars."""
    cell = {r["name"]: r["to_native"]["cell"] for r in rows}
    worst = max(cell, key=cell.get)
    mean = stats.geomean(list(cell.values()))
    different = [r["name"] for r in rows if not r["equal"]]
    found = {"geomean": mean, "worst": worst, "worst_ratio": cell[worst],
             "default_geomean": stats.geomean([r["to_native"]["default"] for r in rows]),
             "peers": {peer: _peer_summary(rows, peer) for peer in shown}}
    bars = [stats.bar(f"cell / native: geometric mean <= {BAR_GEOMEAN}", f"{mean:.3f}", mean <= BAR_GEOMEAN),
            stats.bar(f"cell / native: worst <= {BAR_WORST}", f"{cell[worst]:.3f} ({worst})", cell[worst] <= BAR_WORST),
            stats.bar("outputs equal", ", ".join(different) or f"{len(rows)} kernels", not different),
            stats.bar("every kernel runs", ", ".join(failed) or f"{len(rows)} kernels", not failed),
            *[_peer_bar(peer, value, len(rows)) for peer, value in found["peers"].items()]]
    return found, bars


def row_kernels(args):
    """The kernels against native code and the peers."""
    level = args.cpu or tools.cpu_level()
    shown = () if args.no_peers else PEERS
    if shown:
        peers.install()
    rows = []
    failed = {}
    for kernel in find(args.only):
        print(f"  {kernel.name} ...", flush=True)
        try:
            rows.append(kernel_row(kernel, args, level))
        except BenchError as e:
            failed[kernel.name] = str(e)
    if not rows:
        raise BenchError("; ".join(failed.values()))
    _print_rows(rows, shown)
    for name, reason in failed.items():
        print(f"FAILED {name}: {reason}")
    for variant in shown:
        for reason in sorted({r["missing"][variant] for r in rows if variant in r["missing"]}):
            names = [r["name"] for r in rows if r["missing"].get(variant) == reason]
            print(f"n/a {variant}, {'all' if len(names) == len(rows) else ', '.join(names)}: {reason}")
    summary, bars = summarise(rows, failed, shown)
    print(f"\nclang's default level / native: geometric mean {summary['default_geomean']:.3f}")
    return {"title": "Kernels", "level": level, "pairs": args.pairs, "peers": list(shown),
            "peer_versions": peers.versions_of(shown), "rows": rows, "failed": failed, "summary": summary,
            "bars": bars}


def compare_cells(args, level, without, with_):
    """Every kernel with two sets of options to cloudskin-aot, in turn; a row each with the ratio of with to without."""
    rows = []
    for kernel in find(args.only):
        print(f"  {kernel.name} ...", flush=True)
        commands = {"without": kernel.cell(level, without), "with": kernel.cell(level, with_)}
        outputs = warm_up(commands, args.size, {})
        if outputs["with"] != outputs["without"]:
            raise BenchError(f"{kernel.name}: the outputs differ")
        times, shares = compare_rounds(commands, args)
        ratios = stats.pairs(times["with"], times["without"])
        rows.append({"name": kernel.name, "times_ns": times, "cpu_share": shares,
                     "bytes": {name: Path(command[2]).stat().st_size for name, command in commands.items()},
                     "ratio": stats.median(ratios), "error": stats.median_error(ratios)})
    print(stats.table(["kernel", "with / without", "+-", "rounds"],
                      [[r["name"], f"{r['ratio']:.3f}", f"{r['error']:.3f}", len(r["times_ns"]["with"])] for r in rows]))
    return rows


def mean_of(rows):
    ratios = [r["ratio"] for r in rows]
    return stats.geomean(ratios), stats.geomean_error(ratios, [r["error"] for r in rows])


def row_polls(args):
    """The kernels with and without loop polls and unwind tests."""
    level = args.cpu or tools.cpu_level()
    rows = compare_cells(args, level, ["--no-polls"], [])
    mean, error = mean_of(rows)
    return {"title": "Loop polls and unwind tests", "level": level, "pairs": args.pairs, "rows": rows, "geomean": mean,
            "error": error,
            "bars": [stats.bar(f"with / without: geometric mean <= {BAR_POLLS}", f"{mean:.3f}", mean <= BAR_POLLS)]}


def row_movable(args):
    """The kernels as movable cells and as cells that cannot be frozen."""
    level = args.cpu or tools.cpu_level()
    rows = compare_cells(args, level, [], ["--movable"])
    mean, error = mean_of(rows)
    worst = max(rows, key=lambda r: r["ratio"])
    size = stats.geomean([r["bytes"]["with"] / r["bytes"]["without"] for r in rows])
    return {"title": "Movable cells", "level": level, "pairs": args.pairs, "rows": rows, "geomean": mean, "error": error,
            "size": size,
            "bars": [stats.bar(f"movable / not: geometric mean <= {BAR_MOVABLE}", f"{mean:.3f}", mean <= BAR_MOVABLE),
                     stats.bar(f"movable / not: worst <= {BAR_MOVABLE_WORST}", f"{worst['ratio']:.3f} ({worst['name']})",
                               worst["ratio"] <= BAR_MOVABLE_WORST),
                     stats.bar(f"image of it <= {BAR_MOVABLE_SIZE}x", f"{size:.2f}", size <= BAR_MOVABLE_SIZE)]}
