// Formatted input and output, seeking, memory streams.
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static void formats(void)
{
    printf("[%d|%5d|%-5d|%05d|%+d|%x|%#X|%o]\n", 42, 42, 42, 42, 42, 255, 255, 8);
    printf("[%lld|%zu|%jd|%hhd|%" PRIu64 "]\n", -1LL, (size_t)7, (intmax_t)-9, (char)300, UINT64_MAX);
    printf("[%f|%.3f|%10.2e|%g|%a|%G]\n", 3.25, 2.0 / 3, 12345.678, 1e-10, 1.0, 1e20);
    printf("[%s|%.2s|%10s|%-10s|%c|%%|%*d]\n", "text", "text", "right", "left", 'c', 6, 7);
    printf("[%Lf|%.20g|%f|%f]\n", 1.5L, 0.1, 1.0 / 0.0, 0.0 / 0.0 > 0 ? 1.0 : 0.0);
    wprintf(L"");
}

static void scans(void)
{
    int a, b, n;
    unsigned x;
    double d;
    char word[20], set[20];

    n = sscanf("12 -7 ff 2.5e3 hello abc123", "%d %d %x %lf %19s %19[a-c]", &a, &b, &x, &d, word, set);
    printf("%d: %d %d %u %g %s %s\n", n, a, b, x, d, word, set);
    n = sscanf("3,4", "%d,%d%n", &a, &b, (int *)&x);
    printf("%d: %d %d %u\n", n, a, b, x);
    printf("%d\n", sscanf("none", "%d", &a));
}

static void files(void)
{
    char line[100], *grown = NULL;
    size_t size = 0;
    FILE *f = fopen("stdio.tmp", "w+");
    long at;

    for (int i = 0; i < 1000; i++)
        fprintf(f, "line %d\n", i);
    at = ftell(f);
    fseek(f, 0, SEEK_SET);
    for (int i = 0; i < 3; i++)
        fputs(fgets(line, sizeof line, f), stdout);
    fseek(f, -9, SEEK_END);
    printf("%ld %s", at, fgets(line, sizeof line, f));
    printf("%d %d\n", fgetc(f), feof(f) != 0);
    rewind(f);
    printf("%zd %s", getline(&grown, &size, f), grown);
    ungetc('Z', f);
    printf("%c\n", getc(f));
    free(grown);
    fclose(f);
    f = fopen("stdio.tmp", "a");
    fputs("more\n", f);
    fclose(f);
    f = freopen("stdio.tmp", "r", stdin);
    while (scanf("%99s", line) == 1)
        ;
    printf("last %s\n", line);
    remove("stdio.tmp");
    printf("%d\n", fopen("stdio.tmp", "r") == NULL);
}

static void memory(void)
{
    char *text = NULL, buf[32];
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fprintf(f, "%s-%d", "mem", 5);
    fclose(f);
    printf("%s %zu\n", text, size);
    free(text);
    f = fmemopen(buf, sizeof buf, "w");
    fputs("fixed", f);
    fclose(f);
    puts(buf);
    asprintf(&text, "%08.3f", 3.14159);
    puts(text);
    free(text);
    f = tmpfile();
    fputs("temporary", f);
    rewind(f);
    puts(fgets(buf, sizeof buf, f));
    fclose(f);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 4096);
    formats();
    scans();
    files();
    memory();
    dprintf(1, "%s", "");
    return 0;
}
