#ifndef BIN_NODE_LINK_H
#define BIN_NODE_LINK_H

#include <pthread.h>

#include "base/buf.h"
#include "net/rpc/frame.h"
#include "proto/geds.h"

/* The connection to a controller: frames of the store's protocol. */

struct link {
    int fd;
    uint32_t last_id; /* guarded by send_lock */
    pthread_mutex_t send_lock;
    uint8_t *args, *data; /* room for a frame that is read; the reader's */
};

/* address: NULL: that of this machine. Says hello, with the token of the environment. ST_NOTFOUND, ST_AGAIN, ST_IO:
 * it may be there later. */
CHECKED status_t link_open(const char *address, struct link *ret_link, struct error *err);
void link_close(struct link *l);

/* Any thread. room: for the data of answers. */
CHECKED status_t link_send(struct link *l, enum geds_op op, const struct geds_request *r,
                           uint32_t room, const void *data, size_t len, struct error *err);

struct frame {
    struct rpc_frame head;
    struct cursor args; /* behind the code, which was that of success */
    const uint8_t *data;
    status_t status; /* as the answer says, and err is */
};
/* The next one; it is valid until the next call. ST_IO: the connection is over. ST_CORRUPT. */
CHECKED status_t link_read(struct link *l, struct frame *ret_frame, struct error *err);

#endif
