#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conn.h"
#include "object.h"

/* Objects as memory: the store passes the files of the pieces. */

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* At least one page, so that there is something to unmap. */
static size_t whole_pages(size_t len)
{
    size_t page = page_bytes();
    return len == 0 ? page : (len + page - 1) / page * page;
}

static status_t map_piece(uint8_t *base, size_t len, uint64_t at, uint64_t bytes, int fd,
                          struct error *err)
{
    if (bytes > len - at || bytes == 0) {
        return error_set(err, ST_CORRUPT, at, "pieces that do not make the object");
    }
    if (at % page_bytes() != 0) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "parts that do not end at a page");
    }
    return mmap(base + at, (size_t)bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED
               ? error_set_errno(err, errno, "map")
               : ST_OK;
}

static status_t map_answer(const struct pending *p, uint8_t *base, size_t len, uint64_t *at,
                           struct error *err)
{
    struct cursor c;
    uint64_t bytes = 0;
    status_t st = ST_OK;
    cursor_init(&c, p->data, p->data_len, 0);
    for (unsigned i = 0; cursor_left(&c) > 0 && st == ST_OK && geds_piece_decode(&c, &bytes); i++) {
        st = i < p->passed_count ? map_piece(base, len, *at, bytes, p->passed[i], err)
             : p->passed_cut     ? error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                                             "this process can have no more files open")
                                 : error_set(err, ST_CORRUPT, *at, "a piece without its file");
        *at += bytes;
    }
    return st == ST_OK ? cursor_status(&c, ST_CORRUPT, err) : st;
}

/* The same of files that are here: nobody is asked. */
static status_t map_extents(const struct content *c, uint8_t *base, size_t len, struct error *err)
{
    status_t st = ST_OK;
    for (unsigned i = 0; i < c->extent_count && st == ST_OK; i++) {
        const struct extent *e = &c->extents[i];
        st = map_piece(base, len, e->start, e->bytes, e->fd, err);
    }
    return st;
}

/* ST_UNSUPPORTED: it has to be copied. */
static status_t map_files(struct geds_object *o, uint8_t *base, size_t len, struct error *err)
{
    uint64_t at = 0;
    uint32_t first = 0;
    struct geds_answer a = {.more = true};
    status_t st = ST_OK;
    while (st == ST_OK && a.more) {
        uint8_t sizes[8 * PASSED_MAX];
        struct arena arena = {0};
        struct pending p = {.data = sizes, .room = sizeof sizes};
        const struct geds_request r = {.handle = o->handle, .max = first};
        st = client_call(o->store, &p, GEDS_MAP, &r, NULL, &arena, &a, err);
        if (st == ST_OK) {
            st = map_answer(&p, base, len, &at, err);
            first += p.passed_count;
        }
        if (st == ST_OK && a.more && p.passed_count == 0) {
            st = error_set(err, ST_CORRUPT, at, "pieces without end");
        }
        pending_done(&p);
        arena_done(&arena);
    }
    return st == ST_OK && at != len ? error_set(err, ST_CORRUPT, at, "pieces are missing") : st;
}

static status_t copy_bytes(struct geds_object *o, uint8_t *base, size_t len, struct error *err)
{
    size_t got = 0;
    struct geds_error inner;
    if (len > GEDS_MAP_COPY_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                         "it cannot be mapped, and is too long to be copied");
    }
    /* what was mapped so far is replaced */
    if (mmap(base, whole_pages(len), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        return error_set_errno(err, errno, "map");
    }
    enum geds_code code = geds_pread(o, base, len, 0, &got, &inner);
    if (code != GEDS_OK) {
        return error_set(err, rpc_status_of((uint16_t)code), inner.offset, "%s", inner.text);
    }
    return mprotect(base, whole_pages(len), PROT_READ) == 0 ? ST_OK
                                                            : error_set_errno(err, errno, "map");
}

enum geds_code geds_map(struct geds_object *o, const void **ret_data, size_t *ret_len,
                        struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct content *c = o->content;
    size_t len = (size_t)c->info.size;
    status_t st = ST_OK;
    uint8_t *base = mmap(NULL, whole_pages(len), PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        st = error_set_errno(&inner, errno, "map");
        return give_error(st, &inner, err);
    }
    /* what came with the open needs no file */
    st = len <= c->first_bytes ? ST_UNSUPPORTED
         : !o->store->local    ? ST_UNSUPPORTED
         : c->extent_count > 0 ? map_extents(c, base, len, &inner)
                               : map_files(o, base, len, &inner);
    if (st == ST_UNSUPPORTED) {
        st = copy_bytes(o, base, len, &inner);
    }
    if (st != ST_OK) {
        munmap(base, whole_pages(len));
        return give_error(st, &inner, err);
    }
    *ret_data = base;
    *ret_len = len;
    return GEDS_OK;
}

void geds_unmap(const void *data, size_t len)
{
    munmap((void *)(uintptr_t)data, whole_pages(len));
}
