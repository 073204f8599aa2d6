#!/usr/bin/env python3
"""Random innermost loops give the same results here, at several optimisations, and under V8 and wasmtime.

Loops are what the compiler changes most: it runs them in strips between polls (src/cell/aot/strip.c), computes how
often they run, and lets LLVM vectorise them. So these have counters that step by anything, towards bounds that they
hit, miss or wrap around to, other exits, and arrays that overlap; all locals are results, and the memory is compared.
Some call functions through a table by numbers that stand in memory, and in some modules these only read. Of some
nothing is a result: what they load can matter only where it is not there.
`--seed S --first I --count 1` makes one module again; findings are kept as text beside the binary."""

import pathlib
import random
import subprocess
import sys

import engines
from differential import Differ, parse

FUNCS, CALLS = 8, 4
PAGES = 40
ITERATIONS_MAX = 200000
MASK = 0x1ffff8  # of addresses: stays below PAGES, and leaves room for offsets
NUMBERS = ("i32", "i64", "f32", "f64")
M32 = 0xffffffff


def count_of(start, bound, step, again):
    """How often a loop runs that goes on while (counter after its step) `again` bound; None: very often."""
    holds = {"ne": lambda a, b: a != b,
             "lt_u": lambda a, b: a < b, "gt_u": lambda a, b: a > b,
             "lt_s": lambda a, b: (a ^ 1 << 31) < (b ^ 1 << 31), "gt_s": lambda a, b: (a ^ 1 << 31) > (b ^ 1 << 31)}
    for n in range(1, ITERATIONS_MAX + 1):
        start = (start + step) & M32
        if not holds[again](start, bound):
            return n
    return None


class Body:
    """Statements of one loop; i is the counter as i32, p a pointer that moves by itself."""

    def __init__(self, rng):
        self.rng = rng
        self.stride = rng.choice([1, 2, 4, 8, -4, 12])
        self.looks = rng.random() < 0.3  # calls, and mostly no stores beside them
        self.silent = rng.random() < 0.2  # no results, and mostly the same stores in each iteration

    def address(self):
        rng = self.rng
        return rng.choice([
            "(local.get $p)", "(local.get $p)", "(local.get $p)",
            f"(i32.and (i32.shl (local.get $i) (i32.const {rng.randrange(4)})) (i32.const {MASK}))",
            f"(i32.and (i32.mul (local.get $i) (i32.const {rng.choice([3, 4, 8, 20])})) (i32.const {MASK}))",
            f"(i32.add (local.get $base) (i32.shl (i32.and (local.get $i) (i32.const 65535)) (i32.const 2)))",
            f"(i32.const {rng.randrange(0, 64, 4)})",
            f"(i32.add (local.get $p) (i32.const {rng.choice([4, 8, -8, 16, -4, 1024, -65536])}))",
            f"(i32.add (local.get $p) (i32.shl (local.get $i) (i32.const {rng.randrange(4)})))",
            f"(i32.add (local.get {rng.choice(['$p', '$base'])}) (i32.shl (i32.load{rng.choice(['8_u', '16_u'])} "
            f"(local.get $p)) (i32.const {rng.randrange(5)})))",
        ])

    def offset(self):
        return f"offset={self.rng.choice([0, 0, 0, 4, 8, 1, 64, 4096])}"

    def load(self, t):
        if t == "i32":
            op = self.rng.choice(["load", "load", "load8_u", "load8_s", "load16_u", "load16_s"])
            return f"(i32.{op} {self.offset()} {self.address()})"
        if t == "i64":
            op = self.rng.choice(["load", "load32_s", "load32_u", "load8_u", "load16_s"])
            return f"(i64.{op} {self.offset()} {self.address()})"
        # bits of memory as a float could be a NaN
        return f"({t}.convert_i32_s (i32.load16_s {self.offset()} {self.address()}))"

    def value(self, t):
        rng = self.rng
        if t in ("f32", "f64"):
            return rng.choice([self.load(t), self.load(t), f"({t}.convert_i32_s (local.get $i))", f"({t}.const 0.75)"])
        number = f"({t}.const {rng.choice([1, 3, -1, 255, 1000003])})"
        counter = self.counted() if t == "i32" else f"(i64.extend_i32_s {self.counted()})"
        leaf = rng.choice([self.load(t), self.load(t), counter, number, f"(local.get ${t})"])
        if rng.random() < 0.5:
            return leaf
        op = rng.choice(["add", "sub", "mul", "xor", "and", "or", "shr_u", "shl", "rotl"])
        return f"({t}.{op} {leaf} {rng.choice([number, self.load(t), counter])})"

    def counted(self):
        """Something that the counter decides: between which numbers it is can be found out."""
        number = self.rng.choice([1, 3, 255, 65535, 70000, -1])
        return self.rng.choice([
            "(local.get $i)", "(local.get $i)",
            f"(i32.{self.rng.choice(['add', 'and', 'or', 'sub'])} (local.get $i) (i32.const {number}))",
            f"(i32.shr_u (local.get $i) (i32.const {self.rng.randrange(1, 31)}))",
            "(i32.sub (i32.const 0) (i32.and (local.get $i) (i32.const 1)))",
        ])

    def condition(self):
        rng = self.rng
        compare = rng.choice(["eq", "ne", "lt_u", "gt_u", "le_u", "ge_u", "lt_s", "gt_s", "le_s", "ge_s"])
        return rng.choice([
            f"(i32.eq {self.load('i32')} (i32.const {rng.choice([0, 77, -1])}))",
            f"(i32.and {self.load('i32')} (i32.const {rng.choice([1, 4, 256])}))",
            f"(i32.lt_s (local.get $i32) (i32.const {rng.choice([0, -2000000000])}))",
            f"(i32.{compare} {self.load('i32')} {self.counted()})",
            f"(i32.{compare} {self.load('i32')} {self.counted()})",
            f"(i32.and {self.load('i32')} {self.counted()})",
        ])

    def reduce(self):
        t = self.rng.choice(NUMBERS)
        if t in ("f32", "f64"):
            op = self.rng.choice(["add", "sub", "min", "max"])
            old = f"({t}.mul (local.get ${t}) ({t}.const 0.5))" if self.rng.random() < 0.5 else f"(local.get ${t})"
            return f"(local.set ${t} ({t}.{op} {old} {self.value(t)}))"
        op = self.rng.choice(["add", "add", "sub", "xor", "or", "and", "mul"])
        return f"(local.set ${t} ({t}.{op} (local.get ${t}) {self.value(t)}))"

    def store(self):
        if self.silent and self.rng.random() < 0.8:
            return self.rng.choice([
                "(global.set $looks (i32.const 1))", "(global.set $looks (i32.const 2))",
                "(global.set $looks (local.get $base))", "(i32.store (i32.const 16) (i32.const 3))",
                "(i32.store (local.get $base) (i32.const 3))", "(i64.store (local.get $base) (i64.load (local.get $base)))",
            ])
        t = self.rng.choice(NUMBERS)
        size = self.rng.choice({"i32": ["", "", "8", "16"], "i64": ["", "32", "8", "16"]}.get(t, [""]))
        value = f"(local.get ${t})" if self.rng.random() < 0.2 else self.value(t)
        return f"({t}.store{size} {self.offset()} {self.address()} {value})"

    def look(self):
        """A function's number is read where it stays, or moves with the loop; few are not in the table."""
        rng = self.rng
        where = rng.choice(["(i32.const 0)", "(i32.const 128)", "(local.get $base)", "(local.get $base)", "(local.get $p)"])
        number = f"(i32.and (i32.load {where}) (i32.const {3 if rng.random() < 0.9 else 7}))"
        what = f"(call_indirect (type $look) (local.get {rng.choice(['$i', '$base'])}) {self.value('i32')} {number})"
        return f"(local.set $i32 (i32.{rng.choice(['add', 'xor', 'sub'])} (local.get $i32) {what}))"

    def statement(self):
        pick = self.rng.random()
        if self.looks and pick < 0.9:
            return self.look() if pick < 0.5 else self.reduce()
        if self.silent and pick < 0.7:
            return self.store() if pick < 0.3 else f"(br_if $out {self.rare()})"
        if pick < 0.4:
            return self.store()
        if pick < 0.75:
            return self.reduce()
        if pick < 0.85:
            return f"(if {self.condition()} (then {self.store()} {self.reduce()}))"
        if pick < 0.9:
            return f"(local.set $i32 (select (local.get $i32) {self.load('i32')} {self.condition()}))"
        if pick < 0.93:
            return f"(drop {self.load('i32')})"
        if pick < 0.95:
            return f"(local.set $i32 (i32.div_u (local.get $i32) (i32.or (i32.const 1) {self.load('i32')})))"
        return f"(br_if $out {self.rare()})"

    def rare(self):
        """A condition that is seldom true: another exit."""
        return self.rng.choice([
            f"(i32.eq {self.load('i32')} (i32.const 12345))",
            f"(i32.eq (i32.and (local.get $i32) (i32.const 65535)) (i32.const {self.rng.randrange(65536)}))",
        ])

    def chase(self):
        """The pointer goes by what is read near it."""
        where = self.rng.choice(["(i32.add (local.get $p) (local.get $base))", "(i32.sub (local.get $p) (local.get $base))",
                                 "(i32.add (i32.add (local.get $p) (local.get $base)) (i32.const 3))"])
        by = f"(i32.load8_u {self.offset()} {where})"
        if self.rng.random() < 0.5:
            by = f"(i32.load8_s (i32.add (local.get $base) (i32.shl {by} (i32.const {self.rng.randrange(3)}))))"
        return f"(local.set $p (i32.add (local.get $p) {by}))"

    def statements(self):
        lines = [self.statement() for _ in range(self.rng.choice([0, 1, 1, 2, 3, 5]))]
        if self.rng.random() < 0.15:
            return lines + [self.chase()]
        return lines + [f"(local.set $p (i32.and (i32.add (local.get $p) (i32.const {self.stride})) "
                        f"(i32.const {MASK | 7})))" if self.rng.random() < 0.2 else
                        f"(local.set $p (i32.add (local.get $p) (i32.const {self.stride})))"]


class Loop:
    """One function: its loop, and the arguments it is called with."""

    def __init__(self, rng, number):
        self.rng, self.number = rng, number
        self.again = rng.choice(["ne", "ne", "lt_u", "lt_s", "gt_u", "gt_s"])
        size = rng.choice([1, 1, 1, 2, 3, 4, 5, 7, 8, 12, 16])
        up = self.again.startswith("lt") or (self.again == "ne" and rng.random() < 0.5)
        if rng.random() < 0.05:
            up = not up
        self.step = size if up else -size
        self.body = Body(rng)
        self.constant_bound = rng.random() < 0.3
        self.constant_start = rng.random() < 0.4
        self.calls = [self.arguments() for _ in range(CALLS)]
        self.bound, self.start = self.calls[0][1], self.calls[0][0]
        self.shape = rng.choice(SHAPES)

    def arguments(self):
        """start, bound, fuel: the loop ends when the fuel does, if not before."""
        rng = self.rng
        n = rng.choice([0, 1, 2, 3, 5, 8, 15, 16, 17, 63, 64, 65, 100, 1000, 4096, 30000, 65536, 65537, ITERATIONS_MAX,
                        rng.randrange(300), rng.randrange(ITERATIONS_MAX)])
        start = rng.choice([0, 0, 0, 1, 100, rng.randrange(1 << 16), M32, 1 << 31, (1 << 31) - 5, M32 - 40,
                            rng.randrange(1 << 32)])
        bound = (start + n * self.step) & M32
        if rng.random() < 0.2:
            bound = (bound + rng.choice([1, -1, 2, 7])) & M32
        if rng.random() < 0.05:
            bound = rng.choice([0, M32, 1 << 31, (1 << 31) - 1, rng.randrange(1 << 32)])
        return start, bound, rng.choice([ITERATIONS_MAX, ITERATIONS_MAX, rng.randrange(1, 5000)])

    def needs_fuel(self):
        if self.shape.needs_fuel or self.rng.random() < 0.15:
            return True
        # a constant takes the place of every call's argument
        return any(count_of(self.start if self.constant_start else s, self.bound if self.constant_bound else b,
                            self.step, self.again) is None for s, b, _ in self.calls)

    def limit(self):
        return f"(i32.const {self.bound})" if self.constant_bound else "(local.get $bound)"

    def stepped(self):
        if self.rng.random() < 0.2:
            return f"(i32.sub (local.get $i) (i32.const {-self.step}))"
        if self.rng.random() < 0.1:
            return f"(i32.add (i32.const {self.step}) (local.get $i))"
        return f"(i32.add (local.get $i) (i32.const {self.step}))"

    def going_on(self, value):
        """value `again` bound, in one of its spellings."""
        swapped = {"ne": "ne", "lt_u": "gt_u", "gt_u": "lt_u", "lt_s": "gt_s", "gt_s": "lt_s"}[self.again]
        inverse = {"ne": "eq", "lt_u": "ge_u", "gt_u": "le_u", "lt_s": "ge_s", "gt_s": "le_s"}[self.again]
        return self.rng.choice([
            f"(i32.{self.again} {value} {self.limit()})", f"(i32.{self.again} {value} {self.limit()})",
            f"(i32.{swapped} {self.limit()} {value})" if "tee" not in value or self.again == "ne" else
            f"(i32.{self.again} {value} {self.limit()})",
            f"(i32.eqz (i32.{inverse} {value} {self.limit()}))",
            f"(i32.eqz (i32.eqz (i32.{self.again} {value} {self.limit()})))",
        ])

    def results(self):
        if self.body.silent:
            return "(i32.const 0) " * 5 + "(i64.const 0) (f32.const 0) (f64.const 0)"
        return ("(local.get $i) (local.get $bound) (local.get $fuel) (local.get $p)\n    "
                "(local.get $i32) (local.get $i64) (local.get $f32) (local.get $f64)")

    def text(self):
        lines = self.shape.make(self, self.body.statements())
        if self.needs_fuel():
            first = next(k for k, line in enumerate(lines) if line.startswith("(loop $again"))
            lines.insert(first + 1,
                         "(br_if $out (i32.eqz (local.tee $fuel (i32.sub (local.get $fuel) (i32.const 1)))))")
        loop = "\n      ".join(lines)
        start = f"(local.set $i (i32.const {self.start}))" if self.constant_start else ""
        code = f"""
  (func $f{self.number} (param $i i32) (param $bound i32) (param $fuel i32) (param $p i32) (param $base i32)
    (result i32 i32 i32 i32 i32 i64 f32 f64)
    (local $i32 i32) (local $i64 i64) (local $f32 f32) (local $f64 f64) (local $j i32) (local $outer i32)
    {start}
    (block $out
      {loop})
    {self.results()})"""
        for k, (first, bound, fuel) in enumerate(self.calls):
            room = 1 << 20
            pointer = room if self.body.stride < 0 else self.rng.choice([0, 16, 100, 4096])
            if self.rng.random() < 0.3:  # where addresses wrap, or leave memory
                pointer = self.rng.choice([0, 8, 64, M32 - 7, M32 - 63, M32 - 4095, PAGES * 65536 - 16])
            code += f"""
  (func (export "f{self.number}.{k}") (result i32 i32 i32 i32 i32 i64 f32 f64)
    (call $f{self.number} (i32.const {first}) (i32.const {bound}) (i32.const {fuel}) (i32.const {pointer})
      (i32.const {self.rng.choice([0, 4, 64, 1024])})))"""
        return code


class Shape:
    def __init__(self, make, needs_fuel=False):  # fuel: it may not end by its counter
        self.make, self.needs_fuel = make, needs_fuel


def do_while(f, body):
    return ["(loop $again", *body, f"(local.set $i {f.stepped()})", f"(br_if $again {f.going_on('(local.get $i)')}))"]


def tee(f, body):
    return ["(loop $again", *body, f"(br_if $again {f.going_on('(local.tee $i ' + f.stepped() + ')')}))"]


def step_first(f, body):
    return ["(loop $again", f"(local.set $i {f.stepped()})", *body, f"(br_if $again {f.going_on('(local.get $i)')}))"]


def step_between(f, body):
    k = f.rng.randrange(len(body) + 1)
    return ["(loop $again", *body[:k], f"(local.set $i {f.stepped()})", *body[k:],
            f"(br_if $again {f.going_on('(local.get $i)')}))"]


def exit_then_back(f, body):
    return ["(loop $again", *body, f"(local.set $i {f.stepped()})",
            f"(br_if $out (i32.eqz {f.going_on('(local.get $i)')}))", "(br $again))"]


def test_first(f, body):
    return ["(loop $again", f"(br_if $out (i32.eqz {f.going_on('(local.get $i)')}))", *body,
            f"(local.set $i {f.stepped()})", "(br $again))"]


def old_value(f, body):
    """The test sees the counter before its step."""
    return ["(loop $again", "(local.set $j (local.get $i))", *body, f"(local.set $i {f.stepped()})",
            f"(br_if $again {f.going_on('(local.get $j)')}))"]


def through_other_local(f, body):
    return ["(loop $again", f"(local.set $j {f.stepped()})", *body, "(local.set $i (local.get $j))",
            f"(br_if $again {f.going_on('(local.get $j)')}))"]


def countdown(f, body):
    """The bound is the trip count, and its value the condition."""
    return ["(loop $again", *body, f"(local.set $i {f.stepped()})",
            "(br_if $again (local.tee $fuel (i32.add (local.get $fuel) (i32.const -1)))))"]


def two_steps(f, body):
    return ["(loop $again", f"(local.set $i {f.stepped()})", *body, f"(local.set $i {f.stepped()})",
            f"(br_if $again {f.going_on('(local.get $i)')}))"]


def step_sometimes(f, body):
    return ["(loop $again", *body, f"(if {f.body.condition()} (then (local.set $i {f.stepped()})))",
            f"(br_if $again {f.going_on('(local.get $i)')}))"]


def step_skipped(f, body):
    return ["(loop $again", f"(block $skip (br_if $skip {f.body.condition()})", *body,
            f"(local.set $i {f.stepped()}))", f"(br_if $again {f.going_on('(local.get $i)')}))"]


def moving_bound(f, body):
    return ["(loop $again", *body, f"(local.set $bound (i32.sub (local.get $bound) (i32.const {f.rng.choice([1, 3])})))",
            f"(local.set $i {f.stepped()})", f"(br_if $again {f.going_on('(local.get $i)')}))"]


def nested(f, body):
    """From the start again, some times."""
    return ["(local.set $outer (i32.const 3))", "(local.set $j (local.get $i))", "(loop $outside",
            "(local.set $i (local.get $j))", *do_while(f, body),
            "(br_if $outside (local.tee $outer (i32.sub (local.get $outer) (i32.const 1)))))"]


def nested_short(f, body):
    """Around a loop with constant bounds, which has no poll of its own."""
    n = f.rng.choice([1, 2, 7, 50])
    inner = ["(local.set $j (i32.const 0))", "(loop $inside", f.body.reduce(), f.body.store(),
             f"(br_if $inside (i32.ne (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const {n}))))"]
    return ["(loop $again", *body, *inner, f"(local.set $i {f.stepped()})",
            f"(br_if $again {f.going_on('(local.get $i)')}))"]


def value_on_stack(f, body):
    """The loop takes and leaves a value."""
    return ["(local.get $i32)", "(loop $again (param i32) (result i32)", "(i32.const 7) (i32.mul)", *body,
            f"(local.set $i {f.stepped()})", f"(br_if $again {f.going_on('(local.get $i)')}))", "(local.set $i32)"]


SHAPES = [Shape(do_while), Shape(do_while), Shape(do_while), Shape(tee), Shape(tee), Shape(tee), Shape(step_first),
          Shape(step_between), Shape(exit_then_back), Shape(test_first), Shape(old_value, True),
          Shape(through_other_local), Shape(countdown), Shape(two_steps, True), Shape(step_sometimes, True),
          Shape(step_skipped, True), Shape(moving_bound, True), Shape(nested), Shape(nested_short, True),
          Shape(value_on_stack)]


def lookers(rng):
    """Functions that look at memory, by two numbers; now and then one does more."""
    place = f"(i32.and (local.get 1) (i32.const {MASK}))"
    read = f"(i32.load {place})"
    under = f"(i32.wrap_i64 (call_indirect (type $under) (local.get 0) {place} (i32.or (i32.const 4) (i32.and {read} "\
            "(i32.const 1)))))"
    some = [
        f"(i32.add (local.get 0) {read})",
        f"(i32.div_u (local.get 0) (i32.and {read} (i32.const 63)))",
        "(i32.load8_u (i32.and (local.get 1) (i32.const 0x3fffff)))",  # many of these are not there
        under,
        f"(i32.add {under} {under})",
        "(loop $l (local.set 0 (i32.shr_u (local.get 0) (i32.const 1))) "
        f"(local.set 1 (i32.mul (local.get 1) (i32.const 3))) (br_if $l (local.get 0))) {read}",
    ]
    more = [
        f"(i32.store {place} (local.get 0)) {read}",
        "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (local.get 0)",
        "(global.set $looks (i32.add (global.get $looks) (i32.const 1))) (global.get $looks)",
        "(memory.fill (i32.const 128) (local.get 1) (i32.const 4)) (local.get 0)",
        "(call $two (local.get 0)) (i32.sub)",
    ]
    bodies = [rng.choice(some) for _ in range(4)]
    if rng.random() < 0.3:
        bodies[rng.randrange(4)] = rng.choice(more)
    below = ["(i64.load (local.get 1))", "(i64.extend_i32_s (i32.mul (local.get 0) (i32.load16_s (local.get 1))))"]
    if rng.random() < 0.1:
        below[1] = "(i32.store8 (local.get 1) (local.get 0)) (i64.const 5)"
    types = {"i32": bodies, "i64": below}
    return "\n  ".join(f"(func (param i32 i32) (result {t}) {body})" for t in types for body in types[t])


def module_text(rng):
    loops = [Loop(rng, k).text() for k in range(FUNCS)]
    return f"""(module
  (type $look (func (param i32 i32) (result i32)))
  (type $under (func (param i32 i32) (result i64)))
  (memory (export "memory") {PAGES} {PAGES})
  (global $looks (mut i32) (i32.const 0))
  (table 7 funcref)
  (elem (i32.const 0) 0 1 2 3 4 5)
  {lookers(rng)}
  (func $two (param i32) (result i32 i32) (i32.mul (local.get 0) (i32.const 3)) (local.get 0))
  (func $fill (local $at i32) (local $x i64)
    (local.set $x (i64.const {rng.randrange(1 << 62)}))
    (loop $again
      (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
      (i64.store (local.get $at) (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 29))))
      (br_if $again
        (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const {PAGES * 65536})))))
  (start $fill){"".join(loops)})
"""


def make(tools, seed, index, folder):
    rng = random.Random(f"loops/{seed}/{index}")
    path = folder / f"{seed}-{index}.wasm"
    text = path.with_suffix(".wasm.wat")
    text.write_text(module_text(rng))
    done = subprocess.run([tools, "parse", text, "-o", path], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{text}: {done.stderr}")
    return str(path)


def main():
    args = parse(__doc__, opts="0,1,3", levels="x86-64-v3,x86-64-v4")
    try:
        engines.install()
        differ = Differ(args, make)
    except engines.Unavailable as e:
        print(f"not run: {e}")
        return engines.SKIPPED
    return differ.main()


if __name__ == "__main__":
    sys.exit(main())
