#include "use.h"

void store_set_uses(struct store *s, const struct store_uses *uses)
{
    s->uses = *uses;
}

void uses_note(struct store *s, uint64_t bucket, uint64_t extent, bool reads)
{
    if (s->uses.used != NULL) {
        s->uses.used(s->uses.arg, bucket, extent, reads);
    }
}

void uses_gone(struct store *s, uint64_t extent, bool damaged)
{
    if (s->uses.gone != NULL) {
        s->uses.gone(s->uses.arg, extent, damaged);
    }
}

void uses_written(struct batch *b)
{
    const struct store_uses *u = &b->store->uses;
    for (size_t i = 0; u->written != NULL && i + 1 < b->warm.count; i += 2) {
        u->written(u->arg, b->warm.ids[i], b->warm.ids[i + 1]);
    }
}

void uses_add(struct batch *b, uint64_t bucket, uint64_t extent)
{
    if (bucket != 0 && ids_add(&b->warm, bucket) && !ids_add(&b->warm, extent)) {
        b->warm.count--;
    }
}

uint64_t uses_bucket(const struct bucket_ref *bucket)
{
    return bucket->memory ? bucket->id : 0;
}

struct memory_task {
    struct task task;
    const char *bucket;
    bool memory;
    uint64_t id; /* of the bucket */
};

static status_t set_memory(struct batch *b, struct task *task, struct error *err)
{
    struct memory_task *t = (struct memory_task *)task;
    struct bucket_ref bucket = {0};
    status_t st = bucket_find(b->db, t->bucket, &bucket, err);
    t->id = bucket.id;
    return st == ST_OK ? db_do(b->db, SQL_BUCKET_MEMORY, err, "ii", bucket.id, (uint64_t)t->memory)
                       : st;
}

status_t store_bucket_set_memory(struct store *s, const char *bucket, bool memory,
                                 struct error *err)
{
    struct memory_task t = {.task = {.run = set_memory}, .bucket = bucket, .memory = memory};
    status_t st = store_change(s, &t.task, err);
    if (st == ST_OK && !memory && s->uses.unwanted != NULL) {
        s->uses.unwanted(s->uses.arg, t.id);
    }
    return st;
}

status_t store_bucket_memory(struct store *s, const char *bucket, bool *ret_memory,
                             struct error *err)
{
    struct bucket_ref ref = {0};
    status_t st = bucket_look(s, bucket, &ref, err);
    if (st == ST_OK) {
        *ret_memory = ref.memory;
    }
    return st;
}

status_t store_bucket_number(struct store *s, const char *bucket, uint64_t *ret_number,
                             struct error *err)
{
    struct bucket_ref ref = {0};
    status_t st = bucket_look(s, bucket, &ref, err);
    if (st == ST_OK) {
        *ret_number = ref.id;
    }
    return st;
}
