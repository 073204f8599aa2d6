/* Serve the handed-in socket (descriptor 4, behind the one grant): answer each line of one connection in upper case
 * and end when it ends. */
#include <ctype.h>
#include <sys/socket.h>
#include <unistd.h>

#include "say.h"

int main(void)
{
    char text[256];
    int fd = accept(4, NULL, NULL);
    if (try_it("accept", fd) < 0) {
        return 1;
    }
    for (;;) {
        ssize_t n = recv(fd, text, sizeof(text), 0);
        if (n <= 0) {
            say("end", n);
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            text[i] = (char)toupper((unsigned char)text[i]);
        }
        if (send(fd, text, (size_t)n, 0) != n) {
            try_it("send", -1);
            return 1;
        }
    }
    say("shutdown", shutdown(fd, SHUT_RDWR));
    say("close", close(fd));
    return 0;
}
