#include "object.h"

/* Walks real stacks of linked code by its unwind rows. */
#if defined(__x86_64__)
static const uint32_t native = ARCH_X86_64;
#else
static const uint32_t native = ARCH_AARCH64;
#endif

enum { FRAMES_MAX = 64, REG_UNKNOWN = 2 };

struct walk {
    const struct link_output *out;
    struct object_map map;
    uint32_t depth;
    uint32_t code_off[FRAMES_MAX]; /* of return addresses, innermost first */
    bool lost;
};
static struct walk walk;

static const struct image_unwind *row_at(uint32_t code_off)
{
    const struct image_unwind *found = NULL;
    for (uint32_t i = 0; i < walk.out->unwind_count; i++) {
        if (walk.out->unwinds[i].code_off <= code_off)
            found = &walk.out->unwinds[i];
    }
    return found;
}

/* What linked code calls: from here the frames of the blob are counted, up to this program's own. */
static __attribute__((noinline)) void visit(void)
{
    uintptr_t *frame = __builtin_frame_address(0);
    uintptr_t fp = frame[0];
    uintptr_t ra = (uintptr_t)__builtin_return_address(0);
    uintptr_t sp = (uintptr_t)(frame + 2);
#if defined(__aarch64__)
    sp = 0; /* only frames with a frame pointer can be walked from here */
#endif
    walk.depth = 0;
    walk.lost = false;
    while (ra - (uintptr_t)walk.map.base < walk.out->const_off && walk.depth < FRAMES_MAX) {
        uint32_t off = (uint32_t)(ra - (uintptr_t)walk.map.base);
        const struct image_unwind *row = row_at(off - 1);
        walk.code_off[walk.depth++] = off;
        walk.lost = !row || row->cfa_reg == REG_UNKNOWN;
        if (walk.lost)
            return;
        uintptr_t cfa = (row->cfa_reg == 0 ? sp : fp) + (uintptr_t)(intptr_t)row->cfa_add;
        int32_t ra_add = native == ARCH_X86_64 ? -8 : row->ra_add;
        ra = *(uintptr_t *)(cfa + (uintptr_t)(intptr_t)ra_add);
        if (row->fp_add != IMAGE_REG_SAME)
            fp = *(uintptr_t *)(cfa + (uintptr_t)(intptr_t)row->fp_add);
        sp = cfa;
    }
}

typedef long entry_function(void (*)(void), long);

static void run(const struct link_output *out, const char *name, long arg)
{
    walk.out = out;
    walk.map = object_map(out);
    entry_function *f = (entry_function *)(void *)(walk.map.base +
                                                   object_symbol(out, name)->code_off);
    f(visit, arg);
    object_unmap(walk.map);
}

static bool frame_is(uint32_t i, const char *name)
{
    const struct link_symbol *s = object_symbol(walk.out, name);
    return i < walk.depth && walk.code_off[i] > s->code_off &&
           walk.code_off[i] <= s->code_off + s->len;
}

static const char frames[] =
    "typedef void host(void); extern void use(void *, long);\n"
    "__attribute__((noinline)) long leaf(host *h, long n) { h(); return n + 1; }\n"
    "__attribute__((noinline)) long down(host *h, long n) {\n"
    "  return n ? down(h, n - 1) * 3 + 1 : leaf(h, n) + 2; }\n"
    "__attribute__((noinline)) long big(host *h, long n) {\n"
    "  volatile char room[5000]; room[n] = 1; long r = leaf(h, n); return r + room[n]; }\n"
    "__attribute__((noinline)) long aligned(host *h, long n) {\n"
    "  volatile _Alignas(64) double v[16]; v[n & 15] = 1; long r = big(h, n); return r + "
    "(long)v[3]; }\n"
    "__attribute__((noinline)) long grown(host *h, long n) {\n"
    "  volatile char room[n + 100]; room[n] = 1; long r = aligned(h, n); return r + room[n]; }\n"
    "__attribute__((noinline)) long early(host *h, long n) {\n"
    "  if (n > 1000) return n; long r = leaf(h, n); for (int i = 0; i < 9; i++) h(); return r + 5; "
    "}\n";

static void every_frame_of_a_recursion_is_found(void)
{
    struct link_output out = {0};
    CHECK_EQ(object_link(native, "c", frames, NULL, &out, NULL), ST_OK);
    run(&out, "down", 20);
    CHECK_EQ(walk.depth, 22);
    CHECK(!walk.lost);
    CHECK(frame_is(0, "leaf"));
    for (uint32_t i = 1; i < 22; i++)
        CHECK(frame_is(i, "down"));
    link_output_done(&out);
}

static void frames_of_unknown_size_are_found_by_the_frame_pointer(void)
{
    struct link_output out = {0};
    CHECK_EQ(object_link(native, "c", frames, NULL, &out, NULL), ST_OK);
    run(&out, "grown", 7);
    CHECK_EQ(walk.depth, 4);
    CHECK(!walk.lost);
    CHECK(frame_is(0, "leaf"));
    CHECK(frame_is(1, "big"));
    CHECK(frame_is(2, "aligned"));
    CHECK(frame_is(3, "grown"));
    run(&out, "early", 1);
    CHECK_EQ(walk.depth, 1);
    CHECK(frame_is(0, "early"));
    link_output_done(&out);
}

static void rows_ascend_and_code_outside_functions_is_unknown(void)
{
    static const uint32_t archs[] = {ARCH_X86_64, ARCH_AARCH64};
    for (size_t i = 0; i < 2; i++) {
        struct link_output out = {0};
        CHECK_EQ(object_link(archs[i], "c", frames, NULL, &out, NULL), ST_OK);
        CHECK(out.unwind_count > 10);
        for (uint32_t k = 1; k < out.unwind_count; k++)
            CHECK(out.unwinds[k - 1].code_off < out.unwinds[k].code_off);
        CHECK_EQ(out.unwinds[out.unwind_count - 1].cfa_reg, REG_UNKNOWN);
        for (uint32_t k = 0; k < out.symbol_count; k++) {
            const struct image_unwind *row = NULL;
            for (uint32_t r = 0; r < out.unwind_count; r++) {
                if (out.unwinds[r].code_off <= out.symbols[k].code_off)
                    row = &out.unwinds[r];
            }
            CHECK(row != NULL && row->cfa_reg == 0);
            if (!row)
                continue;
            CHECK_EQ(row->cfa_add, archs[i] == ARCH_X86_64 ? 8 : 0);
            CHECK_EQ(row->ra_add, archs[i] == ARCH_X86_64 ? -8 : IMAGE_REG_SAME);
            CHECK_EQ(row->fp_add, IMAGE_REG_SAME);
        }
        link_output_done(&out);
    }
}

/* Compare the rows of one assembled function with what its directives say. */
static void check_rows(uint32_t arch, const char *source, const struct image_unwind *rows,
                       uint32_t count)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(object_link(arch, "assembler", source, NULL, &out, &err), ST_OK);
    CHECK_STR(err.text, "");
    CHECK_EQ(out.unwind_count, count);
    for (uint32_t i = 0; i < count && i < out.unwind_count; i++) {
        CHECK_EQ(out.unwinds[i].code_off, rows[i].code_off);
        CHECK_EQ(out.unwinds[i].cfa_add, rows[i].cfa_add);
        CHECK_EQ(out.unwinds[i].ra_add, rows[i].ra_add);
        CHECK_EQ(out.unwinds[i].fp_add, rows[i].fp_add);
        CHECK_EQ(out.unwinds[i].cfa_reg, rows[i].cfa_reg);
    }
    link_output_done(&out);
}

static void x86_64_directives_give_the_rows_that_they_say(void)
{
    static const struct image_unwind rows[] = {
        {0, 8, -8, IMAGE_REG_SAME, 0}, {1, 16, -8, -16, 0}, {2, 16, -8, -16, 1},
        {3, 8, -8, IMAGE_REG_SAME, 0}, {4, 16, -8, -16, 1}, {5, 0, 0, 0, 2},
        {6, 24, -8, -16, 0},           {7, 24, -8, 16, 0},  {8, 0, 0, 0, 2},
    };
    check_rows(
        ARCH_X86_64,
        ".globl f\nf: .cfi_startproc\nnop\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16\nnop\n"
        ".cfi_def_cfa_register %rbp\nnop\n.cfi_remember_state\n.cfi_def_cfa %rsp, 8\n"
        ".cfi_restore %rbp\nnop\n.cfi_restore_state\n.cfi_escape 0x2e, 0x10\n"
        ".cfi_offset %rbx, -24\nnop\n"
        ".cfi_escape 0x0f, 0x03, 0x77, 0x08, 0x06\nnop\n" /* a computed address */
        ".cfi_def_cfa %rsp, 24\nnop\n.cfi_offset %rbp, 16\nnop\n.cfi_endproc\n",
        rows, sizeof rows / sizeof rows[0]);
}

static void aarch64_directives_give_the_rows_that_they_say(void)
{
    static const struct image_unwind rows[] = {
        {0, 0, IMAGE_REG_SAME, IMAGE_REG_SAME, 0},  {4, 32, -24, -32, 0}, {8, 32, -24, -32, 1},
        {12, 0, IMAGE_REG_SAME, IMAGE_REG_SAME, 0}, {16, 0, 0, 0, 2},
    };
    check_rows(ARCH_AARCH64,
               ".globl f\nf: .cfi_startproc\n.cfi_negate_ra_state\nnop\n.cfi_def_cfa_offset 32\n"
               ".cfi_offset w30, -24\n.cfi_offset w29, -32\nnop\n.cfi_def_cfa w29, 32\nnop\n"
               ".cfi_def_cfa wsp, 0\n.cfi_same_value w30\n.cfi_restore w29\nnop\n.cfi_endproc\n",
               rows, sizeof rows / sizeof rows[0]);
}

static void a_gap_between_functions_is_unknown(void)
{
    static const struct image_unwind rows[] = {
        {0, 8, -8, IMAGE_REG_SAME, 0},
        {1, 0, 0, 0, 2},
        {16, 8, -8, IMAGE_REG_SAME, 0},
        {17, 0, 0, 0, 2},
    };
    check_rows(ARCH_X86_64,
               ".cfi_startproc\nret\n.cfi_endproc\nint3\n"
               ".p2align 4\n.cfi_startproc\nret\n.cfi_endproc\n",
               rows, sizeof rows / sizeof rows[0]);
}

static void other_call_frame_instructions_are_refused(void)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(object_link(ARCH_X86_64, "assembler",
                         "f: .cfi_startproc\n.cfi_escape 0x3f\nnop\n.cfi_endproc\n", NULL, &out,
                         &err),
             ST_LINK);
    CHECK_STR(err.text, "call frame instruction 0x3f is not supported");
    CHECK_EQ(object_link(ARCH_X86_64, "assembler",
                         "f: .cfi_startproc\n.cfi_escape 0x0b\nnop\n.cfi_endproc\n", NULL, &out,
                         &err),
             ST_CORRUPT);
}

int main(void)
{
    RUN(every_frame_of_a_recursion_is_found);
    RUN(frames_of_unknown_size_are_found_by_the_frame_pointer);
    RUN(rows_ascend_and_code_outside_functions_is_unknown);
    RUN(x86_64_directives_give_the_rows_that_they_say);
    RUN(aarch64_directives_give_the_rows_that_they_say);
    RUN(a_gap_between_functions_is_unknown);
    RUN(other_call_frame_instructions_are_refused);
    return CHECK_DONE();
}
