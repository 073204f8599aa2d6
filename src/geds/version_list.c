#include <stdlib.h>

#include "base/arena.h"
#include "names.h"
#include "row.h"

struct versions {
    struct store_versions page; /* first, so that a pointer to it is one to the whole */
    struct arena arena;
    size_t cap;
};

void store_versions_free(struct store_versions *versions)
{
    if (versions != NULL) {
        struct versions *v = (struct versions *)versions;
        arena_done(&v->arena);
        free(v->page.entries);
        free(v);
    }
}

static status_t add(struct versions *v, const char *key, size_t len,
                    const struct store_version_entry *like, struct error *err)
{
    if (v->page.count == v->cap) {
        size_t cap = v->cap != 0 ? 2 * v->cap : 64;
        struct store_version_entry *grown = realloc(v->page.entries, cap * sizeof *grown);
        if (grown == NULL) {
            return no_memory(err);
        }
        v->page.entries = grown;
        v->cap = cap;
    }
    struct store_version_entry *entry = &v->page.entries[v->page.count];
    *entry = *like;
    entry->key = arena_strndup(&v->arena, key, len);
    if (entry->key == NULL) {
        return no_memory(err);
    }
    v->page.count++;
    return ST_OK;
}

struct walk {
    struct versions *versions;
    struct bucket_ref bucket;
    const struct store_version_query *query;
    const char *prefix;
    const char *delimiter;
    const char *marker;
    size_t max;
    char at[STORE_KEY_MAX + 2]; /* keys from here on are looked at */
    size_t at_len;
    char end[STORE_KEY_MAX + 1]; /* and below here */
    size_t end_len;
    bool has_end;
    char last[STORE_KEY_MAX + 1]; /* the key of the row before */
    size_t last_len;
    bool has_last;
};

static void read_entry(struct walk *w, sqlite3_stmt *statement, const char *key, size_t len,
                       struct store_version_entry *entry)
{
    bool same = w->has_last && w->last_len == len && memcmp(w->last, key, len) == 0;
    *entry = (struct store_version_entry){
        .latest = !same,
        .order = db_u64(statement, 1),
        .info = {.version = db_u64(statement, 2) != 0 ? db_u64(statement, 1) : STORE_VERSION_NULL,
                 .versioned = w->bucket.versioning != STORE_VERSIONING_OFF,
                 .marker = db_u64(statement, 3) != 0,
                 .size = db_u64(statement, 4),
                 .modified_ns = db_u64(statement, 5)}};
    column_text(statement, 6, entry->info.etag, sizeof entry->info.etag);
    memcpy(w->last, key, len);
    w->last_len = len;
    w->has_last = true;
}

/* Was this on an earlier page? */
static bool is_seen(const struct walk *w, const char *key, size_t len, uint64_t order)
{
    size_t marker_len = strlen(w->marker);
    return marker_len == len && memcmp(w->marker, key, len) == 0 && order >= w->query->order_marker;
}

/* One row. *ret_stop: the page is full, or (*ret_again) a common beginning is to be skipped. */
static status_t take(struct walk *w, sqlite3_stmt *statement, bool *ret_stop, bool *ret_again,
                     struct error *err)
{
    const char *key = sqlite3_column_blob(statement, 0);
    size_t len = (size_t)sqlite3_column_bytes(statement, 0);
    struct store_version_entry entry;
    if (key == NULL || len > STORE_KEY_MAX) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "a key of %zu bytes", len);
    }
    size_t common = common_len(w->prefix, w->delimiter, key, len);
    bool seen = common > 0 ? strlen(w->marker) >= common && strncmp(key, w->marker, common) == 0
                           : false;
    read_entry(w, statement, key, len, &entry);
    seen = seen || (common == 0 && is_seen(w, key, len, entry.order));
    if (!seen && w->versions->page.count == w->max) {
        w->versions->page.more = true;
        *ret_stop = true;
        return ST_OK;
    }
    if (common == 0) {
        return seen ? ST_OK : add(w->versions, key, len, &entry, err);
    }
    char beginning[STORE_KEY_MAX + 1];
    struct store_version_entry prefix = {.is_prefix = true};
    memcpy(beginning, key, common);
    beginning[common] = '\0';
    status_t st = seen ? ST_OK : add(w->versions, key, common, &prefix, err);
    *ret_again = prefix_end(beginning, w->at, &w->at_len);
    *ret_stop = true;
    return st;
}

static status_t walk_once(struct walk *w, struct db *db, bool *ret_again, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false, stop = false;
    *ret_again = false;
    w->has_last = false;
    status_t st = db_start(db, SQL_VERSION_LIST, &statement, err, w->has_end ? "ibb" : "ibn",
                           w->bucket.id, w->at, w->at_len, w->end, w->end_len);
    while (st == ST_OK && !stop && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        st = take(w, statement, &stop, ret_again, err);
    }
    db_end(statement);
    return st;
}

static status_t walk(struct walk *w, struct db *db, const char *bucket, struct error *err)
{
    size_t prefix_len = strlen(w->prefix), marker_len = strlen(w->marker);
    if (prefix_len > STORE_KEY_MAX) {
        return bucket_find(db, bucket, &w->bucket, err); /* no key begins so */
    }
    w->has_end = prefix_end(w->prefix, w->end, &w->end_len);
    bool by_marker = strcmp(w->marker, w->prefix) > 0;
    const char *from = by_marker ? w->marker : w->prefix;
    size_t from_len = by_marker ? marker_len : prefix_len;
    /* the marker's key from its newest version on, so that `latest` is right; none of it: the key behind it, and a
     * longer marker than keys can be is cut to what is behind the same keys */
    w->at_len = from_len < STORE_KEY_MAX + 1 ? from_len : STORE_KEY_MAX + 1;
    memcpy(w->at, from, w->at_len);
    w->at[w->at_len] = '\0';
    if (marker_len > 0 && strcmp(w->marker, from) == 0 && w->query->order_marker == 0 &&
        w->at_len <= STORE_KEY_MAX) {
        w->at_len++;
    }
    status_t st = db_do(db, SQL_BEGIN_READ, err, "");
    if (st != ST_OK) {
        return st;
    }
    st = bucket_find(db, bucket, &w->bucket, err);
    for (bool again = st == ST_OK; again && st == ST_OK;) {
        st = walk_once(w, db, &again, err);
    }
    status_t ended = db_do(db, SQL_COMMIT, st == ST_OK ? err : NULL, "");
    return st == ST_OK ? ended : st;
}

status_t store_version_list(struct store *s, const char *bucket,
                            const struct store_version_query *query,
                            struct store_versions **ret_versions, struct error *err)
{
    struct versions *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return no_memory(err);
    }
    struct walk w = {.versions = v,
                     .query = query,
                     .prefix = query->prefix != NULL ? query->prefix : "",
                     .delimiter = query->delimiter != NULL ? query->delimiter : "",
                     .marker = query->key_marker != NULL ? query->key_marker : "",
                     .max = query->max < STORE_LIST_MAX ? query->max : STORE_LIST_MAX};
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = walk(&w, db, bucket, err);
        store_reader_back(s, db);
    }
    if (st != ST_OK) {
        store_versions_free(&v->page);
        return st;
    }
    *ret_versions = &v->page;
    return ST_OK;
}
