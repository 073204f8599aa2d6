#ifndef PROTO_LEASE_H
#define PROTO_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/status.h"

/* Memory that the store shares with its clients (docs/internals/geds-leases.md): words of 64 bits. */

enum {
    LEASE_VERSION = 1,
    LEASE_SLOTS = 32 * 1024,       /* of the tables that the store makes */
    LEASE_SLOTS_MAX = 1024 * 1024, /* that a client takes */
    LEASE_PAGE_BYTES = 4096,       /* of the file */
};
#define LEASE_TABLE_MAGIC UINT64_C(0x54455341454c5343) /* "CSLEASET" when read byte by byte */
#define LEASE_PAGE_MAGIC UINT64_C(0x50455341454c5343)
typedef _Atomic uint64_t lease_word;

enum lease_table_word {
    LEASE_T_MAGIC,
    LEASE_T_VERSION,
    LEASE_T_SLOTS,
    LEASE_T_ID,
    LEASE_T_ALL = 8,     /* alone in its cache line, and so is: */
    LEASE_T_EVENTS = 16, /* its lower half is what a futex waits for */
    LEASE_T_FIRST = 512, /* slots */
};
enum lease_page_word {
    LEASE_P_MAGIC,
    LEASE_P_VERSION,
    LEASE_P_ID,
    LEASE_P_END,
};

/* Bytes of a table of so many slots. */
size_t lease_table_bytes(size_t slots);
/* Of a name, for any number of slots: take it modulo that. Any thread. */
uint64_t lease_hash(const char *bucket, const char *key);

/* Both parts as they were passed: bytes are those that are mapped. ST_FORMAT: they are not what they should be. */
CHECKED status_t lease_check(const lease_word *table, size_t table_bytes, const lease_word *page,
                             size_t page_bytes, size_t *ret_slots, struct error *err);

#endif
