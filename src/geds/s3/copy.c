#include <string.h>

#include "base/parse.h"
#include "s3.h"

#define VERSION "?versionId="
enum { COPY_TRIES_MAX = 100 }; /* of one whose source changes all the time */

/* /BUCKET/KEY or BUCKET/KEY, percent-encoded, with an optional ?versionId=. */
static enum s3_code read_source(struct s3_call *c, struct store_name *ret_name,
                                uint64_t *ret_version)
{
    const char *text = http_header(c->rq, "x-amz-copy-source");
    size_t len = strcspn(text, "?");
    struct buf out = {0};
    *ret_version = STORE_VERSION_CURRENT;
    if (text[len] == '?' && (strncmp(text + len, VERSION, strlen(VERSION)) != 0 ||
                             s3_version_of(text + len + strlen(VERSION), ret_version) != S3_OK))
        return S3_INVALID_VERSION;
    status_t st = uri_decode(&out, text, len, URI_PLUS_IS_PLUS);
    char *name = st == ST_OK && out.len > 0
                     ? arena_strndup(&c->arena, (const char *)out.data, out.len)
                     : NULL;
    buf_done(&out);
    if (!name)
        return st == ST_NOMEM ? S3_UNAVAILABLE : S3_INVALID_ARGUMENT;
    if (*name == '/')
        name++;
    char *slash = strchr(name, '/');
    if (!slash || slash == name || slash[1] == '\0')
        return S3_INVALID_ARGUMENT;
    *slash = '\0';
    *ret_name = (struct store_name){name, slash + 1};
    return s3_check_key(ret_name->key);
}

static enum s3_code source_missing(struct s3_call *c, const struct store_name *name,
                                   uint64_t version)
{
    status_t st = s3_store(c)->bucket_stat(c->s->o.store, name->bucket, NULL, NULL, &c->err);
    if (st == ST_NOTFOUND)
        return S3_NO_SUCH_BUCKET;
    return version != STORE_VERSION_CURRENT ? S3_NO_SUCH_VERSION : S3_NO_SUCH_KEY;
}

enum s3_code s3_copy_source_open(struct s3_call *c, struct store_name *ret_name,
                                 uint64_t *ret_version, struct store_object **ret_object)
{
    enum s3_code code = read_source(c, ret_name, ret_version);
    if (code == S3_OK)
        code = s3_authorize(c, ret_name->bucket, ret_name->key, *ret_version, "s3:GetObject");
    if (code != S3_OK)
        return code;
    status_t st = s3_store(c)->version_open(c->s->o.store, ret_name->bucket, ret_name->key,
                                            *ret_version, ret_object, &c->err);
    if (st == ST_NOTFOUND)
        return source_missing(c, ret_name, *ret_version);
    code = s3_code_of(c, st);
    if (code != S3_OK)
        return code;
    const struct store_info *info = s3_store(c)->object_info(*ret_object);
    code = info->marker ? S3_INVALID_REQUEST : s3_check_conditions(c, "x-amz-copy-source-", info);
    if (code != S3_OK) {
        s3_store(c)->object_close(*ret_object);
        *ret_object = NULL;
    }
    return code;
}

static void reply_source(struct s3_call *c, const struct store_info *info)
{
    if (info->versioned) {
        char text[S3_VERSION_BYTES];
        s3_version_text(info->version, text);
        http_reply_header(c->rq, "x-amz-copy-source-version-id", text);
    }
}

/* COPY or REPLACE of a directive; false: neither. */
static bool replaces(const struct s3_call *c, const char *directive, bool *ret_replaces)
{
    const char *text = http_header(c->rq, directive);
    *ret_replaces = text && strcmp(text, "REPLACE") == 0;
    return !text || *ret_replaces || strcmp(text, "COPY") == 0;
}

/* The attributes of the copy: of the source, of this request, or some of each. */
static enum s3_code choose_attributes(struct s3_call *c, const struct store_attributes *source,
                                      bool new_metadata, bool new_tags, struct s3_attributes *a)
{
    struct s3_attributes given, old;
    enum s3_code code = s3_attributes_read(c, &given);
    if (code == S3_OK)
        code = s3_attributes_copy(c, source, &old);
    if (code != S3_OK)
        return code;
    const struct s3_attributes *base = new_metadata ? &given : &old;
    const struct s3_attributes *tags = new_tags ? &given : &old;
    bool ok = true;
    s3_attribute_remove(&old, S3_LOCK_MODE); /* each object has its own */
    s3_attribute_remove(&old, S3_LOCK_UNTIL);
    s3_attribute_remove(&old, S3_LOCK_HOLD);
    s3_attribute_remove(&old, S3_UPLOAD_ID);
    *a = *base;
    s3_attribute_remove(a, S3_TAGGING);
    for (size_t i = 0; i < tags->count; i++) {
        if (strcmp(tags->pairs[i].name, S3_TAGGING) == 0)
            ok = ok && s3_attribute_set(a, S3_TAGGING, tags->pairs[i].value);
    }
    for (size_t i = 0; i < old.count; i++) { /* the bytes are the same */
        if (s3_attribute_is_checksum(old.pairs[i].name))
            ok = ok && s3_attribute_set(a, old.pairs[i].name, old.pairs[i].value);
    }
    return ok ? s3_lock_attributes(c, a) : S3_INVALID_ARGUMENT;
}

static void reply_copy(struct s3_call *c, const char *root, const struct store_info *info,
                       const struct s3_attributes *a)
{
    struct buf xml = {0};
    s3_reply_version(c, info);
    s3_reply_encryption(c, info->encrypted);
    s3_xml_begin(&xml, root);
    s3_xml_time(&xml, "LastModified", info->modified_ns);
    s3_xml_etag(&xml, info->etag);
    for (size_t i = 0; a && i < a->count; i++) {
        enum s3_algorithm sum = s3_sum_by_header(a->pairs[i].name);
        if (sum != S3_SUM_COUNT)
            s3_xml_sum(&xml, sum, a->pairs[i].value);
        else if (strcmp(a->pairs[i].name, S3_CHECKSUM_TYPE) == 0)
            xml_element(&xml, "ChecksumType", a->pairs[i].value);
    }
    if (c->sum.algorithm != S3_SUM_NONE)
        s3_xml_sum(&xml, c->sum.algorithm, c->sum_text);
    buf_printf(&xml, "</%s>", root);
    s3_reply_xml(c, &xml);
}

struct copying {
    struct store_condition condition;
    bool new_metadata, new_tags, encrypts;
    struct s3_attributes attributes;
    struct store_info info;
    char etag[STORE_ETAG_BYTES]; /* of the source when it was looked at last; "": not yet */
};

/* *ret_again: between the look at its attributes and the copy the source became another object. With a condition of the
 * destination the refusal may be about that: it is where the source is still the same one at the second look. */
static enum s3_code copy_once(struct s3_call *c, struct copying *f, bool *ret_again)
{
    struct store_object *object = NULL;
    struct store_name from, to = {c->bucket, c->key};
    uint64_t version = STORE_VERSION_CURRENT;
    const struct s3_table *t = s3_store(c);
    enum s3_code code = s3_copy_source_open(c, &from, &version, &object);
    *ret_again = false;
    if (code == S3_OK && !f->new_metadata && !f->new_tags && !f->encrypts &&
        version == STORE_VERSION_CURRENT && strcmp(from.bucket, to.bucket) == 0 &&
        strcmp(from.key, to.key) == 0)
        code = S3_INVALID_REQUEST; /* nothing would change */
    if (code == S3_OK)
        code = choose_attributes(c, t->object_attributes(object), f->new_metadata, f->new_tags,
                                 &f->attributes);
    if (code == S3_OK) {
        struct store_attributes a = s3_attributes_for_store(&f->attributes);
        const char *etag = t->object_info(object)->etag;
        const struct store_condition same = {.if_match = etag}; /* whose attributes these are */
        status_t st = (f->encrypts ? t->copy_encrypted : t->copy_version)(
            c->s->o.store, &from, version, &to, &a, &same, &f->condition, &f->info, &c->err);
        *ret_again = st == ST_CHANGED &&
                     (f->condition.if_match == NULL || strcmp(f->etag, etag) != 0);
        snprintf(f->etag, sizeof f->etag, "%s", etag);
        code = s3_code_of(c, st);
        if (code == S3_OK)
            reply_source(c, t->object_info(object));
    }
    t->object_close(object);
    return code;
}

void s3_copy(struct s3_call *c)
{
    struct copying f = {0};
    bool again = true;
    enum s3_code code = s3_condition_of(c, &f.condition);
    if (code == S3_OK)
        code = s3_encryption_asked(c, &f.encrypts);
    if (code == S3_OK && (!replaces(c, "x-amz-metadata-directive", &f.new_metadata) ||
                          !replaces(c, "x-amz-tagging-directive", &f.new_tags)))
        code = S3_INVALID_ARGUMENT;
    for (unsigned i = 0; code == S3_OK && again && i < COPY_TRIES_MAX; i++) {
        code = copy_once(c, &f, &again);
        if (again)
            code = i + 1 < COPY_TRIES_MAX ? S3_OK : S3_UNAVAILABLE;
    }
    if (code != S3_OK)
        s3_fail(c, code);
    else
        reply_copy(c, "CopyObjectResult", &f.info, &f.attributes);
}

/* A part that is a range of an object. */

static enum s3_code copy_bytes(struct s3_call *c, struct store_object *object, uint64_t off,
                               uint64_t len)
{
    enum { PIECE_BYTES = 1 << 20 };
    uint8_t *piece = malloc(PIECE_BYTES);
    status_t st = piece ? ST_OK : ST_NOMEM;
    while (st == ST_OK && len > 0) {
        size_t got = 0;
        st = s3_store(c)->object_read(object, piece, len < PIECE_BYTES ? (size_t)len : PIECE_BYTES,
                                      off, &got, &c->err);
        if (st == ST_OK && got == 0)
            st = ST_CORRUPT; /* shorter than it says */
        if (st == ST_OK)
            st = s3_store(c)->put_write(c->put, piece, got, &c->err);
        s3_sum_update(&c->sum, piece, got);
        off += got;
        len -= got;
    }
    free(piece);
    return s3_code_of(c, st);
}

/* Unlike that of a read it has both ends, and all of it is there: a part is as long as was asked for. */
static enum s3_code read_copy_range(const char *text, uint64_t size, uint64_t *ret_off,
                                    uint64_t *ret_len)
{
    const char *dash = strchr(text, '-');
    uint64_t off, len, last;
    enum s3_code code = s3_range_of(text, size, &off, &len);
    if (code != S3_OK)
        return code;
    if (text[strlen("bytes=")] == '-' || dash[1] == '\0')
        return S3_INVALID_ARGUMENT;
    if (parse_u64(dash + 1, UINT64_MAX, &last) != ST_OK || last != off + len - 1)
        return S3_INVALID_RANGE;
    *ret_off = off;
    *ret_len = len;
    return S3_OK;
}

void s3_upload_part_copy(struct s3_call *c)
{
    struct store_object *object = NULL;
    struct store_name from;
    struct store_info info;
    uint64_t off = 0, len = 0, version;
    const char *range = http_header(c->rq, "x-amz-copy-source-range");
    enum s3_code code = s3_copy_source_open(c, &from, &version, &object);
    if (code == S3_OK) {
        reply_source(c, s3_store(c)->object_info(object));
        uint64_t size = s3_store(c)->object_info(object)->size;
        len = size;
        if (range)
            code = read_copy_range(range, size, &off, &len);
        if (code == S3_OK && len > S3_PUT_BYTES_MAX)
            code = S3_ENTITY_TOO_LARGE;
    }
    if (code == S3_OK) {
        s3_upload_part_start(c);
        if (c->put)
            code = copy_bytes(c, object, off, len);
    }
    s3_store(c)->object_close(object);
    if (http_replied(c->rq))
        return;
    if (code == S3_OK && c->sum.algorithm != S3_SUM_NONE)
        s3_sum_final(&c->sum, c->sum_text);
    if (code == S3_OK)
        code = s3_multipart_keep(c);
    if (code == S3_OK) {
        struct store_put *put = c->put;
        c->put = NULL;
        code = s3_code_of(c, s3_store(c)->put_commit(put, NULL, &info, &c->err));
    }
    if (code != S3_OK)
        s3_fail(c, code);
    else
        reply_copy(c, "CopyPartResult", &info, NULL);
}
