/* The head of a module: made, and decoded again. */
#include "cell/module/image.h"
#include "check.h"
#include "hex.h"
#include "samples.h"

struct pair {
    struct module *whole;
    struct buf head_bytes;
    struct module *head;
};

static void pair_make(struct pair *p, bool drop_data)
{
    struct error err = {0};

    *p = (struct pair){0};
    CHECK_EQ(module_decode(sample_all, sizeof(sample_all), FEATURE_ALL, &p->whole, &err), ST_OK);
    CHECK_EQ(image_head_make(p->whole, drop_data, &p->head_bytes), ST_OK);
    CHECK_EQ(module_decode_head(p->head_bytes.data, p->head_bytes.len, p->whole->features_used,
                                &p->head, &err),
             ST_OK);
    CHECK_STR(err.text, "");
}

static void pair_done(struct pair *p)
{
    module_free(p->head);
    module_free(p->whole);
    buf_done(&p->head_bytes);
}

static void a_head_has_everything_but_bodies_and_custom_sections(void)
{
    struct pair p;

    pair_make(&p, false);
    CHECK_EQ(p.head->func_count, p.whole->func_count);
    CHECK_EQ(p.head->import_count, p.whole->import_count);
    CHECK_EQ(p.head->export_count, p.whole->export_count);
    CHECK_EQ(p.head->elem_count, p.whole->elem_count);
    CHECK_EQ(p.head->global_count, p.whole->global_count);
    CHECK_EQ(p.head->start, p.whole->start);
    CHECK_EQ(p.head->custom_count, 0);
    CHECK(p.head->funcs[3].body == NULL);
    for (uint32_t i = 0; i < p.head->func_count; i++)
        CHECK_EQ(p.head->funcs[i].ref_declared, p.whole->funcs[i].ref_declared);
    for (uint32_t i = 0; i < p.head->data_count; i++)
        CHECK_EQ(p.head->datas[i].len, p.whole->datas[i].len);
    pair_done(&p);
}

static void dropping_data_empties_active_segments_and_keeps_passive_ones(void)
{
    struct pair p;

    pair_make(&p, true);
    CHECK_EQ(p.head->data_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(p.head->datas[i].mode, SEGMENT_PASSIVE);
    CHECK_EQ(p.head->datas[0].len, 0);
    CHECK_EQ(p.head->datas[1].len, 0);
    CHECK_EQ(p.head->datas[2].len, 7);
    CHECK(memcmp(p.head->datas[2].bytes, "passive", 7) == 0);
    pair_done(&p);
}

static void head_and_module_have_the_same_layout(void)
{
    struct pair p;
    struct arena a = {0};
    struct abi_layout x, y;

    pair_make(&p, true);
    CHECK_EQ(abi_layout_make(p.whole, &a, &x, NULL), ST_OK);
    CHECK_EQ(abi_layout_make(p.head, &a, &y, NULL), ST_OK);
    CHECK_EQ(x.block_bytes, y.block_bytes);
    CHECK(memcmp(x.func_off, y.func_off, p.head->func_count * sizeof(int32_t)) == 0);
    arena_done(&a);
    pair_done(&p);
}

static void the_head_of_a_head_is_itself(void)
{
    struct pair p;
    struct buf again = {0};

    pair_make(&p, true);
    CHECK_EQ(image_head_make(p.head, true, &again), ST_OK);
    CHECK_EQ(again.len, p.head_bytes.len);
    CHECK(memcmp(again.data, p.head_bytes.data, again.len) == 0);
    buf_done(&again);
    pair_done(&p);
}

static void a_head_with_code_is_refused(void)
{
    struct module *m = NULL;
    struct error err = {0};

    CHECK_EQ(module_decode_head(sample_all, sizeof(sample_all), FEATURE_ALL, &m, &err), ST_FORMAT);
    CHECK(m == NULL);
}

static void a_head_is_no_module_for_the_decoder_of_modules(void)
{
    struct pair p;
    struct module *m = NULL;
    struct error err = {0};

    pair_make(&p, false);
    CHECK_EQ(module_decode(p.head_bytes.data, p.head_bytes.len, FEATURE_ALL, &m, &err), ST_FORMAT);
    CHECK_STR(err.text, "function and code section have inconsistent lengths");
    pair_done(&p);
}

int main(void)
{
    RUN(a_head_has_everything_but_bodies_and_custom_sections);
    RUN(dropping_data_empties_active_segments_and_keeps_passive_ones);
    RUN(head_and_module_have_the_same_layout);
    RUN(the_head_of_a_head_is_itself);
    RUN(a_head_with_code_is_refused);
    RUN(a_head_is_no_module_for_the_decoder_of_modules);
    return CHECK_DONE();
}
