#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime.h"
#include "sys/files.h"
#include "table.h"

static status_t map_file(struct program *p, struct error *err)
{
    struct stat st;
    if (fstat(p->fd, &st) != 0)
        return error_set_errno(err, errno, "image");
    if (!S_ISREG(st.st_mode))
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "not a regular file");
    if (st.st_size <= 0)
        return error_set(err, ST_FORMAT, 0, "image is empty");
    p->file_bytes = (size_t)st.st_size;
    void *at = mmap(NULL, p->file_bytes, PROT_READ, MAP_PRIVATE, p->fd, 0);
    if (at == MAP_FAILED)
        return error_set_errno(err, errno, "mapping an image");
    p->file = at;
    return ST_OK;
}

/* Text executable, constants read-only, at the distance that they have in the image. */
static status_t map_code(struct program *p, struct error *err)
{
    const struct image *img = p->image;
    if (img->code_len == 0)
        return ST_OK;
    p->code_map_bytes = img->code_len + 2 * WASM_PAGE_BYTES;
    uint8_t *map = mmap(NULL, p->code_map_bytes, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return error_set_errno(err, errno, "no address space for code");
    p->code_map = map;
    uint8_t *at = (uint8_t *)(((uintptr_t)map + WASM_PAGE_BYTES - 1) &
                              ~(uintptr_t)(WASM_PAGE_BYTES - 1));
    size_t text = img->const_off, rest = img->code_len - img->const_off;
    if (text && mmap(at, text, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, p->fd,
                     (off_t)img->code_file_off) == MAP_FAILED)
        return error_set_errno(err, errno, "mapping code");
    if (rest && mmap(at + text, rest, PROT_READ, MAP_PRIVATE | MAP_FIXED, p->fd,
                     (off_t)(img->code_file_off + text)) == MAP_FAILED)
        return error_set_errno(err, errno, "mapping constants");
    p->code = at;
    return ST_OK;
}

/* What the decoder of images cannot know: that the parts fit the way they are used here. */
static status_t check_image(const struct image *img, struct error *err)
{
    const struct module *m = img->module;
    if (!image_level_runs(img->options.level))
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "this CPU cannot run code for %s",
                         image_level_name(img->options.level) ? image_level_name(img->options.level)
                                                              : "its level");
    bool fits = img->func_count == m->func_count && img->type_count == m->type_count &&
                img->const_off <= img->code_len && img->const_off % WASM_PAGE_BYTES == 0 &&
                img->code_file_off % WASM_PAGE_BYTES == 0;
    for (uint32_t i = 0; fits && i < img->run_count; i++) {
        const struct image_memory_run *r = &img->runs[i];
        fits = r->mem >= m->mem_import_count && r->mem < m->mem_count &&
               r->guest_off % WASM_PAGE_BYTES == 0 && r->len % WASM_PAGE_BYTES == 0 &&
               r->guest_off <= m->mems[r->mem].limits.min * WASM_PAGE_BYTES &&
               r->len <= m->mems[r->mem].limits.min * WASM_PAGE_BYTES - r->guest_off;
    }
    if (!fits)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "parts of the image do not fit each other");
    return ST_OK;
}

static status_t make_sigs(struct program *p, struct error *err)
{
    const struct module *m = p->module;
    uint64_t *sigs = arena_alloc(&p->arena, m->type_count, sizeof(*sigs));
    status_t st = sigs ? ST_OK : ST_NOMEM;
    for (uint32_t i = 0; st == ST_OK && i < m->type_count; i++)
        st = run_sig_number(p->rt, &m->types[i], &sigs[i]);
    p->sigs = sigs;
    return st == ST_OK ? ST_OK : error_set(err, st, ERROR_NO_OFFSET, "no memory for types");
}

static status_t make_funcs(struct program *p, struct error *err)
{
    const struct module *m = p->module;
    uint32_t n = 0;
    for (uint32_t i = m->func_import_count; i < m->func_count; i++)
        n += p->layout.func_off[i] != 0;
    struct program_func *funcs = arena_alloc(&p->arena, n, sizeof(*funcs));
    if (!funcs)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for functions");
    for (uint32_t i = m->func_import_count; i < m->func_count; i++) {
        if (p->layout.func_off[i] != 0)
            funcs[p->func_count++] = (struct program_func){.index = i,
                                                           .off = p->layout.func_off[i]};
    }
    p->funcs = funcs;
    return ST_OK;
}

/* The area below B: small tables, results, block. */
static status_t make_area(struct program *p, struct error *err)
{
    const struct module *m = p->module;
    uint32_t defined = m->table_count - m->table_import_count;
    uint64_t bytes = ((uint64_t)p->layout.block_bytes + 15) / 16 * 16 +
                     MODULE_RESULTS_MAX * sizeof(union cell_value);
    p->table_entries = arena_alloc(&p->arena, defined, sizeof(*p->table_entries));
    if (!p->table_entries)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for tables");
    for (uint32_t i = 0; i < defined; i++) {
        uint64_t n = run_table_reserve(m->tables[m->table_import_count + i].limits, UINT64_MAX);
        if (n * sizeof(struct abi_entry) <= PROGRAM_SMALL_TABLE_BYTES) {
            p->table_entries[i] = n;
            bytes += n * sizeof(struct abi_entry);
        }
    }
    p->area_bytes = (uint32_t)((bytes + WASM_PAGE_BYTES - 1) / WASM_PAGE_BYTES * WASM_PAGE_BYTES);
    return ST_OK;
}

static status_t program_make(struct program *p, struct error *err)
{
    status_t st = map_file(p, err);
    if (st == ST_OK)
        st = image_decode(p->file, p->file_bytes, &p->image, err);
    if (st == ST_OK)
        st = check_image(p->image, err);
    if (st == ST_OK)
        st = map_code(p, err);
    if (st != ST_OK)
        return st;
    p->module = p->image->module;
    st = abi_layout_make(p->module, &p->arena, &p->layout, err);
    if (st == ST_OK)
        st = make_sigs(p, err);
    if (st == ST_OK)
        st = make_funcs(p, err);
    if (st == ST_OK)
        st = make_area(p, err);
    if (st == ST_OK && p->layout.mem0_inline)
        p->mem0_bytes = p->module->mems[0].limits.min * WASM_PAGE_BYTES;
    return st;
}

static void program_free(struct program *p)
{
    if (p->code_map)
        munmap(p->code_map, p->code_map_bytes);
    image_free(p->image);
    if (p->file)
        munmap((void *)p->file, p->file_bytes);
    if (p->fd >= 0)
        close(p->fd);
    arena_done(&p->arena);
    run_runtime_part(p->rt);
    free(p);
}

/* Takes fd. */
static status_t program_from_fd(struct runtime *rt, int fd, struct program **ret_prog,
                                struct error *err)
{
    struct program *p = calloc(1, sizeof(*p));
    if (!p) {
        close(fd);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a program");
    }
    atomic_init(&p->refs, 1);
    p->rt = rt;
    p->fd = fd;
    p->serial = run_runtime_join(rt);
    status_t st = program_make(p, err);
    if (st != ST_OK) {
        program_free(p);
        return st;
    }
    *ret_prog = p;
    return ST_OK;
}

status_t program_open(struct runtime *rt, const char *path, struct program **ret_prog,
                      struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe has no image, nor a wait */
    if (fd < 0)
        return error_set_errno(err, errno, "%s", path);
    return program_from_fd(rt, fd, ret_prog, err);
}

status_t program_load(struct runtime *rt, const void *data, size_t len, struct program **ret_prog,
                      struct error *err)
{
    int fd = memfd_create("cell-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set_errno(err, errno, "anonymous file for an image");
    if (file_write_all(fd, data, len) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int saved = errno;
        close(fd);
        return error_set_errno(err, saved, "anonymous file for an image");
    }
    return program_from_fd(rt, fd, ret_prog, err);
}

struct program *program_ref(struct program *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void program_unref(struct program *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1)
        program_free(p);
}

const struct image *program_image(const struct program *p)
{
    return p->image;
}

status_t program_map_runs(const struct program *p, uint32_t mem, uint8_t *base)
{
    for (uint32_t i = 0; i < p->image->run_count; i++) {
        const struct image_memory_run *r = &p->image->runs[i];
        if (r->mem != mem || r->len == 0)
            continue;
        void *at = mmap(base + r->guest_off, r->len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, p->fd, (off_t)r->file_off);
        if (at == MAP_FAILED)
            return ST_NOMEM;
    }
    return ST_OK;
}
