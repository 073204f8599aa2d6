"""Facts about the check of histories: what is right is taken, what is wrong is refused."""
import dataclasses
import random
import unittest

from linear import FOREVER, UNKNOWN, Op, check, step

KINDS = ("read", "list", "put", "drop", "create", "replace", "remove", "delete", "copy", "rename", "move")


def at(begin, end, kind, result, **more):
    return Op(kind, result=result, begin=begin, end=end, **more)


def made(dice, clients, count, keys=2):
    """A history of clients that take turns at random: right by the way it is made."""
    state, now, history, running = (None,) * keys, 0, [], {}
    values = iter(range(1, 10**6))
    while len(history) < count or running:
        now += 1
        client = dice.randrange(clients)
        if client not in running:
            if len(history) + len(running) < count:
                op = Op(dice.choice(KINDS), dice.randrange(keys), client=str(client), begin=now)
                op.to = (op.key + 1) % keys
                op.value = next(values) if op.kind in ("put", "create", "replace") else None
                op.expects = state[op.key] if dice.random() < 0.7 else 0
                running[client] = (op, False)
        elif not running[client][1]:
            op = running[client][0]
            op.result, state = step(state, op)
            running[client] = (op, True)
        else:
            op = running.pop(client)[0]
            op.end = now
            history.append(op)
    return history


class Histories(unittest.TestCase):
    def right(self, *ops, keys=2):
        self.assertIsNone(check(list(ops), keys))

    def wrong(self, *ops, keys=2):
        self.assertIsNotNone(check(list(ops), keys))

    def test_one_after_the_other(self):
        self.right(at(0, 1, "put", "ok", value=1), at(2, 3, "read", 1), at(4, 5, "delete", "ok"), at(6, 7, "read", None))

    def test_a_stale_read_is_refused(self):
        self.wrong(at(0, 1, "put", "ok", value=1), at(2, 3, "put", "ok", value=2), at(4, 5, "read", 1))

    def test_a_read_beside_a_write_sees_either(self):
        for seen in (None, 1):
            self.right(at(0, 9, "put", "ok", value=1), at(1, 2, "read", seen))

    def test_a_read_does_not_go_back(self):
        self.right(at(0, 9, "put", "ok", value=1), at(1, 2, "read", None), at(3, 4, "read", 1))
        self.wrong(at(0, 9, "put", "ok", value=1), at(1, 2, "read", 1), at(3, 4, "read", None))

    def test_one_of_two_creates(self):
        self.right(at(0, 9, "create", "ok", value=1), at(0, 9, "create", "exists", value=2), at(10, 11, "read", 1))
        self.wrong(at(0, 9, "create", "ok", value=1), at(0, 9, "create", "ok", value=2))

    def test_one_of_two_replaces(self):
        first = at(0, 1, "put", "ok", value=1)
        self.right(first, at(2, 9, "replace", "ok", value=2, expects=1),
                   at(2, 9, "replace", "changed", value=3, expects=1))
        self.wrong(first, at(2, 9, "replace", "ok", value=2, expects=1), at(2, 9, "replace", "ok", value=3, expects=1))

    def test_one_of_two_deletes(self):
        first = at(0, 1, "put", "ok", value=1)
        self.right(first, at(2, 9, "delete", "ok"), at(2, 9, "delete", "missing"))
        self.wrong(first, at(2, 9, "delete", "ok"), at(2, 9, "delete", "ok"))

    def test_a_rename_is_at_once(self):
        first, move = at(0, 1, "put", "ok", value=1), at(2, 9, "rename", "ok", to=1)
        for seen in ((1, None), (None, 1)):
            self.right(first, move, at(3, 4, "list", seen))
        for seen in ((1, 1), (None, None)):
            self.wrong(first, move, at(3, 4, "list", seen))
        self.wrong(first, move, at(3, 4, "read", None), at(5, 6, "read", None, key=1))
        self.wrong(first, at(2, 9, "rename", "ok", to=1), at(2, 9, "rename", "ok", to=1))

    def test_what_nobody_heard_of(self):
        lost = at(2, FOREVER, "put", UNKNOWN, value=1)
        self.right(lost, at(3, 4, "read", None))
        self.right(lost, at(3, 4, "read", 1))
        self.right(lost, at(3, 4, "read", None), at(5, 6, "read", 1))
        self.wrong(lost, at(3, 4, "read", 1), at(5, 6, "read", None))
        self.wrong(lost, at(0, 1, "read", 1))
        self.wrong(lost, at(3, 4, "read", 2))

    def test_random_ones_are_taken(self):
        for seed in range(60):
            self.assertIsNone(check(made(random.Random(seed), 5, 60), 2), f"seed {seed}")

    def test_with_one_other_result_they_are_refused(self):
        refused = 0
        for seed in range(60):
            dice = random.Random(seed)
            history = made(dice, 3, 40)
            i = dice.choice([i for i, op in enumerate(history) if op.kind == "read"])
            history[i] = dataclasses.replace(history[i], result=10**7)
            refused += check(history, 2) is not None
        self.assertEqual(refused, 60)

    def test_a_forgotten_write_is_found(self):
        refused = 0
        for seed in range(60):
            history = made(random.Random(seed), 3, 60)
            seen = {op.result for op in history if op.kind == "read"}
            lost = [op for op in history if op.kind in ("put", "create") and op.value in seen]
            if lost:
                refused += check([op for op in history if op is not lost[0]], 2) is not None
            else:
                refused += 1
        self.assertEqual(refused, 60)


if __name__ == "__main__":
    unittest.main()
