// Writes a line to standard output, which is the file out.txt; when there is a file go it renames that to out.old and writes
// another line, then makes the file did. Writes a last line and ends with 3 when there is a file end. Instead of the renaming:
// `removes` it; `over`: renames an empty file over it; `copies`: a copy of it, behind the second line, `copies-first`: before that;
// `late`: nothing, and there is no first line; `inplace`: opens it and writes over the first line, behind the second one;
// `inplace-renames`: does that and renames it; `inplace-links`: does that by a second name, which it makes; `cuts`: opens it and
// cuts it, and there is no second line; `folder`: makes the folder made.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int replace(int copies)
{
    char text[100];
    int from = open("out.txt", O_RDONLY), to = open("new", O_CREAT | O_WRONLY, 0666);
    ssize_t n = copies ? read(from, text, sizeof text) : 0;
    int good = n >= 0 && write(to, text, (size_t)n) == n && close(from) == 0 && close(to) == 0;
    return good && rename("new", "out.txt") == 0;
}

static int write_over(const char *path)
{
    int fd = open(path, O_RDWR);
    return pwrite(fd, "FIRST", 5, 0) == 5 && close(fd) == 0;
}

static int cut(void)
{
    int fd = open("out.txt", O_RDWR);
    return ftruncate(fd, 2) == 0 && close(fd) == 0;
}

static int change(const char *how)
{
    if (strcmp(how, "late") == 0)
        return 1;
    if (strcmp(how, "removes") == 0)
        return unlink("out.txt") == 0;
    if (strcmp(how, "inplace") == 0)
        return write_over("out.txt");
    if (strcmp(how, "inplace-renames") == 0)
        return write_over("out.txt") && rename("out.txt", "out.old") == 0;
    if (strcmp(how, "inplace-links") == 0)
        return link("out.txt", "out.link") == 0 && write_over("out.link");
    if (strcmp(how, "cuts") == 0)
        return cut();
    if (strcmp(how, "folder") == 0)
        return mkdir("made", 0777) == 0;
    if (strcmp(how, "over") == 0 || strncmp(how, "copies", 6) == 0)
        return replace(how[0] == 'c');
    return rename("out.txt", "out.old") == 0;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    int behind = strcmp(how, "copies") == 0 || strncmp(how, "inplace", 7) == 0, did = 0;
    if (strcmp(how, "late") != 0)
        puts("first");
    fflush(stdout);
    for (long i = 0; i < 1000000 && access("end", F_OK) != 0; i++) {
        volatile double x = (double)i;
        for (int k = 0; k < 20000; k++)
            x = x * 1.0000001;
        if (did || access("go", F_OK) != 0)
            continue;
        if (!behind && !change(how))
            return 2;
        if (strcmp(how, "cuts") != 0)
            puts("second");
        fflush(stdout);
        if (behind && !change(how))
            return 2;
        did = 1;
        close(open("did", O_CREAT | O_WRONLY, 0666));
    }
    puts("last");
    return 3;
}
