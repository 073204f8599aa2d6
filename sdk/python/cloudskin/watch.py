"""What becomes of objects, as it happens."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import TYPE_CHECKING, Callable, Iterator, Optional

from . import _native
from ._native import Handle, lib, text_in, text_out
from .errors import Code, error_of
from .files import info_of
from .types import Event, EventKind

if TYPE_CHECKING:
    from types import TracebackType

_SLICE_MS = 200  # of a wait: between two, signals are handled, and a close is seen


def _closer(store: Handle) -> Callable[[int], None]:
    """The store was entered for the watch, so that it is not disconnected before."""

    def free(pointer: int) -> None:
        lib.geds_unsubscribe(pointer)
        store.leave()

    return free


def _event(raw: _native.Event) -> Event:
    there = raw.info.modified_ns != 0
    return Event(
        raw.number,
        raw.time_ns,
        EventKind(raw.kind),
        text_out(raw.bucket),
        text_out(raw.key),
        None if raw.from_bucket is None else text_out(raw.from_bucket),
        None if raw.from_key is None else text_out(raw.from_key),
        info_of(raw.info) if there else None,
    )


class Watch:
    """Changes that were committed, each once, in the order of the commits. Iterating waits for the next one, and ends when the
    watch is closed, by another thread too. When the connection is lost it is an error: connect anew and watch from `next_number`."""

    def __init__(self, store: Handle, pointer: int, name: str) -> None:
        self._handle = Handle(pointer, _closer(store), "watch")
        self._store = store
        self._lock = threading.Lock()  # one thread at a time may wait
        self.name = name

    def next(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next one; None: there was none for so many seconds. Without a timeout it waits until there is one. Of several threads
        that wait one gets it."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE_MS if end is None else int(1000 * max(0.0, min(_SLICE_MS / 1000, end - time.monotonic())))
            event = self._wait(left)
            if event is not None or (end is not None and time.monotonic() >= end):
                return event

    def _wait(self, milliseconds: int) -> Optional[Event]:
        raw, err = _native.Event(), _native.Error()
        pointer = self._handle.enter()  # first: in a fork's child nobody might let go of the lock
        try:
            if not self._lock.acquire(timeout=milliseconds / 1000):
                return None
            try:
                code = lib.geds_next_event(pointer, milliseconds, ctypes.byref(raw), ctypes.byref(err))
                if code == Code.OK:
                    return _event(raw)
            finally:
                self._lock.release()
        finally:
            self._handle.leave()
        self._store.failed |= code == Code.IO
        if code != Code.AGAIN:
            _native.check(code, err, self.name)
        return None

    @property
    def next_number(self) -> int:
        """Where another watch goes on, when all that this one gave has been seen."""
        pointer = self._handle.enter()
        try:
            return int(lib.geds_subscription_next(pointer))
        finally:
            self._handle.leave()

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        if hasattr(self, "_handle"):
            self._handle.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self.closed:
            try:
                event = self._wait(_SLICE_MS)
            except ValueError:
                if not self.closed:
                    raise
                break
            if event is not None:
                return event
        raise StopIteration

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def watch(store: Handle, bucket: str, prefix: str, exact: bool, start: int) -> Watch:
    name = f"geds://{bucket}/{prefix}"
    watched = _native.Watched(text_in(bucket, "a bucket"), text_in(prefix, "a prefix") or None, exact, start)
    pointer, err = ctypes.c_void_p(), _native.Error()
    at = store.enter()
    code: int = Code.STOPPED  # until it says so
    try:
        code = lib.geds_subscribe(at, ctypes.byref(watched), ctypes.byref(pointer), ctypes.byref(err))
    finally:
        if code != Code.OK:
            store.leave()
    store.failed |= code == Code.IO
    _native.check(code, err, name)
    if not pointer.value:
        raise error_of(Code.FORMAT, "no subscription", None, name)
    return Watch(store, pointer.value, name)
