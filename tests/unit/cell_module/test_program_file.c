#include <string.h>

#include "cell/module/program_file.h"
#include "check.h"

static void modules_and_images_are_told_by_their_first_bytes(void)
{
    static const uint8_t image[] = {0x89, 'C', 'E', 'L', 'L', 0x0d, 0x0a, 0x1a, 1};
    CHECK_EQ(program_file_kind("\0asm\1\0\0\0", 8), PROGRAM_FILE_MODULE);
    CHECK_EQ(program_file_kind(image, sizeof image), PROGRAM_FILE_IMAGE);
    CHECK_EQ(program_file_kind(image, 7), PROGRAM_FILE_OTHER);
    CHECK_EQ(program_file_kind("\0as", 3), PROGRAM_FILE_OTHER);
    CHECK_EQ(program_file_kind(NULL, 0), PROGRAM_FILE_OTHER);
}

static void what_is_none_is_named(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"", 0, ", but empty"},
        {"int main(void)\n{\n}\n", 19, ", but text: cloudskin-cc"},
        {";; one\n (module)", 16, ", but the text of a module"},
        {";; no end", 9, ", but text: "},
        {"\x7f"
         "ELF\2\1\1\0",
         8, ", but a program of this machine"},
        {"\0snapcsk\2\0", 10, ", but a snapshot"},
        {"\x28\xb5\x2f\xfd\0", 5, ", but a snapshot"},
        {"!<arch>\n", 8, ", but a library"},
        {"\0as", 3, ", but the first few bytes of one"},
        {"\x89"
         "CEL",
         4, ", but the first few bytes of one"},
    };
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQ(program_file_refuse(cases[i].bytes, cases[i].len, &err), ST_FORMAT);
        CHECK(strncmp(err.text, "neither a WebAssembly module nor a cell image, but", 50) == 0);
        CHECK(strstr(err.text, cases[i].text) != NULL);
        CHECK(err.offset == ERROR_NO_OFFSET);
    }
    CHECK_EQ(program_file_refuse("\1\2\3", 3, &err), ST_FORMAT);
    CHECK_STR(err.text, "neither a WebAssembly module nor a cell image");
}

int main(void)
{
    RUN(modules_and_images_are_told_by_their_first_bytes);
    RUN(what_is_none_is_named);
    return CHECK_DONE();
}
