#ifndef GEDS_REPLICA_H
#define GEDS_REPLICA_H

#include "patch.h"
#include "sharing.h"

struct replica {
    struct store *store; /* without its writer */
    struct patch_schema schema;
};

/* Entry index here is another one than in the log. Returns code; the text says what can be done about it. */
status_t replica_other_history(const struct store *s, status_t code, uint64_t index,
                               struct error *err);

#endif
