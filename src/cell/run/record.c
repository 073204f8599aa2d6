#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "capture.h"
#include "stack.h"

/* Memory of the records of a capture. */

/* Records stand one behind the other in rooms, the newest room first. */
struct run_room {
    struct run_room *next;
    size_t bytes;
    size_t used;
};

/* A record takes this much for each byte of native stack at most, but for frames that hardly hold anything else than
 * constants; for those another room is added on the way. Pages that are not written cost nothing. */
enum { RECORD_BYTES_PER_STACK_BYTE = 16, ROOM_ALIGN = 16, ROOM_HEAD_BYTES = 32 };
#define ROOM_BYTES_MIN (1ull << 20)
#define ROOM_KEPT_BYTES_MAX (4ull << 20) /* of one that waits for the next capture */

static struct run_room *room_new(size_t bytes)
{
    struct run_room *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    *room = (struct run_room){.bytes = bytes, .used = ROOM_HEAD_BYTES};
    _Static_assert(sizeof(*room) <= ROOM_HEAD_BYTES, "in front of the first record");
    return room;
}

static void room_free(struct run_room *room)
{
    if (room)
        munmap(room, room->bytes);
}

static void *room_take(struct cell *c, size_t bytes)
{
    struct run_room *room = c->rooms;
    bytes = (bytes + ROOM_ALIGN - 1) / ROOM_ALIGN * ROOM_ALIGN;
    if (!room || bytes > room->bytes - room->used) {
        room = room_new(bytes + ROOM_BYTES_MIN);
        if (!room)
            return NULL;
        room->next = c->rooms;
        c->rooms = room;
    }
    void *at = (uint8_t *)room + room->used;
    room->used += bytes;
    return at;
}

static void expanded_free(struct cell *c)
{
    free(c->record);
    c->record = NULL;
    c->present = NULL;
    c->next_record = NULL;
}

/* One room stays for the next capture: mapping costs more than all the rest of a small one. */
void run_records_free(struct cell *c)
{
    while (c->rooms) {
        struct run_room *room = c->rooms;
        c->rooms = room->next;
        room->next = NULL;
        room->used = ROOM_HEAD_BYTES;
        if (!c->spare_room && room->bytes <= ROOM_KEPT_BYTES_MAX)
            c->spare_room = room;
        else
            room_free(room);
    }
    c->records = NULL;
    expanded_free(c);
}

void run_capture_done(struct cell *c)
{
    run_records_free(c);
    room_free(c->spare_room);
    c->spare_room = NULL;
    run_stack_done(c);
}

bool run_capture_reserve(struct cell *c)
{
    size_t used = (size_t)(c->stack.top - (uint8_t *)__builtin_frame_address(0));
    size_t bytes = used * RECORD_BYTES_PER_STACK_BYTE + ROOM_BYTES_MIN;
    run_records_free(c); /* of a capture before, whose frames have all been rebuilt */
    if (c->spare_room && c->spare_room->bytes >= bytes)
        return true;
    room_free(c->spare_room);
    c->spare_room = room_new(bytes);
    if (c->spare_room)
        return true;
    unsigned capture = STOP_CAPTURE;
    atomic_compare_exchange_strong(&c->stop, &capture, STOP_NONE);
    atomic_fetch_add(&c->captures_refused, 1);
    return false;
}

/* Room for count values and behind them bytes of its own. */
static struct run_record *push(struct cell *c, struct instance *inst, uint32_t kind, size_t count,
                               size_t own_bytes)
{
    struct run_record *r = room_take(c, sizeof(*r) + count * sizeof(union cell_value) + own_bytes);
    if (!r)
        return NULL;
    *r = (struct run_record){.inner = c->records, .inst = inst, .kind = kind};
    c->records = r;
    return r;
}

struct run_record *run_record_push(struct cell *c, struct instance *inst,
                                   const struct abi_site *site, uint32_t kind)
{
    struct run_record *r = push(c, inst, kind, (size_t)site->live + site->stack, 0);
    if (r)
        r->site = site;
    return r;
}

struct run_record *run_record_push_operation(struct cell *c, struct instance *inst, uint32_t op,
                                             uint32_t count, const uint8_t *types)
{
    struct run_record *r = push(c, inst, SITE_OPERATION, count, sizeof(*r->site) + count);
    if (!r)
        return NULL;
    struct abi_site *s = (struct abi_site *)(r->values + count);
    *s = (struct abi_site){.func = op, .stack = count};
    memcpy(s->live_locals, types, count);
    r->site = s;
    return r;
}

void run_capture_begin(struct cell *c)
{
    c->rooms = c->spare_room;
    c->spare_room = NULL;
    c->capturing = true;
}
