#include "host.h"

#include <stdio.h>
#include <string.h>

#include "subject.h"

enum { LISTEN_SHOWN_MAX = 64 };

static void put_text(struct buf *out, const char *text)
{
    subject_put_name(out, (struct name){text, (uint32_t)strlen(text)});
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* As a shell would have it: in quotes, or with escapes where a control character is in it. */
static void put_word(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:=+,@%";
    bool escapes = false;
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        put_text(out, word);
        return;
    }
    for (const char *at = word; *at != '\0'; at++) {
        escapes |= is_control(*at);
    }
    buf_printf(out, escapes ? "$'" : "'");
    for (const char *at = word; *at != '\0';) {
        size_t n = 0;
        while (at[n] != '\0' && at[n] != '\'' && at[n] != '\\' && !is_control(at[n])) {
            n++;
        }
        subject_put_name(out, (struct name){at, (uint32_t)n});
        at += n;
        if (*at == '\'') {
            buf_printf(out, escapes ? "\\'" : "'\\''");
        } else if (*at == '\\') {
            buf_printf(out, escapes ? "\\\\" : "\\");
        } else if (*at != '\0') {
            buf_printf(out, "\\x%02x", (unsigned char)*at);
        }
        at += *at != '\0';
    }
    buf_u8(out, '\'');
}

static const char *standard_name(uint32_t index)
{
    static const char *const names[] = {"standard input", "standard output", "standard error"};
    return index < 3 ? names[index] : "";
}

static const char *kind_name(enum wasi_saved_kind kind)
{
    static const char *const names[] = {
        [WASI_SAVED_FILE] = "file",     [WASI_SAVED_FOLDER] = "folder",
        [WASI_SAVED_DEVICE] = "device", [WASI_SAVED_PIPE] = "pipe",
        [WASI_SAVED_SOCKET] = "socket", [WASI_SAVED_LISTENER] = "listener",
    };
    return names[kind];
}

static const char *origin_name(enum wasi_saved_origin origin)
{
    static const char *const names[] = {
        [WASI_SAVED_PATH] = "folder",
        [WASI_SAVED_STDIO] = "standard",
        [WASI_SAVED_LISTEN] = "listen",
        [WASI_SAVED_LOST] = "lost",
    };
    return names[origin];
}

/* Where the C library of the program begins; it may have gone elsewhere since. */
static const char *first_directory(const struct wasi_saved *w)
{
    for (uint32_t i = 0; i < w->env_count; i++) {
        if (strncmp(w->env[i], "PWD=", 4) == 0) {
            return w->env[i] + 4;
        }
    }
    return NULL;
}

static void put_file_state(const struct wasi_saved_file *f, struct buf *out)
{
    buf_printf(out, "%s",
               f->origin == WASI_SAVED_LOST ? "lost: was not found at an earlier thaw"
                                            : kind_name(f->kind));
    if (f->kind == WASI_SAVED_FOLDER && f->is_grant) {
        buf_printf(out, ", granted");
    }
    if (f->origin == WASI_SAVED_PATH && f->kind != WASI_SAVED_FOLDER && (f->reads || f->writes)) {
        buf_printf(out, " to %s%s%s", f->reads ? "read" : "", f->reads && f->writes ? " and " : "",
                   f->writes ? "write" : "");
    }
    if (f->kind == WASI_SAVED_FILE) {
        buf_printf(out, ", at byte %llu of %llu", (unsigned long long)f->offset,
                   (unsigned long long)f->size);
    }
    buf_printf(out, "%s%s%s\n", f->appends ? ", appends" : "",
               f->nonblocking ? ", does not block" : "", f->read_only ? ", read-only" : "");
}

static void put_file(const struct wasi_saved_file *f, struct buf *out)
{
    buf_printf(out, "  %4u  ", f->fd);
    if (f->origin == WASI_SAVED_STDIO) {
        buf_printf(out, "%s", standard_name(f->index));
    } else if (f->origin == WASI_SAVED_LISTEN) {
        buf_printf(out, "listening socket %u", f->index + 1);
    } else {
        put_word(out, f->path);
    }
    buf_printf(out, ": ");
    put_file_state(f, out);
}

void host_put_text(const struct wasi_saved *w, struct buf *out)
{
    const char *directory = first_directory(w);
    buf_printf(out, "  arguments  ");
    for (uint32_t i = 0; i < w->arg_count; i++) {
        buf_u8(out, ' ');
        put_word(out, w->args[i]);
    }
    buf_printf(out, "\n  environment");
    for (uint32_t i = 0; i < w->env_count; i++) {
        buf_u8(out, ' ');
        subject_put_name(out, (struct name){w->env[i], (uint32_t)strcspn(w->env[i], "=")});
    }
    buf_printf(out, "%s\n", w->env_count == 0 ? " none" : " (names only)");
    if (directory != NULL) {
        buf_printf(out, "  directory   ");
        put_word(out, directory);
        buf_printf(out, " when it began\n");
    }
    buf_printf(out, "  so far      %.3f s of CPU time", (double)w->cpu_ns / 1e9);
    if (w->output_bytes > 0) { /* counted with a limit only */
        buf_printf(out, ", %llu bytes of output", (unsigned long long)w->output_bytes);
    }
    buf_u8(out, '\n');
    for (uint32_t i = 0; i < w->grant_count; i++) {
        buf_printf(out, i == 0 ? "  folders     " : "              ");
        put_word(out, w->grants[i].guest_path);
        if (w->grants[i].place != NULL) {
            buf_printf(out, ", ");
            put_word(out, w->grants[i].place);
        }
        buf_printf(out, "%s\n", w->grants[i].read_only ? ", read-only" : "");
    }
    buf_printf(out, "open files (%u)\n", w->file_count);
    for (uint32_t i = 0; i < w->file_count; i++) {
        put_file(&w->files[i], out);
    }
}

static bool output_is_file(const struct wasi_saved *w)
{
    bool is_file = false;
    for (uint32_t i = 0; i < w->file_count; i++) {
        const struct wasi_saved_file *f = &w->files[i];
        is_file = is_file ||
                  (f->origin == WASI_SAVED_STDIO && f->index == 1 && f->kind == WASI_SAVED_FILE);
    }
    return is_file;
}

/* Without the '/' that ends its prefix, as it is given to --dir. */
static void put_place(struct buf *out, const char *place)
{
    char text[2048];
    snprintf(text, sizeof text, "%s", place);
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '/') {
        text[len - 1] = '\0';
    }
    put_word(out, text);
}

void host_put_thaw(const struct wasi_saved *w, const char *path, struct buf *out)
{
    buf_printf(out, "thaw it with\n  cloudskin thaw");
    for (uint32_t i = 0; i < w->grant_count; i++) {
        if (w->grants[i].needed) {
            buf_printf(out, " --dir ");
            if (w->grants[i].place != NULL) {
                put_place(out, w->grants[i].place);
            } else {
                buf_printf(out, "FOLDER");
            }
            buf_u8(out, ':');
            put_word(out, w->grants[i].guest_path);
            buf_printf(out, "%s", w->grants[i].read_only ? ":ro" : "");
        }
    }
    for (uint32_t i = 0; i < w->listen_needed && i < LISTEN_SHOWN_MAX; i++) {
        buf_printf(out, " --listen ADDRESS:PORT");
    }
    buf_printf(out, "%s ", output_is_file(w) ? " [--output FILE]" : "");
    put_word(out, path);
    buf_u8(out, '\n');
}

static void put_json_file(const struct wasi_saved_file *f, struct json *j)
{
    json_open(j, NULL, '{');
    json_u64(j, "fd", f->fd);
    json_text(j, "origin", origin_name(f->origin));
    json_text(j, "kind", kind_name(f->kind));
    if (f->origin == WASI_SAVED_STDIO || f->origin == WASI_SAVED_LISTEN) {
        json_u64(j, "index", f->index);
    } else {
        json_text(j, "path", f->path);
        json_bool(j, "granted", f->is_grant);
    }
    json_bool(j, "reads", f->reads);
    json_bool(j, "writes", f->writes);
    json_bool(j, "appends", f->appends);
    json_bool(j, "nonblocking", f->nonblocking);
    json_bool(j, "read_only", f->read_only);
    if (f->kind == WASI_SAVED_FILE) {
        json_u64(j, "offset", f->offset);
        json_u64(j, "bytes", f->size);
    }
    json_close(j, '}');
}

void host_put_json(const struct wasi_saved *w, struct json *j)
{
    const char *directory = first_directory(w);
    json_open(j, "arguments", '[');
    for (uint32_t i = 0; i < w->arg_count; i++) {
        json_text(j, NULL, w->args[i]);
    }
    json_close(j, ']');
    json_open(j, "environment", '[');
    for (uint32_t i = 0; i < w->env_count; i++) {
        json_string(j, NULL, w->env[i], strcspn(w->env[i], "="));
    }
    json_close(j, ']');
    if (directory != NULL) {
        json_text(j, "directory", directory);
    }
    json_u64(j, "cpu_ns", w->cpu_ns);
    json_u64(j, "output_bytes", w->output_bytes);
    json_open(j, "folders", '[');
    for (uint32_t i = 0; i < w->grant_count; i++) {
        json_open(j, NULL, '{');
        json_text(j, "path", w->grants[i].guest_path);
        if (w->grants[i].place != NULL) {
            json_text(j, "place", w->grants[i].place);
        }
        json_bool(j, "read_only", w->grants[i].read_only);
        json_bool(j, "needed", w->grants[i].needed);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_u64(j, "listening_sockets", w->listen_needed);
    json_open(j, "files", '[');
    for (uint32_t i = 0; i < w->file_count; i++) {
        put_json_file(&w->files[i], j);
    }
    json_close(j, ']');
}
