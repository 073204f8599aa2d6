/* Counts the words of all text files below a folder: words FOLDER [REPORT]
 *
 * Prints files, words, different words and the most frequent ones of five letters and more; with REPORT, writes
 * all words with their counts as CSV. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BUCKETS = 4096, WORD_MAX_CHARS = 64, PATH_MAX_CHARS = 1024, SHOWN = 8 };

struct word {
    struct word *next;
    unsigned long count;
    char text[];
};

static struct word *buckets[BUCKETS];
static unsigned long files, words, distinct;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void count_word(const char *text)
{
    unsigned hash = 2166136261u;
    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    struct word **bucket = &buckets[hash % BUCKETS], *word = *bucket;
    while (word && strcmp(word->text, text))
        word = word->next;
    if (!word) {
        word = malloc(sizeof(*word) + strlen(text) + 1);
        if (!word)
            fail("memory");
        strcpy(word->text, text);
        word->count = 0;
        word->next = *bucket;
        *bucket = word;
        distinct++;
    }
    word->count++;
    words++;
}

static void count_file(const char *path)
{
    char word[WORD_MAX_CHARS];
    size_t length = 0;
    int c;
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path);
    do {
        c = fgetc(file);
        if (c != EOF && isalpha(c)) {
            if (length < sizeof(word) - 1)
                word[length++] = (char)tolower(c);
        } else if (length) {
            word[length] = '\0';
            count_word(word);
            length = 0;
        }
    } while (c != EOF);
    fclose(file);
    files++;
}

static int is_text(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".md") || !strcmp(dot, ".txt"));
}

static void walk(const char *folder)
{
    char path[PATH_MAX_CHARS];
    struct dirent *entry;
    struct stat about;
    DIR *dir = opendir(folder);
    if (!dir)
        fail(folder);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (stat(path, &about))
            fail(path);
        if (S_ISDIR(about.st_mode))
            walk(path);
        else if (is_text(entry->d_name))
            count_file(path);
    }
    closedir(dir);
}

static int by_count(const void *a, const void *b)
{
    const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->text, y->text);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: words FOLDER [REPORT]\n");
        return 2;
    }
    walk(argv[1]);
    struct word **sorted = calloc(distinct + 1, sizeof(*sorted));
    if (!sorted)
        fail("memory");
    size_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct word *word = buckets[i]; word; word = word->next)
            sorted[count++] = word;
    qsort(sorted, count, sizeof(*sorted), by_count);
    printf("%lu files, %lu words, %lu different\n", files, words, distinct);
    for (size_t i = 0, shown = 0; i < count && shown < SHOWN; i++) {
        if (strlen(sorted[i]->text) >= 5) {
            printf("%6lu %s\n", sorted[i]->count, sorted[i]->text);
            shown++;
        }
    }
    if (argc > 2) {
        FILE *report = fopen(argv[2], "w");
        if (!report)
            fail(argv[2]);
        for (size_t i = 0; i < count; i++)
            fprintf(report, "%s,%lu\n", sorted[i]->text, sorted[i]->count);
        if (fclose(report))
            fail(argv[2]);
    }
    return 0;
}
