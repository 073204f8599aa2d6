#include "imagecache/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/process.h"

enum {
    REPORT_FD = 3,
    STAMP_MAX_BYTES = 4096,
    PROGRESS_AFTER_MS = 1000,
    PROGRESS_EVERY_MS = 200,
    RETRY_AFTER_S = 24 * 60 * 60,
    RETRY_AFTER_LIMIT_S = 60, /* space or memory was short: that may be over */
    FAILED_MAX_BYTES = 256,
    PARTS_MAX = 1000000,
    STAMP_DIR_MODE = 0700,
    STAMP_MODE = 0600,
    IMAGE_MODE = 0666,
    IMAGE_FD_FROM = 64,
};
#define CLEAR_LINE "\r\033[K"

/* ---- which compiler ---- */

/* What changes when the program file does; two lines of the stamp, the second is the version. */
static bool identity_of(const char *path, char *ret_text, size_t size)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return false;
    }
    snprintf(ret_text, size, "%llu %lld.%09ld %llu", (unsigned long long)st.st_size,
             (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (unsigned long long)st.st_ino);
    return true;
}

static bool stamp_path(const struct image_cache *c, const char *program, char ret_path[PATH_MAX])
{
    uint64_t hash = hash_xxh3(program, strlen(program));
    int len = snprintf(ret_path, PATH_MAX, "%s/compiler.%016llx", c->dir, (unsigned long long)hash);
    return len > 0 && len < PATH_MAX;
}

/* The version line of the stamp, when it was written for this very program file. */
static bool stamp_read(const char *stamp, const char *identity,
                       char ret_version[IMAGE_VERSION_BYTES])
{
    struct buf text = {0};
    bool found = false;
    if (file_read(stamp, STAMP_MAX_BYTES, &text, NULL) == ST_OK) {
        buf_u8(&text, '\0');
        size_t len = strlen(identity);
        const char *line = (const char *)text.data;
        if (!text.failed && strncmp(line, identity, len) == 0 && line[len] == '\n') {
            size_t version_len = strcspn(line + len + 1, "\n");
            found = version_len > 0 && version_len < IMAGE_VERSION_BYTES;
            if (found) {
                memcpy(ret_version, line + len + 1, version_len);
                ret_version[version_len] = '\0';
            }
        }
    }
    buf_done(&text);
    return found;
}

static void stamp_write(const struct image_cache *c, const char *stamp, const char *identity,
                        const char *version)
{
    struct buf text = {0};
    buf_printf(&text, "%s\n%s\n", identity, version);
    if (!text.failed && file_make_dirs(c->dir, STAMP_DIR_MODE, NULL) == ST_OK) {
        status_t code = file_write_atomic(stamp, text.data, text.len, STAMP_MODE, FILE_NO_SYNC,
                                          NULL);
        (void)code; /* it is asked for again next time */
    }
    buf_done(&text);
}

static status_t ask_version(const char *program, char ret_version[IMAGE_VERSION_BYTES],
                            struct error *err)
{
    char *argv[] = {(char *)"cloudskin-aot", (char *)"--version", NULL};
    struct process_options options = {.report_fd = STDOUT_FILENO};
    struct process p;
    status_t code = process_start(program, argv, &options, &p, err);
    if (code != ST_OK) {
        return code;
    }
    char text[IMAGE_VERSION_BYTES];
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len < sizeof text - 1; len += got > 0 ? (size_t)got : 0) {
        got = read(p.report, text + len, sizeof text - 1 - len);
    }
    text[len] = '\0';
    text[strcspn(text, "\n")] = '\0';
    int exit_code = 0;
    code = process_wait(&p, &exit_code, err);
    if (code == ST_OK && text[0] == '\0') {
        code = error_set(err, ST_IO, ERROR_NO_OFFSET, "%s --version: no answer (exit code %d)",
                         program, exit_code);
    }
    if (code == ST_OK) {
        memcpy(ret_version, text, sizeof text);
    }
    return code;
}

status_t compiler_find(const struct image_cache *c, struct compiler *ret_compiler,
                       struct error *err)
{
    struct compiler found;
    status_t code = process_find("cloudskin-aot", found.path, err);
    if (code != ST_OK) {
        return code;
    }
    char identity[96], stamp[PATH_MAX];
    bool known = identity_of(found.path, identity, sizeof identity) &&
                 stamp_path(c, found.path, stamp);
    if (!known || !stamp_read(stamp, identity, found.version)) {
        code = ask_version(found.path, found.version, err);
        if (code == ST_OK && known) {
            stamp_write(c, stamp, identity, found.version);
        }
    }
    if (code == ST_OK) {
        *ret_compiler = found;
    }
    return code;
}

/* ---- compile with progress ---- */

struct progress {
    const char *title;
    uint64_t start_ns;
    bool terminal;
    bool shown;
    unsigned done, total; /* parts; total 0: the compiler has not said */
    char line[64];        /* of the report, until its newline */
    size_t line_len;
};

static void progress_show(struct progress *p)
{
    uint64_t ms = (clock_monotonic_ns() - p->start_ns) / 1000000;
    if (p->title == NULL || ms < PROGRESS_AFTER_MS || (p->shown && !p->terminal)) {
        return;
    }
    if (p->terminal && p->total > 0) {
        fprintf(stderr, CLEAR_LINE "cloudskin: compiling %s: %u %% (%llu s)", p->title,
                100 * p->done / p->total, (unsigned long long)ms / 1000);
    } else if (p->terminal) {
        fprintf(stderr, CLEAR_LINE "cloudskin: compiling %s (%llu s)", p->title,
                (unsigned long long)ms / 1000);
    } else {
        fprintf(stderr, "cloudskin: compiling %s ...\n", p->title);
    }
    p->shown = true;
}

static void progress_end(const struct progress *p)
{
    if (p->shown && p->terminal) {
        fputs(CLEAR_LINE, stderr);
    }
}

/* One line of the report is "<parts done> <parts>". */
static void progress_line(struct progress *p)
{
    char *space = strchr(p->line, ' ');
    uint64_t done, total;
    if (space == NULL) {
        return;
    }
    *space = '\0';
    if (parse_u64(p->line, PARTS_MAX, &done) == ST_OK &&
        parse_u64(space + 1, PARTS_MAX, &total) == ST_OK && done <= total) {
        p->done = (unsigned)done;
        p->total = (unsigned)total;
    }
}

static void progress_bytes(struct progress *p, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            p->line[p->line_len] = '\0';
            progress_line(p);
            p->line_len = 0;
        } else if (p->line_len < sizeof p->line - 1) {
            p->line[p->line_len++] = bytes[i];
        }
    }
}

/* Until the compiler closes its end. */
static void progress_follow(struct progress *p, int report)
{
    for (;;) {
        struct pollfd ready = {.fd = report, .events = POLLIN};
        int count = poll(&ready, 1, PROGRESS_EVERY_MS);
        if (count > 0) {
            char bytes[256];
            ssize_t got = read(report, bytes, sizeof bytes);
            if (got == 0 || (got < 0 && errno != EINTR)) {
                return;
            }
            progress_bytes(p, bytes, got > 0 ? (size_t)got : 0);
        } else if (count < 0 && errno != EINTR) {
            return;
        }
        progress_show(p);
    }
}

status_t compiler_run(const struct compiler *compiler, const char *module_path,
                      const struct image_options *options, const char *out_path, const char *title,
                      struct error *err)
{
    char level[] = {'-', 'O', (char)('0' + options->opt_level), '\0'};
    const char *cpu = image_level_name(options->level);
    if (cpu == NULL) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "this CPU is below the lowest level, x86-64-v2");
    }
    const char *nan = options->nan == NAN_CANONICAL ? "canonical" : "native";
    const char *argv[] = {
        "cloudskin-aot",
        module_path,
        "-o",
        out_path,
        "--cpu",
        cpu,
        "--nan",
        nan,
        level,
        "--progress-fd",
        "3",
        "--name",
        title != NULL ? title : module_path,
        options->movable ? "--movable" : NULL,
        NULL,
    };
    struct process_options how = {.report_fd = REPORT_FD};
    struct progress progress = {
        .title = title, .start_ns = clock_monotonic_ns(), .terminal = isatty(STDERR_FILENO) == 1};
    struct process p;
    status_t code = process_start(compiler->path, (char *const *)(uintptr_t)argv, &how, &p, err);
    if (code != ST_OK) {
        return code;
    }
    progress_follow(&progress, p.report);
    progress_end(&progress);
    int exit_code = 0;
    code = process_wait(&p, &exit_code, err);
    if (code != ST_OK || exit_code == 0) {
        return code;
    }
    if (exit_code == EXIT_REFUSED) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET, "%s", ""); /* it has said why */
    }
    return error_set(err, exit_code == EXIT_SYSTEM ? ST_LIMIT : ST_IO, ERROR_NO_OFFSET,
                     "%s: the compiler failed with exit code %d",
                     title != NULL ? title : module_path, exit_code);
}

/* ---- into an anonymous file ---- */

/* One that the compiler inherits, above what it takes for itself. */
static status_t anonymous_file(struct compiled *ret_compiled, struct error *err)
{
    int low = memfd_create("image", MFD_CLOEXEC);
    int fd = low >= 0 ? fcntl(low, F_DUPFD, IMAGE_FD_FROM) : -1;
    if (low >= 0 && fd < 0 &&
        errno == EINVAL) { /* `ulimit -n` is not above that: whatever there is */
        fd = fcntl(low, F_DUPFD, STDERR_FILENO + 1);
    }
    int errnum = errno;
    if (low >= 0) {
        close(low);
    }
    if (fd < 0) {
        return error_set_errno(err, errnum, "anonymous file for an image");
    }
    ret_compiled->fd = fd;
    snprintf(ret_compiled->path, sizeof ret_compiled->path, "/proc/self/fd/%d", fd);
    return ST_OK;
}

void compiled_done(struct compiled *compiled)
{
    if (compiled->fd >= 0) {
        close(compiled->fd);
    }
    compiled->fd = -1;
}

status_t compile_anonymous(const struct compiler *compiler, const struct image_options *options,
                           const char *module_path, const char *title,
                           struct compiled *ret_compiled, struct error *err)
{
    struct compiled made = {.fd = -1, .begun = true};
    status_t code = anonymous_file(&made, err);
    code = code != ST_OK ? code
                         : compiler_run(compiler, module_path, options, made.path, title, err);
    if (code != ST_OK) {
        compiled_done(&made);
    }
    *ret_compiled = made;
    return code;
}

/* ---- into the cache ---- */

struct job {
    const struct image_cache *cache;
    const struct compiler *compiler;
    const struct image_key *key;
    const char *module_path;
    const char *title;
    struct compiled *compiled; /* NULL: straight into the cache */
};

/* For `cloudskin cache ls`. A module that a snapshot embeds has no place of its own. */
static void note_name(const struct job *job)
{
    char module[PATH_MAX], path[PATH_MAX];
    struct stat st;
    bool lasts = realpath(job->module_path, module) != NULL && stat(module, &st) == 0 &&
                 strncmp(module, "/proc/", 6) != 0;
    if (lasts && image_cache_path(job->cache, job->key, ".name", path, NULL) == ST_OK) {
        status_t code = file_write_atomic(path, module, strlen(module), STAMP_MODE, FILE_NO_SYNC,
                                          NULL);
        (void)code; /* the image does as well without */
    }
}

/* What is in an anonymous file into a file of the cache. */
static status_t copy_image(int image_fd, const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, IMAGE_MODE);
    bool good = fd >= 0 && lseek(image_fd, 0, SEEK_SET) == 0 && file_copy_rest(image_fd, fd) == 0;
    int errnum = errno;
    if (fd >= 0 && close(fd) != 0 && good) { /* some file systems say only now that they are full */
        good = false;
        errnum = errno;
    }
    return good ? ST_OK : error_set_errno(err, errnum, "%s", path);
}

static status_t make_image(void *arg, const char *part_path, struct error *err)
{
    const struct job *job = arg;
    status_t code;
    if (job->compiled != NULL) {
        code = compile_anonymous(job->compiler, &job->key->options, job->module_path, job->title,
                                 job->compiled, err);
        code = code == ST_OK ? copy_image(job->compiled->fd, part_path, err) : code;
    } else {
        code = compiler_run(job->compiler, job->module_path, &job->key->options, part_path,
                            job->title, err);
    }
    if (code == ST_OK) {
        note_name(job);
    }
    return code;
}

status_t compile_cached(const struct image_cache *c, const struct compiler *compiler,
                        const struct image_key *key, const char *module_path, bool wait,
                        const char *title, struct error *err)
{
    struct job job = {c, compiler, key, module_path, title, NULL};
    return image_cache_fill(c, key, wait, make_image, &job, err);
}

status_t compile_kept(const struct image_cache *c, const struct compiler *compiler,
                      const struct image_key *key, const char *module_path, const char *title,
                      struct compiled *ret_compiled, struct error *err)
{
    struct job job = {c, compiler, key, module_path, title, ret_compiled};
    return image_cache_fill(c, key, true, make_image, &job, err);
}

static bool is_recent(const char *failed)
{
    struct stat st;
    struct buf text = {0};
    if (stat(failed, &st) != 0) {
        return false;
    }
    const char *limit = status_name(ST_LIMIT);
    bool short_of = file_read(failed, FAILED_MAX_BYTES, &text, NULL) == ST_OK &&
                    text.len == strlen(limit) && memcmp(text.data, limit, text.len) == 0;
    buf_done(&text);
    return time(NULL) - st.st_mtim.tv_sec < (short_of ? RETRY_AFTER_LIMIT_S : RETRY_AFTER_S);
}

/* Is another process at it, or did the compiler fail not long ago? */
static bool is_pointless(const struct image_cache *c, const struct image_key *key)
{
    char path[PATH_MAX];
    int lock = -1;
    if (image_cache_path(c, key, ".failed", path, NULL) != ST_OK || is_recent(path)) {
        return true;
    }
    if (image_cache_path(c, key, ".lock", path, NULL) != ST_OK || access(path, F_OK) != 0) {
        return false;
    }
    if (file_lock(path, false, &lock, NULL) != ST_OK) {
        return true;
    }
    file_lock_release(lock, path);
    return false;
}

void compile_in_background(const struct image_cache *c, const struct image_key *key,
                           const char *module_path)
{
    char program[PATH_MAX];
    const char *cpu = image_level_name(key->options.level);
    if (cpu == NULL || is_pointless(c, key) ||
        process_sibling("../libexec/cloudskin/cache", program, NULL) != ST_OK) {
        return;
    }
    char level[] = {'-', 'O', (char)('0' + key->options.opt_level), '\0'};
    const char *argv[] = {
        "cloudskin cache",
        "add",
        "--quiet",
        "--no-wait",
        "--cpu",
        cpu,
        "--nan",
        key->options.nan == NAN_CANONICAL ? "canonical" : "native",
        level,
        module_path,
        key->options.movable ? "--movable" : NULL,
        NULL,
    };
    struct process_options how = {.background = true};
    struct process p;
    status_t code = process_start(program, (char *const *)(uintptr_t)argv, &how, &p, NULL);
    (void)code; /* without it the first image stays in use */
}
