/* Numbers the lines of its input as they come; with an argument it holds that many MiB of memory, and proves it at
 * the end. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t words = argc > 1 ? (size_t)atoi(argv[1]) * 131072 : 0;
    unsigned long long *memory = words > 0 ? malloc(words * sizeof *memory) : NULL;
    unsigned long long sum = 0;
    for (size_t i = 0; i < words; i++) {
        memory[i] = i * 0x9e3779b97f4a7c15ull;
    }
    char line[64];
    for (int n = 1; printf("%d\n", n), fflush(stdout), fgets(line, sizeof line, stdin); n++) {
    }
    for (size_t i = 0; i < words; i++) {
        sum += memory[i];
    }
    printf("%llx\n", sum);
    return 5;
}
