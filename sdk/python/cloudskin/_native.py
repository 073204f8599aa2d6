"""libcloudskin as it is declared in cloudskin/geds.h, by ctypes: calls release the lock of the interpreter."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import POINTER, Structure, c_bool, c_char, c_char_p, c_int, c_long, c_size_t, c_uint, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

from .errors import Code, error_of

NO_OFFSET = 2**64 - 1
LIST_MAX = 900
SONAME = "libcloudskin.so.0"


class Error(Structure):
    _fields_ = [("code", c_int), ("offset", c_uint64), ("text", c_char * 240)]


class Status(Structure):
    _fields_ = [
        ("version", c_char * 64),
        ("state", c_char * 4096),
        ("s3", c_char * 256),
        ("metrics", c_char * 256),
        ("buckets", c_uint64),
        ("objects", c_uint64),
        ("bytes", c_uint64),
        ("process", c_long),
    ]


class Bucket(Structure):
    _fields_ = [("name", c_char * 64), ("created_ns", c_uint64), ("objects", c_uint64), ("bytes", c_uint64)]


class Attribute(Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class Attributes(Structure):
    _fields_ = [("content_type", c_char_p), ("pairs", POINTER(Attribute)), ("count", c_size_t)]


class Info(Structure):
    _fields_ = [("size", c_uint64), ("modified_ns", c_uint64), ("etag", c_char * 48), ("encrypted", c_bool)]


class Condition(Structure):
    _fields_ = [("if_none", c_bool), ("if_match", c_char_p)]


class Query(Structure):
    _fields_ = [("prefix", c_char_p), ("delimiter", c_char_p), ("start_after", c_char_p), ("max", c_uint)]


class Entry(Structure):
    _fields_ = [("key", c_char_p), ("is_prefix", c_bool), ("info", Info)]


class Page(Structure):
    _fields_ = [("entries", POINTER(Entry)), ("count", c_size_t), ("more", c_bool)]


class Finding(Structure):
    _fields_ = [("extent", c_uint64), ("offset", c_uint64), ("text", c_char_p)]


class Check(Structure):
    _fields_ = [
        ("objects", c_uint64),
        ("extents", c_uint64),
        ("bytes", c_uint64),
        ("findings", c_uint64),
        ("repaired", c_uint64),
    ]


class Event(Structure):
    _fields_ = [
        ("number", c_uint64),
        ("time_ns", c_uint64),
        ("kind", c_int),
        ("bucket", c_char_p),
        ("key", c_char_p),
        ("from_bucket", c_char_p),
        ("from_key", c_char_p),
        ("info", Info),
    ]


class Watched(Structure):
    _fields_ = [("bucket", c_char_p), ("prefix", c_char_p), ("exact", c_bool), ("from_", c_uint64)]


class Location(Structure):
    _fields_ = [("where", c_int), ("copies", c_uint)]


class Moved(Structure):
    _fields_ = [("objects", c_uint64), ("extents", c_uint64), ("bytes", c_uint64), ("kept", c_uint64)]


class Tier(Structure):
    _fields_ = [
        ("name", c_char * 1200),
        ("endpoint", c_char * 512),
        ("error", c_char * 512),
        ("away_since_ns", c_uint64),
        ("local_count", c_uint64),
        ("local_bytes", c_uint64),
        ("copied_count", c_uint64),
        ("copied_bytes", c_uint64),
        ("away_count", c_uint64),
        ("away_bytes", c_uint64),
        ("doomed_count", c_uint64),
        ("doomed_bytes", c_uint64),
        ("pinned_count", c_uint64),
        ("pinned_bytes", c_uint64),
        ("eager_count", c_uint64),
        ("eager_bytes", c_uint64),
        ("high_bytes", c_uint64),
        ("low_bytes", c_uint64),
        ("backlog_bytes", c_uint64),
        ("cache_bytes", c_uint64),
        ("cache_max_bytes", c_uint64),
        ("local_reads", c_uint64),
        ("tier_reads", c_uint64),
        ("cache_hits", c_uint64),
        ("fetched_bytes", c_uint64),
        ("recalled_count", c_uint64),
        ("recalled_bytes", c_uint64),
        ("spilled_count", c_uint64),
        ("spilled_bytes", c_uint64),
        ("dropped_count", c_uint64),
        ("dropped_bytes", c_uint64),
        ("deleted_count", c_uint64),
        ("damaged", c_uint64),
        ("repaired", c_uint64),
        ("bad", c_uint64),
        ("errors", c_uint64),
        ("spill_rate", c_uint64),
        ("read_rate", c_uint64),
    ]


Found = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Finding))
Progress = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Moved))

# name -> arguments but for the last one, struct geds_error *, of what returns enum geds_code
_CALLS: dict[str, list[Any]] = {
    "geds_connect": [c_char_p, POINTER(c_void_p)],
    "geds_status": [c_void_p, POINTER(Status)],
    "geds_bucket_create": [c_void_p, c_char_p],
    "geds_bucket_delete": [c_void_p, c_char_p],
    "geds_bucket_status": [c_void_p, c_char_p, POINTER(Bucket)],
    "geds_bucket_list": [c_void_p, POINTER(POINTER(Bucket)), POINTER(c_size_t)],
    "geds_put": [
        c_void_p,
        c_char_p,
        c_char_p,
        POINTER(Attributes),
        POINTER(Condition),
        c_void_p,
        c_size_t,
        POINTER(Info),
    ],
    "geds_create": [c_void_p, c_char_p, c_char_p, POINTER(Attributes), POINTER(c_void_p)],
    "geds_write": [c_void_p, c_void_p, c_size_t],
    "geds_pwrite": [c_void_p, c_void_p, c_size_t, c_uint64],
    "geds_truncate": [c_void_p, c_uint64],
    "geds_writer_pread": [c_void_p, c_void_p, c_size_t, c_uint64, POINTER(c_size_t)],
    "geds_edit": [c_void_p, c_char_p, c_char_p, POINTER(c_void_p), POINTER(Info)],
    "geds_seal": [c_void_p, POINTER(Condition), POINTER(Info)],
    "geds_append": [c_void_p, c_char_p, c_char_p, POINTER(Condition), c_void_p, c_size_t, POINTER(Info)],
    "geds_open": [c_void_p, c_char_p, c_char_p, POINTER(c_void_p)],
    "geds_pread": [c_void_p, c_void_p, c_size_t, c_uint64, POINTER(c_size_t)],
    "geds_map": [c_void_p, POINTER(c_void_p), POINTER(c_size_t)],
    "geds_stat": [c_void_p, c_char_p, c_char_p, POINTER(Info)],
    "geds_delete": [c_void_p, c_char_p, c_char_p, POINTER(Condition)],
    "geds_delete_many": [c_void_p, c_char_p, POINTER(c_char_p), c_size_t, POINTER(c_int)],
    "geds_rename": [c_void_p, c_char_p, c_char_p, c_char_p, c_char_p, POINTER(Condition)],
    "geds_rename_prefix": [c_void_p, c_char_p, c_char_p, c_char_p, POINTER(c_uint64)],
    "geds_copy": [
        c_void_p,
        c_char_p,
        c_char_p,
        c_char_p,
        c_char_p,
        POINTER(Attributes),
        POINTER(Condition),
        POINTER(Info),
    ],
    "geds_list": [c_void_p, c_char_p, POINTER(Query), POINTER(POINTER(Page))],
    "geds_subscribe": [c_void_p, POINTER(Watched), POINTER(c_void_p)],
    "geds_next_event": [c_void_p, c_int, POINTER(Event)],
    "geds_pin": [c_void_p, c_char_p, c_char_p, c_bool, c_bool, Progress, c_void_p, POINTER(Moved)],
    "geds_spill": [c_void_p, c_char_p, c_char_p, c_bool, Progress, c_void_p, POINTER(Moved)],
    "geds_recall": [c_void_p, c_char_p, c_char_p, c_bool, Progress, c_void_p, POINTER(Moved)],
    "geds_relocate": [
        c_void_p,
        c_char_p,
        c_char_p,
        c_bool,
        POINTER(Location),
        Progress,
        c_void_p,
        POINTER(Moved),
    ],
    "geds_bucket_set_spill": [c_void_p, c_char_p, c_int],
    "geds_bucket_spill": [c_void_p, c_char_p, POINTER(c_int)],
    "geds_tier_status": [c_void_p, POINTER(Tier)],
    "geds_fsck": [c_void_p, c_bool, Found, c_void_p, POINTER(Check)],
}

# name -> result, arguments of the others
_OTHERS: dict[str, tuple[Any, list[Any]]] = {
    "geds_disconnect": (None, [c_void_p]),
    "geds_abort": (None, [c_void_p]),
    "geds_writer_size": (c_uint64, [c_void_p]),
    "geds_close": (None, [c_void_p]),
    "geds_object_info": (POINTER(Info), [c_void_p]),
    "geds_object_attributes": (POINTER(Attributes), [c_void_p]),
    "geds_unmap": (None, [c_void_p, c_size_t]),
    "geds_page_free": (None, [c_void_p]),
    "geds_subscription_next": (c_uint64, [c_void_p]),
    "geds_unsubscribe": (None, [c_void_p]),
}


def _load() -> ctypes.CDLL:
    """CLOUDSKIN_LIBRARY names it; else it is the one that came with this package; else one that is installed."""
    given = os.environ.get("CLOUDSKIN_LIBRARY")
    own = Path(__file__).with_name(SONAME)
    try:
        found = ctypes.CDLL(given or (str(own) if own.exists() else SONAME))
    except OSError as e:
        raise ImportError(f"cloudskin: {e}; CLOUDSKIN_LIBRARY can name libcloudskin.so") from None
    for name, arguments in _CALLS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = c_int, [*arguments, POINTER(Error)]
    for name, (result, arguments) in _OTHERS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


lib = _load()
_free = ctypes.CDLL(None).free
_free.restype, _free.argtypes = None, [c_void_p]


def free(pointer: Any) -> None:
    """Of what the library got from malloc for its caller."""
    _free(ctypes.cast(pointer, c_void_p))


def check(code: int, err: Error, name: Optional[str] = None) -> None:
    if code != Code.OK:
        offset = None if err.offset == NO_OFFSET else err.offset
        raise error_of(code, bytes(err.text).decode("utf-8", "replace"), offset, name)


def text_in(text: str, what: str) -> bytes:
    """Names are bytes: what is no UTF-8 travels as surrogates, as in file names."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    encoded = text.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise error_of(Code.INVAL, f"{what} has a NUL")
    return encoded


def text_out(text: Optional[bytes]) -> str:
    return (text or b"").decode("utf-8", "surrogateescape")


class Bytes:
    """Bytes of the caller as an address that is valid while this lives. Only read-only memory that is not a `bytes` is
    copied."""

    def __init__(self, data: Any) -> None:
        view = memoryview(data)
        self.length = view.nbytes
        self.address: Any
        if isinstance(data, bytes):
            self.address = data
        elif self.length == 0:
            self.address = None
        elif view.readonly or not view.c_contiguous:
            self.address = view.tobytes()
        else:
            self._held = c_char.from_buffer(view.cast("B"))
            self.address = ctypes.addressof(self._held)


def conditions(if_none: bool, if_match: Optional[str]) -> Optional[Condition]:
    if if_none and if_match is not None:
        raise error_of(Code.INVAL, "if_none and if_match exclude each other")
    if not if_none and if_match is None:
        return None
    return Condition(if_none, None if if_match is None else text_in(if_match, "if_match"))


USER = "x-amz-meta-"  # user metadata, as S3 clients see it


def attributes(content_type: Optional[str], metadata: Optional[Mapping[str, str]]) -> Optional[Attributes]:
    if content_type is None and metadata is None:
        return None
    pairs = [
        Attribute(text_in(USER + name.lower(), "a name of metadata"), text_in(value, "metadata"))
        for name, value in (metadata or {}).items()
    ]
    kind = None if content_type is None else text_in(content_type, "content_type")
    return Attributes(kind, (Attribute * max(len(pairs), 1))(*pairs), len(pairs))


class Handle:
    """A pointer of the library that is freed once: when it was closed and its last use has ended. A fork's child only
    forgets it, since the connection is its parent's."""

    def __init__(self, pointer: Optional[int], free: Callable[[int], None], what: str) -> None:
        self._pointer = pointer or 0
        self._free = free
        self._what = what
        self._lock = threading.RLock()  # a collector may close something within
        self._uses = 0
        self._closed = False
        self._pid = os.getpid()
        self.failed = False  # a call has, as it would without a connection

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def foreign(self) -> bool:
        return self._pid != os.getpid()

    def enter(self) -> int:
        if self.foreign:
            raise RuntimeError(f"the {self._what} is of another process: connect anew after a fork")
        with self._lock:
            if self._closed:
                raise ValueError(f"the {self._what} is closed")
            self._uses += 1
        return self._pointer

    def leave(self) -> None:
        if self.foreign:
            return
        with self._lock:
            self._uses -= 1
            last = self._closed and self._uses == 0
        if last:
            self._free(self._pointer)

    def close(self) -> None:
        if self.foreign:  # another thread of the parent may have had the lock
            self._closed = True
            return
        with self._lock:
            last = not self._closed and self._uses == 0
            self._closed = True
        if last:
            self._free(self._pointer)

    def call(self, function: Any, *arguments: Any, name: Optional[str] = None) -> None:
        err = Error()
        pointer = self.enter()
        try:
            code = function(pointer, *arguments, ctypes.byref(err))
        finally:
            self.leave()
        if code == Code.IO:
            self.failed = True
        check(code, err, name)

