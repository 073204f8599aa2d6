#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "impl.h"
#include "keys.h"
#include "orphan.h"
#include "place.h"
#include "sharing.h"
#include "sys/files.h"
#include "sys/thread.h"

/* path/name, for free; NULL: out of memory. */
static char *join(const char *path, const char *name)
{
    char *joined = NULL;
    return asprintf(&joined, "%s/%s", path, name) < 0 ? NULL : joined;
}

static status_t open_folder(const char *path, enum store_sync sync, struct error *err)
{
    status_t st = sync == STORE_SYNC_FULL ? file_make_dirs_durable(path, 0700, err)
                                          : file_make_dirs(path, 0700, err);
    struct stat info;
    if (st == ST_OK && stat(path, &info) != 0) {
        st = error_set_errno(err, errno, "%s", path);
    }
    if (st == ST_OK && (info.st_mode & 077) != 0) {
        st = error_set(err, ST_PERM, ERROR_NO_OFFSET,
                       "%s: others may look into it (mode %03o); it must be 0700", path,
                       (unsigned)info.st_mode & 0777);
    }
    return st;
}

static status_t take_lock(struct store *s, struct error *err)
{
    char *lock = join(s->path, "lock");
    if (lock == NULL) {
        return no_memory(err);
    }
    status_t st = file_lock(lock, false, &s->lock_fd, err);
    if (st == ST_AGAIN) {
        error_set(err, st, ERROR_NO_OFFSET, "%s: the store is in use by another process", s->path);
    }
    free(lock);
    return st;
}

static status_t make_dir_at(int at, const char *name, int *ret_fd, struct error *err)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "%s", name);
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", name);
    }
    *ret_fd = fd;
    return ST_OK;
}

/* Names in a folder of the store are on the disk. */
static status_t sync_names_of(const struct store *s, int fd, const char *what, struct error *err)
{
    return s->options.sync == STORE_SYNC_OFF || file_sync(fd) == 0
               ? ST_OK
               : error_set_errno(err, errno, "sync of %s/%s", s->path, what);
}

/* The folders are on the disk before the database is made, so one with a database has them all. */
static status_t make_folders(struct store *s, bool is_new, struct error *err)
{
    int at = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        return error_set_errno(err, errno, "%s", s->path);
    }
    status_t st = make_dir_at(at, "data", &s->data_fd, err);
    if (st == ST_OK) {
        st = make_dir_at(at, "new", &s->new_fd, err);
    }
    if (st == ST_OK &&
        (s->reserve_fd = openat(at, "reserve", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0) {
        st = error_set_errno(err, errno, "%s/reserve", s->path);
    }
    for (unsigned i = 0; i < 256 && st == ST_OK && is_new; i++) {
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        if (mkdirat(s->data_fd, name, 0700) != 0 && errno != EEXIST) {
            st = error_set_errno(err, errno, "%s/data/%s", s->path, name);
        }
    }
    if (st == ST_OK && is_new) {
        st = sync_names_of(s, s->data_fd, "data", err);
    }
    if (st == ST_OK && is_new) {
        st = sync_names_of(s, at, "", err);
    }
    close(at);
    return st;
}

/* A file whose row was committed goes where it belongs; what a crash interrupted is removed. */
static status_t recover_new(void *arg, const char *name, struct error *err)
{
    struct store *s = arg;
    uint64_t id = 0;
    bool has = false;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return ST_OK;
    }
    /* one without local bytes was being recalled */
    bool recalled = name[0] == 'r';
    if (extent_name_parse(recalled ? name + 1 : name, &id)) {
        status_t st = extent_is_local(s->writer_db, id, &has, err);
        if (st != ST_OK) {
            return st;
        }
    }
    char to[EXTENT_NAME_BYTES];
    extent_name(id, to);
    int result = has ? renameat(s->new_fd, name, s->data_fd, to) : unlinkat(s->new_fd, name, 0);
    return result == 0 ? ST_OK : error_set_errno(err, errno, "%s/new/%s", s->path, name);
}

/* Extents whose last name went before a crash. */
static status_t recover_unused(struct store *s, struct error *err)
{
    struct ids unused = {0};
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(s->writer_db, SQL_EXTENT_UNUSED, &statement, err, "");
    while (st == ST_OK && row) {
        st = db_next(s->writer_db, statement, &row, err);
        if (st == ST_OK && row && !ids_add(&unused, db_u64(statement, 0))) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    for (size_t i = 0; i < unused.count && st == ST_OK; i++) {
        st = extent_remove(s, unused.ids[i], err);
    }
    if (st == ST_OK && unused.count > 0) {
        st = store_begin(s, err);
        for (size_t i = 0; i < unused.count && st == ST_OK; i++) {
            st = db_do(s->writer_db, SQL_EXTENT_FORGET, err, "i", unused.ids[i]);
            if (st == ST_OK) {
                st = db_do(s->writer_db, SQL_EXTENT_BURY, err, "i", unused.ids[i]);
            }
        }
        if (st == ST_OK) {
            st = store_commit(s, &(struct changes){0}, err);
        }
        if (st != ST_OK) {
            store_rollback(s);
        }
    }
    ids_done(&unused);
    return st;
}

static status_t find_last_extent(struct store *s, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(s->writer_db, SQL_EXTENT_LAST, &statement, err, "");
    if (st == ST_OK) {
        st = db_next(s->writer_db, statement, &row, err);
    }
    if (st == ST_OK) {
        atomic_store(&s->last_extent, db_u64(statement, 0));
    }
    db_end(statement);
    return st;
}

static status_t sync_database_name(struct store *s, struct error *err)
{
    int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", s->path);
    }
    status_t st = sync_names_of(s, fd, "meta.db", err);
    close(fd);
    return st;
}

static status_t open_database(struct store *s, struct error *err)
{
    struct stat info;
    s->database = join(s->path, "meta.db");
    if (s->database == NULL) {
        return no_memory(err);
    }
    bool is_new = stat(s->database, &info) != 0;
    status_t st = make_folders(s, is_new, err);
    if (st == ST_OK) {
        st = db_open(s->database, true, s->options.sync, &s->writer_db, err);
    }
    if (st == ST_OK && is_new) {
        st = sync_database_name(s, err);
    }
    return st;
}

static status_t recover(struct store *s, struct error *err)
{
    status_t st = find_last_extent(s, err);
    if (st == ST_OK) {
        st = shared_open(s, err);
    }
    if (st == ST_OK) {
        st = folder_each(s->new_fd, s->path, recover_new, s, err);
    }
    if (st == ST_OK) {
        st = recover_unused(s, err);
    }
    if (st == ST_OK) {
        st = place_recover(s, err);
    }
    if (st == ST_OK) {
        store_keep_reserve(s);
    }
    return st;
}

static status_t init_locks(struct store *s, struct error *err)
{
    status_t st = queue_init(&s->queue, err);
    if (st != ST_OK) {
        return st;
    }
    if ((st = pins_init(&s->pins, err)) != ST_OK) {
        queue_done(&s->queue);
        return st;
    }
    if ((st = events_init(&s->events, err)) != ST_OK) {
        pins_done(&s->pins);
        queue_done(&s->queue);
        return st;
    }
    int code = pthread_mutex_init(&s->readers_lock, NULL);
    code = code == 0 ? pthread_rwlock_init(&s->names_lock, NULL) : code;
    for (size_t i = 0; i < APPEND_LOCKS && code == 0; i++) {
        code = pthread_mutex_init(&s->append_locks[i], NULL);
    }
    for (size_t i = 0; i < RECALL_LOCKS && code == 0; i++) {
        code = pthread_mutex_init(&s->recall_locks[i], NULL);
    }
    if (code != 0) {
        queue_done(&s->queue);
        pins_done(&s->pins);
        events_done(&s->events);
        return error_set_errno(err, code, "lock");
    }
    return ST_OK;
}

static status_t open_files(struct store *s, struct error *err)
{
    if (s->path == NULL) {
        return no_memory(err);
    }
    status_t st = meter_init(&s->meter, s->options.metrics, err);
    if (st == ST_OK) {
        st = open_folder(s->path, s->options.sync, err);
    }
    if (st == ST_OK) {
        st = take_lock(s, err);
    }
    if (st == ST_OK) { /* before anything can change */
        st = leases_open(&s->leases, s->path, err);
    }
    return st;
}

static status_t start(struct store *s, bool replica, struct error *err)
{
    status_t st = open_files(s, err);
    if (st == ST_OK) {
        st = open_database(s, err);
        if (st == ST_OK && !replica) {
            st = recover(s, err);
        }
        if (st != ST_OK && err != NULL) {
            struct error inner = *err; /* which store it is about */
            error_set(err, inner.code, inner.offset, "%.100s: %s", s->path, inner.text);
        }
    }
    if (st == ST_OK && !replica) {
        int code = thread_start(&s->writer, store_writer, s);
        s->writer_runs = code == 0;
        st = code == 0 ? ST_OK : error_set_errno(err, code, "thread");
    }
    return st == ST_OK && s->shared != NULL ? orphans_begin(s, err) : st;
}

static status_t open_store(const char *path, const struct store_options *options, bool replica,
                           struct store **ret_store, struct error *err)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return no_memory(err);
    }
    s->lock_fd = s->data_fd = s->new_fd = s->reserve_fd = -1;
    if (options != NULL) {
        s->options = *options;
    }
    status_t st = init_locks(s, err);
    if (st != ST_OK) {
        free(s);
        return st;
    }
    s->path = strdup(path);
    if ((st = start(s, replica, err)) != ST_OK) {
        store_close(s);
        return st;
    }
    *ret_store = s;
    return ST_OK;
}

status_t store_open(const char *path, const struct store_options *options, struct store **ret_store,
                    struct error *err)
{
    return open_store(path, options, false, ret_store, err);
}

status_t store_open_files(const char *path, const struct store_options *options,
                          struct store **ret_store, struct error *err)
{
    return open_store(path, options, true, ret_store, err);
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void store_close(struct store *s)
{
    if (s == NULL) {
        return;
    }
    orphans_end(s);
    if (s->writer_runs) {
        pthread_mutex_lock(&s->queue.lock);
        s->queue.stop = true;
        pthread_cond_signal(&s->queue.filled);
        pthread_mutex_unlock(&s->queue.lock);
        pthread_join(s->writer, NULL);
    }
    while (s->idle_readers != NULL) {
        struct db *db = s->idle_readers;
        s->idle_readers = db->next;
        db_close(db);
    }
    db_close(s->writer_db);
    shared_close(s);
    leases_close(&s->leases);
    ids_done(&s->forget);
    for (size_t i = 0; i < APPEND_LOCKS; i++) {
        pthread_mutex_destroy(&s->append_locks[i]);
    }
    for (size_t i = 0; i < RECALL_LOCKS; i++) {
        pthread_mutex_destroy(&s->recall_locks[i]);
    }
    place_done(s);
    keys_done(s);
    pthread_mutex_destroy(&s->readers_lock);
    pthread_rwlock_destroy(&s->names_lock);
    pins_done(&s->pins);
    events_done(&s->events);
    queue_done(&s->queue);
    close_if_open(s->data_fd);
    close_if_open(s->new_fd);
    close_if_open(s->reserve_fd);
    close_if_open(s->lock_fd);
    free(s->database);
    free(s->path);
    free(s);
}
