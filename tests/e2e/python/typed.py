"""What a program that is checked by mypy sees of the package."""

import io
from typing import Optional

import cloudskin


def use(store: cloudskin.Store) -> Optional[str]:
    info: cloudskin.Info = store.put("b", "k", bytearray(b""), metadata={"a": "b"})
    size: int = info.size
    with store.create("b", "k", if_none=True) as w:
        w.write(b"x")
    with store.open("b", "k") as o:
        raw: io.RawIOBase = o
        view: memoryview = o.map()
    with store.watch("b", "prefix/", start=1) as changes:
        event: Optional[cloudskin.Event] = changes.next(timeout=0.5)
        kinds: list[cloudskin.EventKind] = [e.kind for e in changes]
    moved: cloudskin.Moved = store.pin("b", "k")
    moved = store.relocate("b", "a/", cloudskin.Place.NODES, copies=2, prefix=True)
    rule: cloudskin.SpillRule = store.spill_rule("b")
    tier: cloudskin.Tier = store.tier()
    print(event, kinds, moved.bytes, rule, tier.local_bytes)
    names: list[str] = [e.key for e in store.list("b", limit=size)]
    try:
        store.delete("b", names[0])
    except cloudskin.NotFoundError as e:
        code: cloudskin.Code = e.code
        print(code, raw, view, e.offset)
    return o.content_type
