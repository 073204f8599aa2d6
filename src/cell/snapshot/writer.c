#include "writer.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cell/module/image.h"
#include "sys/files.h"

const uint8_t snapshot_magic[SNAPSHOT_MAGIC_BYTES] = {0, 's', 'n', 'a', 'p', 'c', 's', 'k'};

const char *snapshot_part_name(uint32_t part)
{
    static const char *const names[PART_COUNT] = {
        [PART_INFO] = "info",    [PART_HOST] = "host", [PART_STATE] = "state",
        [PART_PAGES] = "pages",  [PART_END] = "end",   [PART_IDENTITY] = "identity",
        [PART_ROUND] = "round",  [PART_OWED] = "owed", [PART_SCATTER] = "scattered pages",
        [PART_MODULE] = "module"};
    return part < PART_COUNT && names[part] ? names[part] : "unknown";
}

void writer_fails(struct writer *w, int errnum)
{
    if (!w->failed)
        w->saved_errno = errnum;
    w->failed = true;
}

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->failed || len == 0)
        return;
    if (!w->sink->write(w->sink->arg, data, len)) {
        writer_fails(w, errno);
        return;
    }
    w->sizes.total_bytes += len;
}

int writer_range(struct writer *w, size_t len, uint64_t *ret_off)
{
    return w->failed || !w->sink->range ? -1 : w->sink->range(w->sink->arg, len, ret_off);
}

/* The head of a part, which counts with it. */
static struct buf part_head(struct writer *w, enum snapshot_part id, const void *summed,
                            size_t summed_len, size_t rest_len)
{
    uint64_t sum = hash_xxh3(summed, summed_len);
    struct buf head = {0};
    buf_le32(&head, id);
    buf_le32(&head, (uint32_t)summed_len);
    buf_le64(&head, (uint64_t)summed_len + rest_len);
    buf_le64(&head, sum);
    w->parts++;
    w->sum_of_sums += sum;
    return head;
}

void writer_part(struct writer *w, enum snapshot_part id, const void *summed, size_t summed_len,
                 const void *rest, size_t rest_len)
{
    struct buf head = part_head(w, id, summed, summed_len, rest_len);
    if (summed_len <= PAGES_HEAD_BYTES)
        buf_bytes(&head, summed, summed_len); /* one call for what is small */
    w->failed |= head.failed;
    put(w, head.data, head.len);
    if (summed_len > PAGES_HEAD_BYTES)
        put(w, summed, summed_len);
    put(w, rest, rest_len);
    buf_done(&head);
}

void writer_part_buf(struct writer *w, enum snapshot_part id, struct buf *b)
{
    w->failed |= b->failed;
    writer_part(w, id, b->data, b->len, NULL, 0);
    buf_done(b);
}

void writer_head(struct writer *w)
{
    uint8_t head[SNAPSHOT_HEAD_BYTES] = {0};
    memcpy(head, snapshot_magic, sizeof(snapshot_magic));
    head[SNAPSHOT_MAGIC_BYTES] = SNAPSHOT_FORMAT_VERSION;
    put(w, head, sizeof(head));
}

static void put_text(struct buf *b, const char *text)
{
    size_t len = strnlen(text, SNAPSHOT_TEXT_MAX - 1);
    buf_le32(b, (uint32_t)len);
    buf_bytes(b, text, len);
}

void writer_info(struct writer *w, const struct snapshot_info *info)
{
    struct buf b = {0};
    buf_bytes(&b, info->module_hash, sizeof(info->module_hash));
    buf_le64(&b, info->module_len);
    buf_le32(&b, info->features);
    buf_le32(&b, info->nan);
    buf_le32(&b, info->level);
    buf_le64(&b, info->time_ns);
    put_text(&b, info->program);
    put_text(&b, info->host);
    put_text(&b, info->version);
    writer_part_buf(w, PART_INFO, &b);
    buf_bytes(&b, info->id, sizeof(info->id));
    buf_le32(&b, info->increment);
    buf_bytes(&b, info->base_id, sizeof(info->base_id));
    put_text(&b, info->base_name);
    writer_part_buf(w, PART_IDENTITY, &b);
    if (info->module) {
        writer_part(w, PART_MODULE, info->module, (size_t)info->module_len, NULL, 0);
        w->sizes.module_bytes = info->module_len;
    }
}

static struct buf pages_head(const struct page_run *run, bool zeros, uint64_t sum)
{
    struct buf b = {0};
    buf_le32(&b, run->mem);
    buf_le32(&b, zeros);
    buf_le64(&b, run->at);
    buf_le64(&b, run->len);
    buf_le64(&b, sum);
    buf_fill(&b, 0, PAGES_HEAD_BYTES - b.len);
    return b;
}

void writer_pages(struct writer *w, const struct page_run *run, const uint8_t *data, uint64_t sum)
{
    size_t rest = data ? (size_t)run->len : 0;
    struct buf b = pages_head(run, data == NULL, data ? sum : 0);
    w->failed |= b.failed;
    writer_part(w, PART_PAGES, b.data, b.len, data, rest);
    w->sizes.page_bytes += rest;
    buf_done(&b);
}

void writer_pages_head_at(struct writer *w, const struct page_run *run, uint64_t sum, int fd,
                          uint64_t off)
{
    struct buf b = pages_head(run, false, sum);
    struct buf head = part_head(w, PART_PAGES, b.data, b.len, (size_t)run->len);
    buf_bytes(&head, b.data, b.len);
    w->failed |= b.failed || head.failed;
    if (!w->failed && file_write_all_at(fd, head.data, head.len, off) != 0)
        writer_fails(w, errno);
    w->sizes.total_bytes += head.len + run->len;
    w->sizes.page_bytes += run->len;
    buf_done(&head);
    buf_done(&b);
}

void writer_end(struct writer *w)
{
    struct buf b = {0};
    buf_le64(&b, w->parts);
    buf_le64(&b, w->sum_of_sums);
    writer_part_buf(w, PART_END, &b);
}

status_t writer_status(const struct writer *w, struct error *err)
{
    if (!w->failed)
        return ST_OK;
    return w->saved_errno ? error_set_errno(err, w->saved_errno, "writing a snapshot")
                          : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a snapshot");
}

/* Only the very module that the cell runs is embedded. */
static status_t check_module(const struct image *img, const struct snapshot_info *info,
                             struct error *err)
{
    uint8_t hash[SHA256_BYTES];
    if (!info->module)
        return ST_OK;
    bool same = info->module_len == img->module_len && info->module_len <= PART_BYTES_MAX;
    if (same) {
        sha256_bytes(info->module, (size_t)info->module_len, hash);
        same = memcmp(hash, img->module_hash, sizeof(hash)) == 0;
    }
    return same ? ST_OK
                : error_set(err, ST_INVALID, ERROR_NO_OFFSET, "not the module that the cell runs");
}

status_t writer_fill_info(struct cell *c, struct snapshot_info *info, struct error *err)
{
    struct program *prog = cell_program(c);
    struct timespec now;
    if (!prog)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "a cell without a program cannot travel");
    const struct image *img = program_image(prog);
    status_t st = check_module(img, info, err);
    if (st != ST_OK)
        return st;
    clock_gettime(CLOCK_REALTIME, &now);
    memcpy(info->module_hash, img->module_hash, sizeof(info->module_hash));
    info->module_len = img->module_len;
    info->features = img->features;
    info->nan = img->options.nan;
    info->level = img->options.level;
    info->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (getrandom(info->id, sizeof(info->id), 0) != (ssize_t)sizeof(info->id))
        return error_set_errno(err, errno, "an id for a snapshot");
    return ST_OK;
}
