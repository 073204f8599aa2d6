"""The store as a file system of fsspec: `fsspec.open("geds://bucket/key")`, and so pandas, pyarrow, dask, ...

Folders are what keys have in common up to a slash: they are there as long as something is beneath them. A bucket is made
by `mkdir` and `makedirs` only, never by writing to it."""

from __future__ import annotations

import datetime
import io
import os
import threading
import weakref
from typing import Any, Iterable, Iterator, Mapping, Optional

from fsspec.spec import AbstractFileSystem
from fsspec.utils import other_paths

from .errors import Code, StoreError, error_of
from .files import Object, Writer
from .store import Store
from .types import Info

READ_BYTES = 256 * 1024
APPEND_BYTES = 1 << 20  # the store adds as much as a whole
DELETE_MANY = 1000

# fsspec makes a file system for each thread; they share a connection.
_stores: weakref.WeakValueDictionary[tuple[int, Optional[str]], Store] = weakref.WeakValueDictionary()
_stores_lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().update(_stores_lock=threading.Lock()))


def _shared(address: Optional[str], instead_of: Optional[Store]) -> Store:
    with _stores_lock:
        at = (os.getpid(), address)
        store = _stores.get(at)
        if store is None or store is instead_of:
            store = _stores[at] = Store(address)
        return store


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key


def _object(path: str) -> tuple[str, str]:
    bucket, key = _split(path)
    if not bucket or not key:
        raise error_of(Code.INVAL, "not the name of an object: geds://BUCKET/KEY is", None, f"geds://{path}")
    return bucket, key


def _readable(fs: GedsFileSystem, path: str) -> tuple[str, str]:
    bucket, key = _split(path)
    if bucket and not key:
        fs.store.bucket(bucket)
    if not key:
        raise IsADirectoryError(f"a bucket is no file: geds://{path}")
    return bucket, key


def _missing(path: str) -> StoreError:
    return error_of(Code.NOTFOUND, "no such object, folder or bucket", None, f"geds://{path}")


def _file(bucket: str, key: str, info: Info) -> dict[str, Any]:
    return {
        "name": f"{bucket}/{key}",
        "type": "file",
        "size": info.size,
        "mtime": info.modified,
        "LastModified": info.modified,
        "etag": info.etag,
        "ETag": info.etag,
        "encrypted": info.encrypted,
    }


def _folder(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "directory", "size": 0, **more}


class GedsFile(io.BufferedReader):
    """An object that is read. `map` and `pread` are those of cloudskin.Object."""

    def __init__(self, fs: GedsFileSystem, path: str, o: Object, size: int) -> None:
        super().__init__(o, size)
        self.fs, self.path, self.object = fs, path, o
        self.size = o.size

    def info(self) -> dict[str, Any]:
        return _file(*_split(self.path), self.object.info)

    def map(self) -> memoryview:
        return self.object.map()

    def pread(self, length: int, offset: int) -> bytes:
        return self.object.pread(length, offset)


class _Written(io.RawIOBase):
    """What is written through fsspec. In a transaction it has its name at `commit`, else at `close`."""

    def __init__(self, fs: GedsFileSystem, path: str, mode: str, autocommit: bool) -> None:
        super().__init__()
        self.fs, self.path, self.mode, self.autocommit = fs, path, mode, autocommit
        self.size: Optional[int] = None

    def writable(self) -> bool:
        return True

    def commit(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self.autocommit:
                self.commit()

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is not None:
            self.discard()
            self.autocommit = False
        self.close()

    def __del__(self) -> None:
        if not self.closed:  # fsspec leaves what is beneath a compressed file to this
            self.close()


class GedsNew(_Written):
    """A new object, or the change of one (r+b, which replaces only what was opened)."""

    def __init__(self, fs: GedsFileSystem, path: str, mode: str, autocommit: bool, writer: Writer) -> None:
        super().__init__(fs, path, mode, autocommit)
        self.writer = writer

    def write(self, data: Any) -> int:
        if self.closed:
            raise ValueError("the file is closed")
        return self.writer.write(data)

    def readable(self) -> bool:
        return "+" in self.mode

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.writer.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.writer.seek(offset, whence)

    def truncate(self, size: Optional[int] = None) -> int:
        return self.writer.truncate(size)

    def readinto(self, buffer: Any) -> int:
        if not self.readable():
            raise io.UnsupportedOperation("the file is written only")
        return self.writer.readinto(buffer)

    def commit(self) -> None:
        self.writer.close()
        self.size = self.writer.size

    def discard(self) -> None:
        self.writer.abort()


class GedsAppend(_Written):
    """Bytes for the end of an object; in a transaction all of them are kept until its end."""

    def __init__(self, fs: GedsFileSystem, path: str, autocommit: bool, size: int) -> None:
        super().__init__(fs, path, "ab", autocommit)
        self._kept = bytearray()
        self._failure: Optional[StoreError] = None
        self._at = size

    def write(self, data: Any) -> int:
        if self.closed:
            raise ValueError("the file is closed")
        view = memoryview(data).cast("B")
        self._kept += view
        self._at += view.nbytes
        if self.autocommit and len(self._kept) >= APPEND_BYTES:
            self.commit()
        return view.nbytes

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        if self.autocommit and not self.closed:
            self.commit()

    def commit(self) -> None:
        if self._failure is not None:  # bytes are missing, so what comes behind them is not written either
            raise self._failure
        if self._kept:
            kept, self._kept = self._kept, bytearray()
            try:
                self.fs.store.append(*_object(self.path), kept)
            except StoreError as error:
                self._failure = error
                raise
        self.size = self._at

    def discard(self) -> None:
        self._kept = bytearray()
        self._failure = None


class GedsFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """address: of the store, "unix:/PATH"; default: $CLOUDSKIN_CONTROLLER, else what `cloudskin up` started."""

    protocol = "geds"
    root_marker = ""

    def __init__(self, address: Optional[str] = None, **storage_options: Any) -> None:
        super().__init__(**storage_options)
        self.address = address
        self._store: Optional[Store] = None
        self._store_pid = 0

    @property
    def store(self) -> Store:
        """The connection; a new one in a fork's child, and after a call has failed since it was lost."""
        if self._store is None or self._store_pid != os.getpid():
            self._store, self._store_pid = _shared(self.address, None), os.getpid()
        elif self._store.lost():
            self._store = _shared(self.address, self._store)
        return self._store

    @property
    def fsid(self) -> str:
        return f"geds-{self.store.status().state}"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        path = os.fspath(path)
        for start in ("geds://", "geds::"):
            if path.startswith(start):
                path = path[len(start) :]
        return path.strip("/") if path.strip("/") else cls.root_marker

    # Looking.

    def _beneath(self, bucket: str, folder: str) -> Iterator[dict[str, Any]]:
        """One level: of the folder, or of the bucket when it is empty."""
        prefix = f"{folder}/" if folder else ""
        for e in self.store.list(bucket, prefix, delimiter="/"):
            if e.info is None:
                yield _folder(f"{bucket}/{e.key.rstrip('/')}")
            elif e.key != prefix:  # which stands for an empty folder
                yield _file(bucket, e.key, e.info)

    def _is_folder(self, bucket: str, folder: str) -> bool:
        return any(True for _ in self.store.list(bucket, f"{folder}/", limit=1))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        path = self._strip_protocol(path)
        bucket, key = _split(path)
        if not bucket:
            found = [_folder(b.name, created=b.created) for b in self.store.buckets()]
        else:
            found = list(self._beneath(bucket, key))
            if not found and key and not self._is_folder(bucket, key):
                found = [_file(bucket, key, self.store.stat(bucket, key))]
        return found if detail else [f["name"] for f in found]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        bucket, key = _split(path)
        if not bucket:
            return _folder("")
        if not key:
            return _folder(bucket, created=self.store.bucket(bucket).created)
        try:
            return _file(bucket, key, self.store.stat(bucket, key))
        except FileNotFoundError:
            if self._is_folder(bucket, key):
                return _folder(path)
            raise

    def find(
        self,
        path: str,
        maxdepth: Optional[int] = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        """As fsspec's, in one listing where nothing asks for folders. prefix: of names in the folder itself."""
        path = self._strip_protocol(path)
        bucket, key = _split(path)
        if not bucket or maxdepth is not None or withdirs:
            found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
            start = f"{path}/{prefix}" if path else prefix
            found = {name: info for name, info in found.items() if not prefix or name.startswith(start)}
        else:
            start = f"{key}/{prefix}" if key else prefix
            files = self.store.list(bucket, start)
            found = {
                f"{bucket}/{e.key}": _file(bucket, e.key, e.info)
                for e in self._or_nothing(files)
                if e.info is not None and not e.key.endswith("/")
            }
            if not found and key and not prefix and self.isfile(path):
                found = {path: self.info(path)}
        return found if detail else sorted(found)

    @staticmethod
    def _or_nothing(entries: Iterator[Any]) -> Iterator[Any]:
        """fsspec finds nothing where nothing is."""
        try:
            yield from entries
        except FileNotFoundError:
            return

    def created(self, path: str) -> datetime.datetime:
        """Of a bucket; an object has the time of its last change only."""
        info = self.info(path)
        if info.get("created") is None and "mtime" not in info:
            raise _missing(path)
        created: datetime.datetime = info.get("created") or info["mtime"]
        return created

    def modified(self, path: str) -> datetime.datetime:
        info = self.info(path)
        if "mtime" not in info:
            raise IsADirectoryError(f"a folder has no time: {path}")
        modified: datetime.datetime = info["mtime"]
        return modified

    def checksum(self, path: str) -> int:
        return int.from_bytes(self.ukey(path).encode(), "little")

    def ukey(self, path: str) -> str:
        info = self.info(path)
        return str(info.get("etag", info["name"]))

    def metadata(self, path: str) -> dict[str, str]:
        """User metadata of an object."""
        with self.store.open(*_readable(self, self._strip_protocol(path))) as o:
            return dict(o.metadata)

    # Reading.

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Optional[int] = None,
        autocommit: bool = True,
        cache_options: Any = None,
        content_type: Optional[str] = None,
        metadata: Optional[Mapping[str, str]] = None,
        **kwargs: Any,
    ) -> Any:
        path = self._strip_protocol(path)
        bucket, key = _readable(self, path) if mode == "rb" else _object(path)
        if mode == "rb":
            o = self.store.open(bucket, key)
            return GedsFile(self, path, o, block_size if isinstance(block_size, int) else READ_BYTES)
        if mode == "ab":
            size = self.store.stat(bucket, key).size if self.store.exists(bucket, key) else 0
            return GedsAppend(self, path, autocommit, size)
        if mode in ("r+b", "rb+"):
            return GedsNew(self, path, "r+b", autocommit, self.store.edit(bucket, key))
        mode = {"wb+": "w+b", "xb+": "x+b"}.get(mode, mode)
        if mode not in ("wb", "xb", "w+b", "x+b"):
            raise ValueError(f"mode {mode!r}: an object is read, written, changed or appended to")
        self.store.bucket(bucket)  # what is missing is said now, not at the end
        if mode[0] == "x" and self.store.exists(bucket, key):
            raise error_of(Code.EXIST, "the object is there already", None, f"geds://{path}")
        writer = self.store.create(
            bucket, key, content_type=content_type, metadata=metadata, if_none=mode[0] == "x"
        )
        return GedsNew(self, path, mode, autocommit, writer)

    def cat_file(self, path: str, start: Optional[int] = None, end: Optional[int] = None, **kwargs: Any) -> bytes:
        with self.store.open(*_readable(self, self._strip_protocol(path))) as o:
            return self._range(o, start, end)

    @staticmethod
    def _range(o: Object, start: Optional[int], end: Optional[int]) -> bytes:
        at, stop, _ = slice(start, end).indices(o.size)
        return o.pread(max(0, stop - at), at)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: Optional[int] = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Each object is opened once."""
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if len(starts) != len(paths) or len(ends) != len(paths):
            raise ValueError("paths, starts and ends differ in number")
        found: list[Any] = [None] * len(paths)
        wanted: dict[str, list[int]] = {}
        for i, path in enumerate(paths):
            wanted.setdefault(path, []).append(i)
        for path, indices in wanted.items():
            try:
                with self.store.open(*_readable(self, self._strip_protocol(path))) as o:
                    for i in indices:
                        found[i] = self._range(o, starts[i], ends[i])
            except Exception as e:
                if on_error != "return":
                    raise
                for i in indices:
                    found[i] = e if found[i] is None else found[i]
        return found

    # Changing.

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Makes a bucket. A folder needs no making, only its bucket does."""
        bucket, key = _split(self._strip_protocol(path))
        if not bucket:
            raise error_of(Code.EXIST, "the root is there", None, "geds://")
        if not key:
            self.store.create_bucket(bucket)
        elif create_parents:
            self.store.create_bucket(bucket, exist_ok=True)
        else:
            self.store.bucket(bucket)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        bucket, key = _split(self._strip_protocol(path))
        if bucket:
            self.store.create_bucket(bucket, exist_ok=exist_ok or bool(key))

    def rmdir(self, path: str) -> None:
        """Of a bucket, which must be empty; a folder that is empty is not there."""
        bucket, key = _split(self._strip_protocol(path))
        if not key:
            self.store.delete_bucket(bucket)
        elif any(True for _ in self._beneath(bucket, key)):
            raise error_of(Code.EXIST, "the folder is not empty", None, f"geds://{path}")
        elif self._is_folder(bucket, key):
            self.store.delete(bucket, f"{key}/")

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        bucket, key = _object(self._strip_protocol(path))
        if truncate or not self.store.exists(bucket, key):
            self.store.put(bucket, key, b"")

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        bucket, key = _object(self._strip_protocol(path))
        options = {name: kwargs[name] for name in ("content_type", "metadata") if name in kwargs}
        if self._intrans:
            with self.open(path, "xb" if mode == "create" else "wb", **options) as f:
                f.write(value)
        else:
            self.store.put(bucket, key, value, if_none=mode == "create", **options)

    def put_file(self, lpath: Any, rpath: str, *args: Any, **kwargs: Any) -> None:
        rpath = self._strip_protocol(rpath)
        if kwargs.pop("mode", "overwrite") == "create":  # as one step, not as a look before
            if os.path.isdir(lpath):
                return self.makedirs(rpath, exist_ok=True)
            return self._put_new(lpath, rpath, *args, **kwargs)
        super().put_file(lpath, rpath, *args, **kwargs)

    def _put_new(self, lpath: Any, rpath: str, callback: Any = None, **kwargs: Any) -> None:
        with open(lpath, "rb") as source, self.open(rpath, "xb", **kwargs) as to:
            if callback is not None:
                callback.set_size(os.fstat(source.fileno()).st_size)
            while data := source.read(APPEND_BYTES):
                to.write(data)
                if callback is not None:
                    callback.relative_update(len(data))

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """The bytes are shared, whatever their number."""
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        bucket, key = _split(path1)
        if key and self.store.exists(bucket, key):
            self.store.copy(bucket, key, *_object(path2))
        elif self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
        else:
            raise _missing(path1)

    def mv_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """One step, whatever the size."""
        self.store.rename(*_object(self._strip_protocol(path1)), *_object(self._strip_protocol(path2)))

    def mv(
        self, path1: Any, path2: Any, recursive: bool = False, maxdepth: Optional[int] = None, **kwargs: Any
    ) -> None:
        """A folder is renamed as a whole where its new name is free, else object by object; no bytes move."""
        if path1 == path2:
            return
        if isinstance(path1, str) and isinstance(path2, str):
            old, new = self._strip_protocol(path1), self._strip_protocol(path2)
            bucket, key = _split(old)
            if key and self.store.exists(bucket, key):
                into = path2.endswith("/") or self.isdir(new)
                return self.mv_file(old, f"{new}/{key.rsplit('/', 1)[-1]}" if into else new)
            to_bucket, to_key = _split(new)
            whole = recursive and maxdepth is None and key and to_key and bucket == to_bucket
            if whole and not f"{to_key}/".startswith(f"{key}/") and self.isdir(old) and not self.exists(new):
                self.store.rename_prefix(bucket, f"{key}/", f"{to_key}/")
                return None
        self._move_each(path1, path2, recursive, maxdepth)

    def _move_each(self, path1: Any, path2: Any, recursive: bool, maxdepth: Optional[int]) -> None:
        """Names as fsspec's `copy` gives them."""
        if isinstance(path1, list) and isinstance(path2, list):
            pairs = list(zip(self._strip_protocol(path1), self._strip_protocol(path2)))
        else:
            olds = self.expand_path(path1, recursive=recursive, maxdepth=maxdepth)
            single = isinstance(path1, str)
            into = isinstance(path2, str) and (path2.endswith("/") or self.isdir(path2))
            magic = single and any(c in path1 for c in "*?[")
            exists = single and ((magic and len(olds) == 1) or (not magic and into and not path1.endswith("/")))
            pairs = list(zip(olds, other_paths(olds, self._strip_protocol(path2), exists=exists)))
        files = []
        for old, new in pairs:
            bucket, key = _split(old)
            if key and self.store.exists(bucket, key):
                files.append((old, new))
            elif not self.isdir(old):
                raise _missing(old)
        if pairs and not files and not recursive:
            raise IsADirectoryError(f"a folder moves with recursive=True only: {path1}")
        for old, new in files:
            self.mv_file(old, new)

    def rm_file(self, path: str) -> None:
        path = self._strip_protocol(path)
        bucket, key = _split(path)
        if not key:
            self.rmdir(path)
        else:
            self.store.delete(bucket, key)

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: Optional[int] = None) -> None:
        """Many in a call. With recursive a folder goes, or a bucket with all that is in it."""
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        keys: dict[str, list[str]] = {}
        buckets = []
        for name in paths:
            bucket, key = _split(name)
            if not key:
                buckets.append(bucket)
            else:  # a folder may have an object that stands for it
                keys.setdefault(bucket, []).extend([key, f"{key}/"] if recursive else [key])
        for bucket in buckets if not recursive else ():
            self.store.bucket(bucket)
            raise IsADirectoryError(f"a bucket goes with recursive=True only: geds://{bucket}")
        for bucket, names in keys.items():
            missing = self._delete(bucket, names)
            if not recursive and missing:
                raise _missing(f"{bucket}/{missing[0]}")
        for bucket in buckets:
            self.store.delete_bucket(bucket)

    def _delete(self, bucket: str, keys: Iterable[str]) -> list[str]:
        names, missing = list(keys), []
        for i in range(0, len(names), DELETE_MANY):
            missing += self.store.delete_many(bucket, names[i : i + DELETE_MANY])
        return missing
