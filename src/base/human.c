#include "base/human.h"

#include <stdio.h>

void human_bytes(uint64_t bytes, char ret_text[HUMAN_TEXT_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes / 1024;
    unsigned unit = 0;
    if (bytes < 1024) {
        snprintf(ret_text, HUMAN_TEXT_BYTES, "%u byte%s", (unsigned)bytes, bytes == 1 ? "" : "s");
        return;
    }
    /* not "1024.0 KiB", which is what is shown of anything above this */
    for (; v >= 1023.95 && unit < 3; unit++) {
        v /= 1024;
    }
    snprintf(ret_text, HUMAN_TEXT_BYTES, "%.1f %s", v, units[unit]);
}

void human_time(uint64_t ns, char ret_text[HUMAN_TEXT_BYTES])
{
    double s = (double)ns / 1e9;
    const char *unit = s < 120 ? "s" : s < 7200 ? "min" : s < 172800 ? "h" : "days";
    double v = s < 120 ? s : s < 7200 ? s / 60 : s < 172800 ? s / 3600 : s / 86400;
    snprintf(ret_text, HUMAN_TEXT_BYTES, "%.1f %s", v, unit);
}

void human_put_text(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        bool c1 = c == 0xc2 && i + 1 < len && (uint8_t)text[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c == '\\') {
            buf_printf(out, "\\%02x", c);
        } else if (c1) {
            buf_printf(out, "\\c2\\%02x", (uint8_t)text[++i]);
        } else {
            buf_u8(out, c);
        }
    }
}

static bool in_character(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

void human_put_name(struct buf *out, const char *name, size_t len)
{
    static const char between[] = "...";
    size_t head = 60, tail = HUMAN_NAME_MAX - head - (sizeof between - 1);
    if (len <= HUMAN_NAME_MAX) {
        human_put_text(out, name, len);
        return;
    }
    while (head > 0 && in_character(name[head])) {
        head--;
    }
    while (tail > 0 && in_character(name[len - tail])) {
        tail--;
    }
    human_put_text(out, name, head);
    buf_printf(out, "%s", between);
    human_put_text(out, name + len - tail, tail);
}
