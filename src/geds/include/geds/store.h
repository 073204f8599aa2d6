#ifndef GEDS_STORE_H
#define GEDS_STORE_H

#include <stdbool.h>

#include "base/status.h"

struct metrics;
struct store_log;

/* The object store of one node: buckets of keys, each with bytes and metadata, in one folder.
 *
 * Threads: any number of threads may use one store at the same time. A `struct store_put` belongs
 * to one thread at a time; a `struct store_object` may be read by many. Calls that change
 * something wait until the change is durable (STORE_SYNC_FULL); those of many threads share one
 * sync. A store that is open is not carried across fork.
 *
 * Strings are NUL-terminated and borrowed for the call. What is returned through `ret_` is written
 * only on success. Every call may fail with ST_NOMEM, ST_LIMIT (no space left on the disk), ST_IO,
 * and ST_CORRUPT (what is in the folder is damaged); what was acknowledged before stays. After a
 * failed sync the store refuses changes with ST_IO until it is opened again, since it cannot know
 * what has reached the disk. */

enum {
    STORE_KEY_MAX = 1024,  /* bytes; a key is not empty and has any bytes but NUL */
    STORE_BUCKET_MIN = 3,  /* bucket names: a-z 0-9 - . and a letter or digit at both ends */
    STORE_BUCKET_MAX = 63, /* bytes */
    STORE_CONFIG_MAX = 1024 * 1024,   /* bytes of a bucket's configuration */
    STORE_ATTRIBUTES_MAX = 16 * 1024, /* bytes of all names and values of an object */
    STORE_ATTRIBUTE_COUNT_MAX = 256,
    STORE_PART_NUMBER_MAX = 10000, /* the first is 1 */
    STORE_PIECES_MAX = 65536,      /* extents of one object */
    STORE_LIST_MAX = 10000,        /* entries of one page */
    STORE_ETAG_BYTES = 48,         /* with NUL: 32 hex digits, or 32 hex digits, '-', a number */
    STORE_INLINE_MAX = 16 * 1024,  /* bytes; a smaller object shares its sync with others */
    STORE_BLOCK_BYTES = 64 * 1024, /* what a checksum covers */
    STORE_PART_SUM_MAX = 40,       /* bytes that a layer above keeps with a part */
};
/* Instead of the number of a version: */
#define STORE_VERSION_NULL UINT64_C(0)        /* the one without a number */
#define STORE_VERSION_CURRENT UINT64_MAX      /* what the name leads to */
#define STORE_VERSION_NEWEST (UINT64_MAX - 1) /* the same, or the marker that hides it */
#define STORE_FREE_ENOUGH (64ULL << 20) /* bytes: with more than these free a disk is not full */
#define STORE_OBJECT_MAX (5ULL << 40)   /* bytes */
#define STORE_S3_PART_MIN (5ULL << 20)  /* bytes: what S3 asks of all parts but the last */

struct store;
struct store_put;
struct store_object;

enum store_sync {
    STORE_SYNC_FULL, /* acknowledged changes survive a crash of the machine */
    STORE_SYNC_OFF,  /* they survive a crash of the process only */
};

/* Zeroed options are the defaults. */
struct store_options {
    enum store_sync sync;
    uint64_t part_min_bytes; /* of each part of an upload but the last; 0: none */
    struct metrics
        *metrics; /* where cloudskin_store_* are counted; outlives the store. NULL: nowhere */
    /* Where changes are entries before they are made (geds/shared.h); outlives the store. Calls may fail with ST_MOVED
     * then: another controller leads. NULL: nowhere, it is a store of its own. */
    const struct store_log *log;
};

/* Open the store in folder `path`, making it (mode 0700) when it is not there, and recover it.
 * ST_AGAIN: another process has it open. ST_PERM: others may look into the folder.
 * ST_UNSUPPORTED: its format is of a later version. ST_CORRUPT: it is no store, or damaged. */
CHECKED status_t store_open(const char *path, const struct store_options *options,
                            struct store **ret_store, struct error *err);
/* All puts and objects must be closed before. Takes NULL. */
void store_close(struct store *s);

struct store_counters {
    uint64_t buckets;
    uint64_t objects;
    uint64_t bytes;    /* of all objects; what copies share counts for each */
    uint64_t uploads;  /* multipart uploads in progress */
    uint64_t versions; /* that are not current, and markers */
    uint64_t version_bytes;
    uint64_t batches; /* transactions since the store was opened */
    uint64_t changes; /* changes in them */
};
CHECKED status_t store_counters(struct store *s, struct store_counters *ret_counters,
                                struct error *err);

/* Does it take changes? */
struct store_state {
    bool broken;                     /* a sync failed: it takes none until it is opened again */
    bool full;                       /* those that need space are refused */
    uint64_t disk_bytes, free_bytes; /* of the file system it is on */
    uint64_t open_objects;
};
CHECKED status_t store_state(struct store *s, struct store_state *ret_state, struct error *err);

/* Buckets.
 * config: text for the layers above, of at most STORE_CONFIG_MAX bytes; "" is none. */

/* ST_INVAL: not a bucket name. ST_EXIST. */
CHECKED status_t store_bucket_create(struct store *s, const char *bucket, const char *config,
                                     struct error *err);
/* Its uploads in progress are aborted. ST_NOTFOUND. ST_EXIST: objects, versions or markers are in it. */
CHECKED status_t store_bucket_delete(struct store *s, const char *bucket, struct error *err);
/* ST_NOTFOUND. */
CHECKED status_t store_bucket_set_config(struct store *s, const char *bucket, const char *config,
                                         struct error *err);

/* Versions. ON: an overwrite or a delete keeps what was there, under a number; a delete puts a marker in front of it.
 * SUSPENDED: what had a number stays, what comes has none (the null version, of which each key has at most one). */
enum store_versioning {
    STORE_VERSIONING_OFF, /* never turned on: there are null versions only */
    STORE_VERSIONING_ON,
    STORE_VERSIONING_SUSPENDED,
};
/* store_bucket_create of one that has versions from the start. */
CHECKED status_t store_bucket_create_as(struct store *s, const char *bucket, const char *config,
                                        enum store_versioning versioning, struct error *err);
/* ST_NOTFOUND. ST_INVAL: OFF, which is no way back. */
CHECKED status_t store_bucket_set_versioning(struct store *s, const char *bucket,
                                             enum store_versioning versioning, struct error *err);

/* Counts the changes of buckets themselves. What was read of one after a call is right as long as this is the same. */
uint64_t store_bucket_changes(const struct store *s);

struct store_bucket {
    char name[STORE_BUCKET_MAX + 1];
    uint64_t created_ns; /* since the epoch */
    uint64_t objects;    /* that names lead to */
    uint64_t bytes;      /* of them */
    enum store_versioning versioning;
    uint64_t versions; /* the others, and markers */
    uint64_t version_bytes;
};
/* ret_bucket and ret_config may be NULL. *ret_config: for free. ST_NOTFOUND: use this to tell a
 * missing bucket from a missing key. */
CHECKED status_t store_bucket_stat(struct store *s, const char *bucket,
                                   struct store_bucket *ret_bucket, char **ret_config,
                                   struct error *err);
/* In order of names. *ret_buckets: for free; may be NULL when there is none. */
CHECKED status_t store_bucket_list(struct store *s, struct store_bucket **ret_buckets,
                                   size_t *ret_count, struct error *err);

/* What an object carries beside its bytes. */
struct store_attribute {
    const char *name; /* not empty; compared by bytes; each once */
    const char *value;
};
struct store_attributes {
    const char *content_type; /* NULL: none */
    const struct store_attribute *pairs;
    size_t count;
};

struct store_info {
    uint64_t size; /* bytes */
    uint64_t modified_ns;
    char etag
        [STORE_ETAG_BYTES]; /* without quotes. MD5 of the bytes; "MD5-N" of one made from N parts */
    uint64_t version;       /* its number, or STORE_VERSION_NULL */
    bool versioned;         /* its bucket has or had versions */
    bool marker;            /* of a delete: no object, size 0 */
    bool encrypted;         /* all of its bytes; false where there are none */
};

/* What must be true of a name at the moment of a change. NULL or zeroed: nothing. */
struct store_condition {
    bool if_none; /* there is no object of this name: else ST_EXIST */
    const char
        *if_match; /* there is one (else ST_NOTFOUND) with this etag (else ST_CHANGED); "*": any */
    /* Of what would be replaced, removed or changed, where there is something: false is ST_CHANGED. newest: it is the
     * newest of its key's versions and markers. Called by the thread that makes changes, so it has to be quick and
     * must not call the store. NULL: all may. */
    bool (*may)(void *arg, const struct store_info *info, const struct store_attributes *a,
                bool newest);
    void *arg;
};

/* Writing. All of these: ST_NOTFOUND: no such bucket. ST_INVAL: a key, attributes or a size
 * against the limits. A put that is not committed leaves nothing. */

/* attributes may be NULL. *ret_put ends with store_put_commit or store_put_abort. */
CHECKED status_t store_put_begin(struct store *s, const char *bucket, const char *key,
                                 const struct store_attributes *attributes,
                                 struct store_put **ret_put, struct error *err);
/* Append to what is being put. After an error only store_put_abort is of use. */
CHECKED status_t store_put_write(struct store_put *p, const void *data, size_t len,
                                 struct error *err);
/* At any place, also again; what is between the end and off becomes zeros. len 0 changes nothing. After the first of
 * these calls the put is a draft (docs/internals/geds-drafts.md): what makes it one object takes no copy, but its etag
 * is no MD5 of the bytes if they are more than 1 MiB. Not for parts: ST_INVAL, as beyond STORE_OBJECT_MAX. ST_LIMIT:
 * also all drafts together have checksums of more than 256 MiB. After an error only store_put_abort is of use. */
CHECKED status_t store_put_write_at(struct store_put *p, const void *data, size_t len, uint64_t off,
                                    struct error *err);
/* Cut it, or continue it with zeros, which take no space. */
CHECKED status_t store_put_set_size(struct store_put *p, uint64_t size, struct error *err);
/* What would be the object now, as store_object_read. After an error the put is as before. */
CHECKED status_t store_put_read(struct store_put *p, void *data, size_t len, uint64_t off,
                                size_t *ret_len, struct error *err);
/* Bytes so far. */
uint64_t store_put_size(const struct store_put *p);
/* A put that begins with the bytes and attributes of the object, which are shared: the first write into one of its
 * extents, of 1 GiB at most, copies that. It replaces this object only: the commit is ST_CHANGED when the name leads to
 * another one, ST_NOTFOUND when to none. ST_NOTFOUND. */
CHECKED status_t store_put_begin_from(struct store *s, const char *bucket, const char *key,
                                      struct store_put **ret_put, struct store_info *ret_info,
                                      struct error *err);
/* MD5 of what was written so far, 16 bytes: for who must compare it before the commit. Not of a draft. */
void store_put_md5(const struct store_put *p, uint8_t ret_md5[16]);
/* Replace the attributes given to store_put_begin, before the commit: for what is known with the last byte only.
 * Not for parts. ST_INVAL: against the limits; the put has its former attributes. */
CHECKED status_t store_put_set_attributes(struct store_put *p,
                                          const struct store_attributes *attributes,
                                          struct error *err);
/* Give the object its name, instead of what had it. Ends the put whatever the result is.
 * condition and ret_info may be NULL. */
CHECKED status_t store_put_commit(struct store_put *p, const struct store_condition *condition,
                                  struct store_info *ret_info, struct error *err);
/* Takes NULL. */
void store_put_abort(struct store_put *p);

/* Add len bytes at the end of an object, which is made when it is not there. Appends by many
 * threads take place one after the other, each whole. The etag is then no MD5 of the bytes, but
 * changes. ST_INVAL: it would have more than STORE_PIECES_MAX extents (each append of 256 KiB or
 * more is one, smaller ones are joined). */
CHECKED status_t store_append(struct store *s, const char *bucket, const char *key,
                              const void *data, size_t len, const struct store_condition *condition,
                              struct store_info *ret_info, struct error *err);

/* Reading. */

/* ST_NOTFOUND: no such bucket or object. */
CHECKED status_t store_stat(struct store *s, const char *bucket, const char *key,
                            struct store_info *ret_info, struct error *err);
/* The object as it is now: it stays readable after an overwrite, a rename or a delete. */
CHECKED status_t store_object_open(struct store *s, const char *bucket, const char *key,
                                   struct store_object **ret_object, struct error *err);
/* The same of a version. A marker can be opened: it has no bytes. ST_NOTFOUND: also no such version. */
CHECKED status_t store_version_open(struct store *s, const char *bucket, const char *key,
                                    uint64_t version, struct store_object **ret_object,
                                    struct error *err);
/* Takes NULL. */
void store_object_close(struct store_object *o);
/* Valid until the close. */
const struct store_info *store_object_info(const struct store_object *o);
const struct store_attributes *store_object_attributes(const struct store_object *o);
/* What it was made of, where that was a multipart upload: numbered from 1 in order, info.size and sum. *ret_parts: for
 * free; NULL and 0 else. ST_CORRUPT. */
struct store_part;
CHECKED status_t store_object_parts(const struct store_object *o, struct store_part **ret_parts,
                                    size_t *ret_count, struct error *err);
/* Read up to len bytes at off. *ret_len is less than len only at the end of the object (0 at or
 * behind it). Any thread. ST_CORRUPT: a block does not match its checksum; the error has the
 * object's byte offset of the block, and its text names the extent. data may be changed then. */
CHECKED status_t store_object_read(struct store_object *o, void *data, size_t len, uint64_t off,
                                   size_t *ret_len, struct error *err);

/* The bytes of an object as files that never change, for who maps them: piece `index` from 0, in
 * order. *ret_fd is open for reading and the caller's; nothing is compared with checksums.
 * ST_NOTFOUND: there are no more. ST_UNSUPPORTED: a small object has no file, an encrypted one is none that others can
 * read, and one that was deleted while its bytes were in a tier gets none; it can be read. */
CHECKED status_t store_object_piece(struct store_object *o, size_t index, int *ret_fd,
                                    uint64_t *ret_bytes, struct error *err);
/* The checksums of that piece, appended as they are stored: CRC32C of each block of STORE_BLOCK_BYTES, 32 bits
 * little-endian. ST_NOTFOUND, ST_UNSUPPORTED as above. */
struct buf;
CHECKED status_t store_object_sums(struct store_object *o, size_t index, struct buf *out,
                                   struct error *err);

/* For clients of this machine, which may keep what they read of names as long as a table of counters says so
 * (docs/internals/geds-leases.md): the files that they map, and their bytes. ret_fds are the caller's. ST_UNSUPPORTED:
 * there are none. */
enum { STORE_LEASE_FILES = 2 };
CHECKED status_t store_lease_files(struct store *s, int ret_fds[STORE_LEASE_FILES],
                                   uint64_t ret_bytes[STORE_LEASE_FILES], struct error *err);

/* Names. */

/* ST_NOTFOUND: no such bucket, or (without versions) object. condition may be NULL. */
CHECKED status_t store_delete(struct store *s, const char *bucket, const char *key,
                              const struct store_condition *condition, struct error *err);
/* Delete many in one change; ret_results[i] is ST_OK, ST_NOTFOUND or ST_INVAL for keys[i]. */
CHECKED status_t store_delete_many(struct store *s, const char *bucket, const char *const *keys,
                                   size_t count, status_t *ret_results, struct error *err);

/* A delete of a version, or with STORE_VERSION_CURRENT that of store_delete. */
struct store_removal {
    const char *key;
    uint64_t version;
    const struct store_condition *condition; /* about the version; NULL: none */
    bool expired;     /* by a rule of its bucket, so its event is STORE_EXPIRED */
    status_t status;  /* what became of it: ST_OK, ST_NOTFOUND, ST_INVAL, or the condition's */
    bool versioned;   /* the bucket has or had versions; then: */
    bool marker;      /* a marker was made, or it was one */
    uint64_t removed; /* the version of what was made or removed */
};
/* In one change, in order. What a removal of the newest version uncovers is current again. ST_NOTFOUND: no such bucket;
 * what becomes of each is in items. */
CHECKED status_t store_delete_each(struct store *s, const char *bucket, struct store_removal *items,
                                   size_t count, struct error *err);

/* Change some attributes of an object or a version and nothing else, neither bytes nor time. Of pairs, a value of
 * NULL removes the attribute. condition (if_match, may) is about what is changed, and may be NULL. ST_NOTFOUND; a
 * marker has no attributes. */
CHECKED status_t store_change_attributes(struct store *s, const char *bucket, const char *key,
                                         uint64_t version, const struct store_attribute *pairs,
                                         size_t count, const struct store_condition *condition,
                                         struct store_info *ret_info, struct error *err);

struct store_name {
    const char *bucket;
    const char *key;
};
/* Copy an object without copying its bytes. attributes NULL: those of the source. from_condition
 * is about the source (if_match only), to_condition about the destination; each may be NULL.
 * Copying onto itself changes attributes. */
CHECKED status_t store_copy(struct store *s, const struct store_name *from,
                            const struct store_name *to, const struct store_attributes *attributes,
                            const struct store_condition *from_condition,
                            const struct store_condition *to_condition, struct store_info *ret_info,
                            struct error *err);
/* The same of a version of the source. ST_NOTFOUND: also a marker. */
CHECKED status_t store_copy_version(struct store *s, const struct store_name *from,
                                    uint64_t version, const struct store_name *to,
                                    const struct store_attributes *attributes,
                                    const struct store_condition *from_condition,
                                    const struct store_condition *to_condition,
                                    struct store_info *ret_info, struct error *err);
/* Give an object another name, of the same bucket or another, instead of what had it; it keeps
 * its time. Its size does not matter. to_condition may be NULL. Where there are versions, it is a
 * copy and a delete in one change. */
CHECKED status_t store_rename(struct store *s, const struct store_name *from,
                              const struct store_name *to,
                              const struct store_condition *to_condition, struct error *err);
/* Replace the beginning `from` of all keys that have it by `to`, in one change. ST_NOTFOUND: no
 * key has it. ST_EXIST: a new name is that of an object which is not renamed itself; nothing is
 * changed. ST_INVAL: a new key would be empty or too long, or the bucket has or had versions. */
CHECKED status_t store_rename_prefix(struct store *s, const char *bucket, const char *from,
                                     const char *to, uint64_t *ret_count, struct error *err);

/* What becomes of names. */
enum store_event_kind {
    STORE_CREATED = 1, /* numbers of the protocol */
    STORE_OVERWRITTEN,
    STORE_APPENDED,
    STORE_DELETED,
    STORE_RENAMED,
    STORE_RENAMED_PREFIX, /* keys are the beginnings of all that were renamed */
    STORE_ATTRIBUTES,     /* and neither bytes nor time */
    STORE_EXPIRED,        /* deleted by a rule of the bucket */
};
struct store_event {
    enum store_event_kind kind;
    const char *bucket, *key;           /* now */
    const char *from_bucket, *from_key; /* before it was renamed; else NULL */
    struct store_info info;             /* of what the name leads to; zeroed where there is none */
};

/* Events, for who watches names (docs/internals/geds-events.md). */
struct store_event_query {
    const char *bucket;
    const char *prefix; /* NULL or "": all */
    bool exact;         /* only the name that is prefix */
    uint64_t from;      /* the first number that is wanted; 0: none, only where to begin */
};
struct store_events {
    uint64_t next; /* go on with from = next */
    bool
        gap; /* events from `from` on are not there any more, or were of another store; none are given */
    bool more; /* without waiting */
};
/* Append events that match, in the order of commits, as proto/geds.h encodes them, of at most room bytes. Never waits
 * for any. ST_NOMEM. */
CHECKED status_t store_events_read(struct store *s, const struct store_event_query *query,
                                   size_t room, struct buf *out, struct store_events *ret_events,
                                   struct error *err);

/* Listing in the order of bytes. */
struct store_list_query {
    const char *prefix; /* NULL or "": all */
    const char
        *delimiter; /* NULL or "": none. Keys alike up to it (behind the prefix) are one entry */
    const char *start_after; /* NULL or "": from the beginning; else only what comes behind it */
    size_t max;              /* entries, at most STORE_LIST_MAX; 0: only whether there are any */
};
struct store_entry {
    const char *key; /* of an object, or the common beginning up to and with the delimiter */
    bool is_prefix;  /* the latter: info is zeroed */
    struct store_info info;
};
struct store_page {
    struct store_entry *entries;
    size_t count;
    bool more; /* go on with start_after = key of the last entry */
};
/* *ret_page ends with store_page_free. ST_NOTFOUND: no such bucket. */
CHECKED status_t store_list(struct store *s, const char *bucket,
                            const struct store_list_query *query, struct store_page **ret_page,
                            struct error *err);
/* Takes NULL. */
void store_page_free(struct store_page *page);
/* Call each for all keys of a bucket that begin so, in their order; the store may change meanwhile. It may answer
 * ST_NOTFOUND: that one was deleted. Any other error ends it. ST_NOTFOUND: no such bucket. */
CHECKED status_t store_each(struct store *s, const char *bucket, const char *prefix,
                            status_t (*each)(void *arg, const char *key, struct error *err),
                            void *arg, struct error *err);

/* Versions and markers: of each key the newest first, the current ones too. */
struct store_version_query {
    const char *prefix;     /* as in store_list_query */
    const char *delimiter;  /* and so */
    const char *key_marker; /* NULL or "": from the beginning */
    uint64_t order_marker;  /* of key_marker only those of lower order; 0: none of it */
    size_t max;
};
struct store_version_entry {
    const char *key;
    bool is_prefix;
    bool latest;
    uint64_t
        order; /* of the versions of a key; not 0 but for what was there before there were versions */
    struct store_info info;
};
struct store_versions {
    struct store_version_entry *entries;
    size_t count;
    bool more; /* go on with key and order of the last entry */
};
/* *ret_versions ends with store_versions_free. ST_NOTFOUND: no such bucket. */
CHECKED status_t store_version_list(struct store *s, const char *bucket,
                                    const struct store_version_query *query,
                                    struct store_versions **ret_versions, struct error *err);
/* Takes NULL. */
void store_versions_free(struct store_versions *versions);

/* Multipart uploads. id: from store_upload_begin; not to be guessed, never used again.
 * ST_NOTFOUND: no such upload (in this bucket with this key). */
CHECKED status_t store_upload_begin(struct store *s, const char *bucket, const char *key,
                                    const struct store_attributes *attributes, uint64_t *ret_id,
                                    struct error *err);
/* A part is written as an object is, by store_put_write and store_put_commit (whose condition
 * must be NULL), and replaces an earlier one of this number. ST_INVAL: number is not in
 * 1..STORE_PART_NUMBER_MAX. */
CHECKED status_t store_upload_put_begin(struct store *s, const char *bucket, const char *key,
                                        uint64_t id, unsigned number, struct store_put **ret_put,
                                        struct error *err);
struct store_part {
    unsigned number;
    struct store_info info;
    uint8_t sum[STORE_PART_SUM_MAX]; /* what store_put_set_sum gave */
    size_t sum_len;
};
/* Of a part, before its commit: bytes that are kept with it, such as a checksum; at most
 * STORE_PART_SUM_MAX. ST_INVAL. */
CHECKED status_t store_put_set_sum(struct store_put *p, const void *sum, size_t len,
                                   struct error *err);
struct arena;
/* What the object will carry; strings in arena. */
CHECKED status_t store_upload_attributes(struct store *s, const char *bucket, const char *key,
                                         uint64_t id, struct arena *arena,
                                         struct store_attributes *ret_attributes,
                                         struct error *err);
/* Make the object of these parts (only number and info.etag are looked at), in ascending order
 * of numbers. attributes: instead of those of the upload; NULL: those. ST_INVAL: none, or not
 * ascending. ST_CHANGED: a part is not there with this etag,
 * or the condition's. ST_INVALID: a part that is not the last is smaller than part_min_bytes;
 * the upload stays after each error. */
CHECKED status_t store_upload_complete(struct store *s, const char *bucket, const char *key,
                                       uint64_t id, const struct store_part *parts, size_t count,
                                       const struct store_attributes *attributes,
                                       const struct store_condition *condition,
                                       struct store_info *ret_info, struct error *err);
CHECKED status_t store_upload_abort(struct store *s, const char *bucket, const char *key,
                                    uint64_t id, struct error *err);
/* Parts with numbers above `after`, at most max. *ret_parts: for free. */
CHECKED status_t store_upload_parts(struct store *s, const char *bucket, const char *key,
                                    uint64_t id, unsigned after, size_t max,
                                    struct store_part **ret_parts, size_t *ret_count,
                                    bool *ret_more, struct error *err);

struct store_upload {
    uint64_t id;
    uint64_t created_ns;
    const char *key;
};
struct store_uploads {
    struct store_upload *entries;
    size_t count;
    bool more; /* go on with key and id of the last one */
};
/* Uploads in progress in order of (key, id) behind (after_key, after_id). prefix, after_key:
 * NULL or "" is none. *ret_uploads ends with store_uploads_free. */
CHECKED status_t store_upload_list(struct store *s, const char *bucket, const char *prefix,
                                   const char *after_key, uint64_t after_id, size_t max,
                                   struct store_uploads **ret_uploads, struct error *err);
/* Takes NULL. */
void store_uploads_free(struct store_uploads *uploads);

/* Checking. */
enum store_damage {
    STORE_DAMAGE_DATABASE, /* the database itself; text has SQLite's words */
    STORE_DAMAGE_BLOCK,    /* a block does not match its checksum */
    STORE_DAMAGE_MISSING,  /* an extent has no file, or a short one */
    STORE_DAMAGE_USES,     /* the count of names of an extent is wrong */
    STORE_DAMAGE_COUNT,    /* the counts of a bucket are wrong */
    STORE_DAMAGE_ORPHAN,   /* a file that no name leads to */
    STORE_DAMAGE_LAYOUT,   /* an object names bytes that do not exist */
    STORE_DAMAGE_VERSION,  /* the versions of a key are not in order */
    STORE_DAMAGE_KEY, /* an encrypted extent has no key that opens it, or its master key is not there */
};
struct store_finding {
    enum store_damage kind;
    uint64_t extent; /* 0: none */
    uint64_t offset; /* bytes in the extent */
    const char *text;
};
struct store_fsck {
    uint64_t objects;
    uint64_t extents;
    uint64_t away;      /* of them, in a tier only: not looked at here */
    uint64_t encrypted; /* of them; looked at with their keys, if the store has master keys */
    uint64_t bytes;     /* whose checksums were compared */
    uint64_t findings;
    uint64_t repaired;
};
/* Read all that is in the store and compare it; others go on using the store. found may be NULL.
 * goes_on (may be NULL) is asked again and again; false ends it with ST_STOPPED, and counts that were not set right yet
 * stay as they are. repair: remove orphans and set wrong counts right. ST_OK whatever is found. ST_AGAIN: it is being
 * checked already. */
CHECKED status_t store_fsck(struct store *s, bool repair,
                            void (*found)(void *arg, const struct store_finding *finding),
                            bool (*goes_on)(void *arg), void *arg, struct store_fsck *ret_fsck,
                            struct error *err);

#endif
