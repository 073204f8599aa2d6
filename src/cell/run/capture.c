#include "capture.h"

#include "ops.h"

static void expanded_free(struct cell *c)
{
    free(c->record);
    c->record = NULL;
    c->next_record = NULL;
}

void run_records_free(struct cell *c)
{
    while (c->records) {
        struct run_record *r = c->records;
        c->records = r->inner;
        free(r);
    }
    expanded_free(c);
}

struct run_record *run_record_push(struct cell *c, struct instance *inst,
                                   const struct abi_site *site, uint32_t kind)
{
    size_t n = (size_t)site->live + site->stack;
    struct run_record *r = malloc(sizeof(*r) + n * sizeof(union cell_value));
    if (!r)
        return NULL;
    *r = (struct run_record){.inner = c->records, .inst = inst, .site = site, .kind = kind};
    c->records = r;
    return r;
}

union cell_value *run_op_frame_c(void *ctx, const struct abi_site *site, uint32_t kind)
{
    struct cell *c = cell_of_ctx(ctx);
    if (!c->capturing) {
        run_records_free(c); /* of a capture before, which was resumed */
        c->capturing = true;
        if (kind ==
            SITE_PENDING) /* in a host function, which asked for its call to be made again */
            kind = SITE_AT;
    }
    struct run_record *r = run_record_push(c, instance_of_ctx(ctx), site, kind);
    if (r)
        return r->values;
    cell_trap_text(c, "no memory to save the call stack");
    return NULL;
}

/* As the twin takes it: locals that are not live are zero. */
static struct abi_record *expand(const struct run_record *r)
{
    const struct abi_site *s = r->site;
    size_t n = (size_t)s->locals + s->stack;
    struct abi_record *a = calloc(1, sizeof(*a) + n * sizeof(union cell_value));
    if (!a)
        return NULL;
    a->key = (uint64_t)s->off * 4 + r->kind;
    for (uint32_t i = 0; i < s->live; i++)
        a->values[s->live_locals[i]] = r->values[i];
    for (uint32_t i = 0; i < s->stack; i++)
        a->values[s->locals + i] = r->values[s->live + i];
    return a;
}

/* The twin of the next frame, whose record is then the present one. NULL: it has none, or memory ran out. */
static const void *take_record(struct cell *c, void **ret_ctx)
{
    const struct run_record *r = c->next_record;
    const struct program *p = r ? r->inst->prog : NULL;
    uint32_t off = p ? p->image->func_twin[r->site->func] : 0;
    struct abi_record *record = off ? expand(r) : NULL;
    if (!record)
        return NULL;
    free(c->record);
    c->record = record;
    c->next_record = r->inner;
    *ret_ctx = r->inst->base;
    return p->code + off;
}

const struct abi_record *run_op_record_c(void *ctx)
{
    return cell_of_ctx(ctx)->record;
}

void *run_op_resume_c(void *ctx, union cell_value *io, void **ret_ctx)
{
    struct cell *c = cell_of_ctx(ctx);
    const void *code = take_record(c, ret_ctx);
    (void)io; /* no operation of the host is left pending by a capture */
    if (!code)
        c->trap = TRAP_RESUME;
    return (void *)code;
}

status_t run_resume_begin(struct cell *c, const void **ret_code, void **ret_ctx, struct error *err)
{
    for (const struct run_record *r = c->records; r; r = r->inner) {
        if (r->inst->prog->image->func_twin[r->site->func] == 0)
            return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                             "the image has no way to enter function %u again", r->site->func);
    }
    c->next_record = c->records;
    *ret_code = take_record(c, ret_ctx);
    return *ret_code ? ST_OK : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a frame");
}
