#ifndef CELL_MODULE_VALIDATE_H
#define CELL_MODULE_VALIDATE_H

#include <string.h>

#include "base/cursor.h"
#include "cell/module/instr.h"
#include "cell/module/module.h"

/* The state of validating function bodies, after the algorithm in the specification's appendix. The operand
 * stack holds one byte per value; everything under the height of the innermost frame is out of reach. */

/* The type of a value in unreachable code that may be any: matches all. */
enum { VT_ANY = 0 };

/* Most values that wait on the operand stack of a function. */
enum { VALIDATE_OPERANDS_MAX = 1 << 20 };

enum frame_kind {
    FRAME_FUNC,
    FRAME_BLOCK,
    FRAME_LOOP,
    FRAME_IF,
    FRAME_ELSE,
    FRAME_TRY_TABLE,
    FRAME_TRY,
    FRAME_CATCH,
    FRAME_CATCH_ALL,
};

struct type_list {
    const valtype_t *types;
    uint32_t count;
};

struct frame_ctrl {
    enum frame_kind kind;
    bool unreachable; /* the rest of the frame is dead: missing operands have any type */
    uint32_t height;  /* of the operand stack at the frame's start */
    struct type_list params;
    struct type_list results;
};

/* One thread; the buffers serve all functions of a module in turn. */
struct validator {
    struct module *m;
    uint32_t func_index;
    const struct module_func *func;
    const struct functype *type;
    struct cursor c;
    struct instr in; /* the present instruction */
    const struct instr_info *info;
    valtype_t *operands;
    uint32_t operand_count;
    uint32_t operand_cap;
    struct frame_ctrl *frames;
    uint32_t frame_count;
    uint32_t frame_cap;
    struct error *err;
};

/* ---- stacks ---- */

/* Fail at the present instruction: the reason, function and instruction, and the details if not empty.
 * Returns code. */
status_t validate_fail(struct validator *v, status_t code, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for an index that nothing has: "unknown label 3". Returns ST_INVALID. */
status_t validate_unknown(struct validator *v, const char *what, uint32_t index);

CHECKED status_t validate_push(struct validator *v, valtype_t type);
CHECKED status_t validate_push_list(struct validator *v, struct type_list list);
/* ST_INVALID when the top is missing or of another type. */
CHECKED status_t validate_pop(struct validator *v, valtype_t expected);
/* Any type; VT_ANY from the stack of dead code. */
CHECKED status_t validate_pop_any(struct validator *v, valtype_t *ret_type);
CHECKED status_t validate_pop_list(struct validator *v, struct type_list list);
/* The top of the stack has these types; nothing is popped. */
CHECKED status_t validate_peek_list(struct validator *v, struct type_list list);

/* Open a frame whose parameters the stack holds above the height that it gets. */
CHECKED status_t validate_frame_push(struct validator *v, enum frame_kind kind,
                                     struct type_list params, struct type_list results);
/* The results of the innermost frame are on the stack and nothing else; they are popped. */
CHECKED status_t validate_frame_finish(struct validator *v);
void validate_dead(struct validator *v);

static inline struct frame_ctrl *validate_frame(struct validator *v)
{
    return &v->frames[v->frame_count - 1];
}

static inline bool type_lists_equal(struct type_list a, struct type_list b)
{
    return a.count == b.count &&
           (a.types == b.types || a.count == 0 || memcmp(a.types, b.types, a.count) == 0);
}

static inline struct type_list type_list_params(const struct functype *t)
{
    return (struct type_list){t->params, t->param_count};
}

static inline struct type_list type_list_results(const struct functype *t)
{
    return (struct type_list){t->results, t->result_count};
}

/* ---- instructions ---- */

/* Blocks, branches, calls and exceptions. */
CHECKED status_t validate_control(struct validator *v);
/* Everything else that has no fixed signature. */
CHECKED status_t validate_untyped(struct validator *v);
/* The immediates of an instruction with a fixed signature: memories, alignment, lanes, segments. */
CHECKED status_t validate_immediates(struct validator *v);

#endif
