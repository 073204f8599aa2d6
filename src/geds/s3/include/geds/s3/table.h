#ifndef GEDS_S3_TABLE_H
#define GEDS_S3_TABLE_H

#include "geds/store.h"

/* What S3 needs of a store: the calls of geds/store.h, whose comments say what each does, so that another
 * store can stand behind it, as in the tests. */
struct s3_table {
    status_t (*bucket_create_as)(struct store *s, const char *bucket, const char *config,
                                 enum store_versioning versioning, struct error *err);
    status_t (*bucket_delete)(struct store *s, const char *bucket, struct error *err);
    status_t (*bucket_stat)(struct store *s, const char *bucket, struct store_bucket *ret_bucket,
                            char **ret_config, struct error *err);
    status_t (*bucket_list)(struct store *s, struct store_bucket **ret_buckets, size_t *ret_count,
                            struct error *err);
    status_t (*bucket_set_config)(struct store *s, const char *bucket, const char *config,
                                  struct error *err);
    status_t (*bucket_set_versioning)(struct store *s, const char *bucket,
                                      enum store_versioning versioning, struct error *err);
    uint64_t (*bucket_changes)(const struct store *s);
    status_t (*bucket_set_encrypt)(struct store *s, const char *bucket, bool encrypt,
                                   struct error *err);
    status_t (*bucket_encrypt)(struct store *s, const char *bucket, bool *ret_encrypt,
                               struct error *err);
    status_t (*put_begin)(struct store *s, const char *bucket, const char *key,
                          const struct store_attributes *attributes, struct store_put **ret_put,
                          struct error *err);
    status_t (*put_set_attributes)(struct store_put *p, const struct store_attributes *attributes,
                                   struct error *err);
    status_t (*put_write)(struct store_put *p, const void *data, size_t len, struct error *err);
    void (*put_md5)(const struct store_put *p, uint8_t ret_md5[16]);
    status_t (*put_set_sum)(struct store_put *p, const void *sum, size_t len, struct error *err);
    status_t (*put_commit)(struct store_put *p, const struct store_condition *condition,
                           struct store_info *ret_info, struct error *err);
    void (*put_abort)(struct store_put *p);
    status_t (*put_encrypt)(struct store_put *p, struct error *err);
    bool (*put_is_encrypted)(const struct store_put *p);
    status_t (*version_open)(struct store *s, const char *bucket, const char *key, uint64_t version,
                             struct store_object **ret_object, struct error *err);
    void (*object_close)(struct store_object *o);
    const struct store_info *(*object_info)(const struct store_object *o);
    const struct store_attributes *(*object_attributes)(const struct store_object *o);
    status_t (*object_parts)(const struct store_object *o, struct store_part **ret_parts,
                             size_t *ret_count, struct error *err);
    status_t (*object_read)(struct store_object *o, void *data, size_t len, uint64_t off,
                            size_t *ret_len, struct error *err);
    status_t (*object_read_now)(struct store_object *o, void *data, size_t len, uint64_t off,
                                size_t *ret_len, bool *ret_waits, struct error *err);
    status_t (*object_unlock)(struct store_object *o, struct error *err);
    bool (*object_is_away)(struct store_object *o); /* a read may wait for another machine */
    status_t (*delete_each)(struct store *s, const char *bucket, struct store_removal *items,
                            size_t count, struct error *err);
    status_t (*change_attributes)(struct store *s, const char *bucket, const char *key,
                                  uint64_t version, const struct store_attribute *pairs,
                                  size_t count, const struct store_condition *condition,
                                  struct store_info *ret_info, struct error *err);
    status_t (*copy_version)(struct store *s, const struct store_name *from, uint64_t version,
                             const struct store_name *to, const struct store_attributes *attributes,
                             const struct store_condition *from_condition,
                             const struct store_condition *to_condition,
                             struct store_info *ret_info, struct error *err);
    status_t (*copy_encrypted)(struct store *s, const struct store_name *from, uint64_t version,
                               const struct store_name *to,
                               const struct store_attributes *attributes,
                               const struct store_condition *from_condition,
                               const struct store_condition *to_condition,
                               struct store_info *ret_info, struct error *err);
    status_t (*list)(struct store *s, const char *bucket, const struct store_list_query *query,
                     struct store_page **ret_page, struct error *err);
    void (*page_free)(struct store_page *page);
    status_t (*version_list)(struct store *s, const char *bucket,
                             const struct store_version_query *query,
                             struct store_versions **ret_versions, struct error *err);
    void (*versions_free)(struct store_versions *versions);
    status_t (*upload_begin)(struct store *s, const char *bucket, const char *key,
                             const struct store_attributes *attributes, uint64_t *ret_id,
                             struct error *err);
    status_t (*upload_begin_encrypted)(struct store *s, const char *bucket, const char *key,
                                       const struct store_attributes *attributes, uint64_t *ret_id,
                                       struct error *err);
    status_t (*upload_put_begin)(struct store *s, const char *bucket, const char *key, uint64_t id,
                                 unsigned number, struct store_put **ret_put, struct error *err);
    status_t (*upload_complete)(struct store *s, const char *bucket, const char *key, uint64_t id,
                                const struct store_part *parts, size_t count,
                                const struct store_attributes *attributes,
                                const struct store_condition *condition,
                                struct store_info *ret_info, struct error *err);
    status_t (*upload_attributes)(struct store *s, const char *bucket, const char *key, uint64_t id,
                                  struct arena *arena, struct store_attributes *ret_attributes,
                                  struct error *err);
    status_t (*upload_abort)(struct store *s, const char *bucket, const char *key, uint64_t id,
                             struct error *err);
    status_t (*upload_parts)(struct store *s, const char *bucket, const char *key, uint64_t id,
                             unsigned after, size_t max, struct store_part **ret_parts,
                             size_t *ret_count, bool *ret_more, struct error *err);
    status_t (*upload_list)(struct store *s, const char *bucket, const char *prefix,
                            const char *after_key, uint64_t after_id, size_t max,
                            struct store_uploads **ret_uploads, struct error *err);
    void (*uploads_free)(struct store_uploads *uploads);
};

#endif
