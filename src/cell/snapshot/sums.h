#ifndef CELL_SNAPSHOT_SUMS_H
#define CELL_SNAPSHOT_SUMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Checksums of pieces that come one after the other. Once there are many, a second thread makes them, while the first
 * one is in system calls for the piece before. Used by one thread. Zeroed memory is valid. */

enum { SUMS_DEPTH = 2 };

struct sums_piece {
    const void *data;
    size_t len;
    uint64_t sum;
    bool done;
};

struct sums {
    uint64_t total_bytes;
    uint32_t first, count; /* pieces that were put and not taken: of a ring */
    bool tried;
    bool threaded;
    bool ends; /* guarded by lock, like the pieces while threaded */
    struct sums_piece pieces[SUMS_DEPTH];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Begin with a piece, which stays as it is until it is taken. Not when sums_full. */
void sums_put(struct sums *s, const void *data, size_t len);
static inline bool sums_full(const struct sums *s)
{
    return s->count == SUMS_DEPTH;
}
/* The sum of the piece that was put first; there is one. */
uint64_t sums_take(struct sums *s);
/* Ends the thread when it is through with what was put. */
void sums_done(struct sums *s);

#endif
