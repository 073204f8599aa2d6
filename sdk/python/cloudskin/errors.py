"""What can go wrong. Every exception of the store is a StoreError, which is an OSError; where Python has one of its own
for the case (FileNotFoundError, FileExistsError, PermissionError, ...) it is that as well."""

from __future__ import annotations

import enum
import errno
from typing import Optional


class Code(enum.IntEnum):
    """What the store answers; see cloudskin/geds.h."""

    OK = 0
    INVAL = 1
    NOMEM = 2
    LIMIT = 3
    IO = 4
    NOTFOUND = 5
    EXIST = 6
    PERM = 7
    CORRUPT = 8
    FORMAT = 9
    INVALID = 10
    UNSUPPORTED = 11
    AGAIN = 12
    CHANGED = 13
    STOPPED = 14
    MOVED = 15


class StoreError(OSError):
    """code: what it was. offset: the byte of the object that is damaged, or None. text: in words."""

    code: Code = Code.IO
    offset: Optional[int] = None
    text: str = ""


class NotFoundError(StoreError, FileNotFoundError):
    """No such bucket or object."""


class NotRunningError(StoreError, ConnectionRefusedError):
    """No store is up."""


class ExistsError(StoreError, FileExistsError):
    """It is there already; or a bucket is not empty."""


class RefusedError(StoreError, PermissionError):
    """Not allowed."""


class InvalidError(StoreError, ValueError):
    """An argument is against the rules."""


class LimitError(StoreError):
    """No space is left, or a limit was reached."""


class CorruptError(StoreError):
    """Bytes do not match their checksum; offset says where. Nothing of them is handed out."""


class ChangedError(StoreError):
    """The object is there, but not as the condition says."""


class BusyError(StoreError, BlockingIOError):
    """Not now: try again."""


_KINDS: dict[Code, tuple[type[StoreError], int]] = {
    Code.INVAL: (InvalidError, errno.EINVAL),
    Code.NOMEM: (StoreError, errno.ENOMEM),
    Code.LIMIT: (LimitError, errno.ENOSPC),
    Code.IO: (StoreError, errno.EIO),
    Code.NOTFOUND: (NotFoundError, errno.ENOENT),
    Code.EXIST: (ExistsError, errno.EEXIST),
    Code.PERM: (RefusedError, errno.EACCES),
    Code.CORRUPT: (CorruptError, errno.EBADMSG),
    Code.FORMAT: (StoreError, errno.EPROTO),
    Code.INVALID: (InvalidError, errno.EINVAL),
    Code.UNSUPPORTED: (StoreError, errno.EOPNOTSUPP),
    Code.AGAIN: (BusyError, errno.EAGAIN),
    Code.CHANGED: (ChangedError, errno.ESTALE),
    Code.STOPPED: (StoreError, errno.ECANCELED),
    Code.MOVED: (StoreError, errno.EHOSTUNREACH),
}


def error_of(number: int, text: str, offset: Optional[int] = None, name: Optional[str] = None) -> StoreError:
    """The exception for a code. A code that this version does not know is an error of the protocol."""
    try:
        code = Code(number)
    except ValueError:
        code, text = Code.FORMAT, f"{text} (code {number})"
    kind, system = _KINDS.get(code, (StoreError, errno.EIO))
    error = kind(system, text, name) if name is not None else kind(system, text)
    error.code, error.offset, error.text = code, offset, text
    return error


def not_running(text: str) -> StoreError:
    error = NotRunningError(errno.ECONNREFUSED, text)
    error.code, error.text = Code.NOTFOUND, text
    return error
