/* Writes a megabyte and a half at once, and says how much was taken. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char bytes[1500000];

int main(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i % 26);
    ssize_t n = write(1, bytes, sizeof bytes);
    fprintf(stderr, "wrote %zd\n", n);
    return n == (ssize_t)sizeof bytes ? 6 : 1;
}
