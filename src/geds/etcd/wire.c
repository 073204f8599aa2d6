#include "wire.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "geds/s3/checksum.h"

/* ---- requests ---- */

static void bytes(struct buf *out, const char *name, const void *data, size_t len)
{
    buf_printf(out, "\"%s\":\"", name);
    char *text = malloc((len + 2) / 3 * 4 + 1);
    if (text == NULL) {
        out->failed = true;
        return;
    }
    base64_encode(data, len, text);
    buf_bytes(out, text, strlen(text));
    free(text);
    buf_bytes(out, "\"", 1);
}

static void encode_fields(const struct etcd_op *op, struct buf *out)
{
    bytes(out, "key", op->key, strlen(op->key));
    if (op->kind == ETCD_PUT) {
        buf_printf(out, ",\"lease\":\"%lld\",", (long long)op->lease);
        bytes(out, "value", op->len > 0 ? op->value : "", op->len);
    } else if (op->end != NULL) {
        buf_printf(out, ",");
        bytes(out, "range_end", op->end, strlen(op->end));
    }
    if (op->kind == ETCD_RANGE) {
        buf_printf(out, ",\"limit\":\"%u\"", op->limit != 0 ? op->limit : ETCD_KVS_MAX);
    }
}

static void encode_op(const struct etcd_op *op, struct buf *out)
{
    static const char *const names[] = {
        [ETCD_RANGE] = "range", [ETCD_PUT] = "put", [ETCD_DELETE] = "delete_range"};
    buf_printf(out, "{\"request_%s\":{", names[op->kind]);
    encode_fields(op, out);
    buf_printf(out, "}}");
}

void etcd_op_encode(const struct etcd_op *op, struct buf *out)
{
    buf_printf(out, "{");
    encode_fields(op, out);
    buf_printf(out, "}");
}

static void encode_ops(const char *name, const struct etcd_op *ops, size_t count, struct buf *out)
{
    buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, i > 0 ? "," : "");
        encode_op(&ops[i], out);
    }
    buf_printf(out, "]");
}

void etcd_txn_encode(const struct etcd_txn *t, struct buf *out)
{
    buf_printf(out, "{\"compare\":[");
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct etcd_compare *c = &t->compares[i];
        buf_printf(out, "%s{\"result\":\"EQUAL\",\"target\":\"%s\",\"%s_revision\":\"%llu\",",
                   i > 0 ? "," : "", c->changed ? "MOD" : "CREATE", c->changed ? "mod" : "create",
                   (unsigned long long)c->revision);
        bytes(out, "key", c->key, strlen(c->key));
        buf_printf(out, "}");
    }
    buf_printf(out, "]");
    encode_ops("success", t->then, t->then_count, out);
    encode_ops("failure", t->otherwise, t->otherwise_count, out);
    buf_printf(out, "}");
}

/* ---- answers ---- */

static status_t malformed(struct error *err, const char *what)
{
    return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "etcd's answer: %s", what);
}

static json_t *load(const void *text, size_t len)
{
    json_t *root = len <= ETCD_ANSWER_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL)
                                          : NULL;
    if (root != NULL && !json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* What is left out is 0. */
static bool number_of(const json_t *object, const char *name, uint64_t *ret_value)
{
    const json_t *v = json_object_get(object, name);
    *ret_value = 0;
    if (v == NULL) {
        return true;
    }
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *ret_value = (uint64_t)json_integer_value(v);
        return true;
    }
    return json_is_string(v) && parse_u64(json_string_value(v), INT64_MAX, ret_value) == ST_OK;
}

/* With a NUL behind them. *ret_bytes: of the arena. */
static bool bytes_of(const json_t *object, const char *name, size_t max, struct arena *arena,
                     const uint8_t **ret_bytes, size_t *ret_len)
{
    const json_t *v = json_object_get(object, name);
    const char *text = v == NULL ? "" : json_string_value(v);
    size_t chars = text != NULL ? strlen(text) : 1;
    if (chars % 4 != 0 || chars / 4 * 3 > max + 2) {
        return false;
    }
    size_t len = chars / 4 * 3;
    for (size_t i = 0; i < 2 && len > 0 && text[chars - 1 - i] == '='; i++) {
        len--;
    }
    uint8_t *to = arena_alloc(arena, len + 1, 1);
    if (to == NULL || base64_decode(text, len, to) != ST_OK) {
        return false;
    }
    to[len] = '\0';
    *ret_bytes = to;
    *ret_len = len;
    return true;
}

static bool decode_kv(const json_t *o, struct arena *arena, struct etcd_kv *ret_kv)
{
    const uint8_t *key = NULL;
    size_t key_len = 0;
    struct etcd_kv kv = {0};
    if (!json_is_object(o) || !bytes_of(o, "key", ETCD_KEY_MAX, arena, &key, &key_len) ||
        strlen((const char *)key) != key_len || !number_of(o, "create_revision", &kv.created) ||
        !number_of(o, "mod_revision", &kv.changed) ||
        !bytes_of(o, "value", ETCD_ANSWER_MAX, arena, &kv.value, &kv.len)) {
        return false;
    }
    kv.key = (const char *)key;
    *ret_kv = kv;
    return true;
}

/* Nothing is found where there is no range. */
static bool decode_range(const json_t *range, struct arena *arena, struct etcd_range *ret_range)
{
    const json_t *kvs = json_object_get(range, "kvs");
    size_t count = json_array_size(kvs);
    if ((kvs != NULL && !json_is_array(kvs)) || count > ETCD_KVS_MAX) {
        return false;
    }
    ret_range->kvs = arena_alloc(arena, count + 1, sizeof *ret_range->kvs);
    ret_range->count = count;
    bool good = ret_range->kvs != NULL;
    for (size_t i = 0; i < count && good; i++) {
        good = decode_kv(json_array_get(kvs, i), arena, &ret_range->kvs[i]);
    }
    return good;
}

status_t etcd_txn_decode(const void *text, size_t len, struct arena *arena,
                         struct etcd_answer *ret_answer, struct error *err)
{
    struct etcd_answer a = {0};
    json_t *root = load(text, len);
    if (root == NULL) {
        return malformed(err, "no JSON object");
    }
    const json_t *succeeded = json_object_get(root, "succeeded");
    const json_t *responses = json_object_get(root, "responses");
    a.succeeded = json_is_true(succeeded);
    a.count = json_array_size(responses);
    bool good = number_of(json_object_get(root, "header"), "revision", &a.revision) &&
                a.revision > 0 && (succeeded == NULL || json_is_boolean(succeeded)) &&
                (responses == NULL || json_is_array(responses)) && a.count <= ETCD_OPS_MAX;
    for (size_t i = 0; i < a.count && good; i++) {
        const json_t *one = json_array_get(responses, i);
        good = json_is_object(one) &&
               decode_range(json_object_get(one, "response_range"), arena, &a.ranges[i]);
    }
    json_decref(root);
    if (good) {
        *ret_answer = a;
    }
    return good ? ST_OK : malformed(err, "not that of a transaction");
}

status_t etcd_range_decode(const void *text, size_t len, struct arena *arena,
                           struct etcd_range *ret_range, struct error *err)
{
    struct etcd_range range = {0};
    uint64_t revision = 0;
    json_t *root = load(text, len);
    bool good = root != NULL && number_of(json_object_get(root, "header"), "revision", &revision) &&
                revision > 0 && decode_range(root, arena, &range);
    json_decref(root);
    if (good) {
        *ret_range = range;
    }
    return good ? ST_OK : malformed(err, "not that of a range");
}

status_t etcd_lease_decode(const void *text, size_t len, bool kept, uint64_t *ret_id,
                           uint64_t *ret_ttl_s, struct error *err)
{
    uint64_t id = 0, ttl_s = 0;
    json_t *root = load(text, len);
    const json_t *o = kept ? json_object_get(root, "result") : root;
    bool good = json_is_object(o) && number_of(o, "ID", &id) && number_of(o, "TTL", &ttl_s) &&
                id > 0 && ttl_s <= UINT32_MAX;
    json_decref(root);
    if (!good) {
        return malformed(err, "not that of a lease");
    }
    *ret_id = id;
    *ret_ttl_s = ttl_s;
    return ST_OK;
}

/* Codes of gRPC. */
enum {
    GRPC_INVALID = 3,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION = 7,
    GRPC_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_UNAUTHENTICATED = 16
};

status_t etcd_error_decode(unsigned http_status, const void *text, size_t len, struct error *err)
{
    uint64_t code = 0;
    json_t *root = load(text, len);
    const char *said = json_string_value(json_object_get(root, "error"));
    said = said != NULL ? said : json_string_value(json_object_get(root, "message"));
    said = said != NULL ? said : "";
    status_t st = ST_AGAIN;
    if (!number_of(root, "code", &code)) {
        code = 0;
    }
    if (code == GRPC_EXHAUSTED && strstr(said, "space exceeded") != NULL) {
        st = ST_LIMIT;
    } else if (code == GRPC_NOT_FOUND) {
        st = ST_NOTFOUND;
    } else if (code == GRPC_INVALID || code == GRPC_UNIMPLEMENTED || http_status == 404) {
        st = ST_INVAL;
    } else if (code == GRPC_PERMISSION || code == GRPC_UNAUTHENTICATED || http_status == 401 ||
               http_status == 403) {
        st = ST_PERM;
    }
    error_set(err, st, ERROR_NO_OFFSET, "etcd answers %u%s%.150s", http_status,
              said[0] != '\0' ? ": " : "", said);
    json_decref(root);
    return st;
}
