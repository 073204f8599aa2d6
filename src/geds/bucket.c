#include <stdlib.h>

#include "keys.h"
#include "row.h"

struct bucket_task {
    struct task task;
    const char *bucket;
    const char *config;
    enum store_versioning versioning;
    bool encrypt;
};

/* Also what is in it: objects, versions and markers. */
static status_t find(struct db *db, const char *bucket, bool *ret_found,
                     struct bucket_ref *ret_bucket, uint64_t *ret_objects, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(db, SQL_BUCKET_FIND, &statement, err, "t", bucket);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK) {
        *ret_found = row;
        *ret_bucket = (struct bucket_ref){0};
        *ret_objects = 0;
        if (row) {
            ret_bucket->id = db_u64(statement, 0);
            ret_bucket->name = bucket;
            ret_bucket->versioning = (enum store_versioning)db_u64(statement, 1);
            ret_bucket->spill = (unsigned)db_u64(statement, 4);
            ret_bucket->encrypt = db_u64(statement, 5) != 0;
            uint64_t replicas = db_u64(statement, 6);
            ret_bucket->replicas = replicas >= 1 && replicas <= STORE_REPLICAS_MAX
                                       ? (unsigned)replicas
                                       : 1;
            ret_bucket->memory = db_u64(statement, 7) != 0;
            *ret_objects = db_u64(statement, 2) + db_u64(statement, 3);
        }
    }
    db_end(statement);
    return st;
}

static status_t no_bucket(const char *bucket, struct error *err)
{
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no bucket %.80s", bucket);
}

status_t bucket_find(struct db *db, const char *bucket, struct bucket_ref *ret_bucket,
                     struct error *err)
{
    bool found = false;
    uint64_t objects = 0;
    struct bucket_ref ref = {0};
    status_t st = find(db, bucket, &found, &ref, &objects, err);
    if (st == ST_OK && !found) {
        return no_bucket(bucket, err);
    }
    if (st == ST_OK) {
        *ret_bucket = ref;
    }
    return st;
}

static status_t create(struct batch *b, struct task *task, struct error *err)
{
    struct bucket_task *t = (struct bucket_task *)task;
    bool found = false;
    struct bucket_ref ref = {0};
    uint64_t objects = 0;
    status_t st = find(b->db, t->bucket, &found, &ref, &objects, err);
    if (st == ST_OK && found) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "bucket %s exists already", t->bucket);
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_BUCKET_ADD, err, "tit", t->bucket, b->now_ns, t->config);
    }
    if (st != ST_OK || t->versioning == STORE_VERSIONING_OFF) {
        return st;
    }
    st = bucket_find(b->db, t->bucket, &ref, err);
    return st == ST_OK
               ? db_do(b->db, SQL_BUCKET_VERSIONING, err, "ii", ref.id, (uint64_t)t->versioning)
               : st;
}

static status_t check_config(const char *config, struct error *err)
{
    size_t len = strlen(config);
    return len <= STORE_CONFIG_MAX ? ST_OK
                                   : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                                               "a bucket's configuration of %zu bytes: at most %d",
                                               len, STORE_CONFIG_MAX);
}

uint64_t store_bucket_changes(const struct store *s)
{
    return atomic_load(&s->bucket_changes);
}

/* Counted behind the commit: who sees the new count sees the change. */
static status_t change(struct store *s, struct bucket_task *t, struct error *err)
{
    status_t st = store_change(s, &t->task, err);
    atomic_fetch_add(&s->bucket_changes, 1);
    return st;
}

status_t store_bucket_create(struct store *s, const char *bucket, const char *config,
                             struct error *err)
{
    return store_bucket_create_as(s, bucket, config, STORE_VERSIONING_OFF, err);
}

status_t store_bucket_create_as(struct store *s, const char *bucket, const char *config,
                                enum store_versioning versioning, struct error *err)
{
    struct bucket_task t = {
        .task = {.run = create}, .bucket = bucket, .config = config, .versioning = versioning};
    status_t st = check_bucket(bucket, err);
    if (st == ST_OK) {
        st = check_config(config, err);
    }
    return st == ST_OK ? change(s, &t, err) : st;
}

static status_t first_upload(struct batch *b, uint64_t bucket, uint64_t *ret_id, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(b->db, SQL_UPLOAD_FIRST, &statement, err, "i", bucket);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    if (st == ST_OK) {
        *ret_id = row ? db_u64(statement, 0) : 0;
    }
    db_end(statement);
    return st;
}

static status_t remove_bucket(struct batch *b, struct task *task, struct error *err)
{
    struct bucket_task *t = (struct bucket_task *)task;
    bool found = false;
    struct bucket_ref ref = {0};
    uint64_t objects = 0, upload = 0;
    status_t st = find(b->db, t->bucket, &found, &ref, &objects, err);
    if (st == ST_OK && !found) {
        return no_bucket(t->bucket, err);
    }
    if (st == ST_OK && objects > 0) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "bucket %s has %llu objects and versions",
                         t->bucket, (unsigned long long)objects);
    }
    do {
        if (st == ST_OK) {
            st = first_upload(b, ref.id, &upload, err);
        }
        if (st == ST_OK && upload != 0) {
            st = upload_drop(b, upload, err);
        }
    } while (st == ST_OK && upload != 0);
    return st == ST_OK ? db_do(b->db, SQL_BUCKET_REMOVE, err, "i", ref.id) : st;
}

status_t store_bucket_delete(struct store *s, const char *bucket, struct error *err)
{
    struct bucket_task t = {.task = {.run = remove_bucket, .frees = true}, .bucket = bucket};
    return change(s, &t, err);
}

static status_t set_config(struct batch *b, struct task *task, struct error *err)
{
    struct bucket_task *t = (struct bucket_task *)task;
    struct bucket_ref ref = {0};
    status_t st = bucket_find(b->db, t->bucket, &ref, err);
    return st == ST_OK ? db_do(b->db, SQL_BUCKET_CONFIG, err, "it", ref.id, t->config) : st;
}

status_t store_bucket_set_config(struct store *s, const char *bucket, const char *config,
                                 struct error *err)
{
    struct bucket_task t = {.task = {.run = set_config}, .bucket = bucket, .config = config};
    status_t st = check_config(config, err);
    return st == ST_OK ? change(s, &t, err) : st;
}

static status_t set_versioning(struct batch *b, struct task *task, struct error *err)
{
    struct bucket_task *t = (struct bucket_task *)task;
    struct bucket_ref ref = {0};
    status_t st = bucket_find(b->db, t->bucket, &ref, err);
    return st == ST_OK
               ? db_do(b->db, SQL_BUCKET_VERSIONING, err, "ii", ref.id, (uint64_t)t->versioning)
               : st;
}

status_t store_bucket_set_versioning(struct store *s, const char *bucket,
                                     enum store_versioning versioning, struct error *err)
{
    struct bucket_task t = {
        .task = {.run = set_versioning}, .bucket = bucket, .versioning = versioning};
    if (versioning != STORE_VERSIONING_ON && versioning != STORE_VERSIONING_SUSPENDED) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "versions cannot be turned off");
    }
    return change(s, &t, err);
}

static status_t set_encrypt(struct batch *b, struct task *task, struct error *err)
{
    struct bucket_task *t = (struct bucket_task *)task;
    struct bucket_ref ref = {0};
    status_t st = bucket_find(b->db, t->bucket, &ref, err);
    return st == ST_OK ? db_do(b->db, SQL_BUCKET_ENCRYPT, err, "ii", ref.id, (uint64_t)t->encrypt)
                       : st;
}

status_t store_bucket_set_encrypt(struct store *s, const char *bucket, bool encrypt,
                                  struct error *err)
{
    struct bucket_task t = {.task = {.run = set_encrypt}, .bucket = bucket, .encrypt = encrypt};
    return change(s, &t, err);
}

status_t bucket_look(struct store *s, const char *bucket, struct bucket_ref *ret_bucket,
                     struct error *err)
{
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = bucket_find(db, bucket, ret_bucket, err);
    store_reader_back(s, db);
    return st;
}

status_t store_bucket_encrypt(struct store *s, const char *bucket, bool *ret_encrypt,
                              struct error *err)
{
    struct bucket_ref ref = {0};
    status_t st = bucket_look(s, bucket, &ref, err);
    if (st == ST_OK) {
        *ret_encrypt = ref.encrypt || keys_encrypt_all(s);
    }
    return st;
}

static status_t stat_row(struct db *db, const char *bucket, struct store_bucket *ret_bucket,
                         char **ret_config, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    char *config = NULL;
    status_t st = db_start(db, SQL_BUCKET_STAT, &statement, err, "t", bucket);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && !row) {
        st = no_bucket(bucket, err);
    }
    if (st == ST_OK && ret_config != NULL) {
        const char *text = (const char *)sqlite3_column_text(statement, 3);
        config = text != NULL ? strdup(text) : NULL;
        st = config != NULL ? ST_OK : no_memory(err);
    }
    if (st == ST_OK && ret_bucket != NULL) {
        *ret_bucket = (struct store_bucket){
            .created_ns = db_u64(statement, 0),
            .objects = db_u64(statement, 1),
            .bytes = db_u64(statement, 2),
            .versioning = (enum store_versioning)db_u64(statement, 4),
            .versions = db_u64(statement, 5),
            .version_bytes = db_u64(statement, 6)};
        snprintf(ret_bucket->name, sizeof ret_bucket->name, "%s", bucket);
    }
    if (st == ST_OK && ret_config != NULL) {
        *ret_config = config;
    }
    db_end(statement);
    return st;
}

status_t store_bucket_stat(struct store *s, const char *bucket, struct store_bucket *ret_bucket,
                           char **ret_config, struct error *err)
{
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = stat_row(db, bucket, ret_bucket, ret_config, err);
        store_reader_back(s, db);
    }
    return st;
}

status_t store_bucket_list(struct store *s, struct store_bucket **ret_buckets, size_t *ret_count,
                           struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    struct store_bucket *buckets = NULL;
    size_t count = 0, cap = 0;
    bool row = true;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_BUCKET_LIST, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        if (count == cap) {
            cap = cap != 0 ? 2 * cap : 16;
            struct store_bucket *grown = realloc(buckets, cap * sizeof *grown);
            if (grown == NULL) {
                st = no_memory(err);
                break;
            }
            buckets = grown;
        }
        struct store_bucket *bucket = &buckets[count++];
        *bucket = (struct store_bucket){.created_ns = db_u64(statement, 1),
                                        .objects = db_u64(statement, 2),
                                        .bytes = db_u64(statement, 3),
                                        .versioning = (enum store_versioning)db_u64(statement, 4),
                                        .versions = db_u64(statement, 5),
                                        .version_bytes = db_u64(statement, 6)};
        column_text(statement, 0, bucket->name, sizeof bucket->name);
    }
    db_end(statement);
    store_reader_back(s, db);
    if (st != ST_OK) {
        free(buckets);
        return st;
    }
    *ret_buckets = buckets;
    *ret_count = count;
    return ST_OK;
}
