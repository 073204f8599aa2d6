"""Hot objects of the store through libcloudskin, against files."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import micro, stats, tools
from .tools import BenchError

BAR_P50_NS = 5000
BAR_TMPFS = 2.0
BAR_MMAP = 1.03  # 1.0, and what two measurements of the same differ by
START_S_MAX = 20
WHAT = {"hot_ns": "object of 4 KiB", "tmpfs_ns": "file in tmpfs, 4 KiB", "large_ns": "object of 64 MiB, one place",
        "random_ns": "object of 64 MiB, any place"}


class Store:
    """A controller of its own in a folder that goes with it."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cloudskin-bench-"))
        self.socket = self.folder / "socket"
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [tools.program("cloudskin-controller"), "--s3", "127.0.0.1:0", "--state", self.folder / "state",
                 "--socket", self.socket, "--no-sync"], env=environment, stdout=log, stderr=log)
        end = time.monotonic() + START_S_MAX
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise BenchError("the store does not start: " + (self.folder / "log").read_text()[-500:])
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def row_geds_hot(args):
    """Open, read of 4 KiB, close; and reads of mapped bytes."""
    tmpfs = Path("/dev/shm") / f"cloudskin-bench-{os.getpid()}"
    try:
        with Store() as store:
            output = tools.run([micro.embedder("geds_hot"), f"unix:{store.socket}", str(tmpfs),
                                str(store.folder / "plain"), str(args.pairs)]).stdout
    finally:
        tmpfs.unlink(missing_ok=True)
    found = {}
    for name in WHAT:
        times = micro.numbers(output, name)
        found[name] = {f"p{p}": stats.percentile(times, p) for p in (50, 99)}
    mapped = stats.pairs(micro.numbers(output, "map_ps"), micro.numbers(output, "mmap_ps"))
    ratio = found["hot_ns"]["p50"] / found["tmpfs_ns"]["p50"]
    print(stats.table(["open, read 4 KiB, close", "p50 us", "p99 us"],
                      [[WHAT[name], f"{t['p50'] / 1e3:.2f}", f"{t['p99'] / 1e3:.2f}"] for name, t in found.items()]))
    print(f"mapped random reads, object / file: {stats.median(mapped):.3f}")
    p50 = found["hot_ns"]["p50"]
    return {"title": "Hot objects", "pairs": args.pairs, "times_ns": found, "to_tmpfs": ratio, "mapped": mapped,
            "bars": [stats.bar("p50 <= 5 us", f"{p50 / 1e3:.2f} us", p50 <= BAR_P50_NS),
                     stats.bar("object / file in tmpfs <= 2", f"{ratio:.2f}", ratio <= BAR_TMPFS),
                     stats.bar(f"mapped random reads, object / file <= {BAR_MMAP}", f"{stats.median(mapped):.3f}",
                               stats.median(mapped) <= BAR_MMAP)]}
