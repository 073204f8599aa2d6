"""Is a history of operations on a few keys linearizable?

Each operation took place at one moment between its begin and its end, all of them one after the other: is there an
order in which each gives the result that it gave? Wing and Gong's search, with Lowe's memory of what was tried. An
operation whose outcome nobody heard of took place at any moment behind its begin, or never."""
import dataclasses

UNKNOWN = "?"
FOREVER = float("inf")


@dataclasses.dataclass
class Op:
    """kind: read, list, put, create, replace, delete, remove, drop, rename, move, copy (see `step`). key, to: numbers.
    value: what is written. expects: the value that has to be there. result: see `step`, or UNKNOWN."""
    kind: str
    key: int = 0
    to: int = 0
    value: object = None
    expects: object = None
    result: object = UNKNOWN
    begin: float = 0
    end: float = FOREVER
    client: str = ""


def changed(state, key, value):
    return state[:key] + (value,) + state[key + 1:]


def step(state, op):
    """(result, state after it). state: the value of each key, None: it is not there."""
    have = state[op.key]
    if op.kind == "read":
        return have, state
    if op.kind == "list":
        return state, state
    if op.kind == "put":
        return "ok", changed(state, op.key, op.value)
    if op.kind == "drop":  # without saying whether it was there
        return "ok", changed(state, op.key, None)
    if op.kind == "create":
        return ("exists", state) if have is not None else ("ok", changed(state, op.key, op.value))
    if have is None:
        return "missing", state
    if op.kind in ("replace", "remove"):  # of `remove` no value comes instead
        return ("ok", changed(state, op.key, op.value)) if have == op.expects else ("changed", state)
    if op.kind == "delete":
        return "ok", changed(state, op.key, None)
    if op.kind == "copy":
        return "ok", changed(state, op.to, have)
    if op.kind == "move" and state[op.to] is not None:  # a rename to where nothing is
        return "exists", state
    assert op.kind in ("rename", "move"), op.kind
    return "ok", changed(changed(state, op.key, None), op.to, have)


def candidates(ops, done, first):
    """Those that may be next: no other one ended before they began."""
    limit, found = FOREVER, []
    for i in range(first, len(ops)):
        if ops[i].begin > limit:
            break
        if not done >> i & 1:
            found.append(i)
            limit = min(limit, ops[i].end)
    return [i for i in found if ops[i].begin <= limit]


def quiet(ops, state, done, first):
    """Take all that never change anything - reads, refusals - and fit now: no order is better for them than at once."""
    taken = True
    while taken:
        taken = False
        while done >> first & 1:
            first += 1
        for i in candidates(ops, done, first):
            harmless = ops[i].kind in ("read", "list") or ops[i].result not in ("ok", UNKNOWN)
            if harmless and step(state, ops[i])[0] == ops[i].result:
                done |= 1 << i
                taken = True
    return done, first


def check(history, keys, state=None):
    """None: it is linearizable. Else the operations with which the longest order that fits cannot go on, and its
    state."""
    ops = sorted(history, key=lambda op: op.begin)
    needed = sum(1 << i for i, op in enumerate(ops) if op.result != UNKNOWN)
    todo = [(0, 0, state or (None,) * keys)]
    seen = set()
    best = (-1, [], None)
    while todo:
        done, first, state = todo.pop()
        done, first = quiet(ops, state, done, first)
        if done & needed == needed:
            return None
        if (done, state) in seen:
            continue
        seen.add((done, state))
        following = candidates(ops, done, first)
        count = (done & needed).bit_count()
        if count > best[0]:
            best = (count, [ops[i] for i in following], state)
        # what is not known to have taken place is tried last
        for i in sorted(following, key=lambda i: ops[i].result != UNKNOWN):
            result, after = step(state, ops[i])
            if result == ops[i].result or (ops[i].result == UNKNOWN and after != state):
                todo.append((done | 1 << i, first, after))
    return best[1:]
