#ifndef CLIENT_OBJECT_H
#define CLIENT_OBJECT_H

#include "content.h"

/* An open object. Immutable. */
struct geds_object {
    struct geds *store;
    uint32_t handle; /* 0: content has all of it */
    struct content *content;
};

#endif
