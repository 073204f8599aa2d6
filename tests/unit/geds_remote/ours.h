#ifndef TESTS_OURS_H
#define TESTS_OURS_H

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "geds/remote/remote.h"
#include "geds/s3/service.h"
#include "sys/clock.h"
#include "table.h"

/* Our own server with a store in a folder of its own, and a bucket `tier`. */

#define SECRET "a-secret-that-nobody-prints"

static char scratch[64];
static struct store *store;
static struct s3_service *service;
static struct http_server *server;

static void must(status_t st, const struct error *err, const char *what, int line)
{
    if (st != ST_OK) {
        fprintf(stderr, "line %d: %s: %s: %s\n", line, what, status_name(st), err->text);
        exit(1);
    }
}
#define MUST(call)                           \
    do {                                     \
        struct error err = {0};              \
        must((call), &err, #call, __LINE__); \
    } while (0)

static const char *ours_secret(void *ctx, const char *access_key)
{
    (void)ctx;
    return strcmp(access_key, "KEY") == 0 ? SECRET : NULL;
}

static void ours_start(void)
{
    const struct store_options so = {.sync = STORE_SYNC_OFF, .part_min_bytes = 1};
    struct s3_options s3 = {
        .table = &controller_table, .secret_of = ours_secret, .now_ns = clock_realtime_ns};
    struct http_options ho;
    char folder[80];
    snprintf(scratch, sizeof scratch, "/tmp/geds-remote-XXXXXX");
    if (!mkdtemp(scratch))
        exit(1);
    snprintf(folder, sizeof folder, "%s/geds", scratch);
    MUST(store_open(folder, &so, &store, &err));
    MUST(store_bucket_create(store, "tier", "", &err));
    s3.store = store;
    if (s3_service_new(&s3, &service) != ST_OK)
        exit(1);
    http_options_default(&ho);
    ho.address = "127.0.0.1:0";
    ho.handler = s3_service_handler();
    ho.ctx = service;
    MUST(http_server_start(&ho, &server, &err));
}

static int ours_remove(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

/* After all clients are closed. */
static void ours_stop(void)
{
    http_server_stop(server);
    s3_service_free(service);
    store_close(store);
    nftw(scratch, ours_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
