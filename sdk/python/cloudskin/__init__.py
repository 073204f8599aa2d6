"""Objects of CloudSkin's store.

    import cloudskin

    store = cloudskin.connect()
    store.create_bucket("scenes")
    store.put("scenes", "hello", b"hello")
    store.get("scenes", "hello")

An object is written once and then never changes, but for appends; what was answered survives a crash. Any number of
threads may use one store. `fsspec.open("geds://scenes/hello")` works where fsspec is installed."""

from .errors import (
    BusyError,
    ChangedError,
    Code,
    CorruptError,
    ExistsError,
    InvalidError,
    LimitError,
    NotFoundError,
    NotRunningError,
    RefusedError,
    StoreError,
)
from .files import Object, Writer
from .store import Store, connect
from .types import Bucket, Check, Entry, Event, EventKind, Finding, Info, Moved, Place, SpillRule, Status, Tier
from .watch import Watch

__version__ = "0.1.0"

__all__ = [
    "Bucket",
    "BusyError",
    "ChangedError",
    "Check",
    "Code",
    "CorruptError",
    "Entry",
    "Event",
    "EventKind",
    "ExistsError",
    "Finding",
    "Info",
    "InvalidError",
    "LimitError",
    "Moved",
    "NotFoundError",
    "NotRunningError",
    "Object",
    "Place",
    "RefusedError",
    "SpillRule",
    "Status",
    "Store",
    "StoreError",
    "Tier",
    "Watch",
    "Writer",
    "connect",
]
