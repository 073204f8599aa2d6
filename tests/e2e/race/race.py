#!/usr/bin/env python3
"""Clients of the C API and of S3 race on a few keys, and what each was answered has to be linearizable.

race.py [--seconds S] [--seed N] [--rounds N]

With the programs in PATH and the Python package of the SDK in PYTHONPATH. In each round six processes work on three new
keys; in every third one the store is killed meanwhile and started again, so that some outcomes are not known. A history
that is refused is written to ./refused.txt. The last line is `N passed, N failed`."""
import argparse
import dataclasses
import hashlib
import http.client
import multiprocessing
import os
import pathlib
import random
import re
import subprocess
import sys
import time

import cloudskin
from linear import FOREVER, UNKNOWN, Op, check

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "s3"))
import raw  # noqa: E402

KEYS, STEPS, PATIENCE_S, KILLED_EVERY = 3, 25, 60, 3
NATIVE, S3 = 4, 2  # clients
BUCKET = "race"
CONTEXT = multiprocessing.get_context("fork")


def body_of(value):
    """What is written as this value: in a row of the store's or, each fifth, in a file."""
    return f"{value}:".encode() * (9000 if value % 5 == 0 else 3)


def value_of(body):
    value = int(body.split(b":")[0])
    return value if body == body_of(value) else f"torn {value}"


def etag_of(value):
    return hashlib.md5(body_of(value)).hexdigest()


class Lost(Exception):
    """Nobody knows whether it took place."""


class Refused(Exception):
    """It did not."""


class Native:
    """Through cloudskin/geds.h. What it reads again it has in its own memory."""

    KINDS = ("read",) * 6 + ("stat",) * 3 + ("put", "create", "create", "replace", "replace", "remove", "delete",
                                             "delete", "rename", "rename", "move", "copy", "list")

    def __init__(self, shared):
        self.shared, self.store, self.start = shared, None, 0

    def do(self, op, names):
        try:
            if self.store is None:
                self.start = self.shared.starts.value
                self.store = cloudskin.connect("unix:" + self.shared.socket)
        except OSError as error:
            raise Refused from error
        try:
            return getattr(self, op.kind)(op, names)
        except cloudskin.NotFoundError:
            return "missing"
        except cloudskin.ExistsError:
            return "exists"
        except cloudskin.ChangedError:
            return "changed"
        except OSError as error:
            self.store.close()
            self.store = None
            raise Lost(str(error)) from error

    def read(self, op, names):
        try:
            return value_of(self.store.get(BUCKET, names[op.key]))
        except cloudskin.NotFoundError:
            return None

    def stat(self, op, names):
        try:
            return self.store.stat(BUCKET, names[op.key]).etag
        except cloudskin.NotFoundError:
            return None

    def list(self, _, names):
        found = {e.key: e.info.etag for e in self.store.list(BUCKET, names[0][:-1])}
        return tuple(found.get(name) for name in names)

    def put(self, op, names):
        self.store.put(BUCKET, names[op.key], body_of(op.value))
        return "ok"

    def create(self, op, names):
        self.store.put(BUCKET, names[op.key], body_of(op.value), if_none=True)
        return "ok"

    def replace(self, op, names):
        self.store.put(BUCKET, names[op.key], body_of(op.value), if_match=etag_of(op.expects))
        return "ok"

    def remove(self, op, names):
        self.store.delete(BUCKET, names[op.key], if_match=etag_of(op.expects))
        return "ok"

    def delete(self, op, names):
        self.store.delete(BUCKET, names[op.key])
        return "ok"

    def rename(self, op, names):
        self.store.rename(BUCKET, names[op.key], BUCKET, names[op.to])
        return "ok"

    def move(self, op, names):
        self.store.rename(BUCKET, names[op.key], BUCKET, names[op.to], if_none=True)
        return "ok"

    def copy(self, op, names):
        self.store.copy(BUCKET, names[op.key], BUCKET, names[op.to])
        return "ok"


class Http:
    """The same through S3."""

    KINDS = ("read",) * 4 + ("stat",) * 2 + ("put", "create", "create", "replace", "replace", "remove", "drop", "copy")
    ANSWERS = {200: "ok", 204: "ok", 404: "missing"}

    def __init__(self, shared):
        self.shared, self.start = shared, 0

    def do(self, op, names):
        self.start = self.shared.starts.value
        signed = raw.Raw(f"127.0.0.1:{self.shared.port.value}", *self.shared.key)
        method, headers, body = "PUT", {}, b""
        if op.kind in ("read", "stat"):
            method = "GET" if op.kind == "read" else "HEAD"
        elif op.kind in ("remove", "drop"):
            method = "DELETE"
        elif op.kind == "copy":
            headers["x-amz-copy-source"] = f"/{BUCKET}/{names[op.key]}"
        else:
            body = body_of(op.value)
        if op.kind == "create":
            headers["if-none-match"] = "*"
        elif op.kind in ("replace", "remove"):
            headers["if-match"] = f'"{etag_of(op.expects)}"'
        name = names[op.to if op.kind == "copy" else op.key]
        try:
            status, answer, got = signed.send(method, f"/{BUCKET}/{name}", headers=headers, body=body)
        except ConnectionRefusedError as error:
            raise Refused from error
        except (OSError, http.client.HTTPException) as error:
            raise Lost(str(error)) from error
        if status >= 500:
            raise Lost(f"{status} {got}")
        if op.kind in ("read", "stat"):
            return None if status == 404 else value_of(got) if op.kind == "read" else answer["ETag"].strip('"')
        if status == 412:
            return "exists" if op.kind == "create" else "changed"
        return self.ANSWERS.get(status, f"{status} {got}")


@dataclasses.dataclass
class Shared:
    """Between the processes: where the store is, how often it was started, and operations that were done."""
    socket: str
    key: tuple
    port: object
    starts: object
    started: object
    done: object


def draw(dice, kinds, known, values):
    op = Op(dice.choice(kinds), dice.randrange(KEYS))
    op.to = (op.key + dice.randrange(1, KEYS)) % KEYS
    if op.kind in ("put", "create", "replace"):
        op.value = next(values)
    op.expects = known[op.key]
    if op.kind in ("replace", "remove") and op.expects is None:
        op.kind = "read"
    return op


def learn(op, known):
    """What a client knows of the keys: for conditions that are sometimes true."""
    if op.kind in ("read", "stat"):
        known[op.key] = op.result if isinstance(op.result, int) else known[op.key]
    elif op.result == "ok" and op.kind in ("put", "create", "replace"):
        known[op.key] = op.value
    elif op.result == "ok" and op.kind in ("rename", "move", "copy"):
        known[op.to] = known[op.key]


def work(shared, client, number, seed, names, etags):
    """STEPS operations, those that were refused before they began not among them."""
    dice, known, history = random.Random(seed), [None] * KEYS, []
    values = iter(range(number * 1000 + 1, number * 1000 + 1000))
    while len(history) < STEPS:
        op = draw(dice, client.KINDS, known, values)
        if op.value is not None:
            etags[etag_of(op.value)] = op.value
        op.client = f"{type(client).__name__} {number}"
        op.begin = time.monotonic_ns()
        try:
            op.result = client.do(op, names)
            op.end = time.monotonic_ns()
        except Lost as error:
            op.client += f" ({error})"
        except Refused:
            op = None
        if op is None or op.result == UNKNOWN:
            with shared.started:
                if not shared.started.wait_for(lambda: shared.starts.value > client.start, PATIENCE_S):
                    raise SystemExit(f"client {number}: the store does not answer")
        if op is not None:
            history.append(op)
            learn(op, known)
            shared.done.release()
    return history


def client_main(shared, kind, number, pipe):
    client = kind(shared)
    while (order := pipe.recv()) is not None:
        etags = {}
        pipe.send((work(shared, client, number, *order, etags), etags))


class Store:
    """The process that is killed."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        self.shared = Shared(folder + "/socket", (), CONTEXT.Value("i", 0), CONTEXT.Value("i", 0), CONTEXT.Condition(),
                             CONTEXT.Semaphore(0))

    def start(self):
        with open(self.folder + "/log", "ab") as log:
            env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
            self.process = subprocess.Popen(
                ["cloudskin-controller", "--s3", "127.0.0.1:0", "--metrics", "none", "--greet", "--state",
                 self.folder + "/state", "--socket", self.shared.socket], stdout=subprocess.PIPE, stderr=log,
                env=env)
        said = b""
        while not (port := re.search(rb"http://127\.0\.0\.1:(\d+)", said)):
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"the store does not start: {said}")
            said += line
        with open(self.folder + "/state/s3-keys", encoding="utf-8") as keys:
            words = [line.split() for line in keys if line.strip() and not line.startswith("#")]
        self.shared.key = tuple(words[0][:2])
        with self.shared.started:
            self.shared.port.value = int(port[1])
            self.shared.starts.value += 1
            self.shared.started.notify_all()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Race:
    def __init__(self, store, seed):
        self.store, self.dice, self.clients = store, random.Random(seed), []
        self.etags, self.counts = {}, {}
        for number, kind in enumerate([Native] * NATIVE + [Http] * S3):
            here, there = CONTEXT.Pipe()
            process = CONTEXT.Process(target=client_main, args=(store.shared, kind, number, there), daemon=True)
            process.start()
            there.close()
            self.clients.append((process, here))

    def round(self, number, killed):
        """None, or the history that is refused and why."""
        names = [f"{number}/{key}" for key in range(KEYS)]
        done = self.store.shared.done
        while done.acquire(block=False):
            pass
        for _, pipe in self.clients:
            pipe.send((self.dice.getrandbits(32), names))
        if killed:
            for _ in range(self.dice.randrange(10, len(self.clients) * STEPS // 2)):
                if not done.acquire(timeout=PATIENCE_S):
                    raise SystemExit("nothing is done")
            self.store.kill()
            self.store.start()
        history = []
        for process, pipe in self.clients:
            if not pipe.poll(2 * PATIENCE_S):
                raise SystemExit(f"client {process.pid} does not end")
            ops, etags = pipe.recv()
            history += ops
            self.etags |= etags
        return self.judge([self.translate(op) for op in history])

    def value(self, etag):
        return None if etag is None else self.etags.get(etag, etag)

    def translate(self, op):
        if op.kind == "stat":
            op.kind, op.result = "read", op.result if op.result == UNKNOWN else self.value(op.result)
        elif op.kind == "list" and op.result != UNKNOWN:
            op.result = tuple(self.value(etag) for etag in op.result)
        key = f"{op.kind} {op.result if isinstance(op.result, str) else 'ok'}"
        self.counts[key] = self.counts.get(key, 0) + 1
        return op

    def judge(self, history):
        history = [op for op in history if op.kind not in ("read", "list") or op.result != UNKNOWN]
        why = check(history, KEYS)
        return None if why is None else (history, *why)

    def end(self):
        for process, pipe in self.clients:
            pipe.send(None)
            process.join(PATIENCE_S)


def refuse(number, seed, history, stuck, state):
    print(f"FAIL round {number} of seed {seed}: no order fits; with {state} none of these can be next:")
    for op in stuck:
        print(f"    {op}")
    with open("refused.txt", "a", encoding="utf-8") as file:
        file.writelines(f"{op}\n" for op in sorted(history, key=lambda op: op.begin))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--rounds", type=int, default=10**9)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    args = p.parse_args()
    print(f"seed {args.seed}", flush=True)
    store = Store(os.getcwd())
    store.start()
    with cloudskin.connect("unix:" + store.shared.socket) as connection:
        connection.create_bucket(BUCKET)
    race = Race(store, args.seed)
    passed = failed = 0
    began = time.monotonic()
    while passed + failed < args.rounds and time.monotonic() - began < args.seconds:
        number = passed + failed
        wrong = race.round(number, number % KILLED_EVERY == KILLED_EVERY - 1)
        if wrong:
            refuse(number, args.seed, *wrong)
        failed += wrong is not None
        passed += wrong is None
    race.end()
    store.process.terminate()
    code = store.process.wait(PATIENCE_S)
    if code != 0:
        print(f"FAIL the store ended with {code}")
        failed += 1
    print(", ".join(f"{key} {count}" for key, count in sorted(race.counts.items())))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0 or passed == 0)


if __name__ == "__main__":
    main()
