/* Names of POSIX's sys/socket.h that WASI has no values for, so that programs compile; what they ask for is refused at
 * run time (libc/net.c). No socket raises SIGPIPE in a cell, so not to raise it is no option. */
#define SOMAXCONN 128
#define SOCK_RAW 3
#define SOCK_RDM 4
#define SOCK_SEQPACKET 7
#define PF_UNIX AF_UNIX
#define PF_LOCAL AF_UNIX
#define AF_LOCAL AF_UNIX

#define MSG_NOSIGNAL 0
#define MSG_CTRUNC 0x0008
#define MSG_OOB 0x0100
#define MSG_DONTROUTE 0x0200
#define MSG_DONTWAIT 0x0400
#define MSG_EOR 0x0800

#define SO_DEBUG 1
#define SO_REUSEADDR 2
#define SO_ERROR 4
#define SO_DONTROUTE 5
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_LINGER 13
#define SO_REUSEPORT 15
#define SO_RCVLOWAT 18
#define SO_SNDLOWAT 19
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39
#define SO_RCVTIMEO 66
#define SO_SNDTIMEO 67
