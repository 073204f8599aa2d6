#include "decode.h"

status_t decode_custom(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    struct module_custom custom = {0};
    status_t st = decode_name(d, c, &custom.name);

    if (st != ST_OK)
        return st;
    if (m->custom_count == DECODE_CUSTOMS_MAX)
        return error_set(d->err, ST_LIMIT, cursor_offset(c), "too many custom sections: at most %d",
                         DECODE_CUSTOMS_MAX);
    if (m->custom_count == d->custom_cap) {
        uint32_t cap = d->custom_cap == 0 ? 8 : d->custom_cap * 2;
        struct module_custom *customs = decode_grow(d, m->customs, m->custom_count, cap,
                                                    sizeof(*customs));
        if (!customs)
            return ST_NOMEM;
        m->customs = customs;
        d->custom_cap = cap;
    }
    custom.len = (uint32_t)cursor_left(c);
    custom.bytes = cursor_bytes(c, custom.len);
    m->customs[m->custom_count++] = custom;
    return ST_OK;
}
