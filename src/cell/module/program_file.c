#include "cell/module/program_file.h"

#include <string.h>

#include "image_parts.h"

static bool begins(const void *data, size_t len, const void *magic, size_t magic_len)
{
    return len >= magic_len && memcmp(data, magic, magic_len) == 0;
}

enum program_file program_file_kind(const void *data, size_t len)
{
    if (begins(data, len, "\0asm", 4))
        return PROGRAM_FILE_MODULE;
    return begins(data, len, image_magic, IMAGE_MAGIC_BYTES) ? PROGRAM_FILE_IMAGE
                                                             : PROGRAM_FILE_OTHER;
}

static bool is_text(const uint8_t *data, size_t len)
{
    enum { LOOKED_AT = 512 };
    for (size_t i = 0; i < len && i < LOOKED_AT; i++) {
        if (data[i] < ' ' && data[i] != '\n' && data[i] != '\t' && data[i] != '\r')
            return false;
    }
    return true;
}

/* Behind blanks and comments of a line. */
static bool is_module_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ';' && i + 1 < len && text[i + 1] == ';') {
            const char *end = memchr(text + i, '\n', len - i);
            i = end ? (size_t)(end - text) : len;
        } else if (!strchr(" \t\r\n", text[i])) {
            return begins(text + i, len - i, "(module", 7);
        }
    }
    return false;
}

static const char *other(const void *data, size_t len)
{
    if (len == 0)
        return "but empty";
    if (begins(data, len, "\0snapcsk", 8) || begins(data, len, "\x28\xb5\x2f\xfd", 4))
        return "but a snapshot: `cloudskin thaw` goes on with it";
    if (begins(data, len,
               "\x7f"
               "ELF",
               4))
        return "but a program of this machine: compile its source with cloudskin-cc or -c++";
    if (begins(data, len, "!<arch>", 7))
        return "but a library of object files";
    if (begins("\0asm", 4, data, len) || begins(image_magic, IMAGE_MAGIC_BYTES, data, len))
        return "but the first few bytes of one";
    if (!is_text(data, len))
        return NULL;
    return is_module_text(data, len)
               ? "but the text of a module: make a .wasm of it (wat2wasm)"
               : "but text: cloudskin-cc and cloudskin-c++ compile C and C++ sources";
}

status_t program_file_refuse(const void *data, size_t len, struct error *err)
{
    const char *what = other(data, len);
    return error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                     "neither a WebAssembly module nor a cell image%s%s", what ? ", " : "",
                     what ? what : "");
}
