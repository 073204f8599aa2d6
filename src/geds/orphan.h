#ifndef GEDS_ORPHAN_H
#define GEDS_ORPHAN_H

#include "impl.h"

/* Files in the folder of extents that no row has. In a store of its own they are damage; where controllers share one,
 * what another one removed while this one was away leaves them. */

enum { ORPHAN_FOLDERS = 256 };

/* Is a file of a folder one that no row has? id 0: it has no name of an extent. A row whose bytes are elsewhere has
 * none, unless it says that its file may be there still. remove: it goes then. A recall of the same number gives its
 * file this name, so none is under way from the look at the row on. */
CHECKED status_t orphan_look(struct store *s, struct db *db, int folder, const char *name,
                             uint64_t id, bool remove, bool *ret_is, struct error *err);
/* The extent that a file of folder `number` is named for; 0: none. */
uint64_t orphan_number(const char *name, unsigned number);

/* Remove those that have names of extents; what has another name is not the store's. Changes may be made meanwhile: a
 * file is there behind its row only. goes_on (NULL: always) false: ST_STOPPED, and the rest stays. */
CHECKED status_t orphans_remove(struct store *s, struct db *db, bool (*goes_on)(void *arg),
                                void *arg, struct error *err);

/* The same in a thread of its own while the store is open. */
CHECKED status_t orphans_begin(struct store *s, struct error *err);
void orphans_end(struct store *s);

#endif
