/* A web server for one request: serve FOLDER
 *
 * A cell cannot open sockets; it answers on the listening socket that `cloudskin run --listen` hands in. Without one
 * the program makes its own, which works only natively. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DESCRIPTORS = 16, REQUEST_MAX_BYTES = 4096, BODY_MAX_BYTES = 1 << 16 };

/* The socket that was handed in: the first one behind standard input, output and error. */
static int handed_in(void)
{
    struct stat about;
    for (int fd = 3; fd < DESCRIPTORS; fd++)
        if (!fstat(fd, &about) && S_ISSOCK(about.st_mode))
            return fd;
    return -1;
}

static int own_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1) ||
        getsockname(fd, (struct sockaddr *)&address, &length))
        return -1;
    fprintf(stderr, "serve: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    return fd;
}

static size_t read_request(int fd, char *request)
{
    size_t length = 0;
    while (length < REQUEST_MAX_BYTES - 1) {
        ssize_t n = recv(fd, request + length, REQUEST_MAX_BYTES - 1 - length, 0);
        if (n <= 0)
            break;
        length += (size_t)n;
        request[length] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    request[length] = '\0';
    return length;
}

static void send_all(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t n = send(fd, data, length, 0);
        if (n <= 0)
            return;
        data += n;
        length -= (size_t)n;
    }
}

static void answer(int fd, const char *folder, const char *path)
{
    static char body[BODY_MAX_BYTES];
    char name[512], head[256];
    size_t length;
    const char *status = "200 OK";
    snprintf(name, sizeof(name), "%s%s", folder, strcmp(path, "/") ? path : "/index.html");
    FILE *file = fopen(name, "rb"); /* the sandbox decides what is below the folder: no check for ".." here */
    if (file) {
        length = fread(body, 1, sizeof(body), file);
        fclose(file);
    } else {
        status = "404 Not Found";
        length = (size_t)snprintf(body, sizeof(body), "%s: %s\n", path, strerror(errno));
    }
    int head_length = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                               status, length);
    send_all(fd, head, (size_t)head_length);
    send_all(fd, body, length);
    printf("GET %s -> %s, %zu bytes\n", path, status, length);
}

int main(int argc, char **argv)
{
    static char request[REQUEST_MAX_BYTES];
    char path[256];
    int listener = handed_in();
    if (listener < 0)
        listener = own_socket();
    if (argc != 2 || listener < 0) {
        fprintf(stderr, "serve: no socket (%s)\n", strerror(errno));
        return 1;
    }
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) {
        perror("serve: accept");
        return 1;
    }
    if (read_request(fd, request) && sscanf(request, "GET %255s", path) == 1)
        answer(fd, argv[1], path);
    shutdown(fd, SHUT_RDWR);
    close(fd);
    return 0;
}
