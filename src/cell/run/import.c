#include "import.h"

#include <stdarg.h>

enum { TEXT_MAX = 96 };

/* A growing text in a fixed array; what does not fit is cut. */
struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->bytes + t->len, TEXT_MAX - t->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->len = t->len + (size_t)n < TEXT_MAX ? t->len + (size_t)n : TEXT_MAX - 1;
}

static void text_values(struct text *t, const valtype_t *types, uint32_t count)
{
    text_add(t, "[");
    for (uint32_t i = 0; i < count; i++)
        text_add(t, "%s%s", i ? " " : "", valtype_name(types[i]));
    text_add(t, "]");
}

static void text_func(struct text *t, const struct functype *f)
{
    text_values(t, f->params, f->param_count);
    text_add(t, " -> ");
    text_values(t, f->results, f->result_count);
}

static void text_limits(struct text *t, uint64_t min, const struct limits *l)
{
    text_add(t, " %llu", (unsigned long long)min);
    if (l->has_max)
        text_add(t, "..%llu", (unsigned long long)l->max);
    text_add(t, "%s", l->shared ? " shared" : "");
}

/* What is offered, or what an import wants: both as an extern_val. */
static struct extern_val wanted(const struct module *m, const struct module_import *imp)
{
    struct extern_val v = {.kind = imp->kind};
    switch (imp->kind) {
    case EXTERN_FUNC:
        v.func_type = module_func_type(m, imp->index);
        break;
    case EXTERN_TABLE:
        v.type = m->tables[imp->index].type;
        v.limits = m->tables[imp->index].limits;
        break;
    case EXTERN_MEM:
        v.limits = m->mems[imp->index].limits;
        break;
    case EXTERN_GLOBAL:
        v.type = m->globals[imp->index].type;
        v.mutable_ = m->globals[imp->index].mutable_;
        break;
    case EXTERN_TAG:
        v.func_type = &m->types[m->tags[imp->index].type];
        break;
    }
    return v;
}

/* Entries or pages that are there now. */
static uint64_t present(const struct extern_val *v)
{
    if (v->ptr && v->kind == EXTERN_TABLE)
        return ((const struct abi_table *)v->ptr)->count;
    if (v->ptr && v->kind == EXTERN_MEM)
        return run_memory_bytes(v->ptr) / WASM_PAGE_BYTES;
    return v->limits.min;
}

static struct text describe(const struct extern_val *v)
{
    struct text t = {.len = 0};
    switch (v->kind) {
    case EXTERN_FUNC:
        text_add(&t, "func ");
        text_func(&t, v->func_type);
        break;
    case EXTERN_TABLE:
        text_add(&t, "table %s", valtype_name(v->type));
        text_limits(&t, present(v), &v->limits);
        break;
    case EXTERN_MEM:
        text_add(&t, "memory");
        text_limits(&t, present(v), &v->limits);
        break;
    case EXTERN_GLOBAL:
        text_add(&t, "global %s%s", v->mutable_ ? "mut " : "", valtype_name(v->type));
        break;
    case EXTERN_TAG:
        text_add(&t, "tag ");
        text_func(&t, v->func_type);
        break;
    }
    return t;
}

static bool limits_match(const struct extern_val *want, const struct extern_val *have)
{
    return present(have) >= want->limits.min &&
           (!want->limits.has_max ||
            (have->limits.has_max && have->limits.max <= want->limits.max));
}

/* Code for a memory that starts below 4 GiB counts on its never getting there: WASM_PAGES_CAP. */
static bool room_matches(const struct extern_val *want, const struct extern_val *have)
{
    return want->limits.min > WASM_PAGES_CAP ||
           run_memory_of(have->ptr)->abi.max_bytes <= (uint64_t)WASM_PAGES_CAP * WASM_PAGE_BYTES;
}

static bool matches(const struct extern_val *want, const struct extern_val *have)
{
    if (want->kind != have->kind)
        return false;
    switch (want->kind) {
    case EXTERN_FUNC:
    case EXTERN_TAG:
        return functype_equal(want->func_type, have->func_type);
    case EXTERN_TABLE:
        return want->type == have->type && limits_match(want, have);
    case EXTERN_MEM:
        return want->limits.shared == have->limits.shared && limits_match(want, have) &&
               room_matches(want, have);
    case EXTERN_GLOBAL:
        return want->type == have->type && want->mutable_ == have->mutable_;
    }
    return false;
}

/* Everything but a shared memory is used by one thread: it has to be of the cell that imports it. */
static bool of_cell(const struct cell *c, const struct extern_val *v)
{
    const struct abi_func *f = v->ptr;
    switch (v->kind) {
    case EXTERN_FUNC:
        return !f->code || cell_of_ctx(f->ctx) == c;
    case EXTERN_TABLE:
        return run_table_of(v->ptr)->used_entries == &c->table_entries;
    case EXTERN_MEM:
        return v->limits.shared || run_memory_of(v->ptr)->used_bytes == &c->memory_bytes;
    case EXTERN_GLOBAL:
    case EXTERN_TAG:
        break;
    }
    return true;
}

static status_t refuse(const struct module_import *imp, const struct extern_val *want,
                       const char *have, struct error *err)
{
    struct text w = describe(want);
    return error_set(err, ST_LINK, ERROR_NO_OFFSET, "%s: \"%.*s\" \"%.*s\" wants %s%s%s",
                     have ? "incompatible import type" : "unknown import", (int)imp->module.len,
                     imp->module.bytes, (int)imp->field.len, imp->field.bytes, w.bytes,
                     have ? ", found " : "", have ? have : "");
}

static char sig_char(valtype_t t)
{
    switch ((enum valtype)t) {
    case VT_I32:
        return 'i';
    case VT_I64:
        return 'I';
    case VT_F32:
        return 'f';
    case VT_F64:
        return 'F';
    case VT_FUNCREF:
    case VT_EXTERNREF:
    case VT_EXNREF:
        return 'r';
    case VT_V128:
        break;
    }
    return '?';
}

static bool sig_matches(const char *sig, const struct functype *t)
{
    for (uint32_t i = 0; i < t->param_count; i++, sig++) {
        if (*sig != sig_char(t->params[i]))
            return false;
    }
    if (*sig++ != ':')
        return false;
    for (uint32_t i = 0; i < t->result_count; i++, sig++) {
        if (*sig != sig_char(t->results[i]))
            return false;
    }
    return *sig == 0;
}

static bool name_is(const struct name *n, const char *s)
{
    return strncmp(n->bytes, s, n->len) == 0 && s[n->len] == 0;
}

static const struct host_func *find_host(const struct run_import_source *src,
                                         const struct module_import *imp, void **ret_env)
{
    for (uint32_t i = 0; i < src->host_count; i++) {
        if (!name_is(&imp->module, src->hosts[i].name))
            continue;
        for (const struct host_func *f = src->hosts[i].funcs; f->name; f++) {
            if (name_is(&imp->field, f->name)) {
                *ret_env = src->hosts[i].env;
                return f;
            }
        }
    }
    return NULL;
}

static status_t take_host(const struct run_import_source *src, const struct module_import *imp,
                          const struct extern_val *want, struct run_import *ret_import,
                          struct error *err)
{
    void *env = NULL;
    const struct host_func *f = find_host(src, imp, &env);
    if (!f)
        return refuse(imp, want, NULL, err);
    if (imp->kind != EXTERN_FUNC || !sig_matches(f->sig, want->func_type)) {
        struct text have = {.len = 0};
        text_add(&have, "host func %s", f->sig);
        return refuse(imp, want, have.bytes, err);
    }
    *ret_import = (struct run_import){.host_fn = f->fn, .host_env = env};
    return ST_OK;
}

status_t run_import_find(const struct run_import_source *src, const struct module *m,
                         const struct module_import *imp, struct run_import *ret_import,
                         struct error *err)
{
    struct extern_val want = wanted(m, imp), have = {0};
    status_t st = src->resolver ? src->resolver->resolve(src->resolver->arg, imp, &have)
                                : ST_NOTFOUND;
    if (st == ST_NOTFOUND)
        return take_host(src, imp, &want, ret_import, err);
    if (st != ST_OK)
        return error_set(err, st, ERROR_NO_OFFSET, "import \"%.*s\" \"%.*s\"", (int)imp->module.len,
                         imp->module.bytes, (int)imp->field.len, imp->field.bytes);
    if (!matches(&want, &have)) {
        struct text t = describe(&have);
        return refuse(imp, &want, t.bytes, err);
    }
    if (!of_cell(src->cell, &have))
        return refuse(imp, &want, "one of another cell", err);
    *ret_import = (struct run_import){.val = have};
    if (have.kind == EXTERN_FUNC && !((struct abi_func *)have.ptr)->code) {
        struct cell_host_fn *h = have.ptr;
        ret_import->host_fn = h->fn;
        ret_import->host_env = h->env;
    }
    return ST_OK;
}
