"""Facts about s3fs, the fsspec file system, with a server: ENDPOINT ACCESS_KEY SECRET."""

import os
import sys
import tempfile
import traceback

import s3fs

facts = []


def fact(f):
    facts.append(f)
    return f


def equal(a, b):
    assert a == b, f"{a!r:.300} is not {b!r:.300}"


@fact
def s3fs_makes_and_removes_buckets(fs):
    fs.mkdir("fsone")
    equal("fsone" in fs.ls(""), True)
    fs.rmdir("fsone")
    equal(fs.exists("fsone"), False)


@fact
def s3fs_writes_and_reads_files(fs):
    fs.mkdir("fstwo")
    for size in (0, 10, 5 << 20, (11 << 20) + 3):
        body = os.urandom(size)
        with fs.open("fstwo/file", "wb", block_size=5 << 20) as f:
            f.write(body)
        equal(fs.info("fstwo/file")["size"], size)
        with fs.open("fstwo/file", "rb") as f:
            equal(f.read(), body)
            f.seek(size // 2)
            equal(f.read(100), body[size // 2:size // 2 + 100])
        equal(fs.cat_file("fstwo/file", start=max(size - 5, 0), end=size), body[max(size - 5, 0):])


@fact
def s3fs_appends(fs):
    fs.pipe("fstwo/log", b"one\n")
    with fs.open("fstwo/log", "ab") as f:
        f.write(b"two\n")
    equal(fs.cat("fstwo/log"), b"one\ntwo\n")
    fs.pipe("fstwo/log", b"1" * (6 << 20))
    with fs.open("fstwo/log", "ab") as f:
        f.write(b"end")
    equal(fs.tail("fstwo/log", 4), b"1end")


@fact
def s3fs_walks_folders(fs):
    for name in ("t/a/1", "t/a/2", "t/b/c/3", "t/\u00e9 +"):
        fs.pipe(f"fstwo/{name}", name.encode())
    equal(sorted(fs.find("fstwo/t")), ["fstwo/t/a/1", "fstwo/t/a/2", "fstwo/t/b/c/3", "fstwo/t/\u00e9 +"])
    equal(sorted(fs.ls("fstwo/t", detail=False)), ["fstwo/t/a", "fstwo/t/b", "fstwo/t/\u00e9 +"])
    equal(fs.glob("fstwo/t/*/?"), ["fstwo/t/a/1", "fstwo/t/a/2", "fstwo/t/b/c"])
    equal((fs.isdir("fstwo/t/b"), fs.isfile("fstwo/t/b"), fs.isfile("fstwo/t/b/c/3"), fs.exists("fstwo/t/x")), (True, False, True, False))
    equal(fs.du("fstwo/t"), 5 + 5 + 7 + 6)


@fact
def s3fs_copies_moves_and_removes(fs):
    fs.copy("fstwo/t", "fstwo/u", recursive=True)
    equal(fs.cat("fstwo/u/b/c/3"), b"t/b/c/3")
    fs.mv("fstwo/u/a/1", "fstwo/u/a/9")
    equal((fs.exists("fstwo/u/a/1"), fs.cat("fstwo/u/a/9")), (False, b"t/a/1"))
    fs.rm("fstwo/u", recursive=True)
    equal(fs.find("fstwo/u"), [])


@fact
def s3fs_carries_metadata_and_tags(fs):
    fs.pipe("fstwo/meta", b"x")
    fs.setxattr("fstwo/meta", colour="red")
    equal(fs.getxattr("fstwo/meta", "colour"), "red")
    fs.put_tags("fstwo/meta", {"a": "1"})
    equal(fs.get_tags("fstwo/meta"), {"a": "1"})


@fact
def s3fs_puts_and_gets_trees(fs):
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/up/a")
        for name in ("x", "a/y"):
            with open(f"{folder}/up/{name}", "w") as f:
                f.write(name)
        fs.put(f"{folder}/up", "fstwo/put", recursive=True)
        fs.get("fstwo/put", f"{folder}/down", recursive=True)
        with open(f"{folder}/down/a/y") as f:
            equal(f.read(), "a/y")
    fs.rm("fstwo", recursive=True)
    equal(fs.exists("fstwo"), False)


def main():
    endpoint, access, secret = sys.argv[1:]
    fs = s3fs.S3FileSystem(key=access, secret=secret, endpoint_url=endpoint, client_kwargs={"region_name": "us-east-1"},
                           use_listings_cache=False, skip_instance_cache=True)
    failed = 0
    for f in facts:
        try:
            f(fs)
            print("ok  ", f.__name__.replace("_", " "))
        except Exception:  # whatever it is, the fact does not hold
            failed += 1
            print("FAIL", f.__name__.replace("_", " "))
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    print(f"{len(facts) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
