#include "access.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "localstate/tokens.h"

struct access {
    struct serve_access table;
    const char *state;
    pthread_mutex_t m; /* guards the rest */
    struct tokens tokens;
    status_t status;           /* of reading them */
    struct stat before;        /* the file that they are from */
    char told[ERROR_TEXT_MAX]; /* why they could not be read, as the log has it; "": they could */
};

static enum serve_role role_of(const char *name)
{
    return strcmp(name, "admin") == 0   ? SERVE_ADMIN
           : strcmp(name, "write") == 0 ? SERVE_WRITE
           : strcmp(name, "read") == 0  ? SERVE_READ
           : strcmp(name, "node") == 0  ? SERVE_NODE
                                        : SERVE_NONE;
}

/* Each connection reads them again: one line for a reason, until they could be read. Caller holds m. */
static void tell(struct access *a, const char *why)
{
    if (a->status != ST_OK && strcmp(a->told, why) != 0) {
        log_error("access.tokens", "error", why);
    }
    snprintf(a->told, sizeof a->told, "%s", a->status != ST_OK ? why : "");
}

/* A changed file is another one, since it is replaced as a whole. Caller holds m. */
static status_t refresh(struct access *a, struct error *err)
{
    char path[PATH_MAX];
    struct stat now = {.st_ino = 0};
    snprintf(path, sizeof path, "%s/tokens", a->state);
    bool there = stat(path, &now) == 0;
    if (a->status != ST_OK || !there || now.st_ino != a->before.st_ino ||
        now.st_mode != a->before.st_mode || now.st_size != a->before.st_size ||
        now.st_mtim.tv_sec != a->before.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != a->before.st_mtim.tv_nsec) {
        struct error why = {.offset = ERROR_NO_OFFSET};
        a->status = tokens_read(a->state, &a->tokens, &why);
        a->before = now;
        tell(a, why.text);
    }
    return a->status == ST_OK ? ST_OK
                              : error_set(err, ST_PERM, ERROR_NO_OFFSET,
                                          "the store cannot read its tokens: its log says why");
}

/* Is the token one that may be used? Caller holds m. */
static status_t find(struct access *a, const uint8_t hash[SHA256_BYTES], const char *missing,
                     const struct token **ret_token, struct error *err)
{
    status_t st = refresh(a, err);
    const struct token *t = st == ST_OK ? tokens_find(&a->tokens, hash) : NULL;
    if (st == ST_OK && t == NULL) {
        st = error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s", missing);
    }
    if (st == ST_OK && t->ends_s != 0 && (int64_t)t->ends_s <= (int64_t)time(NULL)) {
        st = error_set(err, ST_PERM, ERROR_NO_OFFSET, "the token \"%s\" has ended", t->name);
    }
    if (st == ST_OK) {
        *ret_token = t;
    }
    return st;
}

static void set_rights(struct serve_rights *r, const struct token *t)
{
    r->role = role_of(t->role);
    r->bucket_count = t->bucket_count;
    for (size_t i = 0; i < t->bucket_count; i++) {
        snprintf(r->buckets[i], sizeof r->buckets[i], "%s", t->buckets[i]);
    }
    snprintf(r->who, sizeof r->who, "the token \"%s\"", t->name);
}

/* Has it the rights still that it had when it was let in? */
static bool has_rights(const struct token *t, const struct serve_rights *r)
{
    bool same = role_of(t->role) == r->role && t->bucket_count == r->bucket_count;
    for (size_t i = 0; same && i < t->bucket_count; i++) {
        same = strcmp(t->buckets[i], r->buckets[i]) == 0;
    }
    return same;
}

static status_t admit_token(struct access *a, const char *text, struct serve_rights *r,
                            struct error *err)
{
    const struct token *t = NULL;
    token_hash(text, r->id);
    pthread_mutex_lock(&a->m);
    status_t st = find(a, r->id, "the token is none of this store, or it was revoked", &t, err);
    if (st == ST_OK) {
        r->has_id = true;
        set_rights(r, t);
    }
    pthread_mutex_unlock(&a->m);
    return st;
}

/* What was given on purpose counts: a token before a certificate. */
static status_t admit(void *ctx, const struct rpc_peer *peer, struct serve_rights *ret_rights,
                      struct error *err)
{
    struct serve_rights r = {.role = SERVE_NONE};
    if (peer->token != NULL) {
        status_t st = admit_token(ctx, peer->token, &r, err);
        if (st != ST_OK) {
            return st;
        }
    } else if (peer->name[0] != '\0') {
        r.role = role_of(peer->role);
        r.ends_s = peer->ends_s;
        snprintf(r.who, sizeof r.who, "the certificate \"%s\"", peer->name);
        if (r.role == SERVE_NONE) {
            return error_set(err, ST_PERM, ERROR_NO_OFFSET,
                             "%s has no role here: a token is needed too (CLOUDSKIN_TOKEN)", r.who);
        }
    } else {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET,
                         "the store wants a token (CLOUDSKIN_TOKEN, CLOUDSKIN_TOKEN_FILE) or a "
                         "certificate with a role (CLOUDSKIN_CERT, CLOUDSKIN_KEY)");
    }
    *ret_rights = r;
    return ST_OK;
}

static status_t still(void *ctx, const struct serve_rights *r, struct error *err)
{
    struct access *a = ctx;
    const struct token *t = NULL;
    char missing[SERVE_WHO_MAX + 32];
    if (r->ends_s != 0 && r->ends_s <= (int64_t)time(NULL)) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s has ended", r->who);
    }
    if (!r->has_id) {
        return ST_OK;
    }
    snprintf(missing, sizeof missing, "%s was revoked", r->who);
    pthread_mutex_lock(&a->m);
    status_t st = find(a, r->id, missing, &t, err);
    if (st == ST_OK && !has_rights(t, r)) {
        st = error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s has other rights now: connect again",
                       r->who);
    }
    pthread_mutex_unlock(&a->m);
    return st;
}

status_t access_new(const char *state, struct access **ret_access, struct error *err)
{
    struct access *a = calloc(1, sizeof *a);
    if (a == NULL || pthread_mutex_init(&a->m, NULL) != 0) {
        free(a);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    a->state = state;
    a->status = ST_NOTFOUND; /* nothing is read yet */
    a->table = (struct serve_access){.ctx = a, .admit = admit, .still = still};
    *ret_access = a;
    return ST_OK;
}

void access_free(struct access *a)
{
    if (a != NULL) {
        pthread_mutex_destroy(&a->m);
        free(a);
    }
}

const struct serve_access *access_table(struct access *a)
{
    return &a->table;
}
