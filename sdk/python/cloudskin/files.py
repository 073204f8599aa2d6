"""Objects as files: one that is read, and one that is written."""

from __future__ import annotations

import ctypes
import io
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional

from . import _native
from ._native import Handle, lib
from .errors import Code, StoreError, error_of
from .types import Info

if TYPE_CHECKING:
    from types import TracebackType


def info_of(raw: _native.Info) -> Info:
    return Info(raw.size, raw.modified_ns, raw.etag.decode(), raw.encrypted)


def _closer(store: Handle) -> Callable[[int], None]:
    """The store was entered for the object, so that it is not disconnected before."""

    def free(pointer: int) -> None:
        lib.geds_close(pointer)
        store.leave()

    return free


class Object(io.RawIOBase):
    """An object as it was when it was opened: an overwrite, a rename or a delete does not change what is read.

    It is a file that is read (`io.BufferedReader(o)` and `io.TextIOWrapper(o.buffered())` take it); `pread` and `map`
    know no position, so that any number of threads may use them."""

    def __init__(self, store: Handle, pointer: int, name: str) -> None:
        super().__init__()
        self._handle = Handle(pointer, _closer(store), "object")
        self._position_lock = threading.Lock()
        self._at = 0
        self.name, self.mode = name, "rb"
        self.info = info_of(lib.geds_object_info(pointer).contents)
        raw = lib.geds_object_attributes(pointer).contents
        self.content_type: Optional[str] = None if raw.content_type is None else _native.text_out(raw.content_type)
        self.attributes: Mapping[str, str] = {
            _native.text_out(raw.pairs[i].name): _native.text_out(raw.pairs[i].value) for i in range(raw.count)
        }

    @property
    def metadata(self) -> Mapping[str, str]:
        """User metadata: what S3 clients see with x-amz-meta- before its name."""
        start = len(_native.USER)
        return {name[start:]: value for name, value in self.attributes.items() if name.startswith(_native.USER)}

    @property
    def size(self) -> int:
        return self.info.size

    def close(self) -> None:
        if not self.closed and hasattr(self, "_handle"):
            self._handle.close()
        super().close()

    def readable(self) -> bool:
        self._check()
        return True

    def seekable(self) -> bool:
        self._check()
        return True

    def _check(self) -> None:
        if self.closed:
            raise ValueError("the object is closed")

    def tell(self) -> int:
        self._check()
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check()
        with self._position_lock:
            start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.info.size}.get(whence)
            if start is None:
                raise ValueError(f"whence is {whence}")
            if start + offset < 0:
                raise ValueError("before the beginning")
            self._at = start + offset
            return self._at

    def pread_into(self, buffer: Any, offset: int) -> int:
        """Read at an offset, as much as fits; less at the end of the object only."""
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError("the buffer is read-only")
        if offset < 0:
            raise ValueError("before the beginning")
        if view.nbytes == 0:
            self._check()
            return 0
        held, got = ctypes.c_char.from_buffer(view), ctypes.c_size_t()
        self._handle.call(
            lib.geds_pread, ctypes.addressof(held), view.nbytes, offset, ctypes.byref(got), name=self.name
        )
        return got.value

    def pread(self, length: int, offset: int) -> bytes:
        """Read at an offset, less than length at the end of the object only. CorruptError: with the place."""
        if length < 0:
            raise ValueError("length is negative")
        data = bytearray(max(0, min(length, self.info.size - offset)))
        got = self.pread_into(data, offset)
        return bytes(data) if got == len(data) else bytes(data[:got])

    def readinto(self, buffer: Any) -> int:
        with self._position_lock:
            got = self.pread_into(buffer, self._at)
            self._at += got
            return got

    def read(self, size: Optional[int] = -1) -> bytes:
        self._check()
        with self._position_lock:
            length = self.info.size if size is None or size < 0 else size
            data = self.pread(length, self._at)
            self._at += len(data)
            return data

    def readall(self) -> bytes:
        return self.read()

    def buffered(self, size: int = 256 * 1024) -> io.BufferedReader:
        """For many small reads."""
        return io.BufferedReader(self, size)

    def map(self) -> memoryview:
        """All bytes, read-only, as pages of the store's own files: without a copy, and without a comparison with their
        checksums. Valid as long as the view or a part of it is, also when the object is closed or removed."""
        address, length = ctypes.c_void_p(), ctypes.c_size_t()
        self._handle.call(lib.geds_map, ctypes.byref(address), ctypes.byref(length), name=self.name)
        if length.value == 0:
            lib.geds_unmap(address, length)
            return memoryview(b"")
        array = (ctypes.c_ubyte * length.value).from_address(address.value or 0)
        weakref.finalize(array, lib.geds_unmap, address.value, length.value).atexit = False
        return memoryview(array).cast("B").toreadonly()


class Writer(io.RawIOBase):
    """A new object, or the change of one, which has its name when it is sealed. Until then it is a file that is read and
    written at any place, and cut; what lies between becomes zeros, which take no space. At the end of a `with` it is, or aborted after an exception;
    `close` seals as well, and one that is forgotten is aborted. When a write has failed, the end says so once more,
    unless it is an abort. Used by one thread at a time."""

    def __init__(self, store: Handle, pointer: int, name: str, if_none: bool, if_match: Optional[str]) -> None:
        super().__init__()
        self._store = store
        self._pointer: Optional[int] = pointer
        self._lock = threading.RLock()
        self._at = 0
        self._size: int = lib.geds_writer_size(pointer)
        self._failure: Optional[tuple[int, str, Optional[int]]] = None  # of a write
        self._pid = os.getpid()
        self._condition = _native.conditions(if_none, if_match)
        self.name = name
        self.info: Optional[Info] = None  # after the seal

    def _take(self) -> int:
        """The pointer, for its last use."""
        pointer, self._pointer = self._pointer, None
        if pointer is None:
            self._tell_failure()
            raise ValueError("the writer is sealed or aborted")
        return pointer

    def _tell_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise error_of(*failure, self.name)

    def _check_process(self) -> None:
        """Before the lock, which a thread of the parent may have had at the fork."""
        if self._pid != os.getpid():
            raise RuntimeError("the writer is of another process")

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check_process()
        with self._lock:
            start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence)
            if start is None:
                raise ValueError(f"whence is {whence}")
            if start + offset < 0:
                raise ValueError("before the beginning")
            self._at = start + offset
            return self._at

    def _change(self, function: Any, *arguments: Any) -> None:
        """An error ends the writer, and nothing has the name."""
        err = _native.Error()
        self._check_process()
        with self._lock:
            if self._pointer is None:
                raise ValueError("the writer is sealed or aborted")
            code = function(self._pointer, *arguments, ctypes.byref(err))
            self._store.failed |= code == Code.IO
            if code != Code.OK:
                self.abort()
            try:
                _native.check(code, err, self.name)
            except StoreError as error:
                self._failure = (error.code, error.text, error.offset)
                raise
            self._size = lib.geds_writer_size(self._pointer)

    def write(self, data: Any) -> int:
        """All of data, where the position is. An error ends the writer, and nothing has the name."""
        self._check_process()
        with self._lock:
            written = self.pwrite(data, self._at)
            self._at += written
        return written

    def pwrite(self, data: Any, offset: int) -> int:
        """All of data at an offset. An error ends the writer."""
        if offset < 0:
            raise ValueError("before the beginning")
        bytes_ = _native.Bytes(data)
        self._change(lib.geds_pwrite, bytes_.address, bytes_.length, offset)
        return bytes_.length

    def truncate(self, size: Optional[int] = None) -> int:
        """Cut it, or continue it with zeros; default: where the position is, which stays. An error ends the writer."""
        self._check_process()
        with self._lock:
            wanted = self._at if size is None else size
            if wanted < 0:
                raise ValueError("size is negative")
            self._change(lib.geds_truncate, wanted)
        return wanted

    def pread(self, length: int, offset: int) -> bytes:
        """What was written so far, less than length at the end only."""
        if length < 0 or offset < 0:
            raise ValueError("before the beginning")
        data = bytearray(max(0, min(length, self._size - offset)))
        return bytes(data[: self._pread_into(data, offset)])

    def _pread_into(self, buffer: Any, offset: int) -> int:
        view, got, err = memoryview(buffer).cast("B"), ctypes.c_size_t(), _native.Error()
        self._check_process()
        with self._lock:
            if self._pointer is None:
                raise ValueError("the writer is sealed or aborted")
            if view.nbytes == 0:
                return 0
            held = ctypes.c_char.from_buffer(view)
            at = ctypes.addressof(held)
            code = lib.geds_writer_pread(self._pointer, at, view.nbytes, offset, ctypes.byref(got), ctypes.byref(err))
            self._store.failed |= code == Code.IO
        _native.check(code, err, self.name)
        return got.value

    def readinto(self, buffer: Any) -> int:
        self._check_process()
        with self._lock:
            got = self._pread_into(buffer, self._at)
            self._at += got
            return got

    def seal(self) -> Info:
        """Give it its name, when all is on the disk. The writer ends, also when that is refused."""
        raw, err = _native.Info(), _native.Error()
        self._check_process()
        with self._lock:
            pointer = self._take()
            try:
                code = lib.geds_seal(pointer, self._condition, ctypes.byref(raw), ctypes.byref(err))
            finally:
                self._store.leave()
                super().close()
            self._store.failed |= code == Code.IO
            _native.check(code, err, self.name)
            self.info = info_of(raw)
        return self.info

    def abort(self) -> None:
        """The writer ends, and nothing was written. Does nothing when it has ended already."""
        self._failure = None
        if self._pid != os.getpid():
            self._pointer = None
            super().close()
            return
        with self._lock:
            if self._pointer is not None:
                lib.geds_abort(self._take())
                self._store.leave()
            super().close()

    def close(self) -> None:
        if self._pointer is not None:
            self.seal()
        self._tell_failure()

    def buffered(self, size: int = 256 * 1024) -> io.BufferedWriter:
        """For many small writes. As the writer, and unlike an `io.BufferedWriter`, it writes nothing when its `with` ends
        with an exception, or when it is forgotten."""
        return _Buffered(self, size)

    def random(self, size: int = 256 * 1024) -> io.BufferedRandom:
        """For many small reads and writes. Unlike the writer, Python seals it whatever ended its `with`."""
        return io.BufferedRandom(self, size)

    def text(self, encoding: str = "utf-8", errors: str = "strict", newline: Optional[str] = "") -> io.TextIOWrapper:
        """The same for text. newline: what a newline is written as, see `io.TextIOWrapper`; default: as it is."""
        return _Text(self, encoding, errors, newline)

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.abort()


class _Buffered(io.BufferedWriter):
    def __init__(self, writer: Writer, size: int) -> None:
        super().__init__(writer, size)
        self._writer = writer

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is not None:
            self._writer.abort()
        self.close()

    def __del__(self) -> None:
        self._writer.abort()


class _Text(io.TextIOWrapper):
    def __init__(self, writer: Writer, encoding: str, errors: str, newline: Optional[str]) -> None:
        super().__init__(writer.buffered(), encoding, errors, newline)
        self._writer = writer

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is not None:
            self._writer.abort()
        self.close()

    def __del__(self) -> None:
        self._writer.abort()


def open_object(store: Handle, bucket: str, key: str) -> Object:
    name = f"geds://{bucket}/{key}"
    raw_bucket, raw_key = _native.text_in(bucket, "a bucket"), _native.text_in(key, "a key")
    pointer, err = ctypes.c_void_p(), _native.Error()
    at = store.enter()
    code: int = Code.STOPPED  # until it says so
    try:
        code = lib.geds_open(at, raw_bucket, raw_key, ctypes.byref(pointer), ctypes.byref(err))
    finally:
        if code != Code.OK:
            store.leave()
    store.failed |= code == Code.IO
    _native.check(code, err, name)
    if not pointer.value:
        raise error_of(Code.FORMAT, "no object", None, name)
    return Object(store, pointer.value, name)


def create_writer(
    store: Handle,
    bucket: str,
    key: str,
    content_type: Optional[str],
    metadata: Optional[Mapping[str, str]],
    if_none: bool,
    if_match: Optional[str],
) -> Writer:
    name = f"geds://{bucket}/{key}"
    raw_bucket, raw_key = _native.text_in(bucket, "a bucket"), _native.text_in(key, "a key")
    attributes = _native.attributes(content_type, metadata)
    _native.conditions(if_none, if_match)  # refused now rather than later
    pointer, err = ctypes.c_void_p(), _native.Error()
    at = store.enter()
    code: int = Code.STOPPED
    try:
        code = lib.geds_create(at, raw_bucket, raw_key, attributes, ctypes.byref(pointer), ctypes.byref(err))
    finally:
        if code != Code.OK:
            store.leave()
    _native.check(code, err, name)
    if not pointer.value:
        raise error_of(Code.FORMAT, "no writer", None, name)
    return Writer(store, pointer.value, name, if_none, if_match)


def edit_object(store: Handle, bucket: str, key: str) -> Writer:
    name = f"geds://{bucket}/{key}"
    raw_bucket, raw_key = _native.text_in(bucket, "a bucket"), _native.text_in(key, "a key")
    pointer, raw, err = ctypes.c_void_p(), _native.Info(), _native.Error()
    at = store.enter()
    code: int = Code.STOPPED
    try:
        code = lib.geds_edit(at, raw_bucket, raw_key, ctypes.byref(pointer), ctypes.byref(raw), ctypes.byref(err))
    finally:
        if code != Code.OK:
            store.leave()
    store.failed |= code == Code.IO
    _native.check(code, err, name)
    if not pointer.value:
        raise error_of(Code.FORMAT, "no writer", None, name)
    return Writer(store, pointer.value, name, False, None)
