/* Numbers of fcntl that wasi-libc leaves out; Linux's. */
#define F_DUPFD 0
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_SETOWN 8
#define F_GETOWN 9
#define F_DUPFD_CLOEXEC 1030

#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

#define O_NDELAY O_NONBLOCK
#define O_LARGEFILE 0
#define FAPPEND O_APPEND
#define FNDELAY O_NONBLOCK
#define FNONBLOCK O_NONBLOCK
