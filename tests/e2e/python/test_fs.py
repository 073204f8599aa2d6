"""The file system of fsspec."""

import concurrent.futures
import io
import os
import pickle
import random

import fsspec
import pytest
from fsspec.callbacks import Callback

import cloudskin
from cloudskin.fs import GedsFileSystem


@pytest.fixture
def fs(bucket):
    return fsspec.filesystem("geds")


def fill(fs, bucket, *names):
    for name in names:
        fs.pipe(f"{bucket}/{name}", name.encode())


def test_the_protocol_is_known(fs, bucket):
    assert type(fs) is GedsFileSystem
    with fsspec.open(f"geds://{bucket}/dir/k.txt", "w") as f:
        f.write("text")
    with fsspec.open(f"geds://{bucket}/dir/k.txt") as f:
        assert f.read() == b"text"
    assert fsspec.core.url_to_fs(f"geds://{bucket}/a")[1] == f"{bucket}/a"
    assert fs._strip_protocol(f"geds://{bucket}/a/") == f"{bucket}/a" and fs._strip_protocol("geds://") == ""
    assert fs.unstrip_protocol(f"{bucket}/a") == f"geds://{bucket}/a"


def test_folders_are_seen(fs, bucket):
    fill(fs, bucket, "a/1", "a/b/2", "a/b/c/3", "d")
    assert bucket in fs.ls("", detail=False) and bucket in fs.ls("geds://", detail=False)
    assert sorted(fs.ls(bucket, detail=False)) == [f"{bucket}/a", f"{bucket}/d"]
    assert {e["name"]: e["type"] for e in fs.ls(f"geds://{bucket}/a/")} == {
        f"{bucket}/a/1": "file",
        f"{bucket}/a/b": "directory",
    }
    assert fs.ls(f"{bucket}/d")[0]["size"] == 1
    assert fs.isdir(bucket) and fs.isdir(f"{bucket}/a/b") and not fs.isdir(f"{bucket}/a/1") and fs.isdir("")
    assert fs.isfile(f"{bucket}/d") and fs.exists(f"{bucket}/a") and not fs.exists(f"{bucket}/x")
    assert fs.find(bucket) == [f"{bucket}/{n}" for n in ("a/1", "a/b/2", "a/b/c/3", "d")]
    assert fs.find(f"{bucket}/a", maxdepth=1) == [f"{bucket}/a/1"]
    assert f"{bucket}/a/b" in fs.find(bucket, withdirs=True)
    assert fs.find(f"{bucket}/d") == [f"{bucket}/d"] and fs.find(f"{bucket}/x") == [] and fs.find("py-none") == []
    assert list(fs.find(bucket, detail=True))[0] == f"{bucket}/a/1"
    assert fs.glob(f"{bucket}/a/**/[23]") == [f"{bucket}/a/b/2", f"{bucket}/a/b/c/3"]
    assert [(d, sorted(s), sorted(f)) for d, s, f in fs.walk(f"{bucket}/a")][0] == (f"{bucket}/a", ["b"], ["1"])
    assert fs.du(bucket) == sum(len(n) for n in ("a/1", "a/b/2", "a/b/c/3", "d"))
    for call in (fs.ls, fs.info, fs.cat, fs.rm, fs.size):
        for path in (f"{bucket}/x", "py-none", "py-none/x"):
            with pytest.raises(FileNotFoundError):
                call(path)


def test_an_object_may_stand_for_an_empty_folder(fs, bucket):
    fs.store.put(bucket, "empty/", b"")
    assert fs.ls(f"{bucket}/empty") == [] and fs.isdir(f"{bucket}/empty") and fs.find(bucket) == []
    fs.rmdir(f"{bucket}/empty")
    assert not fs.exists(f"{bucket}/empty")


def test_times_and_marks(fs, bucket):
    fill(fs, bucket, "k")
    assert fs.modified(f"{bucket}/k") == fs.created(f"{bucket}/k") == fs.info(f"{bucket}/k")["mtime"]
    assert fs.created(bucket) <= fs.modified(f"{bucket}/k")
    before = fs.ukey(f"{bucket}/k"), fs.checksum(f"{bucket}/k")
    fs.pipe(f"{bucket}/k", b"other")
    assert before[0] != fs.ukey(f"{bucket}/k") and before[1] != fs.checksum(f"{bucket}/k")
    with pytest.raises(IsADirectoryError):
        fs.modified(bucket)


def test_files_are_read_and_written(fs, bucket):
    data, path = os.urandom(3_000_000), f"{bucket}/k"
    with fs.open(path, "wb", content_type="a/b", metadata={"m": "n"}) as f:
        f.write(data[:1000])
        f.write(data[1000:])
        assert not fs.exists(path) and f.tell() == len(data)
    assert fs.metadata(path) == {"m": "n"}
    with fs.open(path) as f:
        assert f.size == len(data) and f.info()["size"] == f.size and f.read() == data
        f.seek(-10, 2)
        assert f.read() == data[-10:] and f.map()[5:10] == data[5:10] and f.pread(5, 7) == data[7:12]
    with fs.open(path, "ab") as f:
        assert f.tell() == len(data)
        f.write(b"more")
        f.write(bytes(2_500_000))
    assert fs.size(path) == len(data) + 4 + 2_500_000 and fs.tail(path, 10) == bytes(10)
    with fs.open(f"{bucket}/new", "ab") as f:
        f.write(b"x")
    assert fs.cat(f"{bucket}/new") == b"x"
    with pytest.raises(ValueError):
        fs.open(path, "a+b")
    for mode in ("rb", "wb", "xb"):
        with pytest.raises(FileNotFoundError):
            fs.open("py-none/k", mode)
    with pytest.raises(ValueError):
        fs.open(bucket, "wb")
    with pytest.raises(IsADirectoryError):
        fs.open(bucket)


def test_an_exception_leaves_what_was_there(fs, bucket):
    fill(fs, bucket, "k")
    for mode in ("wb", "ab"):
        with pytest.raises(ZeroDivisionError):
            with fs.open(f"{bucket}/k", mode) as f:
                f.write(b"half")
                raise ZeroDivisionError
        assert fs.cat(f"{bucket}/k") == b"k"


def test_exclusive_creation(fs, bucket):
    with fs.open(f"{bucket}/k", "xb") as f:
        f.write(b"1")
    with pytest.raises(FileExistsError):
        fs.open(f"{bucket}/k", "xb")
    first, second = fs.open(f"{bucket}/race", "xb"), fs.open(f"{bucket}/race", "xb")
    first.write(b"1")
    second.write(b"2")
    second.close()
    with pytest.raises(FileExistsError):
        first.close()
    assert fs.cat(f"{bucket}/race") == b"2"


def test_text_and_compression(fs, bucket):
    with fs.open(f"{bucket}/t.gz", "wt", compression="infer", encoding="utf-8") as f:
        f.write("zwölf\n" * 1000)
    with fs.open(f"{bucket}/t.gz", "rt", compression="infer", encoding="utf-8") as f:
        assert f.readline() == "zwölf\n"
    assert fs.cat(f"{bucket}/t.gz")[:2] == b"\x1f\x8b"
    assert fs.read_bytes(f"{bucket}/t.gz")[:2] == b"\x1f\x8b"


def test_ranges(fs, bucket):
    data = os.urandom(100_000)
    fs.pipe(f"{bucket}/k", data)
    fs.pipe(f"{bucket}/l", data[::-1])
    for start, end in ((None, None), (5, 10), (-5, None), (10, -10), (99_999, 200_000), (7, 7), (9, 3)):
        assert fs.cat_file(f"{bucket}/k", start=start, end=end) == data[start:end]
    got = fs.cat_ranges([f"{bucket}/k", f"{bucket}/l", f"{bucket}/k", f"{bucket}/x"], [0, 5, 10, 0], [5, 9, 20, 1])
    assert got[:3] == [data[:5], data[::-1][5:9], data[10:20]] and isinstance(got[3], FileNotFoundError)
    assert fs.cat_ranges([f"{bucket}/k"], 1, 3) == [data[1:3]]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{bucket}/x"], 1, 3, on_error="raise")
    with pytest.raises(ValueError):
        fs.cat_ranges([f"{bucket}/k"], [1, 2], [3])
    assert fs.cat([f"{bucket}/k", f"{bucket}/l"]) == {f"{bucket}/k": data, f"{bucket}/l": data[::-1]}


def test_moves_move_no_bytes(fs, bucket):
    fill(fs, bucket, "a/1", "a/b/2", "k")
    etag = fs.ukey(f"{bucket}/k")
    fs.mv(f"{bucket}/k", f"{bucket}/moved")
    assert not fs.exists(f"{bucket}/k") and fs.cat(f"{bucket}/moved") == b"k" and fs.ukey(f"{bucket}/moved") == etag
    fs.mv(f"{bucket}/moved", f"{bucket}/a/")
    assert fs.exists(f"{bucket}/a/moved")
    fs.mv(f"{bucket}/a", f"{bucket}/z", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/z/1", f"{bucket}/z/b/2", f"{bucket}/z/moved"]
    fs.mkdir("py-other-bucket")
    fs.mv(f"{bucket}/z", "py-other-bucket/y", recursive=True)
    assert fs.find(bucket) == [] and fs.cat("py-other-bucket/y/b/2") == b"a/b/2"
    fill(fs, bucket, "y/there")
    fs.mv("py-other-bucket/y", bucket, recursive=True)
    assert fs.find(bucket) == [f"{bucket}/y/1", f"{bucket}/y/b/2", f"{bucket}/y/moved", f"{bucket}/y/there"]
    fs.mv(f"{bucket}/y/*", f"{bucket}/all/")
    assert fs.find(f"{bucket}/all") == [f"{bucket}/all/1", f"{bucket}/all/moved", f"{bucket}/all/there"]
    fs.rm("py-other-bucket", recursive=True)
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{bucket}/none", f"{bucket}/x")
    with pytest.raises(IsADirectoryError):
        fs.mv(f"{bucket}/all", f"{bucket}/x")


def test_copies_share_bytes(fs, bucket):
    fs.pipe(f"{bucket}/big", os.urandom(1 << 20) * 16)
    fs.cp_file(f"{bucket}/big", f"{bucket}/copy")
    assert fs.cat(f"{bucket}/copy") == fs.cat(f"{bucket}/big")
    fill(fs, bucket, "a/1", "a/b/2")
    fs.cp(f"{bucket}/a", f"{bucket}/c", recursive=True)
    assert fs.find(f"{bucket}/c") == [f"{bucket}/c/1", f"{bucket}/c/b/2"]
    with pytest.raises(FileNotFoundError):
        fs.cp_file(f"{bucket}/none", f"{bucket}/x")


def test_removes(fs, bucket):
    fill(fs, bucket, *[f"a/{n:04}" for n in range(1100)], "a/b/1", "ab", "k")
    fs.rm(f"{bucket}/k")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{bucket}/a")
    fs.rm(f"{bucket}/a", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/ab"]
    fs.rm_file(f"{bucket}/ab")
    fs.mkdir("py-rm-bucket")
    fill(fs, "py-rm-bucket", "x", "y/z")
    with pytest.raises(IsADirectoryError):
        fs.rm("py-rm-bucket")
    with pytest.raises(FileExistsError):
        fs.rmdir("py-rm-bucket")
    fs.rm("py-rm-bucket", recursive=True)
    assert not fs.exists("py-rm-bucket")


def test_buckets_are_made_by_mkdir_only(fs, bucket):
    with pytest.raises(FileNotFoundError):
        fs.pipe("py-made/k", b"")
    fs.makedirs("py-made/a/b", exist_ok=True)
    assert fs.isdir("py-made") and not fs.exists("py-made/a")
    with pytest.raises(FileExistsError):
        fs.mkdir("py-made")
    with pytest.raises(FileExistsError):
        fs.makedirs("py-made")
    fs.makedirs("py-made", exist_ok=True)
    fs.touch("py-made/t")
    fs.pipe("py-made/t", b"x")
    fs.touch("py-made/t", truncate=False)
    assert fs.cat("py-made/t") == b"x"
    fs.touch("py-made/t")
    fs.rm("py-made/t")
    fs.rmdir("py-made")
    with pytest.raises(FileNotFoundError):
        fs.mkdir("py-none/a", create_parents=False)


class Counted(Callback):
    def __init__(self):
        super().__init__()
        self.updates = 0

    def relative_update(self, inc=1):
        self.updates += 1
        super().relative_update(inc)


def test_transfers_tell_how_far_they_are(fs, bucket, tmp_path):
    data = os.urandom(12_000_000)
    (tmp_path / "in").write_bytes(data)
    for call, path in ((fs.put_file, "a"), (lambda *a, **k: fs.put_file(*a, mode="create", **k), "b")):
        c = Counted()
        call(str(tmp_path / "in"), f"{bucket}/{path}", callback=c)
        assert c.size == c.value == len(data) and c.updates >= 2 and fs.cat(f"{bucket}/{path}") == data
    with pytest.raises(FileExistsError):
        fs.put_file(str(tmp_path / "in"), f"{bucket}/b", mode="create")
    c = Counted()
    fs.get_file(f"{bucket}/a", str(tmp_path / "out"), callback=c)
    assert c.size == c.value == len(data) and (tmp_path / "out").read_bytes() == data
    (tmp_path / "tree" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "1").write_bytes(b"1")
    (tmp_path / "tree" / "b" / "2").write_bytes(b"2")
    fs.put(str(tmp_path / "tree"), f"{bucket}/tree", recursive=True)
    assert fs.find(f"{bucket}/tree") == [f"{bucket}/tree/1", f"{bucket}/tree/b/2"]
    fs.get(f"{bucket}/tree", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back" / "b" / "2").read_bytes() == b"2"


def test_a_transaction_is_all_or_nothing(fs, bucket):
    fill(fs, bucket, "log")
    with fs.transaction:
        with fs.open(f"{bucket}/a", "wb") as f:
            f.write(b"a")
        with fs.open(f"{bucket}/log", "ab") as f:
            f.write(b"+")
        fs.pipe_file(f"{bucket}/b", b"b")
        assert not fs.exists(f"{bucket}/a") and not fs.exists(f"{bucket}/b") and fs.cat(f"{bucket}/log") == b"log"
    assert fs.cat(f"{bucket}/a") == b"a" and fs.cat(f"{bucket}/b") == b"b" and fs.cat(f"{bucket}/log") == b"log+"
    with pytest.raises(ZeroDivisionError):
        with fs.transaction:
            fs.pipe_file(f"{bucket}/c", b"c")
            with fs.open(f"{bucket}/log", "ab") as f:
                f.write(b"+")
            raise ZeroDivisionError
    assert not fs.exists(f"{bucket}/c") and fs.cat(f"{bucket}/log") == b"log+"


def test_it_is_pickled(fs, bucket):
    fill(fs, bucket, "k")
    assert pickle.loads(pickle.dumps(fs)).cat(f"{bucket}/k") == b"k"
    of = fsspec.open(f"geds://{bucket}/k")
    with pickle.loads(pickle.dumps(of)) as f:
        assert f.read() == b"k"


def test_threads_share_a_connection(fs, bucket):
    fill(fs, bucket, "k")

    def work(number):
        mine = fsspec.filesystem("geds")
        mine.pipe(f"{bucket}/{number}", b"x" * number)
        return mine.store is fs.store and mine.cat(f"{bucket}/{number}") == b"x" * number

    fs.store
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))


def test_a_mapping(fs, bucket):
    m = fsspec.get_mapper(f"geds://{bucket}/zarr")
    m["a/0.0"] = b"chunk"
    assert m["a/0.0"] == b"chunk" and list(m) == ["a/0.0"] and "b" not in m
    del m["a/0.0"]
    assert len(m) == 0


def test_a_store_that_was_away_is_found_again(own):
    fs = GedsFileSystem(own.address)
    fs.mkdir("away")
    fs.pipe("away/k", b"k")
    own.down()
    own.up()
    with pytest.raises(OSError):
        fs.cat("away/k")
    assert fs.cat("away/k") == b"k"


def test_random_reads_are_those_of_bytes(fs, bucket):
    r = random.Random(7)
    data = r.randbytes(1_000_000)
    fs.pipe(f"{bucket}/k", data)
    with fs.open(f"{bucket}/k", block_size=4096) as f, io.BytesIO(data) as model:
        for _ in range(2000):
            at, n = r.randrange(1_100_000), r.choice([0, 1, 100, 5000, 100_000])
            assert f.seek(at) == model.seek(at) and f.read(n) == model.read(n) and f.readline() == model.readline()


def test_files_are_changed_in_place_and_as_a_whole(fs, bucket):
    path = f"{bucket}/changed"
    fs.pipe(path, b"0123456789")
    with fs.open(path, "r+b") as f:
        assert f.read(3) == b"012" and f.seek(-2, 2) == 8
        f.write(b"xyz")
        f.seek(2)
        f.write(b"__")
        assert f.tell() == 4 and fs.cat(path) == b"0123456789"
    assert fs.cat(path) == b"01__4567xyz"
    with fs.open(path, "w+b") as f:
        f.seek(100)
        f.write(b"end")
        f.truncate(102)
        f.seek(99)
        assert f.read() == b"\0en"
    assert fs.cat(path) == bytes(100) + b"en"
    with pytest.raises(FileNotFoundError):
        fs.open(f"{bucket}/none", "r+b")
    with fs.open(path, "wb") as f, pytest.raises(OSError):
        f.read()
    with pytest.raises(ZeroDivisionError), fs.open(path, "r+b") as f:
        f.write(b"never")
        1 / 0
    with pytest.raises(OSError) as e, fs.open(path, "r+b") as f:
        f.write(b"late")
        fs.pipe(path, b"other")
    assert isinstance(e.value, cloudskin.ChangedError) and fs.cat(path) == b"other"
