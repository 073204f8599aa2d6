"""docs/bench.md from build/bench/*.json and bench/why.md."""

import json
import re

from . import geds_hot, geds_peer, stats, tools
from .freeze import HANDOVER_KEYS as FREEZE_KEYS
from .kernels import BAR_WORST, EXACT, PAIRS_MORE
from .tools import BenchError

DOC = tools.ROOT / "docs" / "bench.md"
WHY = tools.BENCH / "why.md"

HEAD = """# Figures

Measured by `make bench`; `bench/report` wrote this page from the results. The command under each heading makes that section
alone. `bench/run --help` has the options, `bench/peers` installs the other engines. Raw times are in `build/bench/*.json`.

Every measurement takes its competitors in turn in one run, every other round from the last to the first, and what counts is the
median of the ratios of each round. "Not worse" than another means: the median of the ratios, of at least 9 rounds, is at most
1.03, and the geometric mean of the row at most 1.00.

The time of a kernel is the time it had a CPU: its own clock's time, less the share that the process waited while others ran
(`/proc/PID/schedstat`). On an idle machine both are the same; on a busy one the clock's time says more about the others. Whole
processes, starts and compilers are measured by the clock; under each heading stands what else the machine did meanwhile.
"""

KERNELS_HEAD = """Native twins are the same sources, `clang-19 -O3 -ffp-contract=off` at the CPU level of the cell's image, since
cells give the same bits everywhere and never fuse a multiplication with an addition. The column *default* is plain `clang-19
-O3`: its level is x86-64, and it has no bar. Outputs are compared bit for bit. Peers get what makes them fastest: wasmtime's
compiler uses all that this CPU has, wasm2c's C is compiled like the native twin, wamrc gets `--opt-level=3 --enable-segue` and
the level. A peer's column is its time to the cell's: above 1 the cell is faster.
"""


def markdown(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def bars(result):
    words = {True: "reached", False: "**missed**", None: "not measured"}
    return markdown(["bar", "measured", ""], [[b["bar"], b["value"], words[b["ok"]]] for b in result["bars"]])


def reasons(found):
    """Lines for reason -> those it is the reason of."""
    return "\n".join(f"- {', '.join(who)}: {why}" for why, who in found.items())


def missing(pairs):
    found = {}
    for who, why in pairs:
        found.setdefault(why, []).append(who)
    return reasons(found)


def explanations():
    """(row, text of the bar or kernel) -> paragraph of bench/why.md."""
    found = re.findall(r"^## (\w+): (.+)\n((?:(?!## ).*\n)*)", WHY.read_text(), re.MULTILINE)
    return {(row, what.strip()): text.strip() for row, what, text in found}


def why(name, result):
    """What is missed in a row and why; what has no explanation says so."""
    known = {what: text for (row, what), text in explanations().items() if row == name}
    missed = [b["bar"] for b in result["bars"] if b["ok"] is False]
    slow = []
    if name == "kernels":
        slow = [r["name"] for r in result["rows"] if r["to_native"]["cell"] > BAR_WORST]
        missed = [bar for bar in missed if not (slow and "worst" in bar)]
    lines = []
    for bar in missed:
        text = next((text for what, text in known.items() if what in bar), None)
        lines.append((bar, text))
    lines += [(kernel, known.get(kernel)) for kernel in slow]
    for what, text in lines:
        if text is None:
            print(f"bench/why.md does not explain {name}: {what}")
    return "\n".join(f"- *{what}*: {' '.join((text or 'not explained yet.').split())}" for what, text in lines)


def kernels(r):
    peers = r["peers"]
    of = r["summary"]["peers"]
    heads = ["kernel", "native, ms", "cell, ms", "cell / native", "±", "rounds", "default / native",
             *[f"{p} / cell" for p in peers]]
    rows = []
    for row in r["rows"]:
        to = row["to_native"]
        rows.append([row["name"], f"{row['median_ns']['native'] / 1e6:.0f}", f"{row['median_ns']['cell'] / 1e6:.0f}",
                     f"{to['cell']:.3f}", f"±{row['error']:.3f}", len(row["times_ns"]["cell"]),
                     f"{to['default']:.3f}", *[peer_cell(row, p) for p in peers]])
    s = r["summary"]
    rows.append(["**geometric mean**", "", "", f"**{s['geomean']:.3f}**", "", "", f"{s['default_geomean']:.3f}",
                 *[f"**{of[p]['to_cell']:.3f}**" if of[p]["to_cell"] else "" for p in peers]])
    text = [KERNELS_HEAD, f"Level {r['level']}; cell and native {rounds_of(r)}; all else {r['pairs']} rounds.", "",
            markdown(heads, rows)]
    gone = [(f"{row['name']} in {p}", reason) for row in r["rows"] for p, reason in row["missing"].items()
            if of.get(p, {}).get("kernels")]
    gone += [(p, value["reason"]) for p, value in of.items() if not value["kernels"]]
    gone += list(r["failed"].items())
    if gone:
        text += ["", "Without a value:", "", missing(gone)]
    return "\n".join(text)


def peer_cell(row, peer):
    if peer in row["to_cell"]:
        return f"{row['to_cell'][peer]:.3f}"
    return "not given" if row["missing"].get(peer, "").startswith("not given") else "n/a"


def compared(row):
    """Of a row of cells with and without: the ratio, how far the true median may be from it, and the rounds."""
    return [f"{row['ratio']:.3f}", f"±{row['error']:.3f}", len(row["times_ns"]["with"])]


def rounds_of(r):
    return (f"at least {r['pairs']} rounds, up to {PAIRS_MORE} times as many until the 95 % interval of the median ratio "
            f"(±, by ranks) is twice in a row at most ±{EXACT}")


def polls(r):
    rows = [[row["name"], *compared(row)] for row in r["rows"]]
    rows.append(["**geometric mean**", f"**{r['geomean']:.3f}**", f"±{r['error']:.3f}", ""])
    return (f"Cells to the same cells without polls (`cloudskin-aot --no-polls`), level {r['level']}, {rounds_of(r)}."
            "\n\n" + markdown(["kernel", "with / without", "±", "rounds"], rows))


def movable(r):
    rows = [[row["name"], *compared(row), f"{row['bytes']['with'] / row['bytes']['without']:.2f}"]
            for row in r["rows"]]
    rows.append(["**geometric mean**", f"**{r['geomean']:.3f}**", f"±{r['error']:.3f}", "", f"**{r['size']:.2f}**"])
    return (f"Cells made with `cloudskin-aot --movable` to the same cells without, level {r['level']}, {rounds_of(r)}: "
            "time, and size of the image.\n\n" + markdown(["kernel", "time", "±", "rounds", "image"], rows))


def stop(r):
    rows = [[row["name"], *[f"{row[key] / 1e3:.0f}" for key in ("p50_ns", "p99_ns", "max_ns")]] for row in r["rows"]]
    return (f"{r['stops']} stops of each kernel at random moments (seed {r['seed']}), from the request of another thread until "
            "the call has returned with all frames saved; the program then goes on from there. `loop` is a loop without a call, "
            "`deep` is 10,000 calls deep.\n\n" +
            markdown(["kernel", "p50, us", "p99, us", "longest, us"], rows))


def freeze(r):
    rows = [[row["mib"], *[f"{row[key] / 1e6:.2f}" for key in FREEZE_KEYS], f"{row['share']:.0%}",
             f"{row['new_pause_ns'] / 1e6:.2f}"] for row in r["rows"]]
    commands = [[row["mib"], f"{row['pause_ns'] / 1e6:.1f}", f"{row['freeze_ns'] / 1e6:.1f}", f"{row['bytes'] / 2**20:.1f}"]
                for row in r["commands"]]
    return (f"{r['pairs']} rounds, the snapshot in a file in memory whose pages were used before. One process has the running "
            "cell, the other one has the program and an instance ready, whose memory was made present to the size of the cell's "
            "before the request, as an embedder does while the cell still runs (`cell_memory_prepare`). The pause is from the "
            "request to stop until the program's first host call in the other process; the last column is the pause with an "
            "instance that has no memory yet. Each round also copies as many bytes into untouched memory with "
            "pages of the same size; the share is the time of that to the pause.\n\n" +
            markdown(["MiB touched", "pause, ms", "stop", "write", "read", "first call", "memcpy, ms", "share",
                      "not prepared, ms"], rows) +
            "\n\nThe same program frozen and thawed by the commands. The pause is from the last line that it wrote before it "
            "was frozen, a line a millisecond, to the first one after it was thawed: both commands, the start of both processes "
            "and a new file are in it. There are no bars for this.\n\n" +
            markdown(["MiB touched", "pause, ms", "`freeze`, ms", "MiB in the file"], commands))


def criu(r):
    rows = [[row["mib"], f"{row['pause_ns'] / 1e6:.1f}", f"{row['criu_pause_ns'] / 1e6:.1f}", f"{row['bytes'] / 2**20:.2f}",
             f"{row['criu_bytes'] / 2**20:.2f}"] for row in r["rows"]]
    return (f"{r['pairs']} rounds in turn, CRIU {r['criu']} with the native twin of the program; both write to memory, and the "
            "pause is measured in the same way.\n\n" +
            markdown(["MiB touched", "pause, ms", "CRIU's, ms", "MiB in the file", "CRIU's, MiB"], rows))


def precopy(r):
    rows = [[m["mib"], f"{m['pause_ns'] / 1e6:.1f}", f"{m['plain_pause_ns'] / 1e6:.1f}", f"{m['rounds']:.0f}",
             f"{m['bytes'] / 2**20:.1f}"] for m in r["medians"]]
    return (f"{r['pairs']} rounds; a cell that writes to 5 % of its pages a second is sent to another process through a "
            "local socket. The pause is from the request to stop until the other process goes on.\n\n" +
            markdown(["MiB touched", "pause, ms", "without rounds, ms", "rounds", "MiB sent"], rows))


def incremental(r):
    m = r["medians"]
    rows = [[name, f"{m[name + '_ns'] / 1e6:.1f}", f"{m[name + '_bytes'] / 2**20:.1f}"] for name in ("full", "increment")]
    return (f"{r['pairs']} rounds; {r['mib']} MiB are written whole, then the 1 % of the pages that were written to "
            "meanwhile, into files in memory.\n\n" + markdown(["snapshot", "ms", "MiB"], rows))


def start(r):
    rows = [[name, f"{v['p50_ns'] / 1e3:.1f}", f"{v['p99_ns'] / 1e3:.1f}"] for name, v in r["result"].items()]
    return (f"{r['starts']} starts in each of {r['pairs']} rounds. A start ends when the first exported function has "
            "returned; wasmtime has its pooling allocator, whose slots keep their pages, and a prepared linker.\n\n" +
            markdown(["", "p50, us", "p99, us"], rows))


def process(r):
    rows = [[name, f"{r['median_ns'][name] / 1e6:.2f}", f"{r['to_cell'][name]:.2f}"] for name in r["times_ns"]]
    text = (f"{r['rounds']} rounds. The cell's image is in the cache, wasmtime's module is precompiled, crun's container "
            "has the native program, linked statically.\n\n" + markdown(["process", "ms", "to the cell's"], rows))
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
    ratio = r["to_wasmtime"]
    rows = [[name, f"{stats.median(t):.2f}", f"{stats.median(r['cpu_s'][name]):.2f}", f"{r['s_per_mb'][name]:.2f}",
             f"{ratio[name]:.1f}" if ratio else "n/a"] for name, t in r["times_s"].items()]
    text = (f"{r['module']}, {r['module_mb']:.2f} MB, {r['rounds']} rounds; each compiler uses all CPUs.\n\n" +
            markdown(["compiler", "s", "s of all CPUs", "s per MB", "to wasmtime"], rows))
    return text + ("\n\n" + missing(r["missing"].items()) if r["missing"] else "")


def hot_objects(r):
    rows = [[geds_hot.WHAT[name], f"{t['p50'] / 1e3:.2f}", f"{t['p99'] / 1e3:.2f}"] for name, t in r["times_ns"].items()]
    return (f"Open, read of 4 KiB, close; {r['pairs']} rounds of 500 each, in turn, one thread. Objects are those of "
            "`cloudskin-controller`, through `libcloudskin`; all of it is in memory. Reads of the mapped object of 64 MiB "
            f"at random places take {stats.median(r['mapped']):.3f} of the time of those of a mapped file.\n\n" +
            markdown(["", "p50 us", "p99 us"], rows))


def digits(value):
    """Three of them, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def s3(r):
    names = r["names"]
    heads = ["", "clients", *[f"{n}, ops/s" for n in names], *[f"{n}, p50 ms" for n in names], *[f"{n}, p99 ms" for n in names]]
    rows = [[f"{row['operation'].upper()} {row['size']}", row["clients"], *[digits(row["rate"][n]) for n in names],
             *[digits(row["p50_ns"][n] / 1e6) for n in names], *[digits(row["p99_ns"][n] / 1e6) for n in names]]
            for row in r["rows"]]
    text = (f"{r['rounds']} rounds in turn of {r['seconds']} s each (longer where one operation is), medians. All servers have "
            "their data on the same disk of one machine, on which the load runs as well, by the same program: each client is a "
            "connection that is kept, all requests are signed, bodies with their SHA-256. Objects are replaced and read whole.\n\n"
            "When a PUT is answered:\n\n" + "\n".join(f"- {n}: {r['sync'][n]}." for n in names) + "\n\n" + markdown(heads, rows))
    return text + ("\n\nWithout a value:\n\n" + missing(r["missing"].items()) if r["missing"] else "")


def geds_put(r):
    words = {"fsync": "append and fdatasync of one file", "put": "put, 32 connections",
             "no_sync": "the same with `up --no-sync`", "put_1_connection": "put, 32 threads over one connection"}
    rows = [[words[kind], f"{m['rate']:.0f}", f"{m['p50_ns'] / 1e6:.2f}", f"{m['p99_ns'] / 1e6:.2f}"]
            for kind, m in r["medians"].items()]
    return (f"{r['pairs']} rounds in turn of {r['seconds']} s each, 4 KiB, new names, 32 threads with libcloudskin; each put is "
            "on the disk before it is answered.\n\n" + markdown(["", "a second", "p50, ms", "p99, ms"], rows))


def geds_spill(r):
    rows = []
    for c in r["cases"]:
        for kind in ("off", "on"):
            m = c["medians"][kind]
            rows.append([c["workers"], kind, f"{m['seconds']:.2f}", f"{m['p50_ns'] / 1e6:.1f}", f"{m['p99_ns'] / 1e6:.1f}",
                         f"{m['store_cpu_s']:.2f}", f"{m['tier_cpu_s']:.2f}", f"{c['ratio']:.4f}" if kind == "on" else "",
                         f"{c['moved']:.0%}" if kind == "on" else ""])
    mib, local = r["bytes"] >> 20, r["local_bytes"] >> 20
    return (f"{r['pairs']} rounds in turn. A job of {r['steps']} steps, which one thread does, or as many as there are CPUs: read an "
            f"object of {mib} MiB, compute on it, write one of {mib} MiB. The same job with a store without a tier, and with one whose "
            f"local disk has reached its watermark of {local} MiB, so that as much is moved as is written. The tier is a second store, "
            "here on the same machine: its bytes are in memory and it has the CPU time that nobody else wants (`SCHED_IDLE`), as if "
            "its CPUs and disks were another machine's; what it needed of it is in the table. The bars are of the job that leaves a "
            "CPU; when all compute, the store's and the tier's own work has to wait for a gap.\n\n" +
            markdown(["threads of the job", "spill", "s", "p50 of a step, ms", "p99, ms", "store, CPU s", "tier, CPU s", "with / without",
                      "moved of what was written"], rows))


def geds_million(r):
    m = r["minio"]
    other = (f" MinIO, with {m['objects']} objects: {m['idle_kib'] / 1024:.1f} MiB when it is empty, {m['full_kib'] / 1024:.1f} "
             f"MiB with them, ready again after {m['ready_s']:.2f} s." if m else "")
    return (f"{r['objects']} objects of {r['bytes']} bytes, made by {r['clients']} threads; the others are one after the other, at "
            f"random places. Ready again after kill -9, `cloudskin up -d` and one answer included: "
            f"{', '.join(f'{s:.2f} s' for s in r['ready_s'])}. Resident: {r['idle_kib'] / 1024:.1f} MiB when it is empty, "
            f"{r['full_kib'] / 1024:.1f} MiB with all objects, {r['looked_kib'] / 1024:.1f} MiB after the lists, "
            f"{r['again_kib'] / 1024:.1f} MiB after the last restart.{other}\n\n" +
            markdown(["", "rate", "p50, ms", "p99, ms"], r["table"]))


def peer_read(r):
    heads = ["", *[f"{limit}, {what}" for limit in r["found"] for what in ("Gbit/s", "of iperf3")]]
    rows = [[words, *[cell for f in r["found"].values()
                      for cell in (f"{stats.median(f['rates'][name]) / 1e9:.2f}", f"{f['shares'][name]:.1%}")]]
            for name, words in geds_peer.WAYS.items()]
    return (f"{r['pairs']} rounds in turn, medians. The store and its client are in two network namespaces of one machine with a "
            f"veth pair between them, on whose sending side `tc tbf` limits the rate ({r['limit']}) or nothing does: then CPUs "
            "that all share are the limit. iperf3 sends as many bytes over one connection in the clear; the client reads an "
            f"object of {r['bytes'] >> 20} MiB over TLS 1.3, and every byte is compared with its checksums at both ends. "
            "`geds_pread` reads into memory that is there, over a connection that stands; `cloudskin get` is a process with all "
            "that it does.\n\n" + markdown(heads, rows))


SECTIONS = {"kernels": kernels, "polls": polls, "movable": movable, "start": start, "process": process, "idle": idle,
            "hostcall": hostcall, "stop": stop, "freeze": freeze, "criu": criu, "precopy": precopy, "incremental": incremental,
            "compile": compile_time, "geds_hot": hot_objects, "s3": s3, "geds_put": geds_put, "geds_spill": geds_spill,
            "geds_million": geds_million, "geds_peer": peer_read}


def describe(r):
    m = r["machine"]
    a = r["around"]
    stolen = f", {a['stolen']:.0%} were stolen" if a["stolen"] >= 0.005 else ""
    return (f"`{r['command']}` on {m['cpu']}, {m['cpus']} CPUs, level {m['level']}; Linux {m['kernel']}; {m['clang']}; "
            f"load {a['load_before']} to {a['load_after']}, others had {a['others']:.0%} of the CPUs{stolen}.")


def section(name):
    """Text of one row, or None when it was not measured."""
    path = tools.OUT / f"{name}.json"
    if not path.exists():
        return None
    r = json.loads(path.read_text())
    if "around" not in r:
        raise BenchError(f"{name}.json is of an older bench/run: measure that row again")
    lines = [f"## {r['title']}", "", describe(r)]
    if r.get("peer_versions"):
        lines += ["Peers: " + ", ".join(f"{k} {v}" for k, v in r["peer_versions"].items()) + "."]
    if r.get("pairs", stats.PAIRS_MIN) < stats.PAIRS_MIN:
        lines += [f"**Provisional**: rounds: {r['pairs']}; {stats.PAIRS_MIN} are needed."]
    if r.get("partial") and name in ("kernels", "polls", "movable", "stop"):
        lines += ["**Partial**: not all kernels at their full size."]
    if r.get("partial") and name == "geds_million":
        lines += ["**Partial**: fewer objects."]
    lines += ["", SECTIONS[name](r), "", bars(r), ""]
    reason = why(name, r)
    return "\n".join(lines + (["Missed, and why:", "", reason, ""] if reason else []))


def write(target=DOC):
    """Write the whole page."""
    found = {name: section(name) for name in SECTIONS}
    absent = [name for name, text in found.items() if text is None]
    if len(absent) == len(found):
        raise BenchError("nothing was measured yet (bench/run)")
    text = HEAD + "\n" + "\n".join(t for t in found.values() if t is not None)
    if absent:
        text += "\n## Not measured in this run\n\n" + ", ".join(f"`bench/run {name}`" for name in absent) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target
