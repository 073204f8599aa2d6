#ifndef CLOUDSKIN_SYS_RANDOM_H
#define CLOUDSKIN_SYS_RANDOM_H

#define __NEED_size_t
#define __NEED_ssize_t
#include <bits/alltypes.h>

#define GRND_NONBLOCK 1
#define GRND_RANDOM 2
#define GRND_INSECURE 4

#ifdef __cplusplus
extern "C" {
#endif

int getentropy(void *, size_t);
ssize_t getrandom(void *, size_t, unsigned);

#ifdef __cplusplus
}
#endif

#endif
