#include <string.h>

#include "subject.h"

#include "base/cursor.h"
#include "cell/module/program_file.h"
#include "sys/files.h"

/* Larger files are neither modules nor images of modules: code is at most a few times its module. */
#define SUBJECT_BYTES_MAX (16ull << 30)

static const char *const wasm_sections[] = {
    "custom", "type",  "import",  "function", "table", "memory",    "global",
    "export", "start", "element", "code",     "data",  "datacount", "tag",
};

static status_t open_image(struct subject *s, struct error *err)
{
    status_t st = image_decode(s->bytes.data, s->bytes.len, &s->image, err);
    if (st != ST_OK)
        return st;
    s->module = s->image->module;
    memcpy(s->module_hash, s->image->module_hash, SHA256_BYTES);
    s->module_len = s->image->module_len;
    s->features = s->image->features;
    struct image_section_info info[IMAGE_SECTION_COUNT];
    image_section_list(s->bytes.data, info);
    s->sections = arena_alloc(&s->arena, IMAGE_SECTION_COUNT, sizeof *s->sections);
    if (!s->sections)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    for (uint32_t i = 0; i < IMAGE_SECTION_COUNT; i++) {
        struct name name = {info[i].name, (uint32_t)strlen(info[i].name)};
        s->sections[s->section_count++] = (struct section){name, info[i].off, info[i].len};
    }
    return ST_OK;
}

/* The sections of a module that module_decode took: lengths are right. */
static status_t list_wasm_sections(struct subject *s, struct error *err)
{
    struct buf list = {0};
    struct cursor c;
    cursor_init(&c, s->bytes.data, s->bytes.len, 0);
    cursor_bytes(&c, 8);
    while (cursor_left(&c) > 0 && !c.failed) {
        uint8_t id = cursor_u8(&c);
        uint32_t len = cursor_leb_u32(&c);
        struct section found = {.off = cursor_offset(&c), .len = len};
        struct cursor body = cursor_sub(&c, len);
        if (id < sizeof wasm_sections / sizeof wasm_sections[0])
            found.name = (struct name){wasm_sections[id], (uint32_t)strlen(wasm_sections[id])};
        if (id == 0) {
            found.name.len = cursor_leb_u32(&body);
            found.name.bytes = (const char *)cursor_bytes(&body, found.name.len);
        }
        if (!c.failed && !body.failed)
            buf_bytes(&list, &found, sizeof found);
    }
    size_t count = list.len / sizeof *s->sections;
    s->sections = arena_alloc(&s->arena, count, sizeof *s->sections);
    bool ok = s->sections && !list.failed;
    if (ok && count > 0)
        memcpy(s->sections, list.data, list.len);
    s->section_count = ok ? (uint32_t)count : 0;
    buf_done(&list);
    return ok ? ST_OK : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

static status_t open_module(struct subject *s, struct error *err)
{
    status_t st = module_decode(s->bytes.data, s->bytes.len, FEATURE_ALL, &s->own_module, err);
    if (st == ST_OK)
        st = module_validate(s->own_module, err);
    if (st != ST_OK)
        return st;
    s->module = s->own_module;
    s->module_len = s->bytes.len;
    s->features = s->own_module->features_used;
    sha256_bytes(s->bytes.data, s->bytes.len, s->module_hash);
    return list_wasm_sections(s, err);
}

static status_t open_bytes(struct subject *s, struct error *err)
{
    switch (program_file_kind(s->bytes.data, s->bytes.len)) {
    case PROGRAM_FILE_MODULE:
        return open_module(s, err);
    case PROGRAM_FILE_IMAGE:
        return open_image(s, err);
    case PROGRAM_FILE_OTHER:
        break;
    }
    return program_file_refuse(s->bytes.data, s->bytes.len, err);
}

status_t subject_open(const char *path, struct subject *ret_subject, struct error *err)
{
    struct subject s = {.path = path};
    status_t st = file_read(path, SUBJECT_BYTES_MAX, &s.bytes, err);
    if (st == ST_OK)
        st = open_bytes(&s, err);
    if (st == ST_OK)
        *ret_subject = s;
    else
        subject_close(&s);
    return st;
}

void subject_close(struct subject *s)
{
    image_free(s->image);
    module_free(s->own_module);
    arena_done(&s->arena);
    buf_done(&s->bytes);
    *s = (struct subject){0};
}

const char *subject_kind_name(enum extern_kind kind)
{
    static const char *const names[] = {"func", "table", "memory", "global", "tag"};
    return names[kind];
}

static void put_values(struct buf *out, const valtype_t *types, uint32_t count)
{
    buf_printf(out, "(");
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i ? ", " : "", valtype_name(types[i]));
    buf_printf(out, ")");
}

static void put_functype(struct buf *out, const struct functype *t)
{
    put_values(out, t->params, t->param_count);
    if (t->result_count == 0)
        return;
    buf_printf(out, " -> ");
    if (t->result_count == 1)
        buf_printf(out, "%s", valtype_name(t->results[0]));
    else
        put_values(out, t->results, t->result_count);
}

static void put_limits(struct buf *out, const struct limits *l, const char *unit)
{
    buf_printf(out, "%llu", (unsigned long long)l->min);
    if (!l->has_max)
        buf_printf(out, " or more");
    else if (l->max != l->min)
        buf_printf(out, "..%llu", (unsigned long long)l->max);
    buf_printf(out, " %s%s", unit, l->shared ? ", shared" : "");
}

void subject_put_type(const struct subject *s, enum extern_kind kind, uint32_t index,
                      struct buf *out)
{
    const struct module *m = s->module;
    switch (kind) {
    case EXTERN_FUNC:
        put_functype(out, module_func_type(m, index));
        break;
    case EXTERN_TABLE:
        buf_printf(out, "%s, ", valtype_name(m->tables[index].type));
        put_limits(out, &m->tables[index].limits, "entries");
        break;
    case EXTERN_MEM:
        put_limits(out, &m->mems[index].limits, "pages");
        break;
    case EXTERN_GLOBAL:
        buf_printf(out, "%s%s", m->globals[index].mutable_ ? "mut " : "",
                   valtype_name(m->globals[index].type));
        break;
    case EXTERN_TAG:
        put_functype(out, &m->types[m->tags[index].type]);
        break;
    }
}
