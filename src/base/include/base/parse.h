#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/status.h"

/* Decimal number, whole string, no sign or blanks. ST_INVAL otherwise, ST_LIMIT above max. */
CHECKED status_t parse_u64(const char *s, uint64_t max, uint64_t *ret_value);
/* The same in hexadecimal, without a prefix. */
CHECKED status_t parse_hex(const char *s, uint64_t max, uint64_t *ret_value);
/* A floating-point number as strtod reads it, whole string, no blanks: decimal, 0x hexadecimal, inf, nan.
 * Rounded to the nearest; out of range gives infinity or zero. ST_INVAL. */
CHECKED status_t parse_f32(const char *s, float *ret_value);
CHECKED status_t parse_f64(const char *s, double *ret_value);
/* A byte count: decimal with an optional K, M, G, T, KiB, MiB, GiB, TiB suffix (all powers of 1024). */
CHECKED status_t parse_size(const char *s, uint64_t max, uint64_t *ret_bytes);
/* A time: decimal with optional fraction and suffix ms, s (default), m, h. Result in nanoseconds. */
CHECKED status_t parse_duration(const char *s, uint64_t max_ns, uint64_t *ret_ns);

#endif
