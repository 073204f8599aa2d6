#include "base/parse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide_t;

/* Digits at *s, which is moved behind them. The value stays at UINT64_MAX + 1 once 64 bits do not hold it.
 * false: there is no digit. */
static bool take_digits(const char **s, wide_t *ret_value)
{
    const wide_t too_large = (wide_t)UINT64_MAX + 1;
    const char *p = *s;
    wide_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (unsigned)(*p - '0');
        if (value > too_large) {
            value = too_large;
        }
    }
    if (p == *s) {
        return false;
    }
    *s = p;
    *ret_value = value;
    return true;
}

status_t parse_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
    wide_t value;
    if (!take_digits(&s, &value) || *s != '\0') {
        return ST_INVAL;
    }
    if (value > max) {
        return ST_LIMIT;
    }
    *ret_value = (uint64_t)value;
    return ST_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

status_t parse_hex(const char *s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    bool fits = true;
    if (*s == '\0') {
        return ST_INVAL;
    }
    for (; *s != '\0'; s++) {
        int digit = hex_digit(*s);
        if (digit < 0) {
            return ST_INVAL;
        }
        fits = fits && value >> 60 == 0;
        value = value << 4 | (uint64_t)digit;
    }
    if (!fits || value > max) {
        return ST_LIMIT;
    }
    *ret_value = value;
    return ST_OK;
}

/* strtod skips blanks, and an empty string is 0 to it. */
static bool starts_number(const char *s)
{
    return *s != '\0' && strchr("+-.0123456789iInN", *s) != NULL;
}

status_t parse_f32(const char *s, float *ret_value)
{
    char *end = NULL;
    float value = starts_number(s) ? strtof(s, &end) : 0;
    if (end == NULL || end == s || *end != '\0') {
        return ST_INVAL;
    }
    *ret_value = value;
    return ST_OK;
}

status_t parse_f64(const char *s, double *ret_value)
{
    char *end = NULL;
    double value = starts_number(s) ? strtod(s, &end) : 0;
    if (end == NULL || end == s || *end != '\0') {
        return ST_INVAL;
    }
    *ret_value = value;
    return ST_OK;
}

status_t parse_size(const char *s, uint64_t max, uint64_t *ret_bytes)
{
    static const char letters[] = "KMGT";
    wide_t value;
    unsigned shift = 0;
    if (!take_digits(&s, &value)) {
        return ST_INVAL;
    }
    const char *letter = *s != '\0' ? strchr(letters, *s) : NULL;
    if (letter != NULL) {
        shift = 10 * (unsigned)(letter - letters + 1);
        s++;
        if (strcmp(s, "iB") == 0) {
            s += 2;
        }
    }
    if (*s != '\0') {
        return ST_INVAL;
    }
    if (value > max >> shift) {
        return ST_LIMIT;
    }
    *ret_bytes = (uint64_t)value << shift;
    return ST_OK;
}

/* Nanoseconds of one unit; 0 for an unknown suffix. */
static uint64_t time_unit_ns(const char *suffix)
{
    static const struct {
        const char *suffix;
        uint64_t ns;
    } units[] = {
        {"", 1000000000},   {"ms", 1000000},      {"s", 1000000000},
        {"m", 60000000000}, {"h", 3600000000000},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(suffix, units[i].suffix) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

status_t parse_duration(const char *s, uint64_t max_ns, uint64_t *ret_ns)
{
    wide_t whole = 0;
    uint64_t fraction = 0, scale = 1;
    if (*s != '.' && !take_digits(&s, &whole)) {
        return ST_INVAL;
    }
    if (*s == '.') {
        s++;
        if (*s < '0' || *s > '9') {
            return ST_INVAL;
        }
        for (; *s >= '0' && *s <= '9'; s++) {
            /* 15 digits are below a nanosecond for an hour; what follows cannot change the result */
            if (scale < 1000000000000000) {
                fraction = fraction * 10 + (uint64_t)(*s - '0');
                scale *= 10;
            }
        }
    }
    uint64_t unit = time_unit_ns(s);
    if (unit == 0) {
        return ST_INVAL;
    }
    wide_t ns = whole * unit + (wide_t)fraction * unit / scale;
    if (ns > max_ns) {
        return ST_LIMIT;
    }
    *ret_ns = (uint64_t)ns;
    return ST_OK;
}
