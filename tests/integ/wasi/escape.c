/* Try every way out of the grant. The folder above it holds "secret"; links were prepared by the script. Prints
 * each attempt that succeeded and exits with their count. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

static int escaped;

static void attempt(const char *what, const char *path, long result)
{
    if (result >= 0) {
        printf("%s %s succeeded\n", what, path);
        escaped++;
    }
}

/* Calls that look at a path or follow its last part. */
static void look(const char *p)
{
    struct stat st;
    attempt("open", p, open(p, O_RDONLY));
    attempt("open for writing", p, open(p, O_WRONLY));
    attempt("create", p, open(p, O_WRONLY | O_CREAT | O_TRUNC, 0666));
    attempt("stat", p, stat(p, &st));
    attempt("chdir", p, chdir(p));
    attempt("utimens", p, utimensat(AT_FDCWD, p, NULL, 0));
    attempt("link from", p, linkat(AT_FDCWD, p, AT_FDCWD, "stolen", AT_SYMLINK_FOLLOW));
}

/* Calls that act on a name; its folder lies outside. */
static void change(const char *p)
{
    char text[64];
    attempt("mkdir", p, mkdir(p, 0777));
    attempt("rmdir", p, rmdir(p));
    attempt("rename from", p, rename(p, "stolen"));
    attempt("rename to", p, rename("mine", p));
    attempt("link to", p, link("mine", p));
    attempt("symlink at", p, symlink("mine", p));
    attempt("unlink", p, unlink(p));
    attempt("readlink", p, readlink(p, text, sizeof(text)));
}

int main(int argc, char **argv)
{
    static const char *const outside[] = {
        "../secret",    "sub/../../secret", "/etc/passwd",      "/proc/self/root/etc/passwd",
        "up/secret",    "root/etc/passwd",  "//etc/passwd",     "/data/../../secret",
        "./../secret",  "/dev/kmsg",        "magic/etc/passwd", "sub/./.././../secret",
        "up/up/secret", "/data/up/secret",  "up/./secret",      "sub/up2/../secret",
    };
    static const char *const links[] = {"out",  "absolute", "sub/out", "up",
                                        "root", "magic",    "up/",     "root/"};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        look(outside[i]);
        change(outside[i]);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        look(links[i]);
    }
    if (argc == 1) { /* "/" is not granted */
        look("/secret");
        change("/secret");
        attempt("opendir", "/", opendir("/") == NULL ? -1 : 0);
    }
    (void)argv;
    attempt("opendir", "..", opendir("..") == NULL ? -1 : 0);
    attempt("opendir", "up", opendir("up") == NULL ? -1 : 0);
    attempt("absolute link", "/etc", symlink("/etc", "mine2"));
    int fd = open("sub", O_RDONLY | O_DIRECTORY);
    attempt("openat", "../../secret", openat(fd, "../../secret", O_RDONLY));
    attempt("openat", "../mine", openat(fd, "../mine", O_RDONLY));
    attempt("closed descriptor", "77", write(77, "x", 1));
    printf("%d ways out\n", escaped);
    return escaped;
}
