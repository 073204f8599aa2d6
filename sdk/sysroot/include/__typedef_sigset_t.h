#ifndef CLOUDSKIN_TYPEDEF_SIGSET_T_H
#define CLOUDSKIN_TYPEDEF_SIGSET_T_H

typedef struct __sigset_t {
    unsigned long __bits[128 / sizeof(long)];
} sigset_t;

#endif
