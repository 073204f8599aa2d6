#include "capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "operation.h"
#include "ops.h"

/* DWARF's number. */
#if defined(__aarch64__)
enum { FRAME_POINTER = 29 };
#else
enum { FRAME_POINTER = 6 };
#endif

/* The innermost frame comes first. */
static struct run_record *record_begin(void *ctx, const struct abi_site *site, uint32_t kind)
{
    struct cell *c = cell_of_ctx(ctx);
    if (!c->capturing)
        run_capture_begin(c);
    struct run_record *r = run_record_push(c, instance_of_ctx(ctx), site, kind);
    if (!r)
        cell_trap_text(c, "no memory to save the call stack");
    return r;
}

/* Values of a site, one after the other: where they come from. */
typedef void take_value(union cell_value *ret_v, valtype_t type, uint32_t i, void *arg);

/* The values in the frame itself. Of a call's results only the first one is there; others are with the cell. Those of
 * a call that has not returned are nothing yet: zero. */
static void take_values(const struct cell *c, struct run_record *r, take_value *take, void *arg)
{
    const struct abi_site *s = r->site;
    const uint8_t *types = abi_site_types(s);
    uint32_t end = s->live + s->stack, result = end - s->exns - s->results;
    for (uint32_t i = 0; i < end; i++) {
        bool is_result = i >= result && i < result + s->results;
        r->values[i] = (union cell_value){0};
        if (!is_result || i == result)
            take(&r->values[i], types[i], i, arg);
        if (is_result && r->kind != SITE_RETURNED)
            r->values[i] = (union cell_value){0};
        else if (is_result && i > result)
            r->values[i] = c->multi[i - result - 1];
    }
}

static size_t value_bytes(valtype_t type)
{
    return type == VT_I32 || type == VT_F32 ? 4 : type == VT_V128 ? 16 : 8;
}

/* ---- values in registers ---- */

struct places {
    const struct abi_registers *regs;
    struct cursor in; /* of the image's maps */
};

static void place_read(struct places *p, void *ret_value, size_t bytes)
{
    const struct abi_registers *regs = p->regs;
    uint32_t place = cursor_u8(&p->in);
    int64_t number = place >= IMAGE_AT_STACK ? cursor_leb_s64(&p->in) : 0;
    const void *at = &number;
    if (place < IMAGE_IN_VECTOR)
        at = &regs->general[place - IMAGE_IN_GENERAL];
    else if (place < IMAGE_AT_STACK)
        at = regs->vector[place - IMAGE_IN_VECTOR];
    else if (place == IMAGE_AT_STACK)
        at = (const void *)(regs->sp + (uint64_t)number);
    else if (place == IMAGE_AT_FRAME)
        at = (const void *)(regs->general[FRAME_POINTER] + (uint64_t)number);
    memcpy(ret_value, at, bytes);
}

static void take_place(union cell_value *ret_v, valtype_t type, uint32_t i, void *arg)
{
    place_read(arg, ret_v, value_bytes(type));
    (void)i;
}

void run_op_capture_c(void *ctx, const struct abi_registers *regs)
{
    const struct program *p = instance_of_ctx(ctx)->prog;
    const struct image_map_row *row = image_map_find(p->image,
                                                     (uint32_t)(regs->pc - (uintptr_t)p->code));
    struct places places = {.regs = regs};
    const struct abi_site *site = NULL;
    uint32_t kind = 0;
    if (row && row->at < p->image->map_len) {
        cursor_init(&places.in, p->image->map_bytes + row->at, p->image->map_len - row->at, 0);
        place_read(&places, &site, sizeof site);
        place_read(&places, &kind, sizeof kind);
    }
    struct run_record *r = site ? record_begin(ctx, site, kind) : NULL;
    if (r)
        take_values(cell_of_ctx(ctx), r, take_place, &places);
    if (!site || places.in.failed)
        cell_trap_text(cell_of_ctx(ctx), "the image does not say where the values of a frame are");
}

/* ---- variables in memory ---- */

struct areas {
    const struct abi_site *site;
    const uint8_t *locals;
    uint32_t stride;
    const union cell_value *operands;
};

static void take_variable(union cell_value *ret_v, valtype_t type, uint32_t i, void *arg)
{
    const struct areas *a = arg;
    const void *at = &a->operands[i - a->site->live];
    if (i < a->site->live)
        at = a->locals + (size_t)a->site->live_locals[i] * a->stride;
    memcpy(ret_v, at, value_bytes(type));
}

void run_op_frame_c(void *ctx, const struct abi_site *site, uint32_t kind, const uint8_t *locals,
                    uint32_t stride, const union cell_value *operands)
{
    struct areas areas = {site, locals, stride, operands};
    struct run_record *r = record_begin(ctx, site, kind);
    if (r)
        take_values(cell_of_ctx(ctx), r, take_variable, &areas);
}

/* ---- entering again ---- */

static size_t expanded_bytes(const struct abi_site *s)
{
    return sizeof(struct abi_record) + ((size_t)s->locals + s->stack) * sizeof(union cell_value);
}

/* As an optimised twin takes it, in the room that run_resume_begin made: locals that are not live are zero. */
static void expand(const struct run_record *r, struct abi_record *a)
{
    const struct abi_site *s = r->site;
    memset(a, 0, expanded_bytes(s));
    for (uint32_t i = 0; i < s->live; i++)
        a->values[s->live_locals[i]] = r->values[i];
    for (uint32_t i = 0; i < s->stack; i++)
        a->values[s->locals + i] = r->values[s->live + i];
}

/* The twin of the next frame, whose record is then the present one. NULL: it has none. */
static const void *take_record(struct cell *c, void **ret_ctx)
{
    const struct run_record *r = c->next_record;
    const struct program *p = r && r->kind != SITE_OPERATION ? r->inst->prog : NULL;
    uint32_t off = p ? p->image->func_twin[r->site->func] : 0;
    if (!off)
        return NULL;
    expand(r, c->record);
    c->present = r;
    c->next_record = r->inner;
    *ret_ctx = r->inst->base;
    return p->code + off;
}

const struct abi_record *run_op_record_c(void *ctx)
{
    return cell_of_ctx(ctx)->record;
}

const struct abi_ways *run_ways(const struct program *p, uint32_t func)
{
    uint32_t twin = p->image->func_twin[func];
    int64_t distance;
    if (twin == 0)
        return NULL;
    memcpy(&distance, p->code + twin - sizeof distance, sizeof distance);
    return (const void *)(p->code + twin + distance);
}

const struct abi_site *run_way_site(const struct abi_ways *ways, uint32_t i)
{
    return (const void *)((const char *)ways + ways->ways[i].site);
}

static void put_variables(const struct run_record *r, uint8_t *locals, uint32_t stride,
                          union cell_value *operands)
{
    const struct abi_site *s = r->site;
    const uint8_t *types = abi_site_types(s);
    for (uint32_t i = 0; i < s->live; i++)
        memcpy(locals + (size_t)s->live_locals[i] * stride, &r->values[i], value_bytes(types[i]));
    if (s->stack)
        memcpy(operands, r->values + s->live, s->stack * sizeof *operands);
}

/* Called from the twin's frame. A record has been made by this image, or was compared with its ways when it was loaded:
 * place and kind tell which way it goes. */
uint32_t run_op_enter_c(void *ctx, const struct abi_ways *ways, uint8_t *locals, uint32_t stride,
                        union cell_value *operands)
{
    struct cell *c = cell_of_ctx(ctx);
    const struct run_record *r = c->present;
    uint32_t i = 0;
    while (i < ways->count &&
           (ways->ways[i].kind != r->kind || run_way_site(ways, i)->off != r->site->off))
        i++;
    if (i == ways->count)
        c->trap = TRAP_RESUME;
    else if (!run_stack_entered(c, c->op_sp, c->next_record))
        c->trap = TRAP_STACK;
    else if (locals)
        put_variables(r, locals, stride, operands);
    return i + 1;
}

void *run_op_resume_c(void *ctx, union cell_value *io, void **ret_ctx)
{
    struct cell *c = cell_of_ctx(ctx);
    const struct run_record *r = c->next_record;
    if (r && r->kind == SITE_OPERATION) {
        c->next_record = r->inner;
        run_operation_go_on(r, io);
        return NULL;
    }
    const void *code = take_record(c, ret_ctx);
    if (!code)
        c->trap = TRAP_RESUME;
    return (void *)code;
}

status_t run_resume_begin(struct cell *c, const void **ret_code, void **ret_ctx, struct error *err)
{
    size_t bytes = sizeof(struct abi_record);
    for (const struct run_record *r = c->records; r; r = r->inner) {
        if (r->kind != SITE_OPERATION && r->inst->prog->image->func_twin[r->site->func] == 0)
            return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                             "the image has no way to enter function %u again", r->site->func);
        bytes = expanded_bytes(r->site) > bytes ? expanded_bytes(r->site) : bytes;
    }
    free(c->record);
    c->record = malloc(bytes);
    if (!c->record)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a frame");
    c->next_record = c->records;
    *ret_code = take_record(c, ret_ctx);
    return *ret_code ? ST_OK : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "no frame to enter");
}
