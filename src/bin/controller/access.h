#ifndef BIN_CONTROLLER_ACCESS_H
#define BIN_CONTROLLER_ACCESS_H

#include "geds/serve/serve.h"

/* Who may use the store over TCP: certificates with a role, and the tokens of the state folder. */

struct access;
/* state: folder, borrowed. ST_NOMEM. */
CHECKED status_t access_new(const char *state, struct access **ret_access, struct error *err);
/* Takes NULL. */
void access_free(struct access *a);
const struct serve_access *access_table(struct access *a);

#endif
