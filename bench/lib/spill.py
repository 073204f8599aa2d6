"""What the spill of the object store to its tier costs a job on the same machine."""

import json
import os
import tempfile
import time

from . import micro, servers, stats, store, tools
from .tools import BenchError

BYTES, PASSES = 4 << 20, 350  # of a step: some 0.2 s of computing
STEPS = 60  # of all workers together
INPUTS = 16
LOCAL_BYTES = 512 << 20
SETTLE_S = 120
BUCKET, TIER = "job", "tier"
BAR_SLOWER, BAR_MOVED = 1.01, 0.90


class Near:
    """A store that is written to, with a tier or none."""

    def __init__(self, folder, options):
        self.server = servers.Ours(folder, options=options)
        self.server.start()
        self.server.cloudskin("mb", f"geds://{BUCKET}")
        self.pid = self.server.pid()

    def job(self, program, *words):
        return tools.run([program, *words], env=self.server.env).stdout

    def tier(self):
        return json.loads(self.server.cloudskin("tier", "--json"))

    def settle(self):
        """What is being moved of an earlier job is not this one's."""
        end, moved = time.monotonic() + SETTLE_S, -1
        while (now := self.tier())["backlog_bytes"] > 0 or now["spilled_bytes"] != moved:
            if time.monotonic() > end:
                raise BenchError(f"the store still moves objects after {SETTLE_S} s")
            moved = now["spilled_bytes"]
            time.sleep(1)

    def fill(self, program):
        """Until there is as much as may be, so that more is moved as soon as it is written."""
        self.job(program, "fill", BUCKET, "old", LOCAL_BYTES // BYTES, BYTES)
        self.job(program, "fill", BUCKET, "in", INPUTS, BYTES)


def one_run(program, near, far, workers, name):
    """One job: its times, and what the stores did meanwhile."""
    os.sync()
    before, cpu, far_cpu = near.tier(), servers.cpu_seconds(near.pid), servers.cpu_seconds(far.pid())
    words = [program, "run", BUCKET, "in", INPUTS, name, workers, STEPS // workers, BYTES, PASSES]
    found = store.load(words, near.server.env)
    after = near.tier()
    return {"seconds": found["ns"] / 1e9, "p50_ns": found["p50_ns"], "p99_ns": found["p99_ns"],
            "written_bytes": found["ops"] * BYTES, "moved_bytes": after["spilled_bytes"] - before["spilled_bytes"],
            "store_cpu_s": servers.cpu_seconds(near.pid) - cpu, "tier_cpu_s": servers.cpu_seconds(far.pid()) - far_cpu}


def rounds_of(program, stores, far, workers, args):
    """kind -> runs, in turn, behind one of each that does not count."""
    runs = {kind: [] for kind in stores}
    for number in range(args.pairs + 1):
        for kind in stores if number % 2 == 0 else reversed(stores):
            for near in stores.values():
                near.settle()
            run = one_run(program, stores[kind], far, workers, f"out/{workers}/{number}")
            if number > 0:
                runs[kind].append(run)
    return runs


def case(program, stores, far, workers, args):
    runs = rounds_of(program, stores, far, workers, args)
    ratio = stats.pair_ratio([r["seconds"] for r in runs["on"]], [r["seconds"] for r in runs["off"]])
    moved = stats.median([r["moved_bytes"] / r["written_bytes"] for r in runs["on"]])
    medians = {kind: {key: store.median_of(of, key) for key in of[0]} for kind, of in runs.items()}
    print(stats.table([f"{workers} of {os.cpu_count()} CPUs compute", "s", "p50 of a step, ms", "p99, ms", "store, CPU s", "tier, CPU s"],
                      [[f"spill {kind}", f"{m['seconds']:.2f}", f"{m['p50_ns'] / 1e6:.1f}", f"{m['p99_ns'] / 1e6:.1f}",
                        f"{m['store_cpu_s']:.2f}", f"{m['tier_cpu_s']:.2f}"] for kind, m in medians.items()]))
    print(f"with / without {ratio:.4f}; {moved:.0%} of what was written meanwhile was moved meanwhile", flush=True)
    return {"workers": workers, "runs": runs, "ratio": ratio, "moved": moved, "medians": medians}


def bars(c):
    """Of the job that leaves a CPU: with none left, either the job or the spill has to wait."""
    return [stats.bar("with the spill <= 1 % slower", f"{(c['ratio'] - 1) * 100:+.2f} %", c["ratio"] <= BAR_SLOWER),
            stats.bar(f">= {BAR_MOVED:.0%} of what is written is moved meanwhile", f"{c['moved']:.0%}", c["moved"] >= BAR_MOVED)]


def row_geds_spill(args):
    """A job that reads, computes and writes, on a store that spills and on one without a tier."""
    program, chrt = micro.embedder("job"), tools.host_program("chrt")
    running = []
    # the S3 server is on another machine as a rule: here its bytes are in memory, and it has the CPU time that is left
    with store.scratch() as folder, tempfile.TemporaryDirectory(dir="/dev/shm", prefix="cloudskin-bench-") as memory:
        try:
            far = servers.Ours(os.path.join(memory, "far"), sync=False, prefix=[chrt, "--idle", "0"])
            far.start()
            running.append(far)
            far.cloudskin("mb", f"geds://{TIER}")
            key = os.path.join(folder, "key")
            with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(f"{far.env['AWS_ACCESS_KEY_ID']} {far.env['AWS_SECRET_ACCESS_KEY']}\n")
            options = ["--tier", f"s3://{TIER}", "--tier-endpoint", f"http://{far.endpoint}", "--tier-credentials", key,
                       "--local-bytes", LOCAL_BYTES]
            stores = {}
            for kind, more in (("off", []), ("on", options)):
                stores[kind] = Near(os.path.join(folder, kind), more)
                running.append(stores[kind].server)
                stores[kind].fill(program)
            found = [case(program, stores, far, workers, args) for workers in sorted({max(1, os.cpu_count() - 1), os.cpu_count()})]
        finally:
            for server in reversed(running):
                server.stop()
    return {"title": "A job while the store spills", "pairs": args.pairs, "steps": STEPS, "bytes": BYTES, "local_bytes": LOCAL_BYTES,
            "cases": found, "bars": bars(found[0])}
