#ifndef INTEG_SNAPSHOT_DIRTY_H
#define INTEG_SNAPSHOT_DIRTY_H

#define GUEST_MOVABLE 1
#include <errno.h>

#include "../run/guest.h"
#include "cell/snapshot/snapshot.h"
#include "sys/files.h"

/* Cells of guest_dirty.c, and snapshots of them in memory. */

enum { DIRTY_FILE_MAX = 1 << 20 };

static struct runtime *dirty_rt;
static struct program *dirty_program;
static struct buf dirty_module; /* its bytes */

/* What the guest's calls of ask do: stop the cell when `every` rounds have passed. Each cell has its own. */
struct dirty_host {
    uint32_t every; /* 0: never */
    struct host_module module;
};

static void dirty_ask(void *ctx, void *env, uint32_t round)
{
    const struct dirty_host *h = env;
    if (h->every && (round + 1) % h->every == 0)
        cell_stop(host_cell(ctx), STOP_CAPTURE);
}

static const struct host_func dirty_funcs[] = {{"ask", "i:", (void *)dirty_ask},
                                               {NULL, NULL, NULL}};

static inline void dirty_open(int argc, char **argv)
{
    struct error err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: %s guest_dirty.wasm\n", argv[0]);
        exit(64);
    }
    guest_need(file_read(argv[1], DIRTY_FILE_MAX, &dirty_module, &err), "guest", &err);
    dirty_rt = guest_runtime();
    dirty_program = guest_program(dirty_rt, dirty_module.data, dirty_module.len);
}

static inline void dirty_close(void)
{
    program_unref(dirty_program);
    runtime_free(dirty_rt);
    buf_done(&dirty_module);
}

static inline void dirty_start(struct guest *g, struct dirty_host *h)
{
    h->module = (struct host_module){.name = "h", .funcs = dirty_funcs, .env = h};
    guest_start(g, dirty_rt, dirty_program, &h->module, NULL);
}

/* Arguments of the guest's work. */
struct dirty_work {
    uint32_t rounds, writes, span, grow;
};

static inline void dirty_arguments(const struct dirty_work *w, union cell_value io[4])
{
    io[0].u64 = w->rounds;
    io[1].u64 = w->writes;
    io[2].u64 = w->span;
    io[3].u64 = w->grow;
}

/* The result of a cell that nobody disturbs. */
static inline uint64_t dirty_expected(const struct dirty_work *w)
{
    struct dirty_host h = {.every = 0};
    struct guest g;
    union cell_value io[4];
    dirty_start(&g, &h);
    dirty_arguments(w, io);
    guest_need(guest_call(&g, "work", io), "work", &g.err);
    cell_free(g.cell);
    return io[0].u64;
}

/* Resume until the cell ends by itself. */
static inline uint64_t dirty_go_on(struct guest *g, union cell_value *io, status_t st)
{
    while (st == ST_CAPTURED)
        st = cell_resume(g->cell, io, &g->err);
    if (st != ST_OK)
        fprintf(stderr, "the cell ended with %s: %s\n", status_name(st), g->err.text);
    CHECK_EQ(st, ST_OK);
    return io[0].u64;
}

/* ---- streams in memory ---- */

struct dirty_stream {
    struct buf bytes;
    size_t at;         /* read so far */
    uint64_t fails_at; /* the write, counted from 1, that fails; 0: none */
    uint64_t writes;
};

static bool dirty_put(void *arg, const void *data, size_t len)
{
    struct dirty_stream *s = arg;
    if (s->fails_at && ++s->writes >= s->fails_at) {
        errno = ENOSPC;
        return false;
    }
    buf_bytes(&s->bytes, data, len);
    return true;
}

static bool dirty_get(void *arg, void *data, size_t len)
{
    struct dirty_stream *s = arg;
    errno = 0;
    if (len > s->bytes.len - s->at)
        return false;
    memcpy(data, s->bytes.data + s->at, len);
    s->at += len;
    return true;
}

static inline struct snapshot_sink dirty_sink(struct dirty_stream *s)
{
    return (struct snapshot_sink){.write = dirty_put, .arg = s};
}

static inline struct snapshot_source dirty_source(struct dirty_stream *s)
{
    s->at = 0;
    return (struct snapshot_source){.read = dirty_get, .arg = s};
}

#endif
