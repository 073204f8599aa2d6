#include "geds/remote/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"

enum { CREDENTIALS_BYTES_MAX = 64 << 10 };

void remote_options_default(struct remote_options *o)
{
    *o = (struct remote_options){.region = "us-east-1",
                                 .prefix = "",
                                 .part_bytes = 16 << 20,
                                 .parallel = 4,
                                 .idle_max = 8,
                                 .check_tags = true,
                                 .connect_ms = 10000,
                                 .stall_ms = 30000,
                                 .tries_max = 8,
                                 .backoff_ms = 100,
                                 .backoff_max_ms = 20000,
                                 .deadline_ms = 600000};
}

void remote_credentials_done(struct remote_credentials *c)
{
    explicit_bzero(c, sizeof *c);
}

/* Printable, without blanks: they stand in headers. */
static bool take(char *to, size_t size, const char *s, size_t len)
{
    if (len == 0 || len >= size)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] == 127)
            return false;
    }
    memcpy(to, s, len);
    to[len] = '\0';
    return true;
}

static bool take_line(struct remote_credentials *c, const char *s)
{
    size_t access = strcspn(s, " \t"), skip = access + strspn(s + access, " \t");
    const char *secret = s + skip;
    size_t secret_len = strcspn(secret, " \t");
    const char *token = secret + secret_len + strspn(secret + secret_len, " \t");
    size_t token_len = strcspn(token, " \t");
    return take(c->access_key, sizeof c->access_key, s, access) &&
           take(c->secret, sizeof c->secret, secret, secret_len) &&
           (token_len == 0 || take(c->token, sizeof c->token, token, token_len)) &&
           token[token_len + strspn(token + token_len, " \t")] == '\0';
}

static status_t from_environment(struct remote_credentials *c, struct error *err)
{
    const char *access = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");
    if (!access || !secret)
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
    if (!take(c->access_key, sizeof c->access_key, access, strlen(access)) ||
        !take(c->secret, sizeof c->secret, secret, strlen(secret)) ||
        (token && *token != '\0' && !take(c->token, sizeof c->token, token, strlen(token))))
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                         "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN is "
                         "empty, too long or has blanks");
    return ST_OK;
}

static status_t check_mode(const char *path, struct error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return error_set_errno(err, errno, "%s", path);
    if (info.st_mode & 077)
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s: others may use it (chmod 600 it)",
                         path);
    return ST_OK;
}

static status_t from_text(const char *path, char *text, struct remote_credentials *c,
                          struct error *err)
{
    for (char *s = text, *line; (line = strsep(&s, "\n"));) {
        size_t len = strlen(line);
        if (len > 0 && line[len - 1] == '\r')
            line[len - 1] = '\0';
        line += strspn(line, " \t");
        if (*line == '\0' || *line == '#')
            continue;
        if (take_line(c, line))
            return ST_OK;
        break;
    }
    return error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                     "%s: its first line is not ACCESS_KEY SECRET [TOKEN]", path);
}

status_t remote_credentials_load(const char *path, struct remote_credentials *ret_credentials,
                                 struct error *err)
{
    struct remote_credentials c = {0};
    struct buf text = {0};
    status_t st = path ? check_mode(path, err) : from_environment(&c, err);
    if (st == ST_OK && path) {
        st = file_read(path, CREDENTIALS_BYTES_MAX, &text, err);
        buf_u8(&text, 0);
        if (st == ST_OK && text.failed)
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
        if (st == ST_OK)
            st = from_text(path, (char *)text.data, &c, err);
    }
    if (st == ST_OK)
        *ret_credentials = c;
    remote_credentials_done(&c);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    buf_done(&text);
    return st;
}
