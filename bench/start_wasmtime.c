/* Start of an instance in wasmtime, the peer of start.c: start_wasmtime MODULE.wasm FUNC COUNT
 * A start is: new store, instantiation from the pool with a prepared linker, the exported function FUNC looked up
 * and called; it ends when FUNC returned. Stores are deleted outside the timed part. Prints "start_ns N" per start.
 * The library is a wheel without headers, so its interface is declared here. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct wasm_config wasm_config;
typedef struct wasm_engine wasm_engine;
typedef struct wasm_trap wasm_trap;
typedef struct wasmtime_error wasmtime_error;
typedef struct wasmtime_module wasmtime_module;
typedef struct wasmtime_store wasmtime_store;
typedef struct wasmtime_context wasmtime_context;
typedef struct wasmtime_linker wasmtime_linker;
typedef struct wasmtime_instance_pre wasmtime_instance_pre;
typedef struct wasmtime_pooling wasmtime_pooling;

struct wasm_byte_vec {
    size_t size;
    char *data;
};
struct wasmtime_instance {
    uint64_t store_id;
    size_t index;
};
struct wasmtime_func {
    uint64_t store_id;
    void *ptr;
};
struct wasmtime_extern {
    uint8_t kind; /* 0: function */
    union {
        struct wasmtime_func func;
        uint64_t space[4];
    } of;
};
struct wasmtime_val_raw {
    uint64_t lanes[2];
} __attribute__((aligned(16)));

wasm_config *wasm_config_new(void);
wasm_engine *wasm_engine_new_with_config(wasm_config *config);
void wasm_engine_delete(wasm_engine *engine);
void wasm_byte_vec_delete(struct wasm_byte_vec *vec);
void wasm_trap_message(const wasm_trap *trap, struct wasm_byte_vec *ret_text);
void wasmtime_error_message(const wasmtime_error *error, struct wasm_byte_vec *ret_text);
wasmtime_pooling *wasmtime_pooling_allocation_config_new(void);
void wasmtime_pooling_allocation_config_delete(wasmtime_pooling *pooling);
void wasmtime_pooling_allocation_config_total_core_instances_set(wasmtime_pooling *, uint32_t);
void wasmtime_pooling_allocation_config_total_memories_set(wasmtime_pooling *, uint32_t);
void wasmtime_pooling_allocation_config_total_tables_set(wasmtime_pooling *, uint32_t);
void wasmtime_pooling_allocation_config_max_unused_warm_slots_set(wasmtime_pooling *, uint32_t);
void wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(wasmtime_pooling *, size_t);
void wasmtime_pooling_allocation_config_table_keep_resident_set(wasmtime_pooling *, size_t);
void wasmtime_pooling_allocation_strategy_set(wasm_config *, const wasmtime_pooling *);
wasmtime_error *wasmtime_module_new(wasm_engine *, const uint8_t *, size_t, wasmtime_module **);
void wasmtime_module_delete(wasmtime_module *module);
wasmtime_linker *wasmtime_linker_new(wasm_engine *engine);
void wasmtime_linker_delete(wasmtime_linker *linker);
wasmtime_error *wasmtime_linker_instantiate_pre(const wasmtime_linker *, const wasmtime_module *,
                                                wasmtime_instance_pre **);
void wasmtime_instance_pre_delete(wasmtime_instance_pre *pre);
wasmtime_store *wasmtime_store_new(wasm_engine *, void *data, void (*finalizer)(void *));
wasmtime_context *wasmtime_store_context(wasmtime_store *store);
void wasmtime_store_delete(wasmtime_store *store);
wasmtime_error *wasmtime_instance_pre_instantiate(const wasmtime_instance_pre *, wasmtime_context *,
                                                  struct wasmtime_instance *, wasm_trap **);
bool wasmtime_instance_export_get(wasmtime_context *, const struct wasmtime_instance *,
                                  const char *name, size_t name_len, struct wasmtime_extern *);
wasmtime_error *wasmtime_func_call_unchecked(wasmtime_context *, const struct wasmtime_func *,
                                             struct wasmtime_val_raw *, size_t len, wasm_trap **);

enum { WARM_UP = 20, POOL_SLOTS = 1000, COUNT_MAX = 1000000, MODULE_MAX = 64 << 20 };
enum { KEEP_BYTES = 1 << 20 }; /* pages a slot keeps for the next instance, which then has no page faults */

struct peer {
    wasm_engine *engine;
    wasmtime_module *module;
    wasmtime_linker *linker;
    wasmtime_instance_pre *pre;
    const char *func;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* End the program with the peer's message when there is one. */
static void check(const char *what, wasmtime_error *error, wasm_trap *trap)
{
    struct wasm_byte_vec text = {0};
    if (error != NULL) {
        wasmtime_error_message(error, &text);
    } else if (trap != NULL) {
        wasm_trap_message(trap, &text);
    } else {
        return;
    }
    fprintf(stderr, "start_wasmtime: %s: %.*s\n", what, (int)text.size, text.data);
    exit(1);
}

static uint8_t *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(MODULE_MAX);
    if (f == NULL || data == NULL) {
        perror(path);
        exit(1);
    }
    *ret_len = fread(data, 1, MODULE_MAX, f);
    fclose(f);
    return data;
}

static void prepare(struct peer *p, const char *path)
{
    wasmtime_pooling *pooling = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_core_instances_set(pooling, POOL_SLOTS);
    wasmtime_pooling_allocation_config_total_memories_set(pooling, POOL_SLOTS);
    wasmtime_pooling_allocation_config_total_tables_set(pooling, POOL_SLOTS);
    wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pooling, POOL_SLOTS);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pooling, KEEP_BYTES);
    wasmtime_pooling_allocation_config_table_keep_resident_set(pooling, KEEP_BYTES);
    wasm_config *config = wasm_config_new();
    wasmtime_pooling_allocation_strategy_set(config, pooling);
    wasmtime_pooling_allocation_config_delete(pooling);
    p->engine = wasm_engine_new_with_config(config);

    size_t len;
    uint8_t *bytes = read_file(path, &len);
    check("compile", wasmtime_module_new(p->engine, bytes, len, &p->module), NULL);
    free(bytes);
    p->linker = wasmtime_linker_new(p->engine);
    check("prepare", wasmtime_linker_instantiate_pre(p->linker, p->module, &p->pre), NULL);
}

/* One start; its nanoseconds. */
static uint64_t start(const struct peer *p)
{
    struct wasmtime_instance instance;
    struct wasmtime_extern item;
    struct wasmtime_val_raw io[1] = {{{0}}};
    wasm_trap *trap = NULL;

    uint64_t begin = now_ns();
    wasmtime_store *store = wasmtime_store_new(p->engine, NULL, NULL);
    wasmtime_context *context = wasmtime_store_context(store);
    wasmtime_error *error = wasmtime_instance_pre_instantiate(p->pre, context, &instance, &trap);
    check("instantiate", error, trap);
    if (!wasmtime_instance_export_get(context, &instance, p->func, strlen(p->func), &item) ||
        item.kind != 0) {
        fprintf(stderr, "start_wasmtime: no function %s\n", p->func);
        exit(1);
    }
    error = wasmtime_func_call_unchecked(context, &item.of.func, io, 1, &trap);
    uint64_t end = now_ns();

    check("call", error, trap);
    wasmtime_store_delete(store);
    return end - begin;
}

int main(int argc, char **argv)
{
    long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (count < 1 || count > COUNT_MAX) {
        fprintf(stderr, "usage: start_wasmtime MODULE.wasm FUNC COUNT\n");
        return 64;
    }
    struct peer p = {.func = argv[2]};
    uint64_t *times = calloc((size_t)count, sizeof *times);
    if (times == NULL) {
        return 1;
    }
    prepare(&p, argv[1]);
    for (int i = 0; i < WARM_UP; i++) {
        (void)start(&p);
    }
    for (long i = 0; i < count; i++) {
        times[i] = start(&p);
    }
    for (long i = 0; i < count; i++) {
        printf("start_ns %llu\n", (unsigned long long)times[i]);
    }
    free(times);
    wasmtime_instance_pre_delete(p.pre);
    wasmtime_linker_delete(p.linker);
    wasmtime_module_delete(p.module);
    wasm_engine_delete(p.engine);
    return 0;
}
