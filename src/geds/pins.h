#ifndef GEDS_PINS_H
#define GEDS_PINS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/status.h"

enum { PIN_CHAINS = 1024 };

/* Extents that someone reads, so that their files stay after the last name is gone. Any thread. */
struct pins {
    pthread_mutex_t lock;
    struct pin *chains[PIN_CHAINS]; /* guarded by lock */
};

CHECKED status_t pins_init(struct pins *p, struct error *err);
void pins_done(struct pins *p);
/* Counted. false: out of memory. */
CHECKED bool pins_add(struct pins *p, uint64_t id);
bool pins_has(struct pins *p, uint64_t id);
/* true: this was the last pin of an extent that pins_drop was called for; it can go now. */
bool pins_remove(struct pins *p, uint64_t id);
/* The last name of an extent is gone. true: nobody reads it, it can go now. */
bool pins_drop(struct pins *p, uint64_t id);

#endif
