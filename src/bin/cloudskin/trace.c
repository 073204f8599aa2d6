#include "trace.h"

#include <string.h>
#include <unistd.h>

#include "base/human.h"

enum { FRAMES_SHOWN_MAX = 32 };

/* An access that begins so far below address 0 is taken for one of a stack that has grown out of memory: its frames are
 * smaller. */
#define BELOW_ZERO_BYTES ((uint64_t)64 << 20)

static void add_frame(struct buf *out, uint32_t number, const struct frame *f)
{
    buf_printf(out, "  #%-3u ", number);
    if (f->program == NULL) {
        buf_printf(out, "(host)");
    } else if (f->name.len > 0) {
        human_put_name(out, f->name.bytes, f->name.len);
    } else {
        buf_printf(out, "func[%u]", f->func);
    }
    if (f->file.len > 0) {
        buf_printf(out, " at ");
        human_put_text(out, f->file.bytes, f->file.len);
        buf_printf(out, ":%u", f->line);
    }
    if (f->program != NULL && f->wasm_off != 0) {
        buf_printf(out, " (wasm 0x%x)", f->wasm_off);
    }
    buf_printf(out, "\n");
}

/* Programs have their stack of local arrays at the bottom of memory, and addresses wrap around. */
static bool is_below_zero(const struct cell *c)
{
    const uint64_t zero = (uint64_t)1 << 32;
    uint64_t off;
    return cell_trap_offset(c, &off) && off >= zero - BELOW_ZERO_BYTES &&
           off < zero + BELOW_ZERO_BYTES;
}

void trace_print(const struct cell *c, const char *program, const char *text)
{
    struct buf out = {0};
    const struct frame *frames = NULL;
    uint64_t total = 0;
    uint32_t count = cell_backtrace(c, &frames, &total);
    count = count < FRAMES_SHOWN_MAX ? count : FRAMES_SHOWN_MAX;
    buf_printf(&out, "cloudskin: %s: trap: %s\n", program,
               text[0] != '\0' ? text : abi_trap_text(cell_trap(c)));
    for (uint32_t i = 0; i < count; i++) {
        add_frame(&out, i, &frames[i]);
    }
    if (total > count) {
        buf_printf(&out, "  ... and %llu more\n", (unsigned long long)(total - count));
    }
    if (is_below_zero(c)) {
        buf_printf(
            &out,
            "  (just below address 0: the program's stack in memory is full, if it has grown deep; "
            "-Wl,-z,stack-size=BYTES makes it larger when the program is linked)\n");
    }
    if (!out.failed) {
        ssize_t written = write(STDERR_FILENO, out.data, out.len);
        (void)written; /* there is nowhere to report it */
    }
    buf_done(&out);
}
