"""Writers whose store is killed, and what was acknowledged to them.

acks.py write ROUND COUNT LEDGER PROCESS  put objects from several threads, note each in the ledger before and after its put, and kill
                                          the store's process when COUNT are acknowledged; ends when all threads were told
acks.py copies ROUND LEDGER NODE...       has each node's folder a whole copy of what that round acknowledged?
acks.py read LEDGER                       is what was acknowledged, or what was on its way after it, there?

The ledger has lines of a word, round, key, bytes and SHA-256."""
import hashlib
import os
import pathlib
import random
import signal
import sys
import threading

THREADS = 6
SMALL = 16 * 1024  # objects up to here are in the database
FOOTER = 32


class Ledger:
    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()

    def note(self, *words):
        with self.lock, open(self.path, "a") as f:
            print(*words, file=f)

    def lines(self):
        with open(self.path) as f:
            return [(w, int(r), k, int(n), s) for w, r, k, n, s in map(str.split, f)]


def write(this_round, count, ledger, process):
    import cloudskin
    acked = threading.Semaphore(0)
    told = []

    def work(number):
        chance = random.Random(f"{this_round}/{number}")
        try:
            with cloudskin.connect() as store:
                for i in range(100000):
                    key = f"same/{number}" if i % 4 == 3 else f"{this_round}/{number}/{i}"
                    body = chance.randbytes(chance.choice((100, SMALL + 1, 70000, 300000, 2500000)))
                    entry = (this_round, key, len(body), hashlib.sha256(body).hexdigest())
                    ledger.note("try", *entry)
                    store.put("box", key, body)
                    ledger.note("ack", *entry)
                    acked.release()
        except OSError as e:
            told.append(str(e))

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(THREADS)]
    for t in threads:
        t.start()
    for _ in range(count):
        assert acked.acquire(timeout=100), "too few puts are acknowledged"
    os.kill(process, signal.SIGKILL)
    for t in threads:
        t.join(60)
        assert not t.is_alive(), "a writer was not told"
    assert len(told) == THREADS, told


def bytes_of(copy):
    """Of a copy: bytes, checksums of its blocks, and an end that says how many bytes there are."""
    data = copy.read_bytes()
    size = int.from_bytes(data[-FOOTER + 16:-FOOTER + 24], "little")
    assert data[-FOOTER:-FOOTER + 8] == b"CSCOPY01" and len(data) == size + (size + 65535) // 65536 * 4 + FOOTER, copy
    return data[:size]


def copies(this_round, ledger, folders):
    wanted = {(n, s): k for w, r, k, n, s in ledger.lines() if w == "ack" and r == this_round and n > SMALL}
    assert wanted
    for folder in folders:
        files = [f for f in pathlib.Path(folder, "copies").glob("*/??/*-*") if f.is_file()]
        there = {hashlib.sha256(bytes_of(f)).hexdigest() for f in files}
        lost = [k for (n, s), k in wanted.items() if s not in there and not k.startswith("same/")]
        assert not lost, f"{folder} has {len(files)} copies, and none of {lost}"


def read(ledger):
    import cloudskin
    allowed = {}
    for word, _, key, _, digest in ledger.lines():
        if word == "ack":
            tries = allowed[key][1]
            allowed[key] = (True, tries[tries.index(digest):])
        else:
            acked, tries = allowed.get(key, (False, []))
            allowed[key] = (acked, tries + [digest])
    with cloudskin.connect() as store:
        for key, (acked, digests) in sorted(allowed.items()):
            try:
                digest = hashlib.sha256(store.get("box", key)).hexdigest()
            except FileNotFoundError:
                assert not acked, f"{key} was acknowledged and is not there"
                continue
            assert digest in digests, f"{key} has other bytes"
    print(sum(acked for acked, _ in allowed.values()), "keys")


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "write":
        write(int(rest[0]), int(rest[1]), Ledger(rest[2]), int(rest[3]))
    elif what == "copies":
        copies(int(rest[0]), Ledger(rest[1]), rest[2:])
    else:
        read(Ledger(rest[0]))
