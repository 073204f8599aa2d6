/* A journal of before-images from anywhere: its head, then records, whose checksums are not asked for here since they
 * would stop nearly all random changes. Input: a head, then for each record its type u8, length u16 and payload. */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "journal.h"

static void check_place(const struct journal_place *p)
{
    FUZZ_CHECK(p->origin < JOURNAL_ORIGIN_COUNT && p->path_len <= JOURNAL_PATH_MAX);
    FUZZ_CHECK(p->path_len == 0 || memchr(p->path, 0, p->path_len) == NULL);
    struct journal_output o;
    if (p->origin == JOURNAL_AT_OUTPUT && journal_output_parse(p->path, p->path_len, &o)) {
        FUZZ_CHECK(o.from <= INT64_MAX && o.len <= JOURNAL_TAIL_MAX &&
                   memchr(o.name, 0, sizeof o.name) != NULL);
    }
}

static void decode(uint32_t type, const uint8_t *data, size_t len)
{
    static struct journal_place guests[JOURNAL_GRANTS_MAX];
    struct journal_record r;
    struct error err = {0};
    struct buf again = {0};
    status_t st = journal_get(type, data, len, 0, &r, guests, &err);
    FUZZ_CHECK(st == ST_OK || (st == ST_CORRUPT && err.text[0] != '\0'));
    if (st == ST_OK && r.type != JOURNAL_GRANTS) {
        check_place(&r.place);
        check_place(&r.to);
        journal_put(&again, &r, NULL);
        FUZZ_CHECK(again.failed || (again.len == len + JOURNAL_FRAME_BYTES &&
                                    memcmp(again.data + JOURNAL_BEGIN_BYTES, data, len) == 0));
    }
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct journal_head head;
    struct error err = {0};
    struct cursor c;
    uint32_t type, payload;
    if (len >= JOURNAL_HEAD_BYTES) {
        status_t st = journal_get_head(data, &head, &err);
        FUZZ_CHECK(st != ST_OK || (strlen(head.lost) <= JOURNAL_LOST_MAX &&
                                   strlen(head.leaving_path) <= JOURNAL_LEAVING_PATH_MAX));
    }
    if (len >= JOURNAL_BEGIN_BYTES && journal_get_begin(data, &type, &payload)) {
        FUZZ_CHECK(payload <= JOURNAL_PAYLOAD_MAX);
    }
    cursor_init(&c, data, len, 0);
    while (cursor_left(&c) > 0) {
        type = cursor_u8(&c);
        size_t n = cursor_le16(&c);
        n = n < cursor_left(&c) ? n : cursor_left(&c);
        const uint8_t *bytes = cursor_bytes(&c, n);
        if (bytes != NULL) {
            decode(type, bytes, n);
        }
    }
    return 0;
}
