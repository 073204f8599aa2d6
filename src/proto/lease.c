#include "proto/lease.h"

#include <string.h>

#include "base/hash.h"
#include "proto/geds.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "a futex waits for the lower half of a word, where the word is");

size_t lease_table_bytes(size_t slots)
{
    return (LEASE_T_FIRST + slots) * sizeof(lease_word);
}

uint64_t lease_hash(const char *bucket, const char *key)
{
    char name[GEDS_WIRE_BUCKET_MAX + 1 + GEDS_WIRE_KEY_MAX];
    size_t bucket_len = strnlen(bucket, GEDS_WIRE_BUCKET_MAX);
    size_t key_len = strnlen(key, GEDS_WIRE_KEY_MAX);
    memcpy(name, bucket, bucket_len);
    name[bucket_len] = '\0';
    memcpy(name + bucket_len + 1, key, key_len);
    return hash_xxh3(name, bucket_len + 1 + key_len);
}

status_t lease_check(const lease_word *table, size_t table_bytes, const lease_word *page,
                     size_t page_bytes, size_t *ret_slots, struct error *err)
{
    if (table_bytes < lease_table_bytes(1) || page_bytes != LEASE_PAGE_BYTES) {
        return error_set(err, ST_FORMAT, 0, "a table of leases of %zu bytes", table_bytes);
    }
    if (atomic_load(&table[LEASE_T_MAGIC]) != LEASE_TABLE_MAGIC ||
        atomic_load(&page[LEASE_P_MAGIC]) != LEASE_PAGE_MAGIC) {
        return error_set(err, ST_FORMAT, 0, "no table of leases");
    }
    if (atomic_load(&table[LEASE_T_VERSION]) != LEASE_VERSION ||
        atomic_load(&page[LEASE_P_VERSION]) != LEASE_VERSION) {
        return error_set(err, ST_FORMAT, sizeof(lease_word), "leases of another version");
    }
    uint64_t slots = atomic_load(&table[LEASE_T_SLOTS]);
    if (slots == 0 || slots > LEASE_SLOTS_MAX || (slots & (slots - 1)) != 0 ||
        table_bytes != lease_table_bytes((size_t)slots)) {
        return error_set(err, ST_FORMAT, LEASE_T_SLOTS * sizeof(lease_word),
                         "%llu slots in %zu bytes of leases", (unsigned long long)slots,
                         table_bytes);
    }
    if (atomic_load(&table[LEASE_T_ID]) != atomic_load(&page[LEASE_P_ID])) {
        return error_set(err, ST_FORMAT, LEASE_T_ID * sizeof(lease_word),
                         "a table and a page that do not belong together");
    }
    *ret_slots = (size_t)slots;
    return ST_OK;
}
