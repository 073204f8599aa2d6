#include "image_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

/* Tables are used where they lie. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are read in place");
_Static_assert(sizeof(struct image_range) == IMAGE_RANGE_BYTES, "rows are read in place");
_Static_assert(sizeof(struct image_unwind) == IMAGE_UNWIND_BYTES, "rows are read in place");
_Static_assert(sizeof(struct image_site) == IMAGE_SITE_BYTES, "rows are read in place");
_Static_assert(sizeof(struct image_map_row) == IMAGE_MAP_BYTES, "rows are read in place");
_Static_assert(sizeof(struct line_row) == IMAGE_LINE_BYTES, "rows are read in place");

struct section {
    const uint8_t *bytes;
    uint64_t off;
    uint64_t len;
    uint32_t rows;
};

struct decoder {
    const uint8_t *data;
    size_t len;
    uint32_t arch;
    struct section sections[SECTION_END];
    struct image *img;
    struct error *err;
};

static status_t corrupt(struct decoder *d, uint32_t id, const char *what)
{
    return error_set(d->err, ST_CORRUPT, d->sections[id].off, "image: section %s: %s",
                     image_section_name(id), what);
}

static status_t read_header(struct decoder *d)
{
    struct cursor c;
    cursor_init(&c, d->data, d->len, 0);
    const uint8_t *magic = cursor_bytes(&c, IMAGE_MAGIC_BYTES);
    if (!magic || memcmp(magic, image_magic, IMAGE_MAGIC_BYTES) != 0)
        return error_set(d->err, ST_FORMAT, 0, "not a cell image");
    uint32_t version = cursor_le32(&c);
    uint32_t abi = cursor_le32(&c);
    d->arch = cursor_le32(&c);
    uint32_t count = cursor_le32(&c);
    uint64_t file_len = cursor_le64(&c);
    uint64_t table_sum = cursor_le64(&c);
    uint64_t zero = cursor_le64(&c) | cursor_le64(&c);
    uint64_t header_sum = cursor_le64(&c);
    if (!c.failed && version != IMAGE_FORMAT_VERSION)
        return error_set(d->err, ST_UNSUPPORTED, 8, "image format %u, this program reads %u",
                         version, IMAGE_FORMAT_VERSION);
    if (c.failed)
        return error_set(d->err, ST_CORRUPT, d->len, "image: cut off in the header");
    if (header_sum != hash_xxh3(d->data, IMAGE_HEADER_SUM_OFF))
        return error_set(d->err, ST_CORRUPT, 0, "image: wrong checksum of the header");
    if (abi != ABI_VERSION)
        return error_set(d->err, ST_UNSUPPORTED, 12, "image for ABI %u, this program has %u", abi,
                         ABI_VERSION);
    if (d->arch != ARCH_X86_64 && d->arch != ARCH_AARCH64)
        return error_set(d->err, ST_UNSUPPORTED, 16, "image for unknown architecture %u", d->arch);
    if (file_len != d->len)
        return error_set(d->err, ST_CORRUPT, d->len, "image: %zu bytes long, should be %llu",
                         d->len, (unsigned long long)file_len);
    const uint8_t *table = cursor_bytes(&c, (size_t)IMAGE_SECTION_COUNT * IMAGE_ENTRY_BYTES);
    if (count != IMAGE_SECTION_COUNT || zero != 0 || !table ||
        table_sum != hash_xxh3(table, (size_t)IMAGE_SECTION_COUNT * IMAGE_ENTRY_BYTES))
        return error_set(d->err, ST_CORRUPT, IMAGE_HEADER_BYTES, "image: wrong section table");
    return ST_OK;
}

static bool is_zero(const uint8_t *bytes, uint64_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)len - 1) == 0);
}

/* Each byte of the file is in the header, the table, a section with a checksum, or a zero in front of one. */
static status_t read_sections(struct decoder *d)
{
    uint64_t end = IMAGE_HEADER_BYTES + (uint64_t)IMAGE_SECTION_COUNT * IMAGE_ENTRY_BYTES;
    struct cursor c;
    cursor_init(&c, d->data + IMAGE_HEADER_BYTES, (size_t)end - IMAGE_HEADER_BYTES, 0);
    for (uint32_t id = 1; id < SECTION_END; id++) {
        struct section *s = &d->sections[id];
        uint32_t found = cursor_le32(&c);
        s->rows = cursor_le32(&c);
        s->off = cursor_le64(&c);
        s->len = cursor_le64(&c);
        uint64_t sum = cursor_le64(&c);
        if (found != id || s->off < end || s->off % image_section_align(id) != 0 ||
            s->off > d->len || s->len > d->len - s->off)
            return corrupt(d, id, "misplaced");
        if (!is_zero(d->data + end, s->off - end))
            return corrupt(d, id, "not zeros in front of it");
        s->bytes = d->data + s->off;
        end = s->off + s->len;
        if (sum != hash_xxh3(s->bytes, (size_t)s->len))
            return corrupt(d, id, "wrong checksum");
    }
    if (end != d->len)
        return error_set(d->err, ST_CORRUPT, end, "image: bytes behind the last section");
    return ST_OK;
}

static status_t read_meta(struct decoder *d)
{
    struct image *img = d->img;
    const struct section *s = &d->sections[SECTION_META];
    struct cursor c;
    if (s->len != IMAGE_META_BYTES)
        return corrupt(d, SECTION_META, "wrong length");
    cursor_init(&c, s->bytes, (size_t)s->len, s->off);
    img->options.level = cursor_le32(&c);
    img->options.nan = cursor_le32(&c);
    img->options.opt_level = cursor_le32(&c);
    img->options.no_polls = cursor_le32(&c);
    img->features = cursor_le32(&c);
    img->const_off = cursor_le32(&c);
    uint32_t datas_applied = cursor_le32(&c);
    img->options.movable = cursor_le32(&c);
    img->module_len = cursor_le64(&c);
    memcpy(img->module_hash, cursor_bytes(&c, SHA256_BYTES), SHA256_BYTES);
    memcpy(img->compiler, cursor_bytes(&c, IMAGE_VERSION_BYTES), IMAGE_VERSION_BYTES);
    img->counts.loop_polls = cursor_le32(&c);
    img->counts.import_calls = cursor_le32(&c);
    img->counts.unwind_tests = cursor_le32(&c);
    img->counts.strip_mined = cursor_le32(&c);
    img->datas_applied = datas_applied == 1;
    if (!image_level_name(img->options.level) || image_level_arch(img->options.level) != d->arch)
        return corrupt(d, SECTION_META, "unknown CPU level");
    if (img->options.nan > NAN_CANONICAL || img->options.opt_level > 3 ||
        img->options.no_polls > 1 || img->options.movable > 1 ||
        (img->features & ~(feature_set_t)FEATURE_ALL) != 0 || datas_applied > 1 ||
        img->compiler[IMAGE_VERSION_BYTES - 1] != 0)
        return corrupt(d, SECTION_META, "value out of range");
    return ST_OK;
}

static status_t read_code(struct decoder *d)
{
    struct image *img = d->img;
    const struct section *s = &d->sections[SECTION_CODE];
    img->code = s->bytes;
    img->code_len = (size_t)s->len;
    img->code_file_off = s->off;
    if (img->const_off % IMAGE_MAP_ALIGN_BYTES != 0 || img->const_off > s->len ||
        s->len > UINT32_MAX)
        return corrupt(d, SECTION_CODE, "constants at a wrong place");
    return ST_OK;
}

static status_t read_head(struct decoder *d)
{
    const struct section *s = &d->sections[SECTION_HEAD];
    struct error inner = {0};
    d->img->head = s->bytes;
    d->img->head_len = (size_t)s->len;
    status_t st = module_decode_head(s->bytes, (size_t)s->len, FEATURE_ALL, &d->img->module,
                                     &inner);
    if (st == ST_NOMEM)
        return error_set(d->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    return st == ST_OK ? ST_OK : corrupt(d, SECTION_HEAD, inner.text);
}

/* A table whose rows have a fixed size; NULL when its length says otherwise. */
static const void *rows_of(struct decoder *d, uint32_t id, uint32_t row_bytes, uint32_t *ret_count)
{
    const struct section *s = &d->sections[id];
    if (s->len != (uint64_t)s->rows * row_bytes)
        return NULL;
    *ret_count = s->rows;
    return s->bytes;
}

static status_t check_offsets(struct decoder *d, uint32_t id, const uint32_t *offs, uint32_t count,
                              uint32_t expected)
{
    if (!offs || count != expected)
        return corrupt(d, id, "wrong number of rows");
    uint32_t highest = 0;
    for (uint32_t i = 0; i < count; i++)
        highest = offs[i] > highest ? offs[i] : highest;
    if (count > 0 && highest >= d->img->const_off)
        return corrupt(d, id, "offset behind the code");
    return ST_OK;
}

static status_t check_ranges(struct decoder *d)
{
    const struct image *img = d->img;
    uint64_t end = 0;
    for (uint32_t i = 0; i < img->range_count; i++) {
        const struct image_range *r = &img->ranges[i];
        if (r->code_off < end || (r->func >= img->func_count && r->func != IMAGE_NO_FUNC))
            return corrupt(d, SECTION_RANGES, "rows out of order or of no function");
        end = (uint64_t)r->code_off + r->len;
    }
    return end > img->const_off ? corrupt(d, SECTION_RANGES, "offset behind the code") : ST_OK;
}

static status_t read_tables(struct decoder *d)
{
    struct image *img = d->img;
    img->func_code = rows_of(d, SECTION_FUNCS, IMAGE_FUNC_BYTES, &img->func_count);
    uint32_t twin_count = 0;
    img->func_twin = rows_of(d, SECTION_TWINS, IMAGE_FUNC_BYTES, &twin_count);
    img->type_entry = rows_of(d, SECTION_TYPES, IMAGE_FUNC_BYTES, &img->type_count);
    img->ranges = rows_of(d, SECTION_RANGES, IMAGE_RANGE_BYTES, &img->range_count);
    img->unwinds = rows_of(d, SECTION_UNWIND, IMAGE_UNWIND_BYTES, &img->unwind_count);
    img->sites = rows_of(d, SECTION_SITES, IMAGE_SITE_BYTES, &img->site_count);
    img->lines = rows_of(d, SECTION_LINES, IMAGE_LINE_BYTES, &img->line_count);
    status_t st = check_offsets(d, SECTION_FUNCS, img->func_code, img->func_count,
                                img->module->func_count);
    if (st == ST_OK)
        st = check_offsets(d, SECTION_TWINS, img->func_twin, twin_count, img->module->func_count);
    if (st == ST_OK)
        st = check_offsets(d, SECTION_TYPES, img->type_entry, img->type_count,
                           img->module->type_count);
    if (st != ST_OK)
        return st;
    if (!img->ranges)
        return corrupt(d, SECTION_RANGES, "wrong length");
    if (!img->unwinds)
        return corrupt(d, SECTION_UNWIND, "wrong length");
    if (!img->sites)
        return corrupt(d, SECTION_SITES, "wrong length");
    if (!img->lines)
        return corrupt(d, SECTION_LINES, "wrong length");
    return check_ranges(d);
}

/* Rows, then the bytes that they point into. */
static status_t read_maps(struct decoder *d)
{
    struct image *img = d->img;
    const struct section *s = &d->sections[SECTION_MAPS];
    uint64_t rows_len = (uint64_t)s->rows * IMAGE_MAP_BYTES;
    if (s->len < rows_len)
        return corrupt(d, SECTION_MAPS, "wrong length");
    img->maps = (const struct image_map_row *)(const void *)s->bytes;
    img->map_count = s->rows;
    img->map_bytes = s->bytes + rows_len;
    img->map_len = (size_t)(s->len - rows_len);
    return ST_OK;
}

/* Only the offsets' own bounds: look-ups check what they point at. */
static status_t read_strings(struct decoder *d, uint32_t id, struct image_strings *ret_strings)
{
    const struct section *s = &d->sections[id];
    if (s->len < ((uint64_t)s->rows + 1) * 4)
        return corrupt(d, id, "wrong length");
    *ret_strings = (struct image_strings){s->bytes, (size_t)s->len, s->rows};
    return ST_OK;
}

static status_t read_names(struct decoder *d)
{
    struct image *img = d->img;
    status_t st = read_strings(d, SECTION_NAMES, &img->name_table);
    if (st == ST_OK)
        st = read_strings(d, SECTION_FILES, &img->file_table);
    img->file_count = img->file_table.count;
    return st;
}

static bool run_is_sound(const struct decoder *d, const struct image_memory_run *r)
{
    const struct section *memory = &d->sections[SECTION_MEMORY];
    const struct module *m = d->img->module;
    if (r->mem >= m->mem_count || m->mems[r->mem].imported)
        return false;
    uint64_t bytes = m->mems[r->mem].limits.min * WASM_PAGE_BYTES;
    if (r->len == 0 || (r->len | r->guest_off | r->file_off) % WASM_PAGE_BYTES != 0)
        return false;
    return r->guest_off <= bytes && r->len <= bytes - r->guest_off && r->file_off >= memory->off &&
           r->file_off - memory->off <= memory->len &&
           r->len <= memory->len - (r->file_off - memory->off);
}

static status_t read_runs(struct decoder *d)
{
    struct image *img = d->img;
    const struct section *s = &d->sections[SECTION_RUNS];
    if (s->len != (uint64_t)s->rows * IMAGE_RUN_BYTES)
        return corrupt(d, SECTION_RUNS, "wrong length");
    struct image_memory_run *runs = arena_alloc(&img->arena, s->rows, sizeof *runs);
    if (!runs)
        return error_set(d->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    struct cursor c;
    cursor_init(&c, s->bytes, (size_t)s->len, s->off);
    for (uint32_t i = 0; i < s->rows; i++) {
        struct image_memory_run *r = &runs[i];
        r->mem = cursor_le32(&c);
        cursor_le32(&c);
        r->guest_off = cursor_le64(&c);
        r->len = cursor_le64(&c);
        r->file_off = cursor_le64(&c);
        if (!run_is_sound(d, r))
            return corrupt(d, SECTION_RUNS, "run outside its memory");
        r->bytes = d->data + r->file_off;
        if (i > 0 && (r[-1].mem > r->mem ||
                      (r[-1].mem == r->mem && r[-1].guest_off + r[-1].len > r->guest_off)))
            return corrupt(d, SECTION_RUNS, "rows out of order");
    }
    img->runs = runs;
    img->run_count = s->rows;
    return ST_OK;
}

static status_t decode(struct decoder *d)
{
    status_t st = read_header(d);
    if (st == ST_OK)
        st = read_sections(d);
    if (st == ST_OK)
        st = read_meta(d);
    if (st == ST_OK)
        st = read_code(d);
    if (st == ST_OK)
        st = read_head(d);
    if (st == ST_OK)
        st = read_tables(d);
    if (st == ST_OK)
        st = read_names(d);
    if (st == ST_OK)
        st = read_maps(d);
    if (st == ST_OK)
        st = read_runs(d);
    return st;
}

status_t image_decode(const void *data, size_t len, struct image **ret_img, struct error *err)
{
    struct decoder d = {.data = data, .len = len, .err = err};
    if ((uintptr_t)data % 8 != 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "image bytes are not aligned");
    d.img = calloc(1, sizeof *d.img);
    if (!d.img)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    status_t st = decode(&d);
    if (st == ST_OK)
        *ret_img = d.img;
    else
        image_free(d.img);
    return st;
}
