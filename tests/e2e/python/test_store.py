"""The store's calls: what they do, and what they refuse."""

import array
import concurrent.futures
import datetime
import os
import pathlib
import random
import subprocess

import pytest

import cloudskin
from cloudskin import Code


def test_bytes_come_back(store, bucket):
    for data in (b"", b"x", os.urandom(16384), os.urandom(16385), os.urandom(3 << 20)):
        info = store.put(bucket, "k", data)
        assert info.size == len(data) and info == store.stat(bucket, "k")
        assert store.get(bucket, "k") == data


def test_every_kind_of_buffer_is_put(store, bucket):
    numbers = array.array("d", [1.5, 2.5])
    for data in (bytearray(b"ab"), memoryview(b"ab"), memoryview(b"xaxb")[1::2], numbers, memoryview(bytearray(b"ab"))):
        store.put(bucket, "k", data)
        assert store.get(bucket, "k") == bytes(memoryview(data).tobytes())
    with pytest.raises(TypeError):
        store.put(bucket, "k", "text")


def test_a_big_object_comes_back(store, bucket):
    data = os.urandom(1 << 20) * 64
    store.put(bucket, "big", data)
    assert store.get(bucket, "big") == data
    assert store.open(bucket, "big").map() == data


def test_ranges(store, bucket):
    data = os.urandom(100_000)
    store.put(bucket, "k", data)
    assert store.get(bucket, "k", 10, 5) == data[10:15]
    assert store.get(bucket, "k", 99_990, 500) == data[99_990:]
    assert store.get(bucket, "k", 100_000) == b"" and store.get(bucket, "k", 200_000, 5) == b""
    assert store.get(bucket, "k", -7) == data[-7:] and store.get(bucket, "k", -200_000) == data
    with pytest.raises(ValueError):
        store.get(bucket, "k", 0, -1)


def test_metadata_and_type(store, bucket):
    store.put(bucket, "k", b"x", content_type="text/plain", metadata={"Who": "mé"})
    with store.open(bucket, "k") as o:
        assert (o.content_type, dict(o.metadata), o.attributes["x-amz-meta-who"]) == ("text/plain", {"who": "mé"}, "mé")
    store.copy(bucket, "k", bucket, "same")
    assert store.open(bucket, "same").metadata == {"who": "mé"}
    store.copy(bucket, "k", bucket, "other", metadata={"a": "b"})
    assert store.open(bucket, "other").metadata == {"a": "b"}


def test_times_are_of_now(store, bucket):
    age = datetime.datetime.now(datetime.timezone.utc) - store.put(bucket, "k", b"").modified
    assert abs(age) < datetime.timedelta(minutes=5)
    assert abs(store.bucket(bucket).created - store.stat(bucket, "k").modified) < datetime.timedelta(minutes=5)


def test_conditions(store, bucket):
    first = store.put(bucket, "k", b"1", if_none=True)
    with pytest.raises(FileExistsError) as e:
        store.put(bucket, "k", b"2", if_none=True)
    assert e.value.code == Code.EXIST and e.value.filename == f"geds://{bucket}/k"
    store.put(bucket, "k", b"2", if_match=first.etag)
    with pytest.raises(cloudskin.ChangedError):
        store.put(bucket, "k", b"3", if_match=first.etag)
    with pytest.raises(FileNotFoundError):
        store.put(bucket, "none", b"3", if_match="*")
    with pytest.raises(cloudskin.ChangedError):
        store.delete(bucket, "k", if_match=first.etag)
    with pytest.raises(ValueError):
        store.put(bucket, "k", b"", if_none=True, if_match="*")
    store.put(bucket, "new", b"")
    for call in (store.rename, store.copy):
        with pytest.raises(FileExistsError):
            call(bucket, "new", bucket, "k", if_none=True)
    with pytest.raises(FileExistsError):
        store.append(bucket, "k", b"3", if_none=True)
    assert store.get(bucket, "k") == b"2"


def test_what_is_encrypted_is_told(store, bucket):
    plain = store.put(bucket, "plain", bytes(100000))
    subprocess.run(["cloudskin", "tier", "--encrypt", "on", f"geds://{bucket}"], check=True, stdout=subprocess.PIPE)
    for size in (1, 100000):
        info = store.put(bucket, "k", bytes(size))
        assert info.encrypted and info == store.stat(bucket, "k") and not plain.encrypted
    assert [(e.key, e.info.encrypted) for e in store.list(bucket)] == [("k", True), ("plain", False)]
    with store.open(bucket, "k") as o:
        assert o.info == store.stat(bucket, "k")


def test_appends(store, bucket):
    store.append(bucket, "log", b"one\n")
    info = store.append(bucket, "log", bytearray(b"two\n"))
    assert info.size == 8 and store.get(bucket, "log") == b"one\ntwo\n"
    store.append(bucket, "log", bytes(3 << 20))
    assert store.stat(bucket, "log").size == 8 + (3 << 20)


def test_renames_and_copies(store, bucket):
    store.put(bucket, "a/1", b"1")
    store.put(bucket, "a/2", b"2")
    store.rename(bucket, "a/1", bucket, "b/1")
    assert not store.exists(bucket, "a/1") and store.get(bucket, "b/1") == b"1"
    store.copy(bucket, "b/1", bucket, "a/3")
    assert store.rename_prefix(bucket, "a/", "c/d/") == 2
    assert [e.key for e in store.list(bucket)] == ["b/1", "c/d/2", "c/d/3"]
    with pytest.raises(FileNotFoundError):
        store.rename(bucket, "none", bucket, "x")
    store.put(bucket, "e/2", b"")
    with pytest.raises(FileExistsError):
        store.rename_prefix(bucket, "c/d/", "e/")


def test_lists(store, bucket):
    names = sorted([f"k{i:04}" for i in range(2000)] + ["a/1", "a/2", "b"], key=str.encode)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put(bucket, name, b"1"), names))
    assert [e.key for e in store.list(bucket)] == names
    assert [e.key for e in store.list(bucket, limit=950)] == names[:950]
    assert [e.key for e in store.list(bucket, "k1", start_after="k1997")] == ["k1998", "k1999"]
    entries = list(store.list(bucket, delimiter="/", limit=2))
    assert [(e.key, e.is_prefix) for e in entries] == [("a/", True), ("b", False)]
    assert entries[1].info == store.stat(bucket, "b")
    assert list(store.list(bucket, "none")) == [] and list(store.list(bucket, limit=0)) == []
    assert store.bucket(bucket).objects == 2003


def test_buckets(store, bucket):
    assert bucket in [b.name for b in store.buckets()]
    with pytest.raises(FileExistsError):
        store.create_bucket(bucket)
    store.create_bucket(bucket, exist_ok=True)
    store.put(bucket, "k", b"")
    with pytest.raises(FileExistsError):
        store.delete_bucket(bucket)
    with pytest.raises(ValueError) as e:
        store.create_bucket("No")
    assert e.value.code in (Code.INVAL, Code.INVALID)
    for call in (store.bucket, store.delete_bucket, lambda b: list(store.list(b)), lambda b: store.put(b, "k", b"")):
        with pytest.raises(FileNotFoundError):
            call("py-none")


def test_deletes(store, bucket):
    for key in ("a", "b", "c"):
        store.put(bucket, key, b"")
    store.delete(bucket, "a")
    with pytest.raises(FileNotFoundError) as e:
        store.delete(bucket, "a")
    assert e.value.code == Code.NOTFOUND and e.value.offset is None and e.value.text
    assert store.delete_many(bucket, ["b", "none", "c"]) == ["none"]
    assert store.delete_many(bucket, []) == [] and list(store.list(bucket)) == []


def test_keys_are_any_text(store, bucket):
    for key in ("é +", "..", "a//b", "/", "x" * 1024, "\U0001f600"):
        store.put(bucket, key, key.encode())
        assert store.get(bucket, key) == key.encode()
        assert key in [e.key for e in store.list(bucket)]
    for key in ("", "x" * 1025, "a\0b", "\udcff\udc80", "\n"):
        with pytest.raises(ValueError):
            store.put(bucket, key, b"")
    with pytest.raises(TypeError):
        store.put(bucket, b"bytes", b"")


def test_status_and_fsck(store, bucket):
    store.put(bucket, "k", bytes(100_000))
    status = store.status()
    assert status.objects >= 1 and status.buckets >= 1 and os.path.isdir(status.state)
    assert status.version == cloudskin.__version__ and status.process > 0 and ":" in status.s3
    found = []
    check = store.fsck(found=found.append)
    assert check.objects >= 1 and check.findings == 0 and found == []


def test_nothing_is_up(tmp_path):
    with pytest.raises(ConnectionRefusedError) as e:
        cloudskin.connect(f"unix:{tmp_path}/none")
    assert isinstance(e.value, cloudskin.NotRunningError) and e.value.code == Code.NOTFOUND
    assert "cloudskin up" in str(e.value)
    with pytest.raises(ValueError):
        cloudskin.connect("nonsense")


def test_a_closed_store_refuses(store, bucket):
    other = cloudskin.connect()
    store.put(bucket, "k", b"bytes")
    o = other.open(bucket, "k")
    other.close()
    other.close()
    assert other.closed and o.read() == b"bytes"
    with pytest.raises(ValueError):
        other.get(bucket, "k")
    o.close()


def test_damage_is_told_with_its_place(own):
    with cloudskin.connect(own.address) as s:
        s.create_bucket("damaged")
        s.put("damaged", "k", os.urandom(4 << 20))
        s.put("damaged", "good", b"good")
    own.down()
    files = [f for f in pathlib.Path(own.folder, "state", "geds", "data").rglob("*") if f.is_file()]
    largest = max(files, key=lambda f: f.stat().st_size)
    with open(largest, "r+b") as f:
        f.seek(2_000_000)
        old = f.read(1)
        f.seek(2_000_000)
        f.write(bytes([old[0] ^ 1]))
    own.up()
    with cloudskin.connect(own.address) as s:
        with pytest.raises(cloudskin.CorruptError) as e:
            s.get("damaged", "k")
        assert e.value.code == Code.CORRUPT and 1_900_000 < e.value.offset < 2_100_000
        assert s.get("damaged", "good") == b"good"
        found = []
        assert s.fsck(found=found.append).findings == len(found) >= 1 and found[0].text


def test_a_lost_connection_is_an_error_and_a_new_one_works(own):
    s = cloudskin.connect(own.address)
    s.create_bucket("lost")
    s.put("lost", "k", b"kept")
    o, w = s.open("lost", "k"), s.create("lost", "w")
    own.down()
    own.up()
    for call in (lambda: s.get("lost", "k"), s.status, lambda: s.put("lost", "k", b"")):
        with pytest.raises(cloudskin.StoreError) as e:
            call()
        assert e.value.code == Code.IO
    with pytest.raises(cloudskin.StoreError):
        w.write(bytes(20 << 20))
        w.seal()
    assert s.lost()
    o.close()
    s.close()
    with cloudskin.connect(own.address) as s:
        assert s.get("lost", "k") == b"kept" and not s.lost() and not s.exists("lost", "w")


def test_threads_share_a_store(store, bucket):
    def work(number):
        r = random.Random(number)
        for turn in range(60):
            key = f"{number}/{turn % 7}"
            data = r.randbytes(r.choice([0, 10, 5000, 70_000, 1_200_000 if turn % 20 == 0 else 100]))
            if r.random() < 0.3:
                with store.create(bucket, key) as w:
                    w.write(data[: len(data) // 2])
                    w.write(data[len(data) // 2 :])
            else:
                store.put(bucket, key, data)
            assert store.get(bucket, key) == data
            assert bytes(store.open(bucket, key).map()) == data
            assert key in [e.key for e in store.list(bucket, f"{number}/")]

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for f in [pool.submit(work, n) for n in range(12)]:
            f.result()


def test_a_race_for_a_name_has_one_winner(store, bucket):
    def attempt(number):
        try:
            store.put(bucket, "one", str(number).encode(), if_none=True)
            return number
        except FileExistsError:
            return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        won = [n for n in pool.map(attempt, range(64)) if n is not None]
    assert len(won) == 1 and store.get(bucket, "one") == str(won[0]).encode()


def test_a_forks_child_is_refused_and_harms_nothing(store, bucket):
    store.put(bucket, "k", b"parent's")
    o, w = store.open(bucket, "k"), store.create(bucket, "w")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for call in (lambda: store.get(bucket, "k"), lambda: o.pread(1, 0), lambda: w.write(b"x"), w.seal):
                try:
                    call()
                except RuntimeError:
                    continue
                raise AssertionError
            o.close()
            w.abort()
            with cloudskin.connect() as own_one:
                code = 0 if own_one.get(bucket, "k") == b"parent's" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert o.read() == b"parent's" and w.write(b"x") == 1
    w.seal()
    assert store.get(bucket, "w") == b"x"


def test_random_calls_do_what_a_dict_does(store, bucket):
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
    print("SEED =", seed)
    r, model = random.Random(seed), {}
    keys = [f"{folder}{n}" for folder in ("", "a/", "a/b/", "é/") for n in range(4)]
    for _ in range(1500):
        key, other = r.choice(keys), r.choice(keys)
        data = r.randbytes(r.choice([0, 1, 100, 4096, 20_000, 200_000]) if r.random() < 0.9 else 1_500_000)
        what = r.choice(["put", "put", "create", "append", "delete", "rename", "copy", "get", "range", "new", "many"])
        try:
            if what == "put":
                store.put(bucket, key, data)
                model[key] = data
            elif what == "create":
                with store.create(bucket, key) as w:
                    for i in range(0, len(data), 100_000):
                        w.write(data[i : i + 100_000])
                model[key] = data
            elif what == "append":
                store.append(bucket, key, data)
                model[key] = model.get(key, b"") + data
            elif what == "delete":
                store.delete(bucket, key)
                del model[key]
            elif what == "rename":
                store.rename(bucket, key, bucket, other)
                model[other] = model.pop(key)
            elif what == "copy":
                store.copy(bucket, key, bucket, other)
                model[other] = model[key]
            elif what == "get":
                assert store.get(bucket, key) == model[key]
            elif what == "range":
                at, n = r.randrange(250_000), r.randrange(50_000)
                assert store.get(bucket, key, at, n) == model[key][at : at + n]
            elif what == "new":
                store.put(bucket, key, data, if_none=True)
                assert key not in model
                model[key] = data
            else:
                missing = store.delete_many(bucket, [key, other])
                assert set(missing) == {k for k in (key, other) if k not in model} or key == other
                model.pop(key, None)
                model.pop(other, None)
        except FileNotFoundError:
            assert key not in model
        except FileExistsError:
            assert what == "new" and key in model
        if r.random() < 0.05:
            assert {e.key: e.info.size for e in store.list(bucket)} == {k: len(v) for k, v in model.items()}
    assert {e.key: store.get(bucket, e.key) for e in store.list(bucket)} == model
