#ifndef GEDS_REMOTE_UPLOAD_H
#define GEDS_REMOTE_UPLOAD_H

#include "geds/remote/remote.h"

/* A multipart upload that outlives its client: keep its id, and go on after a restart. One
 * thread at a time; errors as in geds/remote/remote.h, and ST_NOTFOUND: the server does not know
 * the upload any more. */

enum { REMOTE_PARTS_MAX = 10000, REMOTE_UPLOAD_ID_BYTES = 1025 };

struct remote_upload;

/* Begin to upload an object of size bytes. headers as in remote_put_options. A try whose answer
 * was lost may leave an upload behind that nobody knows: let the bucket have a rule that aborts
 * old ones. r outlives the upload. ST_LIMIT: size is more than REMOTE_PARTS_MAX parts of 5 GiB. */
CHECKED status_t remote_upload_begin(struct remote *r, const char *key, uint64_t size,
                                     const struct http_header *headers, size_t header_count,
                                     const struct remote_call *call,
                                     struct remote_upload **ret_upload, struct error *err);
/* Go on with one that was begun, perhaps by another process, with the same size and
 * options.part_bytes: ask which parts the server has. They are compared with the source by
 * remote_upload_send. ST_NOTFOUND: it was aborted, or completed: remote_head tells which. */
CHECKED status_t remote_upload_resume(struct remote *r, const char *key, uint64_t size,
                                      const char *id, const struct remote_call *call,
                                      struct remote_upload **ret_upload, struct error *err);
/* Lives as long as the upload. */
const char *remote_upload_id(const struct remote_upload *u);
/* How many parts there are, and how many bytes of them the server has acknowledged. */
unsigned remote_upload_parts(const struct remote_upload *u);
uint64_t remote_upload_sent_bytes(const struct remote_upload *u);

/* Send all parts that the server does not have with these bytes, some in parallel. After an
 * error those that were acknowledged stay, and it can be called again. ST_INVAL: the source has
 * another size. ST_CORRUPT as in remote_put. */
CHECKED status_t remote_upload_send(struct remote_upload *u, const struct remote_source *source,
                                    const struct remote_call *call, struct error *err);
/* Make the object of its parts, when all are sent (else ST_INVAL). condition: if_none and if_match of
 * it; may be NULL, as ret_info may. A second call after ST_AGAIN is fine. ST_CORRUPT: the object is
 * there, but its entity tag is not the one that its parts give. */
CHECKED status_t remote_upload_complete(struct remote_upload *u,
                                        const struct remote_put_options *condition,
                                        const struct remote_call *call,
                                        struct remote_info *ret_info, struct error *err);
/* Let the server drop the parts. One that it does not know is fine. */
CHECKED status_t remote_upload_abort(struct remote_upload *u, const struct remote_call *call,
                                     struct error *err);
/* Only forgets it here. Takes NULL. */
void remote_upload_free(struct remote_upload *u);

#endif
