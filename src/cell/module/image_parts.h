#ifndef CELL_MODULE_IMAGE_PARTS_H
#define CELL_MODULE_IMAGE_PARTS_H

#include "cell/module/image.h"

/* The numbers of docs/internals/image-format.md. */
enum {
    IMAGE_FORMAT_VERSION = 4,
    IMAGE_MAGIC_BYTES = 8,
    IMAGE_HEADER_BYTES = 64,
    IMAGE_HEADER_SUM_OFF = 56,
    IMAGE_ENTRY_BYTES = 32, /* of the section table */
    IMAGE_META_BYTES = 192,
    IMAGE_FUNC_BYTES = 4,
    IMAGE_RANGE_BYTES = 12,
    IMAGE_UNWIND_BYTES = 20,
    IMAGE_SITE_BYTES = 8,
    IMAGE_LINE_BYTES = 16,
    IMAGE_MAP_BYTES = 8,
    IMAGE_RUN_BYTES = 32,
    IMAGE_ALIGN_BYTES = 16,
    IMAGE_MAP_ALIGN_BYTES = 65536,
    IMAGE_ZERO_PAGES = 16, /* between two memory runs, at least */
};

enum image_section {
    SECTION_META = 1,
    SECTION_HEAD,
    SECTION_FUNCS,
    SECTION_TYPES,
    SECTION_RANGES,
    SECTION_UNWIND,
    SECTION_SITES,
    SECTION_NAMES,
    SECTION_FILES,
    SECTION_LINES,
    SECTION_RUNS,
    SECTION_CODE,
    SECTION_MEMORY,
    SECTION_TWINS,
    SECTION_MAPS,
    SECTION_END,
};
_Static_assert(SECTION_END == IMAGE_SECTION_COUNT + 1, "one id per section");

extern const uint8_t image_magic[IMAGE_MAGIC_BYTES];

/* Lower-case name for messages; NULL for an unknown number. */
const char *image_section_name(uint32_t id);

static inline uint32_t image_section_align(uint32_t id)
{
    return id == SECTION_CODE || id == SECTION_MEMORY ? IMAGE_MAP_ALIGN_BYTES : IMAGE_ALIGN_BYTES;
}

#endif
