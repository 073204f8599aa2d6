"""The object store: against other S3 servers, small durable puts, a million objects."""

import os
import tempfile
import time

from . import micro, peers, servers, stats, tools
from .tools import BenchError

# bytes, objects that are there, name
SIZES = ((4096, 2048, "4 KiB"), (1 << 20, 128, "1 MiB"), (64 << 20, 32, "64 MiB"))
CLIENTS = (1, 8, 32)
S3_ROUNDS, S3_SECONDS = 3, 2

PUT_BYTES, PUT_CLIENTS, PUT_SECONDS = 4096, 32, 2
BAR_FSYNC, BAR_NO_SYNC = 8, 0.70

OBJECTS, OBJECT_BYTES = 1_000_000, 1024
PAGE_KEYS = 1000  # through S3
BAR_LIST_P99_NS, BAR_READY_S, BAR_IDLE_KIB, BAR_PER_OBJECT_BYTES = 5_000_000, 2.0, 20 * 1024, 1024
FILL_CLIENTS, LOOK_SECONDS, RESTARTS = 64, 5, 5


def scratch():
    """On the disk that is measured: beside the results, not in memory."""
    tools.OUT.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=tools.OUT, prefix="store.")


def load(command, env):
    """One run of a load program: key -> number, and the operations of a second."""
    text = tools.run(command, env=env).stdout
    found = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()}
    if not found["ops"]:
        raise BenchError(f"{os.path.basename(command[0])}: nothing was done")
    found["rate"] = found["ops"] / found["ns"] * 1e9
    return found


def median_of(runs, key):
    return stats.median([run[key] for run in runs])


def start_servers(folder, args, running):
    """Adds those that can be had; returns reasons for the others."""
    missing = {}
    kinds = [servers.Ours] if args.no_peers else [servers.Ours, servers.Minio, servers.Radosgw]
    for kind in kinds:
        server = kind(os.path.join(folder, kind.name.lower()))
        try:
            server.start()
        except BenchError as e:
            server.stop()
            if kind is servers.Ours:
                raise
            missing[kind.name] = str(e)
            print(f"without {kind.name}: {e}", flush=True)
            continue
        running.append(server)
    return missing


def one_cell(program, running, size, clients, operation, args):
    """server -> runs, in turn; every other round from the last to the first."""
    size_bytes, objects, _ = size
    runs = {server.name: [] for server in running}
    for number in range(args.rounds):
        for server in running if number % 2 == 0 else reversed(running):
            os.sync()  # what one left for the disk is not the other's
            command = [program, server.endpoint, "bench", operation, size_bytes, clients, objects, args.seconds]
            runs[server.name].append(load(command, server.env))
    return runs


def s3_bars(rows, names):
    bars = []
    for name in names:
        slower = [r for r in rows if r["rate"]["cloudskin"] <= r["rate"][name]]
        later = [r for r in rows if r["p99_ns"]["cloudskin"] >= r["p99_ns"][name]]
        bars.append(stats.bar(f"more operations a second than {name} in every row", f"{len(rows) - len(slower)} of {len(rows)}",
                              not slower))
        bars.append(stats.bar(f"lower p99 than {name} in every row", f"{len(rows) - len(later)} of {len(rows)}", not later))
    return bars


def row_s3(args):
    """GET and PUT through S3, the same load on each server."""
    program, rows = micro.embedder("s3load"), []
    with scratch() as folder:
        running = []
        try:
            missing = start_servers(folder, args, running)
            names = [server.name for server in running]
            for server in running:
                load([program, server.endpoint, "bench", "make"], server.env)
            for size in SIZES:
                for server in running:
                    load([program, server.endpoint, "bench", "fill", size[0], 4, size[1]], server.env)
                for operation in ("put", "get"):
                    for clients in CLIENTS:
                        runs = one_cell(program, running, size, clients, operation, args)
                        row = {"operation": operation, "size": size[2], "clients": clients, "runs": runs}
                        for key in ("rate", "p50_ns", "p99_ns"):
                            row[key] = {name: median_of(runs[name], key) for name in names}
                        rows.append(row)
                        print(f"{operation} {size[2]}, {clients} clients: " + ", ".join(
                            f"{n} {row['rate'][n]:.0f}/s p99 {row['p99_ns'][n] / 1e6:.1f} ms" for n in names), flush=True)
            sync = {server.name: server.sync for server in running}
            versions = {server.name: server.version() for server in running if server.name != "cloudskin"}
        finally:
            for server in running:
                server.stop()
    return {"title": "The store through S3", "rounds": args.rounds, "seconds": args.seconds, "rows": rows, "names": names,
            "sync": sync, "missing": missing, "peer_versions": versions, "bars": s3_bars(rows, names[1:])}


def row_geds_put(args):
    """Small durable puts of many threads over libcloudskin, against the disk's fsyncs and the same without fsync."""
    program, kinds = micro.embedder("geds"), ("fsync", "put", "no_sync", "put_1_connection")
    rounds = {kind: [] for kind in kinds}
    with scratch() as folder:
        synced, loose = servers.Ours(os.path.join(folder, "a")), servers.Ours(os.path.join(folder, "b"), sync=False)
        try:
            for server in (synced, loose):
                server.start()
                server.cloudskin("mb", "geds://bench")

            def put(server, number, *more):
                return load([program, "put", "bench", f"r{number}{''.join(more)}", PUT_BYTES, PUT_CLIENTS, args.seconds, *more],
                            server.env)

            measures = {"fsync": lambda number: load([program, "fsync", os.path.join(folder, "f"), PUT_BYTES, args.seconds], None),
                        "put": lambda number: put(synced, number), "no_sync": lambda number: put(loose, number),
                        "put_1_connection": lambda number: put(synced, number, "shared")}
            for number in range(args.pairs):
                for kind in kinds if number % 2 == 0 else reversed(kinds):
                    os.sync()
                    rounds[kind].append(measures[kind](number))
        finally:
            synced.stop()
            loose.stop()
    rates = {kind: [run["rate"] for run in runs] for kind, runs in rounds.items()}
    to_fsync, to_no_sync = stats.pair_ratio(rates["put"], rates["fsync"]), stats.pair_ratio(rates["put"], rates["no_sync"])
    medians = {kind: {key: median_of(runs, key) for key in ("rate", "p50_ns", "p99_ns")} for kind, runs in rounds.items()}
    print(stats.table(["", "a second", "p50 ms", "p99 ms"],
                      [[kind, f"{m['rate']:.0f}", f"{m['p50_ns'] / 1e6:.2f}", f"{m['p99_ns'] / 1e6:.2f}"]
                       for kind, m in medians.items()]))
    return {"title": "Small durable puts", "pairs": args.pairs, "seconds": args.seconds, "rounds": rounds, "medians": medians,
            "to_fsync": to_fsync, "to_no_sync": to_no_sync,
            "bars": [stats.bar(f">= {BAR_FSYNC}x the disk's fsyncs, or >= {BAR_NO_SYNC:.0%} of the rate without fsync",
                               f"{to_fsync:.1f}x, {to_no_sync:.0%}",
                               to_fsync >= BAR_FSYNC or to_no_sync >= BAR_NO_SYNC)]}


def restart(server):
    """Seconds from a start after kill -9 until it serves and has answered one request."""
    server.kill()
    began = time.monotonic()
    server.start()
    server.cloudskin("stat", "geds://bench/o/00000000")
    return time.monotonic() - began


def row_geds_million(args):
    """A million objects: made, listed, looked at, and there after a crash."""
    s3load, program = micro.embedder("s3load"), micro.embedder("geds")
    with scratch() as folder:
        server = servers.Ours(os.path.join(folder, "a"))
        try:
            server.start()
            server.cloudskin("mb", "geds://bench")
            server.cloudskin("ls")
            idle_kib = servers.resident_kib(server.pid())
            fill = load([program, "fill", "bench", OBJECT_BYTES, FILL_CLIENTS, args.objects], server.env)
            full_kib = servers.resident_kib(server.pid())
            print(f"{fill['rate']:.0f} objects a second; resident {idle_kib} KiB, then {full_kib} KiB", flush=True)
            at = [s3load, server.endpoint, "bench", "list", PAGE_KEYS, 1, args.objects, LOOK_SECONDS]
            pages = load(at, server.env)
            own_pages = load([program, "list", "bench", args.objects, 900, 1, LOOK_SECONDS], server.env)
            looks = load([program, "stat", "bench", args.objects, 1, LOOK_SECONDS], server.env)
            looked_kib = servers.resident_kib(server.pid())
            ready_s = [restart(server) for _ in range(RESTARTS)]
            count = server.status()["objects"]
            if count < args.objects:
                raise BenchError(f"{args.objects - count} objects are lost")
            again_kib = servers.resident_kib(server.pid())
        finally:
            server.stop()
    per_object = max(0, max(full_kib, looked_kib) - idle_kib) * 1024 / args.objects
    rows = [["create", f"{fill['rate']:.0f} a second", f"{fill['p50_ns'] / 1e6:.2f}", f"{fill['p99_ns'] / 1e6:.2f}"],
            [f"list, a page of {PAGE_KEYS} keys through S3", f"{pages['rate']:.0f} a second", f"{pages['p50_ns'] / 1e6:.2f}",
             f"{pages['p99_ns'] / 1e6:.2f}"],
            ["list, a page of 900 keys by libcloudskin", f"{own_pages['rate']:.0f} a second",
             f"{own_pages['p50_ns'] / 1e6:.2f}", f"{own_pages['p99_ns'] / 1e6:.2f}"],
            ["stat by libcloudskin", f"{looks['rate']:.0f} a second", f"{looks['p50_ns'] / 1e6:.3f}",
             f"{looks['p99_ns'] / 1e6:.3f}"]]
    print(stats.table(["", "rate", "p50 ms", "p99 ms"], rows))
    print("ready again: " + ", ".join(f"{s:.2f} s" for s in ready_s))
    worst = max(ready_s)
    return {"title": "A million objects", "objects": args.objects, "bytes": OBJECT_BYTES, "clients": FILL_CLIENTS, "table": rows,
            "fill": fill, "pages": pages, "own_pages": own_pages, "looks": looks, "ready_s": ready_s, "idle_kib": idle_kib,
            "full_kib": full_kib, "looked_kib": looked_kib, "again_kib": again_kib, "per_object_bytes": per_object,
            "bars": [stats.bar(f"p99 of a page of {PAGE_KEYS} keys <= 5 ms", f"{pages['p99_ns'] / 1e6:.2f} ms",
                               pages["p99_ns"] <= BAR_LIST_P99_NS),
                     stats.bar(f"ready after kill -9 in <= {BAR_READY_S:.0f} s, the longest of {RESTARTS}", f"{worst:.2f} s",
                               worst <= BAR_READY_S),
                     stats.bar("memory of the idle store <= 20 MiB", f"{idle_kib / 1024:.1f} MiB", idle_kib <= BAR_IDLE_KIB),
                     stats.bar("<= 1 KiB of memory more for each object", f"{per_object:.0f} bytes",
                               per_object <= BAR_PER_OBJECT_BYTES)]}
