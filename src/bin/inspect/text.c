#include <stdio.h>

#include "base/human.h"
#include "subject.h"

/* The description for people. */

void subject_put_name(struct buf *out, struct name n)
{
    human_put_text(out, n.bytes, n.len);
}

static void put_label(struct buf *out, const char *label)
{
    buf_printf(out, "  %-12s", label);
}

static void put_bytes(struct buf *out, uint64_t bytes)
{
    char text[HUMAN_TEXT_BYTES];
    human_bytes(bytes, text);
    buf_printf(out, "%s", text);
}

static void put_features(const struct subject *s, struct buf *out)
{
    bool any = false;
    put_label(out, "features");
    for (uint32_t f = 1; f < FEATURE_ALL; f <<= 1) {
        if (!(s->features & f))
            continue;
        buf_printf(out, "%s%s", any ? ", " : "", feature_name((enum feature)f));
        any = true;
    }
    buf_printf(out, "%s\n", any ? "" : "none beyond WebAssembly 2.0");
}

static void put_image(const struct image *img, struct buf *out)
{
    const struct image_counts *n = &img->counts;
    put_label(out, "target");
    buf_printf(out, "%s (%s here)\n", image_level_name(img->options.level),
               image_level_runs(img->options.level) ? "runs" : "does not run");
    put_label(out, "options");
    buf_printf(out, "-O%u, %s NaNs%s%s\n", img->options.opt_level,
               img->options.nan == NAN_CANONICAL ? "canonical" : "native",
               img->options.no_polls ? ", without polls" : "",
               img->options.movable ? ", movable" : "");
    put_label(out, "compiler");
    buf_printf(out, "%s\n", img->compiler);
    put_label(out, "code");
    buf_printf(out, "%u bytes of text, %zu bytes of constants\n", image_text_bytes(img),
               img->code_len - img->const_off);
    put_label(out, "control");
    buf_printf(out, "%u loop polls (%u strip-mined loops), %u import calls, %u unwind tests\n",
               n->loop_polls, n->strip_mined, n->import_calls, n->unwind_tests);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < img->run_count; i++)
        bytes += img->runs[i].len;
    put_label(out, "start");
    put_bytes(out, bytes);
    buf_printf(out, " of memory in %u mapping%s\n", img->run_count, img->run_count == 1 ? "" : "s");
}

static void put_indexed(const struct subject *s, enum extern_kind kind, uint32_t count,
                        struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        char label[32];
        snprintf(label, sizeof label, "%s %u", subject_kind_name(kind), i);
        put_label(out, label);
        subject_put_type(s, kind, i, out);
        buf_printf(out, "\n");
    }
}

static void put_imports(const struct subject *s, struct buf *out)
{
    const struct module *m = s->module;
    buf_printf(out, "imports (%u)\n", m->import_count);
    for (uint32_t i = 0; i < m->import_count; i++) {
        const struct module_import *im = &m->imports[i];
        buf_printf(out, "  %-7s", subject_kind_name(im->kind));
        subject_put_name(out, im->module);
        buf_u8(out, '.');
        subject_put_name(out, im->field);
        buf_u8(out, ' ');
        subject_put_type(s, im->kind, im->index, out);
        buf_u8(out, '\n');
    }
}

static void put_exports(const struct subject *s, struct buf *out)
{
    const struct module *m = s->module;
    buf_printf(out, "exports (%u)\n", m->export_count);
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *ex = &m->exports[i];
        buf_printf(out, "  %-7s", subject_kind_name(ex->kind));
        subject_put_name(out, ex->field);
        buf_u8(out, ' ');
        subject_put_type(s, ex->kind, ex->index, out);
        buf_u8(out, '\n');
    }
}

static void put_sections(const struct subject *s, struct buf *out)
{
    buf_printf(out, "sections (%u)\n", s->section_count);
    for (uint32_t i = 0; i < s->section_count; i++) {
        buf_printf(out, "  0x%08llx %12llu bytes  ", (unsigned long long)s->sections[i].off,
                   (unsigned long long)s->sections[i].len);
        subject_put_name(out, s->sections[i].name);
        buf_u8(out, '\n');
    }
}

void subject_put_text(const struct subject *s, struct buf *out)
{
    const struct module *m = s->module;
    char hash[SHA256_HEX_BYTES];
    sha256_hex(s->module_hash, hash);
    buf_printf(out, "%s: %s, ", s->path, s->image ? "cell image" : "WebAssembly module");
    put_bytes(out, s->bytes.len);
    buf_u8(out, '\n');
    if (s->image)
        put_image(s->image, out);
    put_label(out, "module");
    buf_printf(out, "sha256 %s, ", hash);
    put_bytes(out, s->module_len);
    buf_u8(out, '\n');
    put_features(s, out);
    put_label(out, "functions");
    buf_printf(out, "%u, of which %u are imported\n", m->func_count, m->func_import_count);
    put_label(out, "globals");
    buf_printf(out, "%u\n", m->global_count);
    put_indexed(s, EXTERN_MEM, m->mem_count, out);
    put_indexed(s, EXTERN_TABLE, m->table_count, out);
    put_imports(s, out);
    put_exports(s, out);
    put_sections(s, out);
}
