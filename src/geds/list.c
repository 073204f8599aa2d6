#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "names.h"
#include "row.h"

enum { EACH_PAGE = 256 };

struct page {
    struct store_page page; /* first, so that a pointer to it is one to the whole */
    struct arena arena;
    size_t cap;
};

void store_page_free(struct store_page *page)
{
    if (page != NULL) {
        struct page *p = (struct page *)page;
        arena_done(&p->arena);
        free(p->page.entries);
        free(p);
    }
}

static status_t add(struct page *p, const char *key, size_t len, const struct store_info *info,
                    struct error *err)
{
    if (p->page.count == p->cap) {
        size_t cap = p->cap != 0 ? 2 * p->cap : 64;
        struct store_entry *grown = realloc(p->page.entries, cap * sizeof *grown);
        if (grown == NULL) {
            return no_memory(err);
        }
        p->page.entries = grown;
        p->cap = cap;
    }
    struct store_entry entry = {.key = arena_strndup(&p->arena, key, len),
                                .is_prefix = info == NULL};
    if (entry.key == NULL) {
        return no_memory(err);
    }
    if (info != NULL) {
        entry.info = *info;
    }
    p->page.entries[p->page.count++] = entry;
    return ST_OK;
}

struct walk {
    struct page *page;
    struct bucket_ref bucket;
    const char *prefix;
    const char *delimiter;
    const char *start_after;
    size_t max;
    char at[STORE_KEY_MAX + 2]; /* keys from here on are looked at */
    size_t at_len;
    char end[STORE_KEY_MAX + 1]; /* and below here */
    size_t end_len;
    bool has_end;
};

/* Go on behind all keys that begin as the first len bytes of key; false: nothing is there. */
static bool skip(struct walk *w, const char *key, size_t len)
{
    char common[STORE_KEY_MAX + 1];
    memcpy(common, key, len);
    common[len] = '\0';
    return prefix_end(common, w->at, &w->at_len);
}

/* The layout of a column, which is looked at where it is. */
static bool is_sealed(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    const struct buf layout = {.data = (uint8_t *)(uintptr_t)data,
                               .len = (size_t)sqlite3_column_bytes(statement, column)};
    return data != NULL && layout_is_sealed(&layout);
}

/* Look at objects until the page is full (*ret_more), the end is reached, or a common beginning
 * is to be skipped (*ret_again: walk once more, from w->at). */
static status_t walk_once(struct walk *w, struct db *db, bool *ret_again, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *ret_again = false;
    status_t st = db_start(db, SQL_OBJECT_LIST, &statement, err, w->has_end ? "ibb" : "ibn",
                           w->bucket.id, w->at, w->at_len, w->end, w->end_len);
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        const char *key = sqlite3_column_blob(statement, 0);
        size_t len = (size_t)sqlite3_column_bytes(statement, 0);
        if (key == NULL || len > STORE_KEY_MAX) {
            st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "a key of %zu bytes", len);
            break;
        }
        size_t common = common_len(w->prefix, w->delimiter, key, len);
        bool seen = common > 0 && strncmp(key, w->start_after, common) == 0 &&
                    strlen(w->start_after) >= common;
        if (!seen && w->page->page.count == w->max) {
            w->page->page.more = true;
            break;
        }
        if (common > 0) {
            st = seen ? ST_OK : add(w->page, key, common, NULL, err);
            *ret_again = skip(w, key, common);
            break;
        }
        struct store_info info = {.size = db_u64(statement, 1),
                                  .modified_ns = db_u64(statement, 2),
                                  .encrypted = is_sealed(statement, 4)};
        column_text(statement, 3, info.etag, sizeof info.etag);
        st = add(w->page, key, len, &info, err);
    }
    db_end(statement);
    return st;
}

static status_t walk(struct walk *w, struct db *db, const char *bucket, struct error *err)
{
    size_t prefix_len = strlen(w->prefix), after_len = strlen(w->start_after);
    if (prefix_len > STORE_KEY_MAX) {
        return bucket_find(db, bucket, &w->bucket, err); /* no key begins so */
    }
    w->has_end = prefix_end(w->prefix, w->end, &w->end_len);
    if (strcmp(w->start_after, w->prefix) >= 0 && after_len > 0) {
        /* the next key in the order of bytes; a longer one than keys can be is cut to what is
         * behind the same keys */
        size_t len = after_len < STORE_KEY_MAX + 1 ? after_len : STORE_KEY_MAX + 1;
        memcpy(w->at, w->start_after, len);
        w->at[len] = '\0';
        w->at_len = len <= STORE_KEY_MAX ? len + 1 : len;
    } else {
        memcpy(w->at, w->prefix, prefix_len);
        w->at_len = prefix_len;
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

status_t store_list(struct store *s, const char *bucket, const struct store_list_query *query,
                    struct store_page **ret_page, struct error *err)
{
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        return no_memory(err);
    }
    struct walk w = {.page = page,
                     .prefix = query->prefix != NULL ? query->prefix : "",
                     .delimiter = query->delimiter != NULL ? query->delimiter : "",
                     .start_after = query->start_after != NULL ? query->start_after : "",
                     .max = query->max < STORE_LIST_MAX ? query->max : STORE_LIST_MAX};
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = walk(&w, db, bucket, err);
        store_reader_back(s, db);
    }
    if (st != ST_OK) {
        store_page_free(&page->page);
        return st;
    }
    *ret_page = &page->page;
    return ST_OK;
}

status_t store_each(struct store *s, const char *bucket, const char *prefix,
                    status_t (*each)(void *arg, const char *key, struct error *err), void *arg,
                    struct error *err)
{
    char *after = NULL;
    bool more = true;
    status_t st = ST_OK;
    while (more && st == ST_OK) {
        struct store_page *page = NULL;
        const struct store_list_query q = {
            .prefix = prefix, .start_after = after, .max = EACH_PAGE};
        st = store_list(s, bucket, &q, &page, err);
        free(after);
        after = NULL;
        if (st != ST_OK) {
            break;
        }
        for (size_t i = 0; i < page->count && st == ST_OK; i++) {
            st = each(arg, page->entries[i].key, err);
            st = st == ST_NOTFOUND ? ST_OK : st;
        }
        more = page->more && page->count > 0;
        if (st == ST_OK && more && (after = strdup(page->entries[page->count - 1].key)) == NULL) {
            st = no_memory(err);
        }
        store_page_free(page);
    }
    free(after);
    return st;
}
