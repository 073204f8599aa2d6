#include "journal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/parse.h"
#include "sys/files.h"

static const uint8_t magic[8] = {0, 'u', 'n', 'd', 'o', 'c', 's', 'k'};

enum { HEAD_SUMMED_BYTES = 24, LEAVING_SUMMED_BYTES = JOURNAL_LEAVING_BYTES - 8 };

void journal_name(uint32_t number, const char *suffix, char ret_name[JOURNAL_NAME_BYTES])
{
    snprintf(ret_name, JOURNAL_NAME_BYTES, "%06u.%s", number, suffix);
}

void journal_kept_name(uint32_t number, uint32_t kept, char ret_name[JOURNAL_NAME_BYTES])
{
    snprintf(ret_name, JOURNAL_NAME_BYTES, "%06u.%u.kept", number, kept);
}

/* ---- head ---- */

void journal_put_head(struct buf *out, const struct journal_head *h)
{
    size_t begin = out->len;
    buf_bytes(out, magic, sizeof magic);
    buf_le32(out, JOURNAL_VERSION);
    buf_le32(out, h->number);
    buf_le32(out, h->follows);
    buf_le32(out, 0);
    if (!out->failed) {
        buf_le64(out, hash_xxh3(out->data + begin, HEAD_SUMMED_BYTES));
    }
    buf_fill(out, 0, JOURNAL_HEAD_BYTES - (HEAD_SUMMED_BYTES + 8));
}

/* One that is damaged was not finished, and then the snapshot did not get its name. */
static void get_leaving(const uint8_t *data, struct journal_head *h)
{
    struct cursor c;
    cursor_init(&c, data, JOURNAL_LEAVING_BYTES, JOURNAL_LEAVING_OFF);
    h->leaving_inode = cursor_le64(&c);
    const uint8_t *path = cursor_bytes(&c, JOURNAL_LEAVING_PATH_MAX);
    if (cursor_le64(&c) == hash_xxh3(data, LEAVING_SUMMED_BYTES)) {
        memcpy(h->leaving_path, path, JOURNAL_LEAVING_PATH_MAX);
    }
}

status_t journal_get_head(const uint8_t *data, struct journal_head *ret_head, struct error *err)
{
    struct cursor c;
    if (memcmp(data, magic, sizeof magic) != 0) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "not a journal of before-images");
    }
    cursor_init(&c, data + sizeof magic, HEAD_SUMMED_BYTES + 8 - sizeof magic, sizeof magic);
    uint32_t version = cursor_le32(&c);
    struct journal_head h = {.number = cursor_le32(&c)};
    h.follows = cursor_le32(&c);
    (void)cursor_le32(&c);
    if (cursor_le64(&c) != hash_xxh3(data, HEAD_SUMMED_BYTES)) {
        return error_set(err, ST_CORRUPT, 0, "its head has a wrong checksum");
    }
    if (version < JOURNAL_VERSION_FIRST || version > JOURNAL_VERSION) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "journal of format version %u",
                         version);
    }
    memcpy(h.lost, data + JOURNAL_LOST_OFF, JOURNAL_LOST_MAX);
    get_leaving(data + JOURNAL_LEAVING_OFF, &h);
    *ret_head = h;
    return ST_OK;
}

void journal_put_leaving(struct buf *out, const char *path, uint64_t inode)
{
    size_t begin = out->len, len = strlen(path);
    buf_le64(out, inode);
    buf_bytes(out, path, len);
    buf_fill(out, 0, JOURNAL_LEAVING_PATH_MAX - len);
    if (!out->failed) {
        buf_le64(out, len > 0 ? hash_xxh3(out->data + begin, LEAVING_SUMMED_BYTES) : 0);
    }
}

bool journal_has_left(const struct journal_head *h)
{
    struct stat st;
    return h->leaving_path[0] != '\0' && stat(h->leaving_path, &st) == 0 &&
           st.st_ino == h->leaving_inode;
}

/* ---- standard output ---- */

bool journal_output_of(int fd, struct journal_output *ret_file)
{
    char link[64], path[PATH_MAX];
    struct statx st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) != 0) {
        return false;
    }
    path[len] = '\0';
    const char *slash = strrchr(path, '/');
    *ret_file = (struct journal_output){.inode = st.stx_ino};
    if ((st.stx_mask & STATX_BTIME) != 0 && st.stx_btime.tv_sec > 0) {
        ret_file->born_ns = (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
    }
    snprintf(ret_file->name, sizeof ret_file->name, "%.255s", slash != NULL ? slash + 1 : path);
    return true;
}

/* XXH3 of these bytes of the file, which may be open for writing only. */
static bool sum_tail(int fd, uint64_t from, size_t len, uint64_t *ret_sum)
{
    char link[64];
    uint8_t tail[JOURNAL_TAIL_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int read_fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool good = read_fd >= 0 && lseek(read_fd, (off_t)from, SEEK_SET) >= 0 &&
                file_read_all(read_fd, tail, len) == 0;
    if (good) {
        *ret_sum = hash_xxh3(tail, len);
    }
    if (read_fd >= 0) {
        close(read_fd);
    }
    return good;
}

status_t journal_output_text(int fd, char *ret_text)
{
    struct journal_output f;
    struct stat st;
    if (fstat(fd, &st) != 0 || !journal_output_of(fd, &f)) {
        return ST_IO;
    }
    uint64_t size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    f.len = size < JOURNAL_TAIL_MAX ? size : JOURNAL_TAIL_MAX;
    f.from = size - f.len;
    if (f.len > 0 && !sum_tail(fd, f.from, (size_t)f.len, &f.sum)) {
        f.len = 0;
    }
    snprintf(ret_text, JOURNAL_PATH_MAX + 1, "%llu %llu %llu %llu %llu %s",
             (unsigned long long)f.inode, (unsigned long long)f.born_ns, (unsigned long long)f.from,
             (unsigned long long)f.len, (unsigned long long)f.sum, f.name);
    return ST_OK;
}

/* A number and the blank behind it. */
static bool take_number(const char **text, uint64_t max, uint64_t *ret_value)
{
    char digits[24];
    size_t len = strcspn(*text, " ");
    if ((*text)[len] == '\0' || len >= sizeof digits) {
        return false;
    }
    memcpy(digits, *text, len);
    digits[len] = '\0';
    *text += len + 1;
    return parse_u64(digits, max, ret_value) == ST_OK;
}

bool journal_output_parse(const char *text, size_t len, struct journal_output *ret_file)
{
    char copy[JOURNAL_PATH_MAX + 1];
    const char *at = copy, *name;
    struct journal_output f = {0};
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!take_number(&at, UINT64_MAX, &f.inode)) {
        return false;
    }
    name = at;
    if (take_number(&at, UINT64_MAX, &f.born_ns) && take_number(&at, INT64_MAX, &f.from) &&
        take_number(&at, JOURNAL_TAIL_MAX, &f.len) && take_number(&at, UINT64_MAX, &f.sum)) {
        name = at;
    } else {
        f = (struct journal_output){.inode = f.inode};
    }
    snprintf(f.name, sizeof f.name, "%.255s", name);
    *ret_file = f;
    return true;
}

bool journal_output_same(const struct journal_output *a, const struct journal_output *b)
{
    return a->inode == b->inode && (a->born_ns == 0 || b->born_ns == 0 || a->born_ns == b->born_ns);
}

const char *journal_place_shown(const struct journal_place *p, int max, int *ret_len)
{
    bool named = p->origin == JOURNAL_AT_GRANT;
    const char *output = p->index == 2 ? "standard error" : "standard output";
    const char *unnamed = p->origin == JOURNAL_AT_OUTPUT ? output : "a file that was removed";
    const char *text = named ? p->path : unnamed;
    size_t len = named ? p->path_len : strlen(text);
    *ret_len = len < (size_t)max ? (int)len : max;
    return text;
}

/* ---- writing ---- */

static void put_text(struct buf *out, const char *text, size_t len)
{
    buf_le32(out, (uint32_t)len);
    buf_bytes(out, text, len);
}

static void put_place(struct buf *out, const struct journal_place *p)
{
    buf_u8(out, (uint8_t)p->origin);
    buf_le32(out, p->index);
    put_text(out, p->path, p->path_len);
}

static void put_entry(struct buf *out, const struct journal_entry *e)
{
    buf_u8(out, (uint8_t)e->was);
    buf_le32(out, e->value);
    put_text(out, e->link, e->link_len);
}

static void put_payload(struct buf *out, const struct journal_record *r,
                        const char *const *guest_paths)
{
    if (r->type == JOURNAL_GRANTS) {
        buf_le32(out, r->grant_count);
        for (uint32_t i = 0; i < r->grant_count; i++) {
            put_text(out, guest_paths[i], strlen(guest_paths[i]));
        }
        return;
    }
    put_place(out, &r->place);
    if (r->type == JOURNAL_FILE) {
        buf_le64(out, r->size);
        buf_le64(out, r->mtime_ns);
    } else if (r->type == JOURNAL_DATA) {
        buf_le64(out, r->offset);
        buf_bytes(out, r->data, r->data_len);
    } else if (r->type == JOURNAL_CREATE) {
        buf_u8(out, r->directory);
    } else if (r->type == JOURNAL_REMOVE) {
        put_entry(out, &r->before);
    } else {
        put_place(out, &r->to);
        put_entry(out, &r->before);
        buf_u8(out, r->may_be_gone);
    }
}

void journal_put(struct buf *out, const struct journal_record *r, const char *const *guest_paths)
{
    size_t begin = out->len;
    buf_le32(out, (uint32_t)r->type);
    buf_le32(out, 0);
    buf_le32(out, 0);
    put_payload(out, r, guest_paths);
    if (!out->failed) {
        buf_patch_le32(out, begin + 4, (uint32_t)(out->len - begin - JOURNAL_BEGIN_BYTES));
        buf_patch_le32(out, begin + 8, (uint32_t)hash_xxh3(out->data + begin, 8));
        buf_le64(out, hash_xxh3(out->data + begin, out->len - begin));
    }
}

/* ---- reading ---- */

static const char *take_text(struct cursor *c, size_t *ret_len)
{
    uint32_t len = cursor_le32(c);
    if (len > JOURNAL_PATH_MAX) {
        cursor_fail(c, "too long a path");
    }
    const uint8_t *text = cursor_bytes(c, len);
    if (text != NULL && memchr(text, 0, len) != NULL) {
        cursor_fail(c, "a path with a NUL inside");
    }
    *ret_len = c->failed ? 0 : len;
    return c->failed ? "" : (const char *)text;
}

static void take_place(struct cursor *c, struct journal_place *p)
{
    uint8_t origin = cursor_u8(c);
    p->index = cursor_le32(c);
    p->path = take_text(c, &p->path_len);
    if (origin >= JOURNAL_ORIGIN_COUNT) {
        cursor_fail(c, "an unknown place");
    } else if (origin == JOURNAL_AT_OUTPUT
                   ? p->index != 1 && p->index != 2
                   : origin == JOURNAL_AT_GRANT && p->index >= JOURNAL_GRANTS_MAX) {
        cursor_fail(c, "a place beneath an unknown grant or descriptor");
    } else if (origin != JOURNAL_AT_OUTPUT && (origin == JOURNAL_AT_GRANT) != (p->path_len > 0)) {
        cursor_fail(c, "a place without a path, or with one too many");
    }
    p->origin = c->failed ? JOURNAL_AT_GRANT : (enum journal_origin)origin;
}

/* A name in a directory, which only grants have. */
static void take_name(struct cursor *c, struct journal_place *p)
{
    take_place(c, p);
    if (p->origin != JOURNAL_AT_GRANT) {
        cursor_fail(c, "a name that is none");
    }
}

static void take_entry(struct cursor *c, struct journal_entry *e)
{
    uint8_t was = cursor_u8(c);
    e->value = cursor_le32(c);
    e->link = take_text(c, &e->link_len);
    bool has_text = was == JOURNAL_WAS_LINK || was == JOURNAL_WAS_NAME;
    if (was >= JOURNAL_WAS_COUNT || has_text != (e->link_len > 0)) {
        cursor_fail(c, "an unknown kind of name");
    }
    e->was = c->failed ? JOURNAL_WAS_NOTHING : (enum journal_was)was;
}

static bool take_bool(struct cursor *c)
{
    uint8_t v = cursor_u8(c);
    if (v > 1) {
        cursor_fail(c, "neither yes nor no");
    }
    return v == 1;
}

static uint64_t take_i63(struct cursor *c)
{
    uint64_t v = cursor_le64(c);
    if (v > INT64_MAX) {
        cursor_fail(c, "a size or offset too large");
    }
    return c->failed ? 0 : v;
}

static void take_grants(struct cursor *c, struct journal_record *r,
                        struct journal_place *guest_paths)
{
    r->grant_count = cursor_le32(c);
    if (r->grant_count > JOURNAL_GRANTS_MAX) {
        cursor_fail(c, "too many grants");
    }
    for (uint32_t i = 0; !c->failed && i < r->grant_count; i++) {
        struct journal_place p = {.index = i};
        p.path = take_text(c, &p.path_len);
        if (guest_paths != NULL) {
            guest_paths[i] = p;
        }
    }
}

static void take_payload(struct cursor *c, struct journal_record *r,
                         struct journal_place *guest_paths)
{
    switch (r->type) {
    case JOURNAL_GRANTS:
        take_grants(c, r, guest_paths);
        break;
    case JOURNAL_FILE:
        take_place(c, &r->place);
        r->size = take_i63(c);
        r->mtime_ns = cursor_le64(c);
        break;
    case JOURNAL_DATA:
        take_place(c, &r->place);
        r->offset = take_i63(c);
        r->data_len = cursor_left(c);
        r->data = cursor_bytes(c, r->data_len);
        if (r->data_len > JOURNAL_DATA_MAX || r->offset > (uint64_t)INT64_MAX - r->data_len) {
            cursor_fail(c, "bytes at an impossible place");
        }
        break;
    case JOURNAL_CREATE:
        take_name(c, &r->place);
        r->directory = take_bool(c);
        break;
    case JOURNAL_REMOVE:
        take_name(c, &r->place);
        take_entry(c, &r->before);
        break;
    case JOURNAL_RENAME:
        take_name(c, &r->place);
        take_name(c, &r->to);
        take_entry(c, &r->before);
        r->may_be_gone = take_bool(c);
        break;
    case JOURNAL_TYPE_COUNT:
        break;
    }
}

bool journal_get_begin(const uint8_t *data, uint32_t *ret_type, uint32_t *ret_len)
{
    struct cursor c;
    cursor_init(&c, data, JOURNAL_BEGIN_BYTES, 0);
    *ret_type = cursor_le32(&c);
    *ret_len = cursor_le32(&c);
    uint32_t sum = cursor_le32(&c);
    return (*ret_type == 0 && *ret_len == 0 && sum == 0) ||
           (sum == (uint32_t)hash_xxh3(data, 8) && *ret_len <= JOURNAL_PAYLOAD_MAX);
}

status_t journal_get(uint32_t type, const void *payload, size_t len, uint64_t off,
                     struct journal_record *ret_record, struct journal_place *guest_paths,
                     struct error *err)
{
    struct cursor c;
    if (type == 0 || type >= JOURNAL_TYPE_COUNT || len > JOURNAL_PAYLOAD_MAX) {
        return error_set(err, ST_CORRUPT, off, "an unknown record");
    }
    struct journal_record r = {.type = (enum journal_type)type};
    cursor_init(&c, payload, len, off);
    take_payload(&c, &r, guest_paths);
    if (!c.failed && cursor_left(&c) > 0) {
        cursor_fail(&c, "more bytes than expected");
    }
    if (c.failed) {
        return error_set(err, ST_CORRUPT, c.fail_off, "%s", c.reason);
    }
    *ret_record = r;
    return ST_OK;
}
