"""The store, as one connection that any number of threads may use."""

from __future__ import annotations

import builtins
import ctypes
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

from . import _native
from ._native import Handle, lib, text_in, text_out
from .errors import Code, error_of, not_running
from .files import Object, Writer, create_writer, edit_object, info_of, open_object
from .types import Bucket, Check, Entry, Finding, Info, Moved, Place, SpillRule, Status, Tier
from .watch import Watch, watch


def _place(bucket: str, key: str = "") -> str:
    return f"geds://{bucket}/{key}" if key else f"geds://{bucket}"


def _bucket(raw: _native.Bucket) -> Bucket:
    return Bucket(raw.name.decode(), raw.created_ns, raw.objects, raw.bytes)


class Store:
    """Buckets have keys, each with bytes and metadata. Calls raise StoreError and its kinds.

    if_none: there must be no such object (ExistsError). if_match: there must be one with this etag, "*": any
    (NotFoundError, ChangedError). metadata: names and values, which replace the object's; names are in lower case."""

    def __init__(self, address: Optional[str] = None) -> None:
        """address: "unix:/PATH" or "tls://HOST"; None: $CLOUDSKIN_CONTROLLER, else what `cloudskin up` started."""
        pointer, err = ctypes.c_void_p(), _native.Error()
        raw = None if address is None else text_in(address, "the address")
        code = lib.geds_connect(raw, ctypes.byref(pointer), ctypes.byref(err))
        if code == Code.NOTFOUND:
            raise not_running(text_out(bytes(err.text)))
        _native.check(code, err)
        self._handle = Handle(pointer.value, lib.geds_disconnect, "store")

    def close(self) -> None:
        """No more calls. Objects and writers that are open stay so, and the connection with them."""
        if hasattr(self, "_handle"):
            self._handle.close()

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def lost(self) -> bool:
        """Whether the connection is lost: every call will fail, and only a new one helps."""
        if not self._handle.failed:
            return False
        try:
            self.status()
        except OSError:
            return True
        self._handle.failed = False
        return False

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def status(self) -> Status:
        raw = _native.Status()
        self._handle.call(lib.geds_status, ctypes.byref(raw))
        texts = (raw.version, raw.state, raw.s3, raw.metrics)
        version, state, s3, metrics = (text_out(bytes(text)) for text in texts)
        return Status(version, state, s3, raw.buckets, raw.objects, raw.bytes, raw.process, metrics)

    def create_bucket(self, bucket: str, *, exist_ok: bool = False) -> None:
        """bucket: 3 to 63 of a-z 0-9 - ."""
        self._named(lib.geds_bucket_create, bucket, Code.EXIST if exist_ok else Code.OK)

    def delete_bucket(self, bucket: str) -> None:
        """ExistsError: objects are in it."""
        self._named(lib.geds_bucket_delete, bucket, Code.OK)

    def _named(self, function: Any, bucket: str, content: Code) -> None:
        try:
            self._handle.call(function, text_in(bucket, "a bucket"), name=_place(bucket))
        except OSError as e:
            if content == Code.OK or getattr(e, "code", None) != content:
                raise

    def bucket(self, bucket: str) -> Bucket:
        raw = _native.Bucket()
        self._handle.call(
            lib.geds_bucket_status, text_in(bucket, "a bucket"), ctypes.byref(raw), name=_place(bucket)
        )
        return _bucket(raw)

    def buckets(self) -> builtins.list[Bucket]:
        """In the order of names."""
        found, count = ctypes.POINTER(_native.Bucket)(), ctypes.c_size_t()
        self._handle.call(lib.geds_bucket_list, ctypes.byref(found), ctypes.byref(count))
        try:
            return [_bucket(found[i]) for i in range(count.value)]
        finally:
            _native.free(found)

    def put(
        self,
        bucket: str,
        key: str,
        data: Any,
        *,
        content_type: Optional[str] = None,
        metadata: Optional[Mapping[str, str]] = None,
        if_none: bool = False,
        if_match: Optional[str] = None,
    ) -> Info:
        """All bytes at once; data: bytes or anything with a buffer."""
        raw, bytes_ = _native.Info(), _native.Bytes(data)
        self._handle.call(
            lib.geds_put,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            _native.attributes(content_type, metadata),
            _native.conditions(if_none, if_match),
            bytes_.address,
            bytes_.length,
            ctypes.byref(raw),
            name=_place(bucket, key),
        )
        return info_of(raw)

    def get(self, bucket: str, key: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        """All bytes, or those of a range as far as the object has them. A negative offset counts from the end."""
        with self.open(bucket, key) as o:
            start = max(0, o.size + offset) if offset < 0 else offset
            return o.pread(o.size if length is None else length, start)

    def open(self, bucket: str, key: str) -> Object:
        """For reading, as it is now."""
        return open_object(self._handle, bucket, key)

    def create(
        self,
        bucket: str,
        key: str,
        *,
        content_type: Optional[str] = None,
        metadata: Optional[Mapping[str, str]] = None,
        if_none: bool = False,
        if_match: Optional[str] = None,
    ) -> Writer:
        """A file to be written, in order or at any place, of any size. Whether the bucket is there may be known at the seal only."""
        return create_writer(self._handle, bucket, key, content_type, metadata, if_none, if_match)

    def edit(self, bucket: str, key: str) -> Writer:
        """Change an object, which has its new bytes at the seal: only if it is the same still (ChangedError, NotFoundError).
        Bytes are shared: the first write into one of its extents, of 1 GiB at most, copies that."""
        return edit_object(self._handle, bucket, key)

    def append(
        self, bucket: str, key: str, data: Any, *, if_none: bool = False, if_match: Optional[str] = None
    ) -> Info:
        """Add bytes at the end of an object, which is made when it is not there. Up to 1 MiB is added as a whole."""
        raw, bytes_ = _native.Info(), _native.Bytes(data)
        self._handle.call(
            lib.geds_append,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            _native.conditions(if_none, if_match),
            bytes_.address,
            bytes_.length,
            ctypes.byref(raw),
            name=_place(bucket, key),
        )
        return info_of(raw)

    def stat(self, bucket: str, key: str) -> Info:
        raw = _native.Info()
        self._handle.call(
            lib.geds_stat,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            ctypes.byref(raw),
            name=_place(bucket, key),
        )
        return info_of(raw)

    def exists(self, bucket: str, key: str) -> bool:
        try:
            self.stat(bucket, key)
        except FileNotFoundError:
            return False
        return True

    def delete(self, bucket: str, key: str, *, if_match: Optional[str] = None) -> None:
        self._handle.call(
            lib.geds_delete,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            _native.conditions(False, if_match),
            name=_place(bucket, key),
        )

    def delete_many(self, bucket: str, keys: Iterable[str]) -> builtins.list[str]:
        """Returns those that were not there."""
        names = builtins.list(keys)
        codes = (ctypes.c_int * max(len(names), 1))()
        raw = (ctypes.c_char_p * max(len(names), 1))(*[text_in(key, "a key") for key in names])
        self._handle.call(
            lib.geds_delete_many, text_in(bucket, "a bucket"), raw, len(names), codes, name=_place(bucket)
        )
        for key, code in zip(names, codes):
            if code not in (Code.OK, Code.NOTFOUND):
                raise error_of(code, "not removed", None, _place(bucket, key))
        return [key for key, code in zip(names, codes) if code == Code.NOTFOUND]

    def rename(
        self,
        bucket: str,
        key: str,
        to_bucket: str,
        to_key: str,
        *,
        if_none: bool = False,
        if_match: Optional[str] = None,
    ) -> None:
        """One step whatever the size, since no bytes move. The conditions are about the new name."""
        self._handle.call(
            lib.geds_rename,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            text_in(to_bucket, "a bucket"),
            text_in(to_key, "a key"),
            _native.conditions(if_none, if_match),
            name=_place(bucket, key),
        )

    def rename_prefix(self, bucket: str, prefix: str, to: str) -> int:
        """Replace the beginning of all keys that have it, all at once. Returns how many. ExistsError: a name is taken."""
        count = ctypes.c_uint64()
        self._handle.call(
            lib.geds_rename_prefix,
            text_in(bucket, "a bucket"),
            text_in(prefix, "a prefix"),
            text_in(to, "a prefix"),
            ctypes.byref(count),
            name=_place(bucket, prefix),
        )
        return count.value

    def copy(
        self,
        bucket: str,
        key: str,
        to_bucket: str,
        to_key: str,
        *,
        content_type: Optional[str] = None,
        metadata: Optional[Mapping[str, str]] = None,
        if_none: bool = False,
        if_match: Optional[str] = None,
    ) -> Info:
        """A copy shares the bytes. Without content_type and metadata it has the source's."""
        raw = _native.Info()
        self._handle.call(
            lib.geds_copy,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            text_in(to_bucket, "a bucket"),
            text_in(to_key, "a key"),
            _native.attributes(content_type, metadata),
            _native.conditions(if_none, if_match),
            ctypes.byref(raw),
            name=_place(bucket, key),
        )
        return info_of(raw)

    def list(
        self,
        bucket: str,
        prefix: str = "",
        *,
        delimiter: str = "",
        start_after: str = "",
        limit: Optional[int] = None,
    ) -> Iterator[Entry]:
        """In the order of the keys' bytes, page by page: a change meanwhile is seen behind the page that was read. With a
        delimiter, keys that are alike up to it are one entry. limit: entries."""
        after, left = start_after, limit
        while left is None or left > 0:
            most = _native.LIST_MAX if left is None else min(left, _native.LIST_MAX)
            entries, more = self._page(bucket, prefix, delimiter, after, most)
            yield from entries
            if not more or not entries:
                return
            after = entries[-1].key
            left = None if left is None else left - len(entries)

    def _page(
        self, bucket: str, prefix: str, delimiter: str, after: str, most: int
    ) -> tuple[builtins.list[Entry], bool]:
        query = _native.Query(
            text_in(prefix, "a prefix") or None,
            text_in(delimiter, "a delimiter") or None,
            text_in(after, "a key") or None,
            most,
        )
        page = ctypes.POINTER(_native.Page)()
        self._handle.call(
            lib.geds_list, text_in(bucket, "a bucket"), ctypes.byref(query), ctypes.byref(page), name=_place(bucket)
        )
        try:
            raw = page.contents
            entries = [
                Entry(text_out(e.key), None if e.is_prefix else info_of(e.info))
                for e in (raw.entries[i] for i in range(raw.count))
            ]
            return entries, bool(raw.more)
        finally:
            lib.geds_page_free(page)

    def watch(self, bucket: str, prefix: str = "", *, exact: bool = False, start: int = 0) -> Watch:
        """What becomes of the objects of a bucket whose keys begin so (exact: of that key), whoever changes them. start: the first
        number that is wanted, for who goes on where a watch ended; 0: from now on."""
        return watch(self._handle, bucket, prefix, exact, start)

    def pin(self, bucket: str, key: str, *, prefix: bool = False) -> Moved:
        """Keep the bytes of an object (prefix: of all whose keys begin so) on local disk; what is away is fetched. A pin is of the
        bytes: what replaces them is not pinned, and copies share it."""
        return self._move(lib.geds_pin, bucket, key, prefix, True)

    def unpin(self, bucket: str, key: str, *, prefix: bool = False) -> Moved:
        """They follow the rule of the bucket again."""
        return self._move(lib.geds_pin, bucket, key, prefix, False)

    def spill(self, bucket: str, key: str, *, prefix: bool = False) -> Moved:
        """Have the bytes in the tier only. BusyError: it does not answer; what moved before has moved."""
        return self._move(lib.geds_spill, bucket, key, prefix)

    def recall(self, bucket: str, key: str, *, prefix: bool = False) -> Moved:
        """Have the bytes on local disk again."""
        return self._move(lib.geds_recall, bucket, key, prefix)

    def relocate(
        self, bucket: str, key: str, place: Place, *, copies: Optional[int] = None, prefix: bool = False
    ) -> Moved:
        """Have the bytes of an object (prefix: of all whose keys begin so) at a place; on NODES with so many copies, the store's own
        among them. It is of the bytes that are there now. When it returns they are there, but for those that Moved.kept counts.
        What had moved before an error stays moved, and the same call goes on. BusyError: the tier does not answer, or there are
        too few nodes with room; LimitError: local disk is full, or it does not fit into memory; Code.UNSUPPORTED: no such place."""
        where = _native.Location(Place(place), 0 if copies is None else _count(copies))
        return self._move(lib.geds_relocate, bucket, key, prefix, ctypes.byref(where))

    def _move(self, function: Any, bucket: str, key: str, prefix: bool, *more: Any) -> Moved:
        raw = _native.Moved()
        self._handle.call(
            function,
            text_in(bucket, "a bucket"),
            text_in(key, "a key"),
            prefix,
            *more,
            _native.Progress(0),
            None,
            ctypes.byref(raw),
            name=_place(bucket, key),
        )
        return Moved(raw.objects, raw.extents, raw.bytes, raw.kept)

    def spill_rule(self, bucket: str) -> SpillRule:
        raw = ctypes.c_int()
        self._handle.call(
            lib.geds_bucket_spill, text_in(bucket, "a bucket"), ctypes.byref(raw), name=_place(bucket)
        )
        return SpillRule(raw.value)

    def set_spill_rule(self, bucket: str, rule: SpillRule) -> None:
        """Of what is written into it from now on; what is there gets it by `unpin(bucket, "", prefix=True)`."""
        self._handle.call(
            lib.geds_bucket_set_spill, text_in(bucket, "a bucket"), SpillRule(rule), name=_place(bucket)
        )

    def tier(self) -> Tier:
        raw = _native.Tier()
        self._handle.call(lib.geds_tier_status, ctypes.byref(raw))
        values: builtins.list[Any] = [getattr(raw, name) for name, *_ in _native.Tier._fields_]
        return Tier(*(text_out(value) if isinstance(value, bytes) else value for value in values))

    def fsck(self, repair: bool = False, found: Optional[Callable[[Finding], None]] = None) -> Check:
        """Read all that is in the store and compare it. found is called for each finding, at the end."""
        findings: builtins.list[Finding] = []

        def hear(_: Any, finding: Any) -> None:
            f = finding.contents
            findings.append(Finding(f.extent, f.offset, text_out(f.text)))

        raw = _native.Check()
        self._handle.call(lib.geds_fsck, repair, _native.Found(hear), None, ctypes.byref(raw))
        for finding in findings:
            if found is not None:
                found(finding)
        return Check(raw.objects, raw.extents, raw.bytes, raw.findings, raw.repaired)


def _count(copies: int) -> int:
    """ctypes takes the low bits of what is too large, so that it would be another number."""
    if not 0 < copies <= 255:
        raise error_of(Code.INVAL, f"{copies} copies")
    return copies


def connect(address: Optional[str] = None) -> Store:
    """The store at an address "unix:/PATH"; without one the store of this machine. NotRunningError: none is up."""
    return Store(address)
