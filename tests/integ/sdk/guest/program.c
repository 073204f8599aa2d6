// Arguments, environment, exit: options in any order, handlers last in first out, an exit code.
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void first(void)
{
    puts("first registered, last run");
}

static void second(void)
{
    puts("second registered");
}

static int use_stack(int n)
{
    volatile char room[1024];

    room[0] = (char)n;
    return n == 0 ? 0 : use_stack(n - 1) + room[0] * 0 + 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"name", required_argument, NULL, 'n'}, {"verbose", 0, NULL, 'v'}, {0}};
    int c;
    char *big;

    atexit(first);
    atexit(second);
    while ((c = getopt_long(argc, argv, "n:v", options, NULL)) != -1)
        printf("%c %s\n", c, optarg ? optarg : "-");
    for (int i = optind; i < argc; i++)
        printf("argument <%s>\n", argv[i]);
    setenv("SET", "value", 1);
    printf("%s %d\n", getenv("SET"), getenv("UNSET") == NULL);
    unsetenv("SET");
    printf("%d\n", getenv("SET") == NULL);
    printf("stack %d\n", use_stack(6000));
    big = malloc(200u << 20);
    memset(big, 7, 200u << 20);
    printf("heap %d\n", big[(200u << 20) - 1]);
    big = realloc(big, 300u << 20);
    printf("grown %d\n", big[(200u << 20) - 1]);
    free(big);
    big = aligned_alloc(4096, 8192);
    printf("aligned %d\n", (int)((size_t)big & 4095));
    free(big);
    return 7;
}
