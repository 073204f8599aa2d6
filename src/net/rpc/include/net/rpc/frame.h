#ifndef NET_RPC_FRAME_H
#define NET_RPC_FRAME_H

#include "base/buf.h"
#include "base/cursor.h"

/* Frames of the store's protocol (docs/internals/geds-wire.md). */

enum {
    RPC_VERSION = 1,
    RPC_HEADER_BYTES = 36,
    RPC_ARGS_MAX = 64 * 1024,   /* bytes */
    RPC_DATA_MAX = 1024 * 1024, /* bytes */
    RPC_HELLO = 0,              /* the kind that is not an operation */
    RPC_HELLO_MAX = 1024,       /* bytes of its args */
    RPC_TOKEN_MAX = 128,        /* characters of a token */
};
enum { RPC_ANSWER = 1, RPC_MORE = 2 }; /* flags */

struct rpc_frame {
    uint32_t args_bytes;
    uint32_t data_bytes;
    uint32_t id;
    uint32_t lane;
    uint32_t room;
    uint16_t kind;
    uint16_t flags;
    uint32_t args_crc;
    uint32_t data_crc;
};

void rpc_frame_encode(const struct rpc_frame *f, uint8_t ret_head[RPC_HEADER_BYTES]);
/* ST_CORRUPT: a checksum is wrong. ST_INVALID: against a limit. */
CHECKED status_t rpc_frame_decode(const uint8_t head[RPC_HEADER_BYTES], struct rpc_frame *ret_frame,
                                  struct error *err);

/* Args of HELLO. */
void rpc_hello_encode(uint16_t lowest, uint16_t highest, struct buf *out);
CHECKED status_t rpc_hello_decode(const void *args, size_t len, uint16_t *ret_lowest,
                                  uint16_t *ret_highest, struct error *err);

/* Behind these may stand a token (buf_text) that says what the client may do. NULL: there is none. Borrows args.
 * ST_FORMAT. */
CHECKED status_t rpc_hello_token(const void *args, size_t len, const char **ret_token,
                                 struct error *err);

/* What answers begin with. Numbers of the protocol, not those of status_t. */
uint16_t rpc_code_of(status_t st);
status_t rpc_status_of(uint16_t code); /* ST_IO for an unknown one */
/* st ST_OK: err is not looked at, and the results are to be appended. */
void rpc_result_encode(status_t st, const struct error *err, struct buf *out);
/* Append the whole frame that answers a hello which is refused. */
void rpc_refusal_encode(const struct error *err, struct buf *out);
/* Take that from the cursor: the status of the answer, or ST_CORRUPT when it is malformed. */
CHECKED status_t rpc_result_decode(struct cursor *c, struct error *err);

#endif
