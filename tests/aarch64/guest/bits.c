/* Floating point as bits, NaNs included, scalars and vectors, in registers across calls and loops: what another machine
 * may do differently. The argument is the number of rounds. Built for --nan canonical. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

static uint64_t sum = 1;
static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void mix(const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ b[i]) * 1099511628211u;
}

/* Any bits: infinities, denormals, and NaNs with payloads are as likely as numbers. */
static double any_double(void)
{
    static const uint64_t special[] = {0,
                                       1,
                                       UINT64_C(1) << 63,
                                       UINT64_C(0x7ff0000000000000),
                                       UINT64_C(0xfff0000000000000),
                                       UINT64_C(0x7ff4000000000001),
                                       UINT64_C(0xfff8000000000123),
                                       UINT64_C(0x3ff0000000000000)};
    uint64_t bits = next();
    double d;
    if (bits % 3 == 0)
        bits = special[bits / 3 % 8];
    memcpy(&d, &bits, sizeof d);
    return d;
}

static double combine(double a, double b, int depth)
{
    double c = a * b + (a - b) / (b + 1);
    if (depth == 0)
        return c;
    double inner = combine(b, c, depth - 1);
    return fmin(c, inner) + fmax(a, inner) * copysign(1, b) + sqrt(a);
}

static v128_t vectors(v128_t a, v128_t b, int depth)
{
    v128_t c = wasm_f64x2_add(wasm_f64x2_mul(a, b), wasm_f64x2_div(a, b));
    v128_t d = wasm_f32x4_sub(wasm_f32x4_pmin(a, b), wasm_f32x4_sqrt(c));
    if (depth == 0)
        return wasm_i8x16_swizzle(d, wasm_v128_and(c, wasm_i8x16_splat(31)));
    v128_t inner = vectors(b, c, depth - 1);
    return wasm_v128_xor(wasm_f64x2_max(inner, c), wasm_i32x4_add(d, inner));
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100;
    for (int i = 0; i < rounds; i++) {
        double a = any_double(), b = any_double(), c = combine(a, b, i % 7);
        v128_t v = vectors(wasm_f64x2_make(a, b), wasm_f64x2_make(b, c), i % 5);
        float f = (float)c;
        mix(&c, sizeof c);
        mix(&v, sizeof v);
        mix(&f, sizeof f);
        if (i % 16 == 0)
            printf("%d %016llx\n", i, (unsigned long long)sum);
    }
    printf("%016llx\n", (unsigned long long)sum);
    return 3;
}
