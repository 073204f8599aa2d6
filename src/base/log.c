#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static atomic_int lowest_level = LOG_INFO;

/* A line under construction; the last byte is kept for the newline, longer lines are cut. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static void add_char(struct line *l, char c)
{
    if (l->len < sizeof l->text - 1) {
        l->text[l->len++] = c;
    }
}

static void add_text(struct line *l, const char *s)
{
    for (; *s != '\0'; s++) {
        add_char(l, *s);
    }
}

static bool is_plain(const char *s)
{
    if (*s == '\0') {
        return false;
    }
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '\\' || *s == '=' || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Quote what is not plain, so that a value can neither end the line nor forge another pair. */
static void add_value(struct line *l, const char *s)
{
    static const char digits[] = "0123456789abcdef";
    if (is_plain(s)) {
        add_text(l, s);
        return;
    }
    add_char(l, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            add_char(l, '\\');
            add_char(l, *s);
        } else if (c < ' ' || c == 0x7f) {
            add_text(l, "\\x");
            add_char(l, digits[c >> 4]);
            add_char(l, digits[c & 15]);
        } else {
            add_char(l, *s);
        }
    }
    add_char(l, '"');
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&lowest_level, (int)level, memory_order_relaxed);
}

void log_event(enum log_level level, const char *event, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if ((int)level < atomic_load_explicit(&lowest_level, memory_order_relaxed)) {
        return;
    }
    struct line l;
    l.len = 0;
    add_text(&l, names[level]);
    add_char(&l, ' ');
    add_text(&l, event);
    va_list args;
    va_start(args, event);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        if (value == NULL) {
            break; /* a missing value would make the sentinel a value and read on behind it */
        }
        add_char(&l, ' ');
        add_text(&l, key);
        add_char(&l, '=');
        add_value(&l, value);
    }
    va_end(args);
    l.text[l.len++] = '\n';
    ssize_t written = write(STDERR_FILENO, l.text, l.len);
    (void)written; /* there is nowhere to report it */
}
