#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "impl.h"
#include "place.h"
#include "sharing.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "use.h"

enum { CUT_WAIT_MS = 100 };

status_t queue_init(struct queue *q, struct error *err)
{
    int code = pthread_mutex_init(&q->lock, NULL);
    if (code == 0 && (code = pthread_cond_init(&q->filled, NULL)) != 0) {
        pthread_mutex_destroy(&q->lock);
    }
    q->last = &q->first;
    return code == 0 ? ST_OK : error_set_errno(err, code, "queue");
}

void queue_done(struct queue *q)
{
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
}

status_t store_change(struct store *s, struct task *task, struct error *err)
{
    if (sem_init(&task->answered, 0, 0) != 0) {
        return error_set_errno(err, errno, "semaphore");
    }
    task->next = NULL;
    struct queue *q = &s->queue;
    pthread_mutex_lock(&q->lock);
    *q->last = task;
    q->last = &task->next;
    pthread_mutex_unlock(&q->lock);
    pthread_cond_signal(&q->filled); /* not under the lock that the writer takes first */
    while (sem_wait(&task->answered) != 0) {
    }
    sem_destroy(&task->answered);
    for (size_t i = 0; i < task->dropped.count; i++) {
        store_extent_gone(s, task->dropped.ids[i]);
    }
    ids_done(&task->dropped);
    if (task->status != ST_OK && err != NULL) {
        *err = task->err;
    }
    return task->status;
}

/* An error that leaves the transaction as it was. */
static bool is_refusal(status_t st)
{
    return st == ST_NOTFOUND || st == ST_EXIST || st == ST_CHANGED || st == ST_INVAL ||
           st == ST_INVALID;
}

/* Files are named before the rows that name them: their folder is synced, they are already. */
static status_t sync_names(struct batch *b, struct error *err)
{
    if (b->placed.count + b->recalled.count == 0 || b->store->options.sync == STORE_SYNC_OFF ||
        file_sync(b->store->new_fd) == 0) {
        return ST_OK;
    }
    int errnum = errno;
    metrics_add(b->store->meter.failed_syncs, 1);
    atomic_store(&b->store->broken, true);
    return error_set_errno(err, errnum, "sync of the store's folder");
}

/* Rows of files that are gone. After a rollback they stay for the next start. */
static status_t forget_rows(struct batch *b, struct error *err)
{
    struct store *s = b->store;
    uint64_t ids[BATCH_TASKS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&s->pins.lock);
    while (count < BATCH_TASKS_MAX && s->forget.count > 0) {
        ids[count++] = s->forget.ids[--s->forget.count];
    }
    pthread_mutex_unlock(&s->pins.lock);
    status_t st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_EXTENT_FORGET, err, "i", ids[i]);
        if (st == ST_OK) {
            st = db_do(b->db, SQL_EXTENT_BURY, err, "i", ids[i]);
        }
    }
    return st == ST_OK ? place_settle(b, err) : st;
}

static void rollback(struct batch *b)
{
    b->placed.count = 0;
    b->dropped.count = 0;
    b->changes.count = 0;
    b->evicted.count = 0;
    b->recalled.count = 0;
    b->warm.count = 0;
    store_rollback(b->store);
}

status_t store_begin(struct store *s, struct error *err)
{
    status_t st = shared_begin(s, err);
    return st == ST_OK ? db_do(s->writer_db, SQL_BEGIN_WRITE, err, "") : st;
}

void store_rollback(struct store *s)
{
    shared_end(s, false); /* first: it might end the rollback, too */
    if (sqlite3_get_autocommit(s->writer_db->handle) == 0) {
        status_t ignored = db_do(s->writer_db, SQL_ROLLBACK, NULL, "");
        (void)ignored;
    }
}

/* What is in the log of several controllers has happened, so a commit that fails behind that leaves a store that is
 * behind: the next open of it catches up. */
status_t store_commit(struct store *s, const struct changes *changes, struct error *err)
{
    status_t st = shared_append(s, err);
    if (st == ST_OK) {
        leases_begin(&s->leases, changes);
        st = db_do(s->writer_db, SQL_COMMIT, err, "");
        if (st != ST_OK && (shared_is_ahead(s) || !db_wrote_nothing(s->writer_db))) {
            metrics_add(s->meter.failed_syncs, 1);
            atomic_store(&s->broken, true);
        }
        leases_end(&s->leases, changes);
        if (st != ST_OK && shared_is_ahead(s)) {
            shared_failed(s);
            st = error_set(err, ST_IO, ERROR_NO_OFFSET,
                           "the change is made, but this controller could not write it down");
        }
    } else if (shared_is_ahead(s)) {
        atomic_store(&s->broken, true);
    }
    if (st == ST_OK) {
        shared_end(s, true);
    }
    return st;
}

/* Nobody trusts what he knows of these names from before the commit, whoever sees it first, until
 * after it, before it is answered (leases). */
static status_t commit(struct batch *b, struct error *err)
{
    uint64_t began_ns = clock_monotonic_ns();
    status_t st = sync_names(b, err);
    if (st != ST_OK) {
        shared_failed(b->store); /* the disk of another one may be better */
        return st;
    }
    st = store_commit(b->store, &b->changes, err);
    if (st == ST_OK) {
        metrics_observe(b->store->meter.commit_seconds, clock_monotonic_ns() - began_ns);
    }
    return st;
}

static bool run_all(struct batch *b, struct task *first, struct error *err)
{
    size_t changes = 0;
    status_t st = store_begin(b->store, err);
    b->now_ns = clock_realtime_ns();
    if (st == ST_OK) {
        st = forget_rows(b, err);
    }
    for (struct task *t = first; t != NULL && st == ST_OK; t = t->next) {
        t->dropped_at = b->dropped.count;
        t->status = t->run(b, t, &t->err);
        t->dropped_count = b->dropped.count - t->dropped_at;
        if (t->status != ST_OK && !is_refusal(t->status)) {
            st = t->status;
            *err = t->err;
        }
        changes += t->status == ST_OK;
    }
    if (st == ST_OK) {
        st = commit(b, err);
    }
    if (st != ST_OK) {
        rollback(b);
        return false;
    }
    events_add(&b->store->events, &b->store->leases, &b->changes, b->now_ns);
    atomic_fetch_add(&b->store->batches, 1);
    atomic_fetch_add(&b->store->changes, changes);
    metrics_observe(b->store->meter.changes, changes);
    return true;
}

/* Files leave the folder that the next start has to look through. One that cannot is found
 * there, too. */
static void place_files(struct batch *b)
{
    for (size_t i = 0; i < b->placed.count; i++) {
        char from[EXTENT_NAME_BYTES], to[EXTENT_NAME_BYTES];
        extent_new_name(b->placed.ids[i], from);
        extent_name(b->placed.ids[i], to);
        int ignored = renameat(b->store->new_fd, from, b->store->data_fd, to);
        (void)ignored;
    }
    for (size_t i = 0; i < b->recalled.count; i++) {
        char from[EXTENT_NAME_BYTES], to[EXTENT_NAME_BYTES];
        extent_recall_name(b->recalled.ids[i], from);
        extent_name(b->recalled.ids[i], to);
        int ignored = renameat(b->store->new_fd, from, b->store->data_fd, to);
        (void)ignored;
    }
}

/* Whoever looks at names from now on finds none that leads to what was dropped: what nobody reads any more is its
 * task's to remove, but for a full disk, whose reserve needs the space next. A file that cannot be removed is tried
 * again at the next start, since its row stays. */
static void give_dropped(struct batch *b, struct task *first)
{
    struct store *s = b->store;
    if (b->dropped.count == 0) {
        return;
    }
    size_t left = 0; /* here: there is no memory to give them away, either */
    pthread_rwlock_wrlock(&s->names_lock);
    for (struct task *t = first; t != NULL; t = t->next) {
        for (size_t i = 0; i < t->dropped_count; i++) {
            uint64_t id = b->dropped.ids[t->dropped_at + i];
            if (pins_drop(&s->pins, id) && (!s->has_reserve || !ids_add(&t->dropped, id))) {
                b->dropped.ids[left++] = id; /* those in front were looked at */
            }
        }
    }
    pthread_rwlock_unlock(&s->names_lock);
    for (size_t i = 0; i < left; i++) {
        store_extent_gone(s, b->dropped.ids[i]);
    }
}

void store_keep_reserve(struct store *s)
{
    s->has_reserve = posix_fallocate(s->reserve_fd, 0, RESERVE_BYTES) == 0;
    if (!s->has_reserve) {
        int ignored = file_cut(s->reserve_fd, 0); /* a part of it is of no use */
        (void)ignored;
    }
}

/* Give back the log's space, as far as no reader needs it. */
static void cut_log(struct db *db)
{
    sqlite3_busy_timeout(db->handle, CUT_WAIT_MS);
    sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db->handle, DB_WAIT_MS);
}

/* Run the changes; on a full disk once more when the log's space was given back, and a change that
 * gives space back once more with the reserve. */
static bool run_with_room(struct batch *b, struct task *first, struct error *err)
{
    struct store *s = b->store;
    if (run_all(b, first, err)) {
        return true;
    }
    if (err->code != ST_LIMIT || atomic_load(&s->broken) || shared_is_too_much(s)) {
        return false;
    }
    cut_log(b->db);
    if (run_all(b, first, err)) {
        return true;
    }
    bool frees = first != NULL && first->next == NULL && first->frees;
    if (err->code != ST_LIMIT || !frees || !s->has_reserve) {
        return false;
    }
    s->has_reserve = file_cut(s->reserve_fd, 0) != 0;
    return run_all(b, first, err);
}

static void fail_all(struct store *s, struct task *first, const struct error *err)
{
    for (struct task *t = first; t != NULL; t = t->next) {
        t->status = err->code;
        t->err = *err;
        metrics_add(s->meter.failed_commits, 1);
    }
}

static void run_batch(struct store *s, struct task *first)
{
    struct batch b = {.store = s, .db = s->writer_db};
    struct error err = {0};
    if (atomic_load(&s->broken)) {
        error_set(&err, ST_IO, ERROR_NO_OFFSET,
                  s->shared != NULL
                      ? "the store takes no changes until a controller has opened it again"
                      : "the store takes no changes after a failed sync; open it again");
        fail_all(s, first, &err);
        return;
    }
    if (run_with_room(&b, first, &err)) {
        place_files(&b);
        uses_written(&b);
        give_dropped(&b, first);
        place_evict(&b);
        if (!s->has_reserve) {
            cut_log(s->writer_db);
            store_keep_reserve(s);
        }
        for (const struct task *t = first; t != NULL; t = t->next) {
            if (t->status == ST_OK && !t->frees) {
                store_note_space(s, ST_OK);
                break;
            }
        }
    } else if (s->shared != NULL && (err.code == ST_MOVED || atomic_load(&s->broken))) {
        fail_all(s, first, &err); /* it may have happened, so nothing is tried again */
    } else if (first != NULL && first->next != NULL) {
        for (struct task *t = first, *next; t != NULL;
             t = next) { /* so that one harms itself only */
            next = t->next;
            t->next = NULL;
            run_batch(s, t);
            t->next = next;
        }
    } else if (first != NULL) {
        first->status = err.code;
        first->err = err;
        metrics_add(s->meter.failed_commits, 1);
        if (!shared_is_too_much(s)) {
            store_note_space(s, err.code);
        }
    }
    ids_done(&b.placed);
    ids_done(&b.dropped);
    changes_done(&b.changes);
    ids_done(&b.evicted);
    ids_done(&b.recalled);
    ids_done(&b.warm);
}

/* Take what waits, at most a batch; NULL: the end. */
static struct task *take(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->first == NULL && !q->stop) {
        pthread_cond_wait(&q->filled, &q->lock);
    }
    struct task *first = q->first, **link = &q->first;
    for (size_t i = 0; i < BATCH_TASKS_MAX && *link != NULL; i++) {
        link = &(*link)->next;
    }
    q->first = *link;
    *link = NULL;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    pthread_mutex_unlock(&q->lock);
    return first;
}

void *store_writer(void *arg)
{
    struct store *s = arg;
    for (struct task *first = take(&s->queue); first != NULL; first = take(&s->queue)) {
        run_batch(s, first);
        for (struct task *t = first, *next; t != NULL; t = next) {
            next = t->next; /* the task is its owner's again at once */
            sem_post(&t->answered);
        }
    }
    run_batch(s, NULL);
    return NULL;
}
