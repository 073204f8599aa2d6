#ifndef TESTS_SHAREDTEST_H
#define TESTS_SHAREDTEST_H

#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "entry.h"
#include "geds/shared.h"
#include "storetest.h"

/* Controllers that share a store through a log, which is an array here, in memory that children share. */

enum { LOG_MAX = 4096, LOG_BYTES = 64 * 1024 * 1024, LONG = 200 * 1000 };

enum fault {
    WORKS,
    KEPT,     /* the entry gets into the log, and nobody hears of it */
    LOST,     /* it does not, and nobody hears of that */
    FENCED,   /* another one leads */
    FULL,     /* there is no room */
    CUT_SOON, /* the process ends before the entry is in the log */
    CUT_LATE, /* behind that */
    NO_DISK,  /* the entry gets into the log, and the disk takes nothing from then on */
};
struct shared_log {
    _Atomic size_t count;
    size_t off[LOG_MAX + 1];
    _Atomic enum fault fault;
    _Atomic bool leads, failed;
    uint8_t bytes[LOG_BYTES];
};
static struct shared_log *shared;

/* No file may grow beyond that; 0: as it was. */
__attribute__((unused)) static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes != 0 ? bytes : limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

__attribute__((unused)) static status_t append(void *arg, uint64_t index, const void *entry,
                                               size_t len, struct error *err)
{
    struct shared_log *l = arg;
    if (l->fault == CUT_SOON) {
        _exit(0);
    }
    if (l->fault == FENCED) {
        return error_set(err, ST_MOVED, ERROR_NO_OFFSET, "another one leads");
    }
    if (l->fault == FULL) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "the log is full");
    }
    if (l->fault == LOST) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "the log does not answer");
    }
    if (index != l->count + 1 || l->count == LOG_MAX || l->off[l->count] + len > LOG_BYTES) {
        abort();
    }
    memcpy(l->bytes + l->off[l->count], entry, len);
    l->off[l->count + 1] = l->off[l->count] + len;
    l->count++;
    if (l->fault == CUT_LATE) {
        _exit(0);
    }
    if (l->fault == NO_DISK) {
        limit_files(1);
    }
    return l->fault == KEPT ? error_set(err, ST_IO, ERROR_NO_OFFSET, "the log does not answer")
                            : ST_OK;
}

__attribute__((unused)) static bool leads(void *arg)
{
    return ((struct shared_log *)arg)->leads;
}

__attribute__((unused)) static void failed(void *arg)
{
    ((struct shared_log *)arg)->failed = true;
}

__attribute__((unused)) static void leader(void *arg, char ret_address[SHARED_ADDRESS_MAX + 1])
{
    (void)arg;
    snprintf(ret_address, SHARED_ADDRESS_MAX + 1, "tls://elsewhere:7700");
}

static struct store_log functions;
static char id[] = "00112233445566778899aabbccddeeff"; /* of the log */
static char folders[3][80]; /* of controllers; the store of `scratch` is another name of one */

__attribute__((unused)) static struct shared_bytes entry_at(size_t i)
{
    return (struct shared_bytes){shared->bytes + shared->off[i],
                                 shared->off[i + 1] - shared->off[i]};
}

/* All that is in the log. */
__attribute__((unused)) static status_t catch_up(struct replica *r, struct error *err)
{
    struct shared_bytes all[LOG_MAX];
    for (size_t i = 0; i < shared->count; i++) {
        all[i] = entry_at(i);
    }
    return replica_apply(r, all, shared->count, err);
}

__attribute__((unused)) static void follow(size_t who)
{
    struct replica *r = NULL;
    MUST(replica_open(folders[who], NULL, &r, &err));
    MUST(catch_up(r, &err));
    replica_close(r);
}

/* As a controller does that has won the election. */
__attribute__((unused)) static void lead(size_t who)
{
    struct replica *r = NULL;
    struct buf term = {0};
    const struct store_options options = {.log = &functions};
    char address[32];
    snprintf(address, sizeof address, "tcp://127.0.0.%zu:1", who + 1);
    MUST(replica_open(folders[who], NULL, &r, &err));
    MUST(catch_up(r, &err));
    MUST(replica_term(r, address, &term, &err));
    shared->fault = WORKS;
    shared->leads = true;
    shared->failed = false;
    MUST(append(shared, shared->count + 1, term.data, term.len, &err));
    MUST(catch_up(r, &err));
    replica_close(r);
    buf_done(&term);
    MUST(store_open(folders[who], &options, &store, &err));
}

__attribute__((unused)) static void stop(void)
{
    store_close(store);
    store = NULL;
}

/* The first controller begins a log with what it has, and leads it. */
__attribute__((unused)) static void begin_log(char digit)
{
    struct replica *r = NULL;
    id[0] = digit;
    shared->count = 0;
    MUST(replica_open(folders[0], NULL, &r, &err));
    MUST(replica_begin(r, id, &err));
    replica_close(r);
    lead(0);
}

/* What it has is a bucket. */
__attribute__((unused)) static void begin(void)
{
    memset(shared, 0, sizeof *shared - LOG_BYTES);
    functions = (struct store_log){append, leads, failed, leader, shared, 0};
    snprintf(scratch, sizeof scratch, "/tmp/geds-test-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    for (size_t i = 0; i < 3; i++) {
        snprintf(folders[i], sizeof folders[i], "%s/%zu", scratch, i);
    }
    MUST(store_open(folders[0], NULL, &store, &err));
    MUST(store_bucket_create(store, "box", "", &err));
    stop();
    begin_log('0');
}

__attribute__((unused)) static void end(void)
{
    store_close(store);
    store = NULL;
    remove_tree(scratch);
}

__attribute__((unused)) static void copy_path(char ret_path[96])
{
    snprintf(ret_path, 96, "%s/copy", scratch);
}

/* Another controller gets what the leading one has. */
__attribute__((unused)) static void join(size_t who)
{
    char copy[96];
    copy_path(copy);
    MUST(store_copy_state(store, copy, &err));
    store_copied(store);
    MUST(replica_replace(folders[who], copy, id, &err));
}

/* A checksum of all rows of the tables that are shared. */
__attribute__((unused)) static uint64_t rows_in(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *tables = NULL, *rows = NULL;
    struct buf all = {0};
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_prepare_v2(db,
                       "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                       "'shared%' AND name NOT LIKE 'sqlite%' ORDER BY name",
                       -1, &tables, NULL);
    while (sqlite3_step(tables) == SQLITE_ROW) {
        char text[96];
        snprintf(text, sizeof text, "SELECT * FROM %s ORDER BY 1, 2, 3",
                 (const char *)sqlite3_column_text(tables, 0));
        if (sqlite3_prepare_v2(db, text, -1, &rows, NULL) != SQLITE_OK) {
            snprintf(text, sizeof text, "SELECT * FROM %s ORDER BY 1",
                     (const char *)sqlite3_column_text(tables, 0));
            CHECK_EQ(sqlite3_prepare_v2(db, text, -1, &rows, NULL), SQLITE_OK);
        }
        while (sqlite3_step(rows) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(rows); i++) {
                buf_le64(&all, (uint64_t)sqlite3_column_type(rows, i));
                const void *bytes = sqlite3_column_blob(rows, i);
                buf_bytes(&all, bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(rows, i));
            }
        }
        sqlite3_finalize(rows);
    }
    sqlite3_finalize(tables);
    sqlite3_close(db);
    uint64_t sum = hash_xxh3(all.data, all.len);
    CHECK(all.len > 0);
    buf_done(&all);
    return sum;
}

__attribute__((unused)) static uint64_t rows_of(size_t who)
{
    char path[128];
    snprintf(path, sizeof path, "%.80s/meta.db", folders[who]);
    return rows_in(path);
}

__attribute__((unused)) static void put_some(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        MUST(put("box", "a", "x", 1));
    }
}

/* For ThreadSanitizer: children end as if they were killed, with their threads. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}

static void shared_make(void)
{
    signal(SIGXFSZ, SIG_IGN);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
}

#endif
