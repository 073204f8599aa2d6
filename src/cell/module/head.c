/* The head of an image: what of a module its instances still need beside the code. */
#include "cell/module/image.h"
#include "decode.h"

static void put_section(struct buf *out, uint8_t id, const void *content, size_t len)
{
    buf_u8(out, id);
    buf_leb_u32(out, (uint32_t)len);
    buf_bytes(out, content, len);
}

/* Passive segments stay. Active ones, which are part of the image's initial memory, become empty passive
 * ones: that is what they are once applied, and the others keep their indexes. */
static void put_datas_left(const struct module *m, struct buf *out)
{
    struct buf content = {0};

    buf_leb_u32(&content, m->data_count);
    for (uint32_t i = 0; i < m->data_count; i++) {
        const struct module_data *d = &m->datas[i];
        uint32_t len = d->mode == SEGMENT_PASSIVE ? d->len : 0;

        buf_leb_u32(&content, 1);
        buf_leb_u32(&content, len);
        buf_bytes(&content, d->bytes, len);
    }
    put_section(out, SECTION_DATA, content.data, content.len);
    out->failed |= content.failed;
    buf_done(&content);
}

status_t image_head_make(const struct module *m, bool drop_data, struct buf *out)
{
    enum { HEADER_BYTES = 8 };
    struct cursor c;

    cursor_init(&c, m->bytes, m->len, 0);
    buf_bytes(out, cursor_bytes(&c, HEADER_BYTES), HEADER_BYTES);
    while (cursor_left(&c) > 0) {
        uint8_t id = cursor_u8(&c);
        uint32_t len = cursor_leb_u32(&c);
        const uint8_t *content = cursor_bytes(&c, len);

        if (c.failed)
            return ST_FORMAT; /* cannot be: the module was decoded from these bytes */
        if (id == SECTION_CUSTOM || id == SECTION_CODE)
            continue;
        if (id == SECTION_DATA && drop_data)
            put_datas_left(m, out);
        else
            put_section(out, id, content, len);
    }
    return out->failed ? ST_NOMEM : ST_OK;
}
