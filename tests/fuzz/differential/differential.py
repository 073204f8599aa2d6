#!/usr/bin/env python3
"""Random valid modules give the same results and traps here, at several CPU levels and optimisations, and under
wasmtime and V8.

Modules come from `wasm-tools smith` and a seed that is printed; `--seed S --first I --count 1` makes one of them
again. What differs is kept in the folder --work with the outputs of all engines; `--check FILE` compares one module,
and says by its exit code whether it still differs, which is what `wasm-tools shrink` asks of a predicate."""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import engines

# Names as wasm-tools has them. One memory, tables of a few entries: their whole content is compared after each call.
FIXED = {
    "max-imports": 0, "export-everything": True, "canonicalize-nans": True, "gc-enabled": False,
    "compact-imports-enabled": False, "custom-descriptors-enabled": False, "custom-page-sizes-enabled": False,
    "memory64-enabled": False, "relaxed-simd-enabled": False, "threads-enabled": False,
    "wide-arithmetic-enabled": False, "shared-everything-threads-enabled": False, "extended-const-enabled": True,
    "memory-max-size-required": True, "table-max-size-required": True, "max-table-elements": 200,
    "max-memory32-bytes": 3 * 65536, "min-funcs": 2, "max-globals": 15, "max-types": 15, "max-data-segments": 8,
    "max-element-segments": 8,
}


def config(rng):
    """Options of one module. Multi-memory and exceptions are beyond Node 20, so they come in some modules only."""
    beyond = rng.random()
    return {**FIXED,
            "exceptions-enabled": beyond < 0.1,
            "max-memories": 3 if 0.1 <= beyond < 0.2 else 1,
            "simd-enabled": rng.random() < 0.6,
            "allow-floats": rng.random() < 0.8,
            "tail-call-enabled": rng.random() < 0.5,
            "max-funcs": rng.choice([3, 6, 12]),
            "max-instructions": rng.choice([60, 200, 600]),
            "max-tables": rng.choice([1, 3])}


def make(smith, seed, index, folder, options_of=config):
    """One module, or None: most seeds give something too small to be of use."""
    rng = random.Random(f"{seed}/{index}")
    path, options = folder / f"{seed}-{index}.wasm", folder / "smith.json"
    for _ in range(30):
        options.write_text(json.dumps(options_of(rng)))
        fuel = rng.choice(["100", "1000", "10000"])
        made = subprocess.run([smith, "smith", "--ensure-termination", "-f", fuel, "-c", options, "-o", path],
                              input=rng.randbytes(rng.choice([2000, 8000, 30000])), capture_output=True, check=False)
        if made.returncode == 0 and path.stat().st_size > 400:
            return str(path)
    return None


class Differ:
    BATCH = 20

    def __init__(self, args, maker):
        self.args = args
        self.make = maker
        self.tools = engines.wasm_tools()
        levels = [v for v in args.levels.split(",") if engines.has_level(args.diff_run, v)]
        self.mine = [engines.ours(args.diff_run, v, o) for v in levels for o in args.opts.split(",")]
        self.mine.append(engines.ours(args.diff_run, levels[-1], "3", "canonical"))
        self.peers = [engines.wasmtime(), engines.v8(), engines.wasmtime("canonical")]
        self.modules = self.calls = self.refused = self.found = 0
        self.compared = {p.name: 0 for p in self.peers}

    def batch(self, paths):
        planned = engines.plans(self.args.diff_run, paths)
        refused = [p for p in paths if planned[p]]
        paths = [p for p in paths if not planned[p] and "call" in pathlib.Path(p + ".plan").read_text()]
        results = engines.run_all(self.mine + self.peers, paths, self.args.jobs) if paths else {}
        for path in refused:
            self.report(path, "diff_run", planned[path][0], "the generator", "valid", {})
        for path in paths:
            self.one(path, {name: r[path] for name, r in results.items()})

    def one(self, path, lines):
        self.modules += 1
        self.calls += sum(line.startswith("call") for line in lines[self.mine[0].name])
        for peer in self.peers:
            if engines.unsupported(lines[peer.name]):
                continue
            self.compared[peer.name] += 1
            for mine in (m for m in self.mine if m.nan == peer.nan):
                if diff := engines.difference(lines[mine.name], lines[peer.name], peer.folded):
                    self.report(path, mine.name, diff[0], peer.name, diff[1], lines)
                    return

    def report(self, path, mine, a, peer, b, lines):
        self.found += 1
        print(f"{path}\n  {mine}: {a}\n  {peer}: {b}", flush=True)
        keep = self.args.work / "findings"
        keep.mkdir(parents=True, exist_ok=True)
        target = keep / pathlib.Path(path).name
        if pathlib.Path(path) != target:
            target.write_bytes(pathlib.Path(path).read_bytes())
        for name, text in lines.items():
            (keep / f"{target.stem}.{name.replace(' ', '')}.txt").write_text("\n".join(text) + "\n")

    def run(self):
        end = time.monotonic() + self.args.seconds if self.args.seconds else None
        index, last = self.args.first, self.args.first + self.args.count
        folder = self.args.work / "modules"
        folder.mkdir(parents=True, exist_ok=True)
        while index < last and not (end and time.monotonic() > end):
            made = [self.make(self.tools, self.args.seed, i, folder) for i in range(index, min(last, index + self.BATCH))]
            index += self.BATCH
            self.batch([m for m in made if m])
            for old in folder.glob(f"{self.args.seed}-*"):
                old.unlink()

    def main(self):
        if self.args.check:
            self.batch([self.args.check])
            return 0 if self.found else 1
        print(f"seed {self.args.seed}", flush=True)
        self.run()
        peers = ", ".join(f"{n} with {name}" for name, n in self.compared.items())
        print(f"seed {self.args.seed}: {self.modules} modules, {self.calls} calls, {self.found} differ "
              f"(compared: {peers}; {len(self.mine)} ways of compiling)")
        return 1 if self.found else 0


def parse(description=__doc__, opts="1,3", levels="x86-64-v2,x86-64-v3,x86-64-v4"):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--diff-run", required=True, help="the program diff_run")
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("differential"), help="folder for findings")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--count", type=int, default=10**9)
    p.add_argument("--seconds", type=float, help="start no batch after that time")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--levels", default=levels)
    p.add_argument("--opts", default=opts)
    p.add_argument("--check", help="compare this module; exit code 0 when it differs")
    return p.parse_args()


def main():
    args = parse()
    try:
        engines.install()
        differ = Differ(args, make)
    except engines.Unavailable as e:
        print(f"not run: {e}")
        return engines.SKIPPED
    return differ.main()


if __name__ == "__main__":
    sys.exit(main())
