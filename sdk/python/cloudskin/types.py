"""What calls return."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from typing import Optional


def _time(ns: int) -> datetime.datetime:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return epoch + datetime.timedelta(microseconds=ns // 1000)


@dataclass(frozen=True)
class Info:
    """Of an object. etag: another one after each change. encrypted: all of its bytes are, at rest."""

    size: int
    modified_ns: int
    etag: str
    encrypted: bool = False

    @property
    def modified(self) -> datetime.datetime:
        return _time(self.modified_ns)


@dataclass(frozen=True)
class Bucket:
    name: str
    created_ns: int
    objects: int
    bytes: int

    @property
    def created(self) -> datetime.datetime:
        return _time(self.created_ns)


@dataclass(frozen=True)
class Entry:
    """Of a listing: an object, or what the keys of several have in common up to the delimiter (info is None then)."""

    key: str
    info: Optional[Info]

    @property
    def is_prefix(self) -> bool:
        return self.info is None


@dataclass(frozen=True)
class Status:
    """Of the store. state: its folder. s3, metrics: addresses of these endpoints ("": none). process: its number."""

    version: str
    state: str
    s3: str
    buckets: int
    objects: int
    bytes: int
    process: int
    metrics: str


class EventKind(enum.IntEnum):
    """RENAMED: whatever had the new name is gone. RENAMED_PREFIX: the keys are the beginnings of all that were renamed at once.
    EXPIRED: deleted by a rule of the bucket. GAP: some changes are not told: list what is watched, then go on."""

    CREATED = 1
    OVERWRITTEN = 2
    APPENDED = 3
    DELETED = 4
    RENAMED = 5
    RENAMED_PREFIX = 6
    ATTRIBUTES = 7
    EXPIRED = 8
    GAP = 9


@dataclass(frozen=True)
class Event:
    """A change that was committed. number: goes up, also over restarts of the store. from_bucket, from_key: before it was renamed.
    info: of the object; None where there is none, or are many."""

    number: int
    time_ns: int
    kind: EventKind
    bucket: str
    key: str
    from_bucket: Optional[str]
    from_key: Optional[str]
    info: Optional[Info]

    @property
    def time(self) -> datetime.datetime:
        return _time(self.time_ns)


class SpillRule(enum.IntEnum):
    """WATERMARK: bytes leave local disk when that is full. NEVER: they stay. EAGER: they are copied at once, and leave when local
    disk is full."""

    WATERMARK = 0
    NEVER = 1
    EAGER = 2


class Place(enum.IntEnum):
    """Where bytes are. MEMORY: on local disk, and locked in memory. DISK: on local disk, and not in memory. NODES: on local disk, with
    copies on nodes. TIER: in the tier only."""

    MEMORY = 1
    DISK = 2
    NODES = 3
    TIER = 4


@dataclass(frozen=True)
class Moved:
    """What went from one place to another. extents: the files that objects consist of. kept: extents that a spill left, since
    they are pinned or open."""

    objects: int
    extents: int
    bytes: int
    kept: int


@dataclass(frozen=True)
class Tier:
    """The tier behind local disk. name: "" without one. error: why it does not answer; "": it does. Counts are of extents; those from
    local_reads on are since the store's start."""

    name: str
    endpoint: str
    error: str
    away_since_ns: int
    local_count: int
    local_bytes: int
    copied_count: int
    copied_bytes: int
    away_count: int
    away_bytes: int
    doomed_count: int
    doomed_bytes: int
    pinned_count: int
    pinned_bytes: int
    eager_count: int
    eager_bytes: int
    high_bytes: int
    low_bytes: int
    backlog_bytes: int
    cache_bytes: int
    cache_max_bytes: int
    local_reads: int
    tier_reads: int
    cache_hits: int
    fetched_bytes: int
    recalled_count: int
    recalled_bytes: int
    spilled_count: int
    spilled_bytes: int
    dropped_count: int
    dropped_bytes: int
    deleted_count: int
    damaged: int
    repaired: int
    bad: int
    errors: int
    spill_rate: int
    read_rate: int


@dataclass(frozen=True)
class Finding:
    """Of a check: text says what is wrong, in which extent (0: in none) and at which of its bytes."""

    extent: int
    offset: int
    text: str


@dataclass(frozen=True)
class Check:
    """What a check has looked at and found."""

    objects: int
    extents: int
    bytes: int
    findings: int
    repaired: int
