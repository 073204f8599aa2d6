#include "orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "geds/tiers.h"
#include "sys/files.h"
#include "sys/thread.h"

static status_t place_of(struct db *db, uint64_t id, bool *ret_row, unsigned *ret_place,
                         struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(db, SQL_EXTENT_GET, &statement, err, "i", id);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    *ret_row = st == ST_OK && row;
    *ret_place = *ret_row ? (unsigned)db_u64(statement, 3) : 0;
    db_end(statement);
    return st;
}

status_t extent_is_local(struct db *db, uint64_t id, bool *ret_local, struct error *err)
{
    bool row = false;
    unsigned place = 0;
    status_t st = place_of(db, id, &row, &place, err);
    *ret_local = row && (place & STORE_PLACE_AWAY) == 0;
    return st;
}

uint64_t orphan_number(const char *name, unsigned number)
{
    uint64_t id = 0;
    return extent_name_parse(name, &id) && (id & 0xff) == number ? id : 0;
}

status_t orphan_look(struct store *s, struct db *db, int folder, const char *name, uint64_t id,
                     bool remove, bool *ret_is, struct error *err)
{
    pthread_mutex_t *lock = &s->recall_locks[id % RECALL_LOCKS];
    bool row = false;
    unsigned place = 0;
    pthread_mutex_lock(lock);
    status_t st = id != 0 ? place_of(db, id, &row, &place, err) : ST_OK;
    /* one that is dropped goes now, or at the next start */
    row = row && ((place & STORE_PLACE_AWAY) == 0 || (place & STORE_PLACE_FILE) != 0);
    /* one that was removed since the folder was read has no row either */
    *ret_is = st == ST_OK && !row &&
              (remove ? unlinkat(folder, name, 0)
                      : faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW)) == 0;
    pthread_mutex_unlock(lock);
    return st;
}

struct sweep {
    struct store *store;
    struct db *db;
    bool (*goes_on)(void *arg);
    void *arg;
    int folder;
    unsigned number;
};

static status_t sweep_one(void *arg, const char *name, struct error *err)
{
    struct sweep *w = arg;
    uint64_t id = orphan_number(name, w->number);
    bool ignored = false;
    if (w->goes_on != NULL && !w->goes_on(w->arg)) {
        return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
    }
    return id == 0 ? ST_OK : orphan_look(w->store, w->db, w->folder, name, id, true, &ignored, err);
}

status_t orphans_remove(struct store *s, struct db *db, bool (*goes_on)(void *arg), void *arg,
                        struct error *err)
{
    struct sweep w = {.store = s, .db = db, .goes_on = goes_on, .arg = arg};
    status_t st = ST_OK;
    for (unsigned i = 0; i < ORPHAN_FOLDERS && st == ST_OK; i++) {
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        w.number = i;
        w.folder = openat(s->data_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (w.folder < 0) {
            return error_set_errno(err, errno, "%s/data/%s", s->path, name);
        }
        st = folder_each(w.folder, name, sweep_one, &w, err);
        close(w.folder);
    }
    return st;
}

static bool is_wanted(void *arg)
{
    return !atomic_load(&((struct store *)arg)->sweep_stops);
}

/* What it does not get to is the next one's. */
static void *sweep_thread(void *arg)
{
    struct store *s = arg;
    struct db *db = NULL;
    if (store_reader(s, &db, NULL) == ST_OK) {
        status_t ignored = orphans_remove(s, db, is_wanted, s, NULL);
        (void)ignored;
        store_reader_back(s, db);
    }
    atomic_store(&s->sweeps, false);
    return NULL;
}

status_t orphans_begin(struct store *s, struct error *err)
{
    atomic_store(&s->sweeps, true);
    int code = thread_start(&s->sweeper, sweep_thread, s);
    s->sweeper_runs = code == 0;
    return code == 0 ? ST_OK : error_set_errno(err, code, "thread");
}

void orphans_end(struct store *s)
{
    if (s->sweeper_runs) {
        atomic_store(&s->sweep_stops, true);
        pthread_join(s->sweeper, NULL);
        s->sweeper_runs = false;
    }
}
