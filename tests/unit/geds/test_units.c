/* Long objects are written a unit at a time, however their bytes come. */
#include "base/parse.h"
#include "geds/crypt.h"
#include "storetest.h"

enum {
    UNIT = 2 << 20,
    FROM = 1 << 20, /* as in stream.h: bytes that are written as they come */
    STREAMS = 64,
    LONG = 16 * UNIT
};
static uint8_t bytes[LONG + UNIT];

/* Calls of this process that wrote, so far. */
static uint64_t writes(void)
{
    char text[4096], *at;
    uint64_t count = 0;
    int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    at = strstr(text, "syscw: ");
    CHECK(at != NULL);
    if (at != NULL) {
        at += strlen("syscw: ");
        *strchr(at, '\n') = '\0';
        CHECK_EQ(parse_u64(at, UINT64_MAX, &count), ST_OK);
    }
    return count;
}

static struct store_put *begin_put(const char *key)
{
    struct store_put *p = NULL;
    MUST(store_put_begin(store, "box", key, NULL, &p, &err));
    return p;
}

static void write_in_pieces(struct store_put *p, size_t size, size_t piece)
{
    for (size_t off = 0; off < size; off += piece) {
        MUST(store_put_write(p, bytes + off, size - off < piece ? size - off : piece, &err));
    }
}

static void commit(struct store_put *p)
{
    struct store_info info;
    MUST(store_put_commit(p, NULL, &info, &err));
}

static void start(void)
{
    static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
    store_make(&no_sync);
    MUST(store_bucket_create(store, "box", "", &err));
}

static void any_pieces_of_any_size_make_the_object(void)
{
    static const size_t sizes[] = {FROM - 1,     FROM,         FROM + 1,       UNIT - 1,
                                   UNIT,         UNIT + 1,     UNIT + 70000,   2 * UNIT,
                                   2 * UNIT + 1, 3 * UNIT - 1, 3 * UNIT + 6543};
    static const size_t pieces[] = {999,  STORE_BLOCK_BYTES, STORE_BLOCK_BYTES + 1,
                                    FROM, FROM - 1,          UNIT,
                                    UNIT + 1, 3 * UNIT};
    char key_file[96];
    start();
    snprintf(key_file, sizeof key_file, "%s.key", scratch);
    const struct store_keys_options keys = {.path = key_file};
    MUST(store_set_keys(store, &keys, &err));
    for (unsigned encrypts = 0; encrypts < 2; encrypts++) {
        MUST(store_bucket_set_encrypt(store, "box", encrypts == 1, &err));
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
                struct store_put *p = begin_put("k");
                CHECK_EQ(store_put_is_encrypted(p), encrypts == 1);
                write_in_pieces(p, sizes[i], pieces[j]);
                commit(p);
                CHECK(holds("box", "k", bytes, sizes[i]));
            }
        }
    }
    check_sound();
    store_remove();
    unlink(key_file);
}

static void a_long_object_takes_few_writes(void)
{
    start();
    struct store_put *p = begin_put("k");
    uint64_t before = writes();
    write_in_pieces(p, LONG, 100000);
    CHECK(writes() - before <= FROM / 65536 + LONG / UNIT + 2);
    commit(p);
    CHECK(holds("box", "k", bytes, LONG));
    store_remove();
}

/* Memory for all: those beyond the bound write what comes. */
static void so_many_streams_gather_and_no_more(void)
{
    enum { SIZE = 3 * UNIT, PIECE = 100000 };
    static struct store_put *puts[STREAMS];
    start();
    for (unsigned i = 0; i < STREAMS; i++) {
        puts[i] = begin_put("k");
        write_in_pieces(puts[i], FROM + 2 * STORE_BLOCK_BYTES, PIECE);
    }
    struct store_put *p = begin_put("more");
    uint64_t before = writes();
    write_in_pieces(p, SIZE, PIECE);
    CHECK(writes() - before > SIZE / PIECE);
    commit(p);
    CHECK(holds("box", "more", bytes, SIZE));
    for (unsigned i = 0; i < STREAMS; i++) {
        store_put_abort(puts[i]);
    }
    p = begin_put("again");
    before = writes();
    write_in_pieces(p, SIZE, PIECE);
    CHECK(writes() - before <= FROM / 65536 + SIZE / UNIT + 2);
    commit(p);
    CHECK(holds("box", "again", bytes, SIZE));
    CHECK_EQ(files_in("new"), 0);
    store_remove();
}

int main(void)
{
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 65521);
    }
    RUN(any_pieces_of_any_size_make_the_object);
    RUN(a_long_object_takes_few_writes);
    RUN(so_many_streams_gather_and_no_more);
    return CHECK_DONE();
}
