/* Try to change a grant that is read-only. Prints the name of each error. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

int main(void)
{
    int fd = open("f", O_RDONLY);
    char text[8] = "";
    say("read", read(fd, text, 7));
    try_it("write", write(fd, "x", 1));
    try_it("futimens", futimens(fd, NULL));
    try_it("open to write", open("f", O_WRONLY));
    try_it("open to read and write", open("f", O_RDWR));
    try_it("open to append", open("f", O_WRONLY | O_APPEND));
    try_it("truncate by opening", open("f", O_RDONLY | O_TRUNC));
    try_it("create what exists", open("f", O_RDONLY | O_CREAT, 0666));
    try_it("create", open("n", O_RDONLY | O_CREAT, 0666));
    try_it("mkdir", mkdir("n", 0777));
    try_it("rmdir", rmdir("d"));
    try_it("unlink", unlink("f"));
    try_it("rename", rename("f", "n"));
    try_it("link", link("f", "n"));
    try_it("symlink", symlink("f", "n"));
    try_it("utimens", utimensat(AT_FDCWD, "f", NULL, 0));
    try_it("link into the writable grant", link("f", "/out/n"));
    try_it("write in the writable grant", open("/out/w", O_WRONLY | O_CREAT, 0666));
    return 0;
}
