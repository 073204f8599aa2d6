#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "keys.h"
#include "orphan.h"
#include "place.h"
#include "row.h"
#include "sharing.h"
#include "sys/files.h"

enum { EXTENTS_AT_ONCE = 64, FSCK_READ_BYTES = 1024 * 1024 };

struct check {
    struct store *store;
    bool repair;
    void (*found)(void *arg, const struct store_finding *finding);
    bool (*goes_on)(void *arg);
    void *arg;
    struct store_fsck totals;
    struct ids
        named; /* for each piece the number of its extent, doubled, and 1 if it says that it is encrypted */
};

static void report(struct check *c, enum store_damage kind, uint64_t extent, uint64_t offset,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void report(struct check *c, enum store_damage kind, uint64_t extent, uint64_t offset,
                   const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    int ignored = vsnprintf(text, sizeof text, fmt, args);
    (void)ignored;
    va_end(args);
    c->totals.findings++;
    if (c->found != NULL) {
        struct store_finding finding = {
            .kind = kind, .extent = extent, .offset = offset, .text = text};
        c->found(c->arg, &finding);
    }
}

static status_t look_for_end(const struct check *c, struct error *err)
{
    return c->goes_on == NULL || c->goes_on(c->arg)
               ? ST_OK
               : error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "the check was ended");
}

static status_t check_database(struct check *c, struct db *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(db, SQL_CHECK, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        char text[ERROR_TEXT_MAX];
        column_text(statement, 0, text, sizeof text);
        if (strcmp(text, "ok") != 0) {
            report(c, STORE_DAMAGE_DATABASE, 0, 0, "%s", text);
        }
    }
    db_end(statement);
    return st;
}

/* One layout: its extents are noted. */
static status_t note_layout(struct check *c, sqlite3_stmt *statement, struct error *err)
{
    struct arena arena = {0};
    struct layout layout = {0};
    struct error inner = {0};
    status_t st = layout_decode(&arena, sqlite3_column_blob(statement, 0),
                                (size_t)sqlite3_column_bytes(statement, 0), db_u64(statement, 1),
                                &layout, &inner);
    if (st == ST_CORRUPT) {
        const char *key = sqlite3_column_blob(statement, 2);
        report(c, STORE_DAMAGE_LAYOUT, 0, 0, "%.*s: %s",
               sqlite3_column_bytes(statement, 2) < 100 ? sqlite3_column_bytes(statement, 2) : 100,
               key != NULL ? key : "", inner.text);
        st = ST_OK;
    } else if (st != ST_OK) {
        *err = inner;
    }
    for (size_t i = 0; i < layout.count && st == ST_OK; i++) {
        const struct piece *piece = &layout.pieces[i];
        if (!ids_add(&c->named, 2 * piece->extent + piece->sealed)) {
            st = no_memory(err);
        }
    }
    arena_done(&arena);
    return st;
}

static status_t note_layouts(struct check *c, struct db *db, enum sql which, uint64_t *count,
                             struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(db, which, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        st = note_layout(c, statement, err);
        *count += 1;
        if (st == ST_OK) {
            st = look_for_end(c, err);
        }
    }
    db_end(statement);
    return st;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct wrong_uses {
    struct ids extents;
    struct ids uses;
};

static status_t note_wrong(struct check *c, struct wrong_uses *wrong, uint64_t id, uint64_t uses,
                           uint64_t real, struct error *err)
{
    report(c, STORE_DAMAGE_USES, id, 0, "extent %016llx has %llu uses, its row says %llu",
           (unsigned long long)id, (unsigned long long)real, (unsigned long long)uses);
    return ids_add(&wrong->extents, id) && ids_add(&wrong->uses, real) ? ST_OK : no_memory(err);
}

/* Both lists are in the order of numbers. */
static status_t compare_uses(struct check *c, struct db *db, struct wrong_uses *wrong,
                             struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t at = 0;
    status_t st = db_start(db, SQL_EXTENT_LIST, &statement, err, "i", (uint64_t)0);
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK) {
        uint64_t id = row ? db_u64(statement, 0) : UINT64_MAX, real = 0;
        for (; at < c->named.count && c->named.ids[at] / 2 < id; at++) {
            report(c, STORE_DAMAGE_LAYOUT, c->named.ids[at] / 2, 0,
                   "extent %016llx is named and not there",
                   (unsigned long long)c->named.ids[at] / 2);
        }
        if (!row) {
            break;
        }
        for (; at < c->named.count && c->named.ids[at] / 2 == id; at++) {
            real++;
            if (c->named.ids[at] % 2 != db_u64(statement, 3)) {
                report(c, STORE_DAMAGE_LAYOUT, id, 0,
                       "extent %016llx is%s encrypted, a name says "
                       "that it is%s",
                       (unsigned long long)id, db_u64(statement, 3) != 0 ? "" : " not",
                       db_u64(statement, 3) != 0 ? " not" : "");
            }
        }
        if (real != db_u64(statement, 1)) {
            st = note_wrong(c, wrong, id, db_u64(statement, 1), real, err);
        }
    }
    db_end(statement);
    return st;
}

static status_t set_uses(struct check *c, struct batch *b, const struct wrong_uses *wrong,
                         struct error *err)
{
    status_t st = ST_OK;
    for (size_t i = 0; i < wrong->extents.count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_EXTENT_SET_USES, err, "ii", wrong->extents.ids[i],
                   wrong->uses.ids[i]);
        if (st == ST_OK && wrong->uses.ids[i] == 0 &&
            !ids_add(&b->dropped, wrong->extents.ids[i])) {
            st = no_memory(err);
        }
        c->totals.repaired++;
    }
    return st;
}

struct totals {
    uint64_t bucket;
    uint64_t counts[4]; /* objects and bytes, as the row says and as they are */
};

/* what: objects or versions; count_sql adds the difference. */
static status_t check_buckets(struct check *c, struct db *db, struct batch *b, enum sql totals_sql,
                              enum sql count_sql, const char *what, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    struct totals *wrong = NULL;
    size_t count = 0;
    status_t st = db_start(db, totals_sql, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        struct totals t = {.bucket = db_u64(statement, 0)};
        for (int i = 0; i < 4; i++) {
            t.counts[i] = db_u64(statement, i + 2);
        }
        if (t.counts[0] == t.counts[2] && t.counts[1] == t.counts[3]) {
            continue;
        }
        report(c, STORE_DAMAGE_COUNT, 0, 0,
               "bucket %s has %llu %s of %llu bytes, its row says %llu of %llu",
               (const char *)sqlite3_column_text(statement, 1), (unsigned long long)t.counts[2],
               what, (unsigned long long)t.counts[3], (unsigned long long)t.counts[0],
               (unsigned long long)t.counts[1]);
        struct totals *grown = realloc(wrong, (count + 1) * sizeof *grown);
        if (grown == NULL) {
            st = no_memory(err);
            break;
        }
        wrong = grown;
        wrong[count++] = t;
    }
    db_end(statement);
    for (size_t i = 0; i < count && st == ST_OK && b != NULL; i++) {
        st = db_do(b->db, count_sql, err, "iiiii", wrong[i].bucket, wrong[i].counts[2],
                   wrong[i].counts[0], wrong[i].counts[3], wrong[i].counts[1]);
        c->totals.repaired++;
    }
    free(wrong);
    return st;
}

/* Versions must be older than what is current, and hidden by a marker where nothing is. */
static status_t check_order(struct check *c, struct db *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(db, SQL_VERSION_WRONG, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        int len = sqlite3_column_bytes(statement, 0);
        const char *key = sqlite3_column_blob(statement, 0);
        report(c, STORE_DAMAGE_VERSION, 0, 0, "%.*s: %s", len < 100 ? len : 100,
               key != NULL ? key : "",
               db_u64(statement, 1) ? "the newest version is no marker, and not current"
                                    : "a version is not older than the current one");
    }
    db_end(statement);
    return st;
}

/* All names against all extents, in one transaction: b's when it is the writer's, which repairs. */
static status_t check_names(struct check *c, struct db *db, struct batch *b, struct error *err)
{
    struct wrong_uses wrong = {0};
    uint64_t others = 0;
    c->named.count = 0;
    c->totals = (struct store_fsck){0};
    status_t st = check_database(c, db, err);
    if (st == ST_OK) {
        st = note_layouts(c, db, SQL_OBJECT_LAYOUTS, &c->totals.objects, err);
    }
    if (st == ST_OK) {
        st = note_layouts(c, db, SQL_PART_ALL_LAYOUTS, &others, err);
    }
    if (st == ST_OK) {
        st = note_layouts(c, db, SQL_VERSION_LAYOUTS, &others, err);
    }
    if (st == ST_OK) {
        if (c->named.count > 0) {
            qsort(c->named.ids, c->named.count, sizeof c->named.ids[0], compare_ids);
        }
        st = compare_uses(c, db, &wrong, err);
    }
    if (st == ST_OK && b != NULL) {
        st = set_uses(c, b, &wrong, err);
    }
    if (st == ST_OK) {
        st = check_buckets(c, db, b, SQL_OBJECT_TOTALS, SQL_BUCKET_COUNT, "objects", err);
    }
    if (st == ST_OK) {
        st = check_buckets(c, db, b, SQL_VERSION_TOTALS, SQL_BUCKET_VERSION_COUNT, "versions", err);
    }
    if (st == ST_OK) {
        st = check_order(c, db, err);
    }
    ids_done(&wrong.extents);
    ids_done(&wrong.uses);
    return st;
}

struct fsck_task {
    struct task task;
    struct check *check;
};

static status_t repair_names(struct batch *b, struct task *task, struct error *err)
{
    status_t st = check_names(((struct fsck_task *)task)->check, b->db, b, err);
    return st;
}

static status_t look_at_names(struct check *c, struct error *err)
{
    struct db *db = NULL;
    if (c->repair) {
        struct fsck_task t = {.task = {.run = repair_names}, .check = c};
        return store_change(c->store, &t.task, err);
    }
    status_t st = store_reader(c->store, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_do(db, SQL_BEGIN_READ, err, "");
    if (st == ST_OK) {
        st = check_names(c, db, NULL, err);
        status_t ended = db_do(db, SQL_COMMIT, st == ST_OK ? err : NULL, "");
        st = st == ST_OK ? ended : st;
    }
    store_reader_back(c->store, db);
    return st;
}

/* What blocks of an extent are compared with. */
struct block_check {
    uint64_t id;
    uint64_t bytes;
    struct buf sums, tags;
    struct seal *seal; /* NULL: not encrypted, or it has no key */
};

static void block_check_done(struct block_check *k)
{
    buf_done(&k->sums);
    buf_done(&k->tags);
    seal_free(k->seal);
}

/* Without master keys only checksums are compared. */
static status_t find_key(struct check *c, struct db *db, struct block_check *k, struct error *err)
{
    struct sealed_key key = {0};
    struct error inner = {0};
    c->totals.encrypted++;
    if (c->store->crypt == NULL) {
        return ST_OK;
    }
    status_t st = keys_get(c->store, db, k->id, k->bytes, &key, &k->tags, &inner);
    if (st == ST_PERM || st == ST_CORRUPT || st == ST_UNSUPPORTED) {
        report(c, STORE_DAMAGE_KEY, k->id, 0, "%s", inner.text);
        return ST_OK;
    }
    if (st != ST_OK) {
        return error_set(err, st, inner.offset, "%s", inner.text);
    }
    st = seal_new(&k->seal, err);
    if (st == ST_OK) {
        st = seal_use(k->seal, k->id, key.key, false, err);
    }
    sealed_key_wipe(&key);
    return st;
}

/* Within one block; what is encrypted is decrypted in place. */
static void check_block(struct check *c, const struct block_check *k, uint64_t off, uint8_t *block,
                        size_t len)
{
    struct error inner = {0};
    status_t st = extent_verify(k->sums.data, k->sums.len, k->id, off, block, len, &inner);
    if (st == ST_OK && k->seal != NULL) {
        st = keys_open_blocks(k->seal, &k->tags, k->id, off, block, len, &inner);
    }
    if (st != ST_OK) {
        report(c, STORE_DAMAGE_BLOCK, k->id, off, "%s", inner.text);
    }
}

/* The bytes of one extent that is a file. */
static status_t check_file(struct check *c, const struct block_check *k, uint8_t *scratch,
                           struct error *err)
{
    uint64_t id = k->id, bytes = k->bytes;
    int fd = -1;
    struct error inner = {0};
    struct stat info;
    status_t st = extent_open(c->store, id, &fd, &inner);
    if (st == ST_CORRUPT) { /* unless it was dropped since its row was read */
        struct store_extent now = {0};
        bool lost = store_extent_get(c->store, id, &now, NULL) == ST_OK &&
                    (now.place & STORE_PLACE_AWAY) == 0 &&
                    extent_open_here(c->store, id, &fd, NULL) != ST_OK;
        /* who had recalled it is not known; the tier has it */
        bool in_tier = c->store->shared != NULL && (now.place & STORE_PLACE_REMOTE) != 0;
        if (lost && (in_tier || shared_elsewhere(c->store, id) != NULL)) {
            c->totals.away++;
        } else if (lost) {
            report(c, STORE_DAMAGE_MISSING, id, 0, "%s", inner.text);
        }
        buf_done(&now.sums);
        if (fd < 0) {
            return ST_OK;
        }
        st = ST_OK;
    }
    if (st != ST_OK) {
        return error_set(err, st, ERROR_NO_OFFSET, "%s", inner.text);
    }
    if (fstat(fd, &info) != 0 || (uint64_t)info.st_size != bytes) {
        report(c, STORE_DAMAGE_MISSING, id, (uint64_t)info.st_size,
               "extent %016llx has %lld bytes, not %llu", (unsigned long long)id,
               (long long)info.st_size, (unsigned long long)bytes);
        bytes = (uint64_t)info.st_size < bytes ? (uint64_t)info.st_size : bytes;
    }
    for (uint64_t off = 0; off < bytes && (st = look_for_end(c, err)) == ST_OK;) {
        size_t want = bytes - off < FSCK_READ_BYTES ? (size_t)(bytes - off) : FSCK_READ_BYTES;
        ssize_t got = pread(fd, scratch, want, (off_t)off);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != (ssize_t)want) { /* an unreadable place, or it was cut just now */
            report(c, STORE_DAMAGE_BLOCK, id, off, "extent %016llx cannot be read at byte %llu: %s",
                   (unsigned long long)id, (unsigned long long)off,
                   got < 0 ? strerror(errno) : "it ends");
            off += FSCK_READ_BYTES;
            continue;
        }
        for (size_t at = 0; at < want; at += STORE_BLOCK_BYTES) {
            size_t n = want - at < STORE_BLOCK_BYTES ? want - at : STORE_BLOCK_BYTES;
            check_block(c, k, off + at, scratch + at, n);
        }
        c->totals.bytes += want;
        off += want;
    }
    close(fd);
    return st;
}

static void check_inline(struct check *c, const struct block_check *k, struct buf *data)
{
    c->totals.bytes += data->len;
    if (data->len != k->bytes) {
        report(c, STORE_DAMAGE_BLOCK, k->id, 0, "bytes in a row are not as many as it says");
    } else {
        check_block(c, k, 0, data->data, data->len);
    }
}

static status_t check_extent(struct check *c, struct db *db, uint64_t id, uint8_t *scratch,
                             struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false, is_inline = false, away = false, encrypted = false;
    struct block_check k = {.id = id};
    struct buf data = {0};
    status_t st = db_start(db, SQL_EXTENT_GET, &statement, err, "i", id);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && row) {
        k.bytes = db_u64(statement, 0);
        is_inline = sqlite3_column_type(statement, 2) != SQLITE_NULL;
        away = (db_u64(statement, 3) & STORE_PLACE_AWAY) != 0;
        encrypted = db_u64(statement, 5) != 0;
        c->totals.extents++;
        c->totals.away += away;
        if (!column_blob(statement, 1, &k.sums) ||
            (is_inline && !column_blob(statement, 2, &data))) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    if (st == ST_OK && row && encrypted) {
        st = find_key(c, db, &k, err);
    }
    if (st == ST_OK && row && is_inline) {
        check_inline(c, &k, &data);
    }
    if (st == ST_OK && row && !is_inline && !away) {
        st = check_file(c, &k, scratch, err);
    }
    buf_done(&data);
    block_check_done(&k);
    return st;
}

/* The next extents behind `after` that are in use, pinned. */
static status_t pin_some(struct check *c, struct db *db, uint64_t after, struct ids *ret_ids,
                         struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = ST_OK;
    pthread_rwlock_rdlock(&c->store->names_lock);
    st = db_start(db, SQL_EXTENT_LIST, &statement, err, "i", after);
    while (st == ST_OK && ret_ids->count < EXTENTS_AT_ONCE &&
           (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        if (db_u64(statement, 1) == 0) {
            continue;
        }
        uint64_t id = db_u64(statement, 0);
        if (!pins_add(&c->store->pins, id)) {
            st = no_memory(err);
        } else if (!ids_add(ret_ids, id)) {
            bool ignored = pins_remove(&c->store->pins, id);
            (void)ignored;
            st = no_memory(err);
        }
    }
    db_end(statement);
    pthread_rwlock_unlock(&c->store->names_lock);
    return st;
}

static status_t check_extents(struct check *c, struct db *db, struct error *err)
{
    uint8_t *scratch = malloc(FSCK_READ_BYTES);
    struct ids some = {0};
    uint64_t after = 0;
    status_t st = scratch != NULL ? ST_OK : no_memory(err);
    do {
        some.count = 0;
        if (st == ST_OK) {
            st = pin_some(c, db, after, &some, err);
        }
        for (size_t i = 0; i < some.count; i++) {
            if (st == ST_OK) {
                st = look_for_end(c, err);
            }
            if (st == ST_OK) {
                st = check_extent(c, db, some.ids[i], scratch, err);
            }
            if (pins_remove(&c->store->pins, some.ids[i])) {
                store_extent_gone(c->store, some.ids[i]);
            }
            after = some.ids[i];
        }
    } while (st == ST_OK && some.count > 0);
    ids_done(&some);
    free(scratch);
    return st;
}

struct orphans {
    struct check *check;
    struct db *db;
    int folder;
    unsigned number;
};

static status_t check_orphan(void *arg, const char *name, struct error *err)
{
    struct orphans *o = arg;
    struct store *s = o->check->store;
    uint64_t id = orphan_number(name, o->number);
    bool is = false, goes = id != 0 && atomic_load(&s->sweeps);
    if (goes || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return ST_OK;
    }
    status_t st = orphan_look(s, o->db, o->folder, name, id, false, &is, err);
    if (st != ST_OK || !is) {
        return st;
    }
    report(o->check, STORE_DAMAGE_ORPHAN, id, 0, "nothing names data/%02x/%.100s", o->number, name);
    if (o->check->repair) { /* who was told may have recalled it since */
        st = orphan_look(s, o->db, o->folder, name, id, true, &is, err);
        o->check->totals.repaired += is;
    }
    return st;
}

static status_t check_folders(struct check *c, struct db *db, struct error *err)
{
    status_t st = ST_OK;
    for (unsigned i = 0; i < ORPHAN_FOLDERS && st == ST_OK && (st = look_for_end(c, err)) == ST_OK;
         i++) {
        struct orphans o = {.check = c, .db = db, .number = i};
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        o.folder = openat(c->store->data_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (o.folder < 0) {
            return error_set_errno(err, errno, "%s/data/%s", c->store->path, name);
        }
        st = folder_each(o.folder, name, check_orphan, &o, err);
        close(o.folder);
    }
    return st;
}

status_t store_fsck(struct store *s, bool repair,
                    void (*found)(void *arg, const struct store_finding *finding),
                    bool (*goes_on)(void *arg), void *arg, struct store_fsck *ret_fsck,
                    struct error *err)
{
    struct check c = {.store = s, .repair = repair, .found = found, .goes_on = goes_on, .arg = arg};
    struct db *db = NULL;
    if (atomic_exchange(&s->checked, true)) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the store is being checked already");
    }
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        atomic_store(&s->checked, false);
        return st;
    }
    st = look_at_names(&c, err);
    if (st == ST_OK) {
        st = check_extents(&c, db, err);
    }
    if (st == ST_OK) {
        st = check_folders(&c, db, err);
    }
    store_reader_back(s, db);
    atomic_store(&s->checked, false);
    ids_done(&c.named);
    if (st == ST_OK) {
        *ret_fsck = c.totals;
    }
    return st;
}
