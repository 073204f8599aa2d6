#ifndef CLOUDSKIN_GEDS_H
#define CLOUDSKIN_GEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Objects of CloudSkin's store, in C: link with -lcloudskin. Buckets have keys, each with bytes and metadata. An
 * object is written once and then never changes, but for appends; what was answered survives a crash.  struct geds
 * *store; struct geds_error err; if (geds_connect(NULL, &store, &err) != GEDS_OK) fprintf(stderr, "%s\n", err.text);
 * Every call returns GEDS_OK or what went wrong, and fills *err, which may be NULL. Results, named ret_, are written
 * on success only. Strings are NUL-terminated and borrowed for the call. Any number of threads may use one connection,
 * and one object; a writer is of one thread at a time. Every call may fail with GEDS_NOMEM, GEDS_LIMIT (no space on
 * the disk), GEDS_CORRUPT (damage was found, nothing of it is handed out) and GEDS_IO. After GEDS_IO of a lost
 * connection all its calls fail so, and it is not known whether a change on its way was made: connect anew and look.
 * */

#ifdef __cplusplus
extern "C" {
#endif

#define GEDS_API __attribute__((visibility("default"), warn_unused_result))
#define GEDS_API_VOID __attribute__((visibility("default")))

enum geds_code {
    GEDS_OK = 0,
    GEDS_INVAL,       /* an argument is wrong */
    GEDS_NOMEM,       /* memory ran out */
    GEDS_LIMIT,       /* no space, or a limit was reached */
    GEDS_IO,          /* the system refused, or the connection is lost */
    GEDS_NOTFOUND,    /* no such bucket or object; of geds_connect: nothing is up */
    GEDS_EXIST,       /* it is there already; a bucket is not empty */
    GEDS_PERM,        /* not allowed */
    GEDS_CORRUPT,     /* bytes do not match their checksum */
    GEDS_FORMAT,      /* the other side does not speak this protocol */
    GEDS_INVALID,     /* against the rules */
    GEDS_UNSUPPORTED, /* not known to this version */
    GEDS_AGAIN,       /* not now: try again */
    GEDS_CHANGED,     /* it is there, but not as the condition says */
    GEDS_STOPPED,     /* stopped on request */
    GEDS_MOVED        /* another controller has the store now */
};
#define GEDS_NO_OFFSET UINT64_MAX
struct geds_error {
    enum geds_code code;
    uint64_t offset; /* byte offset of damage in the object, or GEDS_NO_OFFSET */
    char text[240];
};

enum {
    GEDS_KEY_MAX = 1024,  /* bytes of UTF-8 or anything but NUL; not empty */
    GEDS_BUCKET_MAX = 63, /* bytes: 3 at least, a-z 0-9 - . */
    GEDS_LIST_MAX = 900,  /* entries of one page */
};

struct geds;

/* address: "unix:/PATH", "tls://HOST[:PORT]" (with $CLOUDSKIN_CA, _CERT and _KEY, or a token of $CLOUDSKIN_TOKEN or
 * $CLOUDSKIN_TOKEN_FILE; the environment is read here only), "tcp://127.0.0.1:PORT"; NULL: $CLOUDSKIN_CONTROLLER, else
 * the store that `cloudskin up` started. Of several controllers, with commas between their addresses, it is the one
 * that leads, for which it looks for up to 20 s; when it leads no more, later calls go to the next one. Objects and
 * writers of before fail then. GEDS_MOVED: none of them leads.
 * GEDS_NOTFOUND: nothing is up. GEDS_AGAIN: its process does not answer within
 * 5 s, over tls:// 30 s. GEDS_PERM: a certificate or token is refused. */
GEDS_API enum geds_code geds_connect(const char *address, struct geds **ret_store,
                                     struct geds_error *err);
/* Its objects and writers must have been closed before. Takes NULL. */
GEDS_API_VOID void geds_disconnect(struct geds *store);

struct geds_status {
    char version[64];
    char state[4096];  /* its folder */
    char s3[256];      /* address of its S3 endpoint */
    char metrics[256]; /* address of its metrics; "": none */
    uint64_t buckets, objects;
    uint64_t bytes; /* of all objects; what copies share counts for each */
    long process;
};
GEDS_API enum geds_code geds_status(struct geds *store, struct geds_status *ret_status,
                                    struct geds_error *err);

/* Buckets. */

struct geds_bucket {
    char name[GEDS_BUCKET_MAX + 1];
    uint64_t created_ns; /* since the epoch */
    uint64_t objects, bytes;
};
GEDS_API enum geds_code geds_bucket_create(struct geds *store, const char *bucket,
                                           struct geds_error *err);
/* GEDS_EXIST: objects are in it. */
GEDS_API enum geds_code geds_bucket_delete(struct geds *store, const char *bucket,
                                           struct geds_error *err);
GEDS_API enum geds_code geds_bucket_status(struct geds *store, const char *bucket,
                                           struct geds_bucket *ret_bucket, struct geds_error *err);
/* In order of names. *ret_buckets: for free. */
GEDS_API enum geds_code geds_bucket_list(struct geds *store, struct geds_bucket **ret_buckets,
                                         size_t *ret_count, struct geds_error *err);

/* What an object carries beside its bytes. S3's user metadata is x-amz-meta-NAME here. */
struct geds_attribute {
    const char *name; /* each once */
    const char *value;
};
struct geds_attributes {
    const char *content_type; /* NULL: none */
    const struct geds_attribute *pairs;
    size_t count;
};
struct geds_info {
    uint64_t size;        /* bytes */
    uint64_t modified_ns; /* since the epoch */
    char etag[48];        /* another one after each change */
    bool encrypted;       /* all of its bytes are, at rest */
};
/* What must be true of a name when it is changed. NULL or zeroed: nothing. */
struct geds_condition {
    bool if_none; /* there is no such object, else GEDS_EXIST */
    const char
        *if_match; /* there is one with this etag, "*": any; else GEDS_NOTFOUND, GEDS_CHANGED */
};

/* Writing. GEDS_NOTFOUND: no such bucket. */

/* All bytes at once. attributes, condition, ret_info may be NULL. */
GEDS_API enum geds_code geds_put(struct geds *store, const char *bucket, const char *key,
                                 const struct geds_attributes *attributes,
                                 const struct geds_condition *condition, const void *data,
                                 size_t len, struct geds_info *ret_info, struct geds_error *err);
/* Bytes one after the other, of any number. Nothing has the name before geds_seal; errors may come as late as that. */
struct geds_writer;
GEDS_API enum geds_code geds_create(struct geds *store, const char *bucket, const char *key,
                                    const struct geds_attributes *attributes,
                                    struct geds_writer **ret_writer, struct geds_error *err);
/* After an error only geds_abort is of use. */
GEDS_API enum geds_code geds_write(struct geds_writer *w, const void *data, size_t len,
                                   struct geds_error *err);
/* At any place, also over what was written before; what lies between the end and off becomes zeros, which take no
 * space. geds_write goes on behind the end. Beyond GEDS_OBJECT_MAX: GEDS_INVAL. The etag of what was written so is no
 * MD5 of the bytes if they are more than 1 MiB. GEDS_LIMIT as well: all that is written so in the store at a time has
 * checksums of more than 256 MiB, which some TiB have. */
#define GEDS_OBJECT_MAX (5ULL << 40) /* bytes */
GEDS_API enum geds_code geds_pwrite(struct geds_writer *w, const void *data, size_t len,
                                    uint64_t off, struct geds_error *err);
/* Cut it, or continue it with zeros. */
GEDS_API enum geds_code geds_truncate(struct geds_writer *w, uint64_t size, struct geds_error *err);
/* What was written so far, as geds_pread. It waits for all writes. After an error of this call the writer is as before,
 * unless a write had failed. */
GEDS_API enum geds_code geds_writer_pread(struct geds_writer *w, void *data, size_t len,
                                          uint64_t off, size_t *ret_len, struct geds_error *err);
/* Bytes so far. */
GEDS_API_VOID uint64_t geds_writer_size(const struct geds_writer *w);
/* A writer that begins with the bytes and attributes of an object. They are shared: the first write into one of its
 * extents (1 GiB at most) copies that one. Only geds_seal changes the object, and only if it is the same still:
 * GEDS_CHANGED, GEDS_NOTFOUND, whatever its condition says. ret_info may be NULL. */
GEDS_API enum geds_code geds_edit(struct geds *store, const char *bucket, const char *key,
                                  struct geds_writer **ret_writer, struct geds_info *ret_info,
                                  struct geds_error *err);
/* Give it the name, instead of what had it. The writer ends, whatever the result is. */
GEDS_API enum geds_code geds_seal(struct geds_writer *w, const struct geds_condition *condition,
                                  struct geds_info *ret_info, struct geds_error *err);
/* The writer ends, and nothing was written. Takes NULL. */
GEDS_API_VOID void geds_abort(struct geds_writer *w);
/* Add bytes at the end of an object, which is made when it is not there. Not more than 1 MiB is added as a whole:
 * of more, pieces of 1 MiB are, one after the other. *ret_info: after the last. */
GEDS_API enum geds_code geds_append(struct geds *store, const char *bucket, const char *key,
                                    const struct geds_condition *condition, const void *data,
                                    size_t len, struct geds_info *ret_info, struct geds_error *err);

/* Reading. */

struct geds_object;
/* The object as it is now: it stays readable after an overwrite, a rename or a delete. At most 256 of a connection that
 * need the store are open at a time. Objects that are opened again need it no more: what was read is kept (of a
 * connection at most 32 MiB, and 256 files of 1 GiB), and used as long as the name leads to the same object. Such an
 * open, and geds_stat, geds_pread, geds_map and geds_close of it, ask nobody. */
GEDS_API enum geds_code geds_open(struct geds *store, const char *bucket, const char *key,
                                  struct geds_object **ret_object, struct geds_error *err);
/* Takes NULL. */
GEDS_API_VOID void geds_close(struct geds_object *o);
/* Valid until the close. */
GEDS_API const struct geds_info *geds_object_info(const struct geds_object *o);
GEDS_API const struct geds_attributes *geds_object_attributes(const struct geds_object *o);
/* Read up to len bytes at off. *ret_len is less at the end of the object only. GEDS_CORRUPT: err has the place. */
GEDS_API enum geds_code geds_pread(struct geds_object *o, void *data, size_t len, uint64_t off,
                                   size_t *ret_len, struct geds_error *err);

/* Read up to len bytes at off, UINT64_MAX: all up to the end, and give them to each() in their order, in pieces of at
 * most 1 MiB: valid for the call, in this thread. Up to 8 MiB that follow are on their way meanwhile, so a store that
 * is far is read as fast as the network and each() let it; so much memory is used, too. each may call whatever it likes
 * but geds_close of o and geds_disconnect; it returns false to stop: GEDS_STOPPED. What it was given before an error
 * was as it should be. */
GEDS_API enum geds_code geds_read_each(struct geds_object *o, uint64_t off, uint64_t len,
                                       bool (*each)(void *arg, const void *data, size_t len),
                                       void *arg, struct geds_error *err);

/* All bytes of the object, read-only in memory: pages of the store's own files, shared by all who map them and read
 * from the disk when they are touched, without a call of the store. They are not compared with their checksums, as
 * those of geds_pread are. A small object, or one with parts that do not end where a page does, is copied there
 * instead. Valid until geds_unmap, also when the object is closed or removed. GEDS_LIMIT: it would have to be copied,
 * and is longer than GEDS_MAP_COPY_MAX, or the process has too many files open. */
#define GEDS_MAP_COPY_MAX (1ULL << 30)
GEDS_API enum geds_code geds_map(struct geds_object *o, const void **ret_data, size_t *ret_len,
                                 struct geds_error *err);
/* What geds_map gave. */
GEDS_API_VOID void geds_unmap(const void *data, size_t len);

/* Names. */

GEDS_API enum geds_code geds_stat(struct geds *store, const char *bucket, const char *key,
                                  struct geds_info *ret_info, struct geds_error *err);
GEDS_API enum geds_code geds_delete(struct geds *store, const char *bucket, const char *key,
                                    const struct geds_condition *condition, struct geds_error *err);
/* ret_codes[i]: GEDS_OK, GEDS_NOTFOUND or GEDS_INVAL of keys[i]. */
GEDS_API enum geds_code geds_delete_many(struct geds *store, const char *bucket,
                                         const char *const *keys, size_t count,
                                         enum geds_code *ret_codes, struct geds_error *err);
/* Its size does not matter: no bytes move. condition: of the new name. */
GEDS_API enum geds_code geds_rename(struct geds *store, const char *bucket, const char *key,
                                    const char *to_bucket, const char *to_key,
                                    const struct geds_condition *condition, struct geds_error *err);
/* Replace the beginning `from` of all keys that have it by `to`, all at once. GEDS_EXIST: a new name is taken. */
GEDS_API enum geds_code geds_rename_prefix(struct geds *store, const char *bucket, const char *from,
                                           const char *to, uint64_t *ret_count,
                                           struct geds_error *err);
/* A copy shares the bytes. attributes: instead of the source's; NULL: the same. */
GEDS_API enum geds_code geds_copy(struct geds *store, const char *bucket, const char *key,
                                  const char *to_bucket, const char *to_key,
                                  const struct geds_attributes *attributes,
                                  const struct geds_condition *condition,
                                  struct geds_info *ret_info, struct geds_error *err);

struct geds_query {
    const char *prefix;      /* NULL: all */
    const char *delimiter;   /* NULL: none. Keys alike up to it, behind the prefix, are one entry */
    const char *start_after; /* NULL: from the beginning */
    unsigned max;            /* entries; 0 or more than GEDS_LIST_MAX: that many */
};
struct geds_entry {
    const char *key; /* of an object, or the common beginning up to and with the delimiter */
    bool is_prefix;  /* the latter: info is zeroed */
    struct geds_info info;
};
struct geds_page {
    struct geds_entry *entries; /* in the order of bytes */
    size_t count;
    bool more; /* go on with start_after = key of the last entry */
};
GEDS_API enum geds_code geds_list(struct geds *store, const char *bucket,
                                  const struct geds_query *query, struct geds_page **ret_page,
                                  struct geds_error *err);
/* Takes NULL. */
GEDS_API_VOID void geds_page_free(struct geds_page *page);

/* Events: what becomes of names, whoever changes them - clients, S3, rules of the bucket. Each change that was
 * committed is told once, in the order of the commits. */
enum geds_event_kind {
    GEDS_CREATED = 1,
    GEDS_OVERWRITTEN,
    GEDS_APPENDED,
    GEDS_DELETED,
    GEDS_RENAMED,        /* whatever had the new name is gone */
    GEDS_RENAMED_PREFIX, /* key and from_key are the beginnings of all that were renamed at once */
    GEDS_ATTRIBUTES,     /* and neither bytes nor time */
    GEDS_EXPIRED,        /* deleted by a rule of the bucket */
    GEDS_GAP             /* some changes are not told: list what is watched, then go on */
};
struct geds_event {
    uint64_t number;  /* goes up, also over restarts of the store. GEDS_GAP: of the next event */
    uint64_t time_ns; /* of the change, since the epoch; GEDS_GAP: 0 */
    enum geds_event_kind kind;
    const char *bucket, *key;           /* valid until the next call */
    const char *from_bucket, *from_key; /* before it was renamed; else NULL */
    struct geds_info info;              /* of the object; zeroed where there is none, or are many */
};
struct geds_subscription;
struct geds_watched {
    const char *bucket;
    const char *prefix; /* NULL: all of the bucket */
    bool exact;         /* prefix is a whole key */
    /* The first number that is wanted: 0: what happens from now on. After a lost connection: one more than that of the
     * last event, or that of the last gap. When the store has forgotten it, the first event is a gap: it keeps the last
     * 16,384 events or 4 MiB, while its process runs. */
    uint64_t from;
};
/* The store keeps nothing of a subscription, so nobody waits for who is slow. GEDS_NOTFOUND: no such bucket. */
GEDS_API enum geds_code geds_subscribe(struct geds *store, const struct geds_watched *watched,
                                       struct geds_subscription **ret_subscription,
                                       struct geds_error *err);
/* Wait for the next event, at most timeout_ms; less than 0: without end. One thread at a time. GEDS_AGAIN: there was
 * none, or a signal came. After GEDS_IO: connect anew and subscribe from where it was. */
GEDS_API enum geds_code geds_next_event(struct geds_subscription *s, int timeout_ms,
                                        struct geds_event *ret_event, struct geds_error *err);
/* The number to go on from, in another subscription, when all that geds_next_event gave has been seen. */
GEDS_API_VOID uint64_t geds_subscription_next(const struct geds_subscription *s);
/* Before its connection ends. Takes NULL. */
GEDS_API_VOID void geds_unsubscribe(struct geds_subscription *s);

/* The tier behind local disk: an S3 server to which bytes go that nobody used for long. Objects stay what they are:
 * they are read as before, with GEDS_AGAIN when their bytes are there and it does not answer. Objects of at most 16
 * KiB are always local. */

enum geds_spill_rule {
    GEDS_SPILL_WATERMARK, /* bytes leave local disk when that is full */
    GEDS_SPILL_NEVER,     /* they stay */
    GEDS_SPILL_EAGER,     /* they are copied at once, and leave when local disk is full */
};
/* What is done so far; extents are the files that objects consist of. */
struct geds_moved {
    uint64_t objects;
    uint64_t extents, bytes; /* that moved */
    uint64_t kept;           /* extents that a spill left, since they are pinned or open */
};
/* key: an object's; with is_prefix the beginning of keys, "": the whole bucket. progress (may be NULL) is called in
 * this thread now and then, and may be with results of long ago. GEDS_UNSUPPORTED: a spill without a tier. GEDS_AGAIN:
 * it does not answer; what moved before has moved. */

/* Keep local bytes, which are fetched if they are away; on false: as the bucket's rule says. A pin is of the bytes:
 * what replaces them is not pinned, and copies share it. */
GEDS_API enum geds_code geds_pin(struct geds *store, const char *bucket, const char *key,
                                 bool is_prefix, bool on,
                                 void (*progress)(void *arg, const struct geds_moved *moved),
                                 void *arg, struct geds_moved *ret_moved, struct geds_error *err);
/* Have the bytes in the tier only. */
GEDS_API enum geds_code geds_spill(struct geds *store, const char *bucket, const char *key,
                                   bool is_prefix,
                                   void (*progress)(void *arg, const struct geds_moved *moved),
                                   void *arg, struct geds_moved *ret_moved, struct geds_error *err);
/* Have local bytes. */
GEDS_API enum geds_code geds_recall(struct geds *store, const char *bucket, const char *key,
                                    bool is_prefix,
                                    void (*progress)(void *arg, const struct geds_moved *moved),
                                    void *arg, struct geds_moved *ret_moved,
                                    struct geds_error *err);
/* The rule of what is written into a bucket from now on; what is there gets it by geds_pin(..., "", true, false,
 * ...). */
GEDS_API enum geds_code geds_bucket_set_spill(struct geds *store, const char *bucket,
                                              enum geds_spill_rule rule, struct geds_error *err);
GEDS_API enum geds_code geds_bucket_spill(struct geds *store, const char *bucket,
                                          enum geds_spill_rule *ret_rule, struct geds_error *err);

/* Encryption at rest. A bucket's rule: what is written into it from now on is encrypted. */
GEDS_API enum geds_code geds_bucket_set_encrypt(struct geds *store, const char *bucket,
                                                bool encrypt, struct geds_error *err);
GEDS_API enum geds_code geds_bucket_encrypt(struct geds *store, const char *bucket,
                                            bool *ret_encrypt, struct geds_error *err);

struct geds_key {
    uint64_t id;
    uint64_t extents; /* files and small objects that need it */
    bool is_there;    /* in the key file of the store */
    bool is_newest;   /* what is written is encrypted with it */
};
/* Master keys of the store, and those that it misses. *ret_keys: for free. */
GEDS_API enum geds_code geds_keys(struct geds *store, struct geds_key **ret_keys, size_t *ret_count,
                                  struct geds_error *err);
struct geds_rotation {
    uint64_t id;        /* of the new key */
    uint64_t rewrapped; /* extents that need it now instead of others */
    uint64_t missing;   /* those whose key is not there: they stay as they are */
};
/* Make a new master key, and have all need that one only. progress (may be NULL) is called in this thread now and
 * then. What does not end is gone on with when the store is started. */
GEDS_API enum geds_code geds_keys_rotate(struct geds *store,
                                         void (*progress)(void *arg, uint64_t rewrapped), void *arg,
                                         struct geds_rotation *ret_rotation,
                                         struct geds_error *err);
/* Remove a master key from the key file. GEDS_NOTFOUND. GEDS_EXIST: something needs it, or it is the newest. */
GEDS_API enum geds_code geds_key_drop(struct geds *store, uint64_t id, struct geds_error *err);

struct geds_tier {
    char name[1200];                     /* s3://BUCKET/PREFIX; "": there is none */
    char endpoint[512];                  /* URL */
    char error[512];                     /* why the tier does not answer; "": it does */
    uint64_t away_since_ns;              /* since the epoch; 0: it answers */
    uint64_t local_count, local_bytes;   /* extents that are local files */
    uint64_t copied_count, copied_bytes; /* of them: also in the tier */
    uint64_t away_count, away_bytes;     /* in the tier only */
    uint64_t doomed_count, doomed_bytes; /* copies that are to be deleted */
    uint64_t pinned_count, pinned_bytes; /* local files that stay */
    uint64_t eager_count, eager_bytes;   /* that are to be copied at once, and are not yet */
    uint64_t high_bytes,
        low_bytes;          /* above the one local files are moved until they are the other */
    uint64_t backlog_bytes; /* that are to be moved and are not yet */
    uint64_t cache_bytes, cache_max_bytes;
    /* since the start: */
    uint64_t local_reads, tier_reads, cache_hits; /* pieces; hits: of tier_reads */
    uint64_t fetched_bytes;                       /* from the tier for readers */
    uint64_t recalled_count, recalled_bytes;
    uint64_t spilled_count, spilled_bytes; /* copied to the tier */
    uint64_t dropped_count, dropped_bytes; /* local files that went */
    uint64_t deleted_count;
    uint64_t damaged, repaired; /* local extents that did not match; from their copies */
    uint64_t bad;               /* local extents without a copy that do not match */
    uint64_t errors;
    uint64_t spill_rate, read_rate; /* bytes in a second, lately */
};
GEDS_API enum geds_code geds_tier_status(struct geds *store, struct geds_tier *ret_tier,
                                         struct geds_error *err);

/* What compares local files with their checksums in the background (`cloudskin up --scrub`). */
struct geds_scrub {
    uint64_t bytes_per_s; /* at most; 0: none does, and the rest is 0 */
    uint64_t began_ns,
        ended_ns; /* since the epoch, and over restarts; 0: none did yet. A pass that is under way has
                                    begun after the last one ended */
    /* since the start: */
    uint64_t passes;       /* that ended */
    uint64_t count, bytes; /* extents that were compared, once in each pass */
    uint64_t damaged;      /* of them, once in each pass */
    uint64_t
        without_copy; /* of these. The others are repaired: geds_tier.repaired, geds_nodes.repaired */
};
GEDS_API enum geds_code geds_scrub_status(struct geds *store, struct geds_scrub *ret_scrub,
                                          struct geds_error *err);

/* Memory: local files of buckets with this rule are kept in memory, locked, as far as a budget goes (`cloudskin up
 * --memory`), those that were used last; who reads or maps them on this machine gets them from there. */
enum geds_memory_limit {
    GEDS_NOT_LIMITED,
    GEDS_LOCK_LIMIT,     /* the system lets the store lock so much only (RLIMIT_MEMLOCK) */
    GEDS_NO_FREE_MEMORY, /* it has no more */
};
struct geds_memory {
    uint64_t budget_bytes; /* 0: nothing is kept in memory */
    uint64_t limit_bytes;  /* of it */
    enum geds_memory_limit limit;
    uint64_t count, bytes; /* extents in memory; whole pages */
    uint64_t waiting;      /* extents that are to come */
    /* since the start: */
    uint64_t promoted_count, promoted_bytes;
    uint64_t evicted_count, evicted_bytes; /* for others that were used later */
    uint64_t left_count;                   /* removed, replaced, damaged, or not wanted any more */
    uint64_t memory_reads, disk_reads; /* pieces of local files, by whether they were in memory */
};
GEDS_API enum geds_code geds_memory_status(struct geds *store, struct geds_memory *ret_memory,
                                           struct geds_error *err);
/* Does what is written into and read from a bucket go to memory, from now on? What is there of one that does not any
 * more leaves. Objects of at most 16 KiB have no files. */
GEDS_API enum geds_code geds_bucket_set_memory(struct geds *store, const char *bucket, bool memory,
                                               struct geds_error *err);
GEDS_API enum geds_code geds_bucket_memory(struct geds *store, const char *bucket, bool *ret_memory,
                                           struct geds_error *err);

/* Nodes: other machines that have copies of what is in the store's files (`cloudskin node`). Objects of at most 16 KiB
 * have none. */
enum geds_node_state {
    GEDS_NODE_UP,
    GEDS_NODE_AWAY,
    GEDS_NODE_LOST,    /* away for long: what it has is copied to others */
    GEDS_NODE_LEAVING, /* it goes when what it has is somewhere else */
};
enum { GEDS_NODES_MAX = 64, GEDS_REPLICAS_MAX = 8 };
struct geds_node {
    char name[64];
    enum geds_node_state state;
    uint64_t seen_ns;       /* since the epoch */
    uint64_t left;          /* leaving: copies that are still to be looked at */
    uint64_t copies, bytes; /* on its disk, as it said last */
    uint64_t limit_bytes, free_bytes;
    uint64_t bad; /* reads of copies that did not match, since its start */
};
struct geds_nodes {
    uint64_t lacking_count, lacking_bytes; /* extents with fewer copies than are wanted */
    /* since the start: */
    uint64_t copied_bytes, read_bytes;
    uint64_t repaired; /* local extents, from copies */
    uint64_t removed;
    uint64_t late; /* writes that were answered before their copies were made */
    uint64_t errors;
    size_t count;
    struct geds_node nodes[GEDS_NODES_MAX];
};
GEDS_API enum geds_code geds_nodes(struct geds *store, struct geds_nodes *ret_nodes,
                                   struct geds_error *err);
/* Have a node leave, which takes a while; or forget one that is not there and does not come back. GEDS_NOTFOUND. */
GEDS_API enum geds_code geds_node_leave(struct geds *store, const char *name,
                                        struct geds_error *err);
GEDS_API enum geds_code geds_node_forget(struct geds *store, const char *name,
                                         struct geds_error *err);
/* How many copies what is in a bucket has, the store's own among them: 1 to GEDS_REPLICAS_MAX. A write is answered when
 * they are made, or cannot be: then they are made later. */
GEDS_API enum geds_code geds_bucket_set_replicas(struct geds *store, const char *bucket,
                                                 unsigned replicas, struct geds_error *err);
GEDS_API enum geds_code geds_bucket_replicas(struct geds *store, const char *bucket,
                                             unsigned *ret_replicas, struct geds_error *err);

/* Relocation: have the bytes of objects at one place, in one call. It is of the bytes that are there now: what is
 * written later goes where the rules of its bucket say, and what copies share is at one place for all. Objects of at
 * most 16 KiB are in the store's database wherever they are sent. */
enum geds_where {
    GEDS_IN_MEMORY =
        1, /* local disk, and locked in memory until others that are used later need the room */
    GEDS_ON_DISK, /* local disk, and not in memory; fetched from the tier, if they are there only */
    GEDS_ON_NODES, /* local disk, and as many copies on nodes as geds_location.copies says */
    GEDS_IN_TIER, /* the tier only, as by geds_spill: what is pinned or open stays, counted in kept */
};
struct geds_location {
    enum geds_where where;
    unsigned copies; /* GEDS_ON_NODES: the store's own among them, 1 to GEDS_REPLICAS_MAX; else 0 */
};
/* key, is_prefix, progress, ret_moved: as above (copies that the store makes by itself meanwhile are not counted); no
 * object at all below a prefix is no error. When it returns GEDS_OK, the bytes are there, but for those that are kept.
 * What had moved before an error stays moved, and the same call goes on with the rest; copies that are wanted and could
 * not be made are made later by themselves. Writers are not looked at: what they write has no name yet. Encrypted bytes
 * move as they are, without a key.
 * GEDS_INVAL: where, copies, a key or prefix. GEDS_NOTFOUND: no such bucket or object. GEDS_PERM: it needs the role
 * admin. GEDS_UNSUPPORTED: there is no tier, no node, or no memory for it (`up --memory`). GEDS_AGAIN: the tier does
 * not answer; fewer nodes than copies are known, and nothing was changed; or too few of them are there or have room,
 * and the rest follows. GEDS_LIMIT: no space on local disk; or what is to be in memory does not fit there together, and
 * the rest stays out. */
GEDS_API enum geds_code geds_relocate(struct geds *store, const char *bucket, const char *key,
                                      bool is_prefix, const struct geds_location *where,
                                      void (*progress)(void *arg, const struct geds_moved *moved),
                                      void *arg, struct geds_moved *ret_moved,
                                      struct geds_error *err);

/* Checking: read all that is in the store and compare it. found may be NULL; it is called in this thread. */
struct geds_finding {
    uint64_t extent; /* 0: none */
    uint64_t offset; /* bytes in it */
    const char *text;
};
struct geds_check {
    uint64_t objects, extents, bytes, findings, repaired;
};
GEDS_API enum geds_code geds_fsck(struct geds *store, bool repair,
                                  void (*found)(void *arg, const struct geds_finding *finding),
                                  void *arg, struct geds_check *ret_check, struct geds_error *err);
/* The same, and then the copies in the tier are compared with what the store says of them. */
GEDS_API enum geds_code geds_fsck_all(struct geds *store, bool repair,
                                      void (*found)(void *arg, const struct geds_finding *finding),
                                      void *arg, struct geds_check *ret_check,
                                      struct geds_error *err);

#ifdef __cplusplus
}
#endif

#endif
