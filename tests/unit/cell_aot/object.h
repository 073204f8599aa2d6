#ifndef TESTS_OBJECT_H
#define TESTS_OBJECT_H

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "link.h"

/* Objects and linked blobs of small C and assembly sources, made by the compiler that the project needs anyway. */
extern char **environ;

static bool object_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    bool ok = fputs(text, f) >= 0;
    return fclose(f) == 0 && ok;
}

static struct link_object object_read(const char *path)
{
    struct link_object o = {0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return o;
    fseek(f, 0, SEEK_END);
    long len = ftell(f);
    rewind(f);
    uint8_t *bytes = malloc((size_t)len + 1);
    if (bytes && fread(bytes, 1, (size_t)len, f) == (size_t)len)
        o = (struct link_object){bytes, (size_t)len};
    fclose(f);
    return o;
}

/* language: "c" or "assembler"; ends the program when the compiler fails. */
static struct link_object object_make(uint32_t arch, const char *language, const char *source)
{
    char dir[] = "/tmp/test-link-XXXXXX";
    char in[64], out[64];
    if (!mkdtemp(dir))
        abort();
    snprintf(in, sizeof in, "%s/in", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    const char *target = arch == ARCH_AARCH64 ? "--target=aarch64-linux-gnu"
                                              : "--target=x86_64-linux-gnu";
    const char *argv[] = {"clang-19",
                          target,
                          "-x",
                          language,
                          "-c",
                          "-O2",
                          "-g1",
                          "-fPIC",
                          "-fvisibility=hidden",
                          "-ffreestanding",
                          "-fasynchronous-unwind-tables",
                          "-fno-stack-protector",
                          "-Wno-unused-command-line-argument",
                          in,
                          "-o",
                          out,
                          NULL};
    pid_t pid = 0;
    int status = 1;
    if (!object_write(in, source) ||
        posix_spawnp(&pid, argv[0], NULL, NULL, (char **)(uintptr_t)argv, environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "clang-19 does not compile: %s\n", source);
        exit(1);
    }
    struct link_object o = object_read(out);
    unlink(in);
    unlink(out);
    rmdir(dir);
    if (!o.bytes)
        abort();
    return o;
}

static void object_free(struct link_object o)
{
    free((void *)(uintptr_t)o.bytes);
}

/* Link up to two sources of one language; second may be NULL. */
static status_t object_link(uint32_t arch, const char *language, const char *first,
                            const char *second, struct link_output *out, struct error *err)
{
    struct link_object objects[2] = {object_make(arch, language, first)};
    uint32_t count = 1;
    if (second)
        objects[count++] = object_make(arch, language, second);
    status_t st = link_objects(arch, objects, count, out, err);
    for (uint32_t i = 0; i < count; i++)
        object_free(objects[i]);
    return st;
}

static const struct link_symbol *object_symbol(const struct link_output *out, const char *name)
{
    for (uint32_t i = 0; i < out->symbol_count; i++) {
        if (strcmp(out->symbols[i].name, name) == 0)
            return &out->symbols[i];
    }
    fprintf(stderr, "no symbol %s\n", name);
    exit(1);
}

/* The blob as the runner maps it: text executable, constants not, at a 64 KiB boundary. */
struct object_map {
    uint8_t *reserved;
    size_t len;
    uint8_t *base;
};

static struct object_map object_map(const struct link_output *out)
{
    struct object_map m = {.len = out->code.len + 2 * 65536};
    m.reserved = mmap(NULL, m.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m.reserved == MAP_FAILED)
        abort();
    m.base = (uint8_t *)(((uintptr_t)m.reserved + 65535) & ~(uintptr_t)65535);
    memcpy(m.base, out->code.data, out->code.len);
    if (mprotect(m.base, out->const_off, PROT_READ | PROT_EXEC) != 0)
        abort();
    return m;
}

static void object_unmap(struct object_map m)
{
    munmap(m.reserved, m.len);
}

#endif
