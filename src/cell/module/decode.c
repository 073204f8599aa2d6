/* The module as a whole: header, order of sections, and what must agree between them. */
#include "decode.h"

#include <stdlib.h>
#include <string.h>

#include "cell/module/image.h"
#include "decode_types.h"

/* Place of each section in a module. Custom sections stand anywhere. */
static const uint8_t section_rank[SECTION_COUNT] = {
    [SECTION_TYPE] = 1,  [SECTION_IMPORT] = 2, [SECTION_FUNC] = 3,        [SECTION_TABLE] = 4,
    [SECTION_MEM] = 5,   [SECTION_TAG] = 6,    [SECTION_GLOBAL] = 7,      [SECTION_EXPORT] = 8,
    [SECTION_START] = 9, [SECTION_ELEM] = 10,  [SECTION_DATA_COUNT] = 11, [SECTION_CODE] = 12,
    [SECTION_DATA] = 13,
};

typedef status_t section_decode(struct decoder *d, struct cursor *c);

/* In the order in which sections stand, which is the order in which they depend on each other. */
static const struct {
    enum section_id id;
    section_decode *decode;
} section_steps[] = {
    {SECTION_TYPE, decode_types},
    {SECTION_IMPORT, decode_imports},
    {SECTION_FUNC, decode_funcs},
    {SECTION_TABLE, decode_tables},
    {SECTION_MEM, decode_mems},
    {SECTION_TAG, decode_tags},
    {SECTION_GLOBAL, decode_globals},
    {SECTION_EXPORT, decode_exports},
    {SECTION_START, decode_start},
    {SECTION_ELEM, decode_elems},
    {SECTION_DATA_COUNT, decode_data_count},
    {SECTION_CODE, decode_code},
    {SECTION_DATA, decode_datas},
};

static status_t read_header(const struct decoder *d, struct cursor *c)
{
    const uint8_t *magic = cursor_bytes(c, 4);

    if (!magic)
        return cursor_status(c, ST_FORMAT, d->err);
    if (memcmp(magic, "\0asm", 4) != 0)
        return error_set(d->err, ST_FORMAT, 0, "magic header not detected");
    uint32_t version = cursor_le32(c);
    if (c->failed)
        return cursor_status(c, ST_FORMAT, d->err);
    if (version != 1)
        return error_set(d->err, ST_FORMAT, 4, "unknown binary version");
    return ST_OK;
}

static bool section_allowed(const struct decoder *d, uint8_t id)
{
    if (id == SECTION_TAG)
        return (d->m->features & (FEATURE_EXCEPTIONS | FEATURE_LEGACY_EXCEPTIONS)) != 0;
    if (id == SECTION_CODE)
        return !d->head;
    return id < SECTION_COUNT;
}

/* Find all sections before any is decoded; custom ones are taken up at once. */
static status_t scan_sections(struct decoder *d, struct cursor *c)
{
    uint8_t last_rank = 0;

    while (cursor_left(c) > 0) {
        uint64_t off = cursor_offset(c);
        uint8_t id = cursor_u8(c);

        if (!section_allowed(d, id))
            return error_set(d->err, ST_FORMAT, off, "malformed section id");
        uint32_t len = cursor_leb_u32(c);
        if (c->failed)
            return cursor_status(c, ST_FORMAT, d->err);
        if (len > cursor_left(c))
            return error_set(d->err, ST_FORMAT, off, "length out of bounds");
        struct cursor content = cursor_sub(c, len);
        if (id == SECTION_CUSTOM) {
            status_t st = decode_custom(d, &content);
            if (st != ST_OK)
                return st;
            continue;
        }
        if (section_rank[id] <= last_rank)
            return error_set(d->err, ST_FORMAT, off, "unexpected content after last section");
        last_rank = section_rank[id];
        if (id == SECTION_TAG) /* an empty one as well */
            decode_note_tags(d->m);
        d->present[id] = true;
        d->sections[id] = content;
    }
    return ST_OK;
}

static status_t check_lengths(const struct decoder *d)
{
    const struct module *m = d->m;

    if (!d->head && !d->present[SECTION_CODE] && m->func_count > m->func_import_count)
        return error_set(d->err, ST_FORMAT, m->len,
                         "function and code section have inconsistent lengths");
    if (m->has_data_count && m->data_count != d->data_count)
        return error_set(d->err, ST_FORMAT, m->len,
                         "data count and data section have inconsistent lengths");
    return ST_OK;
}

static status_t decode_all(struct decoder *d)
{
    struct cursor c;
    status_t st;

    cursor_init(&c, d->m->bytes, d->m->len, 0);
    st = read_header(d, &c);
    if (st == ST_OK)
        st = scan_sections(d, &c);
    for (size_t i = 0; i < sizeof(section_steps) / sizeof(*section_steps) && st == ST_OK; i++) {
        struct cursor *section = &d->sections[section_steps[i].id];

        if (!d->present[section_steps[i].id])
            continue;
        st = section_steps[i].decode(d, section);
        if (st == ST_OK && cursor_left(section) > 0)
            st = decode_malformed(d, section, "section size mismatch");
    }
    return st == ST_OK ? check_lengths(d) : st;
}

static status_t decode_module(const void *data, size_t len, feature_set_t features, bool head,
                              struct module **ret_module, struct error *err)
{
    struct decoder *d;
    status_t st;

    if (len > MODULE_BYTES_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "module of %zu bytes, at most %llu", len,
                         MODULE_BYTES_MAX);
    d = calloc(1, sizeof(*d));
    if (d)
        d->m = calloc(1, sizeof(*d->m));
    if (!d || !d->m) {
        free(d);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    d->err = err;
    d->head = head;
    d->m->bytes = data;
    d->m->len = len;
    d->m->features = features;
    st = decode_all(d);
    if (st == ST_OK)
        *ret_module = d->m;
    else
        module_free(d->m);
    free(d);
    return st;
}

status_t module_decode(const void *data, size_t len, feature_set_t features,
                       struct module **ret_module, struct error *err)
{
    return decode_module(data, len, features, false, ret_module, err);
}

status_t module_decode_head(const void *data, size_t len, feature_set_t features,
                            struct module **ret_module, struct error *err)
{
    return decode_module(data, len, features, true, ret_module, err);
}
