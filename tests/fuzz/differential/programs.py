"""Random programs of calls, blocks, loops and exceptions: what a capture has to put together again.

Each function has locals of all number types and statements that mix them; expressions keep operands on the stack
below calls. A global counts down on each call and each round of a loop, and when it is used up everything returns,
so programs end. In half of the modules exceptions are of the older encoding, in others of the newer one."""

import random
import subprocess
import sys

TYPES = ("i32", "i64", "f32", "f64", "v128")
FUNCS, EXPORTS = 6, 4


class Function:
    def __init__(self, rng, number, exceptions):
        self.rng, self.number, self.exceptions = rng, number, exceptions
        self.locals = ["i32", "i64"] + [rng.choice(TYPES) for _ in range(rng.choice([4, 8, 70]))]
        self.labels = []  # (name, is a loop)
        self.catches = []  # labels of catch clauses around
        self.names = 0

    def name(self, kind):
        self.names += 1
        return f"${kind}{self.names}"

    def local(self, t):
        return self.rng.choice([i for i, has in enumerate(self.locals) if has == t] or [None])

    def value(self, t, depth=0):
        rng, i = self.rng, self.local(t)
        if depth > 3 or rng.random() < 0.25:
            if i is not None and rng.random() < 0.7:
                return f"(local.get {i})"
            if t == "v128":
                return f"(v128.const i32x4 {rng.randrange(99)} 1 -2 {rng.randrange(1 << 31)})"
            return f"({t}.const {rng.choice([0, 1, 3, 77, -5])})"
        d = depth + 1
        return rng.choice({
            "i32": [lambda: self.pair(t, ["add", "sub", "mul", "xor"], d),
                    lambda: f"(call ${rng.choice(['a', 'b'])} {self.value(t, d)} {self.value('i64', d)})",
                    lambda: f"(call_indirect (type $ii) {self.value(t, d)} {self.masked(3, d)})",
                    lambda: f"(i32.wrap_i64 {self.value('i64', d)})",
                    lambda: f"(i32x4.extract_lane 1 {self.value('v128', d)})",
                    lambda: f"(i32.load {self.masked(1020, d)})",
                    lambda: self.block(t, d)],
            "i64": [lambda: self.pair(t, ["add", "sub", "mul", "xor"], d),
                    lambda: f"(i64.extend_i32_s {self.value('i32', d)})",
                    lambda: self.block(t, d)],
            "f32": [lambda: self.pair(t, ["min", "max"], d),
                    lambda: f"(f32.convert_i32_s {self.value('i32', d)})",
                    lambda: self.block(t, d)],
            "f64": [lambda: self.pair(t, ["min", "max"], d),
                    lambda: f"(f64.convert_i32_s {self.value('i32', d)})",
                    lambda: self.block(t, d)],
            "v128": [lambda: f"(i32x4.add {self.value(t, d)} {self.value(t, d)})",
                     lambda: f"(i32x4.splat {self.value('i32', d)})"]}[t])()

    def pair(self, t, ops, depth):
        return f"({t}.{self.rng.choice(ops)} {self.value(t, depth)} {self.value(t, depth)})"

    def masked(self, mask, depth):
        return f"(i32.and {self.value('i32', depth)} (i32.const {mask}))"

    def block(self, t, depth):
        """An expression with statements inside."""
        label = self.name("v")
        self.labels.append((label, t))
        out = [self.statement(depth + 1) for _ in range(self.rng.randrange(3))]
        if self.rng.random() < 0.3:
            out.append(f"(br_if {label} {self.value(t, 4)} {self.value('i32', depth + 1)}) (drop)")
        out.append(self.value(t, depth + 1))
        self.labels.pop()
        return f"(block {label} (result {t}) {' '.join(out)})"

    def body(self, depth, n=3):
        return " ".join(self.statement(depth + 1) for _ in range(self.rng.randrange(1, n + 1)))

    def statement(self, depth):
        rng = self.rng
        kinds = [self.assign, self.assign, self.assign, self.store, self.note]
        if depth < 5:
            kinds += [self.if_, self.loop, self.plain_block, self.branch, self.leave]
            if self.exceptions:
                kinds += [self.try_, self.try_, self.throw]
        return rng.choice(kinds)(depth)

    def assign(self, depth):
        i = self.rng.randrange(len(self.locals))
        return f"(local.set {i} {self.value(self.locals[i], depth)})"

    def store(self, depth):
        return f"(i32.store {self.masked(1020, 4)} {self.value('i32', depth)})"

    def note(self, depth):
        return f"(call $note {self.value('i32', max(depth, 3))})"

    def if_(self, depth):
        other = f"(else {self.body(depth)})" if self.rng.random() < 0.5 else ""
        return f"(if {self.value('i32', 3)} (then {self.body(depth)}) {other})"

    def plain_block(self, depth):
        label = self.name("b")
        self.labels.append((label, None))
        out = self.body(depth)
        self.labels.pop()
        return f"(block {label} {out})"

    def loop(self, depth):
        label = self.name("l")
        self.labels.append((label, "loop"))
        out = self.body(depth)
        self.labels.pop()
        again = f"(br_if {label} (i32.and {self.value('i32', 3)} (i32.const {self.rng.choice([1, 3, -1])})))"
        return f"(loop {label} (if (call $used_up) (then {self.out()})) {out} {again})"

    def out(self):
        return "(return (i32.const 0))"

    def branch(self, _):
        rng = self.rng
        targets = [label for label, kind in self.labels if kind is None or kind == "loop"]
        if not targets:
            return "(nop)"
        pick = rng.random()
        if pick < 0.5:
            return f"(br_if {rng.choice(targets)} {self.value('i32', 3)})"
        if pick < 0.8:
            several = " ".join(rng.choice(targets) for _ in range(rng.randrange(1, 4)))
            return f"(if {self.value('i32', 3)} (then (br_table {several} {self.masked(3, 3)})))"
        return f"(if {self.value('i32', 3)} (then (br {rng.choice(targets)})))"

    def leave(self, depth):
        tail = self.rng.choice(["(return (local.get 0))", "(return_call $a (local.get 0) (local.get 1))",
                                "(return_call_indirect (type $ii) (local.get 0) (i32.and (local.get 0) (i32.const 3)))",
                                f"(return (call $b (local.get 0) {self.value('i64', 3)}))"])
        return f"(if (i32.eqz {self.masked(7, max(depth, 3))}) (then {tail}))"

    def throw(self, _):
        return f"(if (i32.eqz {self.masked(15, 3)}) (then " + self.rng.choice([
            "(throw $none)", f"(throw $i {self.value('i32', 3)})",
            f"(throw $e {self.value('i64', 3)} {self.value('v128', 3)})"]) + "))"

    def try_(self, depth):
        return self.older_try(depth) if self.exceptions == "older" else self.newer_try(depth)

    def older_try(self, depth):
        label = self.name("t")
        self.labels.append((label, None))
        text = f"try {label} {self.body(depth)} "
        if self.rng.random() < 0.15:
            self.labels.pop()
            return text + f"delegate {self.rng.randrange(len(self.labels) + 1)}"
        self.catches.append(label)
        for clause in self.rng.sample(["catch $i (local.set 0)", "catch $e (drop) (local.set 1)", "catch $none"],
                                      self.rng.randrange(3)):
            text += f"{clause} {self.body(depth)} {self.again()} "
        if self.rng.random() < 0.6:
            text += f"catch_all {self.body(depth)} {self.again()} "
        if "catch" not in text:
            text += "catch_all "
        self.catches.pop()
        self.labels.pop()
        return text + "end"

    def again(self):
        """Inside a catch clause."""
        if self.rng.random() < 0.7:
            return ""
        return f"(if {self.value('i32', 3)} (then (rethrow {self.rng.choice(self.catches)})))"

    def newer_try(self, depth):
        label, clause = self.name("c"), self.rng.choice(["i", "e", "none", "all", "ref"])
        result, after = {"i": ("(result i32)", "(local.set 0)"), "none": ("", ""), "all": ("", ""),
                         "e": ("(result i64 v128)", "(drop) (local.set 1)"),
                         "ref": ("(result exnref)", "(local.set $x)")}[clause]
        caught = {"i": "catch $i", "e": "catch $e", "none": "catch $none", "all": "catch_all", "ref": "catch_all_ref"}
        end = {"i": "(i32.const 5)", "e": "(i64.const 6) (v128.const i64x2 0 1)",
               "ref": "(ref.null exn)"}.get(clause, "")
        if clause == "ref" and self.rng.random() < 0.5:
            after += f" (if {self.value('i32', 3)} (then (if (i32.eqz (ref.is_null (local.get $x))) " \
                     f"(then {self.body(depth, 1)} (throw_ref (local.get $x))))))"
        self.labels.append((label, "catch"))
        text = f"(block {label} {result} (try_table ({caught[clause]} {label}) {self.body(depth)}) {end}) {after}"
        self.labels.pop()
        return text

    def text(self):
        body = "\n    ".join(self.statement(0) for _ in range(self.rng.randrange(3, 9)))
        names = {0: "$a", 1: "$b"}.get(self.number, f"$f{self.number}")
        declared = " ".join(self.locals[2:])
        more = "(local $x exnref)" if self.exceptions == "newer" else ""
        mixed = "(i32.wrap_i64 (local.get 1))"
        for i, t in enumerate(self.locals):
            get = f"(local.get {i})"
            if t == "v128":
                mixed = f"(i32.xor {mixed} (i32x4.extract_lane 3 {get}))"
            elif t != "i64":
                mixed = f"(i32.add {mixed} {get if t == 'i32' else f'(i32.trunc_sat_{t}_s {get})'})"
        return f"""  (func {names} (param i32 i64) (result i32) (local {declared}) {more}
    (if (call $used_up) (then (return (i32.const 1))))
    {body}
    {mixed})"""


def module_text(rng):
    exceptions = rng.choice(["older", "older", "newer", "newer", ""])
    funcs = [Function(rng, k, exceptions) for k in range(FUNCS)]
    takers = " ".join(f"$t{k}" for k in range(4))
    exports = ""
    for k in range(4):
        exports += f"""
  (func $t{k} (type $ii) (call {'$a' if k == 0 else '$b' if k == 1 else f'$f{k}'} (local.get 0) (i64.const {k})))"""
    for k in range(EXPORTS):
        fuel = rng.choice([20, 200, 2000])
        inner = f"(call $f{rng.randrange(2, FUNCS)} (i32.const {rng.randrange(99)}) (i64.const {rng.randrange(999)}))"
        exports += f"""
  (func (export "e{k}") (result i32) (global.set $fuel (i32.const {fuel})) {inner})"""
    tags = "(tag $none) (tag $i (param i32)) (tag $e (param i64 v128))" if exceptions else ""
    code = "\n".join(f.text() for f in funcs)
    return f"""(module
  (type $ii (func (param i32) (result i32)))
  (memory (export "memory") 1 1)
  (global $fuel (mut i32) (i32.const 100))
  (table {'4 4' if rng.random() < 0.5 else '4 9'} funcref)
  (elem (i32.const 0) {takers})
  {tags}
  (func $used_up (result i32)
    (global.set $fuel (i32.sub (global.get $fuel) (i32.const 1))) (i32.lt_s (global.get $fuel) (i32.const 0)))
  (func $note (param i32)
    (i32.store (i32.const 2000) (i32.add (i32.mul (i32.load (i32.const 2000)) (i32.const 31)) (local.get 0))))
{code}{exports})
"""


def make(tools, seed, index, folder):
    rng = random.Random(f"programs/{seed}/{index}")
    path = folder / f"{seed}-{index}.wasm"
    text = path.with_suffix(".wasm.wat")
    text.write_text(module_text(rng))
    done = subprocess.run([tools, "parse", text, "-o", path], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{text}: {done.stderr}")
    return str(path)
