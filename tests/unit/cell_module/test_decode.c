/* What the decoder makes of well-formed modules. */
#include "cell/module/image.h"
#include "check.h"
#include "hex.h"
#include "samples.h"

static struct module *sample(void)
{
    struct module *m = NULL;
    CHECK_EQ(module_decode(sample_all, sizeof(sample_all), FEATURE_ALL, &m, NULL), ST_OK);
    return m;
}

static bool name_is(struct name n, const char *text)
{
    return n.len == strlen(text) && memcmp(n.bytes, text, n.len) == 0;
}

static void the_smallest_module_is_empty(void)
{
    struct module *m = NULL;

    CHECK_EQ(module_decode("\0asm\1\0\0", 8, 0, &m, NULL), ST_OK);
    CHECK_EQ(m->type_count + m->func_count + m->mem_count + m->export_count + m->custom_count, 0);
    CHECK(!m->has_start);
    CHECK_EQ(m->features_used, 0);
    module_free(m);
}

static void freeing_nothing_is_allowed(void)
{
    module_free(NULL);
}

static void imports_come_first_in_their_index_spaces(void)
{
    struct module *m = sample();
    static const enum extern_kind kinds[] = {EXTERN_FUNC, EXTERN_TABLE, EXTERN_MEM, EXTERN_GLOBAL,
                                             EXTERN_TAG};

    CHECK_EQ(m->import_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(m->imports[i].kind, kinds[i]);
        CHECK_EQ(m->imports[i].index, 0);
        CHECK(name_is(m->imports[i].module, "env"));
    }
    CHECK(m->funcs[0].imported && !m->funcs[1].imported);
    CHECK(m->tables[0].imported && !m->tables[1].imported);
    CHECK(m->mems[0].imported && !m->mems[1].imported);
    CHECK(m->globals[0].imported && !m->globals[1].imported);
    CHECK(m->tags[0].imported && !m->tags[1].imported);
    CHECK_EQ(m->func_import_count, 1);
    CHECK_EQ(m->global_import_count, 1);
    module_free(m);
}

static void function_types_keep_their_values_in_order(void)
{
    struct module *m = sample();
    const struct functype *t = module_func_type(m, 0);
    static const valtype_t params[] = {VT_I32, VT_I64, VT_F32, VT_F64};

    CHECK_EQ(t->param_count, 4);
    CHECK(memcmp(t->params, params, 4) == 0);
    CHECK_EQ(t->result_count, 2);
    CHECK_EQ(t->results[1], VT_I64);
    module_free(m);
}

static void limits_are_kept(void)
{
    struct module *m = sample();

    CHECK_EQ(m->tables[0].limits.min, 1);
    CHECK_EQ(m->tables[0].limits.max, 10);
    CHECK(!m->tables[1].limits.has_max);
    CHECK_EQ(m->tables[2].type, VT_EXTERNREF);
    CHECK(m->mems[1].limits.shared && !m->mems[0].limits.shared);
    CHECK_EQ(m->mems[1].limits.max, 2);
    module_free(m);
}

static void globals_keep_their_initialisers(void)
{
    struct module *m = sample();

    CHECK_EQ(m->globals[0].init.len, 0);
    CHECK(m->globals[1].mutable_ && !m->globals[2].mutable_);
    CHECK_EQ(m->globals[1].init.len, 5);
    CHECK_EQ(m->globals[1].init.bytes[0], 0x41);
    CHECK(m->globals[1].init.bytes == m->bytes + m->globals[1].init.off);
    CHECK_EQ(m->globals[3].type, VT_F64);
    module_free(m);
}

static void exports_mark_what_they_name(void)
{
    struct module *m = sample();

    CHECK_EQ(m->export_count, 5);
    CHECK(name_is(m->exports[0].field, "run"));
    CHECK_EQ(m->exports[0].index, 3);
    CHECK(m->funcs[3].exported && m->tables[1].exported && m->mems[0].exported);
    CHECK(m->globals[1].exported && m->tags[1].exported);
    CHECK(!m->funcs[2].exported);
    CHECK(m->has_start);
    CHECK_EQ(m->start, 1);
    module_free(m);
}

static void functions_are_declared_by_elements_globals_and_exports_only(void)
{
    struct module *m = sample();
    /* imp init leaf run tails decl atomics throws catches */
    static const bool declared[] = {false, true, true, true, true, true, false, false, false};

    for (uint32_t i = 0; i < m->func_count; i++)
        CHECK_EQ(m->funcs[i].ref_declared, declared[i]);
    module_free(m);
}

static void locals_are_expanded(void)
{
    struct module *m = sample();
    const struct module_func *init = &m->funcs[1], *run = &m->funcs[3];

    CHECK_EQ(init->local_count, 3);
    CHECK_EQ(init->locals[1], VT_I32);
    CHECK_EQ(init->locals[2], VT_I64);
    CHECK_EQ(run->local_count, 3);
    CHECK_EQ(run->locals[2], VT_V128);
    CHECK_EQ(m->funcs[2].local_count, 0);
    module_free(m);
}

static void bodies_are_where_their_offsets_say(void)
{
    struct module *m = sample();

    for (uint32_t i = 1; i < m->func_count; i++) {
        const struct module_func *f = &m->funcs[i];

        CHECK(f->body == m->bytes + f->body_off);
        CHECK_EQ(f->body[f->body_len - 1], 0x0b);
        CHECK(f->body_off > m->code_off);
    }
    module_free(m);
}

static void data_segments_have_their_modes_memories_and_bytes(void)
{
    struct module *m = sample();

    CHECK(m->has_data_count);
    CHECK_EQ(m->data_count, 3);
    CHECK_EQ(m->datas[0].mode, SEGMENT_ACTIVE);
    CHECK(memcmp(m->datas[0].bytes, "active", 6) == 0);
    CHECK_EQ(m->datas[1].mem, 1);
    CHECK_EQ(m->datas[2].mode, SEGMENT_PASSIVE);
    CHECK_EQ(m->datas[2].len, 7);
    module_free(m);
}

static void the_eight_encodings_of_element_segments_are_read(void)
{
    struct buf b = {0}, content = {0};
    struct module *m = NULL;
    struct error err = {0};

    hex_module(&b, "010401600000 03020100 0404 01 70 00 05");
    hex_put(&content, "08"
                      "00 41000b 01 00"
                      "01 00 02 00 00"
                      "02 00 41010b 00 01 00"
                      "03 00 01 00"
                      "04 41020b 02 d2000b d0700b"
                      "05 70 01 d0700b"
                      "06 00 41030b 70 01 d2000b"
                      "07 70 01 d2000b");
    hex_section(&b, 9, &content);
    hex_put(&b, "0a0401 02 00 0b");
    CHECK_EQ(module_decode(b.data, b.len, 0, &m, &err), ST_OK);
    CHECK_STR(err.text, "");
    static const enum segment_mode modes[] = {SEGMENT_ACTIVE,   SEGMENT_PASSIVE, SEGMENT_ACTIVE,
                                              SEGMENT_DECLARED, SEGMENT_ACTIVE,  SEGMENT_PASSIVE,
                                              SEGMENT_ACTIVE,   SEGMENT_DECLARED};
    static const uint32_t counts[] = {1, 2, 1, 1, 2, 1, 1, 1};
    if (m) {
        CHECK_EQ(m->elem_count, 8);
        for (uint32_t i = 0; i < m->elem_count; i++) {
            CHECK_EQ(m->elems[i].mode, modes[i]);
            CHECK_EQ(m->elems[i].count, counts[i]);
            CHECK_EQ(m->elems[i].type, VT_FUNCREF);
            CHECK_EQ(m->elems[i].funcs != NULL, i < 4);
            CHECK_EQ(m->elems[i].exprs != NULL, i >= 4);
            CHECK_EQ(m->elems[i].offset.len != 0, modes[i] == SEGMENT_ACTIVE);
        }
    }
    module_free(m);
    buf_done(&content);
    buf_done(&b);
}

static void custom_sections_stand_anywhere_and_are_found_by_name(void)
{
    struct buf b = {0};
    struct module *m = NULL;

    hex_module(&b, "");
    hex_custom(&b, "one", "abc", 3);
    hex_put(&b, "0104016000 00");
    hex_custom(&b, "two", "", 0);
    hex_custom(&b, "one", "later", 5);
    CHECK_EQ(module_decode(b.data, b.len, 0, &m, NULL), ST_OK);
    CHECK_EQ(m->custom_count, 3);
    CHECK_EQ(module_custom_find(m, "one")->len, 3);
    CHECK_EQ(module_custom_find(m, "two")->len, 0);
    CHECK(module_custom_find(m, "on") == NULL);
    module_free(m);
    buf_done(&b);
}

static void features_that_are_met_are_noted(void)
{
    struct module *m = sample();

    CHECK(m->features_used & FEATURE_THREADS);
    CHECK(m->features_used & FEATURE_MULTI_MEMORY);
    CHECK(m->features_used & FEATURE_EXCEPTIONS);
    CHECK(!(m->features_used & FEATURE_RELAXED_SIMD));
    module_free(m);
}

static void many_imports_are_kept_in_order(void)
{
    enum { COUNT = 1000 };
    struct buf content = {0}, b = {0};
    struct module *m = NULL;

    hex_module(&b, "0108 02 600000 60017f00");
    buf_leb_u32(&content, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        hex_put(&content, i % 2 ? "0000 03 7f00" : "0000 00");
        if (i % 2 == 0)
            buf_u8(&content, i % 4 ? 1 : 0);
    }
    hex_section(&b, 2, &content);
    CHECK_EQ(module_decode(b.data, b.len, 0, &m, NULL), ST_OK);
    CHECK_EQ(m->func_count, COUNT / 2);
    CHECK_EQ(m->global_count, COUNT / 2);
    for (uint32_t i = 0; i < COUNT; i++)
        CHECK_EQ(m->imports[i].index, i / 2);
    for (uint32_t i = 0; i < m->func_count; i++)
        CHECK_EQ(m->funcs[i].type, i % 2);
    module_free(m);
    buf_done(&b);
    buf_done(&content);
}

int main(void)
{
    RUN(the_smallest_module_is_empty);
    RUN(freeing_nothing_is_allowed);
    RUN(imports_come_first_in_their_index_spaces);
    RUN(function_types_keep_their_values_in_order);
    RUN(limits_are_kept);
    RUN(globals_keep_their_initialisers);
    RUN(exports_mark_what_they_name);
    RUN(functions_are_declared_by_elements_globals_and_exports_only);
    RUN(locals_are_expanded);
    RUN(bodies_are_where_their_offsets_say);
    RUN(data_segments_have_their_modes_memories_and_bytes);
    RUN(the_eight_encodings_of_element_segments_are_read);
    RUN(custom_sections_stand_anywhere_and_are_found_by_name);
    RUN(features_that_are_met_are_noted);
    RUN(many_imports_are_kept_in_order);
    return CHECK_DONE();
}
