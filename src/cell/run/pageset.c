#include <string.h>

#include "cell/run/track.h"

enum { PAGES_MAX = 1 << 20, PAGES_PER_WORD = 64 };

void page_set_done(struct page_set *s)
{
    for (uint32_t i = 0; i < PAGE_SET_MEMORIES; i++)
        free(s->bits[i]);
    *s = (struct page_set){.count = 0};
}

void page_set_clear(struct page_set *s)
{
    for (uint32_t i = 0; i < PAGE_SET_MEMORIES; i++) {
        if (s->bits[i])
            memset(s->bits[i], 0, s->words[i] * sizeof(uint64_t));
    }
    s->count = 0;
}

static uint64_t page_of(uint64_t at)
{
    return at / PAGE_SET_PAGE_BYTES;
}

/* The pages [first, end) that a range touches; none when it is not inside a memory. */
static bool pages_of(uint32_t mem, uint64_t at, uint64_t len, uint64_t *ret_first,
                     uint64_t *ret_end)
{
    const uint64_t max = (uint64_t)PAGES_MAX * PAGE_SET_PAGE_BYTES;
    if (mem >= PAGE_SET_MEMORIES || len == 0 || at > max || len > max - at)
        return false;
    *ret_first = page_of(at);
    *ret_end = page_of(at + len - 1) + 1;
    return true;
}

static status_t make_room(struct page_set *s, uint32_t mem, uint64_t end)
{
    uint64_t words = (end + PAGES_PER_WORD - 1) / PAGES_PER_WORD;
    if (words <= s->words[mem])
        return ST_OK;
    words = words < s->words[mem] * 2 ? s->words[mem] * 2 : words;
    uint64_t *bits = realloc(s->bits[mem], words * sizeof(*bits));
    if (!bits)
        return ST_NOMEM;
    memset(bits + s->words[mem], 0, (words - s->words[mem]) * sizeof(*bits));
    s->bits[mem] = bits;
    s->words[mem] = words;
    return ST_OK;
}

/* The bits of pages [first, end) that stand in the word of first. */
static uint64_t mask_of(uint64_t first, uint64_t end)
{
    uint64_t from = first % PAGES_PER_WORD, n = end - first;
    uint64_t room = PAGES_PER_WORD - from;
    n = n < room ? n : room;
    return (n == PAGES_PER_WORD ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1) << from;
}

static uint64_t next_word(uint64_t page)
{
    return page / PAGES_PER_WORD * PAGES_PER_WORD + PAGES_PER_WORD;
}

status_t page_set_add(struct page_set *s, uint32_t mem, uint64_t at, uint64_t len)
{
    uint64_t first, end;
    if (!pages_of(mem, at, len, &first, &end))
        return ST_OK;
    if (make_room(s, mem, end) != ST_OK)
        return ST_NOMEM;
    for (uint64_t p = first; p < end; p = next_word(p)) {
        uint64_t *word = &s->bits[mem][p / PAGES_PER_WORD], fresh = mask_of(p, end) & ~*word;
        *word |= fresh;
        s->count += (uint64_t)__builtin_popcountll(fresh);
    }
    return ST_OK;
}

void page_set_remove(struct page_set *s, uint32_t mem, uint64_t at, uint64_t len)
{
    uint64_t first, end;
    if (!pages_of(mem, at, len, &first, &end))
        return;
    for (uint64_t p = first; p < end && p / PAGES_PER_WORD < s->words[mem]; p = next_word(p)) {
        uint64_t *word = &s->bits[mem][p / PAGES_PER_WORD], gone = mask_of(p, end) & *word;
        *word &= ~gone;
        s->count -= (uint64_t)__builtin_popcountll(gone);
    }
}

status_t page_set_merge(struct page_set *s, const struct page_set *other)
{
    status_t st = ST_OK;
    for (struct page_run run = {0}; st == ST_OK && page_set_next(other, UINT64_MAX, &run);
         run.at += run.len)
        st = page_set_add(s, run.mem, run.at, run.len);
    return st;
}

bool page_set_has(const struct page_set *s, uint32_t mem, uint64_t at)
{
    uint64_t page = page_of(at);
    return mem < PAGE_SET_MEMORIES && page / PAGES_PER_WORD < s->words[mem] &&
           (s->bits[mem][page / PAGES_PER_WORD] >> page % PAGES_PER_WORD & 1) != 0;
}

/* The first page at or behind `page` whose bit is `set`; the number of pages that there is room for when there is
 * none. */
static uint64_t find(const struct page_set *s, uint32_t mem, uint64_t page, bool set)
{
    for (; page / PAGES_PER_WORD < s->words[mem]; page = next_word(page)) {
        uint64_t word = s->bits[mem][page / PAGES_PER_WORD];
        word = (set ? word : ~word) & (~(uint64_t)0 << page % PAGES_PER_WORD);
        if (word)
            return page / PAGES_PER_WORD * PAGES_PER_WORD + (uint64_t)__builtin_ctzll(word);
    }
    return s->words[mem] * PAGES_PER_WORD;
}

bool page_set_next(const struct page_set *s, uint64_t max_bytes, struct page_run *run)
{
    uint64_t max = max_bytes / PAGE_SET_PAGE_BYTES;
    uint64_t from = page_of(run->at);
    for (uint32_t mem = run->mem; mem < PAGE_SET_MEMORIES; mem++, from = 0) {
        uint64_t end = s->words[mem] * PAGES_PER_WORD;
        uint64_t first = from < end ? find(s, mem, from, true) : end;
        if (first >= end)
            continue;
        uint64_t last = find(s, mem, first, false);
        last = last - first > max ? first + max : last;
        *run = (struct page_run){mem, first * PAGE_SET_PAGE_BYTES,
                                 (last - first) * PAGE_SET_PAGE_BYTES};
        return true;
    }
    return false;
}
