#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/hash.h"
#include "row.h"
#include "sharing.h"
#include "sys/files.h"

enum { USED_SETS = 16 * 1024, USED_WAYS = 4, SETTLE_AT_ONCE = 256, DROP_HELD_MAX = 8 };

/* What was used lately: of each set the oldest is forgotten. Two threads at a time may lose one. */
struct last_use {
    _Atomic uint64_t id;
    _Atomic uint64_t when;
};

static status_t not_there(uint64_t id, struct error *err)
{
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "extent %016llx is not there any more",
                     (unsigned long long)id);
}

status_t store_set_tier(struct store *s, const struct store_tier *tier, struct error *err)
{
    if (tier->cache_bytes < STORE_CACHE_MIN) {
        return error_set(
            err, ST_INVAL, ERROR_NO_OFFSET, "a cache of %llu bytes: at least %llu are needed",
            (unsigned long long)tier->cache_bytes, (unsigned long long)STORE_CACHE_MIN);
    }
    struct placing *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return no_memory(err);
    }
    p->tier = *tier;
    p->used = calloc((size_t)USED_SETS * USED_WAYS, sizeof *p->used);
    status_t st = p->used != NULL ? cache_new(s->new_fd, tier, &p->cache, err) : no_memory(err);
    if (st != ST_OK) {
        free(p->used);
        free(p);
        return st;
    }
    struct store_places places;
    st = store_places(s, &places, err);
    if (st != ST_OK) {
        cache_free(p->cache);
        free(p->used);
        free(p);
        return st;
    }
    atomic_store(&p->any_away, places.away_count > 0);
    s->placing = p;
    return ST_OK;
}

void place_done(struct store *s)
{
    if (s->placing != NULL) {
        cache_free(s->placing->cache);
        free(s->placing->used);
        free(s->placing);
        s->placing = NULL;
    }
    ids_done(&s->settle);
}

static struct last_use *set_of(const struct placing *p, uint64_t id)
{
    return &p->used[hash_xxh3(&id, sizeof id) % USED_SETS * USED_WAYS];
}

void place_used(struct store *s, uint64_t id)
{
    struct placing *p = s->placing;
    if (p == NULL) {
        return;
    }
    struct last_use *set = set_of(p, id), *at = &set[0];
    for (size_t i = 0; i < USED_WAYS; i++) {
        if (atomic_load_explicit(&set[i].id, memory_order_relaxed) == id) {
            at = &set[i];
            break;
        }
        if (atomic_load_explicit(&set[i].when, memory_order_relaxed) <
            atomic_load_explicit(&at->when, memory_order_relaxed)) {
            at = &set[i];
        }
    }
    atomic_store_explicit(&at->id, id, memory_order_relaxed);
    atomic_store_explicit(&at->when, atomic_fetch_add(&p->clock, 1) + 1, memory_order_relaxed);
}

static uint64_t last_use(const struct placing *p, uint64_t id)
{
    const struct last_use *set = set_of(p, id);
    for (size_t i = 0; i < USED_WAYS; i++) {
        if (atomic_load_explicit(&set[i].id, memory_order_relaxed) == id) {
            return atomic_load_explicit(&set[i].when, memory_order_relaxed);
        }
    }
    return 0;
}

bool place_is_away(struct store *s, uint64_t id)
{
    struct store_extent x = {0};
    if (s->placing == NULL || !atomic_load(&s->placing->any_away)) {
        return false;
    }
    bool away = store_extent_get(s, id, &x, NULL) == ST_OK && (x.place & STORE_PLACE_AWAY) != 0;
    buf_done(&x.sums);
    return away;
}

void place_damaged(struct store *s, uint64_t id)
{
    struct placing *p = s->placing;
    atomic_fetch_add(&p->damaged, 1);
    if (p->tier.damaged != NULL) {
        p->tier.damaged(p->tier.arg, id);
    }
}

status_t place_read(struct store *s, const struct store_extent *extent, uint64_t off, void *data,
                    size_t len, bool *waits, struct error *err)
{
    struct placing *p = s->placing;
    if (p == NULL) {
        return error_set(err, ST_AGAIN, off,
                         "extent %016llx is in a tier, and the store was started without it",
                         (unsigned long long)extent->id);
    }
    uint8_t *to = data;
    while (len > 0) {
        size_t inside = (size_t)(off % STORE_PIECE_BYTES), n = STORE_PIECE_BYTES - inside;
        bool hit = false;
        n = n < len ? n : len;
        status_t st = cache_read(p->cache, extent, off, to, n, &hit, waits, err);
        if (st != ST_OK) {
            return st;
        }
        atomic_fetch_add(hit ? &p->cache_hits : &p->cache_misses, 1);
        atomic_fetch_add(&p->fetched_bytes, hit ? 0 : n);
        to += n;
        off += n;
        len -= n;
    }
    return ST_OK;
}

status_t store_wait_begin(struct store *s, struct error *err)
{
    struct placing *p = s->placing;
    if (p != NULL && atomic_fetch_add(&p->waiters, 1) >= STORE_WAITERS_MAX) {
        atomic_fetch_sub(&p->waiters, 1);
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "%d requests wait for the tier already",
                         STORE_WAITERS_MAX);
    }
    return ST_OK;
}

void store_wait_end(struct store *s)
{
    if (s->placing != NULL) {
        atomic_fetch_sub(&s->placing->waiters, 1);
    }
}

status_t store_extent_compare(const struct store_extent *x, uint64_t off, const void *data,
                              size_t len, struct error *err)
{
    status_t st = ST_OK;
    for (size_t at = 0; at < len && st == ST_OK; at += STORE_BLOCK_BYTES) {
        size_t n = len - at < STORE_BLOCK_BYTES ? len - at : STORE_BLOCK_BYTES;
        st = extent_verify(x->sums.data, x->sums.len, x->id, off + at, (const uint8_t *)data + at,
                           n, err);
    }
    return st;
}

static status_t get_row(struct db *db, uint64_t id, struct store_extent *ret_extent,
                        struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    struct store_extent x = {.id = id};
    status_t st = db_start(db, SQL_PLACE_GET, &statement, err, "i", id);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && !row) {
        st = not_there(id, err);
    }
    if (st == ST_OK) {
        x.bytes = db_u64(statement, 0);
        x.uses = db_u64(statement, 1);
        x.place = (unsigned)db_u64(statement, 2);
        x.nonce = db_u64(statement, 3);
        x.keep = (unsigned)db_u64(statement, 4);
        x.is_inline = db_u64(statement, 6) == 0;
        x.encrypted = db_u64(statement, 7) != 0;
        st = column_blob(statement, 5, &x.sums) ? ST_OK : no_memory(err);
    }
    db_end(statement);
    if (st != ST_OK) {
        buf_done(&x.sums);
        return st;
    }
    *ret_extent = x;
    return ST_OK;
}

status_t store_extent_get(struct store *s, uint64_t id, struct store_extent *ret_extent,
                          struct error *err)
{
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = get_row(db, id, ret_extent, err);
        store_reader_back(s, db);
    }
    return st;
}

bool store_extent_is_open(struct store *s, uint64_t id)
{
    return pins_has(&s->pins, id);
}

status_t store_id(struct store *s, char ret_id[STORE_ID_BYTES], struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_STORE_ID, &statement, err, "");
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && (!row || sqlite3_column_bytes(statement, 0) != STORE_ID_BYTES - 1)) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "the store has no name of its own");
    }
    if (st == ST_OK) {
        column_text(statement, 0, ret_id, STORE_ID_BYTES);
    }
    db_end(statement);
    store_reader_back(s, db);
    return st;
}

static void add_place(struct store_places *p, unsigned place, unsigned keep, uint64_t count,
                      uint64_t bytes)
{
    if (place & STORE_PLACE_GONE) {
        p->gone_count += count;
        p->gone_bytes += bytes;
    } else if (place & STORE_PLACE_AWAY) {
        p->away_count += count;
        p->away_bytes += bytes;
    } else {
        bool sent = place & STORE_PLACE_REMOTE;
        p->local_count += count;
        p->local_bytes += bytes;
        p->sent_count += sent ? count : 0;
        p->sent_bytes += sent ? bytes : 0;
        p->kept_count += keep == STORE_KEEP_HERE ? count : 0;
        p->kept_bytes += keep == STORE_KEEP_HERE ? bytes : 0;
        p->eager_count += keep == STORE_KEEP_BOTH && !sent ? count : 0;
        p->eager_bytes += keep == STORE_KEEP_BOTH && !sent ? bytes : 0;
    }
}

status_t store_places(struct store *s, struct store_places *ret_places, struct error *err)
{
    struct store_places p = {0};
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_PLACE_TOTALS, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        add_place(&p, (unsigned)db_u64(statement, 0), (unsigned)db_u64(statement, 1),
                  db_u64(statement, 2), db_u64(statement, 3));
    }
    db_end(statement);
    store_reader_back(s, db);
    const struct placing *t = s->placing;
    if (t != NULL) {
        p.local_reads = atomic_load(&t->local_reads);
        p.cache_hits = atomic_load(&t->cache_hits);
        p.remote_reads = p.cache_hits +
                         atomic_load(&t->cache_misses); /* so neither part ever falls */
        p.fetched_bytes = atomic_load(&t->fetched_bytes);
        p.recalled_count = atomic_load(&t->recalled_count);
        p.recalled_bytes = atomic_load(&t->recalled_bytes);
        p.damaged = atomic_load(&t->damaged);
        p.cache_bytes = cache_bytes(t->cache);
    }
    if (st == ST_OK) {
        *ret_places = p;
    }
    return st;
}

status_t store_candidates(struct store *s, unsigned place, enum store_keep keep, uint64_t after,
                          size_t max, struct store_candidate *ret_list, size_t *ret_count,
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
    st = db_start(db, SQL_PLACE_LIST, &statement, err, "iiii", (uint64_t)place, (uint64_t)keep,
                  after, (uint64_t)max);
    while (st == ST_OK && count < max && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        ret_list[count] = (struct store_candidate){.id = db_u64(statement, 0),
                                                   .bytes = db_u64(statement, 1)};
        if (s->placing != NULL) {
            ret_list[count].last_use = last_use(s->placing, ret_list[count].id);
        }
        count++;
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

/* Changes of rows. */
struct place_task {
    struct task task;
    uint64_t id, nonce;
    const uint64_t *ids;
    size_t count;
    bool force;
    const char *text;
    const char *bucket, *key;
    unsigned keep;
    size_t changed;
};

static status_t name_extent(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    return db_do(b->db, SQL_PLACE_NAME, err, "ii", t->id, t->nonce);
}

static status_t random_nonce(uint64_t *ret_nonce, struct error *err)
{
    uint64_t nonce = 0;
    while (nonce == 0) {
        ssize_t n = getrandom(&nonce, sizeof nonce, 0);
        if (n < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "random number");
        }
        nonce = n == (ssize_t)sizeof nonce ? nonce & INT64_MAX : 0;
    }
    *ret_nonce = nonce;
    return ST_OK;
}

/* A drop that had looked for readers before this one was there may have taken the file away since the row was read. */
static status_t open_held(struct store *s, uint64_t id, int *ret_fd, struct error *err)
{
    struct store_extent now = {0};
    status_t st = extent_open_here(s, id, ret_fd, err);
    if (st != ST_CORRUPT || store_extent_get(s, id, &now, NULL) != ST_OK) {
        return st;
    }
    buf_done(&now.sums);
    if ((now.place & STORE_PLACE_AWAY) != 0) {
        return not_there(id, err);
    }
    st = extent_open_here(s, id, ret_fd, err); /* recalled? */
    return st == ST_CORRUPT && (now.place & STORE_PLACE_REMOTE) == 0 &&
                   shared_elsewhere(s, id) != NULL
               ? not_there(id, err) /* here: it is not lost */
               : st;
}

static status_t hold(struct store *s, uint64_t id, struct store_extent *ret_extent, int *ret_fd,
                     struct error *err)
{
    /* each step of a spill frees space in the end, so it may take what is kept for a full disk */
    struct place_task t = {.task = {.run = name_extent, .frees = true}, .id = id};
    struct store_extent x = {0};
    status_t st = random_nonce(&t.nonce, err);
    if (st == ST_OK && (st = store_extent_get(s, id, &x, err)) == ST_OK && x.nonce == 0) {
        buf_done(&x.sums);
        x = (struct store_extent){0};
        st = store_change(s, &t.task, err);
        if (st == ST_OK) {
            st = store_extent_get(s, id, &x, err);
        }
    }
    if (st == ST_OK &&
        (x.uses == 0 || x.nonce == 0 || x.is_inline || (x.place & STORE_PLACE_AWAY) != 0)) {
        st = not_there(id, err);
    }
    if (st == ST_OK) {
        st = open_held(s, id, ret_fd, err);
    }
    if (st != ST_OK) {
        buf_done(&x.sums);
        return st;
    }
    *ret_extent = x;
    return ST_OK;
}

status_t store_extent_hold(struct store *s, uint64_t id, struct store_extent *ret_extent,
                           int *ret_fd, struct error *err)
{
    /* a drop of its last name waits for the pin only if that was there first */
    pthread_rwlock_rdlock(&s->names_lock);
    bool pinned = pins_add(&s->pins, id);
    pthread_rwlock_unlock(&s->names_lock);
    if (!pinned) {
        return no_memory(err);
    }
    status_t st = hold(s, id, ret_extent, ret_fd, err);
    if (st != ST_OK) {
        store_extent_release(s, id);
    }
    return st;
}

void store_extent_release(struct store *s, uint64_t id)
{
    if (pins_remove(&s->pins, id)) {
        store_extent_gone(s, id);
    }
}

static status_t set_upload(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    return t->text[0] != '\0' ? db_do(b->db, SQL_SENDING_SET, err, "it", t->id, t->text)
                              : db_do(b->db, SQL_SENDING_END, err, "i", t->id);
}

status_t store_extent_set_upload(struct store *s, uint64_t id, const char *upload,
                                 struct error *err)
{
    struct place_task t = {.task = {.run = set_upload, .frees = true}, .id = id, .text = upload};
    if (strlen(upload) > STORE_UPLOAD_TEXT_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "an upload's id of %zu bytes: at most %d",
                         strlen(upload), STORE_UPLOAD_TEXT_MAX);
    }
    return store_change(s, &t.task, err);
}

status_t store_extent_upload(struct store *s, uint64_t id,
                             char ret_upload[STORE_UPLOAD_TEXT_MAX + 1], struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    ret_upload[0] = '\0';
    st = db_start(db, SQL_SENDING_GET, &statement, err, "i", id);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && row) {
        column_text(statement, 0, ret_upload, STORE_UPLOAD_TEXT_MAX + 1);
    }
    db_end(statement);
    store_reader_back(s, db);
    return st;
}

static status_t sent(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    status_t st = db_do(b->db, SQL_PLACE_SENT, err, "ii", t->id, t->nonce);
    return st == ST_OK ? db_do(b->db, SQL_SENDING_END, err, "i", t->id) : st;
}

status_t store_extent_sent(struct store *s, const struct store_extent *extent, struct error *err)
{
    struct place_task t = {
        .task = {.run = sent, .frees = true}, .id = extent->id, .nonce = extent->nonce};
    return store_change(s, &t.task, err);
}

static status_t unsent(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    return db_do(b->db, SQL_PLACE_UNSENT, err, "ii", t->id, t->nonce);
}

status_t store_extent_unsent(struct store *s, const struct store_extent *extent, struct error *err)
{
    struct place_task t = {.task = {.run = unsent}, .id = extent->id, .nonce = extent->nonce};
    return store_change(s, &t.task, err);
}

/* A statement that returns a row for what it changed. */
static status_t change_row(struct batch *b, enum sql which, uint64_t id, bool flag,
                           bool *ret_changed, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    *ret_changed = false;
    status_t st = which == SQL_PLACE_DROP
                      ? db_start(b->db, which, &statement, err, "ii", id, (uint64_t)flag)
                      : db_start(b->db, which, &statement, err, "i", id);
    while (st == ST_OK && (st = db_next(b->db, statement, &row, err)) == ST_OK && row) {
        *ret_changed = true;
    }
    db_end(statement);
    return st;
}

static status_t drop(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    status_t st = ST_OK;
    t->changed = 0;
    if (b->store->placing != NULL) {
        atomic_store(&b->store->placing->any_away, true);
    }
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        bool changed = false;
        if (pins_has(&b->store->pins, t->ids[i])) {
            continue;
        }
        st = change_row(b, SQL_PLACE_DROP, t->ids[i], t->force, &changed, err);
        if (st == ST_OK && changed) {
            t->changed++;
            st = ids_add(&b->evicted, t->ids[i]) ? ST_OK : no_memory(err);
        }
    }
    return st;
}

/* To give back the blocks and cached pages of a file takes as long as some milliseconds for each 16 MiB, which all who
 * write would wait for: while it is held open, the writer takes away its name only, and the rest is done here. */
static void hold_files(struct store *s, const uint64_t *ids, size_t count, int held[DROP_HELD_MAX])
{
    for (size_t i = 0; i < DROP_HELD_MAX; i++) {
        char name[EXTENT_NAME_BYTES];
        held[i] = -1;
        if (i < count) {
            extent_name(ids[i], name);
            held[i] = openat(s->data_fd, name, O_PATH | O_CLOEXEC);
        }
    }
}

static void let_go(const int held[DROP_HELD_MAX])
{
    for (size_t i = 0; i < DROP_HELD_MAX; i++) {
        if (held[i] >= 0) {
            close(held[i]);
        }
    }
}

status_t store_extents_drop(struct store *s, const uint64_t *ids, size_t count, bool force,
                            size_t *ret_dropped, struct error *err)
{
    struct place_task t = {
        .task = {.run = drop, .frees = true}, .ids = ids, .count = count, .force = force};
    int held[DROP_HELD_MAX];
    hold_files(s, ids, count, held);
    status_t st = store_change(s, &t.task, err);
    let_go(held);
    if (st == ST_OK) {
        *ret_dropped = t.changed;
    }
    return st;
}

/* A database that is not synced may tell of a local file after a crash of the machine, and the disk not have it. So
 * what tells of the copy is written first: the log, and what was moved from it into the database. */
static bool sync_rows(struct batch *b)
{
    const char *files[] = {sqlite3_db_filename(b->db->handle, NULL), NULL};
    files[1] = files[0] != NULL ? sqlite3_filename_wal(files[0]) : NULL;
    bool good = true;
    for (size_t i = 0; i < 2 && good; i++) {
        int fd = files[i] != NULL ? open(files[i], O_RDONLY | O_CLOEXEC) : -1;
        good = fd >= 0 && file_sync_data(fd) == 0;
        if (fd >= 0) {
            close(fd);
        }
    }
    return good;
}

bool place_rows_are_safe(struct batch *b)
{
    return b->store->options.sync != STORE_SYNC_OFF || sync_rows(b);
}

void place_evict(struct batch *b)
{
    struct store *s = b->store;
    if (b->evicted.count > 0 && !place_rows_are_safe(b)) {
        return; /* as of files that cannot be removed: the next start finds them */
    }
    for (size_t i = 0; i < b->evicted.count; i++) {
        /* what comes back has another name yet, and stays */
        if (extent_remove(s, b->evicted.ids[i], NULL) != ST_OK) {
            continue; /* the next start finds it */
        }
        pthread_mutex_lock(&s->pins.lock);
        bool ignored = ids_add(&s->settle, b->evicted.ids[i]); /* as above */
        (void)ignored;
        pthread_mutex_unlock(&s->pins.lock);
    }
}

status_t place_settle(struct batch *b, struct error *err)
{
    struct store *s = b->store;
    uint64_t ids[SETTLE_AT_ONCE];
    size_t count = 0;
    pthread_mutex_lock(&s->pins.lock);
    while (count < SETTLE_AT_ONCE && s->settle.count > 0) {
        ids[count++] = s->settle.ids[--s->settle.count];
    }
    pthread_mutex_unlock(&s->pins.lock);
    status_t st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_PLACE_DROPPED, err, "i", ids[i]);
    }
    return st;
}

status_t place_recover(struct store *s, struct error *err)
{
    struct ids ids = {0};
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(s->writer_db, SQL_PLACE_DROPPING, &statement, err, "");
    while (st == ST_OK && (st = db_next(s->writer_db, statement, &row, err)) == ST_OK && row) {
        if (!ids_add(&ids, db_u64(statement, 0))) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    for (size_t i = 0; i < ids.count && st == ST_OK; i++) {
        st = extent_remove(s, ids.ids[i], err);
    }
    if (st == ST_OK && ids.count > 0) {
        st = store_begin(s, err);
        for (size_t i = 0; i < ids.count && st == ST_OK; i++) {
            st = db_do(s->writer_db, SQL_PLACE_DROPPED, err, "i", ids.ids[i]);
        }
        if (st == ST_OK) {
            st = store_commit(s, &(struct changes){0}, err);
        }
        if (st != ST_OK) {
            store_rollback(s);
        }
    }
    ids_done(&ids);
    return st;
}

static void stays(struct ids *list, uint64_t id)
{
    for (size_t i = 0; i < list->count;) {
        if (list->ids[i] == id) {
            list->ids[i] = list->ids[--list->count];
        } else {
            i++;
        }
    }
}

/* Its file is in `new`, whole and synced. */
static status_t back(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    bool changed = false;
    status_t st = change_row(b, SQL_PLACE_BACK, t->id, false, &changed, err);
    if (st == ST_OK && !changed) {
        return not_there(t->id, err);
    }
    stays(&b->evicted, t->id);
    return st == ST_OK && !ids_add(&b->recalled, t->id) ? no_memory(err) : st;
}

static status_t fetch_all(struct store *s, const struct store_extent *x, int fd, struct error *err)
{
    const struct store_tier *tier = &s->placing->tier;
    /* before anything is fetched for nothing; file systems that cannot tell, tell later */
    int code = x->bytes > 0 ? posix_fallocate(fd, 0, (off_t)x->bytes) : 0;
    if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
        return error_set_errno(err, code, "space for an extent");
    }
    uint8_t *piece = malloc(STORE_PIECE_BYTES);
    status_t st = piece != NULL ? ST_OK : no_memory(err);
    for (uint64_t off = 0; off < x->bytes && st == ST_OK; off += STORE_PIECE_BYTES) {
        size_t n = x->bytes - off < STORE_PIECE_BYTES ? (size_t)(x->bytes - off)
                                                      : STORE_PIECE_BYTES;
        st = tier->read(tier->arg, x, off, piece, n, err);
        if (st == ST_NOTFOUND) {
            st = error_set(err, ST_CORRUPT, off, "in the tier: extent %016llx is not there",
                           (unsigned long long)x->id);
        }
        if (st == ST_OK) {
            st = store_extent_compare(x, off, piece, n, err);
        }
        if (st == ST_OK && file_write_all_at(fd, piece, n, off) != 0) {
            st = error_set_errno(err, errno, "write to an extent");
        }
    }
    free(piece);
    if (st == ST_OK && store_sync_extent(s, fd) != 0) {
        st = error_set_errno(err, errno, "sync of an extent");
    }
    return st;
}

static status_t recall(struct store *s, const struct store_extent *x, struct error *err)
{
    char name[EXTENT_NAME_BYTES];
    struct place_task t = {.task = {.run = back}, .id = x->id};
    extent_recall_name(x->id, name);
    /* one that is there was left by a recall, since there are no local bytes */
    int ignored = unlinkat(s->new_fd, name, 0);
    (void)ignored;
    int fd = openat(s->new_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "new extent");
    }
    status_t st = fetch_all(s, x, fd, err);
    close(fd);
    if (st == ST_OK) {
        place_used(s, x->id);
        st = store_change(s, &t.task, err);
    }
    if (st != ST_OK && !atomic_load(&s->broken)) {
        ignored = unlinkat(s->new_fd, name, 0);
        (void)ignored;
    }
    if (st == ST_OK) {
        atomic_fetch_add(&s->placing->recalled_count, 1);
        atomic_fetch_add(&s->placing->recalled_bytes, x->bytes);
    }
    return st;
}

status_t store_extent_recall(struct store *s, uint64_t id, struct error *err)
{
    struct store_extent x = {0};
    pthread_mutex_t *lock = &s->recall_locks[id % RECALL_LOCKS];
    pthread_mutex_lock(lock);
    status_t st = store_extent_get(s, id, &x, err);
    if (st == ST_OK && (x.place & STORE_PLACE_AWAY) != 0) {
        if (x.uses == 0) {
            st = not_there(id, err);
        } else if (s->placing == NULL) {
            st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                           "extent %016llx is in a tier, and the store was started without it",
                           (unsigned long long)id);
        } else {
            st = recall(s, &x, err);
        }
    }
    pthread_mutex_unlock(lock);
    buf_done(&x.sums);
    return st;
}

static status_t nothing(struct batch *b, struct task *task, struct error *err)
{
    (void)b, (void)task, (void)err;
    return ST_OK;
}

status_t store_settle(struct store *s, struct error *err)
{
    struct task t = {.run = nothing};
    pthread_mutex_lock(&s->pins.lock);
    bool waits = s->forget.count + s->settle.count > 0;
    pthread_mutex_unlock(&s->pins.lock);
    return waits ? store_change(s, &t, err) : ST_OK;
}

status_t store_extents_gone(struct store *s, const struct store_extent *after, size_t max,
                            struct store_extent *ret_list, size_t *ret_count, struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_PLACE_GONE, &statement, err, "iii", (uint64_t)max,
                  (uint64_t)(after != NULL ? after->place : 0), after != NULL ? after->id : 0);
    while (st == ST_OK && count < max && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        ret_list[count++] = (struct store_extent){.id = db_u64(statement, 0),
                                                  .bytes = db_u64(statement, 1),
                                                  .nonce = db_u64(statement, 2),
                                                  .place = (unsigned)db_u64(statement, 3)};
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

static status_t deleted(struct batch *b, struct task *task, struct error *err)
{
    struct place_task *t = (struct place_task *)task;
    status_t st = ST_OK;
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_PLACE_DELETED, err, "i", t->ids[i]);
        if (st == ST_OK) {
            st = db_do(b->db, SQL_SENDING_END, err, "i", t->ids[i]);
        }
    }
    return st;
}

status_t store_extents_deleted(struct store *s, const uint64_t *ids, size_t count,
                               struct error *err)
{
    struct place_task t = {.task = {.run = deleted, .frees = true}, .ids = ids, .count = count};
    return store_change(s, &t.task, err);
}
