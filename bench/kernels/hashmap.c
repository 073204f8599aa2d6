/* Open-addressing hash map: grow, look up, count, remove. */

#include <stdbool.h>

#include "kernel.h"

enum { LOOKUPS_PER_KEY = 12 };

struct slot {
    uint64_t key; /* 0: free */
    uint64_t value;
};

struct map {
    struct slot *slots;
    size_t mask;
    size_t used;
};

static size_t hash(uint64_t key)
{
    key ^= key >> 32;
    key *= UINT64_C(0xd6e8feb86659fd93);
    key ^= key >> 32;
    return (size_t)key;
}

static struct slot *find(const struct map *m, uint64_t key)
{
    size_t i = hash(key) & m->mask;
    while (m->slots[i].key != 0 && m->slots[i].key != key) {
        i = (i + 1) & m->mask;
    }
    return &m->slots[i];
}

static void grow(struct map *m)
{
    struct map bigger = {
        .slots = kernel_array(2 * (m->mask + 1), sizeof(struct slot)),
        .mask = 2 * m->mask + 1,
        .used = m->used,
    };
    for (size_t i = 0; i <= m->mask; i++) {
        if (m->slots[i].key != 0) {
            *find(&bigger, m->slots[i].key) = m->slots[i];
        }
    }
    free(m->slots);
    *m = bigger;
}

static void add(struct map *m, uint64_t key, uint64_t value)
{
    struct slot *s = find(m, key);
    if (s->key == key) {
        s->value += value;
        return;
    }
    if (4 * (m->used + 1) > 3 * (m->mask + 1)) {
        grow(m);
        s = find(m, key);
    }
    s->key = key;
    s->value = value;
    m->used++;
}

static bool drop(struct map *m, uint64_t key)
{
    struct slot *s = find(m, key);
    if (s->key == 0) {
        return false;
    }
    size_t gap = (size_t)(s - m->slots);
    size_t i = gap;
    for (;;) {
        i = (i + 1) & m->mask;
        if (m->slots[i].key == 0) {
            break;
        }
        size_t home = hash(m->slots[i].key) & m->mask;
        if (((i - home) & m->mask) >= ((i - gap) & m->mask)) {
            m->slots[gap] = m->slots[i];
            gap = i;
        }
    }
    m->slots[gap].key = 0;
    m->used--;
    return true;
}

static uint64_t exercise(struct map *m, int keys)
{
    uint64_t seed = KERNEL_SEED;
    uint64_t range = 2 * (uint64_t)keys;
    for (int i = 0; i < keys; i++) {
        add(m, 1 + kernel_random(&seed) % range, (uint64_t)i);
    }
    uint64_t sum = 0;
    for (int i = 0; i < keys * LOOKUPS_PER_KEY; i++) {
        const struct slot *s = find(m, 1 + kernel_random(&seed) % range);
        sum += s->value;
    }
    for (int i = 0; i < keys; i++) {
        sum += drop(m, 1 + kernel_random(&seed) % range);
        add(m, 1 + kernel_random(&seed) % range, (uint64_t)i);
    }
    return sum;
}

int main(int argc, char **argv)
{
    int keys = kernel_size(argc, argv, 600000);
    struct map m = {.slots = kernel_array(16, sizeof(struct slot)), .mask = 15};

    uint64_t start = kernel_clock();
    uint64_t sum = exercise(&m, keys);
    uint64_t end = kernel_clock();

    for (uint64_t key = 1; key <= 2 * (uint64_t)keys; key++) {
        sum = kernel_mix(sum, find(&m, key)->value);
    }
    sum = kernel_mix(sum, m.used);
    free(m.slots);
    return kernel_report("hashmap", keys, sum, start, end);
}
