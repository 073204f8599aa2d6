"""Hostile guests: modules.py NAME... writes NAME.wasm into the current folder; each function here is one module."""
import sys

from wasm import *

SPIN = loop(br(0))
MODULES = {}


def module(function):
    MODULES[function.__name__] = function
    return function


# ---- calls without end ----


@module
def recursion():
    m = Module()
    m.func(call(0), export="direct", called="direct")
    m.func(call(2), export="mutual", called="ping")
    m.func(call(1), called="pong")
    indirect = m.func(i32(0) + call_indirect(m.type()), export="indirect", called="indirect")
    # 50,000 locals of 16 bytes: a frame that could step over a small guard
    wide = m.func(b"".join(get(i * 7) + put(i * 7 + 1) for i in range(0, 7000, 100)) + call(4) + get(49999) + DROP,
                  locals=[(50000, V128)], export="wide", called="wide")
    many = m.type([I64] * 1000, [I64] * 1000)
    m.func(b"".join(get(i) for i in range(1000)) + call(5), [I64] * 1000, [I64] * 1000)
    m.func(b"".join(i64(i) for i in range(1000)) + call(5) + DROP * 1000, export="parameters")
    m.table(1)
    m.elem(i32(0), [indirect])
    # the same, but the stack is left by an exception each time it is exhausted: a trap is not caught
    m.tag()
    m.func(try_catch_all(call(7), NOP), export="caught")
    assert wide == 4 and many >= 0
    return m


@module
def recursion_start():
    m = Module()
    m.start = m.func(call(0), called="begin")
    m.func(b"", export="_start")
    return m


# ---- loops ----


@module
def loops():
    m = Module()
    yield_ = m.wasi("sched_yield")
    clock = m.wasi("clock_time_get", [I32, I64, I32])
    m.memory(1, 65536)
    m.tag([I32])
    m.table(1)
    m.func(SPIN, export="empty")
    m.func(loop(get(0) + i64(1) + b"\x7c" + tee(0) + i64(1 << 63) + b"\x52" + br_if(0)), locals=[(1, I64)],
           export="counted")
    m.func(loop(get(0) + get(0) + load() + i32(1) + ADD + store() + get(0) + i32(4) + ADD + i32(0xFFFC) +
                b"\x71" + put(0) + br(0)), locals=[(1, I32)], export="memory")
    # a loop that vectorises, in a loop that does not end
    inner = loop(get(0) + get(0) + load() + i32(3) + ADD + store() + get(0) + i32(4) + ADD + tee(0) + i32(0xFFFC) +
                 b"\x49" + br_if(0))
    m.func(loop(i32(0) + put(0) + inner + br(0)), locals=[(1, I32)], export="vector")
    nothing = m.func(NOP)
    m.func(loop(call(nothing) + br(0)), export="calls")
    m.func(loop(call(yield_) + DROP + br(0)), export="host_calls")
    m.func(loop(i32(0) + i64(0) + i32(0) + call(clock) + DROP + br(0)), export="clock")
    tail = m.func(return_call(len(m.imports) + len(m.funcs)), export="tail")
    m.func(return_call(tail + 2), export="tails")
    m.func(return_call(tail + 1))
    m.func(loop(get(0) + i32(1) + ADD + tee(0) + i32(3) + b"\x71" + br_table([0, 0, 0], 0)), locals=[(1, I32)],
           export="table")
    m.func(loop(try_catch_all(i32(1) + throw(0), NOP) + br(0)), export="throws")
    m.func(block(loop(loop(loop(br(2))))) + SPIN, export="nested")
    m.func(loop(i32(0) + i32(7) + i32(65536) + MEMORY_FILL + br(0)), export="fills")
    m.func(loop(i32(0) + i32(1) + i32(65535) + MEMORY_COPY + br(0)), export="copies")
    m.func(i32(65534) + MEMORY_GROW + DROP + loop(i32(0) + i32(0) + i32(0xFFFF0000) + MEMORY_FILL + br(0)),
           export="fill_all")
    m.func(loop(i32(1) + if_(br(1) + ELSE + br(1))), export="branches")
    # back edges of computations only: nothing is read or written
    m.func(loop(get(0) + f64_sqrt_step() + put(0) + br(0)), locals=[(1, F64)], export="floats")
    # no loop and no cycle of calls, but 4 to the power of 24 calls
    callee = m.func(i32(0) + i32(0) + load() + i32(1) + ADD + store())
    for level in range(1, 25):
        callee = m.func(call(callee) * 4, export="tree" if level == 24 else None)
    return m


def f64_sqrt_step():
    return b"\x9f\x44" + bytes(6) + b"\xf0\x3f\xa0"  # sqrt(x) + 1.0


@module
def loop_start():
    m = Module()
    m.start = m.func(SPIN)
    m.func(b"", export="_start")
    return m


@module
def waits():
    m = Module()
    poll = m.wasi("poll_oneoff", [I32] * 4)
    read = m.wasi("fd_read", [I32] * 4)
    m.memory(1, 1, shared=True)
    m.func(i32(64) + i32(0) + i64(-1) + b"\xfe\x01\x02\x00" + DROP, export="atomic")
    m.func(loop(i32(64) + i32(0) + i64(1000) + b"\xfe\x01\x02\x00" + DROP + br(0)), export="short_waits")
    # one subscription: the monotonic clock, 2^62 ns from now
    m.data(i32(0), bytes(16) + b"\1\0\0\0" + bytes(4) + (1 << 62).to_bytes(8, "little") + bytes(16))
    m.func(i32(0) + i32(64) + i32(1) + i32(128) + call(poll) + DROP, export="clock")
    m.data(i32(256), (512).to_bytes(4, "little") + (100).to_bytes(4, "little"))
    m.func(i32(0) + i32(256) + i32(1) + i32(128) + call(read) + DROP, export="input")
    return m


# ---- memory ----


@module
def memory():
    m = Module()
    m.memory(1)
    m.func(loop(i32(1) + MEMORY_GROW + i32(-1) + b"\x47" + br_if(0)) + MEMORY_SIZE, results=[I32], export="grow")
    m.func(i32(65536) + MEMORY_GROW, results=[I32], export="grow_4g")
    m.func(i32(-1) + MEMORY_GROW, results=[I32], export="grow_most")
    # grow and touch every page of the host until it fails
    m.func(loop(i32(1) + MEMORY_GROW + tee(0) + i32(-1) + b"\x47" +
                if_(get(0) + i32(16) + b"\x74" + i32(1) + store() + br(1))) + MEMORY_SIZE, results=[I32],
           locals=[(1, I32)], export="touch")
    accesses = {
        "load_end": i32(65533) + load() + DROP,
        "load_far": i32(-1) + load(0xFFFFFFFF) + DROP,
        "load_v128": i32(-1) + b"\xfd\x00\x00" + u(0xFFFFFFFF) + DROP,
        "store_end": i32(65533) + i32(1) + store(),
        "store_far": i32(-1) + i32(1) + store(0xFFFFFFFF),
        "store_v128": i32(65521) + b"\xfd\x0c" + bytes(16) + b"\xfd\x0b\x00\x00",
        "atomic_far": i32(-4) + i32(1) + b"\xfe\x1e\x02" + u(0xFFFFFFFC) + DROP,
        "atomic_unaligned": i32(2) + i32(1) + b"\xfe\x1e\x02\x00" + DROP,
        "fill": i32(0) + i32(0) + i32(-1) + MEMORY_FILL,
        "fill_far": i32(-1) + i32(0) + i32(-1) + MEMORY_FILL,
        "copy": i32(0) + i32(1) + i32(65536) + MEMORY_COPY,
        "copy_far": i32(-1) + i32(-1) + i32(-1) + MEMORY_COPY,
        "init": i32(0) + i32(1) + i32(-1) + memory_init(0),
        "init_far": i32(-1) + i32(0) + i32(4) + memory_init(0),
        "dropped": b"\xfc\x09\x00" + i32(0) + i32(0) + i32(1) + memory_init(0),
    }
    for export, body in accesses.items():
        m.func(body, export=export, called=export)
    m.passive(b"data")
    return m


@module
def dropped():
    """Loads out of bounds whose value nobody wants."""
    m = Module()
    m.memory(1)
    at = MEMORY_SIZE + i32(16) + b"\x74"  # the end of memory, which no compiler knows
    one_lane = at + b"\xfd\x0c" + bytes(16)
    loads = {
        "load": at + load(),
        "byte": at + b"\x2c\x00\x00",
        "extended": at + b"\x35\x02\x00",
        "f32": at + b"\x2a\x02\x00",
        "f64": at + b"\x2b\x03\x00",
        "v128": at + b"\xfd\x00\x00\x00",
        "widened": at + b"\xfd\x02\x00\x00",
        "splat": at + b"\xfd\x07\x00\x00",
        "zero": at + b"\xfd\x5c\x00\x00",
        "lane": one_lane + b"\xfd\x55\x00\x00\x03",
        "constant": i32(65533) + load(),
        "local": at + load() + tee(0),
        "times_0": at + load() + i32(0) + b"\x6c",
        "not_selected": i32(1) + at + load() + i32(1) + b"\x1b",
    }
    for export, body in loads.items():
        m.func(body + DROP, export=export, locals=[(1, I32)])
    count = get(0) + i32(1) + ADD + tee(0) + i32(4) + b"\x49" + br_if(0)
    m.func(loop(at + load() + DROP + count), export="in_a_loop", locals=[(1, I32)])
    m.func(at + if_(at + load() + DROP), export="in_an_arm")
    m.func(at + load() + DROP + UNREACHABLE, export="before_a_trap")
    m.func(at + load() + put(0) + i32(0) + put(0), export="overwritten", locals=[(1, I32)])
    return m


@module
def addresses():
    """Sums that wrap: what the compiler learns from one access must not make another one legal."""
    m = Module()
    m.memory(2)
    add, sub_, ne = b"\x6a", b"\x6b", b"\x47"
    p, x = get(0), get(1)
    near = p + i32(8) + add
    back = p + i32(-8) + add
    step = {"up": i32(8) + add, "down": i32(8) + sub_}
    bodies = {
        "above_first": near + load() + DROP + p + load(),         # p wraps: its own access traps
        "store_first": near + i32(7) + store() + p + load(),
        "below_second": p + load() + DROP + back + load(),        # 16 - 8 and the like are legal
        "far_offset": p + load(8) + DROP + near + load(65528),
    }
    for export, body in bodies.items():
        m.func(body, params=[I32], results=[I32], export=export)
    for export, move in step.items():                             # from p until x, reading each word
        m.func(loop(p + load() + get(2) + add + put(2) + p + move + tee(0) + x + ne + br_if(0)) + get(2),
               params=[I32, I32], results=[I32], locals=[(1, I32)], export=export)
    return m


@module
def memory_4g():
    """From the start, and written all over."""
    m = Module()
    m.memory(65536)
    m.func(i32(-4) + load(), results=[I32], export="last")
    m.func(i32(-4) + load(4), results=[I32], export="behind")
    return m


@module
def memories_16():
    m = Module()
    for _ in range(16):
        m.memory(65536)
    m.func(i32(-4) + b"\x28\x42\x0f\x00", results=[I32], export="last")
    return m


@module
def memories_17():
    m = Module()
    for _ in range(17):
        m.memory(1)
    return m


@module
def memory_above_max():
    m = Module()
    m.memory(2, 1)
    return m


@module
def memory_too_large():
    m = Module()
    m.memory(65537)
    return m


def with_data(offset, content):
    m = Module()
    m.memory(1)
    m.data(offset, content)
    m.func(b"", export="_start")
    return m


@module
def data_outside():
    return with_data(i32(-1), b"x")


@module
def data_across():
    return with_data(i32(65530), b"0123456789")


@module
def stack_pointer():
    """What cloudskin-cc makes of a stack, with its pointer overwritten."""
    m = Module()
    m.memory(2)
    m.global_(I32, i32(65536))
    push = m.func(global_get(0) + i32(16) + SUB + tee(0) + global_set(0) + get(0) + i32(42) + store(12),
                  locals=[(1, I32)], called="push")
    m.func(i32(-16) + global_set(0) + call(push), export="high", called="high")
    m.func(i32(0) + global_set(0) + call(push), export="low", called="low")
    # below zero bit by bit, through everything that lies in memory
    m.func(loop(call(push) + br(0)), export="down", called="down")
    return m


# ---- tables ----


@module
def tables():
    m = Module()
    a = m.func(i32(1), results=[I32])
    m.func(NOP)
    m.table(8)
    m.elem(i32(0), [a, a + 1])
    unary = m.type([I64], [I64])
    m.func(i32(1) + call_indirect(m.type([], [I32])) + DROP, export="wrong_result", called="wrong_result")
    m.func(i64(1) + i32(0) + call_indirect(unary) + DROP, export="wrong_type", called="wrong_type")
    m.func(i32(2) + call_indirect(m.type()), export="null", called="null")
    m.func(i32(8) + call_indirect(m.type()), export="outside", called="outside")
    m.func(i32(-1) + call_indirect(m.type()), export="far_outside", called="far_outside")
    m.func(REF_NULL_FUNC + i32(-1) + table_grow(0), results=[I32], export="grow_most")
    m.func(REF_NULL_FUNC + i32(10000000) + table_grow(0), results=[I32], export="grow_large")
    m.func(loop(REF_NULL_FUNC + i32(1000) + table_grow(0) + i32(-1) + b"\x47" + br_if(0)), export="grow")
    m.func(i32(0) + REF_NULL_FUNC + i32(-1) + table_fill(0), export="fill", called="fill")
    m.func(i32(8) + table_get(0) + DROP, export="get", called="get")
    return m


@module
def table_too_large():
    m = Module()
    m.table(10000001)
    return m


@module
def tables_100():
    """Each is allowed, together they are not."""
    m = Module()
    for _ in range(100):
        m.table(10000000)
    m.func(b"", export="_start")
    return m


@module
def tables_101():
    m = Module()
    for _ in range(101):
        m.table(1)
    return m


@module
def elements_outside():
    m = Module()
    f = m.func(b"", export="_start")
    m.table(1)
    m.elem(i32(1), [f])
    return m


# ---- exceptions ----


@module
def exceptions():
    m = Module()
    exit_ = m.wasi("proc_exit", [I32], [])
    m.memory(1)
    m.tag([I32])
    m.tag([I64] * 100)
    thrower = m.func(i32(7) + throw(0), called="thrower")
    m.table(2)
    m.elem(i32(0), [thrower, thrower + 1])
    m.func(b"".join(i64(i) for i in range(100)) + throw(1))
    m.func(call(thrower), export="uncaught")
    m.func(i32(0) + call_indirect(m.type()), export="callback")
    m.func(i32(1) + call_indirect(m.type()), export="wide")
    # the handler throws again, and again
    m.func(try_catch_all(call(thrower), try_catch_all(call(thrower), call(thrower))), export="handlers")
    # an exception on its way ends nothing that exit has begun
    m.func(try_catch_all(i32(9) + call(exit_) + call(thrower), SPIN), export="exit")
    return m


@module
def exception_start():
    m = Module()
    m.tag()
    m.start = m.func(throw(0))
    m.func(b"", export="_start")
    return m


@module
def exceptions_kept():
    """exnref values that stay reachable: a table of them."""
    m = Module()
    m.tag([I64] * 50)
    m.memory(1)
    m.table(1000000, type=0x69)
    one = m.func(b"".join(i64(i) for i in range(50)) + throw(0))
    # block (result exnref) (try_table (catch_all_ref 0) (call one)) unreachable end
    caught = b"\x02\x69\x1f\x40\x01\x03\x00" + call(one) + END + UNREACHABLE + END
    m.func(loop(get(0) + caught + b"\x26\x00" + get(0) + i32(1) + ADD + tee(0) + i32(1000000) + b"\x47" + br_if(0)),
           locals=[(1, I32)], export="keep")
    return m


# ---- giants ----


def filled(count, body=NOP):
    m = Module()
    kind = m.type()
    m.funcs = [kind] * count
    m.codes = [sized(b"\0" + body + END)] * count
    m.export("_start", 0, count - 1)
    return m


@module
def functions_million():
    return filled(1000000)


@module
def functions_too_many():
    return filled(1000001)


@module
def functions_calling():
    """Calls of each other, all at depth: nothing is left out as unused."""
    m = Module()
    count = 20000
    for i in range(count):
        m.func(call(i + 1) if i + 1 < count else UNREACHABLE)
    m.export("_start", 0, 0)
    return m


def nested(depth):
    m = Module()
    m.func(b"\x02\x40" * depth + END * depth, export="_start")
    return m


@module
def nesting_deep():
    return nested(65000)


@module
def nesting_loops():
    m = Module()
    m.func(b"\x03\x40" * 2000 + END * 2000, export="_start")
    return m


@module
def nesting_ifs():
    m = Module()
    m.func((i32(1) + b"\x04\x40") * 2000 + END * 2000, export="_start")
    return m


@module
def nesting_too_deep():
    return nested(100000)


@module
def operands_deep():
    m = Module()
    m.func(i32(1) * 500000 + ADD * 499999, results=[I32], export="sum")
    return m


@module
def branches_wide():
    m = Module()
    m.func(block(block(i32(65519) + br_table([0, 1] * 32760, 1)) + UNREACHABLE), export="_start")
    return m


@module
def branches_too_wide():
    m = Module()
    m.func(block(i32(0) + br_table([0] * 65521, 0)), export="_start")
    return m


@module
def branches_claimed():
    """Four billion targets in a few bytes."""
    m = Module()
    m.func(block(i32(0) + b"\x0e" + u(0xFFFFFFFF) + b"\0\0"), export="_start")
    return m


@module
def locals_too_many():
    m = Module()
    m.func(b"", locals=[(0xFFFFFFFF, I64)], export="_start")
    return m


@module
def locals_everywhere():
    m = filled(100000)
    m.codes = [sized(vec([u(50000) + bytes([V128])]) + END)] * 100000
    return m


@module
def function_too_long():
    m = Module()
    m.func(NOP * 7700000, export="_start")
    return m


@module
def names_hostile():
    """Control characters and lies in what is printed."""
    m = Module()
    m.func(UNREACHABLE, export="_start", called="\x1b]0;owned\x07\x1b[2J\n\r  #0   innocent at /etc/passwd:1")
    m.func(UNREACHABLE, export="long", called="x" * 90000)
    return m


@module
def debug_hostile():
    """Debug information that is none."""
    m = Module()
    m.func(UNREACHABLE, export="_start", called="here")
    for field in (".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_line_str"):
        m.customs.append(section(0, name(field) + b"\xff\xff\xff\x7f\5\0\xff" * 1000))
    return m


@module
def names_lying():
    """A name section whose counts and lengths are lies; it is no reason to refuse a module."""
    m = Module()
    m.func(UNREACHABLE, export="_start")
    m.customs.append(section(0, name("name") + b"\1" + u(0xFFFFFFFF) + u(0xFFFFFFFF) + b"\0" * 20))
    return m


@module
def import_unknown():
    m = Module()
    m.import_func("env", "no_such_function")
    m.func(b"", export="_start")
    return m


@module
def import_typed_wrong():
    m = Module()
    m.wasi("fd_write", [I64], [I64])
    m.func(b"", export="_start")
    return m


@module
def start_typed_wrong():
    m = Module()
    m.func(i32(1), params=[I32], results=[I32], export="_start")
    return m


def cut(data):
    m = Module()
    m.bytes = lambda: data
    return m


@module
def section_claimed():
    return cut(b"\0asm\1\0\0\0\x01" + u(0xFFFFFFFF) + b"\1")


@module
def count_claimed():
    return cut(b"\0asm\1\0\0\0" + section(1, u(0xFFFFFFFF)))


@module
def number_endless():
    return cut(b"\0asm\1\0\0\0\x01" + b"\x80" * 100 + b"\0")


# ---- WASI with arguments that nobody means ----

FUNCTIONS = {
    "args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii", "clock_res_get": "ii",
    "clock_time_get": "iIi", "fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i",
    "fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi",
    "fd_renumber": "ii", "fd_seek": "iIii", "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
    "path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii", "path_remove_directory": "iii",
    "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii", "random_get": "ii",
    "sched_yield": "", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
    "poll_oneoff": "iiii",
}


@module
def wasi_wild():
    """50,000 calls of all functions with arguments drawn from the ends of what is possible, and from what memory
    holds after the calls before. Errors are answers; a trap or a dead host is not."""
    m = Module()
    indices = [m.wasi(field, [I32 if c == "i" else I64 for c in sig]) for field, sig in FUNCTIONS.items()]
    m.memory(2)
    m.global_(I32, i32(1))  # 0: state of the generator
    next_ = m.func(global_get(0) + i32(13) + b"\x74" + global_get(0) + b"\x73" + global_set(0) +
                   global_get(0) + i32(17) + b"\x76" + global_get(0) + b"\x73" + global_set(0) +
                   global_get(0) + i32(5) + b"\x74" + global_get(0) + b"\x73" + global_set(0) + global_get(0),
                   results=[I32])
    # one of 16 words; more than half are small, so that calls get beyond their first check
    m.data(i32(1024), b"".join(v.to_bytes(4, "little") for v in (
        0, 1, 2, 3, 4, 5, 8, 64, 256, 4096, 65536, 131068, 0x7FFFFFFF, 0x80000000, 0xFFFF0000, 0xFFFFFFFF)))
    word = m.func(call(next_) + i32(15) + b"\x71" + i32(2) + b"\x74" + load(1024), results=[I32])
    m.data(i32(2048), b"a/../b\0..//tmp/x" * 16)
    calls = b""
    for index, sig in zip(indices, FUNCTIONS.values()):
        arguments = b"".join(call(word) + (b"" if c == "i" else b"\xac") for c in sig)
        calls += arguments + call(index) + DROP
    body = (i32(1200) + put(1) + get(0) + global_set(0) +
            loop(calls + get(1) + i32(1) + SUB + tee(1) + br_if(0)) + MEMORY_SIZE)
    m.func(body, params=[I32], locals=[(1, I32)], results=[I32], export="wild")
    return m


def main():
    for wanted in sys.argv[1:] or MODULES:
        with open(wanted + ".wasm", "wb") as file:
            file.write(MODULES[wanted]().bytes())


main()
