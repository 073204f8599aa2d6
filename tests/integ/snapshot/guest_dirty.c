/* Dirties memory for a number of rounds and says what all of it holds at the end. For wasm32, without a library. */
typedef unsigned long long u64;
typedef unsigned int u32;

enum { FREE_FROM = 256 << 10, PAGE = 1 << 16 };

__attribute__((import_module("h"), import_name("ask"))) void ask(u32 round);

static u64 seed = 88172645463325252ull;
static u64 table[1024] = {1, 2, 3, 4, 5};

static u64 next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static u32 memory_bytes(void)
{
    return (u32)__builtin_wasm_memory_size(0) * PAGE;
}

/* Writes somewhere in the last `span` bytes of memory; a few of them put zeros back. */
static u64 dirty(u32 writes, u32 span)
{
    u32 bytes = memory_bytes(), room = bytes - FREE_FROM;
    u64 last = 0;
    span = span < room ? span : room;
    for (u32 i = 0; i < writes; i++) {
        u64 x = next();
        u64 *p = (u64 *)(bytes - span + ((u32)(x % (span - 8)) & ~7u));
        *p = x & 7 ? *p * 31 + x : 0;
        table[x & 1023] += x;
        last ^= *p;
    }
    return last;
}

__attribute__((export_name("fill"))) void fill(void)
{
    for (u32 at = FREE_FROM; at < memory_bytes(); at += 8)
        *(u64 *)at = next();
}

__attribute__((export_name("sum"))) u64 sum(void)
{
    u64 h = 1;
    for (u32 at = 0; at < memory_bytes(); at += 8)
        h = h * 31 + *(const u64 *)at + (h >> 7);
    return h;
}

/* grow: rounds after which memory grows by 192 KiB; 0: never. */
__attribute__((export_name("work"))) u64 work(u32 rounds, u32 writes, u32 span, u32 grow)
{
    u64 h = 1;
    for (u32 r = 0; r < rounds; r++) {
        h = h * 31 + dirty(writes, span);
        if (grow && r % grow == grow - 1)
            __builtin_wasm_memory_grow(0, 3);
        ask(r);
    }
    return h * 31 + sum();
}
