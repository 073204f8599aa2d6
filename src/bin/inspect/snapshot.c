#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "cell/module/debug.h"
#include "cell/run/state.h"
#include "cell/snapshot/snapshot.h"
#include "host.h"
#include "snapfile/file.h"
#include "subject.h"
#include "sys/clock.h"
#include "sys/files.h"

/* The module is read for the names of functions, if it is where it was. */
#define PROGRAM_BYTES_MAX (1ull << 32)
/* Of a call stack, unless all of it was asked for: where the program is, and where it came from. */
enum { FRAMES_INNER = 32, FRAMES_OUTER = 8 };

/* In the source; line 0: not known. */
struct place {
    struct name file;
    uint32_t line;
};

struct description {
    const struct snapshot_info *info;
    const struct snapshot_file *file;
    struct snapshot_summary sum;
    const char *path; /* of the snapshot, as it was given */
    bool all;         /* frames are shown */
    struct wasi_saved host;
    struct module *module; /* NULL: not found */
    struct buf module_bytes;
    struct name *names;
    struct line_table lines; /* of module */
    struct image *image;     /* of the module, when that is what was run */
    struct arena arena;
};

bool snapshot_is_one(const char *path)
{
    uint8_t head[SNAPSHOT_HEAD_TOLD];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
        return true; /* nothing else is read from a pipe, and what is taken of it is gone */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_one = fd >= 0 && file_read_all(fd, head, sizeof head) == 0 &&
                  snapshot_file_told(head, sizeof head);
    if (fd >= 0)
        close(fd);
    return is_one;
}

/* Without it frames have numbers only. */
static void find_names(struct description *d)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    uint8_t hash[SHA256_BYTES];
    struct file_map map = {0};
    if (d->info->module)
        buf_bytes(&d->module_bytes, d->info->module, (size_t)d->info->module_len);
    else if (file_map(d->info->program, PROGRAM_BYTES_MAX, &map, &err) != ST_OK)
        return;
    buf_bytes(&d->module_bytes, map.data, map.len);
    file_unmap(&map);
    sha256_bytes(d->module_bytes.data, d->module_bytes.len, hash);
    if (memcmp(hash, d->info->module_hash, sizeof hash) != 0 ||
        module_decode(d->module_bytes.data, d->module_bytes.len, FEATURE_ALL, &d->module, &err) !=
            ST_OK)
        return;
    if (module_func_names(d->module, &d->arena, &d->names) != ST_OK)
        d->names = NULL;
    if (module_line_table(d->module, &d->arena, &d->lines) != ST_OK)
        d->lines = (struct line_table){0};
}

/* A program that was run as an image: that has the names as well. */
static void find_image(struct description *d)
{
    if (d->module || d->module_bytes.len == 0 ||
        image_decode(d->module_bytes.data, d->module_bytes.len, &d->image, NULL) != ST_OK)
        return;
    if (memcmp(d->image->module_hash, d->info->module_hash, SHA256_BYTES) != 0) {
        image_free(d->image);
        d->image = NULL;
    }
}

static struct name name_of(const struct description *d, const struct snapshot_frame *f)
{
    const char *operation = f->kind == SITE_OPERATION ? cell_operation_name(f->func) : NULL;
    if (operation)
        return (struct name){operation, (uint32_t)strlen(operation)};
    if (d->image)
        return f->func < d->image->func_count ? image_func_name(d->image, f->func)
                                              : (struct name){0};
    return d->names && f->func < d->module->func_count ? d->names[f->func] : (struct name){0};
}

static void put_time(uint64_t ns, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm parts;
    if (!localtime_r(&seconds, &parts) ||
        strftime(ret_text, size, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        ret_text[0] = '\0';
}

/* The last row that begins at off or before it; a row without a line ends the one before. */
static const struct line_row *find_row(const struct line_table *t, uint64_t off)
{
    uint32_t low = 0, high = t->row_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->rows[middle].off <= off)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && t->rows[low - 1].line > 0 ? &t->rows[low - 1] : NULL;
}

static struct place place_of(const struct description *d, const struct snapshot_frame *f)
{
    struct place p = {.line = 0};
    if (f->kind == SITE_OPERATION || f->wasm_off == 0)
        return p;
    const struct line_row *row = d->image ? image_line_find(d->image, f->wasm_off)
                                          : find_row(&d->lines, f->wasm_off);
    if (row && d->image)
        p = (struct place){image_file_name(d->image, row->file), row->line};
    else if (row && row->file < d->lines.file_count)
        p = (struct place){d->lines.files[row->file], row->line};
    return p;
}

/* As the back-trace of a trap has it. */
static void put_frame(const struct description *d, uint32_t k, struct buf *out)
{
    const struct snapshot_frame *f = &d->sum.frames[k];
    const struct name n = name_of(d, f);
    const struct place p = place_of(d, f);
    buf_printf(out, "  #%-4u ", k);
    if (n.len)
        human_put_name(out, n.bytes, n.len);
    else
        buf_printf(out, "func[%u]", f->func);
    if (p.file.len) {
        buf_printf(out, " at ");
        subject_put_name(out, p.file);
        buf_printf(out, ":%u", p.line);
    }
    if (f->kind == SITE_OPERATION)
        buf_printf(out, " (host, in part done)\n");
    else if (f->wasm_off == 0)
        buf_printf(out, " (host)\n");
    else
        buf_printf(out, " (wasm 0x%x%s)\n", f->wasm_off,
                   f->kind == SITE_RETURNED ? ", the call has returned" : "");
}

static void put_frames(const struct description *d, struct buf *out)
{
    const uint32_t count = d->sum.frame_count;
    const bool cut = !d->all && count > FRAMES_INNER + FRAMES_OUTER;
    buf_printf(out, "call stack (%u frame%s, the innermost first%s", count, count == 1 ? "" : "s",
               d->module || d->image ? "" : "; no names, as the program is not at ");
    if (!d->module && !d->image)
        human_put_text(out, d->info->program, strlen(d->info->program));
    buf_printf(out, ")\n");
    for (uint32_t k = 0; k < count; k++) {
        if (cut && k == FRAMES_INNER) {
            k = count - FRAMES_OUTER;
            buf_printf(out, "  ... %u more, which --all shows\n", k - FRAMES_INNER);
        }
        put_frame(d, k, out);
    }
}

static void put_text(const struct description *d, struct buf *out)
{
    const struct snapshot_info *i = d->info;
    const struct snapshot_sizes *s = &d->sum.sizes;
    char hex[SHA256_HEX_BYTES], when[64], age[HUMAN_TEXT_BYTES];
    char memory[HUMAN_TEXT_BYTES], pages[HUMAN_TEXT_BYTES];
    char id[SNAPSHOT_ID_TEXT_BYTES], base[SNAPSHOT_ID_TEXT_BYTES];
    uint64_t now = clock_realtime_ns();
    sha256_hex(i->module_hash, hex);
    put_time(i->time_ns, when, sizeof when);
    const char *level = image_level_name(i->level);
    buf_printf(out, "snapshot of %s\n", i->program);
    buf_printf(out, "  module      sha256 %s, %llu bytes\n", hex,
               (unsigned long long)i->module_len);
    if (s->module_bytes)
        buf_printf(out, "              embedded: thaw needs no other file\n");
    human_time(now > i->time_ns ? now - i->time_ns : 0, age);
    buf_printf(out, "  taken       %s, %s ago, on %s (%s) by %s\n", when, age, i->host,
               level ? level : "unknown CPU", i->version);
    snapshot_id_text(i->id, id);
    snapshot_id_text(i->base_id, base);
    buf_printf(out, "  id          %s\n", id);
    if (i->increment)
        buf_printf(out, "  increment   on %s (%s)\n", base,
                   i->base_name[0] ? i->base_name : "unnamed");
    buf_printf(out, "  NaNs        %s\n", i->nan == NAN_CANONICAL ? "canonical" : "native");
    human_bytes(d->sum.memory_bytes, memory);
    human_bytes(s->page_bytes, pages);
    buf_printf(out, "  memory      %s, of which %s stand in the file\n", memory, pages);
    buf_printf(out,
               "  file        %llu bytes: pages %llu, call stack and tables %llu, host %llu, "
               "module %llu\n",
               (unsigned long long)s->total_bytes, (unsigned long long)s->page_bytes,
               (unsigned long long)s->state_bytes, (unsigned long long)s->host_bytes,
               (unsigned long long)s->module_bytes);
    if (d->file->compressed)
        buf_printf(out, "              compressed to %llu bytes\n",
                   (unsigned long long)d->file->file_bytes);
    host_put_text(&d->host, out);
    put_frames(d, out);
    host_put_thaw(&d->host, d->path, out);
}

/* Texts of the snapshot itself, which anybody may have written. */
static void disarm(struct buf *out)
{
    for (size_t i = 0; i < out->len; i++) {
        uint8_t c = out->data[i];
        bool c1 = i > 0 && out->data[i - 1] == 0xc2 && c >= 0x80 && c < 0xa0;
        if ((c < ' ' && c != '\n') || c == 0x7f || c1)
            out->data[i] = '?';
    }
}

static void put_json(const struct description *d, struct buf *out)
{
    static const char *const kinds[] = {"call", "returned", "at", "operation"};
    const struct snapshot_info *i = d->info;
    const struct snapshot_sizes *s = &d->sum.sizes;
    struct json j = {.out = out};
    char hex[SHA256_HEX_BYTES], id[SNAPSHOT_ID_TEXT_BYTES], base[SNAPSHOT_ID_TEXT_BYTES];
    sha256_hex(i->module_hash, hex);
    snapshot_id_text(i->id, id);
    snapshot_id_text(i->base_id, base);
    json_open(&j, NULL, '{');
    json_text(&j, "path", d->path);
    json_text(&j, "kind", "snapshot");
    json_text(&j, "program", i->program);
    json_text(&j, "module_sha256", hex);
    json_u64(&j, "module_bytes", i->module_len);
    json_bool(&j, "module_embedded", s->module_bytes != 0);
    json_u64(&j, "time_ns", i->time_ns);
    json_text(&j, "host", i->host);
    json_text(&j, "cpu", image_level_name(i->level) ? image_level_name(i->level) : "");
    json_text(&j, "version", i->version);
    json_text(&j, "id", id);
    json_text(&j, "base", i->increment ? base : "");
    json_text(&j, "nan", i->nan == NAN_CANONICAL ? "canonical" : "native");
    json_u64(&j, "memory_bytes", d->sum.memory_bytes);
    json_u64(&j, "file_bytes", s->total_bytes);
    if (d->file->compressed)
        json_u64(&j, "compressed_bytes", d->file->file_bytes);
    json_u64(&j, "page_bytes", s->page_bytes);
    json_u64(&j, "state_bytes", s->state_bytes);
    json_u64(&j, "host_bytes", s->host_bytes);
    host_put_json(&d->host, &j);
    json_open(&j, "frames", '[');
    for (uint32_t k = 0; k < d->sum.frame_count; k++) {
        const struct snapshot_frame *f = &d->sum.frames[k];
        const struct name n = name_of(d, f);
        const struct place p = place_of(d, f);
        json_open(&j, NULL, '{');
        json_u64(&j, "function", f->func);
        json_string(&j, "name", n.len ? n.bytes : "", n.len);
        json_text(&j, "kind", f->kind <= SITE_OPERATION ? kinds[f->kind] : "");
        json_u64(&j, "offset", f->wasm_off);
        if (p.file.len) {
            json_string(&j, "file", p.file.bytes, p.file.len);
            json_u64(&j, "line", p.line);
        }
        json_u64(&j, "values", f->values);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
}

static status_t describe(struct snapshot_file *file, const struct inspect_options *options,
                         struct buf *out, struct error *err)
{
    size_t host_len;
    struct description d = {.file = file, .path = options->name, .all = options->all};
    struct snapshot_reader *r = NULL;
    const struct snapshot_source source = snapshot_file_source(file);
    status_t st = snapshot_open(&source, &r, err);
    if (st == ST_OK) {
        d.info = snapshot_reader_info(r);
        st = snapshot_describe(r, &d.sum, err);
    }
    if (st == ST_OK) {
        const void *host = snapshot_host_state(r, &host_len);
        st = wasi_describe(host, host_len, &d.host, err);
    }
    if (st == ST_OK) {
        find_names(&d);
        find_image(&d);
        (options->json ? put_json : put_text)(&d, out);
        if (!options->json)
            disarm(out);
        st = snapshot_file_end(file, err);
    }
    wasi_saved_done(&d.host);
    free(d.sum.frames);
    module_free(d.module);
    image_free(d.image);
    buf_done(&d.module_bytes);
    arena_done(&d.arena);
    snapshot_close(r);
    return st;
}

status_t snapshot_put(const char *path, const struct inspect_options *options, struct buf *out,
                      struct error *err)
{
    struct snapshot_file file = {0};
    status_t st = snapshot_file_open(path, &file, err);
    if (st == ST_OK)
        st = describe(&file, options, out, err);
    snapshot_file_close(&file);
    return st;
}
