#include <stdlib.h>

#include "conn.h"

/* Master keys of the store, and what is encrypted. */

enum { KEYS_ROOM = 64 * 1024, KEY_WIRE_BYTES = 17 };

static status_t take_keys(const struct pending *p, struct geds_key **ret_keys, size_t *ret_count,
                          struct error *err)
{
    struct cursor c;
    struct geds_wire_key k = {0};
    size_t count = 0;
    struct geds_key *keys = calloc(p->data_len / KEY_WIRE_BYTES + 1, sizeof *keys);
    if (keys == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    cursor_init(&c, p->data, p->data_len, 0);
    while (cursor_left(&c) > 0 && geds_key_decode(&c, &k)) {
        keys[count++] = (struct geds_key){.id = k.id,
                                          .extents = k.extents,
                                          .is_there = (k.flags & GEDS_KEY_THERE) != 0,
                                          .is_newest = (k.flags & GEDS_KEY_NEWEST) != 0};
    }
    status_t st = cursor_status(&c, ST_CORRUPT, err);
    if (st != ST_OK) {
        free(keys);
        return st;
    }
    *ret_keys = keys;
    *ret_count = count;
    return ST_OK;
}

enum geds_code geds_keys(struct geds *g, struct geds_key **ret_keys, size_t *ret_count,
                         struct geds_error *err)
{
    static const struct geds_request none;
    struct pending p = {.room = KEYS_ROOM, .data = malloc(KEYS_ROOM)};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    uint8_t *data = p.data;
    status_t st = data != NULL ? ST_OK
                               : error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_KEYS_LIST, &none, NULL, &arena, &a, &inner);
        if (st == ST_OK) {
            st = take_keys(&p, ret_keys, ret_count, &inner);
        }
        pending_done(&p);
    }
    free(data);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

struct watcher {
    void (*progress)(void *arg, uint64_t rewrapped);
    void *arg;
};

static void hear(void *arg, const struct answer_part *part)
{
    const struct watcher *w = arg;
    struct cursor c;
    cursor_init(&c, part->data, part->len, 0);
    uint64_t done = cursor_le64(&c);
    if (w->progress != NULL && !c.failed) {
        w->progress(w->arg, done);
    }
}

enum geds_code geds_keys_rotate(struct geds *g, void (*progress)(void *arg, uint64_t rewrapped),
                                void *arg, struct geds_rotation *ret_rotation,
                                struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct watcher w = {progress, arg};
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct geds_request r = {.flags = GEDS_KEYS_ROTATE};
    client_send(g, &p, GEDS_KEYS_CHANGE, &r, NULL);
    status_t st = client_wait(g, &p, hear, &w, &inner);
    if (st == ST_OK) {
        st = pending_decode(&p, GEDS_KEYS_CHANGE, &arena, &a, &inner);
    }
    if (st == ST_OK) {
        *ret_rotation = (struct geds_rotation){.id = a.numbers[GEDS_N_KEY],
                                               .rewrapped = a.numbers[GEDS_N_REWRAPPED],
                                               .missing = a.numbers[GEDS_N_KEYLESS]};
    }
    pending_done(&p);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_key_drop(struct geds *g, uint64_t id, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct geds_request r = {.flags = GEDS_KEYS_DROP, .offset = id};
    status_t st = client_call(g, &p, GEDS_KEYS_CHANGE, &r, NULL, &arena, &a, &inner);
    pending_done(&p);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_bucket_set_encrypt(struct geds *g, const char *bucket, bool encrypt,
                                       struct geds_error *err)
{
    uint64_t unused;
    return client_rule(g, GEDS_BUCKET_ENCRYPT, bucket, encrypt ? GEDS_ENCRYPT_ON : GEDS_ENCRYPT_OFF,
                       &unused, err);
}

enum geds_code geds_bucket_encrypt(struct geds *g, const char *bucket, bool *ret_encrypt,
                                   struct geds_error *err)
{
    uint64_t rule = 0;
    enum geds_code code = client_rule(g, GEDS_BUCKET_ENCRYPT, bucket, GEDS_ENCRYPT_ASK, &rule, err);
    if (code == GEDS_OK) {
        *ret_encrypt = rule != 0;
    }
    return code;
}
