#include <string.h>

#include "task.h"

/* Who may do what (docs/internals/net-tls.md). What is not in the table nobody may who is not local. */

static const struct need {
    enum serve_role role;
    bool everything; /* it is about all buckets */
    bool local;      /* its answer has descriptors */
} needs[GEDS_OP_END] = {
    [GEDS_STATUS] = {.role = SERVE_READ},
    [GEDS_BUCKET_CREATE] = {.role = SERVE_ADMIN},
    [GEDS_BUCKET_DELETE] = {.role = SERVE_ADMIN},
    [GEDS_BUCKET_STAT] = {.role = SERVE_READ},
    [GEDS_BUCKET_LIST] = {.role = SERVE_READ},
    [GEDS_PUT] = {.role = SERVE_WRITE},
    [GEDS_PUT_BEGIN] = {.role = SERVE_WRITE},
    [GEDS_PUT_WRITE] = {.role = SERVE_WRITE},
    [GEDS_PUT_COMMIT] = {.role = SERVE_WRITE},
    [GEDS_PUT_ABORT] = {.role = SERVE_WRITE},
    [GEDS_PUT_FROM] = {.role = SERVE_WRITE},
    [GEDS_PUT_WRITE_AT] = {.role = SERVE_WRITE},
    [GEDS_PUT_RESIZE] = {.role = SERVE_WRITE},
    [GEDS_PUT_READ] = {.role = SERVE_WRITE},
    [GEDS_APPEND] = {.role = SERVE_WRITE},
    [GEDS_STAT] = {.role = SERVE_READ},
    [GEDS_OPEN] = {.role = SERVE_READ},
    [GEDS_READ] = {.role = SERVE_READ},
    [GEDS_CLOSE] = {.role = SERVE_READ},
    [GEDS_DELETE] = {.role = SERVE_WRITE},
    [GEDS_DELETE_MANY] = {.role = SERVE_WRITE},
    [GEDS_RENAME] = {.role = SERVE_WRITE},
    [GEDS_RENAME_PREFIX] = {.role = SERVE_WRITE},
    [GEDS_COPY] = {.role = SERVE_WRITE},
    [GEDS_LIST] = {.role = SERVE_READ},
    [GEDS_EVENTS] = {.role = SERVE_READ},
    [GEDS_FSCK] = {.role = SERVE_ADMIN, .everything = true},
    [GEDS_TIER_STATUS] = {.role = SERVE_READ, .everything = true},
    [GEDS_TIER_MOVE] = {.role = SERVE_ADMIN},
    [GEDS_TIER_KEEP] = {.role = SERVE_ADMIN},
    [GEDS_MAP] = {.role = SERVE_READ, .local = true},
    [GEDS_LEASE] = {.role = SERVE_READ, .local = true},
    [GEDS_PIECES] = {.role = SERVE_READ, .local = true},
    [GEDS_KEYS_LIST] = {.role = SERVE_ADMIN, .everything = true},
    [GEDS_KEYS_CHANGE] = {.role = SERVE_ADMIN, .everything = true},
    [GEDS_BUCKET_ENCRYPT] = {.role = SERVE_ADMIN},
    [GEDS_TIER_REPLICAS] = {.role = SERVE_ADMIN},
    [GEDS_TIER_MEMORY] = {.role = SERVE_ADMIN},
    [GEDS_NODE_JOIN] = {.role = SERVE_NODE, .everything = true},
    [GEDS_NODE_DONE] = {.role = SERVE_NODE, .everything = true},
    [GEDS_NODE_REPORT] = {.role = SERVE_NODE, .everything = true},
    [GEDS_NODE_LIST] = {.role = SERVE_READ, .everything = true},
    [GEDS_NODE_CHANGE] = {.role = SERVE_ADMIN, .everything = true},
    [GEDS_STATE_COPY] = {.role = SERVE_ADMIN, .everything = true},
};

static const char *name_of(enum serve_role role)
{
    static const char *const names[] = {"none", "node", "read", "write", "admin"};
    return names[role];
}

bool task_has_bucket(const struct session *s, const char *bucket)
{
    const struct serve_rights *r = &s->rights;
    bool found = s->local || r->bucket_count == 0;
    for (size_t i = 0; i < r->bucket_count && !found; i++) {
        found = strcmp(r->buckets[i], bucket) == 0;
    }
    return found;
}

static status_t permit_bucket(struct task *t, const char *bucket)
{
    return bucket == NULL || task_has_bucket(t->session, bucket)
               ? ST_OK
               : error_set(&t->err, ST_PERM, ERROR_NO_OFFSET, "%s is not for bucket \"%s\"",
                           t->session->rights.who, bucket);
}

static enum serve_role role_for(const struct task *t, const struct need *n)
{
    bool asks = (t->rpc->kind == GEDS_TIER_KEEP && t->request.flags == GEDS_KEEP_ASK) ||
                (t->rpc->kind == GEDS_BUCKET_ENCRYPT && t->request.flags == GEDS_ENCRYPT_ASK) ||
                (t->rpc->kind == GEDS_TIER_REPLICAS && t->request.flags == GEDS_REPLICAS_ASK) ||
                (t->rpc->kind == GEDS_TIER_MEMORY && t->request.flags == GEDS_MEMORY_ASK);
    return asks ? SERVE_READ : n->role;
}

status_t task_permit(struct task *t)
{
    const struct session *s = t->session;
    const struct serve_access *access = s->context->access;
    const struct need *n = &needs[t->rpc->kind];
    if (s->local) {
        return ST_OK;
    }
    status_t st = access->still(access->ctx, &s->rights, &t->err);
    enum serve_role role = role_for(t, n);
    bool has = role == SERVE_NODE ? s->rights.role == SERVE_NODE || s->rights.role == SERVE_ADMIN
                                  : role != SERVE_NONE && s->rights.role >= role;
    if (st == ST_OK && !has) {
        st = error_set(&t->err, ST_PERM, ERROR_NO_OFFSET, "%s has the role %s: this needs %s",
                       s->rights.who, name_of(s->rights.role), name_of(role));
    }
    if (st == ST_OK && n->everything && s->rights.bucket_count > 0) {
        st = error_set(&t->err, ST_PERM, ERROR_NO_OFFSET,
                       "%s is for some buckets only: this is about all", s->rights.who);
    }
    if (st == ST_OK) {
        st = permit_bucket(t, t->request.bucket);
    }
    if (st == ST_OK) {
        st = permit_bucket(t, t->request.to_bucket);
    }
    if (st == ST_OK && n->local) {
        st = error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                       "files are passed to processes of the same machine only");
    }
    return st;
}
