#ifndef GEDS_REMOTE_ANSWER_H
#define GEDS_REMOTE_ANSWER_H

#include "geds/remote/remote.h"

/* What servers answer, read without trust: every text that is kept has a limit, and what is
 * longer or of another form is as if it were not there, unless it is said otherwise. */

enum {
    ANSWER_MARK_BYTES = 33, /* of the mark that a conditional PUT leaves, with its NUL */
    ANSWER_ID_BYTES = 72,
    ANSWER_CODE_BYTES = 48,
    ANSWER_TEXT_BYTES = 160,
    ANSWER_RETRY_S_MAX = 7 * 24 * 3600
};
#define ANSWER_MARK "x-amz-meta-cloudskin-put"

struct answer_head {
    unsigned status;
    uint64_t length; /* UINT64_MAX: not said */
    bool has_range;  /* Content-Range: bytes first-last/total */
    uint64_t range_first;
    uint64_t range_last;
    uint64_t range_total;
    char etag[REMOTE_TAG_BYTES];
    bool tag_is_opaque; /* encrypted by a key that the server asks for: the tag is no MD5 */
    uint64_t modified_s;
    char content_type[REMOTE_CONTENT_TYPE_BYTES];
    bool has_crc32c; /* of the whole object, or of the part that was sent */
    uint32_t crc32c;
    bool has_retry;
    uint64_t retry_s; /* seconds to wait; or since the epoch, if retry_is_date */
    bool retry_is_date;
    char mark[ANSWER_MARK_BYTES];
    char request_id[ANSWER_ID_BYTES];
    char location[ANSWER_TEXT_BYTES];
};

/* Take a line of a header, with or without its end of line. A status line begins anew. True: it
 * is name and value, which are copied to the caller's line of len + 1 bytes, with a NUL behind
 * each. */
bool answer_line(struct answer_head *h, const char *data, size_t len, char *line,
                 const char **ret_name, const char **ret_value);
/* A copy of s, cut to size, in which control characters are blanks. */
void answer_copy(char *to, size_t size, const char *s);

/* <Error>. False: it is something else. */
struct answer_error {
    char code[ANSWER_CODE_BYTES];
    char message[ANSWER_TEXT_BYTES];
    char request_id[ANSWER_ID_BYTES];
};
bool answer_error(const void *data, size_t len, struct answer_error *ret_error);

/* These: ST_FORMAT not what it should be; ST_LIMIT; ST_NOMEM. */

/* A page of version 2 of the list. prefix: that of the client, which is cut off. query: as it
 * was asked, with its max. */
CHECKED status_t answer_page(const void *data, size_t len, const char *prefix,
                             const struct remote_list_query *query, struct remote_page *ret_page,
                             struct error *err);
/* What happened to each of count keys, which are in ascending order. A key that is not named has
 * ST_FORMAT. */
CHECKED status_t answer_deleted(const void *data, size_t len, const char *const *keys, size_t count,
                                status_t *ret_results, struct error *err);
CHECKED status_t answer_upload_id(const void *data, size_t len, char *ret_id, size_t size,
                                  struct error *err);
CHECKED status_t answer_completed(const void *data, size_t len, char ret_etag[REMOTE_TAG_BYTES],
                                  struct error *err);

struct answer_part {
    uint64_t size;
    char etag[REMOTE_TAG_BYTES];
    bool there;
    bool listed; /* by the server, and not compared yet */
};
/* Parts behind number `after`, into parts[number - 1]; others than 1..count are left out.
 * *ret_next: where the next page begins, more than after; 0: this is the last one. */
CHECKED status_t answer_parts(const void *data, size_t len, unsigned after,
                              struct answer_part *parts, unsigned count, unsigned *ret_next,
                              struct error *err);

/* Has the tag the form of an MD5? */
bool answer_tag_is_md5(const char *etag);
/* The status that a code of S3 means, ST_OK if it is not known. *ret_again: another try may
 * help. */
status_t answer_code_status(const char *code, bool *ret_again);

#endif
