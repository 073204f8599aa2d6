#!/bin/sh
# unpack.sh DOWNLOADS SOURCES: unpack the pinned downloads (names in pins) into one source tree:
#   libc/{musl,libc-bottom-half,libc-top-half,thread-stub,fts,dlmalloc,include}   libcxx  libcxxabi  libunwind
# musl/ is musl with the files of wasi-libc laid over it; include/ is what programs will see.
set -eu
downloads=$1 src=$2
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=pins
. "$here/pins"

rm -rf "$src"
mkdir -p "$src/libc/musl" "$src/old"

tar -xzf "$downloads/$musl_file" --strip-components=1 -C "$src/libc/musl"
tar -xJf "$downloads/$wasilibc_file" --strip-components=1 -C "$src/old"
python3 - "$downloads/$wheel_file" "$src/wheel" <<'PY'
import sys, zipfile
wheel, out = sys.argv[1:]
parts = ("ziglang/lib/libc/wasi/", "ziglang/lib/libc/include/wasm-wasi-musl/")
with zipfile.ZipFile(wheel) as z:
    z.extractall(out, [n for n in z.namelist() if n.startswith(parts)])
PY
wasi=$src/wheel/ziglang/lib/libc
l=$src/libc
cp -R "$l/musl/include" "$src/upstream"
cp -R "$wasi/wasi/libc-top-half/musl/." "$l/musl/"
cp -R "$wasi/wasi/libc-bottom-half" "$wasi/wasi/libc-top-half" "$wasi/wasi/thread-stub" "$wasi/wasi/fts" "$l/"
rm -rf "$l/libc-top-half/musl"
# From the older release: the allocator, and the few files that the newer package leaves to another language.
cp -R "$src/old/dlmalloc" "$l/"
for f in math/cosh.c math/coshf.c math/fmaf.c; do
    cp "$src/old/libc-top-half/musl/src/$f" "$l/musl/src/$f"
done

# Headers: musl's text, with wasi-libc's types below and ours on top. What the compiler brings itself must
# not be shadowed.
for f in dlfcn.h sched.h sys/resource.h sys/times.h sys/mman.h pthread.h; do
    cp "$src/upstream/$f" "$l/musl/include/$f"
done
find "$l/musl/include" "$l/musl/arch/wasm32" -name '*.h' -exec sed -i -f "$here/headers.sed" {} +
# Declared with other attributes in headers that C++ sees too.
sed -i -e '/^void \*memcpy\|^void \*memset\|^void \*calloc\|^void free/d' \
    -e 's/^#ifdef _GNU_SOURCE$/&\n#include <__functions_malloc.h>\n#include <__functions_memcpy.h>/' \
    "$l/musl/include/sched.h"
mkdir -p "$l/include/bits"
cp -R "$l/musl/arch/generic/bits/." "$l/include/bits/"
cp -R "$wasi/include/wasm-wasi-musl/." "$l/include/"
cp -R "$l/musl/arch/wasm32/bits/." "$l/include/bits/"
cp -R "$l/musl/include/." "$l/include/"
rm -f "$l/include/stddef.h" "$l/include/stdarg.h" "$l/include/alltypes.h.in"
# Paths always go through the current directory of the cell (libc/cwd.c).
sed -i 's/) __attribute__((__weak__));/);/' "$l/include/wasi/libc-find-relpath.h"
# POSIX wants constants that #if can read: no casts (gzip).
sed -i 's/^\(#define __WASI_[A-Z_]* \)((__wasi_\(fd\|fst\|lookup\|o\|ri\|ro\|sd\)flags_t)\((1 << [0-9]*)\))$/\1\3/' \
    "$l/include/wasi/api.h"
# The rest of POSIX's names, in headers of ours; asking a terminal for its size is refused.
sed -i 's/^#define POLLNVAL .*$/&\n#include <bits\/poll_names.h>/' "$l/include/__header_poll.h"
sed -i 's/^#define AF_UNIX .*$/&\n#include <bits\/socket_names.h>/' "$l/include/__header_sys_socket.h"
sed -i 's/^#define FIONBIO .*$/&\n#define TIOCGWINSZ 0x5413\n#define TIOCSWINSZ 0x5414\n#define __NEED_struct_winsize\n#include <bits\/alltypes.h>/' "$l/include/__header_sys_ioctl.h"
# glibc's names (libc/gnu.c).
sed -i 's/^char \*strchrnul(.*$/&\nvoid *rawmemchr(const void *, int);/' "$l/include/string.h"
sed -i 's/^int ptsname_r(.*$/&\nchar *canonicalize_file_name(const char *);/' "$l/include/stdlib.h"
sed -i 's/^char \*get_current_dir_name(void);$/&\n#define TEMP_FAILURE_RETRY(call) (__extension__({ long __result; do __result = (long)(call); while (__result == -1 \&\& errno == EINTR); __result; }))/' \
    "$l/include/unistd.h"
# A name of WASI's own among POSIX's: programs have their own one (gnulib).
sed -i 's/\bopendirat(/__wasilibc_opendirat(/' "$l/include/__header_dirent.h" "$l/libc-bottom-half/sources/at_fdcwd.c"
# Of libc/progname.c, which is linked where it is used.
sed -i '/__progname/d' "$l/musl/src/internal/libc.c"
# WASI tells no permissions; programs expect that what they may open has some.
sed -i -e 's/S_IFDIR;/S_IFDIR | 0755;/' -e 's/S_IFREG;/S_IFREG | 0644;/' -e 's/S_IFLNK;/S_IFLNK | 0777;/' \
    -e 's/S_IFCHR;/S_IFCHR | 0620;/' -e 's/S_IFSOCK;/S_IFSOCK | 0755;/' \
    "$l/libc-bottom-half/cloudlibc/src/libc/sys/stat/stat_impl.h"
# Programs divide by the one and tell by the other whether a file has holes.
sed -i 's/^      .st_size = in->size,$/&\n      .st_blksize = 4096,\n      .st_blocks = (in->size + 511) \/ 512,/' \
    "$l/libc-bottom-half/cloudlibc/src/libc/sys/stat/stat_impl.h"
# The program's descriptors may be others than the host's (libc/descriptors.h): each call translates them, and those that
# treat ours differently are the inner ones of libc/calls.c. Granted folders keep the host's numbers.
sed -i -e 's/^#include <string.h>$/&\n#include "descriptors.h"/' \
    -e 's/(int32_t) \(fd\|old_fd\|new_fd\|to\)\b/__host_fd(\1)/g' \
    -e 's/^__wasi_errno_t __wasi_\(fd_\(close\|datasync\|fdstat_get\|fdstat_set_flags\|filestat_get\|filestat_set_size\|pread\|pwrite\|read\|renumber\|seek\|sync\|tell\|write\)\|path_open\|poll_oneoff\|sock_[a-z]*\)($/__wasi_errno_t __host_\1(/' \
    "$l/libc-bottom-half/sources/__wasilibc_real.c"
sed -i -e 's/^#include <lock.h>$/&\n#include "descriptors.h"/' \
    -e 's/internal_register_preopened_fd_unlocked(fd, prefix)/internal_register_preopened_fd_unlocked(fd | DESCRIPTOR_HOST, prefix)/' \
    "$l/libc-bottom-half/sources/preopens.c"
# Paths below /dev that no grant has are those of libc/devices.c.
sed -i 's/^int \(stat\|lstat\|access\)(/int __granted_\1(/; s/^int __wasilibc_open_nomode(/int __granted_open(/' \
    "$l/libc-bottom-half/sources/posix.c"
# Programs open for reading with flags of 0, or with O_DIRECTORY or O_CLOEXEC alone, as O_RDONLY is 0 elsewhere.
sed -i 's/^  switch (oflag & O_ACCMODE) {$/  if ((oflag \& O_ACCMODE) == 0)\n    oflag |= O_RDONLY;\n&/' \
    "$l/libc-bottom-half/cloudlibc/src/libc/fcntl/openat.c"
# Time zones are rules in TZ, or files in a granted folder (libc/zone.c).
sed -i -e 's,^#ifdef __wasilibc_unmodified_upstream // timezone data$,#if 1,' -e 's/\bindex\b/indexes/g' \
    -e 's/^\(void __secs_to_zone(.*\)long \*offset/\1int *offset/' -e 's/!libc\.secure/1/' "$l/musl/src/time/__tz.c"
# A hexadecimal number is rounded as a long double first: too large for the type that is read, it is still finite.
sed -i 's/^\tif (!y) errno = ERANGE;$/&\n\tif (fabsl(y) >= scalbnl(1, -emin-bits+3-e2)) errno = ERANGE;/' \
    "$l/musl/src/internal/floatscan.c"
# The stubs test a recursive mutex for "type & (3 != RECURSIVE)", which takes every kind for another one.
sed -i 's/if (m->_m_type&3 != PTHREAD_MUTEX_RECURSIVE)/if ((m->_m_type\&3) != PTHREAD_MUTEX_RECURSIVE)/' \
    "$l/thread-stub/pthread_mutex_lock.c" "$l/thread-stub/pthread_mutex_trylock.c"
# Accepted and without effect here (libc/user.c), refused there.
sed -i -e 's/^int \(f\{0,1\}chmod\|fchmodat\)(/int __unused_\1(/' "$l/libc-bottom-half/sources/posix.c"

top=$(tar -tJf "$downloads/$llvm_file" 2>/dev/null | head -n 1 | cut -d/ -f1)
tar -xJf "$downloads/$llvm_file" --strip-components=1 -C "$src" \
    "$top/libcxx/include" "$top/libcxx/src" "$top/libcxx/vendor" "$top/libcxxabi/include" "$top/libcxxabi/src" \
    "$top/libunwind/include" "$top/libunwind/src" "$top/LICENSE.TXT"
# The same as in libc/atexit.c, for objects of a thread.
sed -i 's/^      head->dtor(head->obj);/      if (head->obj)\n'\
'        reinterpret_cast<void* (*)(void*)>(head->dtor)(head->obj);\n      else\n        head->dtor(nullptr);/' \
    "$src/libcxxabi/src/cxa_thread_atexit.cpp"
mkdir -p "$src/licenses"
cp "$wasi/wasi/LICENSE" "$src/licenses/wasi-libc"
cp "$src/LICENSE.TXT" "$src/licenses/llvm"
rm -rf "$src/old" "$src/wheel" "$src/upstream"
touch "$src/.unpacked"
