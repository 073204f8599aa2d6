#include "runtime.h"

#include <unistd.h>

#include "thread.h"

status_t run_sig_number(struct runtime *rt, const struct functype *t, uint64_t *ret_sig)
{
    uint64_t sig = abi_sig(t);
    status_t st = ST_OK;
    pthread_mutex_lock(&rt->lock);
    for (uint32_t i = 0; sig == 0 && i < rt->long_count; i++) {
        if (functype_equal(rt->long_types[i], t))
            sig = 2 * ((uint64_t)i + 1);
    }
    if (sig == 0 && rt->long_count == rt->long_cap) {
        uint32_t cap = rt->long_cap ? rt->long_cap * 2 : 64;
        const struct functype **grown = realloc(rt->long_types, cap * sizeof(*grown));
        if (grown) {
            rt->long_types = grown;
            rt->long_cap = cap;
        } else {
            st = ST_NOMEM;
        }
    }
    if (sig == 0 && st == ST_OK) {
        struct functype *copy = run_functype_copy(&rt->long_arena, t);
        if (copy) {
            rt->long_types[rt->long_count] = copy;
            sig = 2 * ((uint64_t)++rt->long_count);
        } else {
            st = ST_NOMEM;
        }
    }
    pthread_mutex_unlock(&rt->lock);
    if (st == ST_OK)
        *ret_sig = sig;
    return st;
}

struct functype *run_functype_copy(struct arena *a, const struct functype *t)
{
    struct functype *copy = arena_alloc(a, 1, sizeof(*copy));
    valtype_t *values = arena_alloc(a, t->param_count + t->result_count, sizeof(*values));
    if (!copy || !values)
        return NULL;
    if (t->param_count)
        memcpy(values, t->params, t->param_count);
    if (t->result_count)
        memcpy(values + t->param_count, t->results, t->result_count);
    *copy = (struct functype){values, values + t->param_count, t->param_count, t->result_count};
    return copy;
}

uint64_t run_runtime_join(struct runtime *rt)
{
    pthread_mutex_lock(&rt->lock);
    uint64_t serial = ++rt->next_serial;
    rt->users++;
    pthread_mutex_unlock(&rt->lock);
    return serial;
}

void run_runtime_part(struct runtime *rt)
{
    pthread_mutex_lock(&rt->lock);
    rt->users--;
    pthread_mutex_unlock(&rt->lock);
}

status_t runtime_new(const struct runtime_config *config, struct runtime **ret_rt,
                     struct error *err)
{
    struct runtime_config defaults = {.slots_kept = 64, .interrupt_signal = SIGRTMIN + 1};
    if (!config)
        config = &defaults;
    struct runtime *rt = calloc(1, sizeof(*rt));
    if (!rt)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a runtime");
    rt->interrupt_signal = config->interrupt_signal ? config->interrupt_signal
                                                    : defaults.interrupt_signal;
    pthread_mutex_init(&rt->lock, NULL);
    run_slot_pool_init(&rt->slots, config->slots_kept);
    run_park_init(&rt->park);
    status_t st = run_signals_install(rt, err);
    if (st != ST_OK) {
        runtime_free(rt);
        return st;
    }
    *ret_rt = rt;
    return ST_OK;
}

void runtime_free(struct runtime *rt)
{
    if (!rt)
        return;
    run_signals_remove(rt);
    run_slot_pool_done(&rt->slots);
    run_park_done(&rt->park);
    pthread_mutex_destroy(&rt->lock);
    arena_done(&rt->long_arena);
    free(rt->long_types);
    free(rt);
}
