#!/usr/bin/env python3
"""Writes go on while the S3 server of the tier is stopped, until local disk is full; then all of it is moved there.

outage.py --near DIR [--local BYTES] [--rate BYTES] [--object BYTES] [--seed N] [--line]

With the programs in PATH. DIR is an empty file system: its size is what the store has of local disk. What the other
store has, which is the S3 server, is in the current folder. --rate: of the writes in a second, of which a second is
made up for at most. --line: the time until all is moved is compared with that of a plain client that uploads the same
bytes to the same server. The last line is `N passed, N failed`."""
import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "s3"))
import raw  # noqa: E402

PATIENCE_S = 120
BUCKET, TIER, LINE = "box", "tier", "line"
HEAD = 16  # bytes that say which object and which of its versions it is
INLINE_MAX = 16384  # objects of so many bytes are in the database of the store and stay there
ROOM = 2 << 20  # a write that is refused did not fit; so much of the disk is the database's
SENDERS = 4  # of the plain client: as many as the store has
BAR = 2.0  # times that of the plain client


class Facts:
    passed = failed = 0

    def __call__(self, name, holds, why=""):
        print(f"ok   {name}" if holds else f"FAIL {name}\n    {why}", flush=True)
        self.passed += bool(holds)
        self.failed += not holds
        return holds


fact = Facts()


class Lost(Exception):
    """Nobody knows whether it took place."""


class Full(Exception):
    """It was refused: the disk is full."""


class Store:
    """A store that is a child of this process, so that a kill is over when kill() returns."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self.socket = os.path.abspath(f"{os.path.basename(folder)}.socket")
        self.env = dict(os.environ, CLOUDSKIN_CONTROLLER="unix:" + self.socket)
        self.port, self.key, self.process = 0, (), None

    def start(self):
        with open(f"{self.socket}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["cloudskin-controller", "--s3", f"127.0.0.1:{self.port}", "--metrics", "none", "--greet", "--state",
                 self.folder, "--socket", self.socket, *self.options], stdout=subprocess.PIPE, stderr=log)
        said = b""
        while not (port := re.search(rb"http://127\.0\.0\.1:(\d+)", said)):
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"{self.folder}: it does not start: {said}")
            said += line
        self.port = int(port[1])
        if not self.key:
            with open(self.folder + "/s3-keys", encoding="utf-8") as keys:
                self.key = tuple(next(line for line in keys if line.strip() and line[0] != "#").split()[:2])

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def end(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        self.kill()
        return code

    def cloudskin(self, *words, **more):
        return subprocess.run(["cloudskin", *words], env=self.env, capture_output=True, check=False, **more)

    def json(self, *words):
        done = self.cloudskin(*words, "--json")
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def s3(self, method, path, body=b"", **more):
        return raw.Raw(f"127.0.0.1:{self.port}", *self.key).send(method, path, body=body, **more)

    def get(self, bucket, key):
        status, _, body = self.s3("GET", f"/{bucket}/{key}")
        return body if status == 200 else f"{status} {body[:200]}"


class Objects:
    """What was written. Bytes of an object can be made again from its number, version and size."""

    def __init__(self, seed, object_bytes):
        self.dice = random.Random(seed)
        self.base = self.dice.randbytes(2 * object_bytes + 4096)
        self.object_bytes = object_bytes
        self.known = {}  # number -> (version, size) that was acknowledged; None: that it is deleted
        self.open = {}  # number -> what it may be, too
        self.next = 0

    def draw_size(self):
        if self.dice.random() < 0.1:
            return self.dice.randrange(HEAD, INLINE_MAX)
        return self.dice.randrange(self.object_bytes // 8, 2 * self.object_bytes)

    def bytes_of(self, number, version, size):
        at = (number * 64 + version) % 4096
        return (number.to_bytes(8, "little") + version.to_bytes(8, "little") + self.base[at:at + size])[:size]

    def live(self):
        return {n: v for n, v in self.known.items() if v is not None}

    def in_files(self):
        return {n: v for n, v in self.live().items() if v[1] > INLINE_MAX}


class Writer:
    """Puts, some through S3 and some through the C API; some replace or delete what is there."""

    def __init__(self, store, objects, rate):
        self.store, self.objects, self.rate = store, objects, rate
        self.acknowledged = self.written = 0
        self.longest_s = 0.0
        self.due = time.monotonic()
        self.pause = threading.Event()

    def keep_rate(self, size):
        """One that was late makes up for a second at most."""
        if self.rate:
            now = time.monotonic()
            self.due = max(self.due, now - 1) + size / self.rate
            self.pause.wait(max(0.0, self.due - now))

    def put(self, key, body, by_s3):
        if by_s3:
            try:
                status, _, text = self.store.s3("PUT", f"/{BUCKET}/{key}", body)
            except (OSError, http.client.HTTPException) as error:
                raise Lost(str(error)) from error
            if status == 507 and b"<Code>InsufficientStorage</Code>" in text:
                raise Full(text.decode())
            if status != 200:
                raise Lost(f"{status} {text}")
            return
        done = self.store.cloudskin("put", "-q", "-", f"geds://{BUCKET}/{key}", input=body)
        if done.returncode != 0:
            said = done.stderr.decode()
            raise Full(said) if "No space left on device" in said else Lost(said)

    def one(self, new_only=False):
        """(number, version, size) that was acknowledged."""
        o, dice = self.objects, self.objects.dice
        live = o.live()
        kind = dice.random()
        number = dice.choice(list(live)) if live and kind < 0.15 and not new_only else o.next
        if number != o.next and kind < 0.05:
            return self.delete(number)
        size = o.draw_size()
        version = (o.open.get(number) or o.known.get(number) or (0, 0))[0] + 1
        o.next += number == o.next
        body = o.bytes_of(number, version, size)
        self.keep_rate(size)
        began = time.monotonic()
        try:
            self.put(f"{number}", body, dice.random() < 0.7)
        except Lost:
            o.open[number] = (version, size)
            raise
        except Full as error:
            error.size = size
            raise
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        o.known[number] = (version, size)
        o.open.pop(number, None)
        self.acknowledged += 1
        self.written += size
        return number, version, size

    def delete(self, number):
        try:
            status, _, text = self.store.s3("DELETE", f"/{BUCKET}/{number}")
        except (OSError, http.client.HTTPException) as error:
            self.objects.open[number] = None
            raise Lost(str(error)) from error
        if status != 204:
            raise Lost(f"{status} {text}")
        self.objects.known[number] = None
        self.objects.open.pop(number, None)
        return None


def wrong_bytes(objects, number, got):
    """"": it is as it should be. What was neither acknowledged nor refused may have taken place: that is known then."""
    may = [objects.known.get(number)]
    if number in objects.open:
        may.append(objects.open[number])
    for what in may:
        missing = isinstance(got, str) and got.startswith("404 ")
        if missing if what is None else got == objects.bytes_of(number, *what):
            objects.known[number] = what
            objects.open.pop(number, None)
            return ""
    return f"{number}: {got if isinstance(got, str) else f'{len(got)} other bytes'}, not {may}"


def all_there(name, near, objects, away_too=True):
    """away_too: also what is in the tier only. What was not known before is known after this."""
    wrong, away = [], 0
    for number in sorted({*objects.known, *objects.open}):
        got = near.get(BUCKET, number)
        if isinstance(got, str) and got.startswith("503 ") and not away_too:
            away += 1
            continue
        text = wrong_bytes(objects, number, got)
        if text:
            wrong.append(text)
    return fact(f"{name}: {len(objects.live()) - away} objects", not wrong, "; ".join(wrong[:5]))


def free_bytes(folder):
    fs = os.statvfs(folder)
    return fs.f_bavail * fs.f_frsize


def settled_free(folder):
    """What a write that was refused took is given back soon after the answer."""
    most, pause = 0, threading.Event()
    for _ in range(10):
        most = max(most, free_bytes(folder))
        pause.wait(0.02)
    return most


def eventually(condition, patience_s=PATIENCE_S):
    end, pause = time.monotonic() + patience_s, threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(0.05)
    return True


def is_drained(near):
    t = near.json("tier")
    return not t["away"] and t["backlog_bytes"] == t["eager_bytes"] == t["doomed_files"] == 0


def fill(writer, near, until):
    """Write until this much of the disk is free, or it is full. None, or the refusal."""
    while free_bytes(near.folder) > until:
        try:
            writer.one()
        except Full as refused:
            refused.free = settled_free(near.folder)
            return refused
    return None


def kill_while_it_writes(writer, near):
    """kill -9 after some more writes, whichever is under way."""
    wanted = writer.acknowledged + writer.objects.dice.randrange(3, 9)
    enough = threading.Event()

    def write():
        try:
            while True:
                writer.one(new_only=True)
                if writer.acknowledged >= wanted:
                    enough.set()
        except (Lost, Full):
            enough.set()

    thread = threading.Thread(target=write)
    thread.start()
    enough.wait(PATIENCE_S)
    near.kill()
    thread.join()
    near.start()
    return writer.acknowledged >= wanted


def in_the_bucket(far, objects):
    """Compare all that the server has, byte by byte, with what was written: each of it once, and nothing else."""
    wanted, wrong, bytes_there = objects.in_files(), [], 0
    for entry in far.json("ls", "-r", f"geds://{TIER}"):
        got = far.get(TIER, entry["key"])
        number = -1 if isinstance(got, str) else int.from_bytes(got[:8], "little")
        what = wanted.pop(number, None)
        if what is None or got != objects.bytes_of(number, *what):
            wrong.append(f"{entry['key']} is not object {number}, {what}")
        bytes_there += entry["size"]
    count = len(objects.in_files())
    fact(f"the bucket has the bytes of all {count} that are files, and nothing else", not wrong and not wanted,
         f"{wrong[:5]} {list(wanted)[:5]}")
    return bytes_there


def send_line(store, objects, mine, barrier):
    """One connection's share of the plain upload."""
    bodies = [(number, objects.bytes_of(number, *what)) for number, what in mine]
    barrier.wait(PATIENCE_S)
    for number, body in bodies:
        status, _, text = store.s3("PUT", f"/{LINE}/{number}", body, payload="UNSIGNED-PAYLOAD")
        if status != 200:
            raise SystemExit(f"{status} {text}")


def line_seconds(far, objects):
    """A plain client uploads the same bytes, by as many connections."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(SENDERS + 1)
    todo = sorted(objects.in_files().items())
    far.cloudskin("mb", f"geds://{LINE}")
    senders = [context.Process(target=send_line, args=(far, objects, todo[i::SENDERS], barrier)) for i in range(SENDERS)]
    for p in senders:
        p.start()
    barrier.wait(PATIENCE_S)
    began = time.monotonic()
    for p in senders:
        p.join()
    took = time.monotonic() - began
    fact("a plain client can upload the same", all(p.exitcode == 0 for p in senders))
    far.cloudskin("rm", "-r", f"geds://{LINE}/")
    return took


def outage(objects, far, near, writer):
    """All up to the moment when the server is back."""
    for _ in range(5):
        writer.one()
    fact("with the tier all is moved", eventually(lambda: is_drained(near)), near.cloudskin("tier").stdout.decode())
    far.kill()
    writer.longest_s, began, before = 0.0, time.monotonic(), writer.written
    whole = free_bytes(near.folder)
    fact("the tier is stopped, and writes go on", fill(writer, near, whole * 2 // 3) is None)
    fact("killed meanwhile", kill_while_it_writes(writer, near))
    all_there("nothing that was acknowledged is lost", near, objects, away_too=False)
    refused = fill(writer, near, 0)
    fits = f"one of {refused.size} bytes was refused with {refused.free} free" if refused else "none was refused"
    fact("none is refused before the disk is full", refused and refused.free < refused.size + ROOM, fits)
    print(f"     {fits}; {writer.acknowledged} writes, {(writer.written - before) / 1e6:.0f} MB in "
          f"{time.monotonic() - began:.0f} s of the outage, the longest {writer.longest_s:.3f} s", flush=True)
    return refused


def full(objects, near, writer):
    """What holds when the disk is full. Bytes of one that is refused."""
    number = max(objects.in_files())
    size = settled_free(near.folder) + 2 * objects.object_bytes + ROOM
    body = objects.bytes_of(number, 1000, HEAD) + bytes(size)
    for name, by_s3 in (("S3", True), ("the C API", False)):
        for key in (number, "new"):
            try:
                writer.put(key, body, by_s3)
                said = "taken"
            except (Full, Lost) as error:
                said = f"{type(error).__name__} {error}"
            fact(f"{'another' if key == 'new' else 'one that replaces an object'} is refused through {name}, and says why",
                 said.startswith("Full "), said)
    all_there("nothing that was acknowledged is lost", near, objects, away_too=False)
    near.kill()
    near.start()
    all_there("nor by a kill then", near, objects, away_too=False)
    fact("the store says that the tier is away",
         eventually(lambda: (t := near.json("tier"))["away"] and t["backlog_bytes"] > 0), near.json("tier"))
    return body


def back(args, objects, far, near, writer, body):
    """The server is back."""
    sent = sum(v[1] for v in objects.in_files().values()) - near.json("tier")["copied_bytes"]
    began = time.monotonic()
    far.start()
    fact("the tier is back, and all is moved", eventually(lambda: is_drained(near), PATIENCE_S + sent / 10e6), near.cloudskin("tier").stdout.decode())
    took = time.monotonic() - began
    print(f"     {sent / 1e6:.0f} MB in {took:.1f} s", flush=True)
    t = near.json("tier")
    fact("no more is local than should be", t["local_bytes"] <= args.local, t)
    bytes_there = in_the_bucket(far, objects)
    if args.line:
        line_s = line_seconds(far, objects) * sent / bytes_there
        fact(f"within {BAR:.0f} times the time of a plain client: {took:.1f} s, {line_s:.1f} s, {took / line_s:.2f} times",
             took <= BAR * line_s)
    try:
        writer.put("new", body[:sent // 2], True)
        said = ""
    except (Full, Lost) as error:
        said = str(error)
    fact("what was refused is taken", not said, said)
    near.s3("DELETE", f"/{BUCKET}/new")
    near.cloudskin("spill", "-q", f"geds://{BUCKET}/")
    # what was deleted while it was on its way goes behind that
    fact("nothing is local", eventually(lambda: is_drained(near) and near.json("tier")["local_files"] == 0),
         near.cloudskin("tier").stdout.decode())
    all_there("all can be read from the tier", near, objects)
    for name, store, words in (("store", near, ["--remote"]), ("tier", far, [])):
        check = store.cloudskin("fsck", *words)
        fact(f"nothing is wrong with the {name}", check.returncode == 0, check.stdout.decode() + check.stderr.decode())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--near", required=True)
    p.add_argument("--local", type=int, default=8 << 20)
    p.add_argument("--rate", type=float, default=0)
    p.add_argument("--object", type=int, default=1 << 20)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    p.add_argument("--line", action="store_true")
    args = p.parse_args()
    print(f"seed {args.seed}", flush=True)
    far = Store("far")
    near = Store(args.near, "--tier", f"s3://{TIER}", "--tier-credentials", "far.key", "--local-bytes", str(args.local),
                 "--cache-bytes", str(16 << 20))
    try:
        test(args, Objects(args.seed, args.object), far, near)
    finally:
        for store in (near, far):
            store.kill()
    print(f"{fact.passed} passed, {fact.failed} failed")
    sys.exit(fact.failed != 0 or fact.passed == 0)


def test(args, objects, far, near):
    far.start()
    far.cloudskin("mb", f"geds://{TIER}")
    with open(os.open("far.key", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as key:
        key.write(" ".join(far.key) + "\n")
    near.options += ("--tier-endpoint", f"http://127.0.0.1:{far.port}")
    near.start()
    near.cloudskin("mb", f"geds://{BUCKET}")
    near.cloudskin("tier", "--spill", "eager", f"geds://{BUCKET}")
    writer = Writer(near, objects, args.rate)
    if outage(objects, far, near, writer):
        back(args, objects, far, near, writer, full(objects, near, writer))
    for name, store in (("store", near), ("tier", far)):
        code = store.end()
        fact(f"the {name} ends well", code == 0, f"{code}")


if __name__ == "__main__":
    main()
