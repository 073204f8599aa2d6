#ifndef CELL_WASI_STAT_H
#define CELL_WASI_STAT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "ids.h"
#include "preview1.h"

/* Write a filestat record at out: FILESTAT_BYTES, or FILESTAT_UNSTABLE_BYTES when unstable, with the guest's device and
 * inode numbers. ids: NULL when st has these already. type: FILETYPE_*. Times before 1970 become 0. */
void stat_encode(const struct ids *ids, const struct stat *st, uint8_t type, bool unstable,
                 uint8_t *out);

/* The guest's numbers of a file. */
struct ids_key stat_shown(const struct ids *ids, const struct stat *st);

/* In nanoseconds; 0 before 1970. */
uint64_t stat_ns(struct timespec t);

/* What utimensat takes for the times and FST_* flags of WASI. WASI_INVAL for contradicting or unknown flags. */
enum wasi_errno stat_times(uint64_t atim, uint64_t mtim, uint32_t flags,
                           struct timespec ret_times[2]);

#endif
