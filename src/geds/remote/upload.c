#include "geds/remote/upload.h"

#include <string.h>

#include "geds/s3/xml.h"
#include "impl.h"

/* Multipart uploads. */

enum { ROUND_BYTES = 1 << 20 };
#define PART_BYTES_MAX (UINT64_C(5) << 30)

struct remote_upload {
    struct remote *r;
    char *key;
    char id[REMOTE_UPLOAD_ID_BYTES];
    uint64_t size;
    uint64_t part_bytes;
    unsigned count;
    struct answer_part *parts;
    bool unknown; /* a try to complete it may have had its effect */

    /* While parts are sent. */
    const struct remote_source *source;
    struct transfer *slots;
    char (*numbers)[8]; /* of each slot's part */
    unsigned slot_count;
    unsigned next;
    struct call *call;
};

bool upload_needed(const struct remote *r, uint64_t size)
{
    return size > r->o.part_bytes;
}

static uint64_t choose_part_bytes(uint64_t wanted, uint64_t size)
{
    uint64_t least = size / REMOTE_PARTS_MAX + (size % REMOTE_PARTS_MAX != 0);
    if (wanted >= least)
        return wanted;
    return (least + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
}

static status_t upload_new(struct remote *r, const char *key, uint64_t size,
                           struct remote_upload **ret_upload, struct error *err)
{
    status_t st = request_check_key(r, key, err);
    if (st != ST_OK)
        return st;
    uint64_t part = size <= PART_BYTES_MAX * REMOTE_PARTS_MAX
                        ? choose_part_bytes(r->o.part_bytes, size)
                        : UINT64_MAX;
    if (part > PART_BYTES_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                         "%llu bytes are more than %d parts of 5 GiB", (unsigned long long)size,
                         REMOTE_PARTS_MAX);
    struct remote_upload *u = calloc(1, sizeof *u);
    if (u) {
        u->r = r;
        u->size = size;
        u->part_bytes = part;
        u->count = size == 0 ? 1 : (unsigned)(size / part + (size % part != 0));
        u->key = strdup(key);
        u->parts = calloc(u->count, sizeof *u->parts);
    }
    if (!u || !u->key || !u->parts) {
        remote_upload_free(u);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for an upload");
    }
    *ret_upload = u;
    return ST_OK;
}

void remote_upload_free(struct remote_upload *u)
{
    if (!u)
        return;
    free(u->key);
    free(u->parts);
    free(u);
}

const char *remote_upload_id(const struct remote_upload *u)
{
    return u->id;
}

unsigned remote_upload_parts(const struct remote_upload *u)
{
    return u->count;
}

static uint64_t part_len(const struct remote_upload *u, unsigned i)
{
    uint64_t off = i * u->part_bytes;
    return u->size - off < u->part_bytes ? u->size - off : u->part_bytes;
}

uint64_t remote_upload_sent_bytes(const struct remote_upload *u)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < u->count; i++)
        bytes += u->parts[i].there ? part_len(u, i) : 0;
    return bytes;
}

/* Begin, resume */

static status_t begin(struct call *c, struct remote_upload *u, const struct http_header *headers,
                      size_t header_count, struct error *err)
{
    struct transfer t = {.method = "POST", .key = u->key, .body_max = SMALL_BODY_MAX};
    for (size_t i = 0; i < header_count; i++)
        transfer_header(&t, headers[i].name, headers[i].value);
    transfer_query(&t, "uploads", "");
    status_t st = exchange_one(c, &t, err);
    if (st == ST_OK)
        st = answer_upload_id(t.body.data, t.body.len, u->id, sizeof u->id, err);
    else if (st == ST_NOTFOUND)
        st = object_failed(c, &t, st, err);
    transfer_done(&t);
    return st;
}

status_t remote_upload_begin(struct remote *r, const char *key, uint64_t size,
                             const struct http_header *headers, size_t header_count,
                             const struct remote_call *call, struct remote_upload **ret_upload,
                             struct error *err)
{
    struct remote_upload *u = NULL;
    struct call c;
    status_t st = request_check_headers(headers, header_count, err);
    if (st == ST_OK)
        st = upload_new(r, key, size, &u, err);
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st == ST_OK) {
        st = begin(&c, u, headers, header_count, err);
        call_end(&c);
    }
    if (st == ST_OK)
        *ret_upload = u;
    else
        remote_upload_free(u);
    return st;
}

static status_t list_parts(struct call *c, struct remote_upload *u, struct error *err)
{
    unsigned after = 0;
    status_t st = ST_OK;
    do {
        struct transfer t = {.method = "GET", .key = u->key, .body_max = XML_BYTES_MAX};
        char marker[16];
        snprintf(marker, sizeof marker, "%u", after);
        transfer_query(&t, "uploadId", u->id);
        transfer_query(&t, "part-number-marker", marker);
        st = exchange_one(c, &t, err);
        if (st == ST_OK)
            st = answer_parts(t.body.data, t.body.len, after, u->parts, u->count, &after, err);
        else
            st = object_failed(c, &t, st, err);
        transfer_done(&t);
    } while (st == ST_OK && after != 0);
    return st;
}

status_t remote_upload_resume(struct remote *r, const char *key, uint64_t size, const char *id,
                              const struct remote_call *call, struct remote_upload **ret_upload,
                              struct error *err)
{
    struct remote_upload *u = NULL;
    struct call c;
    if (*id == '\0' || strlen(id) >= REMOTE_UPLOAD_ID_BYTES)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "the id of an upload is empty or too long");
    status_t st = upload_new(r, key, size, &u, err);
    if (st != ST_OK)
        return st;
    memcpy(u->id, id, strlen(id) + 1);
    st = call_begin(&c, r, call, err);
    if (st == ST_OK) {
        st = list_parts(&c, u, err);
        call_end(&c);
    }
    for (unsigned i = 0; i < u->count; i++)
        u->parts[i].listed = u->parts[i].there;
    if (st == ST_OK)
        *ret_upload = u;
    else
        remote_upload_free(u);
    return st;
}

/* Sending */

/* Has the server the bytes of a part that it listed? */
static status_t compare(struct remote_upload *u, unsigned i, bool *ret_same, struct error *err)
{
    const struct answer_part *p = &u->parts[i];
    uint8_t digest[MD5_BYTES];
    char text[MD5_BYTES * 2 + 1];
    struct md5 md5;
    uint8_t *piece = session_piece(u->call->s);
    uint64_t off = i * u->part_bytes, len = part_len(u, i);
    *ret_same = false;
    if (p->size != len || !answer_tag_is_md5(p->etag))
        return ST_OK;
    if (!piece)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request");
    md5_init(&md5);
    for (uint64_t done = 0; done < len;) {
        size_t n = len - done < PIECE_BYTES ? (size_t)(len - done) : PIECE_BYTES;
        if (call_cancelled(u->call))
            return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "cancelled");
        status_t st = u->source->read(u->source->arg, off + done, piece, n, err);
        if (st != ST_OK)
            return st;
        md5_update(&md5, piece, n);
        done += n;
    }
    md5_final(&md5, digest);
    for (size_t k = 0; k < MD5_BYTES; k++)
        snprintf(text + 2 * k, 3, "%02x", digest[k]);
    *ret_same = strcmp(text, p->etag) == 0;
    return ST_OK;
}

/* The next part that has to be sent; u->count: none. */
static status_t skip_to_missing(struct remote_upload *u, struct error *err)
{
    for (; u->next < u->count; u->next++) {
        struct answer_part *p = &u->parts[u->next];
        if (p->there && p->listed) {
            status_t st = compare(u, u->next, &p->there, err);
            if (st != ST_OK)
                return st;
            p->listed = false;
        }
        if (!p->there)
            return ST_OK;
    }
    return ST_OK;
}

static status_t next_part(void *arg, struct transfer **ret_transfer, struct error *err)
{
    struct remote_upload *u = arg;
    status_t st = skip_to_missing(u, err);
    *ret_transfer = NULL;
    for (unsigned i = 0; st == ST_OK && u->next < u->count && i < u->slot_count; i++) {
        struct transfer *t = &u->slots[i];
        if (t->method)
            continue;
        t->method = "PUT";
        t->key = u->key;
        t->source = u->source;
        t->source_off = u->next * u->part_bytes;
        t->source_len = part_len(u, u->next);
        t->body_max = SMALL_BODY_MAX;
        t->accept = object_check_sent;
        snprintf(u->numbers[i], sizeof u->numbers[i], "%u", u->next + 1);
        transfer_query(t, "partNumber", u->numbers[i]);
        transfer_query(t, "uploadId", u->id);
        u->next++;
        *ret_transfer = t;
        break;
    }
    return st;
}

static status_t done_part(void *arg, struct transfer *t, struct error *err)
{
    struct remote_upload *u = arg;
    struct answer_part *p = &u->parts[t->source_off / u->part_bytes];
    (void)err;
    p->there = true;
    p->size = t->source_len;
    memcpy(p->etag, t->head.etag, sizeof p->etag);
    transfer_done(t);
    memset(t, 0, sizeof *t);
    return ST_OK;
}

static status_t send_parts(struct call *c, struct remote_upload *u,
                           const struct remote_source *source, struct error *err)
{
    const struct feed feed = {next_part, done_part, u};
    if (source->size != u->size)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "the source has another size");
    u->call = c;
    u->source = source;
    u->next = 0;
    u->slot_count = c->r->o.parallel;
    u->slots = calloc(u->slot_count, sizeof *u->slots);
    u->numbers = calloc(u->slot_count, sizeof *u->numbers);
    status_t st = ST_NOMEM;
    if (u->slots && u->numbers)
        st = exchange_run(c, &feed, u->slot_count, err);
    else
        error_set(err, st, ERROR_NO_OFFSET, "no memory for requests");
    for (unsigned i = 0; u->slots && i < u->slot_count; i++)
        transfer_done(&u->slots[i]);
    free(u->slots);
    free(u->numbers);
    u->slots = NULL;
    u->numbers = NULL;
    return st;
}

status_t remote_upload_send(struct remote_upload *u, const struct remote_source *source,
                            const struct remote_call *call, struct error *err)
{
    struct call c;
    status_t st = call_begin(&c, u->r, call, err);
    if (st != ST_OK)
        return st;
    st = send_parts(&c, u, source, err);
    call_end(&c);
    return st;
}

/* Completing */

static status_t make_list(const struct remote_upload *u, struct buf *xml, struct error *err)
{
    buf_printf(xml, "<CompleteMultipartUpload "
                    "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (unsigned i = 0; i < u->count; i++) {
        if (!u->parts[i].there || u->parts[i].listed)
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "part %u has not been sent", i + 1);
        buf_printf(xml, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", i + 1);
        xml_escape(xml, u->parts[i].etag);
        buf_printf(xml, "&quot;</ETag></Part>");
    }
    buf_printf(xml, "</CompleteMultipartUpload>");
    return xml->failed ? error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request")
                       : ST_OK;
}

static unsigned hex(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* MD5 over those of the parts, and how many: what servers give an object of parts. False: the
 * parts' tags are no MD5. */
static bool expected_tag(const struct remote_upload *u, char ret_tag[REMOTE_TAG_BYTES])
{
    struct md5 md5;
    uint8_t digest[MD5_BYTES];
    md5_init(&md5);
    for (unsigned i = 0; i < u->count; i++) {
        if (!answer_tag_is_md5(u->parts[i].etag))
            return false;
        for (size_t k = 0; k < MD5_BYTES; k++)
            digest[k] = (uint8_t)(hex(u->parts[i].etag[2 * k]) << 4 |
                                  hex(u->parts[i].etag[2 * k + 1]));
        md5_update(&md5, digest, sizeof digest);
    }
    md5_final(&md5, digest);
    for (size_t k = 0; k < MD5_BYTES; k++)
        snprintf(ret_tag + 2 * k, 3, "%02x", digest[k]);
    snprintf(ret_tag + 2 * MD5_BYTES, 8, "-%u", u->count);
    return true;
}

/* The upload is gone, or the condition is not fulfilled, after a try whose answer was lost: is
 * the object the one that it would have made? st: what to say if not. */
static status_t was_completed(struct call *c, struct remote_upload *u, status_t st,
                              struct answer_head *ret_head, struct error *err)
{
    struct transfer t = {0};
    struct error why;
    char want[REMOTE_TAG_BYTES];
    if (!expected_tag(u, want))
        return st;
    status_t head = object_head(c, &t, u->key, NULL, &why);
    bool is = head == ST_OK && strcmp(t.head.etag, want) == 0;
    if (is)
        *ret_head = t.head;
    transfer_done(&t);
    if (head == ST_OK || head == ST_NOTFOUND)
        return is ? ST_OK : st;
    if (err)
        *err = why;
    return head;
}

/* The tag that an object of so many parts has, unless the server makes tags in another way. */
static status_t check_completed(const struct remote_upload *u, const struct answer_head *h,
                                struct error *err)
{
    char want[REMOTE_TAG_BYTES];
    if (!u->r->o.check_tags || h->tag_is_opaque || !expected_tag(u, want))
        return ST_OK;
    const char *dash = want + 2 * MD5_BYTES;
    bool same_form = strspn(h->etag, "0123456789abcdef") == (size_t)MD5_BYTES * 2 &&
                     strcmp(h->etag + (size_t)MD5_BYTES * 2, dash) == 0;
    if (same_form && strcmp(h->etag, want) != 0)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "%.128s: the server made an object of tag %s, its parts give %s", u->key,
                         h->etag, want);
    return ST_OK;
}

static status_t accept_completed(struct transfer *t, struct error *err)
{
    return answer_completed(t->body.data, t->body.len, t->head.etag, err);
}

static status_t complete(struct call *c, struct remote_upload *u,
                         const struct remote_put_options *o, struct remote_info *ret_info,
                         struct error *err)
{
    struct transfer t = {
        .method = "POST", .key = u->key, .body_max = SMALL_BODY_MAX, .accept = accept_completed};
    struct buf xml = {0};
    status_t st = make_list(u, &xml, err);
    const struct remote_source source = remote_source_memory(xml.data, xml.len);
    if (st == ST_OK) {
        t.source = &source;
        t.source_len = xml.len;
        transfer_query(&t, "uploadId", u->id);
        if (o && o->if_none)
            transfer_header(&t, "If-None-Match", "*");
        t.if_match = o ? o->if_match : NULL;
        st = exchange_one(c, &t, err);
        u->unknown = u->unknown || t.unknown || st == ST_STOPPED;
        if (u->unknown && (st == ST_NOTFOUND || st == ST_CHANGED))
            st = was_completed(c, u, st, &t.head, err);
        if (st == ST_CHANGED && o && o->if_none)
            st = error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%.128s is there already", u->key);
    }
    if (st == ST_OK)
        st = check_completed(u, &t.head, err);
    if (st == ST_OK && ret_info) {
        info_of(&t.head, ret_info);
        ret_info->size = u->size;
        ret_info->has_crc32c = false;
    }
    transfer_done(&t);
    buf_done(&xml);
    return st;
}

status_t remote_upload_complete(struct remote_upload *u, const struct remote_put_options *condition,
                                const struct remote_call *call, struct remote_info *ret_info,
                                struct error *err)
{
    struct call c;
    if (condition && condition->if_match && strlen(condition->if_match) >= REMOTE_TAG_BYTES)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "if_match is too long");
    status_t st = call_begin(&c, u->r, call, err);
    if (st != ST_OK)
        return st;
    st = complete(&c, u, condition, ret_info, err);
    call_end(&c);
    return st;
}

static status_t abort_upload(struct call *c, struct remote_upload *u, struct error *err)
{
    struct transfer t = {.method = "DELETE", .key = u->key, .body_max = SMALL_BODY_MAX};
    transfer_query(&t, "uploadId", u->id);
    status_t st = exchange_one(c, &t, err);
    if (st != ST_OK)
        st = object_failed(c, &t, st, err);
    transfer_done(&t);
    return st == ST_NOTFOUND ? ST_OK : st;
}

status_t remote_upload_abort(struct remote_upload *u, const struct remote_call *call,
                             struct error *err)
{
    struct call c;
    status_t st = call_begin(&c, u->r, call, err);
    if (st != ST_OK)
        return st;
    st = abort_upload(&c, u, err);
    call_end(&c);
    return st;
}

/* Nobody will know its id any more. Where the server is away it stays, until a rule of the
 * bucket drops it. */
static void drop(struct remote_upload *u)
{
    enum { ABORT_MS = 2000 };
    const struct remote_call shortly = {.deadline_ms = ABORT_MS};
    struct error ignored;
    status_t st = remote_upload_abort(u, &shortly, &ignored);
    (void)st;
}

status_t upload_whole(struct call *c, const char *key, const struct remote_source *source,
                      const struct remote_put_options *options, struct remote_info *ret_info,
                      struct error *err)
{
    struct remote_upload *u = NULL;
    status_t st = upload_new(c->r, key, source->size, &u, err);
    if (st == ST_OK)
        st = begin(c, u, options->headers, options->header_count, err);
    if (st == ST_OK) {
        st = send_parts(c, u, source, err);
        if (st == ST_OK)
            st = complete(c, u, options, ret_info, err);
        if (st != ST_OK)
            drop(u);
    }
    remote_upload_free(u);
    return st;
}
