/* Forms from anywhere, whole and in pieces of the length that the first byte says: both give the same. */
#include <string.h>

#include "fuzz.h"
#include "geds/s3/form.h"

static status_t on_file(void *arg)
{
    (void)arg;
    return ST_OK;
}

static status_t on_data(void *arg, const uint8_t *data, size_t len)
{
    FUZZ_CHECK(len > 0);
    buf_bytes(arg, data, len);
    return ST_OK;
}

static status_t read_form(const uint8_t *data, size_t len, size_t piece, struct form *f,
                          struct buf *file)
{
    const struct form_sink sink = {.arg = file, .file = on_file, .data = on_data};
    FUZZ_CHECK(form_init(f, "multipart/form-data; boundary=\"xx-x\"") == ST_OK);
    for (size_t at = 0; at < len; at += piece) {
        status_t st = form_feed(f, data + at, len - at < piece ? len - at : piece, &sink);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct form whole, pieces;
    struct buf file = {0}, again = {0};
    if (len == 0)
        return 0;
    size_t piece = data[0] % 16 + 1U;
    status_t a = read_form(data + 1, len - 1, len, &whole, &file);
    status_t b = read_form(data + 1, len - 1, piece, &pieces, &again);
    FUZZ_CHECK(whole.count <= FORM_FIELDS_MAX && pieces.count <= FORM_FIELDS_MAX);
    FUZZ_CHECK(a == b || len >= FORM_FIELDS_BYTES_MAX);
    if (a == ST_OK && b == ST_OK && len < FORM_FIELDS_BYTES_MAX) {
        FUZZ_CHECK(whole.state == pieces.state && whole.count == pieces.count);
        for (size_t i = 0; i < whole.count; i++)
            FUZZ_CHECK(strcmp(whole.fields[i].value, pieces.fields[i].value) == 0);
        if (whole.state == FORM_END)
            FUZZ_CHECK(file.len == again.len &&
                       (file.len == 0 || memcmp(file.data, again.data, file.len) == 0));
    }
    form_done(&whole);
    form_done(&pieces);
    buf_done(&file);
    buf_done(&again);
    return 0;
}
