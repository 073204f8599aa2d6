#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "gedsfile/place.h"
#include "sys/clock.h"
#include "sys/thread.h"

enum { PUMP_BYTES = 1 << 20, PART_BYTES = 32, WAIT_SECONDS = 2 };

struct object_output {
    struct geds_place place;
    char text[GEDS_BUCKET_MAX + GEDS_KEY_MAX + 16];
    char part[PART_BYTES]; /* the key until the cell gives it the right one */
    struct geds *store;
    struct geds_writer *writer; /* NULL: sealed, or failed */
    bool sealed;
    int pipe;
    pthread_t thread;
    bool running;
    /* Of the thread, until it has ended. */
    struct geds_error err;
};

static status_t give(const struct object_output *o, struct error *err)
{
    return geds_error_take(o->text, &o->err, err);
}

/* When the store fails, the pipe is closed: so the cell's writing fails, and it runs on. */
static void *pump(void *arg)
{
    struct object_output *o = arg;
    uint8_t *piece = malloc(PUMP_BYTES);
    ssize_t n = piece != NULL ? 1 : 0;
    if (piece == NULL) {
        o->err = (struct geds_error){.code = GEDS_NOMEM, .text = "out of memory"};
    }
    while (n != 0 && o->err.code == GEDS_OK) {
        n = read(o->pipe, piece, PUMP_BYTES);
        if (n > 0) {
            o->err.code = geds_write(o->writer, piece, (size_t)n, &o->err);
        } else if (n < 0 && errno != EINTR) {
            o->err = (struct geds_error){.code = GEDS_IO, .text = "pipe"};
        }
    }
    close(o->pipe);
    o->pipe = -1;
    free(piece);
    return NULL;
}

static status_t parse(struct object_output *o, const char *place, struct error *err)
{
    status_t code = geds_place_parse(place, &o->place, err);
    size_t len = strlen(o->place.key);
    snprintf(o->text, sizeof o->text, "%s", place);
    if (code == ST_OK &&
        (len == 0 || o->place.key[len - 1] == '/' || strchr(o->place.key, '\n') != NULL)) {
        code = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%.200s: no name for an object", place);
    }
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = clock_realtime_ns();
    }
    snprintf(o->part, sizeof o->part, ".freeze.%012llx",
             (unsigned long long)(random & 0xffffffffffffULL));
    return code;
}

/* The store's side. */
static status_t begin(struct object_output *o, struct error *err)
{
    if (geds_connect(NULL, &o->store, &o->err) != GEDS_OK) {
        return geds_error_take("", &o->err, err);
    }
    struct geds_bucket status; /* asked before the cell stands still */
    enum geds_code code = geds_bucket_status(o->store, o->place.bucket, &status, &o->err);
    if (code == GEDS_OK) {
        code = geds_create(o->store, o->place.bucket, o->part, NULL, &o->writer, &o->err);
    }
    if (code == GEDS_NOTFOUND) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "no bucket '%s' (`cloudskin mb geds://%s` makes it)", o->place.bucket,
                         o->place.bucket);
    }
    return give(o, err);
}

status_t object_output_open(const char *place, struct object_output **ret_o, int *ret_fd,
                            struct error *err)
{
    int ends[2];
    struct object_output *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t code = parse(o, place, err);
    char line[CONTROL_LINE_MAX];
    code = code == ST_OK ? object_output_line(o, line, err) : code;
    code = code == ST_OK ? begin(o, err) : code;
    if (code == ST_OK && pipe2(ends, O_CLOEXEC) != 0) {
        code = error_set_errno(err, errno, "pipe");
    } else if (code == ST_OK) {
        o->pipe = ends[0];
        int errnum = thread_start(&o->thread, pump, o);
        o->running = errnum == 0;
        if (!o->running) {
            close(ends[0]);
            close(ends[1]);
            code = error_set_errno(err, errnum, "thread");
        }
    }
    if (code != ST_OK) {
        object_output_close(o);
        return code;
    }
    *ret_o = o;
    *ret_fd = ends[1];
    return ST_OK;
}

status_t object_output_end(struct object_output *o, struct error *err)
{
    if (o->running) {
        pthread_join(o->thread, NULL);
        o->running = false;
    }
    return give(o, err);
}

static void *seal(void *arg)
{
    struct object_output *o = arg;
    o->err.code = geds_seal(o->writer, NULL, NULL, &o->err);
    return NULL;
}

status_t object_output_seal(struct object_output *o, int control, struct error *err)
{
    int errnum = thread_start(&o->thread, seal, o);
    if (errnum != 0) {
        return error_set_errno(err, errnum, "thread");
    }
    int waits;
    do {
        uint64_t at = clock_realtime_ns() + (uint64_t)WAIT_SECONDS * 1000000000;
        struct timespec until = {(time_t)(at / 1000000000), (long)(at % 1000000000)};
        waits = pthread_timedjoin_np(o->thread, NULL, &until);
        if (waits != 0) {
            status_t told = control_send(control, "wait\n", -1, NULL);
            (void)told; /* a cell that is gone is found when it is to answer */
        }
    } while (waits != 0);
    o->writer = NULL;
    o->sealed = o->err.code == GEDS_OK;
    return give(o, err);
}

status_t object_output_line(const struct object_output *o, char ret_line[CONTROL_LINE_MAX],
                            struct error *err)
{
    const char *address = getenv("CLOUDSKIN_CONTROLLER");
    bool plain = address != NULL && address[0] != '\0' && strpbrk(address, " \n") == NULL;
    int len = snprintf(ret_line, CONTROL_LINE_MAX, "object %s %s %s %s\n", o->place.bucket, o->part,
                       plain ? address : "-", o->place.key);
    return len > 0 && len < CONTROL_LINE_MAX ? ST_OK
                                             : error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                                                         "%.80s...: the key is too long", o->text);
}

bool object_output_named(struct object_output *o)
{
    struct geds_info info;
    enum geds_code code = geds_stat(o->store, o->place.bucket, o->part, &info, NULL);
    return o->sealed && code == GEDS_NOTFOUND;
}

void object_output_close(struct object_output *o)
{
    if (o == NULL) {
        return;
    }
    if (o->running) {
        pthread_join(o->thread, NULL);
    }
    geds_abort(o->writer);
    if (o->sealed) {
        enum geds_code code = geds_delete(o->store, o->place.bucket, o->part, NULL, NULL);
        (void)code; /* not there: it has its name */
    }
    geds_disconnect(o->store);
    free(o);
}
