/* An image from anywhere. Checksums would stop nearly all random changes at the door and the 64 KiB boundaries would
 * make inputs long, so beside plain files (first byte 0) inputs are a compact form that is made into a file with
 * the right checksums: first byte 1, architecture u8, then for each section rows u32, length u16 and the bytes; of
 * CODE and MEMORY only the length in units of 4 KiB, for zeros. Where the input ends before TWINS, there are none. */
#include <string.h>

#include "base/cursor.h"
#include "cell/module/image.h"
#include "fuzz.h"

enum {
    HEADER_BYTES = 64,
    ENTRY_BYTES = 32,
    FUNCS_ID = 3,
    CODE_ID = 12,
    MEMORY_ID = 13,
    TWINS_ID = 14,
    UNIT_BYTES = 4096,
    FILE_MAX = 4 << 20
};

static void put_section(struct buf *file, struct cursor *c, uint32_t id)
{
    static const uint8_t magic[8] = {0x89, 'C', 'E', 'L', 'L', 0x0d, 0x0a, 0x1a};
    uint32_t rows = cursor_le32(c);
    size_t len = cursor_le16(c);
    bool is_mapped = id == CODE_ID || id == MEMORY_ID;
    size_t entry = HEADER_BYTES + (id - 1) * (size_t)ENTRY_BYTES;
    buf_align(file, is_mapped ? WASM_PAGE_BYTES : 16);
    size_t off = file->len;
    if (id == TWINS_ID && c->failed) {
        memcpy(&rows, file->data + HEADER_BYTES + (FUNCS_ID - 1) * ENTRY_BYTES + 4, sizeof rows);
        rows = rows < FILE_MAX / 16 ? rows : 0;
        buf_fill(file, 0, (size_t)rows * 4);
    } else if (is_mapped) {
        buf_fill(file, 0, len % 256 * UNIT_BYTES);
    } else {
        len = len < cursor_left(c) ? len : cursor_left(c);
        buf_bytes(file, c->pos, len);
        cursor_bytes(c, len);
    }
    memcpy(file->data, magic, sizeof magic);
    buf_patch_le32(file, entry, id);
    buf_patch_le32(file, entry + 4, rows);
    buf_patch_le64(file, entry + 8, off);
    buf_patch_le64(file, entry + 16, file->len - off);
    buf_patch_le64(file, entry + 24, hash_xxh3(file->data + off, file->len - off));
}

static void make_file(const uint8_t *data, size_t len, struct buf *file)
{
    struct cursor c;
    cursor_init(&c, data, len, 0);
    uint8_t arch = cursor_u8(&c);
    buf_fill(file, 0, HEADER_BYTES + (size_t)IMAGE_SECTION_COUNT * ENTRY_BYTES);
    for (uint32_t id = 1; id <= IMAGE_SECTION_COUNT; id++)
        put_section(file, &c, id);
    buf_patch_le32(file, 8, 3);
    buf_patch_le32(file, 12, ABI_VERSION);
    buf_patch_le32(file, 16, arch);
    buf_patch_le32(file, 20, IMAGE_SECTION_COUNT);
    buf_patch_le64(file, 24, file->len);
    buf_patch_le64(file, 32,
                   hash_xxh3(file->data + HEADER_BYTES, (size_t)IMAGE_SECTION_COUNT * ENTRY_BYTES));
    buf_patch_le64(file, 56, hash_xxh3(file->data, 56));
}

static void touch(const void *bytes, size_t len)
{
    static volatile uint8_t sink;
    for (size_t i = 0; i < len; i += len > 1 ? len - 1 : 1)
        sink = ((const uint8_t *)bytes)[i];
    (void)sink;
}

static void check_tables(const struct image *img)
{
    for (uint32_t i = 0; i < img->func_count; i++) {
        struct name n = image_func_name(img, i);
        FUZZ_CHECK(img->func_code[i] < img->const_off && img->func_twin[i] < img->const_off);
        touch(n.bytes, n.len);
    }
    for (uint32_t i = 0; i < img->type_count; i++)
        FUZZ_CHECK(img->type_entry[i] < img->const_off);
    for (uint32_t i = 0; i <= img->file_count && i < 100; i++)
        touch(image_file_name(img, i).bytes, image_file_name(img, i).len);
    for (uint32_t i = 0; i < img->run_count; i++) {
        const struct module_mem *mem = &img->module->mems[img->runs[i].mem];
        FUZZ_CHECK(!mem->imported);
        FUZZ_CHECK(img->runs[i].guest_off + img->runs[i].len <= mem->limits.min * WASM_PAGE_BYTES);
        touch(img->runs[i].bytes, img->runs[i].len);
    }
}

static void check_lookups(const struct image *img)
{
    for (uint32_t off = 0; off < 4096; off += 37) {
        uint32_t far = off * 0x00100401u;
        const struct image_range *r = image_range_find(img, far);
        FUZZ_CHECK(!r || r->func < img->func_count || r->func == IMAGE_NO_FUNC);
        const struct image_unwind *u = image_unwind_find(img, off);
        if (u)
            touch(u, sizeof *u);
        const struct line_row *line = image_line_find(img, image_wasm_off_find(img, far));
        FUZZ_CHECK(!line || line->file < img->file_count);
    }
}

static void check_image(const void *data, size_t len)
{
    struct image *img = NULL;
    struct error err = {0};
    if (image_decode(data, len, &img, &err) != ST_OK) {
        FUZZ_CHECK(err.code != ST_OK && err.text[0] != '\0' && !img);
        return;
    }
    check_tables(img);
    check_lookups(img);
    image_free(img);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf file = {0};
    if (len == 0)
        return 0;
    if (data[0] == 0)
        buf_bytes(&file, data + 1, len - 1); /* aligned, unlike data + 1 */
    else
        make_file(data + 1, len - 1, &file);
    FUZZ_CHECK(!file.failed && file.len <= FILE_MAX);
    check_image(file.data, file.len);
    buf_done(&file);
    return 0;
}
