#ifndef CLIENT_OBJECT_H
#define CLIENT_OBJECT_H

#include "conn.h"

/* An open object. Immutable. */
struct geds_object {
    struct geds *store;
    uint32_t handle;
    struct geds_info info;
    struct geds_attributes attributes;
    struct geds_attribute *pairs;
    struct pending opened; /* its args have the attributes' texts */
    struct arena arena;
    uint8_t *first; /* bytes that came along */
    size_t first_bytes;
};

#endif
