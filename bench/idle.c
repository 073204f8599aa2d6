/* Memory of idle cells: idle FIRST.cell CELLS
 * Makes that many cells of one program, each with its WASI state, calls each once, and prints what the process
 * grew by: "resident_bytes N" (proportional share) and "page_table_bytes N". */

#include "cell/wasi/wasi.h"
#include "embed.h"

enum { CELLS_MAX = 15000, LINE_MAX_BYTES = 256 };

struct usage {
    uint64_t resident_bytes;
    uint64_t page_table_bytes;
};

/* The number behind key in a file of "key: N kB" lines, in bytes; ends the program when there is none. */
static uint64_t read_kb(const char *path, const char *key)
{
    char line[LINE_MAX_BYTES];
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned long long kb;
        size_t len = strlen(key);
        if (strncmp(line, key, len) == 0 && sscanf(line + len, ": %llu kB", &kb) == 1) {
            fclose(f);
            return kb * 1024;
        }
    }
    fprintf(stderr, "idle: no %s in %s\n", key, path);
    exit(1);
}

static struct usage measure(void)
{
    struct usage u = {
        .resident_bytes = read_kb("/proc/self/smaps_rollup", "Pss"),
        .page_table_bytes = read_kb("/proc/self/status", "VmPTE"),
    };
    return u;
}

struct guest {
    struct cell *cell;
    struct wasi *wasi;
};

static void start(struct runtime *rt, struct program *prog, struct guest *g)
{
    static const char *const args[] = {"idle"};
    const struct wasi_config config = {.args = args, .arg_count = 1, .stdio = {0, 1, 2}};
    struct error err = {0};
    struct instance *inst;
    uint32_t hosts;
    union cell_value io[1] = {{.i32 = 0}};
    embed_check(wasi_new(&config, &g->wasi, &err), "wasi", &err);
    const struct host_module *host = wasi_host_modules(g->wasi, &hosts);
    embed_check(cell_new(rt, NULL, &g->cell, &err), "cell", &err);
    embed_check(cell_instantiate(g->cell, prog, host, hosts, NULL, &inst, &err), "instantiate",
                &err);
    embed_check(cell_call(g->cell, embed_func(inst, "first"), io, &err), "first", &err);
}

int main(int argc, char **argv)
{
    uint64_t count;
    if (argc != 3 || parse_u64(argv[2], CELLS_MAX, &count) != ST_OK || count == 0) {
        fprintf(stderr, "usage: idle FIRST.cell CELLS\n");
        return 64;
    }
    struct runtime *rt;
    struct program *prog;
    struct error err = {0};
    struct guest *guests = calloc(count, sizeof *guests);
    struct guest warm;
    if (guests == NULL) {
        return 1;
    }
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    embed_check(program_open(rt, argv[1], &prog, &err), argv[1], &err);
    start(rt, prog, &warm); /* what is there once is not counted per cell */

    struct usage before = measure();
    for (uint64_t i = 0; i < count; i++) {
        start(rt, prog, &guests[i]);
    }
    struct usage after = measure();
    printf("resident_bytes %llu\npage_table_bytes %llu\n",
           (unsigned long long)(after.resident_bytes - before.resident_bytes),
           (unsigned long long)(after.page_table_bytes - before.page_table_bytes));

    for (uint64_t i = 0; i < count; i++) {
        cell_free(guests[i].cell);
        wasi_free(guests[i].wasi);
    }
    cell_free(warm.cell);
    wasi_free(warm.wasi);
    free(guests);
    program_unref(prog);
    runtime_free(rt);
    return 0;
}
