/* Names of POSIX's poll.h that no descriptor of a cell ever answers with. */
#define POLLPRI 0x4
#define POLLRDBAND 0x8
#define POLLWRBAND 0x10
