#ifndef CELL_RUN_FAULTFD_H
#define CELL_RUN_FAULTFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's userfaultfd, for user-mode faults only, which needs no privilege. */
enum run_faults_mode {
    RUN_FAULTS_PROTECT, /* writes to protected pages go on by themselves, and the page counts as written (Linux 6.7) */
    RUN_FAULTS_MISSING /* accesses to pages that are not there wait for run_faults_copy */
};
/* A descriptor, or -1 with errno set: the kernel has no such thing, or does not allow it. */
int run_faults_open(enum run_faults_mode mode);
/* Page-aligned. 0, or -1 with errno set. */
int run_faults_register(int fd, void *at, size_t len, enum run_faults_mode mode);
/* Put a page, or zeros when data is NULL, where none is, and wake who waits for it. 0, also when there is one;
 * -1 with errno set. */
int run_faults_fill(int fd, uint8_t *at, const uint8_t *data, size_t page_bytes);
/* Wait for an access to a page that is not there, or until end_fd is readable: false. ret_at: its address. */
bool run_faults_wait(int fd, int end_fd, uint8_t **ret_at);

#endif
