#include "geds/tier/s3/s3.h"

#include <stdlib.h>
#include <string.h>

#include "geds/remote/upload.h"

enum {
    READ_TRIES = 3,
    READ_STALL_MS = 10000,
    READ_DEADLINE_MS = 20000,
    SEND_TRIES = 4,
    SEND_BACKOFF_MAX_MS = 4000,
};
#define SEND_DEADLINE_MS (4ULL * 3600 * 1000) /* of 1 GiB: 75 KB/s */

struct tier_s3 {
    struct remote *reader; /* gives up early */
    struct remote *sender;
    /* one each: of who reads, nobody waits for a lock that a send has, which may give way to all others */
    struct remote_cancel *reads, *sends;
    uint64_t part_bytes;
};

static struct remote_call call_of(const struct tier_s3 *s)
{
    return (struct remote_call){.cancel = s->sends};
}

static status_t send_parts(struct tier_s3 *s, struct remote_upload *u,
                           const struct remote_source *source, struct error *err)
{
    const struct remote_call call = call_of(s);
    status_t st = remote_upload_send(u, source, &call, err);
    return st == ST_OK ? remote_upload_complete(u, NULL, &call, NULL, err) : st;
}

/* Go on with an upload. ST_NOTFOUND: it is not known any more. Its object may be there, also one that was found to be
 * other bytes than were sent, so that its size says nothing: it is made again. */
static status_t send_rest(struct tier_s3 *s, const char *name, const struct remote_source *source,
                          const char *upload, struct error *err)
{
    const struct remote_call call = call_of(s);
    struct remote_upload *u = NULL;
    status_t st = remote_upload_resume(s->sender, name, source->size, upload, &call, &u, err);
    if (st == ST_OK) {
        st = send_parts(s, u, source, err);
        remote_upload_free(u);
    }
    return st;
}

static status_t send_long(struct tier_s3 *s, const char *name, const struct remote_source *source,
                          const char *upload,
                          status_t (*begun)(void *arg, const char *upload, struct error *err),
                          void *arg, struct error *err)
{
    const struct remote_call call = call_of(s);
    struct remote_upload *u = NULL;
    if (upload[0] != '\0') {
        status_t st = send_rest(s, name, source, upload, err);
        if (st != ST_NOTFOUND) {
            return st;
        }
    }
    status_t st = remote_upload_begin(s->sender, name, source->size, NULL, 0, &call, &u, err);
    if (st != ST_OK) {
        return st;
    }
    st = begun(arg, remote_upload_id(u), err);
    if (st == ST_OK) {
        st = send_parts(s, u, source, err);
    } else {
        status_t ignored = remote_upload_abort(u, &call, NULL);
        (void)ignored;
    }
    remote_upload_free(u);
    return st;
}

static status_t s3_send(void *arg, const char *name, const struct tier_source *from,
                        const char *upload,
                        status_t (*begun)(void *begun_arg, const char *upload, struct error *err),
                        void *begun_arg, struct error *err)
{
    struct tier_s3 *s = arg;
    const struct remote_call call = call_of(s);
    const struct remote_source source = {.size = from->size, .read = from->read, .arg = from->arg};
    if (from->size > s->part_bytes) {
        return send_long(s, name, &source, upload, begun, begun_arg, err);
    }
    return remote_put(s->sender, name, &source, NULL, &call, NULL, err);
}

static status_t s3_size(void *arg, const char *name, uint64_t *ret_size, struct error *err)
{
    struct tier_s3 *s = arg;
    const struct remote_call call = call_of(s);
    struct remote_info info;
    status_t st = remote_head(s->sender, name, NULL, NULL, &call, &info, err);
    if (st == ST_OK) {
        *ret_size = info.size;
    }
    return st;
}

static status_t s3_read(void *arg, const char *name, uint64_t off, void *data, size_t len,
                        struct error *err)
{
    struct tier_s3 *s = arg;
    const struct remote_call call = {.cancel = s->reads};
    struct remote_buffer buffer = {.data = data, .cap = len};
    const struct remote_sink sink = remote_sink_buffer(&buffer);
    const struct remote_get_options o = {.off = off, .len = len};
    status_t st = remote_get(s->reader, name, &sink, &o, &call, NULL, err);
    if (st == ST_OK && buffer.len != len) {
        st = error_set(err, ST_CORRUPT, off, "%s has %zu bytes there, not %zu", name, buffer.len,
                       len);
    }
    if (st == ST_INVAL) { /* behind its end; or the bucket is not there, which the next call says */
        struct remote_info info;
        if (remote_head(s->reader, name, NULL, NULL, &call, &info, NULL) == ST_OK &&
            info.size < off + len) {
            st = error_set(err, ST_CORRUPT, off, "%s has %llu bytes only", name,
                           (unsigned long long)info.size);
        }
    }
    return st;
}

static status_t s3_remove(void *arg, const char *const *names, size_t count, status_t *ret_results,
                          struct error *err)
{
    struct tier_s3 *s = arg;
    const struct remote_call call = call_of(s);
    return remote_delete_many(s->sender, names, count, &call, ret_results, err);
}

static status_t s3_forget(void *arg, const char *name, uint64_t size, const char *upload,
                          struct error *err)
{
    struct tier_s3 *s = arg;
    const struct remote_call call = call_of(s);
    struct remote_upload *u = NULL;
    status_t st = remote_upload_resume(s->sender, name, size, upload, &call, &u, err);
    if (st == ST_OK) {
        st = remote_upload_abort(u, &call, err);
        remote_upload_free(u);
    }
    return st == ST_NOTFOUND ? ST_OK : st;
}

static status_t s3_list(void *arg, const char *prefix,
                        status_t (*found)(void *found_arg, const char *name, uint64_t size,
                                          struct error *err),
                        void *found_arg, struct error *err)
{
    struct tier_s3 *s = arg;
    const struct remote_call call = call_of(s);
    char *cursor = NULL;
    bool more = true;
    status_t st = ST_OK;
    while (more && st == ST_OK) {
        struct remote_page page = {0};
        const struct remote_list_query q = {.prefix = prefix, .cursor = cursor};
        st = remote_list(s->sender, &q, &call, &page, err);
        free(cursor);
        cursor = NULL;
        for (size_t i = 0; st == ST_OK && i < page.count; i++) {
            st = found(found_arg, page.entries[i].key, page.entries[i].size, err);
        }
        more = st == ST_OK && page.cursor != NULL;
        if (more && (cursor = strdup(page.cursor)) == NULL) {
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        }
        remote_page_done(&page);
    }
    free(cursor);
    return st;
}

static void s3_stop(void *arg)
{
    struct tier_s3 *s = arg;
    remote_cancel_now(s->reads);
    remote_cancel_now(s->sends);
}

status_t tier_s3_open(const struct remote_options *options, struct tier_s3 **ret_s3,
                      struct tier_remote *ret_remote, struct error *err)
{
    struct remote_options reader = *options, sender = *options;
    struct tier_s3 *s = calloc(1, sizeof *s);
    if (s == NULL || remote_cancel_new(&s->reads) != ST_OK ||
        remote_cancel_new(&s->sends) != ST_OK) {
        tier_s3_close(s);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    reader.tries_max = READ_TRIES;
    reader.stall_ms = reader.connect_ms = READ_STALL_MS;
    reader.deadline_ms = READ_DEADLINE_MS;
    sender.tries_max = SEND_TRIES;
    sender.backoff_max_ms = SEND_BACKOFF_MAX_MS;
    sender.deadline_ms = SEND_DEADLINE_MS;
    s->part_bytes = options->part_bytes;
    status_t st = remote_open(&reader, &s->reader, err);
    if (st == ST_OK) {
        st = remote_open(&sender, &s->sender, err);
    }
    if (st != ST_OK) {
        tier_s3_close(s);
        return st;
    }
    *ret_remote = (struct tier_remote){.send = s3_send,
                                       .size = s3_size,
                                       .read = s3_read,
                                       .remove = s3_remove,
                                       .forget = s3_forget,
                                       .list = s3_list,
                                       .stop = s3_stop,
                                       .arg = s};
    *ret_s3 = s;
    return ST_OK;
}

void tier_s3_close(struct tier_s3 *s)
{
    if (s != NULL) {
        remote_close(s->reader);
        remote_close(s->sender);
        remote_cancel_free(s->reads);
        remote_cancel_free(s->sends);
        free(s);
    }
}
