#ifndef CELL_MODULE_IMAGE_H
#define CELL_MODULE_IMAGE_H

#include "base/buf.h"
#include "base/hash.h"
#include "cell/module/abi.h"
#include "cell/module/debug.h"

/* A cell image: what cloudskin-aot writes and the runner maps. One file, little-endian, CODE and
 * MEMORY 64 KiB aligned, the other sections 16 bytes; format in docs/internals/image-format.md.
 * This header is the image as bytes: encode for the compiler, decode (bounded, checked) for the
 * runner and inspect. Mapping it into memory is cell/run's. */

enum image_arch { ARCH_X86_64 = 1, ARCH_AARCH64 = 2 };

/* CPU levels, each with all features of the ones before it on the same architecture. */
enum image_level {
    LEVEL_X86_64_V2 = 2,
    LEVEL_X86_64_V3 = 3,
    LEVEL_X86_64_V4 = 4,
    LEVEL_AARCH64 = 16
};

/* "x86-64-v3", "aarch64"; NULL for an unknown number. */
const char *image_level_name(uint32_t level);
/* 0 for an unknown name. */
uint32_t image_level_find(const char *name);
static inline uint32_t image_level_arch(uint32_t level)
{
    return level == LEVEL_AARCH64 ? ARCH_AARCH64 : ARCH_X86_64;
}
/* The best level that this CPU has (cpuid, operating system's state saving included). */
uint32_t image_level_host(void);
/* Can code of this level run here? */
bool image_level_runs(uint32_t level);

enum image_nan { NAN_NATIVE = 0, NAN_CANONICAL = 1 };

enum { IMAGE_VERSION_BYTES = 64 };
struct image_options {
    uint32_t level;     /* enum image_level */
    uint32_t nan;       /* enum image_nan */
    uint32_t opt_level; /* 0..3 */
    uint32_t no_polls;  /* measurements only: code without polls and unwind tests */
    uint32_t movable;   /* frames can be captured and entered again; not together with no_polls */
};

/* A range of code bytes that belongs to one function or trampoline; ascending, no overlap. */
struct image_range {
    uint32_t code_off;
    uint32_t len;
    uint32_t func; /* function index, or IMAGE_NO_FUNC for trampolines and library routines */
};
#define IMAGE_NO_FUNC UINT32_MAX

/* From code_off on (up to the next row) the canonical frame address is the register plus cfa_add;
 * the return address is at cfa - 8 (x86-64), or at cfa + ra_add (aarch64; IMAGE_REG_SAME: still in
 * the link register); the caller's frame pointer is at cfa + fp_add, IMAGE_REG_SAME: unchanged. */
struct image_unwind {
    uint32_t code_off;
    int32_t cfa_add;
    int32_t ra_add;
    int32_t fp_add;
    uint32_t cfa_reg; /* 0: stack pointer, 1: frame pointer, 2: no information */
};
#define IMAGE_REG_SAME INT32_MIN

/* Code from code_off on comes from the instruction at wasm module offset wasm_off (0: unknown). */
struct image_site {
    uint32_t code_off;
    uint32_t wasm_off;
};

/* The call in front of code_off asks for a capture: bytes of the maps from `at` on say where the values of the frame
 * are, see image_map. */
struct image_map_row {
    uint32_t code_off;
    uint32_t at;
};

/* Where a value is: a byte, with a signed LEB128 number behind it from IMAGE_AT_STACK on. */
enum image_place {
    IMAGE_IN_GENERAL = 0, /* + register */
    IMAGE_IN_VECTOR = 32, /* + register */
    IMAGE_AT_STACK = 64,  /* stack pointer + number */
    IMAGE_AT_FRAME = 65,  /* frame pointer + number */
    IMAGE_IS_NUMBER = 66, /* the number itself */
};

/* Initial content of a memory: page-aligned run of bytes at guest address guest_off. */
struct image_memory_run {
    uint32_t mem;
    uint64_t guest_off;
    uint64_t len;      /* multiple of 64 KiB */
    uint64_t file_off; /* in the image file, 64 KiB aligned; set by encode */
    const uint8_t *bytes;
};

struct image_counts {
    uint32_t loop_polls;
    uint32_t import_calls;
    uint32_t unwind_tests;
    uint32_t strip_mined;
};

/* A table of strings as it stands in the file: count + 1 offsets, then the bytes. Not checked
 * beforehand. */
struct image_strings {
    const uint8_t *bytes;
    size_t len;
    uint32_t count;
};

/* All of an image. For encode the compiler fills it (pointers borrowed); after decode pointers go
 * into the decoded bytes (borrowed) or the image's arena. Immutable then; any thread may read it. */
struct image {
    struct image_options options;
    uint8_t module_hash[SHA256_BYTES]; /* of the whole wasm file */
    uint64_t module_len;
    char compiler[IMAGE_VERSION_BYTES]; /* "cloudskin-aot 0.1.0 llvm 19.1.7" */
    feature_set_t features;             /* that the module uses */

    const uint8_t *head; /* the module without code, custom and already applied data sections */
    size_t head_len;
    struct module *module; /* decode: head decoded by module_decode_head */

    const uint8_t *code; /* text, then constants from const_off (64 KiB aligned) */
    size_t code_len;
    uint32_t const_off;
    uint64_t code_file_off; /* set by encode and decode */

    const uint32_t *func_code; /* per function index: offset in code, imports: their trampoline */
    const uint32_t *func_twin; /* per function index: its resume twin; 0: it has none.
                                  encode: NULL: no function has */
    uint32_t func_count;
    const uint32_t *type_entry; /* per type: offset of void entry(B, code, union cell_value *io) */
    uint32_t type_count;
    const struct image_range *ranges;
    uint32_t range_count;
    const struct image_unwind *unwinds;
    uint32_t unwind_count;
    const struct image_site *sites;
    uint32_t site_count;
    const struct name *func_names; /* encode only: func_count of them, or NULL */
    const struct name *files;      /* encode only: file_count of them */
    uint32_t file_count;
    const struct line_row *lines;
    uint32_t line_count;
    const struct image_map_row *maps; /* ascending code_off; of movable images */
    uint32_t map_count;
    const uint8_t *map_bytes; /* not checked beforehand */
    size_t map_len;
    const struct image_memory_run *runs;
    uint32_t run_count;
    bool datas_applied; /* active data segments are in runs, and their bytes not in head */
    struct image_counts counts;

    struct image_strings name_table; /* decode only: see image_func_name, image_file_name */
    struct image_strings file_table;
    struct arena arena;
};

/* Append the whole file to *out. The result depends on the content of *img alone.
 * ST_INVAL what decode would refuse: offsets or runs that are not aligned or out of bounds;
 * ST_LIMIT more than 4 GiB of names; ST_NOMEM. *out may hold a part then. */
CHECKED status_t image_encode(const struct image *img, struct buf *out, struct error *err);

/* Check and decode. data: borrowed until image_free, 8-byte aligned. Every section's checksum is
 * verified.
 * ST_INVAL not aligned; ST_FORMAT not an image; ST_UNSUPPORTED other format, ABI or architecture
 * word; ST_CORRUPT truncated, a checksum or a reference out of bounds: err says which section.
 * Does not judge whether this CPU can run it. */
CHECKED status_t image_decode(const void *data, size_t len, struct image **ret_img,
                              struct error *err);
void image_free(struct image *img);

/* Write the head of m: all sections but code and custom; data as well unless drop_data. */
CHECKED status_t image_head_make(const struct module *m, bool drop_data, struct buf *out);
/* module_decode for such a head: functions have no bodies. */
CHECKED status_t module_decode_head(const void *data, size_t len, feature_set_t features,
                                    struct module **ret_module, struct error *err);

/* Look-ups by code offset; NULL when there is none. */
const struct image_range *image_range_find(const struct image *img, uint32_t code_off);
const struct image_unwind *image_unwind_find(const struct image *img, uint32_t code_off);
uint32_t image_wasm_off_find(const struct image *img, uint32_t code_off); /* 0: unknown */
/* The row for a return address. */
const struct image_map_row *image_map_find(const struct image *img, uint32_t code_off);
const struct line_row *image_line_find(const struct image *img,
                                       uint32_t wasm_off); /* file is in range */
/* Bytes of text without the padding up to the constants. */
uint32_t image_text_bytes(const struct image *img);
/* A section as the file's table lists it, for tools. */
struct image_section_info {
    const char *name; /* static */
    uint64_t off;
    uint64_t len;
    uint32_t rows; /* 0: not a table */
};
enum { IMAGE_SECTION_COUNT = 15 };
/* Fill one entry per section of an image that image_decode accepts. */
void image_section_list(const void *data,
                        struct image_section_info ret_sections[IMAGE_SECTION_COUNT]);
/* Names of a decoded image, borrowed from it; empty when there is none. */
struct name image_func_name(const struct image *img, uint32_t func);
struct name image_file_name(const struct image *img, uint32_t file);

#endif
