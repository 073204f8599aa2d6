#include "backtrace.h"

struct walk {
    struct cell *cell;
    struct program *prog; /* of the last frame */
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
    uintptr_t lr;
    bool exact; /* pc is an instruction that did not end, not a return address */
};

static bool find_program(struct walk *w)
{
    if (!w->prog || !program_has_pc(w->prog, w->pc))
        w->prog = cell_program_at(w->cell, w->pc);
    return w->prog != NULL;
}

/* Offset in the code to look things up: a return address belongs to the call before it. */
static uint32_t code_off(const struct walk *w)
{
    return (uint32_t)(w->pc - (uintptr_t)w->prog->code) - (w->exact ? 0 : 1);
}

static bool load_word(const struct walk *w, uintptr_t at, uintptr_t *ret_word)
{
    const struct run_stack *s = &w->cell->stack;
    if (at % sizeof(uintptr_t) != 0 || at < (uintptr_t)s->low || at >= (uintptr_t)s->top)
        return false;
    *ret_word = *(const uintptr_t *)at;
    return true;
}

/* To the caller; false at the end of the guest's frames. */
static bool step(struct walk *w)
{
    const struct image_unwind *row = image_unwind_find(w->prog->image, code_off(w));
    if (!row || row->cfa_reg > 1)
        return false;
    uintptr_t cfa = (row->cfa_reg == 0 ? w->sp : w->fp) + (uintptr_t)(intptr_t)row->cfa_add;
    uintptr_t ra = w->lr, fp = w->fp;
    if (row->ra_add != IMAGE_REG_SAME && !load_word(w, cfa + (uintptr_t)(intptr_t)row->ra_add, &ra))
        return false;
    if (row->fp_add != IMAGE_REG_SAME && !load_word(w, cfa + (uintptr_t)(intptr_t)row->fp_add, &fp))
        return false;
    if (cfa < w->sp || (cfa == w->sp && !w->exact))
        return false;
    *w = (struct walk){.cell = w->cell, .prog = w->prog, .pc = ra, .sp = cfa, .fp = fp};
    return true;
}

static void fill_frame(const struct walk *w, const struct image_range *range, struct frame *f)
{
    const struct image *img = w->prog->image;
    *f = (struct frame){.program = w->prog, .func = range->func};
    f->wasm_off = image_wasm_off_find(img, code_off(w));
    f->name = image_func_name(img, range->func);
    const struct line_row *line = f->wasm_off ? image_line_find(img, f->wasm_off) : NULL;
    if (line) {
        f->file = image_file_name(img, line->file);
        f->line = line->line;
    }
}

/* One function's frame; names are looked up for those that are kept only. The trampoline of an import tells
 * which host function the frame before it is. */
static void add_frame(const struct walk *w, const struct image_range *range)
{
    struct cell *c = w->cell;
    if (range->func < w->prog->module->func_import_count) {
        if (c->frame_count == 1 && !c->frames[0].program)
            c->frames[0].name = image_func_name(w->prog->image, range->func);
        return;
    }
    if (c->frame_count < BACKTRACE_MAX)
        fill_frame(w, range, &c->frames[c->frame_count++]);
    c->frame_total++;
}

/* Add the frames from w on to the cell's. */
static void add_frames(struct walk *w)
{
    const struct image_range *range = NULL;
    uintptr_t last_pc = 0;
    while (find_program(w)) {
        if (w->pc != last_pc || w->exact)
            range = image_range_find(w->prog->image, code_off(w));
        last_pc = w->pc;
        if (range && range->func != IMAGE_NO_FUNC)
            add_frame(w, range);
        if (!step(w))
            break;
    }
}

/* No frames when memory ran out: the trap itself is reported all the same. */
static bool have_frames(struct cell *c)
{
    c->frame_count = 0;
    c->frame_total = 0;
    if (!c->frames)
        c->frames = calloc(BACKTRACE_MAX, sizeof(*c->frames));
    return c->frames != NULL;
}

void run_backtrace_take(struct cell *c)
{
    struct walk w = {.cell = c,
                     .pc = c->op_pc,
                     .sp = c->op_sp,
                     .fp = c->op_fp,
                     .lr = c->fault_lr,
                     .exact = c->fault};
    if (have_frames(c))
        add_frames(&w);
}

/* Does a walk from a return address at slot reach the end of the stack, where run_enter called? */
static bool reaches_top(struct cell *c, struct walk w)
{
    uint64_t frames = 0;
    while (find_program(&w)) {
        if (!step(&w))
            return false;
        frames++;
    }
    return frames > 0 && w.sp + 64 >= (uintptr_t)c->stack.top;
}

__attribute__((no_sanitize("address"))) void run_backtrace_take_host(struct cell *c, uintptr_t sp)
{
    if (!have_frames(c))
        return;
    c->frames[c->frame_count++] = (struct frame){.program = NULL};
    c->frame_total++;
    uintptr_t top = (uintptr_t)c->stack.top;
    for (uintptr_t at = sp & ~(sizeof(uintptr_t) - 1); at >= (uintptr_t)c->stack.low && at < top;
         at += sizeof(uintptr_t)) {
        struct walk w = {.cell = c, .pc = *(const uintptr_t *)at, .sp = at + sizeof(uintptr_t)};
        if (!find_program(&w) || !reaches_top(c, w))
            continue;
        add_frames(&w);
        return;
    }
}
