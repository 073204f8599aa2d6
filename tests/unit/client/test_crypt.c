/* Encrypted objects as clients see them: the same bytes, by copies instead of files; and their master keys. */
#include "served.h"

#include "geds/crypt.h"

enum { LARGE = 3000000, SMALL = 5000 };

static struct served served;
static struct geds *g;
static char key_file[160];

static void start(void)
{
    struct error inner = {0};
    served_names(&served);
    served_open(&served, serve_handler());
    snprintf(key_file, sizeof key_file, "%s/key", served.folder);
    const struct store_keys_options o = {.path = key_file};
    CHECK_EQ(store_set_keys(served.store, &o, &inner), ST_OK); /* nobody uses it yet */
    OK(geds_connect(served.address, &g, &err));
    OK(geds_bucket_create(g, "box", &err));
    OK(geds_bucket_set_encrypt(g, "box", true, &err));
}

static void stop(void)
{
    geds_disconnect(g);
    served_close(&served);
    served_remove(&served);
}

static void check_object(const char *key, const uint8_t *data, size_t len)
{
    struct geds_object *o = NULL;
    uint8_t *got = malloc(len);
    const void *mapped = NULL;
    size_t n = 0;
    OK(geds_open(g, "box", key, &o, &err));
    OK(geds_pread(o, got, len, 0, &n, &err));
    CHECK(n == len && memcmp(got, data, len) == 0);
    OK(geds_pread(o, got, 100, len / 2, &n, &err));
    CHECK(n == 100 && memcmp(got, data + len / 2, 100) == 0);
    OK(geds_map(o, &mapped, &n, &err));
    CHECK(n == len && memcmp(mapped, data, len) == 0);
    geds_unmap(mapped, n);
    geds_close(o);
    free(got);
}

/* Each open tells the client more: nothing, a lease, files if there are any. */
static void bytes_are_the_same_however_often_they_are_opened(void)
{
    uint8_t *data = pattern(LARGE, 1);
    start();
    OK(geds_put(g, "box", "large", NULL, NULL, data, LARGE, NULL, &err));
    OK(geds_put(g, "box", "small", NULL, NULL, data, SMALL, NULL, &err));
    for (int i = 0; i < 6; i++) {
        check_object("large", data, LARGE);
        check_object("small", data, SMALL);
    }
    free(data);
    stop();
}

static void the_rule_of_a_bucket_is_told(void)
{
    bool encrypt = false;
    start();
    OK(geds_bucket_encrypt(g, "box", &encrypt, &err));
    CHECK(encrypt);
    OK(geds_bucket_set_encrypt(g, "box", false, &err));
    OK(geds_bucket_encrypt(g, "box", &encrypt, &err));
    CHECK(!encrypt);
    CHECK_EQ(geds_bucket_encrypt(g, "none", &encrypt, &err), GEDS_NOTFOUND);
    CHECK_EQ(geds_bucket_set_encrypt(g, "none", true, &err), GEDS_NOTFOUND);
    stop();
}

static void keys_are_listed_rotated_and_dropped(void)
{
    struct geds_key *keys = NULL;
    struct geds_rotation r = {0};
    size_t count = 0;
    start();
    OK(geds_put(g, "box", "k", NULL, NULL, "12345", 5, NULL, &err));
    OK(geds_keys(g, &keys, &count, &err));
    CHECK_EQ(count, 1);
    CHECK(keys[0].is_there && keys[0].is_newest && keys[0].extents == 1);
    uint64_t first = keys[0].id;
    free(keys);
    CHECK_EQ(geds_key_drop(g, first, &err), GEDS_EXIST);
    OK(geds_keys_rotate(g, NULL, NULL, &r, &err));
    CHECK(r.id != first && r.rewrapped == 1 && r.missing == 0);
    OK(geds_key_drop(g, first, &err));
    CHECK_EQ(geds_key_drop(g, first, &err), GEDS_NOTFOUND);
    OK(geds_keys(g, &keys, &count, &err));
    CHECK(count == 1 && keys[0].id == r.id && keys[0].extents == 1);
    free(keys);
    stop();
}

int main(void)
{
    RUN(bytes_are_the_same_however_often_they_are_opened);
    RUN(the_rule_of_a_bucket_is_told);
    RUN(keys_are_listed_rotated_and_dropped);
    return CHECK_DONE();
}
