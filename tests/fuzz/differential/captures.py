#!/usr/bin/env python3
"""Random modules give the same results and traps when their calls are captured and resumed again and again as when
they are left alone.

Modules are those of differential.py (more of them with exceptions and tail calls, since no other engine has to take
them), loops.py and programs.py in turn. `--seed S --first I --count 1` makes one of them again; what differs is kept
in the folder --work."""

import sys

import differential
import engines
import loops
import programs

NANS = ("native", "canonical")


def config(rng):
    return {**differential.config(rng), "exceptions-enabled": rng.random() < 0.5, "max-memories": 1,
            "tail-call-enabled": rng.random() < 0.7, "max-instructions": rng.choice([200, 600, 2000])}


def make(tools, seed, index, folder):
    if index % 3 == 0:
        return differential.make(tools, seed, index, folder, config)
    return (loops if index % 3 == 1 else programs).make(tools, seed, index, folder)


class Disturber(differential.Differ):
    BATCH = 6  # these take longer

    def __init__(self, args):
        super().__init__(args, make)
        level = [v for v in args.levels.split(",") if engines.has_level(args.diff_run, v)][-1]
        self.mine = [engines.ours(args.diff_run, level, o, n, True) for o in args.opts.split(",") for n in NANS]
        self.peers = [engines.ours(args.diff_run, level, "1", n) for n in NANS]
        self.compared = {p.name: 0 for p in self.peers}


def main():
    args = differential.parse(__doc__, opts="0,2,3", levels="x86-64-v2,x86-64-v3,x86-64-v4")
    try:
        engines.install()
        disturber = Disturber(args)
    except engines.Unavailable as e:
        print(f"not run: {e}")
        return engines.SKIPPED
    return disturber.main()


if __name__ == "__main__":
    sys.exit(main())
