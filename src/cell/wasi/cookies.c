#include "cookies.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { COOKIES_FIRST = 256 };

static uint32_t slot_of(const struct cookies *c, uint64_t position)
{
    uint32_t mask = c->cap * 2 - 1;
    uint32_t slot = (uint32_t)((position * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;
    while (c->table[slot] != 0 && c->positions[c->table[slot] - 1] != position) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool grow(struct cookies *c)
{
    uint32_t cap = c->cap == 0 ? COOKIES_FIRST : c->cap * 2;
    if (cap > COOKIES_MAX) {
        return false;
    }
    uint64_t *positions = malloc(cap * sizeof(*positions));
    uint32_t *table = calloc((size_t)cap * 2, sizeof(*table));
    if (positions == NULL || table == NULL) {
        free(positions);
        free(table);
        return false;
    }
    if (c->count > 0) {
        memcpy(positions, c->positions, c->count * sizeof(*positions));
    }
    free(c->positions);
    free(c->table);
    c->positions = positions;
    c->table = table;
    c->cap = cap;
    for (uint32_t i = 0; i < c->count; i++) {
        c->table[slot_of(c, c->positions[i])] = i + 1;
    }
    return true;
}

uint64_t cookies_name(struct cookies *c, uint64_t position)
{
    if (position < COOKIE_NAMED) {
        return position;
    }
    if (c->cap > 0) {
        uint32_t found = c->table[slot_of(c, position)];
        if (found != 0) {
            return (uint64_t)COOKIE_NAMED + found - 1;
        }
    }
    if (c->count == c->cap && !grow(c)) {
        return position;
    }
    c->positions[c->count] = position;
    c->table[slot_of(c, position)] = c->count + 1;
    return (uint64_t)COOKIE_NAMED + c->count++;
}

uint64_t cookies_position(const struct cookies *c, uint64_t cookie)
{
    if (cookie < COOKIE_NAMED || cookie - COOKIE_NAMED >= c->count) {
        return cookie;
    }
    return c->positions[cookie - COOKIE_NAMED];
}

void cookies_done(struct cookies *c)
{
    free(c->positions);
    free(c->table);
    *c = (struct cookies){0};
}
