#include "localstate/keys.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"

enum { FILE_BYTES_MAX = 64 << 10, ACCESS_CHARACTERS = 20, SECRET_CHARACTERS = 40 };

/* Letters and digits, so that keys need no quotes anywhere; 62 of 256 values, the rest is drawn again. */
static status_t draw(char *to, size_t count, const char *alphabet, struct error *err)
{
    size_t size = strlen(alphabet), at = 0;
    while (at < count) {
        uint8_t x;
        if (getrandom(&x, 1, 0) != 1)
            return error_set_errno(err, errno, "cannot draw a key");
        if (x < 256 / size * size)
            to[at++] = alphabet[x % size];
    }
    to[count] = '\0';
    return ST_OK;
}

static status_t make(const char *path, struct keys *k, struct error *err)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char line[2 * KEY_BYTES_MAX + 4];
    status_t st = draw(k->of[0].access, ACCESS_CHARACTERS, upper, err);
    if (st == ST_OK)
        st = draw(k->of[0].secret, SECRET_CHARACTERS, all, err);
    if (st != ST_OK)
        return st;
    k->count = 1;
    int len = snprintf(line, sizeof line, "%s %s\n", k->of[0].access, k->of[0].secret);
    return file_write_atomic(path, line, (size_t)len, 0600, FILE_SYNC, err);
}

/* The next word of a line; words are parted by one blank. */
static bool take_word(const char **at, const char *end, char *to)
{
    const char *blank = memchr(*at, ' ', (size_t)(end - *at));
    size_t len = (size_t)((blank ? blank : end) - *at);
    if (len == 0 || len > KEY_BYTES_MAX || memchr(*at, '\0', len))
        return false;
    memcpy(to, *at, len);
    to[len] = '\0';
    *at = blank ? blank + 1 : end;
    return true;
}

static bool take_line(struct keys *k, const char *line, size_t len)
{
    const char *at = line, *end = line + len;
    if (k->count == KEYS_MAX)
        return false;
    struct key *to = &k->of[k->count++];
    return take_word(&at, end, to->access) && take_word(&at, end, to->secret) &&
           (at == end || take_word(&at, end, to->user)) && at == end &&
           strcmp(to->user, KEYS_OWNER) != 0;
}

static status_t parse(const char *path, const struct buf *text, struct keys *k, struct error *err)
{
    const char *s = (const char *)text->data, *end = s + text->len;
    while (s < end) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t len = (size_t)((newline ? newline : end) - s);
        if (len > 0 && *s != '#' && !take_line(k, s, len))
            return error_set(
                err, ST_FORMAT, (uint64_t)(s - (const char *)text->data),
                "%s: a line is not ACCESS_KEY SECRET [USER], or the user is " KEYS_OWNER, path);
        s += len + 1;
    }
    if (k->count == 0)
        return error_set(err, ST_FORMAT, 0, "%s has no key", path);
    return ST_OK;
}

status_t keys_read(const char *state, struct keys *ret_keys, struct error *err)
{
    char path[PATH_MAX];
    struct stat info;
    struct buf text = {0};
    memset(ret_keys, 0, sizeof *ret_keys);
    if (snprintf(path, sizeof path, "%s/s3-keys", state) >= (int)sizeof path)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
    if (stat(path, &info) != 0)
        return error_set_errno(err, errno, "%s", path);
    if (info.st_mode & 077)
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s: others may use it (chmod 600 it)",
                         path);
    status_t st = file_read(path, FILE_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = parse(path, &text, ret_keys, err);
    buf_done(&text);
    return st;
}

status_t keys_load(const char *state, struct keys *ret_keys, bool *ret_made, struct error *err)
{
    char path[PATH_MAX];
    *ret_made = false;
    status_t st = keys_read(state, ret_keys, err);
    if (st != ST_NOTFOUND)
        return st;
    if (snprintf(path, sizeof path, "%s/s3-keys", state) >= (int)sizeof path)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
    *ret_made = true;
    return make(path, ret_keys, err);
}

void keys_unmake(const char *state)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/s3-keys", state) < (int)sizeof path)
        unlink(path);
}

void keys_print(const struct keys *k, FILE *out)
{
    fprintf(out,
            "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n"
            "export AWS_DEFAULT_REGION=us-east-1\n",
            k->of[0].access, k->of[0].secret);
}

const char *keys_secret(const struct keys *k, const char *access)
{
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(k->of[i].access, access) == 0)
            return k->of[i].secret;
    }
    return NULL;
}

const char *keys_user(const struct keys *k, const char *access)
{
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(k->of[i].access, access) == 0)
            return k->of[i].user[0] != '\0' ? k->of[i].user : NULL;
    }
    return NULL;
}
