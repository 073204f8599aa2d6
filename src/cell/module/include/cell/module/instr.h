#ifndef CELL_MODULE_INSTR_H
#define CELL_MODULE_INSTR_H

#include "base/cursor.h"
#include "cell/module/types.h"

/* Opcodes: one byte as it is; prefixed ones as prefix << 16 | number (0xfc0000 | n, 0xfd0000 | n,
 * 0xfe0000 | n). Names and properties of all of them stand in instr.def:
 *
 *   INSTR(NAME, code, "text.name", IMM, "params:results", FEATURE, NATURAL_ALIGN_LOG2)
 *
 * The signature string uses i I f F v for i32 i64 f32 f64 v128, or is NULL where typing needs rules
 * (control, variables, references, parametric). Memory instructions list the address as i. */
enum instr_op {
#define INSTR(name, code, text, imm, sig, feature, align) OP_##name = code,
#include "cell/module/instr.def"
#undef INSTR
};

enum instr_imm {
    IMM_NONE,
    IMM_BLOCK,         /* block type */
    IMM_LABEL,         /* br, br_if, delegate, rethrow: index = relative depth */
    IMM_BR_TABLE,      /* list = count labels and then the default label, as LEB128; count */
    IMM_FUNC,          /* index */
    IMM_CALL_INDIRECT, /* index = type, index2 = table */
    IMM_LOCAL,         /* index */
    IMM_GLOBAL,        /* index */
    IMM_TABLE,         /* index */
    IMM_TABLE_TABLE,   /* index = destination, index2 = source */
    IMM_ELEM_TABLE,    /* table.init: index = elem, index2 = table */
    IMM_ELEM,          /* index */
    IMM_MEM,           /* index: memory.size, memory.grow, memory.fill */
    IMM_MEM_MEM,       /* memory.copy: index = destination, index2 = source */
    IMM_DATA_MEM,      /* memory.init: index = data, index2 = memory */
    IMM_DATA,          /* index */
    IMM_MEMARG,        /* align_log2, mem, offset */
    IMM_MEMARG_LANE,   /* and lane */
    IMM_LANE,          /* lane */
    IMM_LANES16,       /* bytes[16]: i8x16.shuffle */
    IMM_I32,           /* value */
    IMM_I64,           /* value */
    IMM_F32,           /* value: its bits */
    IMM_F64,           /* value: its bits */
    IMM_V128,          /* bytes[16] */
    IMM_REF_TYPE,      /* ref.null: type */
    IMM_SELECT_T,      /* list = count value types, one byte each; count */
    IMM_TAG,           /* index: throw, catch */
    IMM_TRY_TABLE, /* block type; list = count catch clauses; count (read with instr_read_catch) */
    IMM_FENCE,     /* one zero byte */
};

enum block_kind { BLOCK_EMPTY, BLOCK_VALUE, BLOCK_TYPE };

struct block_type {
    enum block_kind kind;
    valtype_t value; /* BLOCK_VALUE */
    uint32_t type;   /* BLOCK_TYPE: index into types */
};

struct instr {
    uint32_t op;
    uint64_t off; /* module offset of the opcode */
    uint32_t index;
    uint32_t index2;
    uint64_t value;
    struct block_type block;
    uint32_t count;
    struct cursor list; /* borrows the function's bytes */
    uint32_t align_log2;
    uint32_t mem;
    bool multi_memory; /* written in a way that only multi-memory allows, be it for memory 0 */
    uint64_t offset;
    uint8_t lane;
    valtype_t type;
    uint8_t bytes[16];
};

enum catch_kind { CATCH_TAG = 0, CATCH_TAG_REF = 1, CATCH_ALL = 2, CATCH_ALL_REF = 3 };

struct instr_catch {
    enum catch_kind kind;
    uint32_t tag; /* CATCH_TAG, CATCH_TAG_REF */
    uint32_t label;
};

struct instr_info {
    const char *text; /* "i32.add" */
    const char *sig;
    enum instr_imm imm;
    uint32_t feature; /* 0 or an enum feature */
    uint8_t align_log2;
};

/* Properties of op, or NULL for an unknown opcode. */
const struct instr_info *instr_info_find(uint32_t op);

/* Does an `end` (or `delegate`) of its own follow the instruction? */
bool instr_opens_block(uint32_t op);

/* Read one instruction with its immediates. On a failure *c is failed with the reason ("illegal
 * opcode", ...), and the caller turns that into an error. Opcodes whose feature is off are illegal.
 * Indexes are not checked here. */
bool instr_read(struct cursor *c, feature_set_t features, struct instr *ret_instr);

/* Step through the catch clauses of a try_table (list of count items). */
bool instr_read_catch(struct cursor *list, struct instr_catch *ret_catch);

#endif
