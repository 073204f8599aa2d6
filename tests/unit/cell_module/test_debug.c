#include "cell/module/debug.h"
#include "check.h"
#include "hex.h"
#include "samples.h"

static bool name_is(struct name n, const char *text)
{
    return n.len == strlen(text) && memcmp(n.bytes, text, n.len) == 0;
}

/* ---- names ---- */

static void functions_have_the_names_of_the_name_section(void)
{
    struct module *m = NULL;
    struct arena a = {0};
    struct name *names = NULL;
    static const char *const expected[] = {"imp",  "init",    "leaf",   "run",    "tails",
                                           "decl", "atomics", "throws", "catches"};

    CHECK_EQ(module_decode(sample_all, sizeof(sample_all), FEATURE_ALL, &m, NULL), ST_OK);
    CHECK_EQ(module_func_names(m, &a, &names), ST_OK);
    for (uint32_t i = 0; i < 9; i++)
        CHECK(name_is(names[i], expected[i]));
    arena_done(&a);
    module_free(m);
}

/* Two imports ("m"."f" and "m"."g"), two functions, the first of which is exported as "run". */
static void check_names(const char *name_section, const char *const expected[4])
{
    struct buf b = {0}, content = {0};
    struct module *m = NULL;
    struct arena a = {0};
    struct name *names = NULL;

    hex_module(&b, "010401600000 020d 02 016d 0166 0000 016d 0167 0000"
                   "0303020000 0707 01 0372756e 0002 0a0702 02000b 02000b");
    if (name_section) {
        hex_put(&content, name_section);
        hex_custom(&b, "name", content.data, content.len);
    }
    CHECK_EQ(module_decode(b.data, b.len, 0, &m, NULL), ST_OK);
    if (m) {
        CHECK_EQ(module_func_names(m, &a, &names), ST_OK);
        for (uint32_t i = 0; i < 4; i++)
            CHECK(name_is(names[i], expected[i]));
    }
    arena_done(&a);
    module_free(m);
    buf_done(&content);
    buf_done(&b);
}

static void functions_without_names_have_those_of_imports_and_exports(void)
{
    static const char *const expected[] = {"m.f", "m.g", "run", ""};

    check_names(NULL, expected);
}

static void names_before_the_fault_of_a_broken_section_count(void)
{
    static const char *const whole[] = {"a", "b", "run", "c"};
    static const char *const until_fault[] = {"a", "m.g", "run", ""};

    check_names("000201 6d 010a 03 000161 010162 030163", whole);
    check_names("010a 03 000161 0101ff 030163", until_fault); /* not UTF-8 */
    check_names("0105 03 000161 01", until_fault);            /* short */
    check_names("0107 03 000161 01ffff", until_fault);        /* length */
}

static void names_of_functions_that_do_not_exist_are_ignored(void)
{
    static const char *const expected[] = {"m.f", "m.g", "run", "x"};

    check_names("010b 02 ffffffff0f0161 030178", expected);
}

/* ---- lines ---- */

static void line_of(const struct line_table *t, uint64_t off, uint32_t line)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < t->row_count && t->rows[i].off <= off; i++)
        found = t->rows[i].line;
    CHECK_EQ(found, line);
}

static void check_compiled(const uint8_t *bytes, size_t len, const char *path)
{
    struct module *m = NULL;
    struct arena a = {0};
    struct line_table t = {0};

    CHECK_EQ(module_decode(bytes, len, FEATURE_ALL, &m, NULL), ST_OK);
    CHECK_EQ(module_line_table(m, &a, &t), ST_OK);
    CHECK_EQ(t.file_count, 1);
    CHECK(name_is(t.files[0], path));
    CHECK_EQ(t.rows[0].off, m->code_off + 2);
    line_of(&t, m->funcs[0].body_off, 3);
    line_of(&t, m->code_off + 0xb, 5);
    line_of(&t, m->funcs[1].body_off, 13);
    line_of(&t, m->code_off + 0x91, 11);
    CHECK_EQ(t.rows[t.row_count - 1].line, 0);
    CHECK_EQ(t.rows[t.row_count - 1].off, m->code_off + 0x95);
    arena_done(&a);
    module_free(m);
}

static void lines_of_compiled_code_are_found_in_version_4(void)
{
    check_compiled(sample_lines4, sizeof(sample_lines4), "a.c");
}

static void lines_of_compiled_code_are_found_in_version_5(void)
{
    check_compiled(sample_lines5, sizeof(sample_lines5), "/src/app/a.c");
}

static void a_module_without_debug_sections_has_no_lines(void)
{
    struct module *m = NULL;
    struct arena a = {0};
    struct line_table t = {.row_count = 7};

    CHECK_EQ(module_decode(sample_all, sizeof(sample_all), FEATURE_ALL, &m, NULL), ST_OK);
    CHECK_EQ(module_line_table(m, &a, &t), ST_OK);
    CHECK_EQ(t.row_count, 0);
    CHECK_EQ(t.file_count, 0);
    arena_done(&a);
    module_free(m);
}

/* A module with one function, whose code section has content from 0x00 to 0x40, and debug sections. */
struct unit {
    struct buf module;
    struct module *m;
    struct arena a;
    struct line_table t;
};

static void unit_read(struct unit *u, const struct buf *line, const struct buf *line_str,
                      const struct buf *str)
{
    struct buf body = {0};

    *u = (struct unit){0};
    hex_module(&u->module, "010401600000 03020100");
    hex_put(&body, "01 3e 00");
    buf_fill(&body, 1, 0x3c); /* nop */
    buf_u8(&body, 0x0b);
    hex_section(&u->module, 10, &body);
    hex_custom(&u->module, ".debug_line", line->data, line->len);
    if (line_str)
        hex_custom(&u->module, ".debug_line_str", line_str->data, line_str->len);
    if (str)
        hex_custom(&u->module, ".debug_str", str->data, str->len);
    CHECK_EQ(module_decode(u->module.data, u->module.len, 0, &u->m, NULL), ST_OK);
    CHECK_EQ(module_line_table(u->m, &u->a, &u->t), ST_OK);
    buf_done(&body);
}

static void unit_done(struct unit *u)
{
    arena_done(&u->a);
    module_free(u->m);
    buf_done(&u->module);
}

/* Append a unit: version, tables (behind the opcode lengths) and program in hexadecimal. */
static void put_unit(struct buf *line, unsigned version, bool is_64, const char *tables,
                     const char *program)
{
    struct buf header = {0}, rest = {0};

    hex_put(&header, version >= 4 ? "01 01" : "01"); /* smallest instruction, operations */
    hex_put(&header, "01 fb 0e 0d 000101010100000001 000001");
    hex_put(&header, tables);
    buf_le16(&rest, (uint16_t)version);
    hex_put(&rest, version >= 5 ? "0400" : "");
    if (is_64)
        buf_le64(&rest, header.len);
    else
        buf_le32(&rest, (uint32_t)header.len);
    buf_bytes(&rest, header.data, header.len);
    hex_put(&rest, program);
    if (is_64) {
        buf_le32(line, UINT32_MAX);
        buf_le64(line, rest.len);
    } else {
        buf_le32(line, (uint32_t)rest.len);
    }
    buf_bytes(line, rest.data, rest.len);
    buf_done(&header);
    buf_done(&rest);
}

/* Directory "d" and files "a", "b" in it; b's directory is absolute in none. */
#define TABLES4 "6400 00 6100 010000 6200 000000 00"
/* From address 3: line 10 for 4 bytes, line 12, end at 0x20. */
#define PROGRAM "000502 03000000 0309 01 0304 0204 01 0219 000101"

static void row_is(const struct line_table *t, uint32_t i, uint64_t address, uint32_t line)
{
    CHECK(i < t->row_count);
    if (i < t->row_count) {
        CHECK_EQ(t->rows[i].line, line);
        CHECK_EQ(t->rows[i].off - t->rows[0].off, address - 3);
    }
}

static void versions_2_to_4_number_files_from_one(void)
{
    for (unsigned version = 2; version <= 4; version++) {
        struct buf line = {0};
        struct unit u;

        put_unit(&line, version, false, TABLES4, PROGRAM);
        unit_read(&u, &line, NULL, NULL);
        CHECK_EQ(u.t.row_count, 3);
        CHECK_EQ(u.t.file_count, 1);
        CHECK(u.t.file_count == 1 && name_is(u.t.files[0], "d/a"));
        CHECK(u.t.row_count == 3 && u.t.rows[0].off == u.m->code_off + 3);
        row_is(&u.t, 0, 3, 10);
        row_is(&u.t, 1, 7, 14);
        row_is(&u.t, 2, 0x20, 0);
        unit_done(&u);
        buf_done(&line);
    }
}

static void offsets_of_64_bits_are_read(void)
{
    struct buf line = {0};
    struct unit u;

    put_unit(&line, 4, true, TABLES4, PROGRAM);
    unit_read(&u, &line, NULL, NULL);
    CHECK_EQ(u.t.row_count, 3);
    unit_done(&u);
    buf_done(&line);
}

static void version_5_reads_all_forms(void)
{
    struct buf line = {0}, line_strs = {0}, strs = {0};
    struct unit u;

    put_unit(&line, 5, false,
             "01 01 1f 02 00000000 05000000" /* directories: line_strp "/top", "sub" */
             "07 01 0e 02 0b 05 1e 03 0f 04 06 8140 09 8240 05" /* strp data1 md5 udata data4 ... */
             "02"
             "00000000 00 00112233445566778899aabbccddeeff 05 01000000 03aabbcc 0100"
             "03000000 01 00112233445566778899aabbccddeeff 05 01000000 00 0100",
             PROGRAM);
    buf_bytes(&line_strs, "/top\0sub", 9);
    buf_bytes(&strs, "x.\0y.c", 7);
    unit_read(&u, &line, &line_strs, &strs);
    CHECK_EQ(u.t.row_count, 3);
    CHECK(u.t.file_count == 1 && name_is(u.t.files[0], "/top/sub/y.c"));
    unit_done(&u);
    unit_read(&u, &line, &line_strs, NULL);
    CHECK_EQ(u.t.row_count, 0); /* the offsets are out of bounds now */
    unit_done(&u);
    buf_done(&strs);
    buf_done(&line_strs);
    buf_done(&line);
}

static void every_standard_and_extended_opcode_is_stepped_over(void)
{
    struct buf line = {0};
    struct unit u;

    put_unit(&line, 4, false, TABLES4,
             "000502 03000000"       /* set_address */
             "0309 01"               /* advance_line 9, copy: 3, line 10 */
             "0503 06 07 0a 0b 0c01" /* column, negate, block, prologue and epilogue, isa */
             "08"                    /* const_add_pc: (255 - 13) / 14 = 17 bytes */
             "0402 01"               /* set_file 2, copy: 0x14 */
             "09 0200"               /* fixed_advance_pc 2 */
             "4b"                    /* special 75 - 13 = 62: 4 bytes, line -5 + 6: 0x1a, 11 */
             "0006 03 6500 000000"   /* define_file "e" */
             "0002 80 01"            /* an unknown extended opcode */
             "0403 01"               /* set_file 3, copy */
             "0202 000101");         /* advance_pc 2, end_sequence */
    unit_read(&u, &line, NULL, NULL);
    CHECK_EQ(u.t.file_count, 3);
    CHECK(u.t.file_count == 3 && name_is(u.t.files[1], "b") && name_is(u.t.files[2], "e"));
    row_is(&u.t, 0, 3, 10);
    row_is(&u.t, 1, 0x14, 10);
    row_is(&u.t, 2, 0x1a, 11);
    row_is(&u.t, 3, 0x1c, 0);
    unit_done(&u);
    buf_done(&line);
}

static void sequences_are_sorted_and_removed_code_is_left_out(void)
{
    struct buf line = {0};
    struct unit u;

    put_unit(&line, 4, false, TABLES4,
             "000502 20000000 0313 01 0204 000101"               /* 0x20: line 20 */
             "000502 00000000 0301 01 0204 000101"               /* 0: removed */
             "000502 ffffffff 0301 01 0204 000101"               /* removed */
             "000502 21000000 0302 01 0204 000101"               /* overlaps the first */
             "000502 03000000 0309 01 0204 000101"               /* 3: line 10 */
             "000502 10000000 0309 01 000502 08000000 01 000101" /* goes back */
             "000502 38000000 01 02ff01 000101");                /* ends behind the code */
    unit_read(&u, &line, NULL, NULL);
    CHECK_EQ(u.t.row_count, 4);
    row_is(&u.t, 0, 3, 10);
    row_is(&u.t, 1, 7, 0);
    row_is(&u.t, 2, 0x20, 20);
    row_is(&u.t, 3, 0x24, 0);
    unit_done(&u);
    buf_done(&line);
}

static void files_of_several_units_are_kept_once(void)
{
    struct buf line = {0};
    struct unit u;

    put_unit(&line, 4, false, TABLES4, "000502 03000000 0309 01 0204 000101");
    put_unit(&line, 3, false, TABLES4, "000502 10000000 0309 01 0204 000101");
    put_unit(&line, 4, false, TABLES4, "000502 20000000 0402 01 0204 000101");
    unit_read(&u, &line, NULL, NULL);
    CHECK_EQ(u.t.file_count, 2);
    CHECK_EQ(u.t.row_count, 6);
    CHECK(u.t.row_count == 6 && u.t.rows[2].file == u.t.rows[0].file);
    unit_done(&u);
    buf_done(&line);
}

static void units_of_unknown_versions_are_skipped(void)
{
    struct buf line = {0};
    struct unit u;

    put_unit(&line, 6, false, "", "ff");
    put_unit(&line, 4, false, TABLES4, PROGRAM);
    unit_read(&u, &line, NULL, NULL);
    CHECK_EQ(u.t.row_count, 3);
    unit_done(&u);
    buf_done(&line);
}

static void a_broken_unit_leaves_an_empty_table(void)
{
    static const char *const tables5[] = {
        "00 05",                         /* entries without a form */
        "01 01 08 ffffffffffffff7f",     /* more entries than bytes */
        "01 01 77 01 00 00 00",          /* unknown form */
        "01 01 1f 01 99000000 00 00",    /* string offset */
        "01 01 09 01 ffffffffff7f 0000", /* block length */
    };
    static const char *const programs[] = {"00", "000002", "0005ff", "0003020000", "02", "09ff"};
    struct buf line = {0};
    struct unit u;

    for (size_t i = 0; i < sizeof(tables5) / sizeof(*tables5); i++) {
        line.len = 0;
        put_unit(&line, 4, false, TABLES4, PROGRAM);
        put_unit(&line, 5, false, tables5[i], "");
        unit_read(&u, &line, NULL, NULL);
        CHECK_EQ(u.t.row_count, 0);
        unit_done(&u);
    }
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
        line.len = 0;
        put_unit(&line, 4, false, TABLES4, programs[i]);
        unit_read(&u, &line, NULL, NULL);
        CHECK_EQ(u.t.row_count, 0);
        unit_done(&u);
    }
    buf_done(&line);
}

static void paths_become_utf_8(void)
{
    struct buf line = {0};
    struct unit u;

    put_unit(&line, 4, false, "00 ff6100 000000 00", PROGRAM);
    unit_read(&u, &line, NULL, NULL);
    CHECK(u.t.file_count == 1 && name_is(u.t.files[0], "?a"));
    unit_done(&u);
    buf_done(&line);
}

/* Results are given only when all memory could be had. */
static void running_out_of_memory_leaves_results_untouched(void)
{
    struct module *m = NULL;
    status_t names_st = ST_NOMEM, lines_st = ST_NOMEM;

    CHECK_EQ(module_decode(sample_lines5, sizeof(sample_lines5), FEATURE_ALL, &m, NULL), ST_OK);
    for (size_t limit = 1; limit < 4096 && (names_st != ST_OK || lines_st != ST_OK); limit += 8) {
        struct arena a = {.limit_bytes = limit}, b = {.limit_bytes = limit};
        struct name *names = NULL;
        struct line_table t = {.row_count = 7};

        names_st = module_func_names(m, &a, &names);
        CHECK_EQ(names != NULL, names_st == ST_OK);
        lines_st = module_line_table(m, &b, &t);
        CHECK(lines_st == ST_OK || (lines_st == ST_NOMEM && t.row_count == 7));
        arena_done(&a);
        arena_done(&b);
    }
    CHECK_EQ(names_st, ST_OK);
    CHECK_EQ(lines_st, ST_OK);
    module_free(m);
}

int main(void)
{
    RUN(functions_have_the_names_of_the_name_section);
    RUN(functions_without_names_have_those_of_imports_and_exports);
    RUN(names_before_the_fault_of_a_broken_section_count);
    RUN(names_of_functions_that_do_not_exist_are_ignored);
    RUN(lines_of_compiled_code_are_found_in_version_4);
    RUN(lines_of_compiled_code_are_found_in_version_5);
    RUN(a_module_without_debug_sections_has_no_lines);
    RUN(versions_2_to_4_number_files_from_one);
    RUN(offsets_of_64_bits_are_read);
    RUN(version_5_reads_all_forms);
    RUN(every_standard_and_extended_opcode_is_stepped_over);
    RUN(sequences_are_sorted_and_removed_code_is_left_out);
    RUN(files_of_several_units_are_kept_once);
    RUN(units_of_unknown_versions_are_skipped);
    RUN(a_broken_unit_leaves_an_empty_table);
    RUN(paths_become_utf_8);
    RUN(running_out_of_memory_leaves_results_untouched);
    return CHECK_DONE();
}
