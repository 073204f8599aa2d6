#include "changes.h"

#include <stdlib.h>

#include "impl.h"

status_t change_note(struct batch *b, enum store_event_kind kind, const struct bucket_ref *bucket,
                     const char *key, const struct store_info *info, struct error *err)
{
    struct changes *c = &b->changes;
    if (c->count == c->cap) {
        size_t cap = c->cap != 0 ? 2 * c->cap : 16;
        struct store_event *grown = realloc(c->of, cap * sizeof *grown);
        if (grown == NULL) {
            return no_memory(err);
        }
        c->of = grown;
        c->cap = cap;
    }
    struct store_event *e = &c->of[c->count++];
    *e = (struct store_event){.kind = kind, .bucket = bucket->name, .key = key};
    if (info != NULL) {
        e->info = *info;
    }
    return ST_OK;
}

struct store_event *changes_last(struct batch *b)
{
    return &b->changes.of[b->changes.count - 1];
}

void changes_join(struct batch *b, size_t mark)
{
    struct changes *c = &b->changes;
    c->of[mark] = c->of[c->count - 1];
    c->count = mark + 1;
}

void changes_done(struct changes *c)
{
    free(c->of);
    *c = (struct changes){0};
}
