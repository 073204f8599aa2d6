#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "impl.h"

/* Rows against the tier. */

enum { PAGE = 1024 };

struct copy {
    uint64_t id, nonce, size;
    bool has_row;
};

struct check {
    struct tier *t;
    bool repair;
    void (*found)(void *arg, const struct store_finding *finding);
    bool (*goes_on)(void *arg);
    void *arg;
    struct tier_check n;
    struct copy *copies; /* what the tier has, in order of numbers */
    size_t count, cap;
};

static void report(struct check *c, enum store_damage kind, uint64_t extent, const char *text)
{
    c->n.findings++;
    if (c->found != NULL) {
        c->found(c->arg, &(struct store_finding){.kind = kind, .extent = extent, .text = text});
    }
}

static status_t look_for_end(struct check *c, struct error *err)
{
    return c->goes_on == NULL || c->goes_on(c->arg)
               ? ST_OK
               : error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "the check was ended");
}

/* EXTENT-NONCE behind the last '/', 16 hexadecimal digits each. */
static bool parse_name(const char *name, uint64_t *ret_id, uint64_t *ret_nonce)
{
    const char *slash = strrchr(name, '/');
    char digits[17];
    if (slash == NULL || strlen(slash + 1) != 33 || slash[17] != '-') {
        return false;
    }
    memcpy(digits, slash + 1, 16);
    digits[16] = '\0';
    return parse_hex(digits, INT64_MAX, ret_id) == ST_OK &&
           parse_hex(slash + 18, INT64_MAX, ret_nonce) == ST_OK;
}

static status_t note_copy(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct check *c = arg;
    struct copy copy = {.size = size};
    if (!parse_name(name, &copy.id, &copy.nonce)) {
        char text[ERROR_TEXT_MAX];
        snprintf(text, sizeof text, "in the tier: %.150s is no name of an extent", name);
        report(c, STORE_DAMAGE_ORPHAN, 0, text);
        return ST_OK;
    }
    if (c->count == c->cap) {
        size_t cap = c->cap != 0 ? 2 * c->cap : 256;
        struct copy *grown = realloc(c->copies, cap * sizeof *grown);
        if (grown == NULL) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        }
        c->copies = grown;
        c->cap = cap;
    }
    c->copies[c->count++] = copy;
    c->n.copies++;
    c->n.bytes += size;
    return look_for_end(c, err);
}

static int compare(const void *a, const void *b)
{
    const struct copy *x = a, *y = b;
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id)
                          : (x->nonce > y->nonce) - (x->nonce < y->nonce);
}

static struct copy *find(const struct check *c, uint64_t id, uint64_t nonce)
{
    const struct copy key = {.id = id, .nonce = nonce};
    return c->count > 0 ? bsearch(&key, c->copies, c->count, sizeof key, compare) : NULL;
}

/* The copy is not there: the row says so, if there are local bytes to make one of. The extent is held, so that they
 * do not go. One whose bytes do not match would have no good ones at all, and nobody would know. */
static status_t mark_unsent(struct check *c, uint64_t id, bool *ret_local, struct error *err)
{
    struct tier *t = c->t;
    struct store_extent x = {0};
    int fd = -1;
    pthread_mutex_lock(&t->lock);
    bool damaged = damage_of(t, id) != NULL;
    pthread_mutex_unlock(&t->lock);
    *ret_local = false;
    status_t st = damaged ? ST_CORRUPT : store_extent_hold(t->o.store, id, &x, &fd, NULL);
    if (st == ST_NOTFOUND || st == ST_CORRUPT) {
        return ST_OK;
    }
    if (st != ST_OK) {
        return error_set(err, st, ERROR_NO_OFFSET, "extent %016llx cannot be held",
                         (unsigned long long)id);
    }
    *ret_local = true;
    if (c->repair) {
        st = store_extent_unsent(t->o.store, &x, err);
        c->n.repaired += st == ST_OK;
    }
    close(fd);
    buf_done(&x.sums);
    store_extent_release(t->o.store, id);
    return st;
}

/* Asked again before anything is said: it may have been sent or dropped since the list was made. */
static status_t missing(struct check *c, const struct store_extent *then, struct error *err)
{
    struct tier *t = c->t;
    struct store_extent x = {0};
    char name[TIER_NAME_BYTES], text[ERROR_TEXT_MAX];
    uint64_t size = 0;
    status_t st = store_extent_get(t->o.store, then->id, &x, err);
    buf_done(&x.sums);
    if (st != ST_OK || (x.place & STORE_PLACE_REMOTE) == 0 || x.uses == 0) {
        return st == ST_NOTFOUND ? ST_OK : st;
    }
    tier_name(t, x.id, x.nonce, name);
    st = t->remote.size(t->remote.arg, name, &size, err);
    if ((st == ST_OK && size == x.bytes) || (st != ST_OK && st != ST_NOTFOUND)) {
        return st;
    }
    bool there = st == ST_OK, local = false;
    st = mark_unsent(c, x.id, &local, err);
    if (st != ST_OK) {
        return st;
    }
    snprintf(text, sizeof text, "in the tier: extent %016llx %s%s", (unsigned long long)x.id,
             there ? "has another size" : "is not there",
             local ? ", it has local bytes" : ", and it has no local bytes");
    report(c, STORE_DAMAGE_MISSING, x.id, text);
    if (c->repair && local) {
        tier_wake(t);
    }
    return ST_OK;
}

static status_t check_rows(struct check *c, unsigned place, enum store_keep keep, struct error *err)
{
    struct store_candidate *page = malloc(PAGE * sizeof *page);
    uint64_t after = 0;
    size_t count = PAGE;
    status_t st = page != NULL ? ST_OK : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    while (st == ST_OK && count == PAGE) {
        st = store_candidates(c->t->o.store, place, keep, after, PAGE, page, &count, err);
        for (size_t i = 0; i < count && st == ST_OK; i++) {
            struct store_extent x = {0};
            after = page[i].id;
            st = store_extent_get(c->t->o.store, after, &x, err);
            buf_done(&x.sums);
            struct copy *copy = st == ST_OK ? find(c, x.id, x.nonce) : NULL;
            if (copy != NULL && copy->size == x.bytes) {
                copy->has_row = true;
            } else if (st == ST_OK) {
                st = missing(c, &x, err);
            }
            st = st == ST_NOTFOUND ? ST_OK : st;
            if (st == ST_OK) {
                st = look_for_end(c, err);
            }
        }
    }
    free(page);
    return st;
}

/* A name that no row has now: nobody will ever use it. It was deleted since the list was made where it is not there any
 * more, as its row goes after it. */
static status_t is_orphan(struct check *c, const struct copy *copy, const char *name, bool *ret_is,
                          struct error *err)
{
    struct tier *t = c->t;
    struct store_extent x = {0};
    uint64_t size = 0;
    status_t st = store_extent_get(t->o.store, copy->id, &x, err);
    buf_done(&x.sums);
    *ret_is = st == ST_NOTFOUND || (st == ST_OK && x.nonce != copy->nonce);
    if (*ret_is) {
        st = t->remote.size(t->remote.arg, name, &size, err);
        *ret_is = st == ST_OK;
    }
    return st == ST_NOTFOUND ? ST_OK : st;
}

static status_t check_orphans(struct check *c, struct error *err)
{
    char name[TIER_NAME_BYTES], text[ERROR_TEXT_MAX];
    const char *names[] = {name};
    status_t result = ST_OK, st = ST_OK;
    for (size_t i = 0; i < c->count && st == ST_OK; i++) {
        const struct copy *copy = &c->copies[i];
        bool orphan = false;
        if (copy->has_row) {
            continue;
        }
        tier_name(c->t, copy->id, copy->nonce, name);
        st = is_orphan(c, copy, name, &orphan, err);
        if (st != ST_OK || !orphan) {
            continue;
        }
        snprintf(text, sizeof text, "in the tier: nothing names %.150s", name);
        report(c, STORE_DAMAGE_ORPHAN, copy->id, text);
        if (c->repair) {
            st = c->t->remote.remove(c->t->remote.arg, names, 1, &result, err);
            c->n.repaired += st == ST_OK && result == ST_OK;
        }
    }
    return st;
}

status_t tier_check(struct tier *t, bool repair,
                    void (*found)(void *arg, const struct store_finding *finding),
                    bool (*goes_on)(void *arg), void *arg, struct tier_check *ret_check,
                    struct error *err)
{
    struct check c = {.t = t, .repair = repair, .found = found, .goes_on = goes_on, .arg = arg};
    static const unsigned places[] = {STORE_PLACE_REMOTE, STORE_PLACE_REMOTE | STORE_PLACE_AWAY,
                                      STORE_PLACE_REMOTE | STORE_PLACE_AWAY | STORE_PLACE_FILE};
    char prefix[TIER_NAME_BYTES];
    snprintf(prefix, sizeof prefix, "%s/extents/", t->id);
    status_t st = t->remote.list(t->remote.arg, prefix, note_copy, &c, err);
    if (st == ST_OK && c.count > 0) {
        qsort(c.copies, c.count, sizeof c.copies[0], compare);
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        for (unsigned keep = 0; keep < STORE_KEEP_COUNT && st == ST_OK; keep++) {
            st = check_rows(&c, places[i], (enum store_keep)keep, err);
        }
    }
    if (st == ST_OK) {
        st = check_orphans(&c, err);
    }
    free(c.copies);
    if (st == ST_OK) {
        *ret_check = c.n;
    }
    return st;
}
