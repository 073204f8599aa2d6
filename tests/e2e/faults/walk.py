#!/usr/bin/env python3
"""A fault at each call that changes a file, while a program is frozen, checkpointed, gone back to, compiled.

walk.py [--only SCENARIO[:WHO[:MODE[:N]]]] [--seconds S] [--seed N] [--jobs N]

In a folder with steps.wasm and steps.cell; programs are found by PATH. Each case is one run in a folder of its own, in
which the Nth call of one process is spoiled by `faultat`. Whatever it is: there is no half file with a final name, the
snapshot or checkpoint before is good, what goes on from it ends with the very bytes of an undisturbed run, failures are
said with the documented exit codes, and what is merely short or interrupted is no failure at all.
Cases are drawn by the seed for S seconds; 0 takes all of them. The last line is `N passed, N failed`."""
import argparse
import concurrent.futures
import filecmp
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

STEPS = 9
PATIENCE_S = 120
NEVER = 10**6
HARMLESS = ("short", "EINTR")
KILLS = ("kill", "killed")
MODES = KILLS + HARMLESS + ("EIO", "ENOSPC")
REFUSED, SYSTEM, MISSING, FROZEN, END = 65, 71, 127, 75, 9
HOME = os.getcwd()


class Wrong(Exception):
    pass


def must(good, what):
    if not good:
        raise Wrong(what)


class Fault:
    """Mode and number of a case, for the one process that it is meant for."""

    def __init__(self, folder, mode, n, under):
        self.mode, self.n, self.under, self.folder = mode, n, under, folder
        self.log = os.path.join(folder, "fault.log")

    def command(self, argv):
        words = ["faultat", self.mode, str(self.n), "--log", self.log]
        if self.mode == "ENOSPC":  # and then somebody makes room
            words += ["--times", "4"]
        for path in self.under:
            words += ["--under", os.path.join(self.folder, path)]
        return words + argv

    def lines(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return [line.split() for line in f]

    def seen(self):
        return max([int(words[1]) for words in self.lines() if len(words) > 1], default=0)

    def came(self):
        return any(words[0] == "fault" for words in self.lines())

    def hit(self, *parts):
        """Was it on a file with one of these in its name?"""
        return any(part in word for words in self.lines() for word in words[3:] for part in parts)


class Place:
    """A folder with the files of one run."""

    def __init__(self, folder):
        self.folder = folder
        self.far = None
        self.points = os.path.join(folder, "state/cloudskin/checkpoints/sim")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=folder + "/runtime", XDG_STATE_HOME=folder + "/state",
                        CLOUDSKIN_CACHE=folder + "/cache")
        for name in ("data", "snaps", "cache", "state/cloudskin/checkpoints/sim"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        os.makedirs(folder + "/runtime", mode=0o700, exist_ok=True)

    def move_far(self):
        """Checkpoints are on another file system: removed files are copied, not linked."""
        self.far = tempfile.mkdtemp(prefix="cloudskin-faults.", dir="/dev/shm")
        shutil.rmtree(self.folder + "/state")
        os.symlink(self.far, self.folder + "/state")
        os.makedirs(self.points)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.far:
            shutil.rmtree(self.far, ignore_errors=True)

    def run(self, argv, fault=None, stdin="/dev/zero"):
        argv = fault.command(argv) if fault else argv
        with open(stdin, "rb") as f:
            done = subprocess.run(argv, cwd=self.folder, env=self.env, stdin=f, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
        done.err = done.stderr.replace(b"\a", b"").decode(errors="replace")
        return done

    def ends_well(self, done, what):
        must(done.returncode == END, f"{what}: exit code {done.returncode}: {done.err.strip()}")
        same_files(self.folder, what)

    def thaw(self, *words, fault=None):
        return self.run(["cloudskin", "thaw", "--output", "data.out", "--dir", "data:.", *words], fault)


def tree(folder):
    found = {}
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(at, name)
            key = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[key] = os.readlink(path)
            elif os.path.isdir(path):
                found[key] = "folder"
            else:
                with open(path, "rb") as f:
                    found[key] = f.read()
    return found


def same_files(folder, what):
    must(filecmp.cmp(folder + "/data.out", HOME + "/whole.out", shallow=False), what + ": another output")
    mine, whole = tree(folder + "/data"), tree(HOME + "/whole")
    differ = sorted(k for k in mine.keys() | whole.keys() if mine.get(k) != whole.get(k))
    must(not differ, f"{what}: other files: {differ}")


class Cell:
    """A running program that makes a step for each byte that it gets."""

    def __init__(self, place, fault=None):
        argv = ["cloudskin", "run", "--name", "sim", "--output", "data.out", "--dir", "data:.",
                HOME + "/steps.cell", str(STEPS)]
        self.process = subprocess.Popen(fault.command(argv) if fault else argv, cwd=place.folder, env=place.env,
                                        stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = b""
        self.ended = False
        self.bells = 0

    def hear(self):
        ready, _, _ = select.select([self.process.stderr], [], [], PATIENCE_S)
        must(ready, "the program does nothing")
        more = os.read(self.process.stderr.fileno(), 4096)
        self.said += more
        self.ended = self.ended or more == b""
        self.bells = self.said.count(b"\a")

    def step(self, count):
        """False: it has ended."""
        want = self.bells + count
        try:
            self.process.stdin.write(b"x" * count)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        while self.bells < want and not self.ended:
            self.hear()
        return not self.ended

    def drain(self):
        while not self.ended:
            self.hear()
        return self.process.wait(PATIENCE_S)

    def finish(self):
        """To its own end."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        return self.drain()

    def kill(self):
        self.process.kill()  # with `faultat` the program ends as well
        return self.finish()

    def alive(self):
        ready, _, _ = select.select([self.process.stderr], [], [], 0)
        if ready:
            self.hear()
        return not self.ended


def clear_error(code, text, what, codes=(SYSTEM,)):
    must(code in codes, f"{what}: exit code {code}: {text.strip()}")
    must(len(text.strip()) > 12 and "Success" not in text, f"{what}: unclear: '{text.strip()}'")


# ---- freeze ----


def whole_snapshot(place, path, what):
    done = place.run(["cloudskin", "inspect", path])
    must(done.returncode == 0, f"{what}: {path} is no whole snapshot: {done.err.strip()}")


def read_file(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        return f.read()


def freeze(place, fault, who, mode):
    """A snapshot of a program that runs on, then one with the same name that it ends with."""
    cell = Cell(place, fault if who == "cell" else None)
    snap = place.folder + "/snaps/x.snap"
    options = ["--compress"] if who == "compress" else []
    tool = fault if who != "cell" else None
    runs = cell.step(2)
    must(runs or mode in KILLS, "the program ended")
    first = place.run(["cloudskin", "freeze", "--keep", "sim", "-o", "snaps/x.snap"])
    before = read_file(snap)
    if before is not None:
        whole_snapshot(place, snap, "the first")
    must(before is not None or first.returncode != 0, "the first was not written")
    if first.returncode != 0 and mode not in KILLS:
        must(mode not in HARMLESS, "the first: " + first.err)
        clear_error(first.returncode, first.err, "the first")
    cell.step(2)
    second = place.run(["cloudskin", "freeze", *options, "sim", "-o", "snaps/x.snap"], tool)
    after = read_file(snap)
    if after is not None:
        whole_snapshot(place, snap, "the second")
    check_second(place, fault, mode, cell, second, before != after)
    left = [name for name in os.listdir(place.folder + "/snaps") if name != "x.snap"]
    must(not left or (mode in KILLS and who != "cell") or fault.hit(left[0]), f"left over: {left}")


def check_second(place, fault, mode, cell, second, frozen):
    killed = mode in KILLS and fault.came()
    if frozen:
        code = cell.finish()
        must(code == FROZEN or killed, f"frozen, and the program ended with {code}")
        must(second.returncode == 0 or killed or fault.came(), "a failure with a snapshot: " + second.err)
        place.ends_well(place.thaw("snaps/x.snap"), "what was frozen")
        return
    must(second.returncode != 0, "done, and no snapshot")
    must(mode not in HARMLESS, "the second: " + second.err)
    if not killed:
        clear_error(second.returncode, second.err, "the second")
    code = cell.finish()
    must(code == END or (killed and code == 128 + signal.SIGKILL), f"not frozen, and it ended with {code}")
    if code == END:
        same_files(place.folder, "the program that was not frozen")


# ---- checkpoints ----


def checkpoint(place, mode, fault, keep="2"):
    done = place.run(["cloudskin", "checkpoint", "--keep", keep, "sim"], fault)
    if done.returncode != 0 and mode not in KILLS:
        must(mode not in HARMLESS, "a checkpoint: " + done.err)
        clear_error(done.returncode, done.err, "a checkpoint")
    return done.returncode == 0


def go_back(place, fault, mode, made):
    """From the newest checkpoint to the end of an undisturbed run, or a refusal that is due."""
    before = tree(place.folder + "/data")
    done = place.thaw("--name", "sim")
    if done.returncode == END:
        same_files(place.folder, "going back")
        return
    # a journal that could not be written to is of no use, which is said
    spoiled = mode in ("EIO", "ENOSPC") and fault.hit(".undo", ".kept", "/sim")
    must(spoiled or made == 0, f"going back: exit code {done.returncode}: {done.err.strip()}")
    clear_error(done.returncode, done.err, "going back", (REFUSED, SYSTEM, MISSING))
    must(before == tree(place.folder + "/data"), "refused, but files were changed")


def checkpoints(place, fault, who, mode):
    """One after the other with steps between; the newest is gone back to."""
    if who == "far":
        place.move_far()
    cell = Cell(place, fault if who != "tool" else None)
    made = 0
    for count in (2, 3, 2):
        cell.step(count)
        last = count == 2 and cell.bells > 2
        made += checkpoint(place, mode, fault if who == "tool" and last else None)
    cell.step(1)
    if mode in KILLS:
        cell.kill()
    else:
        code = cell.finish()
        must(code == END, f"the program ended with {code}: {cell.said.decode(errors='replace')}")
        same_files(place.folder, "the program that was checkpointed")
    must(who == "tool" or made == 3 or fault.came(), "a checkpoint failed")
    go_back(place, fault, mode, made)


def every(place, fault, who, mode):
    """The same with increments: one command makes all of them."""
    cell = Cell(place, fault if who == "cell" else None)
    cell.step(1)
    argv = ["cloudskin", "checkpoint", "--every", "10ms", "--keep", "2", "sim"]
    made = 0
    with open(place.folder + "/tool.err", "wb") as err:
        tool = subprocess.Popen(fault.command(argv) if who == "tool" else argv, cwd=place.folder, env=place.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        for _ in range(4):
            line = tool.stdout.readline() if cell.alive() else b""
            made += line != b""
            cell.step(1)
        if mode in KILLS:
            cell.kill()
        else:
            code = cell.finish()
            must(code == END, f"the program ended with {code}")
            same_files(place.folder, "the program that was checkpointed")
        tool.stdout.read()
        code = tool.wait(PATIENCE_S)
    if mode in HARMLESS:
        must(code == 0, f"--every: exit code {code}: {read_file(place.folder + '/tool.err')}")
    elif mode not in KILLS:
        must(code in (0, SYSTEM), f"--every: exit code {code}")
    go_back(place, fault, mode, made)


def leave(place, fault, who, mode):
    """A checkpoint, steps, a freeze: either its snapshot goes on or the checkpoint does."""
    cell = Cell(place, fault if who == "cell" else None)
    cell.step(2)
    made = checkpoint(place, mode, None)
    cell.step(2)
    done = place.run(["cloudskin", "freeze", "sim", "-o", "snaps/x.snap"], fault if who == "tool" else None)
    snap = place.folder + "/snaps/x.snap"
    if not os.path.exists(snap):
        must(done.returncode != 0, "done, and no snapshot")
        must(mode not in HARMLESS, "freeze: " + done.err)
        cell.finish()
        go_back(place, fault, mode, made)
        return
    code = cell.finish()
    must(code == FROZEN or (mode in KILLS and fault.came()), f"frozen, and the program ended with {code}")
    whole_snapshot(place, snap, "what was frozen")
    back = place.thaw("--name", "sim")
    must(back.returncode != END, "the checkpoint goes on, and so does what was frozen after it")
    clear_error(back.returncode, back.err, "going back", (REFUSED, SYSTEM, MISSING))
    place.ends_well(place.thaw("snaps/x.snap"), "what was frozen")


# ---- thaw ----


def prepare_thaw():
    """Two checkpoints, and steps behind each: what every case goes back from."""
    place = Place(HOME + "/prepared")
    cell = Cell(place)
    for count in (2, 3):
        cell.step(count)
        checkpoint(place, "none", None)
    cell.step(3)
    cell.kill()


def thaw(place, fault, who, mode):
    """Back to the first checkpoint, with a fault on the way, then again."""
    if who == "far":
        place.move_far()
    for name in ("data", "state"):
        shutil.copytree(f"{HOME}/prepared/{name}", f"{place.folder}/{name}", symlinks=True, dirs_exist_ok=True)
    shutil.copy2(HOME + "/prepared/data.out", place.folder)
    done = place.thaw("--name", "sim", "--at", "1", fault=fault)
    if mode in HARMLESS:
        place.ends_well(done, "thaw")
    elif mode not in KILLS:
        must(done.returncode in (END, REFUSED, SYSTEM, MISSING, 1), f"exit code {done.returncode}: {done.err}")
        must(done.returncode == END or len(done.err.strip()) > 12, "unclear: " + done.err)
    if mode in KILLS and fault.n % 3 == 0:  # and again, elsewhere
        again = Fault(place.folder, mode, 1 + fault.n * 7 % 60, fault.under)
        place.thaw("--name", "sim", "--at", "1", fault=again)
    done = place.thaw("--name", "sim", *(["--at", "1"] if fault.n % 2 == 0 else []))
    if done.returncode != END and mode in ("EIO", "ENOSPC") and fault.hit(".undo", ".kept", "/sim"):
        clear_error(done.returncode, done.err, "thaw", (REFUSED, SYSTEM, MISSING))
        return
    place.ends_well(done, "thaw after the fault")


# ---- images ----

# (module (func (export "_start")))
NOTHING = bytes.fromhex("0061736d01000000" "01040160" "0000" "03020100" "070a01065f737461727400" "00" "0a040102000b")



def cache(place, fault, who, mode):
    """An image is added to the cache, as `run` does and its background does."""
    words = ["-O1", "--movable", HOME + "/nothing.wasm"]
    done = place.run(["cloudskin", *(["run"] if who == "run" else ["cache", "add"]), *words], fault)
    if mode in HARMLESS:
        must(done.returncode == 0, f"exit code {done.returncode}: {done.err}")
    elif mode not in KILLS and done.returncode != 0:
        clear_error(done.returncode, done.err, "cache")
    done = place.run(["cloudskin", "run", *words])
    must(done.returncode == 0, f"a run after the fault: exit code {done.returncode}: {done.err}")
    cells = [name for name in os.listdir(place.folder + "/cache") if name.endswith(".cell")]
    must(cells, "no image in the cache")
    for name in cells:
        done = place.run(["cloudskin", "inspect", f"cache/{name}"])
        must(done.returncode == 0, "a bad image in the cache: " + done.err)


# ---- all of them ----

SCENARIOS = {
    "freeze": (freeze, ("cell", "tool", "compress"), ("snaps",)),
    "checkpoint": (checkpoints, ("cell", "tool", "far"), ("state/cloudskin",)),
    "every": (every, ("cell", "tool"), ("state/cloudskin",)),
    "leave": (leave, ("cell", "tool"), ("snaps", "state/cloudskin")),
    "thaw": (thaw, ("near", "far"), ("data", "state/cloudskin", "data.out")),
    "cache": (cache, ("run", "add"), ("cache",)),
}


def run_case(scenario, who, mode, n):
    """None, or what is wrong; and how many calls were seen."""
    f, _, under = SCENARIOS[scenario]
    folder = tempfile.mkdtemp(prefix=f"{scenario}-{who}-{mode}-{n}.", dir=HOME)
    place = Place(folder)
    if "data.out" in under:
        open(folder + "/data.out", "w", encoding="utf-8").close()
    # kills hit the program's own changes too; what fails in these is the program's business
    under = under + (("data",) if mode in KILLS and scenario in ("checkpoint", "every") and who != "tool" else ())
    if scenario == "thaw" and mode not in KILLS + HARMLESS:
        under = ("data", "state/cloudskin", "data.out")
    fault = Fault(folder, mode, n, under)
    wrong = None
    try:
        f(place, fault, who, mode)
    except Wrong as error:
        wrong = str(error)
    except subprocess.TimeoutExpired as error:
        wrong = f"takes too long: {error.cmd}"
    except OSError as error:
        wrong = repr(error)
    came, seen = fault.came(), fault.seen()
    where = " ".join(fault.lines()[0]) if came else "no fault"
    place.remove()
    return wrong, seen, came, where


def whole_run():
    os.makedirs(HOME + "/whole")
    with open(HOME + "/nothing.wasm", "wb") as f:
        f.write(NOTHING)
    place = Place(HOME + "/undisturbed")
    done = place.run(["cloudskin", "run", "--output", HOME + "/whole.out", "--dir", HOME + "/whole:.",
                      HOME + "/steps.cell", str(STEPS)])
    assert done.returncode == END, done.err


def drawn(cases, dice):
    """In any order, but one of each kind after the other."""
    dice.shuffle(cases)
    turn = {}
    order = []
    for case in cases:
        turn[case[:3]] = turn.get(case[:3], 0) + 1
        order.append((turn[case[:3]], dice.random(), case))
    return [case for _, _, case in sorted(order)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="")
    p.add_argument("--seconds", type=float, default=40)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    p.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 1))
    args = p.parse_args()
    whole_run()
    prepare_thaw()
    print(f"seed {args.seed}", flush=True)
    only = args.only.split(":") if args.only else []
    groups = [(s, w, m) for s, (_, whos, _) in SCENARIOS.items() for w in whos for m in MODES
              if not only or [s, w, m][:len(only)] == only[:3]]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        began = time.monotonic()
        seen = list(pool.map(lambda g: run_case(*g, NEVER), groups))
        cases = []
        for group, (wrong, count, _, _) in zip(groups, seen):
            if wrong:
                print(f"FAIL {':'.join(group)} without a fault: {wrong}", flush=True)
                failed += 1
            cases += [(*group, n) for n in range(1, count + 1)]
        if len(only) > 3:
            cases = [(*only[:3], int(only[3]))]
        total = len(cases)
        if args.seconds > 0:
            cases = drawn(cases, random.Random(args.seed))
        counts = {}

        def one(case):
            if 0 < args.seconds < time.monotonic() - began:
                return case, None
            return case, run_case(*case)

        for case, result in pool.map(one, cases):
            if result is None:
                continue
            wrong, _, came, where = result
            name = ":".join(map(str, case))
            counts[case[0]] = counts.get(case[0], 0) + came
            if wrong:
                print(f"FAIL {name} ({where}): {wrong}", flush=True)
            passed += wrong is None
            failed += wrong is not None
    shares = ", ".join(f"{k} {v}" for k, v in sorted(counts.items()))
    print(f"{passed + failed} of {total} faults; {shares}; {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
