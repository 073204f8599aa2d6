"""Objects as files and as memory."""

import gc
import io
import os
import random
import signal
import threading

import pytest

import cloudskin


def test_a_file_is_read_as_any_other(store, bucket):
    data = os.urandom(500_000)
    store.put(bucket, "k", data)
    with store.open(bucket, "k") as f, io.BytesIO(data) as model:
        for size in (0, 1, 10_000, 300_000, 1_000_000, 5):
            assert f.read(size) == model.read(size) and f.tell() == model.tell()
        for offset, whence in ((10, 0), (5, 1), (-100, 2), (600_000, 0), (0, 2)):
            assert f.seek(offset, whence) == model.seek(offset, whence) and f.read(50) == model.read(50)
        buffer = bytearray(1000)
        f.seek(499_500)
        assert f.readinto(buffer) == 500 and buffer[:500] == data[499_500:]
        assert f.readinto(bytearray()) == 0
        with pytest.raises(ValueError):
            f.seek(-1)
        with pytest.raises(ValueError):
            f.seek(0, 9)
        with pytest.raises(TypeError):
            f.readinto(b"constant")
        assert f.readable() and f.seekable() and not f.writable()
        f.seek(0)
        assert f.readall() == data and f.read() == b""
    for call in (f.read, f.tell, f.seekable, lambda: f.pread(1, 0), f.map, lambda: f.seek(0)):
        with pytest.raises(ValueError):
            call()
    f.close()


def test_text_and_lines(store, bucket):
    store.put(bucket, "k", "eins\nzwei\nséchs".encode())
    with io.TextIOWrapper(store.open(bucket, "k").buffered(), "utf-8") as f:
        assert f.readlines() == ["eins\n", "zwei\n", "séchs"]
    with store.open(bucket, "k").buffered(16) as f:
        assert f.peek(4)[:4] == b"eins" and list(f)[0] == b"eins\n"


def test_an_open_object_does_not_change(store, bucket):
    store.put(bucket, "k", b"old" * 10_000)
    with store.open(bucket, "k") as o:
        store.put(bucket, "k", b"new")
        assert o.read() == b"old" * 10_000
        store.delete(bucket, "k")
        assert o.pread(3, 3) == b"old"


def test_a_writer_seals_at_the_end_and_aborts_after_an_exception(store, bucket):
    with store.create(bucket, "k", content_type="a/b", metadata={"m": "n"}) as w:
        assert w.write(b"abc") == 3 and w.write(bytearray(b"def")) == 3 and w.tell() == 6
        assert not store.exists(bucket, "k")
    assert w.closed and w.info == store.stat(bucket, "k") and store.get(bucket, "k") == b"abcdef"
    assert store.open(bucket, "k").metadata == {"m": "n"}
    with pytest.raises(ZeroDivisionError):
        with store.create(bucket, "k") as w:
            w.write(bytes(3 << 20))
            raise ZeroDivisionError
    assert w.closed and store.get(bucket, "k") == b"abcdef"
    for call in (lambda: w.write(b""), w.seal):
        with pytest.raises(ValueError):
            call()
    w.abort()
    w.close()


def test_a_forgotten_writer_writes_nothing(store, bucket):
    w = store.create(bucket, "k")
    w.write(bytes(2 << 20))
    del w
    gc.collect()
    assert not store.exists(bucket, "k")


def test_close_seals(store, bucket):
    w = io.BufferedWriter(store.create(bucket, "k"))
    w.write(b"text")
    w.close()
    assert store.get(bucket, "k") == b"text"


def test_text_and_buffers_write_nothing_after_an_exception(store, bucket):
    ways = (lambda w: (w.text(), "täxt\n"), lambda w: (w.buffered(16), "täxt\n".encode()))
    for way in ways:
        f, data = way(store.create(bucket, "k"))
        with f:
            for _ in range(1000):
                f.write(data)
            assert not f.closed
        assert f.closed and store.get(bucket, "k") == 1000 * "täxt\n".encode()
        store.put(bucket, "k", b"old")
        f, data = way(store.create(bucket, "k"))
        with pytest.raises(ZeroDivisionError):
            with f:
                f.write(data * 100_000)
                raise ZeroDivisionError
        assert f.closed and store.get(bucket, "k") == b"old"
        f, data = way(store.create(bucket, "k"))
        f.write(data * 100_000)
        del f
        gc.collect()
        assert store.get(bucket, "k") == b"old"
        f, data = way(store.create(bucket, "k"))
        f.write(data)
        f.close()
        assert store.get(bucket, "k") == "täxt\n".encode()
        store.delete(bucket, "k")


def write_until_it_fails(f):
    with pytest.raises(FileNotFoundError):
        for _ in range(100):
            f.write(bytes(1 << 20))


def test_a_write_that_failed_is_told_at_the_end_too(store, bucket):
    with pytest.raises(FileNotFoundError):
        with store.create("py-none", "k") as w:
            write_until_it_fails(w)
    assert w.closed and w.info is None
    w.close()
    for end in (w.seal, lambda: w.write(b"")):
        with pytest.raises(ValueError):
            end()
    for end in (lambda w: w.close(), lambda w: w.seal()):
        w = store.create("py-none", "k")
        write_until_it_fails(w)
        with pytest.raises(FileNotFoundError):
            end(w)
        w.close()
    with store.create("py-none", "k") as w:
        write_until_it_fails(w)
        w.abort()


def test_a_writer_is_ended_in_a_forks_child_whoever_had_its_lock(store, bucket):
    w = store.create(bucket, "k")
    held, over = threading.Event(), threading.Event()

    def hold():
        with w._lock:
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        code = 1
        try:
            for call in (lambda: w.write(b"x"), w.seal):
                with pytest.raises(RuntimeError):
                    call()
            w.abort()
            code = 0 if w.closed else 2
        finally:
            os._exit(code)
    over.set()
    thread.join(60)
    assert os.waitpid(child, 0)[1] == 0
    w.write(b"x")
    w.close()
    assert store.get(bucket, "k") == b"x"


def test_a_writer_has_conditions(store, bucket):
    store.put(bucket, "k", b"there")
    with pytest.raises(FileExistsError):
        with store.create(bucket, "k", if_none=True) as w:
            w.write(b"x")
    with pytest.raises(FileNotFoundError):
        with store.create("py-none", "k") as w:
            w.write(b"x")
    with pytest.raises(ValueError):
        store.create(bucket, "k", if_none=True, if_match="x")
    assert w.closed and store.get(bucket, "k") == b"there"


def test_a_big_object_is_streamed(store, bucket):
    piece = os.urandom(1_000_003)
    with store.create(bucket, "k") as w:
        for _ in range(64):
            w.write(piece)
    with store.open(bucket, "k") as o:
        assert o.size == 64 * len(piece)
        for i in range(64):
            assert o.read(len(piece)) == piece, i


def test_a_map_is_the_bytes_and_outlives_everything(store, bucket):
    data = os.urandom(5 << 20)
    store.put(bucket, "k", data)
    o = store.open(bucket, "k")
    whole = o.map()
    assert whole.readonly and whole.nbytes == len(data) and whole == data
    part = whole[1_000_000:1_000_100]
    o.close()
    store.delete(bucket, "k")
    del whole, o
    gc.collect()
    assert part == data[1_000_000:1_000_100]
    with pytest.raises(TypeError):
        part[0] = 1
    del part
    gc.collect()


def test_maps_are_unmapped(store, bucket):
    store.put(bucket, "k", os.urandom(8 << 20))
    with store.open(bucket, "k") as o:
        def mapped():
            with open("/proc/self/maps") as f:
                return sum("/geds/data/" in line for line in f)

        before = mapped()
        views = [o.map() for _ in range(20)]
        assert mapped() >= before + 20
        del views
        gc.collect()
        assert mapped() == before


def test_small_and_empty_maps(store, bucket):
    for data in (b"", b"x", b"y" * 5000):
        store.put(bucket, "k", data)
        with store.open(bucket, "k") as o:
            assert bytes(o.map()) == data


def test_many_threads_read_one_object_while_it_is_closed(store, bucket):
    data = os.urandom(2 << 20)
    store.put(bucket, "k", data)
    o = store.open(bucket, "k")
    started, wrong = threading.Barrier(9), []

    def read(number):
        started.wait()
        at = number * 1000
        while True:
            try:
                if o.pread(100_000, at) != data[at : at + 100_000]:
                    wrong.append(at)
            except ValueError:
                return

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    started.wait()
    for _ in range(20):
        o.pread(1000, 0)
    o.close()
    for t in threads:
        t.join(60)
    assert not wrong and not any(t.is_alive() for t in threads)


def test_open_objects_are_given_back(store, bucket):
    store.put(bucket, "k", b"x" * 100_000)
    for _ in range(600):  # 256 may be open
        store.open(bucket, "k")
    gc.collect()
    for n in range(300):  # what is opened for the first time is one of the 256
        store.copy(bucket, "k", bucket, f"k{n}")
    held = [store.open(bucket, f"k{n}") for n in range(200)]
    assert len({id(o) for o in held}) == 200
    with pytest.raises(cloudskin.LimitError):
        held += [store.open(bucket, f"k{n}") for n in range(200, 300)]
    del held
    gc.collect()
    assert store.get(bucket, "k", 0, 1) == b"x"


def test_a_writer_is_a_file_in_memory_until_it_is_sealed(store, bucket):
    """Random calls; the seed is printed when it fails."""
    seed = int.from_bytes(os.urandom(4), "little")
    rng = random.Random(seed)
    print(f"seed {seed}")
    store.put(bucket, "k", b"")
    sealed = b""
    for _ in range(30):
        edits = rng.random() < 0.5
        w = store.edit(bucket, "k") if edits else store.create(bucket, "k")
        model = io.BytesIO(sealed if edits else b"")
        for _ in range(rng.randrange(20)):
            at, n = rng.choice((0, 10, 70_000, 1_500_000)), rng.choice((0, 3, 5000, 200_000))
            at = rng.randrange(at + 1)
            assert w.seek(at) == model.seek(at)
            what = rng.randrange(4)
            if what == 0:
                size = min(at, len(model.getvalue()) + 1000)
                w.truncate(size)
                model.truncate(size)
                model.seek(0, 2)
                model.write(bytes(size - model.tell()))
            elif what == 1:
                assert w.read(n) == model.read(n)
            else:
                data = rng.randbytes(n)
                assert w.write(data) == model.write(data) and w.tell() == model.tell()
            assert w.size == len(model.getvalue())
        assert store.get(bucket, "k") == sealed
        if rng.random() < 0.2:
            w.abort()
        else:
            assert w.seal().size == len(model.getvalue())
            sealed = model.getvalue()
        assert store.get(bucket, "k") == sealed
