#include "cell/module/module.h"

#include <stdlib.h>
#include <string.h>

void module_free(struct module *m)
{
    if (!m)
        return;
    arena_done(&m->arena);
    free(m);
}

const struct module_custom *module_custom_find(const struct module *m, const char *name)
{
    size_t len = strlen(name);

    for (uint32_t i = 0; i < m->custom_count; i++) {
        const struct module_custom *c = &m->customs[i];

        if (c->name.len == len && memcmp(c->name.bytes, name, len) == 0)
            return c;
    }
    return NULL;
}
