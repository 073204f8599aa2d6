"""What calls return."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Optional


def _time(ns: int) -> datetime.datetime:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return epoch + datetime.timedelta(microseconds=ns // 1000)


@dataclass(frozen=True)
class Info:
    """Of an object. etag: another one after each change."""

    size: int
    modified_ns: int
    etag: str

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
