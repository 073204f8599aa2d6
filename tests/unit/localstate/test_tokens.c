#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "localstate/tokens.h"
#include "sys/files.h"

/* Tokens of a state folder. */

static struct error err;
static char folder[] = "/tmp/tokens-XXXXXX", path[64], admin_path[64];
static struct tokens all;

static void tokens_are_made_kept_found_and_revoked(void)
{
    char text[TOKEN_TEXT_BYTES] = "", other[TOKEN_TEXT_BYTES] = "";
    uint8_t hash[SHA256_BYTES];
    struct token what = {.name = "one", .role = "read", .ends_s = 77, .bucket_count = 2};
    struct stat info;
    CHECK_EQ(tokens_read(folder, &all, &err), ST_NOTFOUND);
    CHECK_EQ(tokens_prepare(folder, &err), ST_OK);
    CHECK_EQ(tokens_prepare(folder, &err), ST_OK);
    CHECK_EQ(stat(path, &info), 0);
    CHECK_EQ(info.st_mode & 0777, 0600);
    CHECK_EQ(stat(admin_path, &info), 0);
    CHECK_EQ(info.st_mode & 0777, 0600);
    snprintf(what.buckets[0], sizeof what.buckets[0], "scenes");
    snprintf(what.buckets[1], sizeof what.buckets[1], "maps.2");
    CHECK_EQ(tokens_create(folder, &what, text, &err), ST_OK);
    CHECK_EQ(strlen(text), TOKEN_TEXT_BYTES - 1);
    CHECK_EQ(tokens_create(folder, &what, other, &err), ST_EXIST);
    CHECK_STR(other, "");
    CHECK_EQ(tokens_read(folder, &all, &err), ST_OK);
    CHECK_EQ(all.count, 2);
    token_hash(text, hash);
    const struct token *t = tokens_find(&all, hash);
    CHECK(t != NULL);
    if (t != NULL) {
        CHECK_STR(t->name, "one");
        CHECK_STR(t->role, "read");
        CHECK_EQ(t->ends_s, 77);
        CHECK_EQ(t->bucket_count, 2);
        CHECK_STR(t->buckets[1], "maps.2");
    }
    hash[31] ^= 1;
    CHECK(tokens_find(&all, hash) == NULL);
    CHECK_EQ(tokens_revoke(folder, "two", &err), ST_NOTFOUND);
    CHECK_EQ(tokens_revoke(folder, "one", &err), ST_OK);
    CHECK_EQ(tokens_read(folder, &all, &err), ST_OK);
    CHECK_EQ(all.count, 1);
    CHECK_EQ(tokens_revoke(folder, "admin", &err), ST_OK);
    CHECK_EQ(tokens_prepare(folder, &err), ST_OK); /* it is not made again */
    CHECK_EQ(tokens_read(folder, &all, &err), ST_OK);
    CHECK_EQ(all.count, 0);
}

static void what_is_no_token_is_refused(void)
{
    char text[TOKEN_TEXT_BYTES] = "";
    static const struct token bad[] = {
        {.name = "", .role = "read"},
        {.name = "a b", .role = "read"},
        {.name = ".a", .role = "read"},
        {.name = "a", .role = "king"},
        {.name = "a", .role = "read", .bucket_count = 1},
        {.name = "a", .role = "read", .bucket_count = 1, .buckets = {"a/b"}}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(tokens_create(folder, &bad[i], text, &err), ST_INVAL);
        CHECK_STR(text, "");
    }
}

static void there_is_a_most(void)
{
    char text[TOKEN_TEXT_BYTES];
    struct token what = {.role = "write"};
    for (int i = 0; i < TOKENS_MAX; i++) {
        snprintf(what.name, sizeof what.name, "t%d", i);
        CHECK_EQ(tokens_create(folder, &what, text, &err), ST_OK);
    }
    snprintf(what.name, sizeof what.name, "more");
    CHECK_EQ(tokens_create(folder, &what, text, &err), ST_LIMIT);
    CHECK_EQ(tokens_read(folder, &all, &err), ST_OK);
    CHECK_EQ(all.count, TOKENS_MAX);
}

static status_t read_text(const char *text, size_t len)
{
    CHECK_EQ(file_write_atomic(path, text, len, 0600, FILE_NO_SYNC, &err), ST_OK);
    return tokens_read(folder, &all, &err);
}

#define HASH "6cedbedd6b69af9d31d548216d6f8c173465791d7dd9d44d11519b1e553ef8b7"

static void damaged_tables_are_refused(void)
{
    static const char good[] = "# a comment\n\na read 1 0 " HASH "\nb admin 1 2 " HASH " x y\n";
    CHECK_EQ(read_text(good, sizeof good - 1), ST_OK);
    CHECK_EQ(all.count, 2);
    CHECK_EQ(read_text(good, sizeof good - 2), ST_OK); /* without the last newline */
    CHECK_EQ(read_text("", 0), ST_OK);
    static const char *const bad[] = {"a\n",
                                      "a read 1 0 6ced\n",
                                      "a king 1 0 " HASH "\n",
                                      "a read x 0 " HASH "\n",
                                      "a read 1 -1 " HASH "\n",
                                      "a read 1  0 " HASH "\n",
                                      "a read 1 0 " HASH " \n",
                                      "a read 1 0 " HASH " a/b\n",
                                      " a read 1 0 " HASH "\n",
                                      "a read 1 0 " HASH "0\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(read_text(bad[i], strlen(bad[i])), ST_FORMAT);
        CHECK_EQ(all.count, 0);
    }
    CHECK_EQ(read_text("a\0b", 3), ST_FORMAT);
    for (size_t len = 0; len < sizeof good; len++) { /* cut anywhere: no more than whole lines */
        status_t st = read_text(good, len);
        CHECK(st == ST_OK || st == ST_FORMAT);
        CHECK(all.count <= 2);
    }
    CHECK_EQ(chmod(path, 0640), 0);
    CHECK_EQ(tokens_read(folder, &all, &err), ST_PERM);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/tokens", folder);
    snprintf(admin_path, sizeof admin_path, "%s/admin-token", folder);
    RUN(tokens_are_made_kept_found_and_revoked);
    RUN(what_is_no_token_is_refused);
    RUN(there_is_a_most);
    RUN(damaged_tables_are_refused);
    unlink(path);
    unlink(admin_path);
    CHECK_EQ(rmdir(folder), 0);
    return CHECK_DONE();
}
