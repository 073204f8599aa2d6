"""A small writer of WebAssembly modules, valid or not: nothing is checked."""

I32, I64, F32, F64, V128, FUNCREF, EXTERNREF = 0x7F, 0x7E, 0x7D, 0x7C, 0x7B, 0x70, 0x6F
EMPTY = 0x40  # block type without values


def u(value):
    """Unsigned LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def s(value):
    """Signed LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        done = value == (-1 if byte & 0x40 else 0)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def sized(data):
    return u(len(data)) + data


def name(text):
    return sized(text if isinstance(text, bytes) else text.encode())


def vec(items):
    return u(len(items)) + b"".join(items)


def section(number, data):
    return bytes([number]) + sized(data)


def limits(low, high=None, shared=False):
    flags = (1 if high is not None else 0) | (2 if shared else 0)
    return bytes([flags]) + u(low) + (u(high) if high is not None else b"")


# ---- instructions ----

UNREACHABLE, NOP, RETURN, END, ELSE, DROP = b"\x00", b"\x01", b"\x0f", b"\x0b", b"\x05", b"\x1a"


def i32(value):
    """i32.const; values from 2^31 on are taken as the same bits."""
    return b"\x41" + s(value - (1 << 32) if value >= 1 << 31 else value)


def i64(value):
    return b"\x42" + s(value - (1 << 64) if value >= 1 << 63 else value)


def get(index):
    return b"\x20" + u(index)


def put(index):
    return b"\x21" + u(index)


def tee(index):
    return b"\x22" + u(index)


def global_get(index):
    return b"\x23" + u(index)


def global_set(index):
    return b"\x24" + u(index)


def call(index):
    return b"\x10" + u(index)


def call_indirect(type_index, table=0):
    return b"\x11" + u(type_index) + u(table)


def return_call(index):
    return b"\x12" + u(index)


def block(*body, type=EMPTY):
    return b"\x02" + bytes([type]) + b"".join(body) + END


def loop(*body, type=EMPTY):
    return b"\x03" + bytes([type]) + b"".join(body) + END


def if_(*body, type=EMPTY):
    return b"\x04" + bytes([type]) + b"".join(body) + END


def br(depth):
    return b"\x0c" + u(depth)


def br_if(depth):
    return b"\x0d" + u(depth)


def br_table(targets, default):
    return b"\x0e" + vec([u(t) for t in targets]) + u(default)


def load(offset=0, align=2):
    return b"\x28" + u(align) + u(offset)


def store(offset=0, align=2):
    return b"\x36" + u(align) + u(offset)


ADD, SUB, EQZ = b"\x6a", b"\x6b", b"\x45"
MEMORY_SIZE, MEMORY_GROW = b"\x3f\x00", b"\x40\x00"
MEMORY_FILL = b"\xfc\x0b\x00"
MEMORY_COPY = b"\xfc\x0a\x00\x00"


def memory_init(segment):
    return b"\xfc\x08" + u(segment) + b"\x00"


def table_grow(table):
    return b"\xfc\x0f" + u(table)


def table_fill(table):
    return b"\xfc\x11" + u(table)


def table_get(table):
    return b"\x25" + u(table)


REF_NULL_FUNC, REF_NULL_EXTERN = b"\xd0\x70", b"\xd0\x6f"


def throw(tag):
    return b"\x08" + u(tag)


def try_catch_all(body, handler):
    """The older encoding, without values."""
    return b"\x06\x40" + body + b"\x19" + handler + END


class Module:
    def __init__(self):
        self.types, self.imports, self.funcs, self.codes = [], [], [], []
        self.tables, self.mems, self.tags, self.globals, self.exports = [], [], [], [], []
        self.elems, self.datas, self.customs = [], [], []
        self.start = None
        self.names = {}

    def type(self, params=(), results=()):
        text = b"\x60" + sized(bytes(params)) + sized(bytes(results))
        if text not in self.types:
            self.types.append(text)
        return self.types.index(text)

    def import_func(self, module, field, params=(), results=()):
        """All imports come before the first function."""
        index = self.type(params, results)
        self.imports.append(name(module) + name(field) + b"\x00" + u(index))
        return len(self.imports) - 1

    def wasi(self, field, params=(), results=(I32,)):
        return self.import_func("wasi_snapshot_preview1", field, params, results)

    def func(self, body, params=(), results=(), locals=(), export=None, called=None):
        """locals: pairs of count and type. Returns the function's index."""
        index = len(self.imports) + len(self.funcs)
        self.funcs.append(self.type(params, results))
        declared = vec([u(count) + bytes([t]) for count, t in locals])
        self.codes.append(sized(declared + body + END))
        if export is not None:
            self.export(export, 0, index)
        if called is not None:
            self.names[index] = called
        return index

    def export(self, field, kind, index):
        self.exports.append(name(field) + bytes([kind]) + u(index))

    def memory(self, low=1, high=None, shared=False):
        self.mems.append(limits(low, high, shared))

    def table(self, low, high=None, type=FUNCREF):
        self.tables.append(bytes([type]) + limits(low, high))

    def global_(self, type, init, mutable=True):
        self.globals.append(bytes([type, 1 if mutable else 0]) + init + END)

    def tag(self, params=()):
        self.tags.append(b"\x00" + u(self.type(params)))

    def elem(self, offset, funcs):
        """Active, for table 0."""
        self.elems.append(b"\x00" + offset + END + vec([u(f) for f in funcs]))

    def data(self, offset, content):
        self.datas.append(b"\x00" + offset + END + sized(content))

    def passive(self, content):
        self.datas.append(b"\x01" + sized(content))

    def name_section(self):
        names = [u(i) + name(text) for i, text in sorted(self.names.items())]
        return section(0, name("name") + section(1, vec(names)))

    def bytes(self):
        out = b"\0asm\1\0\0\0"
        lists = [(1, self.types), (2, self.imports), (3, [u(f) for f in self.funcs]),
                 (4, self.tables), (5, self.mems), (13, self.tags), (6, self.globals), (7, self.exports)]
        for number, items in lists:
            if items:
                out += section(number, vec(items))
        if self.start is not None:
            out += section(8, u(self.start))
        if self.elems:
            out += section(9, vec(self.elems))
        if self.datas:
            out += section(12, u(len(self.datas)))
        if self.codes:
            out += section(10, vec(self.codes))
        if self.datas:
            out += section(11, vec(self.datas))
        if self.names:
            out += self.name_section()
        for custom in self.customs:
            out += custom
        return out
