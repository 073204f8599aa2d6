#include <string.h>

#include "conn.h"

/* Between the public forms and those of the wire. */

enum geds_code give_error(status_t st, const struct error *from, struct geds_error *to)
{
    enum geds_code code = (enum geds_code)rpc_code_of(st); /* the same numbers */
    if (st != ST_OK && to != NULL) {
        to->code = code;
        to->offset = from->offset;
        snprintf(to->text, sizeof to->text, "%s", from->text);
    }
    return code;
}

void give_info(const struct geds_wire_info *from, struct geds_info *to)
{
    if (to != NULL) {
        *to = (struct geds_info){
            .size = from->size, .modified_ns = from->modified_ns, .encrypted = from->encrypted};
        snprintf(to->etag, sizeof to->etag, "%s", from->etag);
    }
}

struct geds_wire_condition take_condition(const struct geds_condition *c)
{
    return c == NULL ? (struct geds_wire_condition){0}
                     : (struct geds_wire_condition){.if_none = c->if_none, .if_match = c->if_match};
}

status_t take_attributes(const struct geds_attributes *a, struct geds_wire_pair *pairs,
                         struct geds_wire_attributes *ret_attributes, struct error *err)
{
    *ret_attributes = (struct geds_wire_attributes){0};
    if (a == NULL) {
        return ST_OK;
    }
    if (a->count > GEDS_WIRE_ATTRIBUTES_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "at most %d attributes",
                         GEDS_WIRE_ATTRIBUTES_MAX);
    }
    size_t bytes = a->content_type != NULL ? strlen(a->content_type) : 0;
    for (size_t i = 0; i < a->count; i++) {
        pairs[i] = (struct geds_wire_pair){.name = a->pairs[i].name, .value = a->pairs[i].value};
        bytes += strlen(pairs[i].name) + strlen(pairs[i].value);
    }
    if (bytes > GEDS_WIRE_VALUE_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "attributes of more than %d bytes",
                         GEDS_WIRE_VALUE_MAX);
    }
    *ret_attributes = (struct geds_wire_attributes){
        .given = true, .content_type = a->content_type, .pairs = pairs, .count = a->count};
    return ST_OK;
}

status_t check_names(const char *bucket, const char *key, struct error *err)
{
    if (strlen(bucket) > GEDS_BUCKET_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a bucket's name has at most %d bytes",
                         GEDS_BUCKET_MAX);
    }
    if (key != NULL && (key[0] == '\0' || strlen(key) > GEDS_KEY_MAX)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a key has 1 to %d bytes", GEDS_KEY_MAX);
    }
    return ST_OK;
}
