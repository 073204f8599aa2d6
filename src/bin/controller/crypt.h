#ifndef BIN_CONTROLLER_CRYPT_H
#define BIN_CONTROLLER_CRYPT_H

#include <pthread.h>
#include <stdatomic.h>

#include "geds/crypt.h"

/* The encryption of a state folder: what is given on the command line, and what earlier starts were given. */

/* NULL: as before. */
struct crypt_given {
    const char *master_key; /* file */
    const char *encrypt;    /* on, off */
};
/* Give the store its master keys, and keep what was given in the state folder. What keys are missing is logged, and
 * said on standard error. ST_INVAL: an argument. */
CHECKED status_t controller_crypt_open(const struct crypt_given *given, const char *state,
                                       struct store *store, struct error *err);

/* What a rotation that did not end left is done in the background. */
struct crypt_running {
    struct store *store;
    pthread_t thread;
    bool runs;
    _Atomic bool stop;
};
CHECKED status_t controller_crypt_start(struct crypt_running *r, struct store *store,
                                        struct error *err);
/* Before store_close. Takes zeroed ones. */
void controller_crypt_stop(struct crypt_running *r);

#endif
