#ifndef CELL_WASI_PREVIEW1_H
#define CELL_WASI_PREVIEW1_H

#include <stdint.h>
#include <string.h>

/* Numbers and layouts of WASI preview 1 as guests see them. */

enum wasi_errno {
    WASI_OK = 0,
    WASI_2BIG,
    WASI_ACCES,
    WASI_ADDRINUSE,
    WASI_ADDRNOTAVAIL,
    WASI_AFNOSUPPORT,
    WASI_AGAIN,
    WASI_ALREADY,
    WASI_BADF,
    WASI_BADMSG,
    WASI_BUSY,
    WASI_CANCELED,
    WASI_CHILD,
    WASI_CONNABORTED,
    WASI_CONNREFUSED,
    WASI_CONNRESET,
    WASI_DEADLK,
    WASI_DESTADDRREQ,
    WASI_DOM,
    WASI_DQUOT,
    WASI_EXIST,
    WASI_FAULT,
    WASI_FBIG,
    WASI_HOSTUNREACH,
    WASI_IDRM,
    WASI_ILSEQ,
    WASI_INPROGRESS,
    WASI_INTR,
    WASI_INVAL,
    WASI_IO,
    WASI_ISCONN,
    WASI_ISDIR,
    WASI_LOOP,
    WASI_MFILE,
    WASI_MLINK,
    WASI_MSGSIZE,
    WASI_MULTIHOP,
    WASI_NAMETOOLONG,
    WASI_NETDOWN,
    WASI_NETRESET,
    WASI_NETUNREACH,
    WASI_NFILE,
    WASI_NOBUFS,
    WASI_NODEV,
    WASI_NOENT,
    WASI_NOEXEC,
    WASI_NOLCK,
    WASI_NOLINK,
    WASI_NOMEM,
    WASI_NOMSG,
    WASI_NOPROTOOPT,
    WASI_NOSPC,
    WASI_NOSYS,
    WASI_NOTCONN,
    WASI_NOTDIR,
    WASI_NOTEMPTY,
    WASI_NOTRECOVERABLE,
    WASI_NOTSOCK,
    WASI_NOTSUP,
    WASI_NOTTY,
    WASI_NXIO,
    WASI_OVERFLOW,
    WASI_OWNERDEAD,
    WASI_PERM,
    WASI_PIPE,
    WASI_PROTO,
    WASI_PROTONOSUPPORT,
    WASI_PROTOTYPE,
    WASI_RANGE,
    WASI_ROFS,
    WASI_SPIPE,
    WASI_SRCH,
    WASI_STALE,
    WASI_TIMEDOUT,
    WASI_TXTBSY,
    WASI_XDEV,
    WASI_NOTCAPABLE,
    WASI_ERRNO_COUNT
};

/* The WASI number of a host errno value; WASI_IO for what WASI has no word for, WASI_OK for 0. Any thread. */
enum wasi_errno wasi_errno_from_host(int errnum);

/* ---- rights ---- */

#define RIGHT_FD_DATASYNC UINT64_C(0x1)
#define RIGHT_FD_READ UINT64_C(0x2)
#define RIGHT_FD_SEEK UINT64_C(0x4)
#define RIGHT_FD_FDSTAT_SET_FLAGS UINT64_C(0x8)
#define RIGHT_FD_SYNC UINT64_C(0x10)
#define RIGHT_FD_TELL UINT64_C(0x20)
#define RIGHT_FD_WRITE UINT64_C(0x40)
#define RIGHT_FD_ADVISE UINT64_C(0x80)
#define RIGHT_FD_ALLOCATE UINT64_C(0x100)
#define RIGHT_PATH_CREATE_DIRECTORY UINT64_C(0x200)
#define RIGHT_PATH_CREATE_FILE UINT64_C(0x400)
#define RIGHT_PATH_LINK_SOURCE UINT64_C(0x800)
#define RIGHT_PATH_LINK_TARGET UINT64_C(0x1000)
#define RIGHT_PATH_OPEN UINT64_C(0x2000)
#define RIGHT_FD_READDIR UINT64_C(0x4000)
#define RIGHT_PATH_READLINK UINT64_C(0x8000)
#define RIGHT_PATH_RENAME_SOURCE UINT64_C(0x10000)
#define RIGHT_PATH_RENAME_TARGET UINT64_C(0x20000)
#define RIGHT_PATH_FILESTAT_GET UINT64_C(0x40000)
#define RIGHT_PATH_FILESTAT_SET_SIZE UINT64_C(0x80000)
#define RIGHT_PATH_FILESTAT_SET_TIMES UINT64_C(0x100000)
#define RIGHT_FD_FILESTAT_GET UINT64_C(0x200000)
#define RIGHT_FD_FILESTAT_SET_SIZE UINT64_C(0x400000)
#define RIGHT_FD_FILESTAT_SET_TIMES UINT64_C(0x800000)
#define RIGHT_PATH_SYMLINK UINT64_C(0x1000000)
#define RIGHT_PATH_REMOVE_DIRECTORY UINT64_C(0x2000000)
#define RIGHT_PATH_UNLINK_FILE UINT64_C(0x4000000)
#define RIGHT_POLL_FD_READWRITE UINT64_C(0x8000000)
#define RIGHT_SOCK_SHUTDOWN UINT64_C(0x10000000)
#define RIGHT_SOCK_ACCEPT UINT64_C(0x20000000)
#define RIGHTS_KNOWN UINT64_C(0x3fffffff)

/* Rights that exist for each type of file; a descriptor never has others. */
#define RIGHTS_REGULAR                                                                      \
    (RIGHT_FD_DATASYNC | RIGHT_FD_READ | RIGHT_FD_SEEK | RIGHT_FD_FDSTAT_SET_FLAGS |        \
     RIGHT_FD_SYNC | RIGHT_FD_TELL | RIGHT_FD_WRITE | RIGHT_FD_ADVISE | RIGHT_FD_ALLOCATE | \
     RIGHT_FD_FILESTAT_GET | RIGHT_FD_FILESTAT_SET_SIZE | RIGHT_FD_FILESTAT_SET_TIMES |     \
     RIGHT_POLL_FD_READWRITE)
#define RIGHTS_PATHS                                                                     \
    (RIGHT_PATH_CREATE_DIRECTORY | RIGHT_PATH_CREATE_FILE | RIGHT_PATH_LINK_SOURCE |     \
     RIGHT_PATH_LINK_TARGET | RIGHT_PATH_OPEN | RIGHT_FD_READDIR | RIGHT_PATH_READLINK | \
     RIGHT_PATH_RENAME_SOURCE | RIGHT_PATH_RENAME_TARGET | RIGHT_PATH_FILESTAT_GET |     \
     RIGHT_PATH_FILESTAT_SET_SIZE | RIGHT_PATH_FILESTAT_SET_TIMES | RIGHT_PATH_SYMLINK | \
     RIGHT_PATH_REMOVE_DIRECTORY | RIGHT_PATH_UNLINK_FILE)
#define RIGHTS_DIRECTORY                                                            \
    (RIGHTS_PATHS | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_SYNC | RIGHT_FD_DATASYNC | \
     RIGHT_FD_FILESTAT_GET | RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_POLL_FD_READWRITE)
/* What is opened beneath a directory keeps of these what its own type has. */
#define RIGHTS_DIRECTORY_INHERITING RIGHTS_KNOWN
/* A terminal has neither SEEK nor TELL: that is how guests tell it from other character devices. */
#define RIGHTS_STREAM                                                                \
    (RIGHT_FD_DATASYNC | RIGHT_FD_READ | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_SYNC | \
     RIGHT_FD_WRITE | RIGHT_FD_FILESTAT_GET | RIGHT_POLL_FD_READWRITE)
#define RIGHTS_SOCKET                                                                     \
    (RIGHT_FD_READ | RIGHT_FD_WRITE | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_FILESTAT_GET | \
     RIGHT_POLL_FD_READWRITE | RIGHT_SOCK_SHUTDOWN)
#define RIGHTS_LISTENER                                                            \
    (RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_FILESTAT_GET | RIGHT_POLL_FD_READWRITE | \
     RIGHT_SOCK_ACCEPT | RIGHT_FD_READ)

/* Asking for one of these when opening is asking to write the file's data. */
#define RIGHTS_WRITE_DATA (RIGHT_FD_WRITE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_SET_SIZE)
/* Whatever changes a file system; a read-only grant refuses them all. LINK_SOURCE is one of them because a
 * link made elsewhere would give a writable name to a read-only file. */
#define RIGHTS_CHANGE                                                                          \
    (RIGHT_FD_WRITE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_SET_SIZE |                         \
     RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_PATH_CREATE_DIRECTORY | RIGHT_PATH_CREATE_FILE |      \
     RIGHT_PATH_LINK_SOURCE | RIGHT_PATH_LINK_TARGET | RIGHT_PATH_RENAME_SOURCE |              \
     RIGHT_PATH_RENAME_TARGET | RIGHT_PATH_FILESTAT_SET_SIZE | RIGHT_PATH_FILESTAT_SET_TIMES | \
     RIGHT_PATH_SYMLINK | RIGHT_PATH_REMOVE_DIRECTORY | RIGHT_PATH_UNLINK_FILE)

/* ---- other enumerations ---- */

enum {
    FILETYPE_UNKNOWN = 0,
    FILETYPE_BLOCK_DEVICE,
    FILETYPE_CHARACTER_DEVICE,
    FILETYPE_DIRECTORY,
    FILETYPE_REGULAR_FILE,
    FILETYPE_SOCKET_DGRAM,
    FILETYPE_SOCKET_STREAM,
    FILETYPE_SYMBOLIC_LINK
};
enum {
    FDFLAG_APPEND = 1,
    FDFLAG_DSYNC = 2,
    FDFLAG_NONBLOCK = 4,
    FDFLAG_RSYNC = 8,
    FDFLAG_SYNC = 16,
    FDFLAGS_KNOWN = 31
};
enum { OFLAG_CREAT = 1, OFLAG_DIRECTORY = 2, OFLAG_EXCL = 4, OFLAG_TRUNC = 8, OFLAGS_KNOWN = 15 };
enum { LOOKUP_SYMLINK_FOLLOW = 1 };
enum { FST_ATIM = 1, FST_ATIM_NOW = 2, FST_MTIM = 4, FST_MTIM_NOW = 8, FSTFLAGS_KNOWN = 15 };
enum { WHENCE_SET = 0, WHENCE_CUR, WHENCE_END, WHENCE_COUNT };
enum { WASI_CLOCK_REALTIME = 0, WASI_CLOCK_MONOTONIC, WASI_CLOCK_PROCESS, WASI_CLOCK_THREAD };
enum { EVENT_CLOCK = 0, EVENT_FD_READ, EVENT_FD_WRITE };
enum { SUBCLOCK_ABSTIME = 1 };
enum { EVENTRW_HANGUP = 1 };
enum { RIFLAG_PEEK = 1, RIFLAG_WAITALL = 2, RIFLAGS_KNOWN = 3 };
enum { ROFLAG_TRUNCATED = 1 };
enum { SDFLAG_RD = 1, SDFLAG_WR = 2 };

/* Sizes of records in guest memory. */
enum {
    IOVEC_BYTES = 8,
    FDSTAT_BYTES = 24,
    FILESTAT_BYTES = 64,
    FILESTAT_UNSTABLE_BYTES = 56,
    PRESTAT_BYTES = 8,
    DIRENT_BYTES = 24,
    SUBSCRIPTION_BYTES = 48,
    SUBSCRIPTION_UNSTABLE_BYTES = 56,
    EVENT_BYTES = 32
};

/* ---- limits of this implementation ---- */

enum {
    WASI_PATH_BYTES_MAX = 4095, /* longer paths: NAMETOOLONG */
    WASI_NAME_BYTES_MAX = 255,
    WASI_IOVS_MAX = 1024,           /* more vectors in one call: INVAL */
    WASI_PIECE_BYTES_MAX = 1 << 20, /* most bytes moved between two looks for a request */
    WASI_SUBSCRIPTIONS_MAX = 4096,  /* of one poll_oneoff: INVAL */
    WASI_OPEN_FILES_DEFAULT = 1024,
    WASI_OPEN_FILES_MAX = 1 << 20,
    WASI_SYMLINKS_MAX = 40,    /* followed in one path: LOOP */
    WASI_WALK_STEPS_MAX = 8192 /* directories opened for one path by the walk: LOOP */
};

/* ---- little-endian fields at any address ---- */

static inline void put_le16(void *p, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    memcpy(p, b, sizeof(b));
}

static inline void put_le32(void *p, uint32_t v)
{
    put_le16(p, (uint16_t)v);
    put_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(void *p, uint64_t v)
{
    put_le32(p, (uint32_t)v);
    put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t get_le16(const void *p)
{
    uint8_t b[2];
    memcpy(b, p, sizeof(b));
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t get_le32(const void *p)
{
    return get_le16(p) | (uint32_t)get_le16((const uint8_t *)p + 2) << 16;
}

static inline uint64_t get_le64(const void *p)
{
    return get_le32(p) | (uint64_t)get_le32((const uint8_t *)p + 4) << 32;
}

#endif
