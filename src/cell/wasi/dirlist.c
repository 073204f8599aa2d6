#include "dirlist.h"

#include <stdlib.h>

enum { ENTRIES_FIRST = 64 };

static bool grow(struct dirlist *l)
{
    uint32_t cap = l->cap == 0 ? ENTRIES_FIRST : l->cap * 2;
    struct dirlist_entry *entries = realloc(l->entries, cap * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    l->entries = entries;
    l->cap = cap;
    return true;
}

bool dirlist_add(struct dirlist *l, uint64_t next, uint64_t ino, const char *name, size_t len)
{
    if (l->count == DIRLIST_ENTRIES_MAX || (l->count == l->cap && !grow(l))) {
        return false;
    }
    size_t off = l->names.len;
    buf_bytes(&l->names, name, len);
    buf_u8(&l->names, 0);
    if (l->names.failed) {
        return false;
    }
    l->entries[l->count++] = (struct dirlist_entry){next, ino, off};
    return true;
}

uint32_t dirlist_find(struct dirlist *l, uint64_t cookie)
{
    if (cookie == 0) {
        return 0;
    }
    if (l->hint < l->count && l->entries[l->hint].next == cookie) {
        return l->hint + 1;
    }
    for (uint32_t i = 0; i < l->mark_count; i++) {
        if (l->marks[i].cookie == cookie) {
            return l->marks[i].index;
        }
    }
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->entries[i].next == cookie) {
            l->hint = i;
            return i + 1;
        }
    }
    return DIRLIST_NONE;
}

const char *dirlist_name(const struct dirlist *l, uint32_t index)
{
    return (const char *)l->names.data + l->entries[index].name_off;
}

void dirlist_free(struct dirlist *l)
{
    if (l == NULL) {
        return;
    }
    free(l->entries);
    buf_done(&l->names);
    free(l);
}
