/* Answers of servers: the first byte chooses what they are taken for. */
#include <string.h>

#include "answer.h"
#include "fuzz.h"

enum { KEYS = 3, PARTS = 5 };

static void check_text(const char *s, size_t size)
{
    FUZZ_CHECK(memchr(s, '\0', size) != NULL);
    for (; *s != '\0'; s++)
        FUZZ_CHECK((uint8_t)*s >= ' ' && *s != 127);
}

static void as_header(const char *data, size_t len)
{
    struct answer_head head = {0};
    while (len > 0) {
        const char *end = memchr(data, '\n', len), *name, *value;
        size_t n = end ? (size_t)(end + 1 - data) : len;
        char *line = malloc(n + 1);
        if (!line)
            return;
        if (answer_line(&head, data, n, line, &name, &value))
            FUZZ_CHECK(*name != '\0' && strlen(name) + strlen(value) < n);
        free(line);
        data += n;
        len -= n;
    }
    FUZZ_CHECK(head.status <= 999);
    FUZZ_CHECK(!head.has_range ||
               (head.range_first <= head.range_last && head.range_last < head.range_total));
    check_text(head.etag, sizeof head.etag);
    check_text(head.content_type, sizeof head.content_type);
    check_text(head.mark, sizeof head.mark);
    check_text(head.request_id, sizeof head.request_id);
    check_text(head.location, sizeof head.location);
}

static void as_page(const char *data, size_t len)
{
    const struct remote_list_query q = {.prefix = "b", .cursor = "t", .max = 4};
    struct remote_page page = {0};
    struct error err = {0};
    status_t st = answer_page(data, len, "a", &q, &page, &err);
    FUZZ_CHECK(st == ST_OK || err.text[0] != '\0');
    FUZZ_CHECK(page.count <= q.max && (st == ST_OK || page.entries == NULL));
    for (size_t i = 0; i < page.count; i++)
        FUZZ_CHECK(page.entries[i].key[0] == 'b' && page.entries[i].etag);
    FUZZ_CHECK(!page.cursor || (*page.cursor != '\0' && strcmp(page.cursor, "t") != 0));
    arena_done(&page.arena);
}

static void as_parts(const char *data, size_t len)
{
    struct answer_part parts[PARTS] = {0};
    struct error err = {0};
    unsigned next = 2;
    status_t st = answer_parts(data, len, 2, parts, PARTS, &next, &err);
    FUZZ_CHECK(st == ST_OK ? next == 0 || next > 2 : next == 2);
    FUZZ_CHECK(!parts[0].there && !parts[1].there);
    for (unsigned i = 0; i < PARTS; i++)
        FUZZ_CHECK(!parts[i].there || parts[i].etag[0] != '\0');
}

static void as_others(const char *data, size_t len, unsigned which)
{
    static const char *const keys[KEYS] = {"a", "b", "b"};
    status_t results[KEYS] = {0};
    struct answer_error error = {0};
    char id[64] = "", etag[REMOTE_TAG_BYTES] = "";
    struct error err = {0};
    if (which == 3) {
        status_t st = answer_deleted(data, len, keys, KEYS, results, &err);
        FUZZ_CHECK(st != ST_OK || results[1] == results[2]);
    } else if (which == 4) {
        FUZZ_CHECK(answer_upload_id(data, len, id, sizeof id, &err) != ST_OK || id[0] != '\0');
    } else if (which == 5) {
        FUZZ_CHECK(answer_completed(data, len, etag, &err) != ST_OK || etag[0] != '\0');
        check_text(etag, sizeof etag);
    } else if (answer_error(data, len, &error)) {
        check_text(error.code, sizeof error.code);
        check_text(error.message, sizeof error.message);
        check_text(error.request_id, sizeof error.request_id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    unsigned which = data[0] % 7;
    const char *rest = (const char *)data + 1;
    if (which == 0)
        as_header(rest, len - 1);
    else if (which == 1)
        as_page(rest, len - 1);
    else if (which == 2)
        as_parts(rest, len - 1);
    else
        as_others(rest, len - 1, which);
    return 0;
}
