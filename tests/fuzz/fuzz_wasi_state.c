/* A WASI state from anywhere. The first byte is 0, or else files are taken as they are. It is restored in a folder of
 * a few files and a bucket of the same; what was accepted can be saved and restored again, and is then the same. It is
 * described as well: what can be restored can be described. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cell/wasi/describe.h"
#include "cell/wasi/wasi.h"
#include "cell_wasi/memory_bucket.h"
#include "fuzz.h"

/* In front of it are the clocks. */
enum { STRINGS_AT = 48 };

static const char *const files[] = {"a", "b", "sub/c"};
static struct memory_bucket *bucket;
static char folder[] = "/tmp/fuzz-wasi-state-XXXXXX";

static void remove_folder(void)
{
    int dir = open(folder, O_PATH);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlinkat(dir, files[i], 0);
    unlinkat(dir, "sub", AT_REMOVEDIR);
    close(dir);
    rmdir(folder);
    FUZZ_CHECK(memory_bucket_free(bucket) == 0);
}

static void make_folder(void)
{
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    int dir = open(folder, O_PATH);
    FUZZ_CHECK(mkdirat(dir, "sub", 0755) == 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        int fd = openat(dir, files[i], O_WRONLY | O_CREAT, 0644);
        FUZZ_CHECK(write(fd, "0123456789", 10) == 10);
        close(fd);
    }
    close(dir);
    bucket = memory_bucket_new("", "geds://memory/");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        memory_put(bucket, files[i], "0123456789", 10);
    atexit(remove_folder);
}

/* Restore data; NULL when it was refused. */
static struct wasi *restore(const void *data, size_t len, bool stale_files)
{
    const struct wasi_grant grants[] = {{folder, "/data", false, NULL},
                                        {"geds://memory", "/b", false, &bucket->face}};
    struct wasi_config config = {.grants = grants, .grant_count = 2, .stdio = {-1, -1, -1}};
    struct wasi *w = NULL;
    struct error err = {0};
    status_t st = wasi_restore(&config, data, len, stale_files, &w, &err);
    FUZZ_CHECK((st == ST_OK) == (w != NULL));
    FUZZ_CHECK(st == ST_OK || (err.code == st && err.text[0] != '\0'));
    FUZZ_CHECK(w == NULL || wasi_restore_outside(w, &err) == ST_OK);
    return w;
}

static void check_restored(struct wasi *w)
{
    struct buf first = {0}, second = {0};
    struct error err = {0};
    FUZZ_CHECK(wasi_save(w, &first, &err) == ST_OK);
    struct wasi *again = restore(first.data, first.len, false);
    FUZZ_CHECK(again != NULL && wasi_save(again, &second, &err) == ST_OK);
    FUZZ_CHECK(first.len == second.len);
    FUZZ_CHECK(memcmp(first.data + STRINGS_AT, second.data + STRINGS_AT, first.len - STRINGS_AT) ==
               0);
    wasi_free(again);
    buf_done(&first);
    buf_done(&second);
}

static bool describe(const void *data, size_t len)
{
    struct wasi_saved s = {0};
    struct error err = {0};
    size_t bytes = 0;
    status_t st = wasi_describe(data, len, &s, &err);
    FUZZ_CHECK(st == ST_OK || (err.code == st && err.text[0] != '\0'));
    for (uint32_t i = 0; i < s.arg_count; i++)
        bytes += strlen(s.args[i]);
    for (uint32_t i = 0; i < s.env_count; i++)
        bytes += strlen(s.env[i]);
    for (uint32_t i = 0; i < s.file_count; i++)
        bytes += s.files[i].origin == WASI_SAVED_PATH ? 0 : strlen(s.files[i].path);
    FUZZ_CHECK(bytes <= len);
    wasi_saved_done(&s);
    return st == ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool ready;
    if (!ready) {
        make_folder();
        ready = true;
    }
    struct wasi *w = len == 0 ? NULL : restore(data + 1, len - 1, data[0] != 0);
    bool described = len > 0 && describe(data + 1, len - 1);
    FUZZ_CHECK(w == NULL || described);
    if (w != NULL)
        check_restored(w);
    wasi_free(w);
    return 0;
}
