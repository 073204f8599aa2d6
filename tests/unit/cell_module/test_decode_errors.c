/* What the decoder refuses, and in which words. */
#include "cell/module/image.h"
#include "check.h"
#include "hex.h"
#include "samples.h"

struct refusal {
    const char *hex; /* sections, or the whole file in the table of headers */
    feature_set_t features;
    status_t status;
    const char *text; /* the message begins with it */
};

static void refuse_bytes(const struct buf *b, const struct refusal *r)
{
    struct module *untouched = (struct module *)(uintptr_t)1, *m = untouched;
    struct error err = {0};
    status_t st = module_decode(b->data, b->len, r->features, &m, &err);

    if (st != r->status || err.code != st || strncmp(err.text, r->text, strlen(r->text)) != 0) {
        fprintf(stderr, "%s: %s \"%s\", not %s \"%s\"\n", r->hex, status_name(st), err.text,
                status_name(r->status), r->text);
        check_failures++;
    }
    CHECK(err.offset <= b->len || err.offset == ERROR_NO_OFFSET);
    if (st == ST_OK)
        module_free(m);
    else
        CHECK(m == untouched);
}

static void refuse(const struct refusal *r, size_t count, bool whole)
{
    for (size_t i = 0; i < count; i++) {
        struct buf b = {0};

        if (whole)
            hex_put(&b, r[i].hex);
        else
            hex_module(&b, r[i].hex);
        refuse_bytes(&b, &r[i]);
        buf_done(&b);
    }
}
#define REFUSE(table, whole) refuse(table, sizeof(table) / sizeof(*(table)), whole)

static void files_without_the_header_are_refused(void)
{
    static const struct refusal t[] = {
        {"", 0, ST_FORMAT, "unexpected end"},
        {"0061", 0, ST_FORMAT, "unexpected end"},
        {"7f454c46 01000000", 0, ST_FORMAT, "magic header not detected"},
        {"0061736d", 0, ST_FORMAT, "unexpected end"},
        {"0061736d 010000", 0, ST_FORMAT, "unexpected end"},
        {"0061736d 0d000100", 0, ST_FORMAT, "unknown binary version"},
    };
    REFUSE(t, true);
}

static void sections_out_of_order_or_bounds_are_refused(void)
{
    static const struct refusal t[] = {
        {"0e00", FEATURE_ALL, ST_FORMAT, "malformed section id"},
        {"8000", FEATURE_ALL, ST_FORMAT, "malformed section id"},
        {"0d0100", 0, ST_FORMAT, "malformed section id"},
        {"01", 0, ST_FORMAT, "unexpected end"},
        {"01050060", 0, ST_FORMAT, "length out of bounds"},
        {"01ffffffff0f", 0, ST_FORMAT, "length out of bounds"},
        {"0180808080 8000", 0, ST_FORMAT, "integer representation too long"},
        {"010100 010100", 0, ST_FORMAT, "unexpected content after last section"},
        {"030100 010100", 0, ST_FORMAT, "unexpected content after last section"},
        {"060100 0d0100", FEATURE_ALL, ST_FORMAT, "unexpected content after last section"},
        {"0d0100 050100", FEATURE_ALL, ST_FORMAT, "unexpected content after last section"},
        {"0a0100 0c0100", 0, ST_FORMAT, "unexpected content after last section"},
        {"01020000", 0, ST_FORMAT, "section size mismatch"},
        {"0000", 0, ST_FORMAT, "unexpected end"},
        {"000105", 0, ST_FORMAT, "length out of bounds"},
        {"000201ff", 0, ST_FORMAT, "malformed UTF-8 encoding"},
    };
    REFUSE(t, false);
}

static void malformed_types_are_refused(void)
{
    static const struct refusal t[] = {
        {"0104015f0000", 0, ST_FORMAT, "malformed function type"},
        {"010501e07f0000", 0, ST_FORMAT, "integer representation too long"},
        {"010501606a0000", 0, ST_FORMAT, "unexpected end of section or function"},
        {"0105016001 4000", 0, ST_FORMAT, "malformed value type"},
        {"0105016001 6900", FEATURE_ALL & ~(feature_set_t)FEATURE_EXCEPTIONS, ST_FORMAT,
         "malformed value type"},
        {"0102 01 60", 0, ST_FORMAT, "unexpected end of section or function"},
        {"0106 ffffffff0f 60", 0, ST_FORMAT, "unexpected end of section or function"},
    };
    REFUSE(t, false);
}

static void broken_imports_are_refused(void)
{
    static const struct refusal t[] = {
        {"0205 01 0000 05 00", FEATURE_ALL, ST_FORMAT, "malformed import kind"},
        {"0206 01 0000 04 0000", 0, ST_FORMAT, "malformed import kind"},
        {"0206 01 0000 80 0000", 0, ST_FORMAT, "malformed import kind"},
        {"0205 01 0000 00 00", 0, ST_INVALID, "unknown type 0"},
        {"0206 01 0000 03 7f 02", 0, ST_FORMAT, "malformed mutability"},
        {"0204 01 05 00 00", 0, ST_FORMAT, "length out of bounds"},
        {"0207 01 01c0 00 03 7f00", 0, ST_FORMAT, "malformed UTF-8 encoding"},
        {"020b 02 0000 02 0001 0000 02 0001", 0, ST_INVALID, "multiple memories"},
        {"0206 01 0000 02 0201", FEATURE_ALL, ST_INVALID, "shared memory must have maximum"},
    };
    REFUSE(t, false);
}

static void broken_tables_and_memories_are_refused(void)
{
    static const struct refusal t[] = {
        {"0404 01 7f 00 00", 0, ST_FORMAT, "malformed reference type"},
        {"0404 01 70 02 00", FEATURE_ALL, ST_FORMAT, "integer too large"},
        {"0405 01 70 81 00 00", 0, ST_FORMAT, "integer representation too long"},
        {"0405 01 70 01 02 01", 0, ST_INVALID, "size minimum must not be greater than maximum"},
        {"0407 01 70 00 81ade204", 0, ST_LIMIT, "table of 10000001 entries"},
        {"0503 01 02 00", 0, ST_FORMAT, "integer too large"},
        {"0503 01 04 00", FEATURE_ALL, ST_FORMAT, "integer too large"},
        {"0503 01 02 00", FEATURE_ALL, ST_INVALID, "shared memory must have maximum"},
        {"0505 01 00 818004", 0, ST_INVALID, "memory size must be at most 65536 pages (4GiB)"},
        {"0506 01 01 00 818004", 0, ST_INVALID, "memory size must be at most 65536 pages (4GiB)"},
        {"0504 01 01 02 01", 0, ST_INVALID, "size minimum must not be greater than maximum"},
        {"0505 02 0000 0000", 0, ST_INVALID, "multiple memories"},
    };
    REFUSE(t, false);
}

static void broken_tags_and_globals_are_refused(void)
{
    static const struct refusal t[] = {
        {"010401600000 0d03 01 01 00", FEATURE_ALL, ST_FORMAT, "malformed tag attribute"},
        {"010401600000 0d03 01 00 01", FEATURE_ALL, ST_INVALID, "unknown type 1"},
        {"01050160 00 017f 0d03 01 00 00", FEATURE_ALL, ST_INVALID, "non-empty tag result type"},
        {"0606 01 7f 02 41000b", 0, ST_FORMAT, "malformed mutability"},
        {"0606 01 7e 00 41000b", 0, ST_INVALID, "type mismatch"},
        {"0606 01 7f 00 23000b", 0, ST_INVALID, "unknown global"},
        {"060a 02 7f00 41000b 7f00 23000b", 0, ST_FORMAT, "unexpected end"},
        {"060b 02 7f00 41000b 7f00 23000b", 0, ST_INVALID, "unknown global"},
    };
    REFUSE(t, false);
}

static void broken_exports_and_start_functions_are_refused(void)
{
    static const struct refusal t[] = {
        {"0705 01 0162 05 00", FEATURE_ALL, ST_FORMAT, "malformed export kind"},
        {"0705 01 0162 04 00", 0, ST_FORMAT, "malformed export kind"},
        {"0705 01 0162 04 00", FEATURE_ALL, ST_INVALID, "unknown tag 0"},
        {"0705 01 0162 00 00", 0, ST_INVALID, "unknown function 0"},
        {"0705 01 0162 01 00", 0, ST_INVALID, "unknown table 0"},
        {"0705 01 0162 02 00", 0, ST_INVALID, "unknown memory 0"},
        {"0705 01 0162 03 00", 0, ST_INVALID, "unknown global 0"},
        {"0503010001 0709 02 0161 0200 0161 0200", 0, ST_INVALID, "duplicate export name"},
        {"080100", 0, ST_INVALID, "unknown function 0"},
        {"0105016000017f 03020100 080100 0a06010400 41000b", 0, ST_INVALID, "start function"},
        {"0105016001 7f00 03020100 080100 0a040102000b", 0, ST_INVALID, "start function"},
    };
    REFUSE(t, false);
}

#define ONE_FUNC "010401600000 03020100 "
#define ONE_TABLE "0404 01 70 00 05 "

static void broken_element_segments_are_refused(void)
{
    static const struct refusal t[] = {
        {"0904 01 08 00 00", 0, ST_FORMAT, "malformed elements segment kind"},
        {"0906 01 00 41000b 00", 0, ST_INVALID, "unknown table 0"},
        {ONE_TABLE "0909 01 02 01 41000b 00 00 00", 0, ST_INVALID, "unknown table 1"},
        {"0904 01 01 01 00", 0, ST_FORMAT, "malformed element kind"},
        {"0904 01 05 7f 00", 0, ST_FORMAT, "malformed reference type"},
        {"0905 01 01 00 01 07", 0, ST_INVALID, "unknown function 7"},
        {"0407 02 6f 00 01 70 00 01 0907 01 00 41000b 00 00", 0, ST_INVALID, "type mismatch"},
        {"0404 01 70 00 01 0906 01 00 42000b 00", 0, ST_INVALID, "type mismatch"},
        {"0907 01 05 70 01 d06f 0b", 0, ST_INVALID, "type mismatch"},
        {"0904 01 01 00 7f", 0, ST_FORMAT, "unexpected end of section or function"},
    };
    REFUSE(t, false);
}

static void broken_data_segments_are_refused(void)
{
    static const struct refusal t[] = {
        {"0b03 01 03 00", 0, ST_FORMAT, "malformed data segment kind"},
        {"0b06 01 00 41000b 00", 0, ST_INVALID, "unknown memory 0"},
        {"0503010001 0b07 01 02 01 41000b 00", 0, ST_INVALID, "unknown memory 1"},
        {"0503010001 0b06 01 00 42000b 00", 0, ST_INVALID, "type mismatch"},
        {"0b04 01 01 05 61", 0, ST_FORMAT, "unexpected end of section or function"},
        {"0c0103 0b0502 0100 0100", 0, ST_FORMAT, "data count and data section have inconsistent"},
        {"0c0101", 0, ST_FORMAT, "data count and data section have inconsistent"},
        {"0c04a18d0601", 0, ST_LIMIT, "too many data segments"},
    };
    REFUSE(t, false);
}

static void broken_code_is_refused(void)
{
    static const struct refusal t[] = {
        {ONE_FUNC, 0, ST_FORMAT, "function and code section have inconsistent lengths"},
        {ONE_FUNC "0a0100", 0, ST_FORMAT, "function and code section have inconsistent lengths"},
        {"0a040102000b", 0, ST_FORMAT, "function and code section have inconsistent lengths"},
        {ONE_FUNC "0a040105000b", 0, ST_FORMAT, "unexpected end of section or function"},
        {ONE_FUNC "0a0301 0101", 0, ST_FORMAT, "unexpected end of section or function"},
        {ONE_FUNC "0a0601 0401 017a 0b", 0, ST_FORMAT, "malformed value type"},
        {ONE_FUNC "0a0c010a 02 ffffffff0f7f 027e 0b", 0, ST_FORMAT, "too many locals"},
        {ONE_FUNC "0a080106 01 d186037f 0b", 0, ST_LIMIT, "too many locals: 50001"},
        {ONE_FUNC "0a080106 01 d0860340 0b", 0, ST_FORMAT, "malformed value type"},
    };
    REFUSE(t, false);
}

static void counts_over_their_limits_are_refused(void)
{
    struct buf content = {0}, b = {0};
    struct refusal tables = {"101 tables", 0, ST_LIMIT, "too many tables: 101"};
    struct refusal mems = {"17 memories", FEATURE_ALL, ST_LIMIT, "too many memories: 17"};
    struct refusal params = {"1001 parameters", 0, ST_LIMIT, "too many parameters: 1001"};

    hex_module(&b, "");
    buf_leb_u32(&content, 101);
    for (int i = 0; i < 101; i++)
        hex_put(&content, "700000");
    hex_section(&b, 4, &content);
    refuse_bytes(&b, &tables);

    b.len = content.len = 0;
    hex_module(&b, "");
    hex_put(&content, "11");
    buf_fill(&content, 0, 34);
    hex_section(&b, 5, &content);
    refuse_bytes(&b, &mems);

    b.len = content.len = 0;
    hex_module(&b, "");
    hex_put(&content, "0160");
    buf_leb_u32(&content, 1001);
    buf_fill(&content, VT_I32, 1001);
    buf_u8(&content, 0);
    hex_section(&b, 1, &content);
    refuse_bytes(&b, &params);
    buf_done(&content);
    buf_done(&b);
}

static void imported_and_own_memories_share_a_limit(void)
{
    struct buf content = {0}, b = {0};
    struct refusal mems = {"9 + 8 memories", FEATURE_ALL, ST_LIMIT, "too many memories: 17"};
    struct refusal imports = {"17 imports", FEATURE_ALL, ST_LIMIT, "too many memories"};

    hex_module(&b, "");
    hex_put(&content, "09");
    for (int i = 0; i < 9; i++)
        hex_put(&content, "0000 02 0001");
    hex_section(&b, 2, &content);
    hex_put(&b, "0511 08 0000 0000 0000 0000 0000 0000 0000 0000");
    refuse_bytes(&b, &mems);

    b.len = content.len = 0;
    hex_module(&b, "");
    hex_put(&content, "11");
    for (int i = 0; i < 17; i++)
        hex_put(&content, "0000 02 0001");
    hex_section(&b, 2, &content);
    refuse_bytes(&b, &imports);
    buf_done(&content);
    buf_done(&b);
}

static void locals_of_all_functions_together_are_bounded(void)
{
    enum { FUNCS = 2000 }; /* of 50,000 locals each: 100 MB if they were expanded */
    struct buf content = {0}, b = {0};
    struct refusal r = {"many locals", 0, ST_LIMIT, "too many locals in all functions"};

    hex_module(&b, "010401600000");
    buf_leb_u32(&content, FUNCS);
    buf_fill(&content, 0, FUNCS);
    hex_section(&b, 3, &content);
    content.len = 0;
    buf_leb_u32(&content, FUNCS);
    for (int i = 0; i < FUNCS; i++)
        hex_put(&content, "06 01 d086037f 0b");
    hex_section(&b, 10, &content);
    refuse_bytes(&b, &r);
    buf_done(&content);
    buf_done(&b);
}

static void every_truncation_of_a_module_is_refused_or_shorter(void)
{
    for (size_t len = 0; len < sizeof(sample_all); len++) {
        uint8_t *copy = malloc(len + 1); /* of its own, so that a sanitizer sees the end */
        struct module *m = NULL;
        struct error err = {0};

        memcpy(copy, sample_all, len);
        uint8_t *tight = realloc(copy, len ? len : 1);
        status_t st = module_decode(tight, len, FEATURE_ALL, &m, &err);
        CHECK(st == ST_FORMAT || (st == ST_OK && m->custom_count == 0));
        if (st == ST_OK)
            module_free(m);
        free(tight);
    }
}

static void a_module_needs_each_feature_that_it_uses(void)
{
    static const enum feature needed[] = {FEATURE_THREADS, FEATURE_MULTI_MEMORY,
                                          FEATURE_EXCEPTIONS};

    for (size_t i = 0; i < 3; i++) {
        feature_set_t allowed = FEATURE_ALL & ~(feature_set_t)needed[i];
        struct module *m = NULL;

        allowed &= ~(feature_set_t)FEATURE_LEGACY_EXCEPTIONS;
        CHECK(module_decode(sample_all, sizeof(sample_all), allowed, &m, NULL) != ST_OK);
    }
}

int main(void)
{
    RUN(files_without_the_header_are_refused);
    RUN(sections_out_of_order_or_bounds_are_refused);
    RUN(malformed_types_are_refused);
    RUN(broken_imports_are_refused);
    RUN(broken_tables_and_memories_are_refused);
    RUN(broken_tags_and_globals_are_refused);
    RUN(broken_exports_and_start_functions_are_refused);
    RUN(broken_element_segments_are_refused);
    RUN(broken_data_segments_are_refused);
    RUN(broken_code_is_refused);
    RUN(counts_over_their_limits_are_refused);
    RUN(imported_and_own_memories_share_a_limit);
    RUN(locals_of_all_functions_together_are_bounded);
    RUN(every_truncation_of_a_module_is_refused_or_shorter);
    RUN(a_module_needs_each_feature_that_it_uses);
    return CHECK_DONE();
}
