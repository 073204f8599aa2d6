"""docs/bench.md from build/bench/*.json."""

import json

from . import stats, tools
from .tools import BenchError

DOC = tools.ROOT / "docs" / "bench.md"

HEAD = """# Figures

Measured by `make bench`; `bench/report` wrote this page from the results. Every measurement takes its
competitors in turn in one run, and what counts is the median of the ratios of each round; the command under each
heading makes that section alone. `bench/run --help` has the options, `bench/peers` installs the other engines.
Raw times are in `build/bench/*.json`.

Native twins are the same sources, `clang-19 -O3 -ffp-contract=off` at the CPU level of the cell's image, since cells give
the same bits everywhere and never fuse a multiplication with an addition. The column *default* is plain
`clang-19 -O3`: its level is x86-64, and it has no bar. Outputs of native program, cell and peers are compared
bit for bit.
"""


def markdown(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def bars(result):
    return markdown(["bar", ""], [[name, "reached" if ok else "**missed**"] for name, ok in result["bars"].items()])


def missing(pairs):
    lines = [f"- {who}: n/a, {reason}" for who, reason in pairs]
    return "\n".join(lines)


def kernels(r):
    peers = [p for p in ("wasmtime", "wasm2c") if p in r["summary"]["peers"]]
    heads = ["kernel", "native, ms", "cell, ms", "cell / native", "default / native",
             *[f"{p} / native" for p in peers]]
    rows = []
    for row in r["rows"]:
        to = row["to_native"]
        rows.append([row["name"], f"{row['median_ns']['native'] / 1e6:.0f}", f"{row['median_ns']['cell'] / 1e6:.0f}",
                     f"{to['cell']:.3f}", f"{to['default']:.3f}",
                     *[f"{to[p]:.3f}" if p in to else "n/a" for p in peers]])
    s = r["summary"]
    rows.append(["**geometric mean**", "", "", f"**{s['geomean']:.3f}**", f"{s['default_geomean']:.3f}",
                 *["" for _ in peers]])
    text = [f"Level {r['level']}, {r['pairs']} rounds. Worst: {s['worst']}, {s['worst_ratio']:.3f}.", "",
            markdown(heads, rows)]
    for peer, value in s["peers"].items():
        text += ["", f"{peer} / cell: geometric mean {value['to_cell']:.3f} over {value['kernels']} kernels."]
    gone = [(f"{row['name']}, {p}", why) for row in r["rows"] for p, why in row["missing"].items()]
    gone += [(name, why) for name, why in r["failed"].items()]
    if gone:
        text += ["", missing(gone)]
    return "\n".join(text)


def polls(r):
    rows = [[row["name"], f"{row['ratio']:.3f}"] for row in r["rows"]]
    rows.append(["**geometric mean**", f"**{r['geomean']:.3f}**"])
    return f"Level {r['level']}, {r['pairs']} rounds.\n\n" + markdown(["kernel", "with / without"], rows)


def start(r):
    rows = [[name, f"{v['p50_ns'] / 1e3:.1f}", f"{v['p99_ns'] / 1e3:.1f}"] for name, v in r["result"].items()]
    return (f"{r['starts']} starts in each of {r['pairs']} rounds. A start ends when the first exported function has "
            "returned; wasmtime has its pooling allocator and a prepared linker.\n\n" +
            markdown(["", "p50, us", "p99, us"], rows))


def process(r):
    rows = [[name, f"{r['median_ns'][name] / 1e6:.2f}", f"{r['to_cell'].get(name, 1.0):.2f}"] for name in r["times_ns"]]
    text = f"{r['rounds']} rounds.\n\n" + markdown(["process", "ms", "to the cell's"], rows)
    return text + ("\n\n" + missing(r["missing"].items()) if r["missing"] else "")


def idle(r):
    rows = [["resident (proportional share)", f"{r['resident_bytes'] / 1024:.1f}"],
            ["page tables", f"{r['page_table_bytes'] / 1024:.1f}"],
            ["**together**", f"**{(r['resident_bytes'] + r['page_table_bytes']) / 1024:.1f}**"]]
    return f"{r['cells']} cells in one process, each called once.\n\n" + markdown(["per cell", "KiB"], rows)


def hostcall(r):
    rows = [["host call from a cell", f"{r['cell_ps'] / 1000:.2f}"],
            ["C call through a pointer", f"{r['native_ps'] / 1000:.2f}"],
            ["**over it**", f"**{r['over_ps'] / 1000:.2f}**"]]
    return f"{r['pairs']} rounds.\n\n" + markdown(["", "ns"], rows)


def compile_time(r):
    rows = [[name, f"{stats.median(t):.2f}", f"{r['s_per_mb'][name]:.2f}",
             f"{stats.median(t) / stats.median(r['times_s']['wasmtime']):.1f}" if "wasmtime" in r["times_s"] else "n/a"]
            for name, t in r["times_s"].items()]
    text = (f"{r['module']}, {r['module_mb']:.2f} MB, {r['cpus']} CPUs, {r['rounds']} rounds.\n\n" +
            markdown(["compiler", "s", "s per MB", "to wasmtime"], rows))
    return text + ("\n\n" + missing(r["missing"].items()) if r["missing"] else "")


SECTIONS = {"kernels": kernels, "polls": polls, "start": start, "process": process, "idle": idle,
            "hostcall": hostcall, "compile": compile_time}


def describe(m):
    return (f"{m['cpu']}, {m['cpus']} CPUs, level {m['level']}; Linux {m['kernel']}; {m['clang']}; "
            f"load when written {m['load']}")


def section(name):
    """Text of one row, or None when it was not measured."""
    path = tools.OUT / f"{name}.json"
    if not path.exists():
        return None
    r = json.loads(path.read_text())
    versions = ", ".join(f"{k} {v}" for k, v in r.get("peer_versions", {}).items())
    return "\n".join([f"## {r['title']}", "", f"`{r['command']}` on {describe(r['machine'])}" +
                      (f"; {versions}" if versions else "") + ".", "", SECTIONS[name](r), "", bars(r), ""])


def write(target=DOC):
    """Write the whole page."""
    found = [text for text in map(section, SECTIONS) if text is not None]
    if not found:
        raise BenchError("nothing was measured yet (bench/run)")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(HEAD + "\n" + "\n".join(found))
    return target
