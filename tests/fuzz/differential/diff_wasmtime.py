"""Wasmtime as an engine of the differential tests: reads names of modules, follows their plans (plan.h), prints what
diff_run prints. With the argument "canonical" results that are NaNs have canonical bits. Run by the Python that has the
package wasmtime."""

import ctypes
import hashlib
import struct
import sys

import wasmtime

CLASSES = {
    "STACK_OVERFLOW": "stack", "MEMORY_OUT_OF_BOUNDS": "memory", "TABLE_OUT_OF_BOUNDS": "table",
    "INDIRECT_CALL_TO_NULL": "indirect", "BAD_SIGNATURE": "indirect", "INTEGER_OVERFLOW": "overflow",
    "INTEGER_DIVISION_BY_ZERO": "divide", "BAD_CONVERSION_TO_INTEGER": "convert", "UNREACHABLE": "unreachable",
    "NULL_REFERENCE": "null",
}


def engine(canonical):
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.wasm_tail_call = True
    config.wasm_exceptions = True
    config.wasm_gc = True  # exceptions are kept by its collector
    config.wasm_reference_types = True
    config.wasm_function_references = True
    config.parallel_compilation = False
    config.cranelift_nan_canonicalization = canonical
    return wasmtime.Engine(config)


def argument(letter, bits):
    if letter == "i":
        return bits - (1 << 32) if bits >> 31 else bits
    if letter == "I":
        return bits - (1 << 64) if bits >> 63 else bits
    if letter == "f":
        return struct.unpack("<f", struct.pack("<I", bits))[0]
    if letter == "F":
        return struct.unpack("<d", struct.pack("<Q", bits))[0]
    return None


def plain(value):
    """The package wraps a value that is false in Python."""
    return value.value if isinstance(value, wasmtime.Val) else value


def text(letter, value):
    value = plain(value)
    if letter in "rx":
        return "null" if value is None else "ref"
    if letter == "i":
        return f"{value & 0xffffffff:x}"
    if letter == "I":
        return f"{value & 0xffffffffffffffff:x}"
    if value != value:
        return "nan"
    if letter == "f":
        return f"{struct.unpack('<I', struct.pack('<f', value))[0]:x}"
    return f"{struct.unpack('<Q', struct.pack('<d', value))[0]:x}"


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


class Run:
    def __init__(self, eng, path):
        with open(path + ".plan", encoding="ascii") as f:
            steps = [line.split() for line in f]
        self.engine = eng
        self.calls = [s[1:] for s in steps if s[0] == "call"]
        self.looks = [s for s in steps if s[0] != "call"]
        self.module = wasmtime.Module.from_file(eng, path)
        self.store = None

    def start(self):
        self.store = wasmtime.Store(self.engine)
        self.exports = wasmtime.Instance(self.store, self.module, []).exports(self.store).by_index

    def outcome(self, word, what, *args):
        """Whether it ended well, and its result; prints how it ended when not."""
        try:
            return True, what(*args)
        except wasmtime.Trap as trap:
            code = trap.trap_code.name if trap.trap_code else "?"
            if code == "UNCAUGHT_EXCEPTION" or "exception" in trap.message:
                print(word, "exception")
            else:
                print(word, "trap", CLASSES.get(code, code))
            return False, None
        except wasmtime.WasmtimeError as e:
            print(word, "exception" if "thrown" in str(e) or "exception" in str(e) else f"error {e}".replace("\n", " "))
            return False, None

    def state(self):
        out = ["state"]
        for kind, index, *letter in self.looks:
            item = self.exports[int(index)]
            if kind == "global":
                value = text(letter[0], item.value(self.store))
            elif kind == "memory":
                size = item.data_len(self.store)
                at = ctypes.addressof(item.data_ptr(self.store).contents) if size else 0
                data = (ctypes.c_ubyte * size).from_address(at) if size else b""
                value = f"{size}:{digest(data)}"
            else:
                count = item.size(self.store)
                value = f"{count}:{digest(bytes(plain(item.get(self.store, i)) is not None for i in range(count)))}"
            out.append(f"{index}={value}")
        print(" ".join(out))

    def run(self):
        if not self.outcome("start", self.start)[0]:
            return
        print("start ok")
        self.state()
        for number, (export, params, results, *bits) in enumerate(self.calls):
            if self.store is None:
                self.start()
            args = [argument(t, int(b, 16)) for t, b in zip(params, bits)]
            word = f"call {number}"
            well, got = self.outcome(word, self.exports[int(export)], self.store, *args)
            if not well:
                self.store = None
                continue
            values = [] if results == "-" else [got] if len(results) == 1 else got
            print(word, "ok", *[text(t, v) for t, v in zip(results, values)])
            self.state()


def main():
    eng = engine("canonical" in sys.argv[1:])
    for line in sys.stdin:
        path = line.rstrip("\n")
        print("module", path, flush=True)
        try:
            Run(eng, path).run()
        except (wasmtime.WasmtimeError, OSError) as e:
            print(f"start error {e}".replace("\n", " "))
        print("end", flush=True)


main()
