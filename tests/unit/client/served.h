#ifndef TESTS_CLIENT_SERVED_H
#define TESTS_CLIENT_SERVED_H

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cloudskin/geds.h"
#include "geds/serve/serve.h"
#include "net/rpc/local.h"

/* A store that is served in this process, in a folder of its own. */
struct served {
    char folder[64], path[100], address[128], state[128];
    int listen_fd;
    struct store *store;
    struct rpc_server *server;
    struct serve_context context;
};

static struct geds_error err;

#define OK(call)                                                                     \
    do {                                                                             \
        if ((call) != GEDS_OK) {                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, err.text); \
            check_failures++;                                                        \
        }                                                                            \
    } while (0)

static inline void served_names(struct served *s)
{
    snprintf(s->folder, sizeof s->folder, "/tmp/geds-served-XXXXXX");
    CHECK(mkdtemp(s->folder) != NULL);
    snprintf(s->path, sizeof s->path, "%s/s", s->folder);
    snprintf(s->address, sizeof s->address, "unix:%s", s->path);
    snprintf(s->state, sizeof s->state, "%s/state", s->folder);
}

static inline void served_open(struct served *s, const struct rpc_handler *handler)
{
    struct error inner = {0};
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    if (store_open(s->state, &options, &s->store, &inner) != ST_OK ||
        rpc_local_listen(s->path, &s->listen_fd, &inner) != ST_OK) {
        fprintf(stderr, "%s\n", inner.text);
        exit(1);
    }
    s->context = (struct serve_context){
        .store = s->store, .version = "test", .state = s->folder, .s3 = "127.0.0.1:1"};
    const struct rpc_server_options o = {
        .listen_fd = s->listen_fd, .handler = handler, .ctx = &s->context};
    CHECK_EQ(rpc_server_start(&o, &s->server, &inner), ST_OK);
}

static inline void served_close(struct served *s)
{
    rpc_server_stop(s->server);
    rpc_local_unlisten(s->path, s->listen_fd);
    store_close(s->store);
}

static inline int served_remove_entry(const char *name, const struct stat *info, int type,
                                      struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(name);
}

static inline void served_remove(struct served *s)
{
    nftw(s->folder, served_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline uint64_t served_requests(struct served *s)
{
    struct rpc_server_counters n;
    rpc_server_counters(s->server, &n);
    return n.requests;
}

static inline uint8_t *pattern(size_t len, unsigned seed)
{
    uint8_t *bytes = malloc(len + 1);
    uint32_t x = seed * 2654435761U + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return bytes;
}

#endif
