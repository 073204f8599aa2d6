// Writes a line to standard output, which is the file out.txt; when there is a file go it renames that to out.old, or removes it
// with `removes`, writes another line and makes the file did. Writes a last line and ends with 3 when there is a file end.
// `late`: only the second and the last line, and the file keeps its name.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    int removes = strcmp(how, "removes") == 0, late = strcmp(how, "late") == 0, did = 0;
    if (!late)
        puts("first");
    fflush(stdout);
    for (long i = 0; i < 1000000 && access("end", F_OK) != 0; i++) {
        volatile double x = (double)i;
        for (int k = 0; k < 20000; k++)
            x = x * 1.0000001;
        if (did || access("go", F_OK) != 0)
            continue;
        if (!late && (removes ? unlink("out.txt") : rename("out.txt", "out.old")) != 0)
            return 2;
        puts("second");
        fflush(stdout);
        did = 1;
        close(open("did", O_CREAT | O_WRONLY, 0666));
    }
    puts("last");
    return 3;
}
