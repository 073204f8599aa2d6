#include "object.h"

/* Code linked for this machine is run; what only the other architecture has is compared word by word. */
#if defined(__x86_64__)
static const uint32_t native = ARCH_X86_64;
#else
static const uint32_t native = ARCH_AARCH64;
#endif

typedef int64_t int_function(int64_t, int64_t);
typedef double real_function(double);

static const char part_one[] =
    "extern long other(long, long); extern const int table[8];\n"
    "long twice(long a, long b) { return other(a, b) * 2 + table[a & 7]; }\n"
    "long pick(long a, long b) {\n"
    "  switch (a) { case 0: return b + 11; case 1: return b * 3; case 2: return b - 7;\n"
    "  case 3: return b ^ 0x55; case 4: return other(b, b); case 5: return -b; case 6: return b << "
    "3;\n"
    "  default: return 99; } }\n"
    "double curve(double x) { return x * 3.25 + 1e100 / (x + 0.1); }\n"
    "typedef float v4 __attribute__((vector_size(16)));\n"
    "double lanes(double x) { v4 a = {1.5f, 2.5f, 3.5f, 4.5f}; a *= (float)x; return a[0] + a[3]; "
    "}\n"
    "__attribute__((cold, section(\".text.unlikely.c\"))) long rare(long a, long b) { return a - "
    "b; }\n"
    "long after(long a, long b) { return a > 100 ? rare(a, b) : a + b; }\n";
static const char part_two[] =
    "const int table[8] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};\n"
    "static const char *const words = \"linked\";\n"
    "long other(long a, long b) { return a * 10 + b + words[a & 3]; }\n"
    "long fact(long a, long b) { return a < 2 ? 1 : a * fact(a - 1, b); }\n"
    "typedef long fn(long, long); extern fn twice;\n"
    "fn *choose(long a) { return a ? twice : other; }\n"
    "__attribute__((noinline)) long indirect(long a, long b) { return choose(a)(a, b); }\n";

static int64_t call(const struct link_output *out, struct object_map m, const char *name, int64_t a,
                    int64_t b)
{
    int_function *f = (int_function *)(void *)(m.base + object_symbol(out, name)->code_off);
    return f(a, b);
}

static void functions_of_two_objects_call_each_other(void)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(object_link(native, "c", part_one, part_two, &out, &err), ST_OK);
    CHECK_STR(err.text, "");
    struct object_map m = object_map(&out);
    CHECK_EQ(call(&out, m, "other", 2, 3), 23 + 'n');
    CHECK_EQ(call(&out, m, "twice", 2, 3), (23 + 'n') * 2 + 100);
    CHECK_EQ(call(&out, m, "indirect", 1, 3), (13 + 'i') * 2 + 10);
    CHECK_EQ(call(&out, m, "indirect", 0, 3), 3 + 'l');
    CHECK_EQ(call(&out, m, "fact", 10, 0), 3628800);
    CHECK_EQ(call(&out, m, "pick", 0, 5), 16);
    CHECK_EQ(call(&out, m, "pick", 3, 5), 0x50);
    CHECK_EQ(call(&out, m, "pick", 4, 5), 55 + 'i');
    CHECK_EQ(call(&out, m, "pick", 77, 5), 99);
    CHECK_EQ(call(&out, m, "after", 101, 1), 100);
    real_function *curve = (real_function *)(void *)(m.base +
                                                     object_symbol(&out, "curve")->code_off);
    real_function *lanes = (real_function *)(void *)(m.base +
                                                     object_symbol(&out, "lanes")->code_off);
    volatile double x = 2.0;
    CHECK(curve(x) == x * 3.25 + 1e100 / (x + 0.1));
    CHECK(lanes(x) == 12.0);
    object_unmap(m);
    link_output_done(&out);
}

static void cold_sections_stand_behind_hot_ones_and_constants_behind_code(void)
{
    static const uint32_t archs[] = {ARCH_X86_64, ARCH_AARCH64};
    for (size_t i = 0; i < 2; i++) {
        struct link_output out = {0};
        struct error err = {0};
        CHECK_EQ(object_link(archs[i], "c", part_one, part_two, &out, &err), ST_OK);
        CHECK_STR(err.text, "");
        const struct link_symbol *rare = object_symbol(&out, "rare");
        for (uint32_t k = 0; k < out.symbol_count; k++) {
            const struct link_symbol *s = &out.symbols[k];
            CHECK(s->code_off <= rare->code_off);
            CHECK(k == 0 || s[-1].code_off + s[-1].len <= s->code_off);
            CHECK(s->code_off + s->len <= out.const_off);
        }
        CHECK_EQ(out.const_off % 65536, 0);
        CHECK(out.code.len > out.const_off);
        link_output_done(&out);
    }
}

static void line_numbers_become_wasm_offsets(void)
{
    static const uint32_t archs[] = {ARCH_X86_64, ARCH_AARCH64};
    const char source[] = "#line 4096\nextern void effect(void);\n"
                          "#line 70000\nvoid f(void) {\n"
                          "#line 80000\neffect();\n"
                          "#line 3000000\neffect(); }\n";
    for (size_t i = 0; i < 2; i++) {
        struct link_output out = {0};
        struct error err = {0};
        CHECK_EQ(object_link(archs[i], "c", source, "void effect(void) {}", &out, &err), ST_OK);
        CHECK_STR(err.text, "");
        uint32_t seen = 0;
        for (uint32_t k = 0; k < out.site_count; k++) {
            const struct image_site *s = &out.sites[k];
            CHECK(k == 0 || s[-1].code_off < s->code_off);
            CHECK(k == 0 || s[-1].wasm_off != s->wasm_off);
            seen |= s->wasm_off == 70000     ? 1
                    : s->wasm_off == 80000   ? 2
                    : s->wasm_off == 3000000 ? 4
                                             : 0;
        }
        CHECK_EQ(seen, 7);
        CHECK_EQ(out.sites[out.site_count - 1].wasm_off, 0);
        link_output_done(&out);
    }
}

static void what_is_missing_or_double_is_named(void)
{
    struct link_output out = {0}, untouched = {0};
    struct error err = {0};
    CHECK_EQ(object_link(native, "c", "int missing(void); int f(void) { return missing(); }", NULL,
                         &out, &err),
             ST_LINK);
    CHECK_STR(err.text, "undefined symbol missing");
    CHECK_EQ(object_link(native, "c", "int f(void) { return 1; }", "int f(void) { return 2; }",
                         &out, &err),
             ST_LINK);
    CHECK_STR(err.text, "symbol f is defined twice");
    CHECK_EQ(memcmp(&out, &untouched, sizeof out), 0);
}

static void what_the_loader_would_have_to_do_is_refused(void)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(
        object_link(native, "c", "int count; int f(void) { return ++count; }", NULL, &out, &err),
        ST_LINK);
    CHECK_STR(err.text, "section .bss: an image has no writable data");
    CHECK_EQ(object_link(native, "c", "int count = 3; int f(void) { return ++count; }", NULL, &out,
                         &err),
             ST_LINK);
    CHECK_STR(err.text, "section .data: an image has no writable data");
    CHECK_EQ(object_link(native, "c", "_Thread_local int t = 1; int *f(void) { return &t; }", NULL,
                         &out, &err),
             ST_LINK);
    CHECK(strstr(err.text, "writable data") != NULL);
    CHECK_EQ(object_link(ARCH_X86_64, "assembler", ".globl f\n.hidden f\nf: movabs $f, %rax\nret\n",
                         NULL, &out, &err),
             ST_LINK);
    CHECK_STR(err.text, "reference to f cannot be resolved at link time (relocation type 1)");
    CHECK_EQ(object_link(ARCH_X86_64, "assembler",
                         ".globl f\nf: ret\n.section .rodata,\"a\",@progbits\n.quad f\n", NULL,
                         &out, &err),
             ST_LINK);
    CHECK_EQ(object_link(ARCH_AARCH64, "assembler",
                         ".globl f\nf: ret\n.section .rodata,\"a\",@progbits\n.xword f\n", NULL,
                         &out, &err),
             ST_LINK);
    CHECK(strstr(err.text, "(relocation type 257)") != NULL);
}

static uint32_t word_at(const struct link_output *out, uint32_t off)
{
    uint32_t w = 0;
    memcpy(&w, out->code.data + off, 4);
    return w;
}

static void global_offset_table_loads_become_addresses(void)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(object_link(ARCH_X86_64, "assembler",
                         ".globl f\n f: movq g@GOTPCREL(%rip), %r9\n call *g@GOTPCREL(%rip)\n"
                         " jmp *g@GOTPCREL(%rip)\n .globl g\n g: ret\n",
                         NULL, &out, &err),
             ST_OK);
    CHECK_STR(err.text, "");
    static const uint8_t x86[] = {0x4c, 0x8d, 0x0d, 12,   0, 0, 0, 0x67, 0xe8, 6,
                                  0,    0,    0,    0xe9, 1, 0, 0, 0,    0x90, 0xc3};
    CHECK_EQ(memcmp(out.code.data, x86, sizeof x86), 0);
    link_output_done(&out);
    CHECK_EQ(object_link(ARCH_X86_64, "assembler",
                         ".globl f\n f: addq g@GOTPCREL(%rip), %rax\n .globl g\n g: ret\n", NULL,
                         &out, &err),
             ST_LINK);
    CHECK_EQ(object_link(ARCH_AARCH64, "assembler",
                         ".globl f\n f: adrp x3, :got:g\n ldr x5, [x3, :got_lo12:g]\n"
                         " .globl g\n g: ret\n",
                         NULL, &out, &err),
             ST_OK);
    CHECK_EQ(word_at(&out, 0), 0x90000003);
    CHECK_EQ(word_at(&out, 4), 0x91002065); /* add x5, x3, #8 */
    link_output_done(&out);
}

static void aarch64_addresses_are_put_into_instructions(void)
{
    const char source[] =
        " .globl f\n f: adrp x0, c16\n add x0, x0, :lo12:c16\n ldrb w1, [x0, :lo12:c16]\n"
        " ldrh w1, [x0, :lo12:c16]\n ldr w1, [x0, :lo12:c16]\n ldr x1, [x0, :lo12:c16]\n"
        " ldr q1, [x0, :lo12:c16]\n bl g\n b g\n b.eq g\n tbz x1, #3, g\n adr x2, g\n"
        " adrp x9, c16+0x12345\n"
        " .section .text.g,\"ax\",@progbits\n .globl g\n g: b f\n"
        " .section .rodata,\"a\",@progbits\n .zero 0x1230\n c16: .zero 16\n"
        " .word g - .\n .xword f - .\n";
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(object_link(ARCH_AARCH64, "assembler", source, NULL, &out, &err), ST_OK);
    CHECK_STR(err.text, "");
    static const uint32_t words[] = {
        0xb0000080, /* adrp x0, 0x11000 */
        0x9108c000, /* add x0, x0, #0x230 */
        0x3948c001, /* ldrb w1, [x0, #0x230] */
        0x79446001, /* ldrh w1, [x0, #0x230] */
        0xb9423001, /* ldr w1, [x0, #0x230] */
        0xf9411801, /* ldr x1, [x0, #0x230] */
        0x3dc08c01, /* ldr q1, [x0, #0x230] */
        0x94000006, /* bl +24 */
        0x14000005, /* b +20 */
        0x54000080, /* b.eq +16 */
        0x36180061, /* tbz x1, #3, +12 */
        0x10000042, /* adr x2, +8 */
        0xf0000109, /* adrp x9, 0x23000 */
        0x17fffff3, /* b -52 */
    };
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++)
        CHECK_EQ(word_at(&out, i * 4), words[i]);
    CHECK_EQ(word_at(&out, out.const_off + 0x1240), (uint32_t)(52 - (0x10000 + 0x1240)));
    CHECK_EQ(word_at(&out, out.const_off + 0x1244), (uint32_t)-(0x10000 + 0x1244));
    CHECK_EQ(word_at(&out, out.const_off + 0x1248), UINT32_MAX);
    link_output_done(&out);
}

static void a_branch_that_does_not_reach_is_refused(void)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(
        object_link(ARCH_AARCH64, "assembler",
                    ".globl f\nf: tbz x1, #3, g\n.zero 40000\n.section .text.g,\"ax\",@progbits\n"
                    ".globl g\ng: ret\n",
                    NULL, &out, &err),
        ST_LINK);
    CHECK_STR(err.text, "reference to g is out of range (relocation type 279)");
}

static void alignment_of_sections_is_kept(void)
{
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(
        object_link(ARCH_X86_64, "assembler",
                    ".globl a\n.type a,@function\na: ret\n"
                    ".section .text.x,\"ax\",@progbits\n.p2align 6\n.globl b\n.type b,@function\n"
                    "b: leaq k(%rip), %rax\nret\n.size b, .-b\n"
                    ".section .rodata,\"a\",@progbits\n.byte 1\n"
                    ".section .rodata.cst16,\"aM\",@progbits,16\n.p2align 4\nk: .quad 5, 6\n",
                    NULL, &out, &err),
        ST_OK);
    CHECK_STR(err.text, "");
    CHECK_EQ(object_symbol(&out, "b")->code_off, 64);
    CHECK_EQ(out.code.data[out.const_off + 16], 5);
    CHECK_EQ(out.code.data[1], 0xcc);
    CHECK_EQ((int32_t)word_at(&out, 67), (int32_t)(out.const_off + 16 - 71));
    link_output_done(&out);
}

/* Every byte of an object changed in three ways: an error or another blob, never a fault. */
static void damaged_objects_do_no_harm(void)
{
    static const uint32_t archs[] = {ARCH_X86_64, ARCH_AARCH64};
    static const uint8_t masks[] = {0xff, 0x01, 0x80};
    for (size_t i = 0; i < 2; i++) {
        struct link_object o = object_make(archs[i], "c", part_two);
        uint8_t *bytes = malloc(o.len);
        for (size_t at = 0; at < o.len * 3; at++) {
            memcpy(bytes, o.bytes, o.len);
            bytes[at / 3] ^= masks[at % 3];
            struct link_output out = {0};
            struct link_object bad = {bytes, o.len};
            if (link_objects(archs[i], &bad, 1, &out, NULL) == ST_OK)
                link_output_done(&out);
        }
        for (size_t len = 0; len < o.len; len++) {
            struct link_output out = {0};
            uint8_t *cut = malloc(len + 1);
            memcpy(cut, o.bytes, len);
            CHECK(link_objects(archs[i], &(struct link_object){cut, len}, 1, &out, NULL) != ST_OK);
            free(cut);
        }
        free(bytes);
        object_free(o);
    }
}

static void an_object_of_another_architecture_is_refused(void)
{
    struct link_object o = object_make(ARCH_AARCH64, "c", "int f(void) { return 1; }");
    struct link_output out = {0};
    struct error err = {0};
    CHECK_EQ(link_objects(ARCH_X86_64, &o, 1, &out, &err), ST_CORRUPT);
    CHECK_STR(err.text, "object file: made for another architecture");
    object_free(o);
}

int main(void)
{
    RUN(functions_of_two_objects_call_each_other);
    RUN(cold_sections_stand_behind_hot_ones_and_constants_behind_code);
    RUN(line_numbers_become_wasm_offsets);
    RUN(what_is_missing_or_double_is_named);
    RUN(what_the_loader_would_have_to_do_is_refused);
    RUN(global_offset_table_loads_become_addresses);
    RUN(aarch64_addresses_are_put_into_instructions);
    RUN(a_branch_that_does_not_reach_is_refused);
    RUN(alignment_of_sections_is_kept);
    RUN(damaged_objects_do_no_harm);
    RUN(an_object_of_another_architecture_is_refused);
    return CHECK_DONE();
}
