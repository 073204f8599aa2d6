#ifndef CELL_RUN_STATE_PARTS_H
#define CELL_RUN_STATE_PARTS_H

#include "cell.h"

/* What saving (state.c) and loading (load.c) share. */

enum { STATE_VERSION = 1 };

/* By which exceptions know the tag. */
static inline const void *state_tag_identity(const struct instance *inst, uint32_t tag)
{
    return *(const void *const *)instance_at(inst, inst->prog->layout.tag_off[tag]);
}

#endif
