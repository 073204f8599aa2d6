#include <string.h>

#include "cell/module/image.h"

static const struct {
    uint32_t level;
    const char *name;
} levels[] = {
    {LEVEL_X86_64_V2, "x86-64-v2"},
    {LEVEL_X86_64_V3, "x86-64-v3"},
    {LEVEL_X86_64_V4, "x86-64-v4"},
    {LEVEL_AARCH64, "aarch64"},
};

const char *image_level_name(uint32_t level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (levels[i].level == level)
            return levels[i].name;
    }
    return NULL;
}

uint32_t image_level_find(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i].name, name) == 0)
            return levels[i].level;
    }
    return 0;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>

/* Bits of the psABI's levels, by the register that cpuid answers them in. */
enum {
    LEAF1_ECX_V2 = bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT,
    LEAF1_ECX_V3 = bit_AVX | bit_F16C | bit_FMA | bit_MOVBE | bit_OSXSAVE,
    LEAF7_EBX_V3 = bit_AVX2 | bit_BMI | bit_BMI2,
    EXTENDED1_ECX_V2 = bit_LAHF_LM,
    EXTENDED1_ECX_V3 = bit_LZCNT,
    STATE_V3 = 0x06, /* the system saves xmm and ymm */
    STATE_V4 = 0xe6, /* and mask registers, upper halves and the upper 16 zmm */
};
#define LEAF7_EBX_V4 (bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL)

static bool has(uint32_t found, uint32_t wanted)
{
    return (found & wanted) == wanted;
}

static uint32_t saved_state(void)
{
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static uint32_t ask_level(void)
{
    uint32_t eax = 0, ebx = 0, leaf1 = 0, leaf7 = 0, extended = 0, other = 0;
    if (!__get_cpuid(1, &eax, &ebx, &leaf1, &other) ||
        !__get_cpuid(0x80000001, &eax, &ebx, &extended, &other))
        return 0;
    if (!has(leaf1, LEAF1_ECX_V2) || !has(extended, EXTENDED1_ECX_V2))
        return 0;
    if (!has(leaf1, LEAF1_ECX_V3) || !has(extended, EXTENDED1_ECX_V3) ||
        !__get_cpuid_count(7, 0, &eax, &leaf7, &ebx, &other) || !has(leaf7, LEAF7_EBX_V3))
        return LEVEL_X86_64_V2;
    uint32_t state = saved_state();
    if (!has(state, STATE_V3))
        return LEVEL_X86_64_V2;
    return has(leaf7, LEAF7_EBX_V4) && has(state, STATE_V4) ? LEVEL_X86_64_V4 : LEVEL_X86_64_V3;
}

uint32_t image_level_host(void)
{
    static atomic_uint known; /* 0: not asked, else 1 + answer; cpuid is slow under a hypervisor */
    uint32_t answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        answer = 1 + ask_level();
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer - 1;
}
#elif defined(__aarch64__)
uint32_t image_level_host(void)
{
    return LEVEL_AARCH64;
}
#else
#error "no CPU levels for this architecture"
#endif

bool image_level_runs(uint32_t level)
{
    uint32_t host = image_level_host();
    return host != 0 && image_level_name(level) &&
           image_level_arch(level) == image_level_arch(host) && level <= host;
}
