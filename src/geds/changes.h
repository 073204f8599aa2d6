#ifndef GEDS_CHANGES_H
#define GEDS_CHANGES_H

#include "geds/store.h"

struct batch;
struct bucket_ref;

/* What the changes of a batch do to names, in order. Texts are those of its tasks, so they stay until these are
 * answered. The writer's thread. Zeroed memory is empty. */
struct changes {
    struct store_event *of;
    size_t count;
    size_t cap;
};
/* info NULL: nothing has the name any more. ST_NOMEM. */
CHECKED status_t change_note(struct batch *b, enum store_event_kind kind,
                             const struct bucket_ref *bucket, const char *key,
                             const struct store_info *info, struct error *err);
/* The one that was noted last; there is one. */
struct store_event *changes_last(struct batch *b);
/* Those from number mark on were one: the last one stays. */
void changes_join(struct batch *b, size_t mark);
void changes_done(struct changes *c);

#endif
