#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

/* Initial memory beyond this, or more scattered, stays in data segments that are applied at start: each run is
 * a mapping of every cell. */
enum { INITIAL_PAGES_MAX = 4096, INITIAL_RUNS_MAX = 4 };

/* ---- places of functions ---- */

static bool parse_symbol(const char *name, char *ret_kind, uint32_t *ret_index)
{
    uint64_t v;
    if ((name[0] != 'f' && name[0] != 'e' && name[0] != 'w' && name[0] != 'r') ||
        parse_u64(name + 1, UINT32_MAX, &v) != ST_OK)
        return false;
    *ret_kind = name[0];
    *ret_index = (uint32_t)v;
    return true;
}

static bool place_functions(const struct link_output *linked, struct image *img)
{
    uint32_t *funcs = arena_alloc(&img->arena, img->func_count, sizeof *funcs);
    uint32_t *entries = arena_alloc(&img->arena, img->type_count, sizeof *entries);
    struct image_range *ranges = arena_alloc(&img->arena, linked->symbol_count, sizeof *ranges);
    uint32_t *twins = arena_alloc(&img->arena, img->func_count, sizeof *twins);
    bool *wrapped = arena_alloc(&img->arena, img->func_count, sizeof *wrapped);
    if (!funcs || !entries || !ranges || !wrapped || !twins)
        return false;
    for (uint32_t i = 0; i < linked->symbol_count; i++) {
        const struct link_symbol *s = &linked->symbols[i];
        char kind = 0;
        uint32_t index = 0, func = IMAGE_NO_FUNC;
        if (parse_symbol(s->name, &kind, &index)) {
            if (kind == 'w' && index < img->func_count) {
                funcs[index] = s->code_off;
                wrapped[index] = true;
            } else if (kind == 'f' && index < img->func_count) {
                if (!wrapped[index])
                    funcs[index] = s->code_off;
                func = index;
            } else if (kind == 'r' && index < img->func_count) {
                twins[index] = s->code_off;
                func = index;
            } else if (kind == 'e' && index < img->type_count) {
                entries[index] = s->code_off;
            }
        }
        if (s->len)
            ranges[img->range_count++] = (struct image_range){
                .code_off = s->code_off, .len = s->len, .func = func};
    }
    img->func_code = funcs;
    img->func_twin = twins;
    img->type_entry = entries;
    img->ranges = ranges;
    return true;
}

/* ---- initial memory ---- */

struct pages {
    uint8_t **page[MODULE_MEMS_MAX]; /* per memory: one pointer per 64 KiB page of its minimum */
    uint32_t used;
    bool no_memory;
    struct arena arena;
};

/* False when there are too many pages, or with no_memory set. */
static bool page_write(struct pages *p, const struct module *m, uint32_t mem, uint64_t at,
                       const uint8_t *src, size_t len)
{
    if (!p->page[mem]) {
        p->page[mem] = arena_alloc(&p->arena, m->mems[mem].limits.min, sizeof(uint8_t *));
        p->no_memory = !p->page[mem];
        if (p->no_memory)
            return false;
    }
    while (len) {
        uint64_t no = at / WASM_PAGE_BYTES, in_page = at % WASM_PAGE_BYTES;
        size_t n = WASM_PAGE_BYTES - in_page < len ? WASM_PAGE_BYTES - in_page : len;
        uint8_t **slot = &p->page[mem][no];
        if (!*slot) {
            if (p->used++ >= INITIAL_PAGES_MAX)
                return false;
            *slot = arena_alloc(&p->arena, 1, WASM_PAGE_BYTES);
            p->no_memory = !*slot;
            if (p->no_memory)
                return false;
        }
        memcpy(*slot + in_page, src, n);
        at += n;
        src += n;
        len -= n;
    }
    return true;
}

/* Can every active segment be put into the image? Not when an offset is computed, out of bounds (the trap is the
 * runner's), or the memory is another instance's; nor with p->no_memory. */
static bool collect_pages(const struct module *m, struct pages *p)
{
    for (uint32_t i = 0; i < m->data_count; i++) {
        const struct module_data *d = &m->datas[i];
        uint32_t off;
        if (d->mode != SEGMENT_ACTIVE)
            continue;
        const struct module_mem *mem = &m->mems[d->mem];
        if (mem->imported || mem->limits.shared || !module_const_i32(m, &d->offset, &off) ||
            (uint64_t)off + d->len > mem->limits.min * WASM_PAGE_BYTES)
            return false;
        if (d->len && !page_write(p, m, d->mem, off, d->bytes, d->len))
            return false;
    }
    return true;
}

static bool add_run(struct image *img, struct image_memory_run *runs, struct pages *p, uint32_t mem,
                    uint64_t first, uint64_t count)
{
    uint8_t *bytes = arena_alloc(&img->arena, count, WASM_PAGE_BYTES);
    if (!bytes)
        return false;
    for (uint64_t i = 0; i < count; i++)
        memcpy(bytes + i * WASM_PAGE_BYTES, p->page[mem][first + i], WASM_PAGE_BYTES);
    runs[img->run_count++] = (struct image_memory_run){.mem = mem,
                                                       .guest_off = first * WASM_PAGE_BYTES,
                                                       .len = count * WASM_PAGE_BYTES,
                                                       .bytes = bytes};
    return true;
}

static bool make_runs(const struct module *m, struct image *img, struct pages *p)
{
    struct image_memory_run *runs = arena_alloc(&img->arena, p->used, sizeof *runs);
    if (!runs)
        return false;
    img->runs = runs;
    for (uint32_t mem = 0; mem < m->mem_count; mem++) {
        uint64_t n = p->page[mem] ? m->mems[mem].limits.min : 0;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t first = i;
            while (i < n && p->page[mem][i])
                i++;
            if (i > first && !add_run(img, runs, p, mem, first, i - first))
                return false;
        }
    }
    return true;
}

static bool initial_memory(const struct module *m, struct image *img)
{
    struct pages p = {0};
    img->datas_applied = collect_pages(m, &p);
    bool ok = img->datas_applied ? make_runs(m, img, &p) : !p.no_memory;
    if (img->run_count > INITIAL_RUNS_MAX) {
        img->datas_applied = false;
        img->run_count = 0;
    }
    arena_done(&p.arena);
    return ok;
}

static bool has_passive(const struct module *m)
{
    for (uint32_t i = 0; i < m->data_count; i++)
        if (m->datas[i].mode == SEGMENT_PASSIVE)
            return true;
    return false;
}

/* ---- names and lines ---- */

static bool debug_tables(const struct module *m, struct image *img)
{
    struct name *names;
    struct line_table lines;
    if (module_func_names(m, &img->arena, &names) != ST_OK ||
        module_line_table(m, &img->arena, &lines) != ST_OK)
        return false;
    img->func_names = names;
    img->files = lines.files;
    img->file_count = lines.file_count;
    img->lines = lines.rows;
    img->line_count = lines.row_count;
    return true;
}

status_t pack_image(const struct module *m, const struct aot_options *opt,
                    const struct link_output *linked, const struct image_counts *counts,
                    struct buf *out, struct error *err)
{
    struct image img = {.options = opt->image,
                        .module_len = m->len,
                        .features = m->features_used,
                        .counts = *counts,
                        .func_count = m->func_count,
                        .type_count = m->type_count};
    struct buf head = {0};
    sha256_bytes(m->bytes, m->len, img.module_hash);
    snprintf(img.compiler, sizeof img.compiler, "%s", aot_version());
    img.code = linked->code.data;
    img.code_len = linked->code.len;
    img.const_off = linked->const_off;
    img.unwinds = linked->unwinds;
    img.unwind_count = linked->unwind_count;
    img.sites = linked->sites;
    img.site_count = linked->site_count;
    img.maps = linked->maps;
    img.map_count = linked->map_count;
    img.map_bytes = linked->map_bytes;
    img.map_len = linked->map_len;
    bool ok = place_functions(linked, &img) && initial_memory(m, &img) && debug_tables(m, &img);
    status_t st = ok ? image_head_make(m, img.datas_applied && !has_passive(m), &head) : ST_NOMEM;
    if (st == ST_OK) {
        img.head = head.data;
        img.head_len = head.len;
        st = image_encode(&img, out, err);
    } else {
        st = error_set(err, st, ERROR_NO_OFFSET, "no memory to write the image");
    }
    buf_done(&head);
    arena_done(&img.arena);
    return st;
}
