#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "row.h"
#include "sharing.h"
#include "sys/files.h"
#include "use.h"

enum { PER_CHANGE = 512 };

void store_set_copies(struct store *s, const struct store_copies *copies)
{
    s->copies = *copies;
}

/* One change of rows; what it needs is set by who makes it. */
struct copy_task {
    struct task task;
    uint64_t node, extent, nonce;
    const char *key, *name;
    enum store_node_state state;
    const struct store_copy *list;
    size_t count;
    uint64_t id;
};

static status_t not_there(uint64_t id, struct error *err)
{
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "extent %016llx is not there any more",
                     (unsigned long long)id);
}

/* The first row of a statement; *ret_row: there is one. For db_end. */
static status_t first_row(struct db *db, sqlite3_stmt *statement, status_t st, bool *ret_row,
                          struct error *err)
{
    return st == ST_OK ? db_next(db, statement, ret_row, err) : st;
}

static status_t find_node(struct batch *b, struct copy_task *t, bool *ret_found, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    status_t st = db_start(b->db, SQL_NODE_FIND, &statement, err, "t", t->key);
    st = first_row(b->db, statement, st, ret_found, err);
    if (st == ST_OK && *ret_found) {
        t->id = db_u64(statement, 0);
        t->state = (enum store_node_state)db_u64(statement, 1);
    }
    db_end(statement);
    return st;
}

static status_t count_nodes(struct batch *b, size_t *ret_count, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    status_t st = db_start(b->db, SQL_NODE_LIST, &statement, err, "i", (uint64_t)STORE_NODES_MAX);
    while (st == ST_OK && (st = db_next(b->db, statement, &row, err)) == ST_OK && row) {
        count++;
    }
    db_end(statement);
    *ret_count = count;
    return st;
}

static status_t check_name(struct batch *b, const struct copy_task *t, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(b->db, SQL_NODE_NAMED, &statement, err, "tt", t->name, t->key);
    st = first_row(b->db, statement, st, &row, err);
    db_end(statement);
    return st == ST_OK && row
               ? error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                           "another node has the name \"%s\": choose one with --name, or have it "
                           "forgotten (cloudskin tier --forget)",
                           t->name)
               : st;
}

static status_t join(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    bool found = false;
    size_t count = 0;
    status_t st = find_node(b, t, &found, err);
    if (st == ST_OK) {
        st = check_name(b, t, err);
    }
    if (st == ST_OK && !found && (st = count_nodes(b, &count, err)) == ST_OK &&
        count == STORE_NODES_MAX) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a store has at most %d nodes",
                       STORE_NODES_MAX);
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_NODE_JOIN, err, "tti", t->key, t->name, b->now_ns);
    }
    return st == ST_OK && !found ? find_node(b, t, &found, err) : st;
}

static bool is_key(const char *key)
{
    return strlen(key) == STORE_NODE_KEY_BYTES - 1 &&
           strspn(key, "0123456789abcdef") == STORE_NODE_KEY_BYTES - 1;
}

/* It is shown to people, and typed by them. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= STORE_NODE_NAME_MAX &&
           strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") == len;
}

status_t store_node_join(struct store *s, const char *key, const char *name, uint64_t *ret_id,
                         enum store_node_state *ret_state, struct error *err)
{
    struct copy_task t = {.task = {.run = join}, .key = key, .name = name};
    if (!is_key(key) || !is_name(name)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "a node's name has 1 to %d letters, digits, '.', '_' or '-'",
                         STORE_NODE_NAME_MAX);
    }
    status_t st = store_change(s, &t.task, err);
    if (st == ST_OK) {
        *ret_id = t.id;
        *ret_state = t.state;
    }
    return st;
}

status_t store_nodes(struct store *s, struct store_node *ret_list, size_t *ret_count,
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
    st = db_start(db, SQL_NODE_LIST, &statement, err, "i", (uint64_t)STORE_NODES_MAX);
    while (st == ST_OK && count < STORE_NODES_MAX &&
           (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        struct store_node *n = &ret_list[count++];
        *n = (struct store_node){.id = db_u64(statement, 0),
                                 .joined_ns = db_u64(statement, 3),
                                 .seen_ns = db_u64(statement, 4),
                                 .state = (enum store_node_state)db_u64(statement, 5)};
        column_text(statement, 1, n->key, sizeof n->key);
        column_text(statement, 2, n->name, sizeof n->name);
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

static status_t seen(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    return db_do(b->db, SQL_NODE_SEEN, err, "ii", t->node, b->now_ns);
}

status_t store_node_seen(struct store *s, uint64_t node, struct error *err)
{
    struct copy_task t = {.task = {.run = seen}, .node = node};
    return store_change(s, &t.task, err);
}

static status_t set_state(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    return db_do(b->db, SQL_NODE_STATE, err, "ii", t->node, (uint64_t)t->state);
}

/* Of some extents. */
static status_t recount(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    status_t st = ST_OK;
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        uint64_t extent = t->list[i].extent;
        if (t->state == STORE_NODE_COUNTS) {
            st = db_do(b->db, SQL_COPY_SURPLUS, err, "ii", t->node, extent);
        }
        if (st == ST_OK) {
            st = db_do(b->db, SQL_COPY_COUNT, err, "i", extent);
        }
    }
    return st;
}

static status_t forget_copies(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    status_t st = db_do(b->db, SQL_NODE_FORGET_COPIES, err, "iii", t->node, t->list[0].extent,
                        t->list[t->count - 1].extent);
    return st == ST_OK ? recount(b, task, err) : st;
}

/* For all copies of a node, some in each change. */
static status_t for_copies(struct store *s, struct copy_task *t, struct error *err)
{
    struct store_copy *list = malloc(PER_CHANGE * sizeof *list), after = {0};
    size_t count = PER_CHANGE;
    status_t st = list != NULL ? ST_OK : no_memory(err);
    while (st == ST_OK && count == PER_CHANGE) {
        st = store_node_copies(s, t->node, &after, PER_CHANGE, list, &count, err);
        if (st == ST_OK && count > 0) {
            after = list[count - 1];
            t->list = list;
            t->count = count;
            st = store_change(s, &t->task, err);
        }
    }
    free(list);
    return st;
}

status_t store_node_set_state(struct store *s, uint64_t node, enum store_node_state state,
                              struct error *err)
{
    struct copy_task t = {.task = {.run = set_state}, .node = node, .state = state};
    status_t st = store_change(s, &t.task, err);
    t.task.run = recount;
    return st == ST_OK ? for_copies(s, &t, err) : st;
}

static status_t forget(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    status_t st = db_do(b->db, SQL_NODE_FORGET_COPIES, err, "iii", t->node, (uint64_t)0,
                        (uint64_t)INT64_MAX); /* those that were to be removed */
    return st == ST_OK ? db_do(b->db, SQL_NODE_FORGET, err, "i", t->node) : st;
}

status_t store_node_forget(struct store *s, uint64_t node, struct error *err)
{
    struct copy_task t = {.task = {.run = set_state}, .node = node, .state = STORE_NODE_LEAVING};
    status_t st = store_change(s, &t.task, err); /* none is added to it that would count */
    t.task.run = forget_copies;
    if (st == ST_OK) {
        st = for_copies(s, &t, err);
    }
    t.task.run = forget;
    return st == ST_OK ? store_change(s, &t.task, err) : st;
}

status_t store_node_copies(struct store *s, uint64_t node, const struct store_copy *after,
                           size_t max, struct store_copy *ret_list, size_t *ret_count,
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
    st = db_start(db, SQL_NODE_COPIES, &statement, err, "iiii", node, after->extent, after->nonce,
                  (uint64_t)max);
    while (st == ST_OK && count < max && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        ret_list[count++] = (struct store_copy){.extent = db_u64(statement, 0),
                                                .nonce = db_u64(statement, 1),
                                                .bytes = db_u64(statement, 2)};
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

static void take_copy_at(sqlite3_stmt *row, void *list, size_t at)
{
    ((struct store_copy_at *)list)[at] = (struct store_copy_at){.node = db_u64(row, 0),
                                                                .nonce = db_u64(row, 1)};
}

status_t store_copies_of(struct store *s, uint64_t extent, size_t max,
                         struct store_copy_at *ret_list, size_t *ret_count, struct error *err)
{
    return store_rows(s, SQL_COPY_OF, extent, max, take_copy_at, ret_list, ret_count, err);
}

status_t store_copy_nonce(uint64_t *ret_nonce, struct error *err)
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

static status_t add(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    status_t st = db_do(b->db, SQL_COPY_ADD, err, "iii", t->node, t->extent, t->nonce);
    if (st == ST_OK && sqlite3_changes64(b->db->handle) == 0) {
        return not_there(t->extent, err);
    }
    return st == ST_OK ? db_do(b->db, SQL_COPY_COUNT, err, "i", t->extent) : st;
}

status_t store_copy_add(struct store *s, uint64_t node, uint64_t extent, uint64_t nonce,
                        struct error *err)
{
    struct copy_task t = {.task = {.run = add}, .node = node, .extent = extent, .nonce = nonce};
    return store_change(s, &t.task, err);
}

static status_t bad(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    status_t st = db_do(b->db, SQL_COPY_GONE, err, "iii", t->node, t->extent, t->nonce);
    return st == ST_OK ? db_do(b->db, SQL_COPY_COUNT, err, "i", t->extent) : st;
}

status_t store_copy_bad(struct store *s, uint64_t node, uint64_t extent, uint64_t nonce,
                        struct error *err)
{
    struct copy_task t = {.task = {.run = bad}, .node = node, .extent = extent, .nonce = nonce};
    return store_change(s, &t.task, err);
}

status_t store_copies_extra(struct store *s, uint64_t extent, uint64_t *ret_count,
                            struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_COPY_EXTRA, &statement, err, "i", extent);
    st = first_row(db, statement, st, &row, err);
    if (st == ST_OK) {
        *ret_count = row ? db_u64(statement, 0) : 0;
    }
    db_end(statement);
    store_reader_back(s, db);
    return st;
}

static status_t trim(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    return db_do(b->db, SQL_COPY_TRIM, err, "i", t->extent);
}

status_t store_copies_trim(struct store *s, uint64_t extent, struct error *err)
{
    struct copy_task t = {.task = {.run = trim}, .extent = extent};
    return store_change(s, &t.task, err);
}

static void take_copy(sqlite3_stmt *row, void *list, size_t at)
{
    ((struct store_copy *)list)[at] = (struct store_copy){.extent = db_u64(row, 0),
                                                          .nonce = db_u64(row, 1)};
}

status_t store_copies_to_remove(struct store *s, uint64_t node, size_t max,
                                struct store_copy *ret_list, size_t *ret_count, struct error *err)
{
    return store_rows(s, SQL_COPY_TO_REMOVE, node, max, take_copy, ret_list, ret_count, err);
}

static status_t removed(struct batch *b, struct task *task, struct error *err)
{
    struct copy_task *t = (struct copy_task *)task;
    status_t st = ST_OK;
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_COPY_REMOVED, err, "iii", t->node, t->list[i].extent,
                   t->list[i].nonce);
    }
    return st;
}

status_t store_copies_removed(struct store *s, uint64_t node, const struct store_copy *list,
                              size_t count, struct error *err)
{
    struct copy_task t = {
        .task = {.run = removed, .frees = true}, .node = node, .list = list, .count = count};
    return count > 0 ? store_change(s, &t.task, err) : ST_OK;
}

static void take_lacking(sqlite3_stmt *row, void *list, size_t at)
{
    ((struct store_lacking *)list)[at] = (struct store_lacking){
        .id = db_u64(row, 0), .bytes = db_u64(row, 1), .lacks = db_u64(row, 2)};
}

status_t store_copies_lacking(struct store *s, uint64_t after, size_t max,
                              struct store_lacking *ret_list, size_t *ret_count, struct error *err)
{
    return store_rows(s, SQL_COPY_LACKING, after, max, take_lacking, ret_list, ret_count, err);
}

status_t store_copies_surplus(struct store *s, uint64_t after, size_t max, uint64_t *ret_ids,
                              size_t *ret_count, struct error *err)
{
    return store_rows(s, SQL_COPY_MANY, after, max, store_take_id, ret_ids, ret_count, err);
}

status_t store_copies_totals(struct store *s, uint64_t *ret_count, uint64_t *ret_bytes,
                             struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_COPY_TOTALS, &statement, err, "");
    st = first_row(db, statement, st, &row, err);
    if (st == ST_OK && row) {
        *ret_count = db_u64(statement, 0);
        *ret_bytes = db_u64(statement, 1);
    }
    db_end(statement);
    store_reader_back(s, db);
    return st;
}

/* Reading. */

bool copies_have(struct store *s, uint64_t id)
{
    struct store_copy_at one;
    size_t count = 0;
    return s->copies.read != NULL && store_copies_of(s, id, 1, &one, &count, NULL) == ST_OK &&
           count > 0;
}

status_t copies_read(struct store *s, const struct store_extent *extent, uint64_t off, void *data,
                     size_t len, bool *waits, struct error *err)
{
    if (waits != NULL) {
        *waits = true;
        return error_set(err, ST_AGAIN, off, "these bytes have to be waited for");
    }
    return s->copies.read(s->copies.arg, extent, off, data, len, err);
}

void copies_damaged(struct store *s, uint64_t id)
{
    s->copies.damaged(s->copies.arg, id);
}

void copies_written(struct store *s, const uint64_t *ids, size_t count)
{
    if (s->copies.written != NULL && count > 0) {
        s->copies.written(s->copies.arg, ids, count);
    }
}

/* Its file stays until store_extent_release. */
static status_t pin(struct store *s, uint64_t id, struct error *err)
{
    pthread_rwlock_rdlock(&s->names_lock);
    bool pinned = pins_add(&s->pins, id);
    pthread_rwlock_unlock(&s->names_lock);
    return pinned ? ST_OK : no_memory(err);
}

/* Of one that is in use and has local bytes. */
static status_t get_local(struct store *s, uint64_t id, struct store_extent *ret_extent,
                          struct error *err)
{
    struct store_extent x = {0};
    status_t st = store_extent_get(s, id, &x, err);
    if (st == ST_OK && (x.uses == 0 || x.is_inline || (x.place & STORE_PLACE_AWAY) != 0)) {
        buf_done(&x.sums);
        st = not_there(id, err);
    }
    if (st == ST_OK) {
        *ret_extent = x;
    }
    return st;
}

status_t store_copy_hold(struct store *s, uint64_t id, struct store_extent *ret_extent, int *ret_fd,
                         struct error *err)
{
    struct store_extent x = {0};
    status_t st = pin(s, id, err);
    if (st != ST_OK) {
        return st;
    }
    st = get_local(s, id, &x, err);
    if (st == ST_OK) {
        st = extent_open_here(s, id, ret_fd, err);
        if (st == ST_CORRUPT && (x.place & STORE_PLACE_REMOTE) == 0 && !copies_have(s, id) &&
            shared_elsewhere(s, id) != NULL) {
            st = not_there(id, err); /* here: it is not lost */
        }
    }
    if (st != ST_OK) {
        buf_done(&x.sums);
        store_extent_release(s, id);
        return st;
    }
    *ret_extent = x;
    return ST_OK;
}

static status_t fetch(struct store *s, const struct store_extent *x, int fd, struct error *err)
{
    int code = x->bytes > 0 ? posix_fallocate(fd, 0, (off_t)x->bytes) : 0;
    if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
        return error_set_errno(err, code, "space for an extent");
    }
    uint8_t *piece = malloc(STORE_PIECE_BYTES);
    status_t st = piece != NULL ? ST_OK : no_memory(err);
    for (uint64_t off = 0; off < x->bytes && st == ST_OK; off += STORE_PIECE_BYTES) {
        size_t n = x->bytes - off < STORE_PIECE_BYTES ? (size_t)(x->bytes - off)
                                                      : STORE_PIECE_BYTES;
        st = copies_read(s, x, off, piece, n, NULL, err);
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

/* A start removes files of this name. What a rename that failed left in `new` must not come back over the good one. */
static status_t replace(struct store *s, const struct store_extent *x, struct error *err)
{
    char name[EXTENT_NAME_BYTES], to[EXTENT_NAME_BYTES], left[EXTENT_NAME_BYTES];
    snprintf(name, sizeof name, "c%016llx", (unsigned long long)x->id);
    extent_name(x->id, to);
    extent_new_name(x->id, left);
    int ignored = unlinkat(s->new_fd, name, 0);
    int fd = openat(s->new_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "new extent");
    }
    status_t st = fetch(s, x, fd, err);
    close(fd);
    if (st == ST_OK && renameat(s->new_fd, name, s->data_fd, to) != 0) {
        st = error_set_errno(err, errno, "extent %016llx", (unsigned long long)x->id);
    }
    ignored = unlinkat(s->new_fd, st == ST_OK ? left : name, 0);
    (void)ignored;
    return st;
}

status_t store_extent_restore(struct store *s, uint64_t id, struct error *err)
{
    struct store_extent x = {0};
    pthread_mutex_t *lock = &s->recall_locks[id % RECALL_LOCKS];
    if (s->copies.read == NULL) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "the store has no nodes");
    }
    status_t st = pin(s, id, err);
    if (st != ST_OK) {
        return st;
    }
    pthread_mutex_lock(lock);
    st = get_local(s, id, &x, err);
    if (st == ST_OK) {
        st = replace(s, &x, err);
        uses_gone(s, id, false); /* the former file */
    }
    pthread_mutex_unlock(lock);
    buf_done(&x.sums);
    store_extent_release(s, id);
    return st;
}
