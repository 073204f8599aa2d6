#ifndef CELL_SNAPSHOT_SUMS_H
#define CELL_SNAPSHOT_SUMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Checksums of pieces that come one after the other, and may have to be read before or written afterwards. Once there
 * are many, a second thread makes them, while the first one is in system calls for the piece before; where the first
 * one would wait, it makes some itself. Used by one thread. Zeroed memory is valid. */

enum { SUMS_DEPTH = 8 };

enum sums_state { SUMS_WAITS, SUMS_TAKEN, SUMS_DONE };
struct sums_piece {
    const void *data;
    size_t len;
    void *into;  /* data, when it has to be read: from off of fd */
    bool goes;   /* it has to be written: to off of fd */
    uint8_t *to; /* which is mapped there; or NULL */
    int fd;
    uint64_t off;
    enum sums_state state;
    uint64_t sum;
    bool failed; /* it could not be read or written */
    int errnum;  /* 0: the file ends before */
};

struct sums {
    uint64_t total_bytes;
    uint32_t first, count; /* pieces that were put and not taken: of a ring */
    bool tried;
    bool threaded;
    bool ends;    /* guarded by lock, like the pieces while threaded */
    bool looked;  /* whether the file that is written can be mapped */
    uint8_t *map; /* of map_fd, from its first byte; NULL: none */
    size_t map_bytes;
    int map_fd;
    struct sums_piece pieces[SUMS_DEPTH];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Begin with a piece, which stays as it is until it is taken. Not when sums_full. */
void sums_put(struct sums *s, const void *data, size_t len);
/* The same of a piece that is read into memory from a file, by its own offset. */
void sums_read(struct sums *s, int fd, uint64_t off, void *into, size_t len);
/* The same of one that is then written to a file, at its own offset. */
void sums_write(struct sums *s, int fd, uint64_t off, const void *data, size_t len);
static inline bool sums_full(const struct sums *s)
{
    return s->count == SUMS_DEPTH;
}
/* The piece that was put first, with its sum; there is one. */
struct sums_piece sums_take(struct sums *s);
/* Ends the thread when it is through with what was put. */
void sums_done(struct sums *s);

#endif
