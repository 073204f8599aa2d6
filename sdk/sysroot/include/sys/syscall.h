/* There are no system call numbers; programs test for each one they want. */
#ifndef CLOUDSKIN_SYS_SYSCALL_H
#define CLOUDSKIN_SYS_SYSCALL_H
#endif
