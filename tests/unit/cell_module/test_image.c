#include "cell/module/image.h"
#include "check.h"

/* A module with an import, two functions and a memory, encoded with made-up tables that fill every section. */
static const uint8_t wasm[] = {
    0x00, 'a', 's',  'm',  1,   0,    0,   0,    1, 9, 2,    0x60, 1,
    0x7f, 1,   0x7f, 0x60, 0,   0,                  /* types: (i32) -> i32, () -> () */
    2,    7,   1,    1,    'e', 1,    'f', 0,    1, /* import e.f: type 1 */
    3,    3,   2,    0,    0,                       /* functions of type 0 */
    5,    4,   1,    1,    40,  50,                 /* memory of 40 to 50 pages */
    7,    5,   1,    1,    'g', 0,    1,            /* export g: function 1 */
    10,   11,  2,    4,    0,   0x20, 0,   0x0b, 4, 0, 0x20, 0,    0x0b, /* code: local.get 0 */
};

enum { CODE_LEN = 65536 + 48, RUN_PAGES = 24 };

struct sample {
    struct module *module;
    struct buf head;
    uint8_t *code;
    uint8_t *memory;
    struct image img;
    struct buf file;
};

static const uint32_t func_code[] = {0x40, 0x10, 0x20};
static const uint32_t func_twin[] = {0, 0, 0x28};
static const uint32_t type_entry[] = {0x60, 0x80};
static const struct image_range ranges[] = {
    {0x10, 0x10, 1}, {0x20, 0x18, 2}, {0x40, 0x20, IMAGE_NO_FUNC}, {0x60, 0x40, IMAGE_NO_FUNC}};
static const struct image_unwind unwinds[] = {
    {0, 0, 0, 0, 2}, {0x10, 8, -8, IMAGE_REG_SAME, 0}, {0x11, 16, -8, -16, 1}, {0xa0, 0, 0, 0, 2}};
static const struct image_site sites[] = {{0x10, 100}, {0x14, 0}, {0x20, 200}, {0x38, 0}};
static const struct name names[] = {{"imported", 8}, {"", 0}, {"second", 6}};
static const struct name files[] = {{"dir/a.c", 7}, {"b.c", 3}};
static const struct line_row lines[] = {{90, 0, 5}, {120, 1, 7}, {130, 0, 0}, {190, 9, 3}};

static void sample_make(struct sample *s)
{
    struct error err = {0};
    *s = (struct sample){0};
    CHECK_EQ(module_decode(wasm, sizeof wasm, FEATURE_ALL, &s->module, &err), ST_OK);
    CHECK_STR(err.text, "");
    CHECK_EQ(image_head_make(s->module, true, &s->head), ST_OK);
    s->code = calloc(1, CODE_LEN);
    s->memory = calloc(RUN_PAGES, WASM_PAGE_BYTES);
    for (size_t i = 0; i < CODE_LEN; i++)
        s->code[i] = (uint8_t)(i * 7);
    s->memory[WASM_PAGE_BYTES + 5] = 1;      /* page 1 */
    s->memory[4 * WASM_PAGE_BYTES] = 2;      /* page 4, with it in one run */
    s->memory[22 * WASM_PAGE_BYTES - 1] = 3; /* page 21, behind 16 zero pages */
    struct image_memory_run *run = calloc(1, sizeof *run);
    run->guest_off = 8 * WASM_PAGE_BYTES;
    run->len = (uint64_t)RUN_PAGES * WASM_PAGE_BYTES;
    run->bytes = s->memory;
    s->img = (struct image){
        .options = {LEVEL_X86_64_V3, NAN_CANONICAL, .opt_level = 2, .no_polls = 1},
        .module_hash = {1, 2, 3},
        .module_len = sizeof wasm,
        .compiler = "test 1.0",
        .features = FEATURE_TAIL_CALL,
        .head = s->head.data,
        .head_len = s->head.len,
        .code = s->code,
        .code_len = CODE_LEN,
        .const_off = 65536,
        .func_code = func_code,
        .func_twin = func_twin,
        .func_count = 3,
        .type_entry = type_entry,
        .type_count = 2,
        .ranges = ranges,
        .range_count = 4,
        .unwinds = unwinds,
        .unwind_count = 4,
        .sites = sites,
        .site_count = 4,
        .func_names = names,
        .files = files,
        .file_count = 2,
        .lines = lines,
        .line_count = 4,
        .runs = run,
        .run_count = 1,
        .datas_applied = true,
        .counts = {1, 2, 3, 4},
    };
    CHECK_EQ(image_encode(&s->img, &s->file, &err), ST_OK);
    CHECK_STR(err.text, "");
}

static void sample_free(struct sample *s)
{
    free((void *)(uintptr_t)s->img.runs);
    free(s->code);
    free(s->memory);
    buf_done(&s->head);
    buf_done(&s->file);
    module_free(s->module);
}

static struct image *decode(const struct sample *s)
{
    struct image *img = NULL;
    struct error err = {0};
    CHECK_EQ(image_decode(s->file.data, s->file.len, &img, &err), ST_OK);
    CHECK_STR(err.text, "");
    if (!img)
        exit(1);
    return img;
}

/* The status of decoding what is in *s now; the text in *err. */
static status_t decode_status(const struct sample *s, size_t len, struct error *err)
{
    struct image *img = NULL;
    *err = (struct error){0};
    status_t st = image_decode(s->file.data, len, &img, err);
    CHECK((st == ST_OK) == (img != NULL));
    image_free(img);
    return st;
}

static void what_is_encoded_comes_back(void)
{
    struct sample s;
    sample_make(&s);
    struct image *img = decode(&s);
    CHECK_EQ(memcmp(&img->options, &s.img.options, sizeof img->options), 0);
    CHECK_EQ(memcmp(img->module_hash, s.img.module_hash, SHA256_BYTES), 0);
    CHECK_EQ(img->module_len, sizeof wasm);
    CHECK_STR(img->compiler, "test 1.0");
    CHECK_EQ(img->features, FEATURE_TAIL_CALL);
    CHECK_EQ(img->head_len, s.head.len);
    CHECK_EQ(memcmp(img->head, s.head.data, s.head.len), 0);
    CHECK_EQ(img->module->func_count, 3);
    CHECK_EQ(img->module->export_count, 1);
    CHECK_EQ(img->code_len, CODE_LEN);
    CHECK_EQ(memcmp(img->code, s.code, CODE_LEN), 0);
    CHECK_EQ(img->code_file_off % 65536, 0);
    CHECK_EQ(memcmp(s.file.data + img->code_file_off, s.code, CODE_LEN), 0);
    CHECK_EQ(img->const_off, 65536);
    CHECK_EQ(memcmp(img->func_code, func_code, sizeof func_code), 0);
    CHECK_EQ(memcmp(img->func_twin, func_twin, sizeof func_twin), 0);
    CHECK_EQ(memcmp(img->type_entry, type_entry, sizeof type_entry), 0);
    CHECK_EQ(img->datas_applied, true);
    CHECK_EQ(memcmp(&img->counts, &s.img.counts, sizeof img->counts), 0);
    image_free(img);
    sample_free(&s);
}

static void memory_runs_leave_out_zero_pages(void)
{
    struct sample s;
    sample_make(&s);
    struct image *img = decode(&s);
    CHECK_EQ(img->run_count, 2);
    CHECK_EQ(img->runs[0].guest_off, 9 * WASM_PAGE_BYTES);
    CHECK_EQ(img->runs[0].len, 4 * WASM_PAGE_BYTES);
    CHECK_EQ(img->runs[1].guest_off, 29 * WASM_PAGE_BYTES);
    CHECK_EQ(img->runs[1].len, WASM_PAGE_BYTES);
    for (uint32_t i = 0; i < img->run_count; i++) {
        const struct image_memory_run *r = &img->runs[i];
        CHECK_EQ(r->file_off % 65536, 0);
        CHECK(r->bytes == s.file.data + r->file_off);
        CHECK_EQ(memcmp(r->bytes, s.memory + (r->guest_off - 8 * WASM_PAGE_BYTES), r->len), 0);
    }
    image_free(img);
    sample_free(&s);
}

static void runs_near_each_other_become_one_mapping(void)
{
    struct sample s;
    sample_make(&s);
    struct image_memory_run runs[] = {
        {0, 2 * WASM_PAGE_BYTES, WASM_PAGE_BYTES, 0, s.memory + WASM_PAGE_BYTES},
        {0, 4 * WASM_PAGE_BYTES, 2 * WASM_PAGE_BYTES, 0, s.memory + 4 * WASM_PAGE_BYTES},
        {0, 39 * WASM_PAGE_BYTES, WASM_PAGE_BYTES, 0, s.memory + WASM_PAGE_BYTES},
    };
    free((void *)(uintptr_t)s.img.runs);
    s.img.runs = runs;
    s.img.run_count = 3;
    s.file.len = 0;
    CHECK_EQ(image_encode(&s.img, &s.file, NULL), ST_OK);
    struct image *img = decode(&s);
    CHECK_EQ(img->run_count, 2);
    CHECK_EQ(img->runs[0].guest_off, 2 * WASM_PAGE_BYTES);
    CHECK_EQ(img->runs[0].len, 3 * WASM_PAGE_BYTES);
    CHECK_EQ(img->runs[0].bytes[5], 1);
    CHECK_EQ(img->runs[0].bytes[WASM_PAGE_BYTES + 5], 0);
    CHECK_EQ(img->runs[0].bytes[2 * WASM_PAGE_BYTES], 2);
    CHECK_EQ(img->runs[1].guest_off, 39 * WASM_PAGE_BYTES);
    CHECK_EQ(img->runs[1].bytes[5], 1);
    image_free(img);
    s.img.runs = NULL;
    sample_free(&s);
}

static void look_ups_find_the_row_that_covers_an_offset(void)
{
    struct sample s;
    sample_make(&s);
    struct image *img = decode(&s);
    CHECK(image_range_find(img, 0xf) == NULL);
    CHECK_EQ(image_range_find(img, 0x10)->func, 1);
    CHECK_EQ(image_range_find(img, 0x37)->func, 2);
    CHECK(image_range_find(img, 0x38) == NULL);
    CHECK_EQ(image_range_find(img, 0x9f)->func, IMAGE_NO_FUNC);
    CHECK(image_range_find(img, 0xa0) == NULL);
    CHECK_EQ(image_unwind_find(img, 0)->cfa_reg, 2);
    CHECK_EQ(image_unwind_find(img, 0x10)->fp_add, IMAGE_REG_SAME);
    CHECK_EQ(image_unwind_find(img, 0x9f)->cfa_add, 16);
    CHECK(image_unwind_find(img, 65536) == NULL);
    CHECK_EQ(image_wasm_off_find(img, 0xf), 0);
    CHECK_EQ(image_wasm_off_find(img, 0x13), 100);
    CHECK_EQ(image_wasm_off_find(img, 0x14), 0);
    CHECK_EQ(image_wasm_off_find(img, 0x37), 200);
    CHECK(image_line_find(img, 89) == NULL);
    CHECK_EQ(image_line_find(img, 90)->line, 5);
    CHECK_EQ(image_line_find(img, 129)->file, 1);
    CHECK(image_line_find(img, 150) == NULL);
    CHECK(image_line_find(img, 200) == NULL);
    CHECK_EQ(image_func_name(img, 0).len, 8);
    CHECK_EQ(image_func_name(img, 1).len, 0);
    CHECK_EQ(memcmp(image_func_name(img, 2).bytes, "second", 6), 0);
    CHECK_EQ(image_func_name(img, 3).len, 0);
    CHECK_EQ(memcmp(image_file_name(img, 0).bytes, "dir/a.c", 7), 0);
    CHECK_EQ(image_file_name(img, 2).len, 0);
    image_free(img);
    sample_free(&s);
}

static void the_same_image_gives_the_same_bytes_anywhere_in_a_buffer(void)
{
    struct sample s;
    struct buf out = {0};
    sample_make(&s);
    buf_fill(&out, 0xaa, 24);
    CHECK_EQ(image_encode(&s.img, &out, NULL), ST_OK);
    CHECK_EQ(out.len, s.file.len + 24);
    CHECK_EQ(memcmp(out.data + 24, s.file.data, s.file.len), 0);
    buf_done(&out);
    sample_free(&s);
}

static void tables_may_be_empty(void)
{
    struct sample s;
    sample_make(&s);
    struct image bare = {
        .options = {.level = LEVEL_AARCH64},
        .head = s.head.data,
        .head_len = s.head.len,
        .code = s.code,
        .code_len = 65536,
        .const_off = 65536,
        .func_code = func_code,
        .func_count = 3,
        .type_entry = type_entry,
        .type_count = 2,
    };
    s.file.len = 0;
    CHECK_EQ(image_encode(&bare, &s.file, NULL), ST_OK);
    struct image *img = decode(&s);
    CHECK_EQ(img->run_count, 0);
    CHECK_EQ(img->options.level, LEVEL_AARCH64);
    CHECK(image_range_find(img, 0) == NULL);
    CHECK(image_unwind_find(img, 0) == NULL);
    CHECK_EQ(image_wasm_off_find(img, 0), 0);
    CHECK(image_line_find(img, 1) == NULL);
    CHECK_EQ(image_func_name(img, 0).len, 0);
    image_free(img);
    sample_free(&s);
}

/* Every byte of the tables; of the mapped sections, which are long, one in a thousand. */
static void a_changed_byte_is_refused_wherever_it_is(void)
{
    struct sample s;
    struct error err;
    sample_make(&s);
    size_t tables_end = 4096;
    for (size_t at = 0; at < s.file.len; at += at < tables_end ? 1 : 1009) {
        s.file.data[at] ^= (uint8_t)(1 + at % 255);
        status_t st = decode_status(&s, s.file.len, &err);
        CHECK(st == ST_FORMAT || st == ST_UNSUPPORTED || st == ST_CORRUPT);
        CHECK(err.text[0] != 0);
        s.file.data[at] ^= (uint8_t)(1 + at % 255);
    }
    sample_free(&s);
}

static void each_byte_between_two_sections_has_to_be_zero(void)
{
    struct sample s;
    struct error err;
    sample_make(&s);
    size_t gaps = 0;
    uint64_t end = 64 + IMAGE_SECTION_COUNT * 32;
    for (uint32_t id = 1; id <= IMAGE_SECTION_COUNT; id++) {
        uint64_t off = 0, len = 0;
        size_t entry = 64 + (size_t)(id - 1) * 32;
        memcpy(&off, s.file.data + entry + 8, 8);
        memcpy(&len, s.file.data + entry + 16, 8);
        for (uint64_t at = end; at < off; at += off - at > 2 ? off - at - 1 : 1, gaps++) {
            s.file.data[at] = 1;
            CHECK_EQ(decode_status(&s, s.file.len, &err), ST_CORRUPT);
            CHECK(strstr(err.text, "not zeros in front of it") != NULL);
            s.file.data[at] = 0;
        }
        end = off + len;
    }
    CHECK(gaps >= 4); /* first and last byte in front of CODE and MEMORY */
    sample_free(&s);
}

static void a_truncated_image_is_refused_at_every_length(void)
{
    struct sample s;
    struct error err;
    sample_make(&s);
    for (size_t len = 0; len < s.file.len; len += len < 8192 ? 1 : 511) {
        status_t st = decode_status(&s, len, &err);
        CHECK(st == (len < 8 ? ST_FORMAT : ST_CORRUPT));
    }
    CHECK_EQ(decode_status(&s, s.file.len - 1, &err), ST_CORRUPT);
    sample_free(&s);
}

/* Set a number of the header and make its checksum right again. */
static void set_header(struct sample *s, size_t off, uint32_t v)
{
    buf_patch_le32(&s->file, off, v);
    buf_patch_le64(&s->file, 56, hash_xxh3(s->file.data, 56));
}

static void foreign_images_are_refused_with_a_reason(void)
{
    struct sample s;
    struct error err;
    sample_make(&s);
    set_header(&s, 8, 5);
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_UNSUPPORTED);
    CHECK_STR(err.text, "image format 5, this program reads 4");
    set_header(&s, 8, 4);
    set_header(&s, 12, ABI_VERSION + 1);
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_UNSUPPORTED);
    CHECK(strstr(err.text, "ABI") != NULL);
    set_header(&s, 12, ABI_VERSION);
    set_header(&s, 16, 7);
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_UNSUPPORTED);
    CHECK_STR(err.text, "image for unknown architecture 7");
    set_header(&s, 16, ARCH_AARCH64); /* the level is one of x86-64 */
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_CORRUPT);
    CHECK_STR(err.text, "image: section meta: unknown CPU level");
    set_header(&s, 16, ARCH_X86_64);
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_OK);
    s.file.data[1] = 'X';
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_FORMAT);
    CHECK_STR(err.text, "not a cell image");
    sample_free(&s);
}

/* Change 4 bytes inside section `id` and make all checksums right again. */
static uint32_t set_section(struct sample *s, uint32_t id, size_t off, uint32_t v)
{
    size_t entry = 64 + (size_t)(id - 1) * 32;
    uint64_t at = 0, len = 0;
    uint32_t old = 0;
    memcpy(&at, s->file.data + entry + 8, 8);
    memcpy(&len, s->file.data + entry + 16, 8);
    memcpy(&old, s->file.data + at + off, 4);
    buf_patch_le32(&s->file, at + off, v);
    buf_patch_le64(&s->file, entry + 24, hash_xxh3(s->file.data + at, len));
    buf_patch_le64(&s->file, 32, hash_xxh3(s->file.data + 64, IMAGE_SECTION_COUNT * 32));
    buf_patch_le64(&s->file, 56, hash_xxh3(s->file.data, 56));
    return old;
}

static void references_out_of_bounds_are_refused_under_right_checksums(void)
{
    static const struct {
        uint32_t section, off, value;
        const char *text;
    } cases[] = {
        {1, 0, 99, "image: section meta: unknown CPU level"},
        {1, 4, 2, "image: section meta: value out of range"},
        {1, 16, 1u << 31, "image: section meta: value out of range"},
        {1, 20, 65536 * 2, "image: section code: constants at a wrong place"},
        {1, 20, 4096, "image: section code: constants at a wrong place"},
        {3, 4, 65536, "image: section functions: offset behind the code"},
        {4, 0, UINT32_MAX, "image: section types: offset behind the code"},
        {5, 0, 0x30, "image: section ranges: rows out of order or of no function"},
        {5, 8, 3, "image: section ranges: rows out of order or of no function"},
        {5, 40, 65536, "image: section ranges: offset behind the code"},
        {11, 0, 1, "image: section runs: run outside its memory"},
        {11, 8, 36 * 65536 + 65536, "image: section runs: run outside its memory"},
        {11, 12, 1, "image: section runs: run outside its memory"},
        {11, 16, 65535, "image: section runs: run outside its memory"},
        {11, 24, 0, "image: section runs: run outside its memory"},
        {11, 8, 28 * 65536, "image: section runs: rows out of order"},
    };
    struct sample s;
    struct error err;
    sample_make(&s);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t old = set_section(&s, cases[i].section, cases[i].off, cases[i].value);
        CHECK_EQ(decode_status(&s, s.file.len, &err), ST_CORRUPT);
        CHECK_STR(err.text, cases[i].text);
        set_section(&s, cases[i].section, cases[i].off, old);
    }
    CHECK_EQ(decode_status(&s, s.file.len, &err), ST_OK);
    sample_free(&s);
}

static void names_out_of_bounds_are_empty(void)
{
    struct sample s;
    sample_make(&s);
    set_section(&s, 8, 4, UINT32_MAX);
    struct image *img = decode(&s);
    CHECK_EQ(image_func_name(img, 0).len, 0);
    CHECK_EQ(image_func_name(img, 1).len, 0);
    CHECK_EQ(image_func_name(img, 2).len, 6);
    image_free(img);
    sample_free(&s);
}

static void the_encoder_refuses_what_the_decoder_would(void)
{
    struct sample s;
    struct buf out = {0};
    struct error err = {0};
    sample_make(&s);
    s.img.const_off = 4096;
    CHECK_EQ(image_encode(&s.img, &out, &err), ST_INVAL);
    s.img.const_off = 65536;
    uint32_t far[] = {0, 65536, 0};
    s.img.func_code = far;
    CHECK_EQ(image_encode(&s.img, &out, &err), ST_INVAL);
    CHECK_STR(err.text, "function 1 outside the code");
    s.img.func_code = func_code;
    struct image_memory_run *run = (struct image_memory_run *)(uintptr_t)s.img.runs;
    run->len--;
    CHECK_EQ(image_encode(&s.img, &out, &err), ST_INVAL);
    CHECK_EQ(out.len, 0);
    buf_done(&out);
    sample_free(&s);
}

static void bytes_that_are_not_aligned_are_refused(void)
{
    struct sample s;
    struct image *img = NULL;
    sample_make(&s);
    CHECK_EQ(image_decode(s.file.data + 1, s.file.len - 1, &img, NULL), ST_INVAL);
    CHECK(img == NULL);
    sample_free(&s);
}

int main(void)
{
    RUN(what_is_encoded_comes_back);
    RUN(memory_runs_leave_out_zero_pages);
    RUN(runs_near_each_other_become_one_mapping);
    RUN(look_ups_find_the_row_that_covers_an_offset);
    RUN(the_same_image_gives_the_same_bytes_anywhere_in_a_buffer);
    RUN(tables_may_be_empty);
    RUN(a_changed_byte_is_refused_wherever_it_is);
    RUN(each_byte_between_two_sections_has_to_be_zero);
    RUN(a_truncated_image_is_refused_at_every_length);
    RUN(foreign_images_are_refused_with_a_reason);
    RUN(references_out_of_bounds_are_refused_under_right_checksums);
    RUN(names_out_of_bounds_are_empty);
    RUN(the_encoder_refuses_what_the_decoder_would);
    RUN(bytes_that_are_not_aligned_are_refused);
    return CHECK_DONE();
}
