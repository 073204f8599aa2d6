#include "guest.h"

/* Addresses that are computed another way than the guest does (docs/internals/addresses.md) are those of -O0, also
 * where their sums wrap, and trap where those do. */

/*
 * (module (memory 1)
 *   (func (export "grow") (param i32 i32) (result i32)
 *     (memory.grow (local.get 0)))
 *   (func (export "fill") (param $p i32) (param $n i32) (result i32)
 *     (loop $l
 *       (i32.store8 (local.get $p) (i32.add (i32.mul (local.get $p) (i32.const 7)) (i32.const 5)))
 *       (local.set $p (i32.add (local.get $p) (i32.const 1)))
 *       (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
 *     (i32.const 0))
 *   (func (export "unproven") (param $p i32) (param $q i32) (result i32)
 *     (i32.load (i32.add (local.get $p)
 *       (i32.shl (i32.load8_u (local.get $q)) (i32.const 2)))))
 *   (func (export "proven") (param $p i32) (param $q i32) (result i32)
 *     (i32.add (i32.load (local.get $p))
 *       (i32.load (i32.add (local.get $p)
 *         (i32.shl (i32.load8_u (local.get $q)) (i32.const 2))))))
 *   (func (export "sometimes") (param $p i32) (param $q i32) (result i32) (local $h i32)
 *     (if (i32.and (local.get $q) (i32.const 1))
 *       (then (local.set $h (i32.load (local.get $p)))))
 *     (i32.add (local.get $h)
 *       (i32.load (i32.add (local.get $p)
 *         (i32.shl (i32.load8_u (local.get $q)) (i32.const 2))))))
 *   (func (export "far") (param $p i32) (param $q i32) (result i32)
 *     (i32.add (i32.load (local.get $p))
 *       (i32.load (i32.add (local.get $p)
 *         (i32.shl (i32.load16_u (local.get $q)) (i32.const 4))))))
 *   (func (export "two") (param $p i32) (param $q i32) (result i32)
 *     (i32.add (i32.load (local.get $p))
 *       (i32.load offset=8 (i32.add
 *         (i32.add (local.get $p) (i32.and (i32.load offset=4 (local.get $q)) (i32.const 0xfffc)))
 *         (i32.shl (i32.load16_u (local.get $q)) (i32.const 1))))))
 *   (func (export "filled") (param $p i32) (param $q i32) (result i32) (local $i i32) (local $h i32)
 *     (local $t i32)
 *     (local.set $t (local.get $p))
 *     (loop $l
 *       (i32.store (local.get $t) (i32.mul (local.get $i) (i32.const 0x1010101)))
 *       (local.set $t (i32.add (local.get $t) (i32.const 4)))
 *       (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 256))))
 *     (local.set $i (i32.const 0))
 *     (loop $m
 *       (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31))
 *         (i32.load (i32.add (local.get $p)
 *           (i32.shl (i32.load8_u (i32.add (local.get $q) (local.get $i))) (i32.const 2))))))
 *       (br_if $m (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
 *     (local.get $h))
 *   (func (export "chase") (param $p i32) (param $a i32) (result i32) (local $h i32) (local $i i32)
 *     (loop $l
 *       (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) (local.get $p)))
 *       (local.set $p (i32.add (local.get $p)
 *         (i32.load8_u (i32.add (i32.add (local.get $p) (local.get $a)) (i32.const 3)))))
 *       (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
 *     (local.get $h))
 *   (func (export "chase_in_table") (param $p i32) (param $a i32) (result i32) (local $h i32)
 *     (local $i i32)
 *     (loop $l
 *       (local.set $h (i32.xor (i32.mul (local.get $h) (i32.const 31)) (local.get $p)))
 *       (if (i32.eq (i32.load8_u (i32.add (local.get $p) (local.get $a))) (i32.const 77))
 *         (then (local.set $h (i32.add (local.get $h) (i32.const 1)))))
 *       (local.set $p (i32.add (local.get $p) (i32.and (i32.const 15) (i32.load
 *         (i32.shl (i32.load8_u (i32.add (local.get $p) (local.get $a))) (i32.const 2))))))
 *       (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
 *     (local.get $h)))
 */
static const uint8_t addresses[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01,
    0x7f, 0x03, 0x0b, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x03,
    0x01, 0x00, 0x01, 0x07, 0x5d, 0x0a, 0x04, 0x67, 0x72, 0x6f, 0x77, 0x00, 0x00, 0x04, 0x66, 0x69,
    0x6c, 0x6c, 0x00, 0x01, 0x08, 0x75, 0x6e, 0x70, 0x72, 0x6f, 0x76, 0x65, 0x6e, 0x00, 0x02, 0x06,
    0x70, 0x72, 0x6f, 0x76, 0x65, 0x6e, 0x00, 0x03, 0x09, 0x73, 0x6f, 0x6d, 0x65, 0x74, 0x69, 0x6d,
    0x65, 0x73, 0x00, 0x04, 0x03, 0x66, 0x61, 0x72, 0x00, 0x05, 0x03, 0x74, 0x77, 0x6f, 0x00, 0x06,
    0x06, 0x66, 0x69, 0x6c, 0x6c, 0x65, 0x64, 0x00, 0x07, 0x05, 0x63, 0x68, 0x61, 0x73, 0x65, 0x00,
    0x08, 0x0e, 0x63, 0x68, 0x61, 0x73, 0x65, 0x5f, 0x69, 0x6e, 0x5f, 0x74, 0x61, 0x62, 0x6c, 0x65,
    0x00, 0x09, 0x0a, 0x8b, 0x03, 0x0a, 0x06, 0x00, 0x20, 0x00, 0x40, 0x00, 0x0b, 0x24, 0x00, 0x03,
    0x40, 0x20, 0x00, 0x20, 0x00, 0x41, 0x07, 0x6c, 0x41, 0x05, 0x6a, 0x3a, 0x00, 0x00, 0x20, 0x00,
    0x41, 0x01, 0x6a, 0x21, 0x00, 0x20, 0x01, 0x41, 0x01, 0x6b, 0x22, 0x01, 0x0d, 0x00, 0x0b, 0x41,
    0x00, 0x0b, 0x10, 0x00, 0x20, 0x00, 0x20, 0x01, 0x2d, 0x00, 0x00, 0x41, 0x02, 0x74, 0x6a, 0x28,
    0x02, 0x00, 0x0b, 0x16, 0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x20, 0x00, 0x20, 0x01, 0x2d, 0x00,
    0x00, 0x41, 0x02, 0x74, 0x6a, 0x28, 0x02, 0x00, 0x6a, 0x0b, 0x24, 0x01, 0x01, 0x7f, 0x20, 0x01,
    0x41, 0x01, 0x71, 0x04, 0x40, 0x20, 0x00, 0x28, 0x02, 0x00, 0x21, 0x02, 0x0b, 0x20, 0x02, 0x20,
    0x00, 0x20, 0x01, 0x2d, 0x00, 0x00, 0x41, 0x02, 0x74, 0x6a, 0x28, 0x02, 0x00, 0x6a, 0x0b, 0x16,
    0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x20, 0x00, 0x20, 0x01, 0x2f, 0x01, 0x00, 0x41, 0x04, 0x74,
    0x6a, 0x28, 0x02, 0x00, 0x6a, 0x0b, 0x21, 0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x20, 0x00, 0x20,
    0x01, 0x28, 0x02, 0x04, 0x41, 0xfc, 0xff, 0x03, 0x71, 0x6a, 0x20, 0x01, 0x2f, 0x01, 0x00, 0x41,
    0x01, 0x74, 0x6a, 0x28, 0x02, 0x08, 0x6a, 0x0b, 0x5b, 0x01, 0x03, 0x7f, 0x20, 0x00, 0x21, 0x04,
    0x03, 0x40, 0x20, 0x04, 0x20, 0x02, 0x41, 0x81, 0x82, 0x84, 0x08, 0x6c, 0x36, 0x02, 0x00, 0x20,
    0x04, 0x41, 0x04, 0x6a, 0x21, 0x04, 0x20, 0x02, 0x41, 0x01, 0x6a, 0x22, 0x02, 0x41, 0x80, 0x02,
    0x49, 0x0d, 0x00, 0x0b, 0x41, 0x00, 0x21, 0x02, 0x03, 0x40, 0x20, 0x03, 0x41, 0x1f, 0x6c, 0x20,
    0x00, 0x20, 0x01, 0x20, 0x02, 0x6a, 0x2d, 0x00, 0x00, 0x41, 0x02, 0x74, 0x6a, 0x28, 0x02, 0x00,
    0x6a, 0x21, 0x03, 0x20, 0x02, 0x41, 0x01, 0x6a, 0x22, 0x02, 0x41, 0xe4, 0x00, 0x49, 0x0d, 0x00,
    0x0b, 0x20, 0x03, 0x0b, 0x2f, 0x01, 0x02, 0x7f, 0x03, 0x40, 0x20, 0x02, 0x41, 0x1f, 0x6c, 0x20,
    0x00, 0x6a, 0x21, 0x02, 0x20, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x41, 0x03, 0x6a, 0x2d, 0x00,
    0x00, 0x6a, 0x21, 0x00, 0x20, 0x03, 0x41, 0x01, 0x6a, 0x22, 0x03, 0x41, 0x14, 0x49, 0x0d, 0x00,
    0x0b, 0x20, 0x02, 0x0b, 0x4b, 0x01, 0x02, 0x7f, 0x03, 0x40, 0x20, 0x02, 0x41, 0x1f, 0x6c, 0x20,
    0x00, 0x73, 0x21, 0x02, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x2d, 0x00, 0x00, 0x41, 0xcd, 0x00, 0x46,
    0x04, 0x40, 0x20, 0x02, 0x41, 0x01, 0x6a, 0x21, 0x02, 0x0b, 0x20, 0x00, 0x41, 0x0f, 0x20, 0x00,
    0x20, 0x01, 0x6a, 0x2d, 0x00, 0x00, 0x41, 0x02, 0x74, 0x28, 0x02, 0x00, 0x71, 0x6a, 0x21, 0x00,
    0x20, 0x03, 0x41, 0x01, 0x6a, 0x22, 0x03, 0x41, 0x14, 0x49, 0x0d, 0x00, 0x0b, 0x20, 0x02, 0x0b};

enum { PAGE = 65536, PAGES = 65535, TEXT = 4096 };

static struct runtime *rt;

/* Addresses around the ends of the memory and of 32 bits. */
static const uint32_t places[] = {
    0,           4,           64,          1000,        TEXT,        TEXT + 3,    PAGE - 1028,
    PAGE - 1024, PAGE - 1020, PAGE - 4,    PAGE,        0x80000000u, 0xfffefbfcu, 0xfffeffe0u,
    0xfffefffcu, 0xffff0000u, 0xfffffc00u, 0xffffffc0u, 0xffffffe0u, 0xfffffff0u, 0xfffffffcu,
};

static struct guest start(uint32_t cpu, uint32_t opt_level, bool movable, uint32_t pages)
{
    const struct image_options image = {.level = cpu, .opt_level = opt_level, .movable = movable};
    struct guest g;
    union cell_value io[2] = {{.u64 = pages - 1}, {.u64 = 0}};
    struct program *prog = guest_program_with(rt, addresses, sizeof addresses, &image);
    guest_start(&g, rt, prog, NULL, NULL);
    program_unref(prog);
    CHECK_EQ(guest_call(&g, "grow", io), ST_OK);
    CHECK_EQ(io[0].u64, 1);
    static const struct {
        uint32_t at, bytes;
    } filled[] = {{0, 3 * TEXT}, {PAGE - 2048, 2048}};
    for (size_t i = 0; i < sizeof filled / sizeof *filled; i++) {
        io[0].u64 = filled[i].at;
        io[1].u64 = filled[i].bytes;
        CHECK_EQ(guest_call(&g, "fill", io), ST_OK);
    }
    io[0].u64 = (uint64_t)pages * PAGE - 2048;
    io[1].u64 = 2048;
    CHECK_EQ(guest_call(&g, "fill", io), ST_OK);
    return g;
}

/* What the call gives, or that it traps for its address. */
static uint64_t outcome(struct guest *g, const char *name, uint32_t p, uint32_t q)
{
    union cell_value io[2] = {{.u64 = p}, {.u64 = q}};
    if (guest_call(g, name, io) == ST_OK)
        return (uint32_t)io[0].u64;
    CHECK_EQ(cell_trap(g->cell), TRAP_MEMORY_BOUNDS);
    return UINT64_MAX;
}

static void check_level(uint32_t cpu, uint32_t opt_level, bool movable, uint32_t pages)
{
    /* filled is the last: what it wrote before a trap is not the same at each level */
    static const char *const names[] = {"unproven", "proven", "sometimes",      "far",
                                        "two",      "chase",  "chase_in_table", "filled"};
    enum { PLACES = sizeof places / sizeof *places };
    struct guest plain = start(cpu, 0, false, pages), g = start(cpu, opt_level, movable, pages);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        uint32_t traps = 0, different = 0;
        for (size_t i = 0; i < PLACES; i++)
            for (size_t k = 0; k < PLACES; k++) {
                uint64_t want = outcome(&plain, names[n], places[i], places[k]);
                traps += want == UINT64_MAX;
                different += outcome(&g, names[n], places[i], places[k]) != want;
            }
        if (different)
            fprintf(stderr, "%s at -O%u: %u outcomes differ\n", names[n], opt_level, different);
        CHECK_EQ(different, 0);
        CHECK(traps > 0 && traps < PLACES * PLACES);
    }
    cell_free(plain.cell);
    cell_free(g.cell);
}

static void check_memory(uint32_t pages)
{
    static const uint32_t cpus[] = {LEVEL_X86_64_V2, LEVEL_X86_64_V3, LEVEL_X86_64_V4,
                                    LEVEL_AARCH64};
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        if (!image_level_runs(cpus[i]))
            continue;
        for (uint32_t opt_level = 1; opt_level <= 3; opt_level++)
            check_level(cpus[i], opt_level, false, pages);
        check_level(cpus[i], 3, true, pages);
    }
}

static void addresses_in_a_small_memory_are_the_guests(void)
{
    check_memory(1);
}

/* Where a place that was accessed is as near to the end of 32 bits as can be. */
static void addresses_in_the_largest_memory_are_the_guests(void)
{
    check_memory(PAGES);
}

int main(void)
{
    rt = guest_runtime();
    RUN(addresses_in_a_small_memory_are_the_guests);
    RUN(addresses_in_the_largest_memory_are_the_guests);
    runtime_free(rt);
    return CHECK_DONE();
}
