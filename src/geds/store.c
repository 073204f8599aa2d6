#include <stdlib.h>

#include <errno.h>
#include <sys/statvfs.h>

#include "impl.h"
#include "sharing.h"
#include "sys/clock.h"
#include "sys/files.h"

status_t no_memory(struct error *err)
{
    return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

bool ids_add(struct ids *list, uint64_t id)
{
    if (list->count == list->cap) {
        size_t cap = list->cap != 0 ? 2 * list->cap : 16;
        uint64_t *grown = realloc(list->ids, cap * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        list->ids = grown;
        list->cap = cap;
    }
    list->ids[list->count++] = id;
    return true;
}

void ids_done(struct ids *list)
{
    free(list->ids);
    *list = (struct ids){0};
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

status_t check_bucket(const char *bucket, struct error *err)
{
    size_t len = strlen(bucket);
    bool ok = len >= STORE_BUCKET_MIN && len <= STORE_BUCKET_MAX && is_name_char(bucket[0]) &&
              is_name_char(bucket[len - 1]);
    for (size_t i = 0; i < len && ok; i++) {
        ok = is_name_char(bucket[i]) || bucket[i] == '-' || bucket[i] == '.';
    }
    return ok ? ST_OK
              : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                          "'%.80s' is no bucket name: %d to %d of a-z 0-9 - ., with a letter or "
                          "digit at both ends",
                          bucket, STORE_BUCKET_MIN, STORE_BUCKET_MAX);
}

status_t check_key(const char *key, struct error *err)
{
    size_t len = strlen(key);
    return len >= 1 && len <= STORE_KEY_MAX
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a key of %zu bytes: 1 to %d", len,
                           STORE_KEY_MAX);
}

status_t store_reader(struct store *s, struct db **ret_db, struct error *err)
{
    status_t st = shared_leads(s, err);
    if (st != ST_OK) {
        return st;
    }
    pthread_mutex_lock(&s->readers_lock);
    struct db *db = s->idle_readers;
    if (db != NULL) {
        s->idle_readers = db->next;
        s->idle_readers_count--;
    }
    pthread_mutex_unlock(&s->readers_lock);
    if (db != NULL) {
        *ret_db = db;
        return ST_OK;
    }
    return db_open(s->database, false, s->options.sync, ret_db, err);
}

void store_reader_back(struct store *s, struct db *db)
{
    pthread_mutex_lock(&s->readers_lock);
    bool keep = s->idle_readers_count < READERS_IDLE_MAX;
    if (keep) {
        db->next = s->idle_readers;
        s->idle_readers = db;
        s->idle_readers_count++;
    }
    pthread_mutex_unlock(&s->readers_lock);
    if (!keep) {
        db_close(db);
    }
}

status_t store_rows(struct store *s, enum sql which, uint64_t first, size_t max,
                    void (*take)(sqlite3_stmt *row, void *list, size_t at), void *list,
                    size_t *ret_count, struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, which, &statement, err, "ii", first, (uint64_t)max);
    while (st == ST_OK && count < max && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        take(statement, list, count++);
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

void store_take_id(sqlite3_stmt *row, void *list, size_t at)
{
    ((uint64_t *)list)[at] = db_u64(row, 0);
}

int store_sync_extent(struct store *s, int fd)
{
    if (s->options.sync != STORE_SYNC_FULL) {
        return 0;
    }
    uint64_t began_ns = clock_monotonic_ns();
    if (file_sync_data(fd) != 0) {
        metrics_add(s->meter.failed_syncs, 1);
        return -1;
    }
    metrics_observe(s->meter.sync_seconds, clock_monotonic_ns() - began_ns);
    return 0;
}

void store_note_space(struct store *s, status_t st)
{
    bool full = st == ST_LIMIT;
    if ((full || st == ST_OK) && atomic_load_explicit(&s->full, memory_order_relaxed) != full) {
        atomic_store(&s->full, full);
    }
}

status_t store_state(struct store *s, struct store_state *ret_state, struct error *err)
{
    struct statvfs fs;
    if (fstatvfs(s->data_fd, &fs) != 0) {
        return error_set_errno(err, errno, "the store's file system");
    }
    struct store_state n = {.open_objects = atomic_load(&s->open_objects),
                            .disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
                            .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
                            .broken = atomic_load(&s->broken)};
    n.full = n.free_bytes < RESERVE_BYTES ||
             (atomic_load(&s->full) && n.free_bytes < STORE_FREE_ENOUGH);
    *ret_state = n;
    return ST_OK;
}

status_t store_counters(struct store *s, struct store_counters *ret_counters, struct error *err)
{
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    sqlite3_stmt *statement = NULL;
    bool row = false;
    st = db_start(db, SQL_COUNTERS, &statement, err, "");
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK) {
        *ret_counters = (struct store_counters){.buckets = db_u64(statement, 0),
                                                .objects = db_u64(statement, 1),
                                                .bytes = db_u64(statement, 2),
                                                .uploads = db_u64(statement, 3),
                                                .versions = db_u64(statement, 4),
                                                .version_bytes = db_u64(statement, 5),
                                                .batches = atomic_load(&s->batches),
                                                .changes = atomic_load(&s->changes)};
    }
    db_end(statement);
    store_reader_back(s, db);
    return st;
}
