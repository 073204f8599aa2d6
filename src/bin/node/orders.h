#ifndef BIN_NODE_ORDERS_H
#define BIN_NODE_ORDERS_H

#include "geds/shelf/shelf.h"
#include "link.h"

/* What a controller asks: some threads do it, and answer. */

enum { ORDERS_MAX = 16, ORDER_THREADS = 4 };

struct orders;
CHECKED status_t orders_new(struct orders **ret_orders, struct error *err);
/* Takes NULL. */
void orders_free(struct orders *o);
/* Of this link and shelf from now on. Both stay until orders_end. */
void orders_begin(struct orders *o, struct link *l, struct shelf *s);
/* None is being worked at any more when it returns; those that wait are dropped. */
void orders_end(struct orders *o);
/* Copies data. ST_INVALID: more than ORDERS_MAX, or it is none. */
CHECKED status_t orders_add(struct orders *o, const uint64_t numbers[GEDS_NUMBERS_MAX],
                            const void *data, size_t len, struct error *err);

#endif
