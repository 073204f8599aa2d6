#include "image_parts.h"

#include <stdlib.h>

#include "base/cursor.h"

const uint8_t image_magic[IMAGE_MAGIC_BYTES] = {0x89, 'C', 'E', 'L', 'L', 0x0d, 0x0a, 0x1a};

static const char *const section_names[SECTION_END] = {
    [SECTION_META] = "meta",     [SECTION_HEAD] = "head",     [SECTION_FUNCS] = "functions",
    [SECTION_TWINS] = "twins",   [SECTION_TYPES] = "types",   [SECTION_RANGES] = "ranges",
    [SECTION_UNWIND] = "unwind", [SECTION_SITES] = "sites",   [SECTION_NAMES] = "names",
    [SECTION_FILES] = "files",   [SECTION_LINES] = "lines",   [SECTION_RUNS] = "runs",
    [SECTION_CODE] = "code",     [SECTION_MEMORY] = "memory", [SECTION_MAPS] = "maps",
};

const char *image_section_name(uint32_t id)
{
    return id < SECTION_END ? section_names[id] : NULL;
}

void image_free(struct image *img)
{
    if (!img)
        return;
    module_free(img->module);
    arena_done(&img->arena);
    free(img);
}

const struct image_range *image_range_find(const struct image *img, uint32_t code_off)
{
    uint32_t low = 0, high = img->range_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (img->ranges[mid].code_off <= code_off)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0 || code_off - img->ranges[low - 1].code_off >= img->ranges[low - 1].len)
        return NULL;
    return &img->ranges[low - 1];
}

const struct image_unwind *image_unwind_find(const struct image *img, uint32_t code_off)
{
    uint32_t low = 0, high = img->unwind_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (img->unwinds[mid].code_off <= code_off)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 || code_off >= img->const_off ? NULL : &img->unwinds[low - 1];
}

uint32_t image_wasm_off_find(const struct image *img, uint32_t code_off)
{
    uint32_t low = 0, high = img->site_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (img->sites[mid].code_off <= code_off)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 || code_off >= img->const_off ? 0 : img->sites[low - 1].wasm_off;
}

const struct image_map_row *image_map_find(const struct image *img, uint32_t code_off)
{
    uint32_t low = 0, high = img->map_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (img->maps[mid].code_off < code_off)
            low = mid + 1;
        else
            high = mid;
    }
    return low < img->map_count && img->maps[low].code_off == code_off ? &img->maps[low] : NULL;
}

const struct line_row *image_line_find(const struct image *img, uint32_t wasm_off)
{
    uint32_t low = 0, high = img->line_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (img->lines[mid].off <= wasm_off)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return NULL;
    const struct line_row *row = &img->lines[low - 1];
    return row->line == 0 || row->file >= img->file_count ? NULL : row;
}

uint32_t image_text_bytes(const struct image *img)
{
    if (img->range_count == 0)
        return 0;
    const struct image_range *last = &img->ranges[img->range_count - 1];
    return last->code_off + last->len;
}

void image_section_list(const void *data,
                        struct image_section_info ret_sections[IMAGE_SECTION_COUNT])
{
    struct cursor c;
    cursor_init(&c, (const uint8_t *)data + IMAGE_HEADER_BYTES,
                (size_t)IMAGE_SECTION_COUNT * IMAGE_ENTRY_BYTES, 0);
    for (uint32_t i = 0; i < IMAGE_SECTION_COUNT; i++) {
        uint32_t id = cursor_le32(&c);
        ret_sections[i].name = image_section_name(id);
        ret_sections[i].rows = cursor_le32(&c);
        ret_sections[i].off = cursor_le64(&c);
        ret_sections[i].len = cursor_le64(&c);
        cursor_le64(&c);
    }
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* decode made sure of the offsets' own bounds only. */
static struct name string_at(const struct image_strings *s, uint32_t i)
{
    if (i >= s->count)
        return (struct name){"", 0};
    size_t head = ((size_t)s->count + 1) * 4;
    uint32_t start = load32(s->bytes + (size_t)i * 4);
    uint32_t end = load32(s->bytes + (size_t)i * 4 + 4);
    if (start > end || end > s->len - head)
        return (struct name){"", 0};
    return (struct name){(const char *)s->bytes + head + start, end - start};
}

struct name image_func_name(const struct image *img, uint32_t func)
{
    return string_at(&img->name_table, func);
}

struct name image_file_name(const struct image *img, uint32_t file)
{
    return string_at(&img->file_table, file);
}
