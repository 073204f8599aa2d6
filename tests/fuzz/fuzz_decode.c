/* A module from anywhere: decode, validate, read its names and lines, lay out its block, make its head. */
#include "cell/module/image.h"
#include "fuzz.h"

static void check_lines(const struct module *m, struct arena *a)
{
    struct line_table t = {0};

    FUZZ_CHECK(module_line_table(m, a, &t) == ST_OK);
    for (uint32_t i = 0; i < t.row_count; i++) {
        FUZZ_CHECK(t.rows[i].line == 0 || t.rows[i].file < t.file_count);
        FUZZ_CHECK(i == 0 || t.rows[i].off > t.rows[i - 1].off);
    }
}

static void check_head(const struct module *m)
{
    struct buf head = {0};
    struct module *again = NULL;
    struct error err = {0};

    FUZZ_CHECK(image_head_make(m, true, &head) == ST_OK);
    FUZZ_CHECK(module_decode_head(head.data, head.len, m->features, &again, &err) == ST_OK);
    FUZZ_CHECK(again->func_count == m->func_count && again->data_count == m->data_count);
    module_free(again);
    buf_done(&head);
}

/* What a valid module is said to use is enough for it. */
static void check_features(const struct module *m)
{
    struct module *again = NULL;
    struct error err = {0};

    FUZZ_CHECK(module_decode(m->bytes, m->len, m->features_used, &again, &err) == ST_OK);
    FUZZ_CHECK(module_validate(again, &err) == ST_OK);
    module_free(again);
}

static void check_module(struct module *m)
{
    struct arena a = {0};
    struct name *names = NULL;
    struct abi_layout layout;
    struct error err = {0};

    FUZZ_CHECK(module_func_names(m, &a, &names) == ST_OK);
    for (uint32_t i = 0; i < m->func_count; i++)
        FUZZ_CHECK(names[i].bytes != NULL);
    check_lines(m, &a);
    FUZZ_CHECK(abi_layout_make(m, &a, &layout, &err) == ST_OK);
    check_head(m);
    if (module_validate(m, &err) == ST_OK)
        check_features(m);
    else
        FUZZ_CHECK(err.code != ST_OK && err.text[0] != '\0');
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct module *m = NULL;
    struct error err = {0};

    if (module_decode(data, len, FEATURE_ALL, &m, &err) != ST_OK) {
        FUZZ_CHECK(err.code != ST_OK && err.text[0] != '\0' && !m);
        return 0;
    }
    check_module(m);
    module_free(m);
    return 0;
}
