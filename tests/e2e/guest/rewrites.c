// Writes 200,000 times A to standard output (20 with `quiet`), changes that in place when there is a file go - `tail` the last
// byte, `cut` all behind 70,000 - and makes the file did. Ends with 3 when there is a file end.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char text[200000];
    const char *how = argc > 1 ? argv[1] : "";
    size_t size = strcmp(how, "quiet") == 0 ? 20 : sizeof text;
    int did = 0;
    memset(text, 'A', sizeof text);
    if (write(1, text, size) != (ssize_t)size)
        return 2;
    for (long i = 0; i < 1000000 && access("end", F_OK) != 0; i++) {
        volatile double x = (double)i;
        for (int k = 0; k < 20000; k++)
            x = x * 1.0000001;
        if (did || access("go", F_OK) != 0)
            continue;
        if (strcmp(how, "tail") == 0 && pwrite(1, "B", 1, 199999) != 1)
            return 2;
        if (strcmp(how, "cut") == 0 && ftruncate(1, 70000) != 0)
            return 2;
        did = 1;
        close(open("did", O_CREAT | O_WRONLY, 0666));
    }
    return 3;
}
