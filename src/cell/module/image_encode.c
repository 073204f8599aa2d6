#include "image_parts.h"

#include <string.h>

/* A part of the file: where its bytes are, once they are there. */
struct part {
    uint32_t rows;
    uint64_t off;
    uint64_t len;
};

/* Pages that are not zero, and where they go: file_off counts from the start of MEMORY. */
struct piece {
    uint32_t mem;
    uint64_t guest_off;
    uint64_t len;
    uint64_t file_off;
    const uint8_t *bytes;
};

struct encoder {
    const struct image *img;
    struct buf *out;
    size_t start; /* of the file in *out */
    struct part parts[SECTION_END];
    struct buf pieces; /* struct piece, ascending */
    struct buf
        runs; /* struct piece without bytes: pieces that are near each other, as one mapping */
};

static uint64_t position(const struct encoder *e)
{
    return e->out->len - e->start;
}

static void begin(struct encoder *e, enum image_section id, uint32_t rows)
{
    uint64_t align = image_section_align(id);
    buf_fill(e->out, 0, (size_t)(-position(e) & (align - 1)));
    e->parts[id] = (struct part){.rows = rows, .off = position(e)};
}

static void end(struct encoder *e, enum image_section id)
{
    e->parts[id].len = position(e) - e->parts[id].off;
}

static void put_meta(struct encoder *e)
{
    const struct image *img = e->img;
    const struct image_options *o = &img->options;
    struct buf *b = e->out;
    begin(e, SECTION_META, 0);
    buf_le32(b, o->level);
    buf_le32(b, o->nan);
    buf_le32(b, o->opt_level);
    buf_le32(b, o->no_polls);
    buf_le32(b, img->features);
    buf_le32(b, img->const_off);
    buf_le32(b, img->datas_applied);
    buf_le32(b, o->movable);
    buf_le64(b, img->module_len);
    buf_bytes(b, img->module_hash, sizeof img->module_hash);
    size_t len = strnlen(img->compiler, sizeof img->compiler - 1);
    buf_bytes(b, img->compiler, len);
    buf_fill(b, 0, sizeof img->compiler - len);
    buf_le32(b, img->counts.loop_polls);
    buf_le32(b, img->counts.import_calls);
    buf_le32(b, img->counts.unwind_tests);
    buf_le32(b, img->counts.strip_mined);
    buf_fill(b, 0, (size_t)(e->parts[SECTION_META].off + IMAGE_META_BYTES - position(e)));
    end(e, SECTION_META);
}

static void put_offsets(struct encoder *e, enum image_section id, const uint32_t *offs,
                        uint32_t count)
{
    begin(e, id, count);
    for (uint32_t i = 0; i < count; i++)
        buf_le32(e->out, offs ? offs[i] : 0);
    end(e, id);
}

static void put_ranges(struct encoder *e)
{
    begin(e, SECTION_RANGES, e->img->range_count);
    for (uint32_t i = 0; i < e->img->range_count; i++) {
        const struct image_range *r = &e->img->ranges[i];
        buf_le32(e->out, r->code_off);
        buf_le32(e->out, r->len);
        buf_le32(e->out, r->func);
    }
    end(e, SECTION_RANGES);
}

static void put_unwinds(struct encoder *e)
{
    begin(e, SECTION_UNWIND, e->img->unwind_count);
    for (uint32_t i = 0; i < e->img->unwind_count; i++) {
        const struct image_unwind *u = &e->img->unwinds[i];
        buf_le32(e->out, u->code_off);
        buf_le32(e->out, (uint32_t)u->cfa_add);
        buf_le32(e->out, (uint32_t)u->ra_add);
        buf_le32(e->out, (uint32_t)u->fp_add);
        buf_le32(e->out, u->cfa_reg);
    }
    end(e, SECTION_UNWIND);
}

static void put_sites(struct encoder *e)
{
    begin(e, SECTION_SITES, e->img->site_count);
    for (uint32_t i = 0; i < e->img->site_count; i++) {
        buf_le32(e->out, e->img->sites[i].code_off);
        buf_le32(e->out, e->img->sites[i].wasm_off);
    }
    end(e, SECTION_SITES);
}

/* false: more bytes than offsets can count. */
static bool put_strings(struct encoder *e, enum image_section id, const struct name *names,
                        uint32_t count)
{
    uint64_t total = 0;
    begin(e, id, count);
    buf_le32(e->out, 0);
    for (uint32_t i = 0; i < count; i++) {
        total += names[i].len;
        buf_le32(e->out, (uint32_t)total);
    }
    for (uint32_t i = 0; i < count; i++)
        buf_bytes(e->out, names[i].bytes, names[i].len);
    end(e, id);
    return total <= UINT32_MAX;
}

static void put_lines(struct encoder *e)
{
    begin(e, SECTION_LINES, e->img->line_count);
    for (uint32_t i = 0; i < e->img->line_count; i++) {
        buf_le64(e->out, e->img->lines[i].off);
        buf_le32(e->out, e->img->lines[i].file);
        buf_le32(e->out, e->img->lines[i].line);
    }
    end(e, SECTION_LINES);
}

static void put_maps(struct encoder *e)
{
    begin(e, SECTION_MAPS, e->img->map_count);
    for (uint32_t i = 0; i < e->img->map_count; i++) {
        buf_le32(e->out, e->img->maps[i].code_off);
        buf_le32(e->out, e->img->maps[i].at);
    }
    buf_bytes(e->out, e->img->map_bytes, e->img->map_len);
    end(e, SECTION_MAPS);
}

static bool page_is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, WASM_PAGE_BYTES - 1) == 0;
}

static void add_pieces(struct encoder *e, const struct image_memory_run *run)
{
    uint64_t pages = run->len / WASM_PAGE_BYTES;
    for (uint64_t page = 0; page < pages; page++) {
        const uint8_t *first = run->bytes + page * WASM_PAGE_BYTES;
        uint64_t count = 0;
        while (page + count < pages && !page_is_zero(first + count * WASM_PAGE_BYTES))
            count++;
        if (count == 0)
            continue;
        struct piece piece = {
            .mem = run->mem,
            .guest_off = run->guest_off + page * WASM_PAGE_BYTES,
            .len = count * WASM_PAGE_BYTES,
            .bytes = first,
        };
        buf_bytes(&e->pieces, &piece, sizeof piece);
        page += count;
    }
}

/* Every run costs each cell a mapping, so short distances are stored as zeros. */
static void make_runs(struct encoder *e)
{
    for (uint32_t i = 0; i < e->img->run_count; i++)
        add_pieces(e, &e->img->runs[i]);
    struct piece *pieces = (struct piece *)(void *)e->pieces.data;
    size_t count = e->pieces.len / sizeof *pieces;
    struct piece run = {0};
    for (size_t i = 0; i < count; i++) {
        struct piece *p = &pieces[i];
        uint64_t gap = p->guest_off - (run.guest_off + run.len);
        if (run.len == 0 || run.mem != p->mem || gap >= IMAGE_ZERO_PAGES * WASM_PAGE_BYTES) {
            if (run.len > 0)
                buf_bytes(&e->runs, &run, sizeof run);
            run = (struct piece){p->mem, p->guest_off, 0, run.file_off + run.len, NULL};
        }
        p->file_off = run.file_off + (p->guest_off - run.guest_off);
        run.len = p->guest_off + p->len - run.guest_off;
    }
    if (run.len > 0)
        buf_bytes(&e->runs, &run, sizeof run);
}

static uint64_t align_map(uint64_t off)
{
    return (off + IMAGE_MAP_ALIGN_BYTES - 1) & ~(uint64_t)(IMAGE_MAP_ALIGN_BYTES - 1);
}

static void put_runs(struct encoder *e)
{
    const struct piece *runs = (const struct piece *)(const void *)e->runs.data;
    size_t count = e->runs.len / sizeof *runs;
    begin(e, SECTION_RUNS, (uint32_t)count);
    uint64_t code_off = align_map(e->parts[SECTION_RUNS].off + count * IMAGE_RUN_BYTES);
    uint64_t memory_off = align_map(code_off + e->img->code_len);
    for (size_t i = 0; i < count; i++) {
        buf_le32(e->out, runs[i].mem);
        buf_le32(e->out, 0);
        buf_le64(e->out, runs[i].guest_off);
        buf_le64(e->out, runs[i].len);
        buf_le64(e->out, memory_off + runs[i].file_off);
    }
    end(e, SECTION_RUNS);
}

static void put_code_and_memory(struct encoder *e)
{
    const struct piece *pieces = (const struct piece *)(const void *)e->pieces.data;
    begin(e, SECTION_CODE, 0);
    buf_bytes(e->out, e->img->code, e->img->code_len);
    end(e, SECTION_CODE);
    begin(e, SECTION_MEMORY, 0);
    uint64_t start = position(e);
    for (size_t i = 0; i < e->pieces.len / sizeof *pieces; i++) {
        buf_fill(e->out, 0, (size_t)(start + pieces[i].file_off - position(e)));
        buf_bytes(e->out, pieces[i].bytes, (size_t)pieces[i].len);
    }
    end(e, SECTION_MEMORY);
}

static void patch_header(struct encoder *e)
{
    struct buf *b = e->out;
    uint8_t *file = b->data + e->start;
    size_t table = e->start + IMAGE_HEADER_BYTES;
    for (uint32_t id = 1; id < SECTION_END; id++) {
        const struct part *p = &e->parts[id];
        size_t at = table + (id - 1) * IMAGE_ENTRY_BYTES;
        buf_patch_le32(b, at, id);
        buf_patch_le32(b, at + 4, p->rows);
        buf_patch_le64(b, at + 8, p->off);
        buf_patch_le64(b, at + 16, p->len);
        buf_patch_le64(b, at + 24, hash_xxh3(file + p->off, (size_t)p->len));
    }
    memcpy(file, image_magic, IMAGE_MAGIC_BYTES);
    buf_patch_le32(b, e->start + 8, IMAGE_FORMAT_VERSION);
    buf_patch_le32(b, e->start + 12, ABI_VERSION);
    buf_patch_le32(b, e->start + 16, image_level_arch(e->img->options.level));
    buf_patch_le32(b, e->start + 20, IMAGE_SECTION_COUNT);
    buf_patch_le64(b, e->start + 24, position(e));
    buf_patch_le64(b, e->start + 32,
                   hash_xxh3(b->data + table, (size_t)IMAGE_SECTION_COUNT * IMAGE_ENTRY_BYTES));
    buf_patch_le64(b, e->start + IMAGE_HEADER_SUM_OFF, hash_xxh3(file, IMAGE_HEADER_SUM_OFF));
}

static status_t check_runs(const struct image *img, struct error *err)
{
    for (uint32_t i = 0; i < img->run_count; i++) {
        const struct image_memory_run *r = &img->runs[i];
        if (r->guest_off % WASM_PAGE_BYTES != 0 || r->len % WASM_PAGE_BYTES != 0)
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "memory run %u is not aligned", i);
        if (i > 0 && (r[-1].mem > r->mem ||
                      (r[-1].mem == r->mem && r[-1].guest_off + r[-1].len > r->guest_off)))
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "memory run %u is out of order", i);
    }
    return ST_OK;
}

static status_t check(const struct image *img, struct error *err)
{
    if (img->const_off % IMAGE_MAP_ALIGN_BYTES != 0 || img->const_off > img->code_len ||
        img->code_len > UINT32_MAX)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "constants at a wrong place");
    for (uint32_t i = 0; i < img->func_count; i++) {
        if (img->func_code[i] >= img->const_off ||
            (img->func_twin && img->func_twin[i] >= img->const_off))
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "function %u outside the code", i);
    }
    for (uint32_t i = 0; i < img->type_count; i++) {
        if (img->type_entry[i] >= img->const_off)
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "entry of type %u outside the code",
                             i);
    }
    return check_runs(img, err);
}

status_t image_encode(const struct image *img, struct buf *out, struct error *err)
{
    struct encoder e = {.img = img, .out = out, .start = out->len};
    status_t st = check(img, err);
    if (st != ST_OK)
        return st;
    make_runs(&e);
    buf_fill(out, 0, IMAGE_HEADER_BYTES + (size_t)IMAGE_SECTION_COUNT * IMAGE_ENTRY_BYTES);
    put_meta(&e);
    begin(&e, SECTION_HEAD, 0);
    buf_bytes(out, img->head, img->head_len);
    end(&e, SECTION_HEAD);
    put_offsets(&e, SECTION_FUNCS, img->func_code, img->func_count);
    put_offsets(&e, SECTION_TYPES, img->type_entry, img->type_count);
    put_ranges(&e);
    put_unwinds(&e);
    put_sites(&e);
    bool fits = put_strings(&e, SECTION_NAMES, img->func_names,
                            img->func_names ? img->func_count : 0);
    fits &= put_strings(&e, SECTION_FILES, img->files, img->file_count);
    put_lines(&e);
    put_runs(&e);
    put_code_and_memory(&e);
    put_offsets(&e, SECTION_TWINS, img->func_twin, img->func_count);
    put_maps(&e);
    if (e.pieces.failed || e.runs.failed || out->failed)
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    else if (!fits)
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than 4 GiB of names");
    else
        patch_header(&e);
    buf_done(&e.pieces);
    buf_done(&e.runs);
    return st;
}
