#ifndef GEDS_IMPL_H
#define GEDS_IMPL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/hash.h"
#include "changes.h"
#include "db.h"
#include "events.h"
#include "geds/copies.h"
#include "geds/uses.h"
#include "leases.h"
#include "meter.h"
#include "pins.h"

/* Lock order: one of append_locks, one of recall_locks, then queue.lock, then names_lock, then pins.lock;
 * readers_lock alone; the lock of crypt (keys.c) last, as is that of who has the hooks of uses. */

enum {
    EXTENT_NAME_BYTES = 24, /* "hh/hhhhhhhhhhhhhhhh" with NUL */
    BATCH_TASKS_MAX = 256,
    RESERVE_BYTES = 1024 * 1024,
    READERS_IDLE_MAX = 16,
    APPEND_LOCKS = 64,
    RECALL_LOCKS = 16,
};
#define EXTENT_BYTES_MAX (1ULL << 30) /* a larger object is several extents */

/* Growing list of extent numbers. One thread. Zeroed memory is empty. */
struct ids {
    uint64_t *ids;
    size_t count;
    size_t cap;
};
CHECKED bool ids_add(struct ids *list, uint64_t id); /* false: out of memory */
void ids_done(struct ids *list);

/* Changes on their way to the writer; guarded by lock. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct task *first;
    struct task **last;
    bool stop;
};

struct store {
    char *path; /* immutable, and so are these: */
    char *database;
    int lock_fd;
    int data_fd;    /* folder of extents */
    int reserve_fd; /* a file of RESERVE_BYTES, for deletes on a full disk */
    int new_fd;     /* folder of files whose rows are not committed yet */
    struct store_options options;
    pthread_t writer;
    bool writer_runs;
    pthread_t sweeper; /* orphan.h */
    bool sweeper_runs;
    _Atomic bool sweeps, sweep_stops; /* it is at work; it is to end */

    struct ids settle;    /* extents whose files were evicted; guarded by pins.lock */
    struct ids forget;    /* extents whose files are gone and rows are not; guarded by pins.lock */
    struct db *writer_db; /* the writer's thread only, and so is: */
    bool has_reserve;     /* the file `reserve` has its bytes */

    struct queue queue;
    pthread_mutex_t append_locks[APPEND_LOCKS]; /* one append of an object at a time */
    pthread_mutex_t recall_locks[RECALL_LOCKS]; /* one recall of an extent at a time */
    pthread_mutex_t readers_lock;
    struct db *idle_readers; /* guarded by readers_lock */
    unsigned idle_readers_count;
    pthread_rwlock_t
        names_lock; /* held for reading from the look at a name until its extents are pinned */
    struct pins pins;
    struct leases leases; /* the writer's, but for what leases.h says */
    struct events events; /* guards itself */
    _Atomic uint64_t last_extent;
    _Atomic uint64_t batches;
    _Atomic uint64_t changes;
    _Atomic uint64_t bucket_changes;
    struct placing *placing;    /* of who has a tier; else NULL */
    struct crypt *crypt;        /* of who has master keys; else NULL */
    struct store_copies copies; /* of who has nodes; else zeroed */
    struct store_uses uses;     /* of who keeps extents in memory; else zeroed */
    struct shared *shared;      /* of who shares it with other controllers (sharing.h); else NULL */
    struct meter meter;
    _Atomic uint64_t open_objects;
    _Atomic uint64_t draft_bytes;      /* of the checksums of drafts (draft.h) */
    _Atomic unsigned streams_in_units; /* at most STREAM_UNITS_MAX gather units (stream.h) */
    _Atomic bool checked;              /* by a store_fsck */
    _Atomic bool copied;               /* there is a copy of its database, for another controller */
    _Atomic bool full;                 /* the last change that needed space got none */
    _Atomic bool broken;               /* a sync failed: no changes any more */
};

/* One transaction of the writer. */
struct batch {
    struct store *store;
    struct db *db;
    struct ids placed;      /* extents whose files are named for good after the commit */
    struct ids dropped;     /* extents without a use */
    struct ids recalled;    /* extents whose files are there again; named so after the commit */
    struct ids evicted;     /* extents whose files go, since a copy is in the tier */
    struct ids warm;        /* pairs: a bucket whose rule is memory, and its new extent */
    struct changes changes; /* names that lead to something else after the commit */
    uint64_t now_ns;
};

/* A change. run is called by the writer, inside a transaction, and again in another one when
 * that failed. It returns ST_NOTFOUND, ST_EXIST, ST_CHANGED, ST_INVAL or ST_INVALID only before
 * it has changed anything; with other errors the transaction is given up. */
struct task {
    status_t (*run)(struct batch *b, struct task *task, struct error *err);
    struct task *next;
    bool frees; /* it gives space back, so it may take what is kept for a full disk */
    /* what it left without a use: in the batch's list, and, once it is committed and nobody reads it, here. Who waits
     * for the change removes these files, so that the writer goes on meanwhile: of 1 GiB that takes long. */
    size_t dropped_at, dropped_count;
    struct ids dropped;
    sem_t answered;
    status_t status;
    struct error err;
};
CHECKED status_t queue_init(struct queue *q, struct error *err);
void queue_done(struct queue *q);
/* Have the writer make the change and wait until it is durable. task->run and what belongs to it
 * are set. */
CHECKED status_t store_change(struct store *s, struct task *task, struct error *err);
/* The transactions of the writer, or of a start before it runs. What store_commit could not commit has to be rolled
 * back (store_rollback, which takes one that did not begin, too). */
CHECKED status_t store_begin(struct store *s, struct error *err);
CHECKED status_t store_commit(struct store *s, const struct changes *changes, struct error *err);
void store_rollback(struct store *s);
/* Open the folder and the database, and change nothing in them: nobody else can meanwhile. For a replica. */
CHECKED status_t store_open_files(const char *path, const struct store_options *options,
                                  struct store **ret_store, struct error *err);
/* Try to have the reserve; sets has_reserve. The writer's thread, or before it runs. */
void store_keep_reserve(struct store *s);
/* The thread that makes changes; arg: struct store. Ends after queue.stop with an empty queue. */
void *store_writer(void *arg);

/* Nobody reads an extent of no use any more: remove its file, and its row in a later
 * transaction. Any thread. */
void store_extent_gone(struct store *s, uint64_t id);

/* fdatasync of a file of an extent, as far as the store syncs at all. 0, or -1 with errno set. */
CHECKED int store_sync_extent(struct store *s, int fd);
/* What a change that takes space came to: full is set, or not any more. Any thread. */
void store_note_space(struct store *s, status_t st);

/* A connection for reading, of the calling thread until it is given back. */
CHECKED status_t store_reader(struct store *s, struct db **ret_db, struct error *err);
void store_reader_back(struct store *s, struct db *db);
/* The rows of a query of two numbers, the second of which is max: take puts each into its place of the list. */
CHECKED status_t store_rows(struct store *s, enum sql which, uint64_t first, size_t max,
                            void (*take)(sqlite3_stmt *row, void *list, size_t at), void *list,
                            size_t *ret_count, struct error *err);
/* For a list of uint64_t. */
void store_take_id(sqlite3_stmt *row, void *list, size_t at);

/* Names of extents: in data_fd and in new_fd. */
void extent_name(uint64_t id, char ret_name[EXTENT_NAME_BYTES]);
void extent_new_name(uint64_t id, char ret_name[EXTENT_NAME_BYTES]);
/* Hexadecimal digits of a name in new_fd or a folder of data_fd; false: it is no extent's. */
void extent_recall_name(uint64_t id,
                        char ret_name[EXTENT_NAME_BYTES]); /* in new_fd, of one that comes back */
bool extent_name_parse(const char *name, uint64_t *ret_id);
/* Open the file of an extent for reading. ST_NOTFOUND, ST_LIMIT, ST_IO. */
CHECKED status_t extent_open(struct store *s, uint64_t id, int *ret_fd, struct error *err);
/* The same, when its row says that there are local bytes since somebody looks for them: they may have come back and not
 * have their name yet. */
CHECKED status_t extent_open_here(struct store *s, uint64_t id, int *ret_fd, struct error *err);
/* Has it a row, and does that say that its bytes are on a disk? */
CHECKED status_t extent_is_local(struct db *db, uint64_t id, bool *ret_local, struct error *err);
/* Remove its file, wherever it is; that it is not there is fine. */
CHECKED status_t extent_remove(struct store *s, uint64_t id, struct error *err);
/* Before a file gets this new number. When the power was cut, a file of the same number may have come back whose row
 * is gone, and readers would find it before the new one is in its place. */
CHECKED status_t extent_make_way(struct store *s, uint64_t id, struct error *err);
/* Of a block of extent id at offset off: ST_CORRUPT when sums (len bytes, 4 for each block) say
 * otherwise. */
CHECKED status_t extent_verify(const uint8_t *sums, size_t sums_len, uint64_t id, uint64_t off,
                               const void *block, size_t len, struct error *err);

/* Arguments against the limits: ST_INVAL. */
CHECKED status_t check_bucket(const char *bucket, struct error *err);
CHECKED status_t check_key(const char *key, struct error *err);
status_t no_memory(struct error *err);

struct bucket_ref {
    uint64_t id;
    const char *name; /* borrowed from who looked for it */
    enum store_versioning versioning;
    unsigned spill;    /* enum store_keep of what is written into it */
    bool encrypt;      /* what is written into it */
    unsigned replicas; /* copies that it has, the local one among them */
    bool memory;       /* its extents are kept in memory */
};
/* ST_NOTFOUND when there is no such bucket. */
CHECKED status_t bucket_find(struct db *db, const char *bucket, struct bucket_ref *ret_bucket,
                             struct error *err);
/* The same outside of a change, by a reader. */
CHECKED status_t bucket_look(struct store *s, const char *bucket, struct bucket_ref *ret_bucket,
                             struct error *err);

#endif
