"""What is told of changes, and moving bytes between local disk and a tier."""

import os
import signal
import threading
import time

import pytest

import cloudskin
from cloudskin import EventKind, Place, SpillRule


def told(watch, count):
    """The next events; too few are an error of the test."""
    events = [watch.next(timeout=20) for _ in range(count)]
    assert None not in events
    return events


def test_each_change_is_told_once_and_in_order(store, bucket):
    with store.watch(bucket) as watch:
        info = store.put(bucket, "a", b"1")
        store.put(bucket, "a", b"22")
        store.append(bucket, "a", b"3")
        store.rename(bucket, "a", bucket, "b")
        store.delete(bucket, "b")
        events = told(watch, 5)
        assert [e.kind.name for e in events] == ["CREATED", "OVERWRITTEN", "APPENDED", "RENAMED", "DELETED"]
        assert [e.key for e in events] == ["a", "a", "a", "b", "b"]
        assert events[0].info == info and events[1].info.size == 2 and events[4].info is None
        assert (events[3].from_bucket, events[3].from_key, events[0].from_key) == (bucket, "a", None)
        assert all(x.number < y.number for x, y in zip(events, events[1:]))
        assert abs(events[0].time.timestamp() - time.time()) < 60
        assert watch.next(timeout=0) is None and watch.next(timeout=0.05) is None


def test_only_what_is_watched_is_told(store, bucket):
    with store.watch(bucket, "in/") as some, store.watch(bucket, "in/a", exact=True) as one:
        for key in ("out", "in/ab", "in/a"):
            store.put(bucket, key, b"x")
        assert [e.key for e in told(some, 2)] == ["in/ab", "in/a"]
        assert [e.key for e in told(one, 1)] == ["in/a"]
        assert some.next(timeout=0) is None and one.next(timeout=0) is None


def test_a_watch_goes_on_where_another_ended(store, bucket):
    with store.watch(bucket) as watch:
        store.put(bucket, "a", b"x")
        told(watch, 1)
        number = watch.next_number
    store.put(bucket, "b", b"x")
    with store.watch(bucket, start=number) as watch:
        assert told(watch, 1)[0].key == "b"
    with pytest.raises(cloudskin.NotFoundError):
        store.watch("no-such-bucket")
    with pytest.raises(TypeError):
        store.watch(bucket, b"bytes")


def test_closing_ends_who_waits(store, bucket):
    watch, seen = store.watch(bucket), []
    thread = threading.Thread(target=lambda: seen.extend(watch))
    thread.start()
    store.put(bucket, "a", b"x")
    end = time.monotonic() + 20
    while not seen and time.monotonic() < end:
        os.sched_yield()
    watch.close()
    thread.join(20)
    assert not thread.is_alive() and [e.key for e in seen] == ["a"] and watch.closed
    assert list(watch) == []
    with pytest.raises(ValueError):
        watch.next()
    watch.close()


def test_a_child_of_a_fork_is_refused(store, bucket):
    watch, stop = store.watch(bucket), threading.Event()

    def wait():
        while not stop.is_set():
            watch.next(timeout=0.1)

    thread = threading.Thread(target=wait)
    thread.start()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            watch.next(timeout=0)
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    stop.set()
    thread.join(20)
    watch.close()


def test_times_to_wait(store, bucket):
    with store.watch(bucket) as watch:
        store.put(bucket, "a", b"x")
        assert watch.next(timeout=float("inf")).key == "a"
        assert watch.next(timeout=-1) is None


def test_a_watch_keeps_the_connection(store, bucket):
    own = cloudskin.connect()
    watch = own.watch(bucket)
    own.close()
    store.put(bucket, "a", b"x")
    assert told(watch, 1)[0].kind == EventKind.CREATED
    watch.close()


def test_a_lost_connection_is_an_error(own):
    with cloudskin.connect(own.address) as store:
        store.create_bucket("box")
        watch = store.watch("box")
        own.down()
        with pytest.raises(OSError):
            while True:
                watch.next(timeout=20)
        assert store.lost()
        watch.close()
    own.up()
    with cloudskin.connect(own.address) as store, store.watch("box", start=1) as watch:
        assert told(watch, 1)[0].kind == EventKind.GAP  # of a process before


def test_without_a_tier(store, bucket):
    tier = store.tier()
    assert tier.name == "" and tier.error == ""
    store.put(bucket, "k", os.urandom(1 << 20))
    assert store.tier().local_bytes == tier.local_bytes + (1 << 20)
    for move in (store.pin, store.recall, store.unpin):
        assert move(bucket, "k").objects == 1
    with pytest.raises(cloudskin.StoreError) as e:
        store.spill(bucket, "k")
    assert e.value.code == cloudskin.Code.UNSUPPORTED
    for place in (Place.TIER, Place.MEMORY):
        with pytest.raises(cloudskin.StoreError) as e:
            store.relocate(bucket, "k", place)
        assert e.value.code == cloudskin.Code.UNSUPPORTED
    assert store.relocate(bucket, "k", Place.DISK).objects == 1


def test_bytes_move_between_local_disk_and_the_tier(tiered):
    data = os.urandom(1 << 20)
    with cloudskin.connect(tiered.address) as store:
        store.create_bucket("box")
        for key in ("a/1", "a/2", "b"):
            store.put("box", key, data)
        moved = store.spill("box", "a/", prefix=True)
        assert (moved.objects, moved.extents, moved.bytes, moved.kept) == (2, 2, 2 << 20, 0)
        tier = store.tier()
        assert (tier.name, tier.away_count, tier.away_bytes, tier.local_count) == ("s3://behind/x", 2, 2 << 20, 1)
        assert store.get("box", "a/1") == data
        assert store.recall("box", "a/1").extents == 1 and store.tier().away_count == 1
        assert store.pin("box", "a/2").objects == 1
        tier = store.tier()
        assert (tier.away_count, tier.pinned_count, tier.pinned_bytes) == (0, 1, 1 << 20)
        assert store.spill("box", "a/2").kept == 1
        store.unpin("box", "", prefix=True)
        assert store.tier().pinned_count == 0 and store.spill("box", "a/2").bytes == 1 << 20
        with pytest.raises(cloudskin.NotFoundError):
            store.pin("box", "none")


def test_relocate(tiered):
    data = os.urandom(1 << 20)
    tiered.down()
    tiered.up("--memory", "4M")
    with cloudskin.connect(tiered.address) as store:
        store.create_bucket("box")
        for key in ("a/1", "a/2", "b"):
            store.put("box", key, data)
        moved = store.relocate("box", "a/", Place.TIER, prefix=True)
        assert (moved.objects, moved.extents, moved.bytes, moved.kept) == (2, 2, 2 << 20, 0)
        assert store.tier().away_count == 2
        assert store.relocate("box", "a/1", Place.DISK).extents == 1
        assert store.relocate("box", "a/", Place.MEMORY, prefix=True).bytes == 2 << 20
        assert store.tier().away_count == 0
        assert store.relocate("box", "a/", Place.NODES, copies=1, prefix=True).extents == 0
        for place, copies, error in (
            (Place.NODES, 2, cloudskin.Code.UNSUPPORTED),  # it has none
            (Place.NODES, None, cloudskin.Code.INVAL),
            (Place.NODES, 9, cloudskin.Code.INVAL),
            (Place.NODES, (1 << 32) + 1, cloudskin.Code.INVAL),
            (Place.DISK, 2, cloudskin.Code.INVAL),
        ):
            with pytest.raises(cloudskin.StoreError) as e:
                store.relocate("box", "a/", place, copies=copies, prefix=True)
            assert e.value.code == error
        with pytest.raises(ValueError):
            store.relocate("box", "a/1", 9)
        with pytest.raises(cloudskin.NotFoundError):
            store.relocate("box", "none", Place.DISK)
        with pytest.raises(cloudskin.NotFoundError):
            store.relocate("none", "", Place.DISK, prefix=True)
        store.put("box", "large", os.urandom(5 << 20))
        with pytest.raises(cloudskin.LimitError):
            store.relocate("box", "large", Place.MEMORY)
        assert store.get("box", "a/1") == data


def test_rules_of_a_bucket(store, bucket):
    assert store.spill_rule(bucket) == SpillRule.WATERMARK
    for rule in SpillRule:
        store.set_spill_rule(bucket, rule)
        assert store.spill_rule(bucket) is rule
    with pytest.raises(ValueError):
        store.set_spill_rule(bucket, 7)
    with pytest.raises(cloudskin.NotFoundError):
        store.spill_rule("no-such-bucket")
