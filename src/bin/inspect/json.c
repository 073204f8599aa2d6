#include "base/json.h"

#include "subject.h"

/* The description for programs; members only ever get more. */

static void put_name(struct json *j, const char *key, struct name n)
{
    json_string(j, key, n.bytes, n.len);
}

static void put_features(struct json *j, feature_set_t features)
{
    json_open(j, "features", '[');
    for (uint32_t f = 1; f < FEATURE_ALL; f <<= 1) {
        if (features & f)
            json_text(j, NULL, feature_name((enum feature)f));
    }
    json_close(j, ']');
}

static void put_image(struct json *j, const struct image *img)
{
    const struct image_counts *n = &img->counts;
    json_text(j, "cpu", image_level_name(img->options.level));
    json_bool(j, "runs_here", image_level_runs(img->options.level));
    json_u64(j, "opt_level", img->options.opt_level);
    json_text(j, "nan", img->options.nan == NAN_CANONICAL ? "canonical" : "native");
    json_bool(j, "polls", !img->options.no_polls);
    json_bool(j, "movable", img->options.movable);
    json_text(j, "compiler", img->compiler);
    json_u64(j, "text_bytes", image_text_bytes(img));
    json_u64(j, "constant_bytes", img->code_len - img->const_off);
    json_open(j, "control_points", '{');
    json_u64(j, "loop_polls", n->loop_polls);
    json_u64(j, "strip_mined_loops", n->strip_mined);
    json_u64(j, "import_calls", n->import_calls);
    json_u64(j, "unwind_tests", n->unwind_tests);
    json_close(j, '}');
    json_open(j, "memory_runs", '[');
    for (uint32_t i = 0; i < img->run_count; i++) {
        json_open(j, NULL, '{');
        json_u64(j, "memory", img->runs[i].mem);
        json_u64(j, "offset", img->runs[i].guest_off);
        json_u64(j, "bytes", img->runs[i].len);
        json_u64(j, "file_offset", img->runs[i].file_off);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_limits(struct json *j, const struct limits *l)
{
    json_u64(j, "min", l->min);
    if (l->has_max)
        json_u64(j, "max", l->max);
    json_bool(j, "shared", l->shared);
}

static void put_memories(struct json *j, const struct module *m)
{
    json_open(j, "memories", '[');
    for (uint32_t i = 0; i < m->mem_count; i++) {
        json_open(j, NULL, '{');
        put_limits(j, &m->mems[i].limits);
        json_bool(j, "imported", m->mems[i].imported);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_tables(struct json *j, const struct module *m)
{
    json_open(j, "tables", '[');
    for (uint32_t i = 0; i < m->table_count; i++) {
        json_open(j, NULL, '{');
        json_text(j, "type", valtype_name(m->tables[i].type));
        put_limits(j, &m->tables[i].limits);
        json_bool(j, "imported", m->tables[i].imported);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_kind(struct json *j, const struct subject *s, enum extern_kind kind, uint32_t index)
{
    struct buf type = {0};
    subject_put_type(s, kind, index, &type);
    json_text(j, "kind", subject_kind_name(kind));
    json_string(j, "type", (const char *)type.data, type.len);
    j->out->failed |= type.failed;
    buf_done(&type);
}

static void put_imports(struct json *j, const struct subject *s)
{
    json_open(j, "imports", '[');
    for (uint32_t i = 0; i < s->module->import_count; i++) {
        const struct module_import *im = &s->module->imports[i];
        json_open(j, NULL, '{');
        put_name(j, "module", im->module);
        put_name(j, "name", im->field);
        put_kind(j, s, im->kind, im->index);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_exports(struct json *j, const struct subject *s)
{
    json_open(j, "exports", '[');
    for (uint32_t i = 0; i < s->module->export_count; i++) {
        const struct module_export *ex = &s->module->exports[i];
        json_open(j, NULL, '{');
        put_name(j, "name", ex->field);
        put_kind(j, s, ex->kind, ex->index);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_sections(struct json *j, const struct subject *s)
{
    json_open(j, "sections", '[');
    for (uint32_t i = 0; i < s->section_count; i++) {
        json_open(j, NULL, '{');
        put_name(j, "name", s->sections[i].name);
        json_u64(j, "offset", s->sections[i].off);
        json_u64(j, "bytes", s->sections[i].len);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void subject_put_json(const struct subject *s, struct buf *out)
{
    struct json j = {.out = out};
    const struct module *m = s->module;
    char hash[SHA256_HEX_BYTES];
    sha256_hex(s->module_hash, hash);
    json_open(&j, NULL, '{');
    json_text(&j, "path", s->path);
    json_text(&j, "kind", s->image ? "image" : "module");
    json_u64(&j, "bytes", s->bytes.len);
    json_text(&j, "module_sha256", hash);
    json_u64(&j, "module_bytes", s->module_len);
    put_features(&j, s->features);
    if (s->image)
        put_image(&j, s->image);
    json_u64(&j, "functions", m->func_count);
    json_u64(&j, "imported_functions", m->func_import_count);
    json_u64(&j, "globals", m->global_count);
    put_memories(&j, m);
    put_tables(&j, m);
    put_imports(&j, s);
    put_exports(&j, s);
    put_sections(&j, s);
    json_close(&j, '}');
}
