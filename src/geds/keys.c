#include "keys.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "master.h"
#include "place.h"
#include "row.h"

enum { REWRAP_ROWS = 1024 };

struct crypt {
    char *path;  /* of the master keys; immutable, and so is: */
    bool always; /* all that is written is encrypted */
    pthread_rwlock_t lock;
    struct masters masters; /* guarded by lock, and so is: */
    struct masters
        dropped; /* for who has read a row before it was wrapped again, and its key dropped */
};

static void crypt_free(struct crypt *c)
{
    masters_done(&c->masters);
    masters_done(&c->dropped);
    pthread_rwlock_destroy(&c->lock);
    free(c->path);
    free(c);
}

void keys_done(struct store *s)
{
    if (s->crypt != NULL) {
        crypt_free(s->crypt);
        s->crypt = NULL;
    }
}

static status_t count_rows(struct store *s, struct store_key *keys, size_t max, size_t *ret_count,
                           struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_SEAL_COUNTS, &statement, err, "i", (uint64_t)max);
    while (st == ST_OK && count < max && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        keys[count++] = (struct store_key){.id = db_u64(statement, 0),
                                           .extents = db_u64(statement, 1)};
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

/* Without a file: a first key, unless what is there needs others. Another store may have made one meanwhile. */
static status_t make_first(struct store *s, struct crypt *c, struct error *err)
{
    struct store_key any;
    struct masters_lock lock;
    size_t count = 0;
    status_t st = count_rows(s, &any, 1, &count, err);
    if (st != ST_OK || count > 0) {
        return st;
    }
    st = masters_lock(c->path, &lock, err);
    if (st != ST_OK) {
        return st;
    }
    st = masters_read(&c->masters, lock.path, err);
    if (st == ST_NOTFOUND) {
        st = masters_add(&c->masters, err);
        st = st == ST_OK ? masters_write(&c->masters, lock.path, err) : st;
    }
    masters_unlock(&lock);
    return st;
}

status_t store_set_keys(struct store *s, const struct store_keys_options *options,
                        struct error *err)
{
    struct crypt *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return no_memory(err);
    }
    int code = pthread_rwlock_init(&c->lock, NULL);
    if (code != 0) {
        free(c);
        return error_set_errno(err, code, "lock");
    }
    c->always = options->always;
    c->path = strdup(options->path);
    status_t st = c->path != NULL ? masters_init(&c->masters, err) : no_memory(err);
    if (st == ST_OK) {
        st = masters_init(&c->dropped, err);
    }
    if (st == ST_OK && !options->make_none) {
        masters_tidy(c->path);
    }
    if (st == ST_OK) {
        st = masters_read(&c->masters, c->path, err);
        if (st == ST_NOTFOUND) {
            st = options->make_none ? ST_OK : make_first(s, c, err);
        }
    }
    if (st != ST_OK) {
        crypt_free(c);
        return st;
    }
    s->crypt = c;
    return ST_OK;
}

bool keys_encrypt_all(const struct store *s)
{
    return s->crypt != NULL && s->crypt->always;
}

static status_t no_key(const struct store *s, struct error *err)
{
    return s->crypt != NULL ? error_set(err, ST_PERM, ERROR_NO_OFFSET,
                                        "there is no master key in %.150s", s->crypt->path)
                            : error_set(err, ST_PERM, ERROR_NO_OFFSET,
                                        "the store was opened without its master keys");
}

status_t keys_ready(const struct store *s, struct error *err)
{
    struct crypt *c = s->crypt;
    bool ready = false;
    if (c != NULL) {
        pthread_rwlock_rdlock(&c->lock);
        ready = c->masters.count > 0;
        pthread_rwlock_unlock(&c->lock);
    }
    return ready ? ST_OK : no_key(s, err);
}

/* With the newest master key, whose id is *ret_id. */
static status_t wrap(struct store *s, const struct sealed_key *k, uint64_t *ret_id,
                     uint8_t ret_record[SEAL_RECORD_BYTES], struct error *err)
{
    struct crypt *c = s->crypt;
    status_t st;
    if (c == NULL) {
        return no_key(s, err);
    }
    pthread_rwlock_rdlock(&c->lock);
    size_t count = c->masters.count;
    if (count > 0) {
        *ret_id = c->masters.ids[count - 1];
        st = seal_wrap(c->masters.keys[count - 1], k, ret_record, err);
    } else {
        st = no_key(s, err);
    }
    pthread_rwlock_unlock(&c->lock);
    return st;
}

static status_t unwrap(struct store *s, uint64_t master, uint64_t extent, const void *record,
                       size_t len, struct sealed_key *ret_key, struct error *err)
{
    struct crypt *c = s->crypt;
    struct error inner = {0};
    status_t st = ST_PERM;
    if (c == NULL) {
        return no_key(s, err);
    }
    pthread_rwlock_rdlock(&c->lock);
    const uint8_t *key = masters_find(&c->masters, master);
    key = key != NULL ? key : masters_find(&c->dropped, master);
    if (key != NULL) {
        st = seal_unwrap(key, record, len, ret_key, &inner);
    }
    pthread_rwlock_unlock(&c->lock);
    if (key == NULL) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET,
                         "extent %016llx is encrypted with master key %016llx, which is not in "
                         "%.100s",
                         (unsigned long long)extent, (unsigned long long)master, c->path);
    }
    if (st == ST_OK && ret_key->extent != extent) {
        sealed_key_wipe(ret_key);
        st = error_set(&inner, ST_CORRUPT, ERROR_NO_OFFSET, "its key is that of another extent");
    }
    return st == ST_OK ? ST_OK
                       : error_set(err, st, ERROR_NO_OFFSET, "extent %016llx: %s",
                                   (unsigned long long)extent, inner.text);
}

status_t keys_put(struct batch *b, const struct sealed_key *k, struct error *err)
{
    uint8_t record[SEAL_RECORD_BYTES];
    uint64_t master = 0;
    status_t st = wrap(b->store, k, &master, record, err);
    return st == ST_OK
               ? db_do(b->db, SQL_SEAL_SET, err, "iib", k->extent, master, record, sizeof record)
               : st;
}

status_t keys_get(struct store *s, struct db *db, uint64_t extent, uint64_t bytes,
                  struct sealed_key *ret_key, struct buf *tags, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    struct sealed_key key = {0};
    status_t st = db_start(db, SQL_SEAL_GET, &statement, err, "i", extent);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && (!row || sqlite3_column_type(statement, 1) == SQLITE_NULL)) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "extent %016llx has lost its key",
                       (unsigned long long)extent);
    }
    if (st == ST_OK) {
        st = unwrap(s, db_u64(statement, 1), extent, sqlite3_column_blob(statement, 2),
                    (size_t)sqlite3_column_bytes(statement, 2), &key, err);
    }
    if (st == ST_OK && key.bytes != bytes) {
        st = error_set(
            err, ST_CORRUPT, ERROR_NO_OFFSET, "extent %016llx has %llu bytes, its key is for %llu",
            (unsigned long long)extent, (unsigned long long)bytes, (unsigned long long)key.bytes);
    }
    if (st == ST_OK && tags != NULL && !column_blob(statement, 0, tags)) {
        st = no_memory(err);
    }
    db_end(statement);
    if (st == ST_OK) {
        *ret_key = key;
    }
    sealed_key_wipe(&key);
    return st;
}

status_t keys_open_blocks(struct seal *seal, const struct buf *tags, uint64_t extent, uint64_t off,
                          void *data, size_t len, struct error *err)
{
    uint8_t *bytes = data;
    status_t st = ST_OK;
    size_t at = 0;
    for (; at < len && st == ST_OK; at += STORE_BLOCK_BYTES) {
        size_t n = len - at < STORE_BLOCK_BYTES ? len - at : STORE_BLOCK_BYTES;
        uint64_t number = (off + at) / STORE_BLOCK_BYTES, last = off + at + n - 1;
        st = number < tags->len / SEAL_TAG_BYTES
                 ? seal_open(seal, number, bytes + at, n, tags->data + number * SEAL_TAG_BYTES,
                             NULL)
                 : ST_CORRUPT;
        if (st == ST_CORRUPT) {
            st = error_set(err, st, off + at,
                           "extent %016llx: bytes %llu to %llu do not match their tag",
                           (unsigned long long)extent, (unsigned long long)(off + at),
                           (unsigned long long)last);
        } else if (st != ST_OK) {
            st = error_set(err, st, ERROR_NO_OFFSET, "the cipher cannot be used");
        }
    }
    if (st != ST_OK) {
        OPENSSL_cleanse(data, len);
    }
    return st;
}

static int compare_keys(const void *a, const void *b)
{
    const struct store_key *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Those of rows that are not in the list yet. */
static size_t add_missing(struct store_key *keys, size_t count, size_t there)
{
    size_t to = there;
    for (size_t i = there; i < count; i++) {
        size_t k = 0;
        while (k < there && keys[k].id != keys[i].id) {
            k++;
        }
        if (k < there) {
            keys[k].extents = keys[i].extents;
        } else {
            keys[to++] = keys[i];
        }
    }
    if (to > there) {
        qsort(keys + there, to - there, sizeof *keys, compare_keys);
    }
    return to;
}

enum { MISSING_MAX = 1024 }; /* of whom it is told */

status_t store_keys(struct store *s, struct store_key **ret_keys, size_t *ret_count,
                    struct error *err)
{
    struct crypt *c = s->crypt;
    struct store_key *keys = calloc(STORE_MASTER_KEYS_MAX + MISSING_MAX, sizeof *keys);
    size_t there = 0, rows = 0;
    if (keys == NULL) {
        return no_memory(err);
    }
    if (c != NULL) {
        pthread_rwlock_rdlock(&c->lock);
        for (; there < c->masters.count; there++) {
            keys[there] = (struct store_key){.id = c->masters.ids[there],
                                             .is_there = true,
                                             .is_newest = there + 1 == c->masters.count};
        }
        pthread_rwlock_unlock(&c->lock);
    }
    status_t st = count_rows(s, keys + there, MISSING_MAX, &rows, err);
    if (st != ST_OK) {
        free(keys);
        return st;
    }
    *ret_count = add_missing(keys, there + rows, there);
    *ret_keys = keys;
    return ST_OK;
}

static status_t check_drop(const struct masters *m, uint64_t id, struct error *err)
{
    if (masters_find(m, id) == NULL) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "there is no master key %016llx",
                         (unsigned long long)id);
    }
    if (m->ids[m->count - 1] == id) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "%016llx is the newest master key: rotate first", (unsigned long long)id);
    }
    return ST_OK;
}

/* What is in the file now: another store may have written it, or its disk was not there at the start. */
static status_t read_file(struct masters *m, const char *path, struct error *err)
{
    status_t st = masters_read(m, path, err);
    return st == ST_NOTFOUND ? ST_OK : st;
}

/* One more key, or one less. */
struct key_change {
    uint64_t drop; /* 0: a new one is added */
    bool needs;    /* there are rows: a first key is none of theirs */
};

/* What the file is to have: all that it has, and memory, and this change. */
static status_t make_next(struct masters *next, const struct masters *file,
                          const struct key_change *k, const struct crypt *c, struct error *err)
{
    status_t st = ST_OK;
    if (k->drop != 0) {
        st = check_drop(next, k->drop, err);
        masters_remove(next, k->drop);
    } else if (k->needs && next->count == 0 && file->count == 0) {
        st = error_set(err, ST_PERM, ERROR_NO_OFFSET,
                       "the master keys that extents need are not in %.150s: a new one would "
                       "take their place",
                       c->path);
    } else {
        st = masters_add(next, err);
    }
    return st == ST_OK ? masters_join(next, file, k->drop, err) : st;
}

/* With the lock of the file: change it, then what is in memory. */
static status_t change_locked(struct crypt *c, const struct masters_lock *lock,
                              const struct key_change *k, struct masters *file,
                              uint64_t *ret_newest, struct error *err)
{
    struct masters next = {0};
    status_t st = masters_init(&next, err);
    if (st == ST_OK) {
        st = read_file(file, lock->path, err);
    }
    if (st != ST_OK) {
        masters_done(&next);
        return st;
    }
    pthread_rwlock_wrlock(&c->lock);
    masters_copy(&next, &c->masters);
    st = make_next(&next, file, k, c, err);
    if (st == ST_OK) {
        st = masters_write(&next, lock->path, err);
    }
    const uint8_t *dropped = masters_find(&c->masters, k->drop);
    if (st == ST_OK && dropped != NULL) {
        masters_keep(&c->dropped, k->drop, dropped);
    }
    if (st == ST_OK) {
        masters_copy(&c->masters, &next);
        *ret_newest = next.ids[next.count - 1];
    }
    pthread_rwlock_unlock(&c->lock);
    masters_done(&next);
    return st;
}

static status_t change_masters(struct crypt *c, const struct key_change *k, uint64_t *ret_newest,
                               struct error *err)
{
    struct masters file = {0};
    struct masters_lock lock;
    status_t st = masters_init(&file, err);
    if (st == ST_OK) {
        st = masters_lock(c->path, &lock, err);
        if (st == ST_OK) {
            st = change_locked(c, &lock, k, &file, ret_newest, err);
            masters_unlock(&lock);
        }
    }
    masters_done(&file);
    return st;
}

status_t store_keys_rotate(struct store *s, uint64_t *ret_id, struct error *err)
{
    struct store_key any;
    size_t count = 0;
    status_t st = s->crypt != NULL ? count_rows(s, &any, 1, &count, err) : no_key(s, err);
    const struct key_change k = {.needs = count > 0};
    return st == ST_OK ? change_masters(s->crypt, &k, ret_id, err) : st;
}

struct keys_task {
    struct task task;
    uint64_t id;          /* of a master key */
    uint64_t after, last; /* extents */
    size_t found;
    struct store_rewrap n;
};

struct rewrap_row {
    uint64_t extent, master;
    uint8_t record[SEAL_RECORD_BYTES];
    size_t len;
};

static status_t read_others(struct batch *b, struct keys_task *t, struct rewrap_row *rows,
                            struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    t->found = 0;
    status_t st = db_start(b->db, SQL_SEAL_OTHERS, &statement, err, "iii", t->id, t->after,
                           (uint64_t)REWRAP_ROWS);
    while (st == ST_OK && t->found < REWRAP_ROWS &&
           (st = db_next(b->db, statement, &row, err)) == ST_OK && row) {
        struct rewrap_row *r = &rows[t->found++];
        *r = (struct rewrap_row){.extent = db_u64(statement, 0), .master = db_u64(statement, 1)};
        size_t len = (size_t)sqlite3_column_bytes(statement, 2);
        const void *record = sqlite3_column_blob(statement, 2);
        if (record != NULL && len == sizeof r->record) {
            memcpy(r->record, record, len);
            r->len = len;
        }
    }
    db_end(statement);
    return st;
}

/* Those that cannot be opened stay: their readers say what is wrong. */
static status_t rewrap(struct batch *b, struct task *task, struct error *err)
{
    struct keys_task *t = (struct keys_task *)task;
    struct rewrap_row *rows = malloc(REWRAP_ROWS * sizeof *rows);
    status_t st = rows != NULL ? read_others(b, t, rows, err) : no_memory(err);
    t->n = (struct store_rewrap){0};
    for (size_t i = 0; i < t->found && st == ST_OK; i++) {
        struct sealed_key key = {0};
        status_t opened = unwrap(b->store, rows[i].master, rows[i].extent, rows[i].record,
                                 rows[i].len, &key, NULL);
        if (opened == ST_OK) {
            st = keys_put(b, &key, err);
        }
        t->n.done += opened == ST_OK;
        t->n.missing += opened != ST_OK;
        sealed_key_wipe(&key);
    }
    t->last = st == ST_OK && t->found > 0 ? rows[t->found - 1].extent : t->after;
    free(rows);
    return st;
}

static status_t newest(struct store *s, uint64_t *ret_id, struct error *err)
{
    status_t st = keys_ready(s, err);
    if (st == ST_OK) {
        pthread_rwlock_rdlock(&s->crypt->lock);
        *ret_id = s->crypt->masters.ids[s->crypt->masters.count - 1];
        pthread_rwlock_unlock(&s->crypt->lock);
    }
    return st;
}

status_t store_keys_rewrap(struct store *s,
                           bool (*goes_on)(void *arg, const struct store_rewrap *so_far), void *arg,
                           struct store_rewrap *ret_rewrap, struct error *err)
{
    struct store_rewrap n = {0};
    uint64_t id = 0, after = 0;
    size_t found = REWRAP_ROWS;
    status_t st = newest(s, &id, err);
    while (st == ST_OK && found == REWRAP_ROWS) {
        if (goes_on != NULL && !goes_on(arg, &n)) {
            return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "the keys were not all wrapped");
        }
        struct keys_task t = {.task = {.run = rewrap}, .id = id, .after = after};
        st = store_change(s, &t.task, err);
        after = t.last;
        found = t.found;
        n.done += t.n.done;
        n.missing += t.n.missing;
    }
    if (st == ST_OK) {
        *ret_rewrap = n;
    }
    return st;
}

/* What the writer has committed since is seen: it is not the newest any more, so no row gets it again. */
static status_t check_needs(struct batch *b, struct task *task, struct error *err)
{
    struct keys_task *t = (struct keys_task *)task;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    uint64_t needed = 0;
    status_t st = db_start(b->db, SQL_SEAL_NEEDS, &statement, err, "i", t->id);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    if (st == ST_OK) {
        needed = db_u64(statement, 0);
    }
    db_end(statement);
    if (st == ST_OK && needed > 0) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "%llu extents need master key %016llx: rotate first",
                         (unsigned long long)needed, (unsigned long long)t->id);
    }
    return st == ST_OK && !place_rows_are_safe(b)
               ? error_set(err, ST_IO, ERROR_NO_OFFSET, "the database cannot be synced")
               : st;
}

/* Without syncs, what the first look saw is on the disk when the second one, of a later transaction, has synced it. */
status_t store_keys_drop(struct store *s, uint64_t id, struct error *err)
{
    struct crypt *c = s->crypt;
    uint64_t ignored = 0;
    if (c == NULL) {
        return no_key(s, err);
    }
    pthread_rwlock_rdlock(&c->lock);
    status_t st = check_drop(&c->masters, id, err);
    pthread_rwlock_unlock(&c->lock);
    for (int i = 0; i < (s->options.sync == STORE_SYNC_OFF ? 2 : 1) && st == ST_OK; i++) {
        struct keys_task t = {.task = {.run = check_needs, .frees = true}, .id = id};
        st = store_change(s, &t.task, err);
    }
    const struct key_change k = {.drop = id};
    return st == ST_OK ? change_masters(c, &k, &ignored, err) : st;
}
