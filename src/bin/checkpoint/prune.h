#ifndef CHECKPOINT_PRUNE_H
#define CHECKPOINT_PRUNE_H

#include <stdint.h>

#include "base/status.h"

/* Keep the newest `keep` checkpoints of a folder, the snapshots that they are increments on, and the before-images
 * that lead back to them; remove the rest. Interrupted at any place, those are good. A snapshot that cannot be read
 * ends it before anything is removed. ST_CORRUPT, ST_FORMAT, ST_UNSUPPORTED, ST_IO, ST_NOMEM. */
CHECKED status_t prune(int folder_fd, uint32_t keep, struct error *err);

#endif
