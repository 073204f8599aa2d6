#include "trace.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"

enum { NAME_SHOWN_MAX = 200, FRAMES_SHOWN_MAX = 32 };

/* An access that begins so far below address 0 is taken for one of a stack that has grown out of memory: its frames are
 * smaller. */
#define BELOW_ZERO_BYTES ((uint64_t)64 << 20)

/* A guest could otherwise send commands to the terminal in a function's name: ASCII's control characters, and
 * those that UTF-8 writes as 0xc2 and a byte below 0xa0. */
static void add_name(struct buf *out, struct name n)
{
    size_t len = n.len < NAME_SHOWN_MAX ? n.len : NAME_SHOWN_MAX;
    unsigned char before = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)n.bytes[i];
        bool c1 = before == 0xc2 && c < 0xa0;
        buf_u8(out, c < ' ' || c == 0x7f || c1 ? '?' : c);
        before = c;
    }
    if (len < n.len) {
        buf_printf(out, "...");
    }
}

static void add_frame(struct buf *out, uint32_t number, const struct frame *f)
{
    buf_printf(out, "  #%-3u ", number);
    if (f->program == NULL) {
        buf_printf(out, "(host)");
    } else if (f->name.len > 0) {
        add_name(out, f->name);
    } else {
        buf_printf(out, "func[%u]", f->func);
    }
    if (f->file.len > 0) {
        buf_printf(out, " at ");
        add_name(out, f->file);
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
