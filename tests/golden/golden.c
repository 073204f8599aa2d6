/* The guest of the golden snapshots, without a C library so that it is small; `make` has built golden.wasm from it,
 * once. The first argument says what to do: r recursion, v vectors, x exceptions, t tables, d a folder, p standard
 * input. */
#include <stdint.h>
#include <wasm_simd128.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

struct iovec {
    char *at;
    uint32_t len;
};
WASI(fd_write) uint32_t fd_write(uint32_t, const struct iovec *, uint32_t, uint32_t *);
WASI(fd_read) uint32_t fd_read(uint32_t, const struct iovec *, uint32_t, uint32_t *);
WASI(fd_readdir) uint32_t fd_readdir(uint32_t, char *, uint32_t, uint64_t, uint32_t *);
WASI(args_get) uint32_t args_get(char **, char *);
WASI(proc_exit) _Noreturn void proc_exit(uint32_t);

int guarded(int depth, int kind); /* throw.s: throws, catches and throws again */
int fall(int depth, int kind);
int mix(int value);

static uint32_t sum = 1;

int mix(int value)
{
    return (int)(sum = (sum ^ (uint32_t)value) * 16777619u);
}

static void say(const char *what, uint64_t value)
{
    char text[64];
    uint32_t n = 0, done;
    for (; *what; what++)
        text[n++] = *what;
    text[n++] = ' ';
    for (int shift = 60; shift >= 0; shift -= 4)
        text[n++] = "0123456789abcdef"[value >> shift & 15];
    text[n++] = '\n';
    struct iovec v = {text, n};
    fd_write(1, &v, 1, &done);
}

static double deep(int n, int64_t a, float b, double c)
{
    if (n == 0)
        return (double)a + b * c;
    double below = deep(n - 1, a * 3 + n, b + 0.25f, c - 1.5);
    mix(n);
    return below + deep(n / 2, a ^ n, b, c) * 0.5 + (double)n;
}

static void recursion(void)
{
    for (int i = 0; i < 6; i++) {
        union {
            double d;
            uint64_t u;
        } v = {deep(5 + i, i, (float)i, 3.25)};
        say("recursion", v.u ^ sum);
    }
}

static __attribute__((noinline)) v128_t turn(v128_t a, v128_t b, int n)
{
    mix(wasm_i32x4_extract_lane(a, 1));
    return n == 0 ? wasm_i32x4_add(a, b)
                  : wasm_v128_xor(turn(wasm_f32x4_add(a, b), wasm_i8x16_swizzle(a, b), n - 1),
                                  wasm_i32x4_mul(b, wasm_i32x4_make(3, 5, 7, n)));
}

static void vectors(void)
{
    v128_t v = wasm_i8x16_make(3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3);
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 20; k++)
            v = wasm_i32x4_add(turn(v, wasm_f32x4_splat((float)k), k % 5), wasm_i32x4_splat(k));
        say("vectors",
            (uint64_t)wasm_i64x2_extract_lane(v, 0) * 3 ^ (uint64_t)wasm_i64x2_extract_lane(v, 1));
    }
}

static void exceptions(void)
{
    for (int i = 0; i < 6; i++) {
        int total = 0;
        for (int k = 0; k < 8; k++)
            total += guarded(k, i + k);
        say("exceptions", (uint64_t)(uint32_t)total << 32 | sum);
    }
}

typedef int (*operation)(int, int);
static int add(int a, int b)
{
    return mix(a) + b;
}
static int sub(int a, int b)
{
    return a - mix(b);
}
static int mul(int a, int b)
{
    return mix(a ^ b) * a;
}
static operation operations[] = {add, sub, mul};

static void tables(void)
{
    int v = 1;
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 30; k++) {
            operation first = operations[0];
            v = operations[(uint32_t)(v ^ k) % 3](v, k);
            operations[0] = operations[k % 3];
            operations[k % 3] = first;
        }
        say("tables", (uint32_t)v);
    }
}

/* A folder in pieces that hold about one entry. */
static void folder(void)
{
    static char piece[64];
    uint64_t cookie = 0;
    for (uint32_t used = sizeof piece; used == sizeof piece;) {
        if (fd_readdir(3, piece, sizeof piece, cookie, &used) != 0 || used < 24)
            break;
        cookie = *(uint64_t *)(void *)piece;
        uint32_t len = *(uint32_t *)(void *)(piece + 16);
        uint64_t name = 0;
        for (uint32_t i = 0; i < len && i < 8 && 24 + i < used; i++)
            name = name << 8 | (uint8_t)piece[24 + i];
        say("folder", name);
    }
}

static void input(void)
{
    char piece[16];
    struct iovec v = {piece, sizeof piece};
    uint32_t got = 0;
    say("input", 0);
    while (fd_read(0, &v, 1, &got) == 0 && got > 0)
        for (uint32_t i = 0; i < got; i++)
            mix(piece[i]);
    say("input", sum);
}

void _start(void)
{
    static char *args[4];
    static char text[256];
    args_get(args, text);
    switch (args[1] ? args[1][0] : 0) {
    case 'r':
        recursion();
        break;
    case 'v':
        vectors();
        break;
    case 'x':
        exceptions();
        break;
    case 't':
        tables();
        break;
    case 'd':
        folder();
        break;
    case 'p':
        input();
        break;
    default:
        proc_exit(2);
    }
    proc_exit(9);
}
