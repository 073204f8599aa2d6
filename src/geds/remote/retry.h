#ifndef GEDS_REMOTE_RETRY_H
#define GEDS_REMOTE_RETRY_H

#include "answer.h"

/* What an outcome of a request means, and how long to wait before the next try. */

struct verdict {
    status_t st;  /* ST_OK: it has worked */
    bool again;   /* another try may help */
    bool unknown; /* the change may have taken place all the same */
};

/* Of an answer that came whole. error: NULL where the body was none. */
struct verdict retry_of_answer(const struct answer_head *head, const struct answer_error *error);
/* Of a CURLcode that is not CURLE_OK. */
struct verdict retry_of_transport(int code);

/* What somebody can do about it, or NULL. */
const char *retry_advice(unsigned status, const char *code);

/* Nanoseconds before the next try, tries having been made. random: any bits. now_s: since the
 * epoch. */
uint64_t retry_wait_ns(const struct remote_options *o, unsigned tries,
                       const struct answer_head *head, uint64_t random, uint64_t now_s);

#endif
