#include "exn.h"

#include "check.h"

/* Roots that the tests choose: the words of one array. */
struct words {
    void *at[4];
};

static void visit(void *arg, struct run_exns *x)
{
    struct words *w = arg;
    run_exn_mark_words(x, w->at, w->at + 4);
}

static void what_nothing_points_to_is_freed(void)
{
    struct run_exns x = {0};
    struct words w = {{0}};
    struct run_exn_roots roots = {visit, &w};
    struct abi_exn *a = run_exn_new(&x, &w, 2, &roots), *b = run_exn_new(&x, &w, 0, &roots);
    CHECK(a && b && a->count == 2 && a->tag == &w && a->values[1].u64 == 0);
    w.at[1] = a;
    run_exn_collect(&x, &roots);
    CHECK_EQ(x.count, 1);
    CHECK(x.items[0] == a);
    w.at[1] = NULL;
    run_exn_collect(&x, &roots);
    CHECK_EQ(x.count, 0);
    CHECK_EQ(x.bytes, 0);
    run_exns_done(&x);
}

static void a_pointer_into_or_just_past_an_exception_keeps_it(void)
{
    struct run_exns x = {0};
    struct words w = {{0}};
    struct run_exn_roots roots = {visit, &w};
    struct abi_exn *a = run_exn_new(&x, &w, 3, &roots), *b = run_exn_new(&x, &w, 3, &roots);
    w.at[0] = &a->values[1];
    w.at[3] = &b->values[3];
    run_exn_collect(&x, &roots);
    CHECK_EQ(x.count, 2);
    run_exns_done(&x);
}

static void values_of_live_exceptions_keep_others(void)
{
    struct run_exns x = {0};
    struct words w = {{0}};
    struct run_exn_roots roots = {visit, &w};
    struct abi_exn *chain = NULL;
    for (int i = 0; i < 100; i++) {
        struct abi_exn *e = run_exn_new(&x, &w, 1, &roots);
        e->values[0].ref = chain;
        chain = e;
        (void)!run_exn_new(&x, &w, 1, &roots);
    }
    w.at[2] = chain;
    run_exn_collect(&x, &roots);
    CHECK_EQ(x.count, 100);
    run_exns_done(&x);
}

static void a_long_chain_is_collected_in_time(void)
{
    struct run_exns x = {0};
    struct words w = {{0}};
    struct run_exn_roots roots = {visit, &w};
    for (int i = 0; i < 200000; i++) {
        struct abi_exn *e = run_exn_new(&x, &w, 1, &roots);
        e->values[0].ref = w.at[0];
        w.at[0] = e;
    }
    run_exn_collect(&x, &roots);
    CHECK_EQ(x.count, 200000);
    w.at[0] = NULL;
    run_exn_collect(&x, &roots);
    CHECK_EQ(x.count, 0);
    run_exns_done(&x);
}

static void allocation_collects_by_itself(void)
{
    struct run_exns x = {0};
    struct words w = {{0}};
    struct run_exn_roots roots = {visit, &w};
    for (int i = 0; i < 1000000; i++)
        w.at[0] = run_exn_new(&x, &w, 1, &roots);
    CHECK(w.at[0] != NULL);
    CHECK(x.bytes <= 2 * EXN_COLLECT_BYTES);
    run_exns_done(&x);
}

static void live_exceptions_are_bounded(void)
{
    struct run_exns x = {0};
    struct words w = {{0}};
    struct run_exn_roots roots = {visit, &w};
    uint64_t made = 0;
    for (;;) {
        struct abi_exn *e = run_exn_new(&x, &w, 4095, &roots);
        if (!e)
            break;
        e->values[0].ref = w.at[0];
        w.at[0] = e;
        made++;
    }
    CHECK_EQ(made, EXN_BYTES_MAX / 65536);
    w.at[0] = NULL;
    CHECK(run_exn_new(&x, &w, 4095, &roots) != NULL);
    run_exns_done(&x);
}

int main(void)
{
    RUN(what_nothing_points_to_is_freed);
    RUN(a_pointer_into_or_just_past_an_exception_keeps_it);
    RUN(values_of_live_exceptions_keep_others);
    RUN(a_long_chain_is_collected_in_time);
    RUN(allocation_collects_by_itself);
    RUN(live_exceptions_are_bounded);
    return CHECK_DONE();
}
