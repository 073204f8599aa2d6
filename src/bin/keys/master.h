#ifndef BIN_KEYS_MASTER_H
#define BIN_KEYS_MASTER_H

#include <stdbool.h>

/* Master keys of the store that is up. */
struct master_wanted {
    bool json;
    const char *controller; /* NULL: the default */
    int code;               /* what to exit with */
};
/* master, rotate, drop ID. False: it is none of these. */
bool keys_master(struct master_wanted *w, int argc, char **argv);

#endif
