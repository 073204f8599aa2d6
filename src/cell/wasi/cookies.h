#ifndef CELL_WASI_COOKIES_H
#define CELL_WASI_COOKIES_H

#include <stddef.h>
#include <stdint.h>

/* Short names for a file system's positions in a directory. A guest's telldir has 32 bits and a sign, while a host's
 * position may be a 63-bit hash: those get numbers in the order in which they are seen, for as long as the
 * directory is open. Positions below COOKIE_NAMED stand for themselves.
 * Zeroed memory is a valid empty set. Not safe for several threads. */

enum { COOKIE_NAMED = 1 << 30, COOKIES_MAX = 1 << 20 };

struct cookies {
    uint64_t *positions; /* of cookie COOKIE_NAMED + index */
    uint32_t *table;     /* open addressing by position: index + 1, 0: free; twice cap entries */
    uint32_t count;
    uint32_t cap; /* a power of two, or 0 */
};

/* The cookie of a position. With COOKIES_MAX names given out or without memory it is the position itself,
 * which readdir can use all the same. */
uint64_t cookies_name(struct cookies *c, uint64_t position);
/* The position of a cookie; an unknown one is taken as a position. */
uint64_t cookies_position(const struct cookies *c, uint64_t cookie);
void cookies_done(struct cookies *c);

#endif
