#include "cell/module/instr.h"

#include <stddef.h>

/* The properties of all instructions in one array: each prefix has a range of slots behind the one-byte
 * opcodes, large enough for the numbers that are assigned. */
enum {
    SLOTS_FC = 0x100,
    SLOTS_FD = SLOTS_FC + 0x20,
    SLOTS_FE = SLOTS_FD + 0x200,
    SLOTS_END = SLOTS_FE + 0x80,
};
#define SLOT(code)                                           \
    ((code) < 0x100           ? (code)                       \
     : ((code) >> 16) == 0xfc ? SLOTS_FC + ((code) & 0xffff) \
     : ((code) >> 16) == 0xfd ? SLOTS_FD + ((code) & 0xffff) \
                              : SLOTS_FE + ((code) & 0xffff))

static const struct instr_info infos[SLOTS_END] = {
#define INSTR(name, code, text, imm, sig, feature, align) \
    [SLOT(code)] = {text, sig, imm, feature, align},
#include "cell/module/instr.def"
#undef INSTR
};

/* First slot and number of slots of a prefix. */
static uint32_t prefix_slots(uint32_t prefix, uint32_t *ret_count)
{
    switch (prefix) {
    case 0xfc:
        *ret_count = SLOTS_FD - SLOTS_FC;
        return SLOTS_FC;
    case 0xfd:
        *ret_count = SLOTS_FE - SLOTS_FD;
        return SLOTS_FD;
    case 0xfe:
        *ret_count = SLOTS_END - SLOTS_FE;
        return SLOTS_FE;
    default:
        *ret_count = 0;
        return 0;
    }
}

const struct instr_info *instr_info_find(uint32_t op)
{
    uint32_t slot = op;
    if (op >= 0x100) {
        uint32_t count = 0;
        uint32_t first = prefix_slots(op >> 16, &count);
        if ((op & 0xffff) >= count)
            return NULL;
        slot = first + (op & 0xffff);
    }
    const struct instr_info *info = &infos[slot];
    return info->text ? info : NULL;
}

static uint8_t read_u8(struct cursor *c)
{
    if (c->pos < c->end && !c->failed)
        return *c->pos++;
    return cursor_u8(c);
}

static uint32_t read_u32(struct cursor *c)
{
    if (c->pos < c->end && *c->pos < 0x80 && !c->failed)
        return *c->pos++;
    return cursor_leb_u32(c);
}

/* A reader over what *c stepped over since pos. */
static struct cursor bytes_since(const struct cursor *c, const uint8_t *pos)
{
    struct cursor list;
    cursor_init(&list, pos, (size_t)(c->pos - pos), c->base_off + (uint64_t)(pos - c->start));
    return list;
}

static void read_zero_byte(struct cursor *c)
{
    const uint8_t *at = c->pos;
    if (read_u8(c) != 0 && !c->failed) {
        c->pos = at;
        cursor_fail(c, "zero byte expected");
    }
}

/* Before the multi-memory proposal the index of a memory was a reserved byte. */
static uint32_t read_mem_index(struct cursor *c, feature_set_t features, struct instr *i)
{
    if (features & FEATURE_MULTI_MEMORY) {
        i->multi_memory |= cursor_left(c) > 0 && *c->pos != 0;
        return read_u32(c);
    }
    read_zero_byte(c);
    return 0;
}

/* Empty, one value type, or the index of a function type as a signed 33-bit number. */
static struct block_type read_block_type(struct cursor *c, feature_set_t features)
{
    struct block_type bt = {.kind = BLOCK_EMPTY};
    if (c->failed || c->pos >= c->end) {
        cursor_u8(c);
        return bt;
    }
    uint8_t code = *c->pos;
    if (code == 0x40) {
        c->pos++;
    } else if (valtype_allowed(code, features)) {
        c->pos++;
        bt.kind = BLOCK_VALUE;
        bt.value = code;
    } else {
        const uint8_t *at = c->pos;
        int64_t index = cursor_leb_s33(c);
        if (index < 0 && !c->failed) {
            c->pos = at;
            cursor_fail(c, "malformed block type");
        }
        bt.kind = BLOCK_TYPE;
        bt.type = (uint32_t)index;
    }
    return bt;
}

/* With several memories bit 6 of the flags says that an index follows, and what is left of them is an
 * alignment that validation refuses; before that 32 and more were malformed. */
static void read_memarg(struct cursor *c, feature_set_t features, struct instr *i)
{
    const uint8_t *at = c->pos;
    uint32_t flags = read_u32(c);
    bool multi = (features & FEATURE_MULTI_MEMORY) != 0;
    bool has_mem = multi && (flags & 0x40);
    i->align_log2 = has_mem ? flags & ~0x40u : flags;
    if (flags >= (multi ? 0x80 : 0x20) && !c->failed) {
        c->pos = at;
        cursor_fail(c, "malformed memop flags");
    }
    i->mem = has_mem ? read_u32(c) : 0;
    i->multi_memory = has_mem;
    i->offset = read_u32(c);
}

static void read_br_table(struct cursor *c, struct instr *i)
{
    i->count = read_u32(c);
    const uint8_t *at = c->pos;
    if (i->count >= cursor_left(c)) {
        c->pos = c->end;
        cursor_fail(c, "unexpected end");
        return;
    }
    for (uint32_t n = 0; n <= i->count && !c->failed; n++)
        read_u32(c);
    i->list = bytes_since(c, at);
}

static void read_select_types(struct cursor *c, feature_set_t features, struct instr *i)
{
    i->count = read_u32(c);
    i->list = cursor_sub(c, i->count);
    for (const uint8_t *p = i->list.pos; p < i->list.end && !c->failed; p++)
        if (!valtype_allowed(*p, features)) {
            c->pos = p;
            cursor_fail(c, "malformed value type");
        }
}

bool instr_read_catch(struct cursor *list, struct instr_catch *ret_catch)
{
    const uint8_t *at = list->pos;
    uint8_t kind = read_u8(list);
    struct instr_catch clause = {.kind = (enum catch_kind)kind};
    if (kind > CATCH_ALL_REF) {
        list->pos = at;
        cursor_fail(list, "malformed catch clause");
    }
    if (kind == CATCH_TAG || kind == CATCH_TAG_REF)
        clause.tag = read_u32(list);
    clause.label = read_u32(list);
    if (list->failed)
        return false;
    *ret_catch = clause;
    return true;
}

static void read_try_table(struct cursor *c, feature_set_t features, struct instr *i)
{
    i->block = read_block_type(c, features);
    i->count = read_u32(c);
    const uint8_t *at = c->pos;
    struct instr_catch clause;
    for (uint32_t n = 0; n < i->count; n++)
        if (!instr_read_catch(c, &clause))
            return;
    i->list = bytes_since(c, at);
}

static void read_ref_type(struct cursor *c, feature_set_t features, struct instr *i)
{
    const uint8_t *at = c->pos;
    i->type = read_u8(c);
    if (!c->failed && !(valtype_is_ref(i->type) && valtype_allowed(i->type, features))) {
        c->pos = at;
        cursor_fail(c, "malformed reference type");
    }
}

static void read_16_bytes(struct cursor *c, struct instr *i)
{
    const uint8_t *bytes = cursor_bytes(c, sizeof(i->bytes));
    if (bytes)
        memcpy(i->bytes, bytes, sizeof(i->bytes));
}

static void read_immediates(struct cursor *c, feature_set_t features, enum instr_imm imm,
                            struct instr *i)
{
    switch (imm) {
    case IMM_NONE:
        break;
    case IMM_BLOCK:
        i->block = read_block_type(c, features);
        break;
    case IMM_LABEL:
    case IMM_FUNC:
    case IMM_LOCAL:
    case IMM_GLOBAL:
    case IMM_TABLE:
    case IMM_ELEM:
    case IMM_DATA:
    case IMM_TAG:
        i->index = read_u32(c);
        break;
    case IMM_CALL_INDIRECT:
    case IMM_TABLE_TABLE:
    case IMM_ELEM_TABLE:
        i->index = read_u32(c);
        i->index2 = read_u32(c);
        break;
    case IMM_MEM:
        i->index = read_mem_index(c, features, i);
        break;
    case IMM_MEM_MEM:
        i->index = read_mem_index(c, features, i);
        i->index2 = read_mem_index(c, features, i);
        break;
    case IMM_DATA_MEM:
        i->index = read_u32(c);
        i->index2 = read_mem_index(c, features, i);
        break;
    case IMM_BR_TABLE:
        read_br_table(c, i);
        break;
    case IMM_MEMARG:
        read_memarg(c, features, i);
        break;
    case IMM_MEMARG_LANE:
        read_memarg(c, features, i);
        i->lane = read_u8(c);
        break;
    case IMM_LANE:
        i->lane = read_u8(c);
        break;
    case IMM_LANES16:
    case IMM_V128:
        read_16_bytes(c, i);
        break;
    case IMM_I32:
        i->value = (uint32_t)cursor_leb_s32(c);
        break;
    case IMM_I64:
        i->value = (uint64_t)cursor_leb_s64(c);
        break;
    case IMM_F32:
        i->value = cursor_le32(c);
        break;
    case IMM_F64:
        i->value = cursor_le64(c);
        break;
    case IMM_REF_TYPE:
        read_ref_type(c, features, i);
        break;
    case IMM_SELECT_T:
        read_select_types(c, features, i);
        break;
    case IMM_TRY_TABLE:
        read_try_table(c, features, i);
        break;
    case IMM_FENCE:
        read_zero_byte(c);
        break;
    }
}

bool instr_opens_block(uint32_t op)
{
    return op == OP_BLOCK || op == OP_LOOP || op == OP_IF || op == OP_TRY || op == OP_TRY_TABLE;
}

bool instr_read(struct cursor *c, feature_set_t features, struct instr *ret_instr)
{
    const uint8_t *at = c->pos;
    struct instr i = {.off = cursor_offset(c)};
    i.op = read_u8(c);
    if (i.op >= 0xfc && i.op <= 0xfe) {
        uint32_t number = read_u32(c);
        i.op = number <= 0xffff ? i.op << 16 | number : UINT32_MAX;
    }
    if (c->failed)
        return false;
    const struct instr_info *info = instr_info_find(i.op);
    if (!info || (info->feature && !(info->feature & features))) {
        c->pos = at;
        cursor_fail(c, "illegal opcode");
        return false;
    }
    read_immediates(c, features, info->imm, &i);
    if (c->failed)
        return false;
    *ret_instr = i;
    return true;
}
