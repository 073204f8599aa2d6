#ifndef GEDS_OBJECT_H
#define GEDS_OBJECT_H

#include "row.h"

/* Of an open object: its extents, valid until the close. An inline one has one, whose bytes are
 * in its row. */
const struct layout *object_layout(const struct store_object *o);
bool object_is_inline(const struct store_object *o);

#endif
