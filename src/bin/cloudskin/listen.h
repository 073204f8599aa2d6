#ifndef CLOUDSKIN_LISTEN_H
#define CLOUDSKIN_LISTEN_H

#include <stddef.h>

#include "base/status.h"

enum { LISTEN_ADDRESS_MAX = 80 };

/* Is it an address that listen_open takes? ST_INVAL. */
CHECKED status_t listen_check(const char *text, struct error *err);

/* Open a listening TCP socket at "ADDR:PORT", ADDR an IPv4 address, [IPv6 address], localhost, or empty for all
 * addresses; port 0 lets the system choose. ret_address: as bound, "127.0.0.1:8080". ST_INVAL; errors of bind. */
CHECKED status_t listen_open(const char *text, int *ret_fd, char ret_address[LISTEN_ADDRESS_MAX],
                             struct error *err);

#endif
