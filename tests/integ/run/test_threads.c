#include <pthread.h>
#include <sched.h>

#include "guest.h"
#include "modules.h"

enum { THREADS = 4, CELLS_EACH = 50, ADDS = 20000 };

static struct runtime *rt;
static struct program *program_of_waiter;
static struct program *program_of_import;

static status_t resolve(void *arg, const struct module_import *imp, struct extern_val *ret_val)
{
    return instance_export(arg, imp->field.bytes, imp->field.len, ret_val);
}

/* A cell of its own that shares the memory of owner. */
static void start_sharing(struct guest *g, struct instance *owner)
{
    struct import_resolver r = {resolve, owner};
    *g = (struct guest){.rt = rt, .prog = program_of_import};
    guest_need(cell_new(rt, NULL, &g->cell, &g->err), "cell", &g->err);
    guest_need(cell_instantiate(g->cell, g->prog, NULL, 0, &r, &g->inst, &g->err), "instantiate",
               &g->err);
}

struct worker {
    pthread_t thread;
    struct guest guest;
    const char *name;
    union cell_value io[1];
    status_t st;
};

static void *call_worker(void *arg)
{
    struct worker *w = arg;
    w->st = guest_call(&w->guest, w->name, w->io);
    return NULL;
}

static void cells_of_many_threads_count_in_one_memory(void)
{
    struct guest owner;
    struct worker w[THREADS];
    int32_t value = 0;
    guest_start(&owner, rt, program_of_waiter, NULL, NULL);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.name = "add", .io = {{.i32 = ADDS}}};
        start_sharing(&w[i].guest, owner.inst);
        CHECK_EQ(pthread_create(&w[i].thread, NULL, call_worker, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        CHECK_EQ(w[i].st, ST_OK);
        cell_free(w[i].guest.cell);
    }
    CHECK_EQ(guest_call_i32(&owner, "count", 0, &value), ST_OK);
    CHECK_EQ(value, THREADS * ADDS);
    cell_free(owner.cell);
}

static void a_wait_is_ended_by_a_notify_of_another_cell(void)
{
    struct guest owner;
    struct worker w = {.name = "wait", .io = {{.i64 = -1}}};
    int32_t woken = 0;
    guest_start(&owner, rt, program_of_waiter, NULL, NULL);
    start_sharing(&w.guest, owner.inst);
    CHECK_EQ(pthread_create(&w.thread, NULL, call_worker, &w), 0);
    while (woken == 0) {
        CHECK_EQ(guest_call_i32(&owner, "notify", 5, &woken), ST_OK);
        sched_yield();
    }
    CHECK_EQ(woken, 1);
    pthread_join(w.thread, NULL);
    CHECK_EQ(w.st, ST_OK);
    CHECK_EQ(w.io[0].i32, 0);
    w.io[0].i64 = 1000;
    CHECK_EQ(guest_call(&w.guest, "wait", w.io), ST_OK);
    CHECK_EQ(w.io[0].i32, 2);
    cell_free(w.guest.cell);
    cell_free(owner.cell);
}

static void a_waiting_cell_is_stopped(void)
{
    struct worker w = {.name = "wait", .io = {{.i64 = -1}}};
    for (int round = 0; round < 100; round++) {
        w.io[0].i64 = -1;
        guest_start(&w.guest, rt, program_of_waiter, NULL, NULL);
        CHECK_EQ(pthread_create(&w.thread, NULL, call_worker, &w), 0);
        guest_pass_ns((uint64_t)round * 1000);
        cell_stop(w.guest.cell, STOP_REQUEST);
        pthread_join(w.thread, NULL);
        CHECK_EQ(w.st, ST_STOPPED);
        cell_free(w.guest.cell);
    }
}

static void shared_memory_outlives_the_cell_that_made_it(void)
{
    struct guest owner, other;
    guest_start(&owner, rt, program_of_waiter, NULL, NULL);
    start_sharing(&other, owner.inst);
    cell_free(owner.cell);
    CHECK_EQ(guest_call_i32(&other, "add", 5, NULL), ST_OK);
    cell_free(other.cell);
}

/* Many short cells, as a daemon has them. */
static void *start_many(void *arg)
{
    status_t *ret_st = arg;
    for (int i = 0; i < CELLS_EACH; i++) {
        struct guest g;
        int32_t value = 0;
        guest_start(&g, rt, program_of_waiter, NULL, NULL);
        *ret_st = guest_call_i32(&g, "add", i + 1, NULL);
        if (*ret_st == ST_OK)
            *ret_st = guest_call_i32(&g, "count", 0, &value);
        if (*ret_st == ST_OK && value != i + 1)
            *ret_st = ST_CORRUPT;
        cell_free(g.cell);
        if (*ret_st != ST_OK)
            break;
    }
    return NULL;
}

static void threads_start_and_end_cells_at_the_same_time(void)
{
    pthread_t threads[THREADS];
    status_t st[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, start_many, &st[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(st[i], ST_OK);
    }
}

int main(void)
{
    rt = guest_runtime();
    program_of_waiter = GUEST_PROGRAM(rt, waiter);
    program_of_import = GUEST_PROGRAM(rt, waiter_import);
    RUN(cells_of_many_threads_count_in_one_memory);
    RUN(a_wait_is_ended_by_a_notify_of_another_cell);
    RUN(a_waiting_cell_is_stopped);
    RUN(shared_memory_outlives_the_cell_that_made_it);
    RUN(threads_start_and_end_cells_at_the_same_time);
    program_unref(program_of_import);
    program_unref(program_of_waiter);
    runtime_free(rt);
    return CHECK_DONE();
}
