#include "localstate/tokens.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/parse.h"
#include "sys/files.h"

enum { FILE_BYTES_MAX = 1 << 20, RANDOM_CHARACTERS = 43, WORDS_MAX = 5 + TOKEN_BUCKETS_MAX };

static const char prefix[] = "cst_";

bool token_role_is_good(const char *role)
{
    return strcmp(role, "read") == 0 || strcmp(role, "write") == 0 || strcmp(role, "admin") == 0 ||
           strcmp(role, "node") == 0;
}

static bool is_name(const char *s, size_t max)
{
    size_t len = strlen(s);
    if (len == 0 || len > max || !isalnum((unsigned char)s[0])) {
        return false;
    }
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s > 0x7e ||
            (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)) {
            return false;
        }
    }
    return true;
}

void token_hash(const char *text, uint8_t ret_hash[SHA256_BYTES])
{
    sha256_bytes(text, strlen(text), ret_hash);
}

const struct token *tokens_find(const struct tokens *t, const uint8_t hash[SHA256_BYTES])
{
    const struct token *found = NULL;
    for (size_t i = 0; i < t->count; i++) {
        unsigned differs = 0;
        for (size_t k = 0; k < SHA256_BYTES; k++) {
            differs |= (unsigned)(t->of[i].hash[k] ^ hash[k]);
        }
        found = differs == 0 ? &t->of[i] : found;
    }
    return found;
}

static status_t path_of(const char *state, const char *name, char ret_path[PATH_MAX],
                        struct error *err)
{
    return snprintf(ret_path, PATH_MAX, "%s/%s", state, name) < PATH_MAX
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
}

static bool parse_hash(const char *hex, uint8_t ret_hash[SHA256_BYTES])
{
    if (strlen(hex) != SHA256_HEX_BYTES - 1) {
        return false;
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        uint64_t value;
        if (parse_hex(pair, 255, &value) != ST_OK) {
            return false;
        }
        ret_hash[i] = (uint8_t)value;
    }
    return true;
}

static bool take_words(struct token *t, char *words[], size_t count)
{
    if (count < 5 || !is_name(words[0], TOKEN_NAME_MAX) || !token_role_is_good(words[1]) ||
        parse_u64(words[2], INT64_MAX, &t->created_s) != ST_OK ||
        parse_u64(words[3], INT64_MAX, &t->ends_s) != ST_OK || !parse_hash(words[4], t->hash)) {
        return false;
    }
    snprintf(t->name, sizeof t->name, "%s", words[0]);
    snprintf(t->role, sizeof t->role, "%s", words[1]);
    for (size_t i = 5; i < count; i++) {
        if (!is_name(words[i], TOKEN_BUCKET_MAX)) {
            return false;
        }
        snprintf(t->buckets[t->bucket_count++], TOKEN_BUCKET_MAX + 1, "%s", words[i]);
    }
    return true;
}

/* One blank between words; line is changed. */
static bool take_line(struct tokens *all, char *line)
{
    char *words[WORDS_MAX], *at = line;
    size_t count = 0;
    while (at != NULL) {
        if (count == WORDS_MAX) {
            return false;
        }
        words[count++] = strsep(&at, " ");
    }
    return all->count < TOKENS_MAX && take_words(&all->of[all->count++], words, count);
}

static status_t parse(const char *path, struct buf *text, struct tokens *all, struct error *err)
{
    buf_u8(text, '\0');
    if (text->failed) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (strlen((const char *)text->data) + 1 != text->len) {
        return error_set(err, ST_FORMAT, 0, "%s is no text", path);
    }
    char *at = (char *)text->data;
    for (size_t number = 1; at != NULL && *at != '\0'; number++) {
        char *line = strsep(&at, "\n");
        if (line[0] != '#' && line[0] != '\0' && !take_line(all, line)) {
            return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: line %zu is no token", path,
                             number);
        }
    }
    return ST_OK;
}

status_t tokens_read(const char *state, struct tokens *ret_tokens, struct error *err)
{
    char path[PATH_MAX];
    struct stat info;
    struct buf text = {0};
    memset(ret_tokens, 0, sizeof *ret_tokens);
    status_t st = path_of(state, "tokens", path, err);
    if (st != ST_OK) {
        return st;
    }
    if (stat(path, &info) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    if ((info.st_mode & 077) != 0) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s: others may use it (chmod 600 it)",
                         path);
    }
    st = file_read(path, FILE_BYTES_MAX, &text, err);
    if (st == ST_OK) {
        st = parse(path, &text, ret_tokens, err);
    }
    if (st != ST_OK) {
        ret_tokens->count = 0;
    }
    buf_done(&text);
    return st;
}

static status_t write_all(const char *state, const struct tokens *all, struct error *err)
{
    char path[PATH_MAX], hex[SHA256_HEX_BYTES];
    struct buf text = {0};
    buf_printf(&text,
               "# NAME ROLE CREATED ENDS SHA256 [BUCKET]...: `cloudskin token` changes it\n");
    for (size_t i = 0; i < all->count; i++) {
        const struct token *t = &all->of[i];
        sha256_hex(t->hash, hex);
        buf_printf(&text, "%s %s %llu %llu %s", t->name, t->role, (unsigned long long)t->created_s,
                   (unsigned long long)t->ends_s, hex);
        for (size_t k = 0; k < t->bucket_count; k++) {
            buf_printf(&text, " %s", t->buckets[k]);
        }
        buf_u8(&text, '\n');
    }
    status_t st = path_of(state, "tokens", path, err);
    if (st == ST_OK && text.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK) {
        st = file_write_atomic(path, text.data, text.len, 0600, FILE_SYNC, err);
    }
    buf_done(&text);
    return st;
}

/* Letters and digits: 62 of 256 values, the rest is drawn again. */
static status_t draw(char ret_text[TOKEN_TEXT_BYTES], struct error *err)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t at = sizeof prefix - 1;
    memcpy(ret_text, prefix, sizeof prefix);
    while (at < sizeof prefix - 1 + RANDOM_CHARACTERS) {
        uint8_t x;
        if (getrandom(&x, 1, 0) != 1) {
            return error_set_errno(err, errno, "cannot draw a token");
        }
        if (x < 256 / 62 * 62) {
            ret_text[at++] = all[x % 62];
        }
    }
    ret_text[at] = '\0';
    return ST_OK;
}

/* The folder and its lock, and what is there. */
static status_t begin(const char *state, struct tokens **ret_all, int *ret_lock,
                      char lock_path[PATH_MAX], struct error *err)
{
    status_t st = path_of(state, "tokens.lock", lock_path, err);
    if (st == ST_OK) {
        st = file_lock(lock_path, true, ret_lock, err);
    }
    if (st == ST_OK && (*ret_all = calloc(1, sizeof **ret_all)) == NULL) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    return st == ST_OK ? tokens_read(state, *ret_all, err) : st;
}

static void finish(struct tokens *all, int lock, const char *lock_path)
{
    if (lock >= 0) {
        file_lock_release(lock, lock_path);
    }
    free(all);
}

static status_t check(const struct token *what, struct error *err)
{
    if (!is_name(what->name, TOKEN_NAME_MAX)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "\"%.80s\": a name has 1 to %d letters, digits, `.`, `_`, `-`, and begins "
                         "with one of the first two",
                         what->name, TOKEN_NAME_MAX);
    }
    for (size_t i = 0; i < what->bucket_count; i++) {
        if (!is_name(what->buckets[i], TOKEN_BUCKET_MAX)) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"%s\" is not the name of a bucket",
                             what->buckets[i]);
        }
    }
    return token_role_is_good(what->role)
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"%s\" is not read, write or admin",
                           what->role);
}

static status_t add(struct tokens *all, const struct token *what, char ret_text[TOKEN_TEXT_BYTES],
                    struct error *err)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->of[i].name, what->name) == 0) {
            return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "there is a token \"%s\" already",
                             what->name);
        }
    }
    if (all->count == TOKENS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "there are %d tokens, which is the most",
                         TOKENS_MAX);
    }
    status_t st = draw(ret_text, err);
    if (st == ST_OK) {
        struct token *t = &all->of[all->count++];
        *t = *what;
        t->created_s = (uint64_t)time(NULL);
        token_hash(ret_text, t->hash);
    }
    return st;
}

status_t tokens_create(const char *state, const struct token *what, char ret_text[TOKEN_TEXT_BYTES],
                       struct error *err)
{
    char lock_path[PATH_MAX];
    struct tokens *all = NULL;
    int lock = -1;
    status_t st = check(what, err);
    if (st != ST_OK) {
        return st;
    }
    st = begin(state, &all, &lock, lock_path, err);
    if (st == ST_OK) {
        st = add(all, what, ret_text, err);
    }
    if (st == ST_OK) {
        st = write_all(state, all, err);
    }
    finish(all, lock, lock_path);
    return st;
}

status_t tokens_revoke(const char *state, const char *name, struct error *err)
{
    char lock_path[PATH_MAX];
    struct tokens *all = NULL;
    int lock = -1;
    status_t st = begin(state, &all, &lock, lock_path, err);
    if (st == ST_OK) {
        size_t at = 0;
        while (at < all->count && strcmp(all->of[at].name, name) != 0) {
            at++;
        }
        if (at == all->count) {
            st = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "there is no token \"%.80s\"", name);
        } else {
            all->count--;
            memmove(&all->of[at], &all->of[at + 1], (all->count - at) * sizeof all->of[0]);
            st = write_all(state, all, err);
        }
    }
    finish(all, lock, lock_path);
    return st;
}

status_t tokens_prepare(const char *state, struct error *err)
{
    char lock_path[PATH_MAX], path[PATH_MAX], text[TOKEN_TEXT_BYTES];
    const struct token admin = {.name = "admin", .role = "admin"};
    struct tokens *all = NULL;
    int lock = -1;
    status_t st = begin(state, &all, &lock, lock_path, err);
    if (st == ST_NOTFOUND) {
        st = path_of(state, "admin-token", path, err);
        if (st == ST_OK) {
            st = add(all, &admin, text, err);
        }
        if (st == ST_OK) { /* this one first: a token that is in neither of them is of no use */
            char line[TOKEN_TEXT_BYTES + 1];
            int len = snprintf(line, sizeof line, "%s\n", text);
            st = file_write_atomic(path, line, (size_t)len, 0600, FILE_SYNC, err);
        }
        if (st == ST_OK) {
            st = write_all(state, all, err);
        }
    }
    finish(all, lock, lock_path);
    return st;
}
