#ifndef CLOUDSKIN_CHAIN_H
#define CLOUDSKIN_CHAIN_H

#include "cell/snapshot/snapshot.h"
#include "snapfile/file.h"

/* A snapshot and the ones that it is an increment on, the full one first. Zeroed memory is a valid empty one. */
struct snapshot_chain {
    struct snapshot_reader **readers;
    struct snapshot_file **files; /* what they read from */
    uint32_t count;
};

/* The snapshot fd, called name in messages. Its bases are files of folder_fd, found by their names; -1: it has to be a
 * full one. Takes over fd. Errors of snapshot_open; ST_NOTFOUND names a base that is not there. */
CHECKED status_t snapshot_chain_open(int fd, const char *name, int folder_fd,
                                     struct snapshot_chain *ret_chain, struct error *err);
/* The one that all lead to. */
struct snapshot_reader *snapshot_chain_last(const struct snapshot_chain *c);
/* What the one says that has the module of the last one in it; NULL: none has. */
const struct snapshot_info *snapshot_chain_embeds(const struct snapshot_chain *c);
/* All were read: were their compressed forms whole? ST_CORRUPT. */
CHECKED status_t snapshot_chain_end(const struct snapshot_chain *c, struct error *err);
void snapshot_chain_close(struct snapshot_chain *c);

#endif
