"""The kernels: the same source natively, as a cell, and in other engines."""

import re

from . import peers, stats, tools
from .tools import BenchError

SOURCES = tools.BENCH / "kernels"
NATIVE_FLAGS = ["-O3", "-ffp-contract=off"]
BAR_GEOMEAN = 1.03
BAR_WORST = 1.15
BAR_POLLS = 1.01
PEERS = ("wasmtime", "wasm2c")


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
        wasmtime = peers.paths()["wasmtime"]
        wasm = self.wasm()
        target = self.out / f"{self.name}.cwasm"
        tools.make(target, [wasmtime, "compile", "-o", target, wasm], [wasm])
        return [wasmtime, "run", "--allow-precompiled", target]

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
    """(standard output, nanoseconds of the kernel itself)."""
    done = tools.run([*command, *size])
    match = re.search(r"^time_ns (\d+)$", done.stderr, re.MULTILINE)
    if match is None:
        raise BenchError(f"{command[0]} printed no time")
    return done.stdout, int(match.group(1))


def prepare(kernel, level, with_peers):
    """variant -> command, and variant -> reason why there is none. Native and cell must be there."""
    commands = {"native": kernel.native("native", [*NATIVE_FLAGS, *tools.march(level)]),
                "cell": kernel.cell(level),
                "default": kernel.native("default", ["-O3"])}
    missing = {}
    makers = {"wasmtime": kernel.wasmtime, "wasm2c": lambda: kernel.wasm2c(level)} if with_peers else {}
    for variant, maker in makers.items():
        try:
            commands[variant] = maker()
        except BenchError as e:
            missing[variant] = str(e)
    return commands, missing


def rounds(commands, count, size, missing):
    """variant -> times, each round running every variant in turn, and variant -> output. A peer that fails moves
    to missing; any other failure is an error."""
    times = {variant: [] for variant in commands}
    outputs = {}
    for _ in range(count):
        for variant in list(commands):
            try:
                outputs[variant], ns = measure(commands[variant], size)
            except BenchError as e:
                if variant not in PEERS:
                    raise
                missing[variant] = str(e)
                for gone in (commands, times, outputs):
                    gone.pop(variant, None)
                continue
            times[variant].append(ns)
    return times, outputs


def kernel_row(kernel, args, level):
    commands, missing = prepare(kernel, level, not args.no_peers)
    times, outputs = rounds(commands, args.pairs, args.size, missing)
    row = {"name": kernel.name, "missing": missing, "times_ns": times,
           "median_ns": {v: stats.median(t) for v, t in times.items()},
           "to_native": {v: stats.pair_ratio(t, times["native"]) for v, t in times.items()},
           "differs": [v for v, text in outputs.items() if v != "default" and text != outputs["native"]]}
    row["output"] = outputs["native"]
    return row


def _ratio(row, variant):
    ratio = row["to_native"].get(variant)
    return f"{ratio:.3f}" if ratio is not None else "n/a"


def _print_rows(rows):
    heads = ["kernel", "native ms", "cell ms", "cell", "default", *PEERS, "output"]
    lines = []
    for r in rows:
        lines.append([r["name"], f"{r['median_ns']['native'] / 1e6:.1f}", f"{r['median_ns']['cell'] / 1e6:.1f}",
                      _ratio(r, "cell"), _ratio(r, "default"), *[_ratio(r, p) for p in PEERS],
                      "differs: " + ",".join(r["differs"]) if r["differs"] else "equal"])
    print(stats.table(heads, lines))


def summarise(rows):
    """Geometric means and the worst row."""
    cell = {r["name"]: r["to_native"]["cell"] for r in rows}
    worst = max(cell, key=cell.get)
    summary = {"geomean": stats.geomean(cell.values()), "worst": worst, "worst_ratio": cell[worst],
               "default_geomean": stats.geomean([r["to_native"]["default"] for r in rows]), "peers": {}}
    for peer in PEERS:
        both = [r for r in rows if peer in r["times_ns"]]
        if both:
            ratios = [stats.pair_ratio(r["times_ns"][peer], r["times_ns"]["cell"]) for r in both]
            summary["peers"][peer] = {"kernels": len(both), "to_cell": stats.geomean(ratios)}
    summary["bars"] = {
        f"geometric mean <= {BAR_GEOMEAN}": summary["geomean"] <= BAR_GEOMEAN,
        f"worst <= {BAR_WORST}": summary["worst_ratio"] <= BAR_WORST,
        "outputs equal": not any(set(r["differs"]) & {"cell"} for r in rows),
        **{f"faster than {p}": v["to_cell"] > 1 for p, v in summary["peers"].items()},
    }
    return summary


def _report(summary):
    print(f"\ncell / native: geometric mean {summary['geomean']:.3f}, "
          f"worst {summary['worst_ratio']:.3f} ({summary['worst']}); "
          f"clang's default level / native {summary['default_geomean']:.3f}")
    for peer, value in summary["peers"].items():
        print(f"{peer} / cell: {value['to_cell']:.3f} over {value['kernels']} kernels")


def row_kernels(args):
    """The kernels against native code and the peers."""
    level = args.cpu or tools.cpu_level()
    if not args.no_peers:
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
    _print_rows(rows)
    for name, reason in failed.items():
        print(f"FAILED {name}: {reason}")
    for row in rows:
        for variant, reason in row["missing"].items():
            print(f"n/a {row['name']} {variant}: {reason}")
    summary = summarise(rows)
    summary["bars"]["every kernel runs"] = not failed
    _report(summary)
    versions = {} if args.no_peers else peers.versions()
    return {"title": "Kernels", "level": level, "pairs": args.pairs, "peer_versions": versions,
            "rows": rows, "failed": failed, "summary": summary, "bars": summary["bars"]}


def row_polls(args):
    """The kernels with and without loop polls and unwind tests."""
    level = args.cpu or tools.cpu_level()
    rows = []
    for kernel in find(args.only):
        print(f"  {kernel.name} ...", flush=True)
        commands = {"without": kernel.cell(level, ["--no-polls"]), "with": kernel.cell(level)}
        times, _ = rounds(commands, args.pairs, args.size, {})
        rows.append({"name": kernel.name, "times_ns": times,
                     "ratio": stats.pair_ratio(times["with"], times["without"])})
    mean = stats.geomean([r["ratio"] for r in rows])
    print(stats.table(["kernel", "with / without"], [[r["name"], f"{r['ratio']:.3f}"] for r in rows]))
    print(f"\nwith / without: geometric mean {mean:.3f}")
    return {"title": "Loop polls and unwind tests", "level": level, "pairs": args.pairs, "rows": rows,
            "geomean": mean, "bars": {f"geometric mean <= {BAR_POLLS}": mean <= BAR_POLLS}}
