#include "base/buf.h"
#include "guest.h"

/* The result of arithmetic is never a signalling NaN, whatever LLVM knows of the operands. Each case is the body of a
 * function (v128 x, i32 n) -> v128 with locals 2: f64, 3: f32, 4: v128, 5: i32. */

#define X64 0x20, 0, 0xfd, 0x21, 0
#define X32 0x20, 0, 0xfd, 0x1f, 0
#define OUT64 0xfd, 0x14
#define OUT32 0xfd, 0x13
#define C64(top, next) 0x44, 0, 0, 0, 0, 0, 0, next, top
#define C32(top, next) 0x43, 0, 0, next, top
#define ONE64 C64(0x3f, 0xf0)
#define ONE32 C32(0x3f, 0x80)
#define ZERO64 C64(0, 0)
#define MINUS_ZERO64 C64(0x80, 0)
#define GET(i) 0x20, i
#define SET(i) 0x21, i
#define TEE(i) 0x22, i
#define LANE32(top, next) 0, 0, next, top
#define LANE64(top, next) 0, 0, 0, 0, 0, 0, next, top
#define V32(top, next) \
    0xfd, 0x0c, LANE32(top, next), LANE32(top, next), LANE32(top, next), LANE32(top, next)
#define V64(top, next) 0xfd, 0x0c, LANE64(top, next), LANE64(top, next)
#define I32(v) 0x41, v
#define ADD64 0xa0
#define SUB64 0xa1
#define MUL64 0xa2
#define DIV64 0xa3
#define NEG64 0x9a
#define F32X4(op) 0xfd, op, 1
#define F64X2(op) 0xfd, op, 1
#define LOOP 0x03, 0x40
#define BR_IF 0x0d, 0
#define END 0x0b

struct nan_case {
    const char *name;
    uint8_t lane_bytes;
    uint8_t len;
    uint8_t body[94];
};
#define CASE(bits, name, ...)                             \
    {                                                     \
        name, bits / 8, sizeof((uint8_t[]){__VA_ARGS__}), \
        {                                                 \
            __VA_ARGS__                                   \
        }                                                 \
    }

static const struct nan_case cases[] = {
    CASE(64, "x * 1", X64, ONE64, MUL64, OUT64),
    CASE(64, "1 * x", ONE64, X64, MUL64, OUT64),
    CASE(64, "x * -1", X64, C64(0xbf, 0xf0), MUL64, OUT64),
    CASE(64, "x / 1", X64, ONE64, DIV64, OUT64),
    CASE(64, "x / -1", X64, C64(0xbf, 0xf0), DIV64, OUT64),
    CASE(64, "x - 0", X64, ZERO64, SUB64, OUT64),
    CASE(64, "x + -0", X64, MINUS_ZERO64, ADD64, OUT64),
    CASE(64, "-0 - x", MINUS_ZERO64, X64, SUB64, OUT64),
    CASE(64, "-0 - -x", MINUS_ZERO64, X64, NEG64, SUB64, OUT64),
    CASE(64, "abs x + 0", X64, 0x99, ZERO64, ADD64, OUT64),
    CASE(64, "abs x - -0", X64, 0x99, MINUS_ZERO64, SUB64, OUT64),
    CASE(32, "x * 1, f32", X32, ONE32, 0x94, OUT32),
    CASE(32, "x * 1, f32, of a local", ONE32, SET(3), X32, GET(3), 0x94, OUT32),
    CASE(64, "x * 1 of a local", ONE64, SET(2), X64, GET(2), MUL64, OUT64),
    CASE(64, "x - a local that is still 0", X64, GET(2), SUB64, OUT64),
    CASE(64, "x * 1 of a branch", ONE64, SET(2), GET(1), 0x04, 0x40, C64(0x3f, 0xf0), SET(2), END,
         X64, GET(2), MUL64, OUT64),
    CASE(64, "x * 1 or 2", ONE64, SET(2), GET(1), 0x04, 0x40, C64(0x40, 0), SET(2), END, X64,
         GET(2), MUL64, OUT64),
    CASE(64, "x * -(-1 or -2)", X64, C64(0xbf, 0xf0), C64(0xc0, 0), GET(1), 0x45, 0x1b, NEG64,
         MUL64, OUT64),
    CASE(64, "x * (1 or 2)", X64, ONE64, C64(0x40, 0), GET(1), 0x45, 0x1b, MUL64, OUT64),
    CASE(64, "x * (0.5 + 0.5)", C64(0x3f, 0xe0), SET(2), X64, GET(2), GET(2), ADD64, MUL64, OUT64),
    CASE(64, "x * bits of 1", 0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xf8, 0x3f, 0xbf, X64,
         MUL64, OUT64),
    CASE(64, "x * an integer", I32(1), SET(5), X64, GET(5), 0xb7, MUL64, OUT64),
    CASE(64, "product in a loop of one round", ONE64, SET(2), LOOP, GET(2), X64, MUL64, SET(2),
         GET(5), I32(1), 0x6a, TEE(5), I32(1), 0x49, BR_IF, END, GET(2), OUT64),
    CASE(64, "x - counter, in the first round", LOOP, X64, GET(5), 0xb7, SUB64, SET(2), GET(5),
         I32(1), 0x6a, TEE(5), GET(1), 0x49, BR_IF, END, GET(2), OUT64),
    CASE(64, "differences from 0", LOOP, X64, GET(2), SUB64, SET(2), GET(5), I32(1), 0x6a, TEE(5),
         I32(1), 0x49, BR_IF, END, GET(2), OUT64),
    CASE(64, "least of x and -0", X64, MINUS_ZERO64, 0xa4, OUT64),
    CASE(64, "most of -0 and x", MINUS_ZERO64, X64, 0xa5, OUT64),
    CASE(64, "most of x and 0", X64, ZERO64, 0xa5, OUT64),
    CASE(32, "demote promote x", X32, 0xbb, 0xb6, OUT32),
    CASE(32, "demote -promote x", X32, 0xbb, NEG64, 0xb6, OUT32),
    CASE(32, "demote abs promote x of a local", X32, 0xbb, SET(2), GET(2), 0x99, 0xb6, OUT32),
    CASE(32, "demote (promote x or 1)", X32, 0xbb, ONE64, GET(1), 0x1b, 0xb6, OUT32),
    CASE(64, "x * 1 below a block with a table", X64, ONE64, MUL64, 0x02, 0x40, GET(1), BR_IF,
         GET(1), 0x0e, 1, 0, 0, END, OUT64),
    CASE(64, "f64x2 x * 1", GET(0), V64(0x3f, 0xf0), F64X2(0xf2)),
    CASE(64, "f64x2 x * 1 of a local", V64(0x3f, 0xf0), SET(4), GET(0), GET(4), F64X2(0xf2)),
    CASE(64, "f64x2 x * splat of a local", ONE64, SET(2), GET(0), GET(2), OUT64, F64X2(0xf2)),
    CASE(64, "f64x2 x / -1", GET(0), V64(0xbf, 0xf0), F64X2(0xf3)),
    CASE(64, "f64x2 x - 0", GET(0), V64(0, 0), F64X2(0xf1)),
    CASE(64, "f64x2 x - a local that is still 0", GET(0), GET(4), F64X2(0xf1)),
    CASE(64, "f64x2 x + -0", GET(0), V64(0x80, 0), F64X2(0xf0)),
    CASE(64, "one lane of x * (1, 2)", GET(0), 0xfd, 0x0c, LANE64(0x3f, 0xf0), LANE64(0x40, 0),
         F64X2(0xf2), 0xfd, 0x21, 0, OUT64),
    CASE(32, "f32x4 x * 1", GET(0), V32(0x3f, 0x80), F32X4(0xe6)),
    CASE(32, "f32x4 x * 1 of a branch", V32(0x3f, 0x80), SET(4), GET(1), 0x04, 0x40,
         V32(0x40, 0x80), SET(4), END, GET(0), GET(4), F32X4(0xe6)),
    CASE(32, "f32x4 x / 1", GET(0), V32(0x3f, 0x80), F32X4(0xe7)),
    CASE(32, "f32x4 -0 - x", V32(0x80, 0), GET(0), F32X4(0xe5)),
    CASE(32, "f32x4 x * 1 + -0", GET(0), V32(0x3f, 0x80), V32(0x80, 0), 0xfd, 0x85, 2),
    CASE(32, "f32x4 x - integers beside zeros", GET(0), GET(4), 0xfd, 0xfc, 1, F32X4(0xe5)),
    CASE(32, "f32x4 demote promote x", GET(0), 0xfd, 0x5f, 0xfd, 0x5e),
};
enum { CASE_COUNT = sizeof cases / sizeof *cases };

static void leb5(struct buf *b, size_t v) /* of fixed size, so that lengths can be patched in */
{
    for (int i = 0; i < 5; i++)
        buf_u8(b, (uint8_t)((v >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0)));
}

static void section(struct buf *b, uint8_t id, const struct buf *content)
{
    buf_u8(b, id);
    leb5(b, content->len);
    buf_bytes(b, content->data, content->len);
}

static void sections_of_cases(struct buf *funcs, struct buf *exports, struct buf *codes)
{
    static const uint8_t locals[] = {4, 1, 0x7c, 1, 0x7d, 1, 0x7b, 1, 0x7f};
    leb5(funcs, CASE_COUNT);
    leb5(exports, CASE_COUNT);
    leb5(codes, CASE_COUNT);
    for (uint32_t i = 0; i < CASE_COUNT; i++) {
        buf_u8(funcs, 0);
        buf_u8(exports, (uint8_t)strlen(cases[i].name));
        buf_bytes(exports, cases[i].name, strlen(cases[i].name));
        buf_u8(exports, 0);
        buf_leb_u32(exports, i);
        leb5(codes, sizeof locals + cases[i].len + 1);
        buf_bytes(codes, locals, sizeof locals);
        buf_bytes(codes, cases[i].body, cases[i].len);
        buf_u8(codes, END);
    }
}

static void make_module(struct buf *wasm)
{
    static const uint8_t head[] = {0, 'a', 's',  'm', 1,    0,    0, 0,   1,
                                   7, 1,   0x60, 2,   0x7b, 0x7f, 1, 0x7b};
    struct buf funcs = {0}, exports = {0}, codes = {0};
    sections_of_cases(&funcs, &exports, &codes);
    buf_bytes(wasm, head, sizeof head);
    section(wasm, 3, &funcs);
    section(wasm, 7, &exports);
    section(wasm, 10, &codes);
    buf_done(&funcs);
    buf_done(&exports);
    buf_done(&codes);
}

static uint64_t lane(const union cell_value *v, uint32_t bytes, uint32_t i)
{
    uint64_t bits = 0;
    memcpy(&bits, v->v128 + (size_t)i * bytes, bytes);
    return bits;
}

static bool is_nan(uint64_t bits, uint32_t bytes)
{
    return bytes == 4 ? (bits & 0x7fffffff) > 0x7f800000 : (bits & INT64_MAX) > 0x7ff0000000000000;
}

static bool is_quiet(uint64_t bits, uint32_t bytes)
{
    return bits & (bytes == 4 ? 0x400000u : 0x8000000000000u);
}

static union cell_value splat(uint64_t bits, uint32_t bytes)
{
    union cell_value v = {.u64 = 0};
    for (uint32_t i = 0; i < 16 / bytes; i++)
        memcpy(v.v128 + (size_t)i * bytes, &bits, bytes);
    return v;
}

static union cell_value call(struct guest *g, const struct nan_case *c, union cell_value x)
{
    union cell_value io[2] = {x, {.i32 = 1}};
    CHECK_EQ(guest_call(g, c->name, io), ST_OK);
    return io[0];
}

static void check_case(struct guest *g, const struct nan_case *c, uint32_t opt, bool canonical)
{
    bool wide = c->lane_bytes == 8;
    uint64_t signalling = wide ? 0xfff0000000000123 : 0xff800123;
    uint64_t nan = wide ? 0x7ff8000000000000 : 0x7fc00000;
    union cell_value r = call(g, c, splat(signalling, c->lane_bytes));
    for (uint32_t i = 0; i < 16u / c->lane_bytes; i++) {
        uint64_t bits = lane(&r, c->lane_bytes, i);
        bool good = !is_nan(bits, c->lane_bytes) ||
                    (canonical ? bits == nan : is_quiet(bits, c->lane_bytes));
        if (!good)
            fprintf(stderr, "-O%u: %s: lane %u is 0x%llx\n", opt, c->name, i,
                    (unsigned long long)bits);
        CHECK(good);
    }
}

/* Numbers are the same bits in both modes and on all levels. */
static void check_numbers(struct guest *g, struct guest *other, const struct nan_case *c)
{
    static const double numbers[] = {0.0, -0.0, 3.5, -1e-310, 1e300, 1.0 / 3};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t bits = 0;
        float narrow = (float)numbers[i];
        if (c->lane_bytes == 8)
            memcpy(&bits, &numbers[i], 8);
        else
            memcpy(&bits, &narrow, 4);
        union cell_value x = splat(bits, c->lane_bytes), a = call(g, c, x), b = call(other, c, x);
        CHECK_EQ(memcmp(a.v128, b.v128, 16), 0);
    }
}

static struct runtime *rt;
static struct buf wasm;

static struct program *compile(uint32_t opt_level, uint32_t nan)
{
    const struct image_options image = {
        .level = image_level_host(), .opt_level = opt_level, .nan = nan};
    return guest_program_with(rt, wasm.data, wasm.len, &image);
}

static void check_level(uint32_t opt, struct guest *plain, bool canonical)
{
    struct program *prog = compile(opt, canonical ? NAN_CANONICAL : NAN_NATIVE);
    struct guest g;
    guest_start(&g, rt, prog, NULL, NULL);
    for (uint32_t i = 0; i < CASE_COUNT; i++) {
        check_case(&g, &cases[i], opt, canonical);
        check_numbers(&g, plain, &cases[i]);
    }
    cell_free(g.cell);
    program_unref(prog);
}

static void arithmetic_answers_a_quiet_nan(void)
{
    struct program *prog = compile(0, NAN_CANONICAL);
    struct guest plain;
    guest_start(&plain, rt, prog, NULL, NULL);
    for (uint32_t opt = 0; opt <= 3; opt++) {
        check_level(opt, &plain, false);
        check_level(opt, &plain, true);
    }
    cell_free(plain.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    make_module(&wasm);
    RUN(arithmetic_answers_a_quiet_nan);
    buf_done(&wasm);
    runtime_free(rt);
    return CHECK_DONE();
}
