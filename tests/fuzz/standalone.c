/* Feeds files to a fuzz target where libFuzzer is not there: each argument is a file or a folder of
 * files. Fails when there was none. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { INPUT_BYTES_MAX = 64 << 20, PATH_BYTES = 4096 };

static int feed_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long len;

    if (!file) {
        perror(path);
        return -1;
    }
    if (fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0 || len > INPUT_BYTES_MAX) {
        fprintf(stderr, "%s: cannot be read as a whole\n", path);
        fclose(file);
        return -1;
    }
    rewind(file);
    /* Of the exact size, so that a sanitizer sees a read behind the end. */
    uint8_t *data = malloc(len > 0 ? (size_t)len : 1);
    size_t got = data ? fread(data, 1, (size_t)len, file) : 0;
    fclose(file);
    if (!data || got != (size_t)len) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return -1;
    }
    LLVMFuzzerTestOneInput(data, got);
    free(data);
    return 1;
}

/* The number of files fed, or -1. */
static int feed_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (!dir) {
        perror(path);
        return -1;
    }
    while (count >= 0 && (entry = readdir(dir))) {
        char file[PATH_BYTES];

        if (entry->d_name[0] == '.')
            continue;
        int len = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        if (len < 0 || (size_t)len >= sizeof(file) || feed_file(file) < 0)
            count = -1;
        else
            count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        int count;

        if (stat(argv[i], &st) != 0) {
            perror(argv[i]);
            return 1;
        }
        count = S_ISDIR(st.st_mode) ? feed_folder(argv[i]) : feed_file(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total == 0;
}
