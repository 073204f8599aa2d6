#ifndef CELL_WASI_IDS_H
#define CELL_WASI_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* The device and inode numbers that the guest sees. They are the host's until a restore finds the files elsewhere:
 * then the files that the guest knows keep the numbers that it has seen, and no other file gets one of those.
 * docs/internals/wasi.md says how.
 *
 * Zeroed memory is valid: every number is the host's. Filled by one thread, immutable from ids_seal on. */

enum {
    IDS_SERIAL_MAX = UINT16_MAX,
    IDS_TAG_SHIFT = 48,    /* of an inode number */
    IDS_SERIAL_SHIFT = 32, /* of a device number: Linux has 32 bits */
    IDS_FILES_MAX = 1 << 21
};

struct ids_key {
    uint64_t dev, ino;
};

struct ids_file {
    struct ids_key host, guest;
    uint32_t rank; /* the first of two that contradict each other is right */
};

/* What is not in the table: (guest, inode number with the tag in its upper 16 bits). */
struct ids_device {
    uint64_t host, guest;
    uint32_t tag;
};

struct ids {
    uint32_t serial; /* the latest tag that was given out */
    uint32_t device_count, device_cap;
    uint32_t file_count, file_cap;
    struct ids_device *devices;
    struct ids_file *by_guest; /* before ids_seal in the order of ids_add_file */
    struct ids_file *by_host;
};

/* Nothing to do: every number is the host's. */
static inline bool ids_are_native(const struct ids *ids)
{
    return ids->serial == 0 && ids->file_count == 0;
}

/* The guest's numbers of a host's file. Any thread. */
struct ids_key ids_shown(const struct ids *ids, struct ids_key host);
/* The same for a file of which the table says nothing. */
struct ids_key ids_plain(const struct ids *ids, struct ids_key host);

/* NULL: an unknown device. */
const struct ids_device *ids_device(const struct ids *ids, uint64_t host);
/* Without effect when the device is known. False: no memory. */
bool ids_add_device(struct ids *ids, uint64_t host, uint64_t guest, uint32_t tag);
/* Without effect when the table is full. False: no memory. */
bool ids_add_file(struct ids *ids, struct ids_key host, struct ids_key guest);
/* The same, but it gives way to what ids_add_file adds, also later. */
bool ids_add_weak(struct ids *ids, struct ids_key host, struct ids_key guest);
/* Sort; leave out what contradicts something earlier, so that it is one to one, and what says nothing. False: no
 * memory. */
bool ids_seal(struct ids *ids);
void ids_done(struct ids *ids);

#endif
