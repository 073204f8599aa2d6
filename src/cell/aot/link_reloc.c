#include "link_parts.h"

#include <elf.h>

#ifndef R_AARCH64_PLT32
#define R_AARCH64_PLT32 314
#endif

/* Bounds of what a relocation of so many bits can hold. */
static bool fits_signed(int64_t v, unsigned bits)
{
    int64_t half = (int64_t)1 << (bits - 1);
    return v >= -half && v < half;
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static status_t out_of_range(const char *what, const struct link_patch *p, struct error *err)
{
    return error_set(err, ST_LINK, ERROR_NO_OFFSET,
                     "reference to %s is out of range (relocation type %u)", what, p->type);
}

static status_t unsupported(const char *what, const struct link_patch *p, struct error *err)
{
    return error_set(err, ST_LINK, ERROR_NO_OFFSET,
                     "reference to %s cannot be resolved at link time (relocation type %u)", what,
                     p->type);
}

/* Check that the patched bytes, and `before` bytes of the instruction ahead of them, are inside. */
static status_t check_place(const struct link_patch *p, unsigned before, unsigned bytes,
                            struct error *err)
{
    if (p->off < before || p->off > p->len || p->len - p->off < bytes)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "object file: relocation outside its section");
    return ST_OK;
}

static status_t put_signed(const struct link_patch *p, int64_t v, unsigned bytes, const char *what,
                           struct error *err)
{
    status_t st = check_place(p, 0, bytes, err);
    if (st != ST_OK)
        return st;
    if (bytes < 8 && !fits_signed(v, bytes * 8))
        return out_of_range(what, p, err);
    store(p->section + p->off, (uint64_t)v, bytes);
    return ST_OK;
}

static int64_t relative(const struct link_patch *p)
{
    return (int64_t)(p->target + (uint64_t)p->addend - p->place);
}

/* A load from the global offset table, which there is none of: the address itself takes its place.
 *   mov  sym@GOTPCREL(%rip), %reg  ->  lea  sym(%rip), %reg
 *   call *sym@GOTPCREL(%rip)       ->  addr32 call sym
 *   jmp  *sym@GOTPCREL(%rip)       ->  jmp sym; nop */
static status_t relax_got(const struct link_patch *p, const char *what, struct error *err)
{
    status_t st = check_place(p, 2, 4, err);
    if (st != ST_OK)
        return st;
    uint8_t *at = p->section + p->off;
    int64_t v = relative(p);
    if (p->addend != -4)
        return unsupported(what, p, err);
    if (!fits_signed(v, 32) || !fits_signed(v + 1, 32))
        return out_of_range(what, p, err);
    if (at[-2] == 0xff && at[-1] == 0x15) {
        at[-2] = 0x67;
        at[-1] = 0xe8;
    } else if (at[-2] == 0xff && at[-1] == 0x25) {
        at[-2] = 0xe9;
        store(at - 1, (uint64_t)(v + 1), 4); /* one byte shorter */
        at[3] = 0x90;
        return ST_OK;
    } else if (at[-2] == 0x8b && (at[-1] & 0xc7) == 0x05) {
        at[-2] = 0x8d;
    } else {
        return unsupported(what, p, err);
    }
    store(at, (uint64_t)v, 4);
    return ST_OK;
}

static status_t apply_x86_64(const struct link_patch *p, const char *what, struct error *err)
{
    int64_t absolute = (int64_t)(p->target + (uint64_t)p->addend);
    switch (p->type) {
    case R_X86_64_NONE:
        return ST_OK;
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
        return put_signed(p, relative(p), 4, what, err);
    case R_X86_64_PC64:
        return put_signed(p, relative(p), 8, what, err);
    case R_X86_64_GOTPCREL:
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
        return relax_got(p, what, err);
    case R_X86_64_64:
        if (p->debug)
            return put_signed(p, absolute, 8, what, err);
        break;
    case R_X86_64_32:
    case R_X86_64_32S:
        if (p->debug)
            return put_signed(p, absolute, 4, what, err);
        break;
    default:
        break;
    }
    return unsupported(what, p, err);
}

/* Put `bits` bits of v >> scale into the instruction from bit `at` on; low bits that the scale drops
 * must be zero. */
static status_t put_field(const struct link_patch *p, int64_t v, unsigned scale, unsigned bits,
                          unsigned at, const char *what, struct error *err)
{
    status_t st = check_place(p, 0, 4, err);
    if (st != ST_OK)
        return st;
    if ((v & (((int64_t)1 << scale) - 1)) != 0)
        return out_of_range(what, p, err);
    uint32_t mask = (((uint32_t)1 << bits) - 1) << at;
    uint32_t insn = load32(p->section + p->off) & ~mask;
    insn |= ((uint32_t)(uint64_t)(v >> scale) << at) & mask;
    store(p->section + p->off, insn, 4);
    return ST_OK;
}

static status_t put_branch(const struct link_patch *p, unsigned bits, unsigned at, const char *what,
                           struct error *err)
{
    int64_t v = relative(p);
    if (!fits_signed(v, bits + 2))
        return out_of_range(what, p, err);
    return put_field(p, v, 2, bits, at, what, err);
}

/* adr and adrp keep the two low bits apart from the others. */
static status_t put_adr(const struct link_patch *p, int64_t v, bool check, const char *what,
                        struct error *err)
{
    status_t st = check_place(p, 0, 4, err);
    if (st != ST_OK)
        return st;
    if (check && !fits_signed(v, 21))
        return out_of_range(what, p, err);
    uint32_t imm = (uint32_t)(uint64_t)v;
    uint32_t insn = load32(p->section + p->off) & ~(0x60000000u | 0x00ffffe0u);
    insn |= (imm & 3) << 29 | ((imm >> 2) & 0x7ffff) << 5;
    store(p->section + p->off, insn, 4);
    return ST_OK;
}

static int64_t page_distance(const struct link_patch *p)
{
    return (int64_t)((p->target + (uint64_t)p->addend) >> 12) - (int64_t)(p->place >> 12);
}

/* ldr xd, [xn, :got_lo12:sym] becomes add xd, xn, :lo12:sym. */
static status_t relax_got_aarch64(const struct link_patch *p, int64_t low, const char *what,
                                  struct error *err)
{
    status_t st = check_place(p, 0, 4, err);
    if (st != ST_OK)
        return st;
    uint32_t insn = load32(p->section + p->off);
    if ((insn & 0xffc00000u) != 0xf9400000u)
        return unsupported(what, p, err);
    store(p->section + p->off, 0x91000000u | (insn & 0x3ff), 4);
    return put_field(p, low, 0, 12, 10, what, err);
}

static status_t apply_aarch64(const struct link_patch *p, const char *what, struct error *err)
{
    int64_t absolute = (int64_t)(p->target + (uint64_t)p->addend);
    int64_t low = absolute & 0xfff;
    switch (p->type) {
    case R_AARCH64_NONE:
    case 256: /* its older number */
        return ST_OK;
    case R_AARCH64_PREL64:
        return put_signed(p, relative(p), 8, what, err);
    case R_AARCH64_PREL32:
    case R_AARCH64_PLT32:
        return put_signed(p, relative(p), 4, what, err);
    case R_AARCH64_CALL26:
    case R_AARCH64_JUMP26:
        return put_branch(p, 26, 0, what, err);
    case R_AARCH64_CONDBR19:
    case R_AARCH64_LD_PREL_LO19:
        return put_branch(p, 19, 5, what, err);
    case R_AARCH64_TSTBR14:
        return put_branch(p, 14, 5, what, err);
    case R_AARCH64_ADR_PREL_LO21:
        return put_adr(p, relative(p), true, what, err);
    case R_AARCH64_ADR_PREL_PG_HI21:
    case R_AARCH64_ADR_GOT_PAGE:
        return put_adr(p, page_distance(p), true, what, err);
    case R_AARCH64_ADR_PREL_PG_HI21_NC:
        return put_adr(p, page_distance(p), false, what, err);
    case R_AARCH64_ADD_ABS_LO12_NC:
    case R_AARCH64_LDST8_ABS_LO12_NC:
        return put_field(p, low, 0, 12, 10, what, err);
    case R_AARCH64_LDST16_ABS_LO12_NC:
        return put_field(p, low, 1, 12, 10, what, err);
    case R_AARCH64_LDST32_ABS_LO12_NC:
        return put_field(p, low, 2, 12, 10, what, err);
    case R_AARCH64_LDST64_ABS_LO12_NC:
        return put_field(p, low, 3, 12, 10, what, err);
    case R_AARCH64_LDST128_ABS_LO12_NC:
        return put_field(p, low, 4, 12, 10, what, err);
    case R_AARCH64_LD64_GOT_LO12_NC:
        return relax_got_aarch64(p, low, what, err);
    case R_AARCH64_ABS64:
        if (p->debug)
            return put_signed(p, absolute, 8, what, err);
        break;
    case R_AARCH64_ABS32:
        if (p->debug)
            return put_signed(p, absolute, 4, what, err);
        break;
    default:
        break;
    }
    return unsupported(what, p, err);
}

status_t link_reloc_apply(uint32_t arch, const struct link_patch *p, const char *what,
                          struct error *err)
{
    return arch == ARCH_AARCH64 ? apply_aarch64(p, what, err) : apply_x86_64(p, what, err);
}
