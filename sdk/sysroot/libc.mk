# Which files of the C library are compiled: sources of musl, with those of wasi-libc laid over them.
# What musl does with system calls (stdio's files, processes, signals, threads) is wasi-libc's or ours (libc/*.c).

m := $(SRC)/libc/musl/src
b := $(SRC)/libc/libc-bottom-half

musl_whole := complex conf crypt ctype locale math multibyte prng regex search stdio stdlib string

musl_picked := \
  misc/a64l misc/basename misc/dirname misc/dl misc/ffs misc/ffsl misc/ffsll misc/fmtmsg misc/getdomainname \
  misc/gethostid misc/getopt misc/getopt_long misc/getsubopt misc/nftw misc/realpath \
  malloc/reallocarray errno/strerror \
  network/htonl network/htons network/ntohl network/ntohs network/inet_ntop network/inet_pton \
  network/inet_aton network/inet_ntoa network/inet_addr network/in6addr_any network/in6addr_loopback \
  fenv/fenv fenv/fesetround fenv/feupdateenv fenv/fesetexceptflag fenv/fegetexceptflag fenv/feholdexcept \
  exit/exit exit/assert exit/quick_exit exit/at_quick_exit \
  time/strftime time/asctime time/asctime_r time/ctime time/ctime_r time/wcsftime time/strptime \
  time/difftime time/timegm time/ftime time/gmtime time/gmtime_r time/timespec_get time/getdate \
  time/localtime time/localtime_r time/mktime time/__tm_to_secs time/__month_to_secs \
  time/__secs_to_tm time/__year_to_secs time/__tz \
  fcntl/creat dirent/alphasort dirent/versionsort \
  env/__stack_chk_fail env/clearenv env/getenv env/putenv env/setenv env/unsetenv \
  unistd/posix_close stat/futimesat legacy/getpagesize legacy/err \
  temp/mkdtemp temp/mkostemp temp/mkostemps temp/mkstemp temp/mkstemps temp/mktemp \
  signal/sigaddset signal/sigandset signal/sigdelset signal/sigemptyset signal/sigfillset signal/sigisemptyset \
  signal/sighold signal/sigignore signal/sigrelse signal/sigset signal/sigismember signal/sigorset signal/psignal signal/psiginfo network/gai_strerror network/hstrerror \
  network/inet_legacy network/ether ipc/ftok unistd/ctermid legacy/futimes legacy/lutimes legacy/utmpx \
  termios/cfgetospeed termios/cfsetospeed termios/cfmakeraw \
  network/ent network/proto network/serv network/herror network/dn_comp network/dn_expand network/dn_skipname \
  network/ns_parse network/res_state \
  passwd/fgetgrent passwd/fgetpwent passwd/fgetspent passwd/getgrent_a passwd/getpwent_a passwd/putgrent \
  passwd/putpwent passwd/putspent passwd/lckpwdf legacy/getusershell legacy/getpass legacy/cuserid legacy/ulimit \
  legacy/isastream misc/mntent sched/sched_cpucount \
  internal/defsysinfo internal/floatscan internal/intscan internal/libc internal/shgetc

# Descriptions of processes that cannot be started can still be made.
musl_picked += $(patsubst $(m)/%.c,%,$(wildcard $(m)/process/posix_spawnattr_*.c \
  $(m)/process/posix_spawn_file_actions_*.c))

musl_threads_common := \
  default_attr pthread_attr_destroy pthread_attr_get pthread_attr_init pthread_attr_setdetachstate \
  pthread_attr_setguardsize pthread_attr_setschedparam pthread_attr_setstack pthread_attr_setstacksize \
  pthread_barrierattr_destroy pthread_barrierattr_init pthread_barrierattr_setpshared \
  pthread_cancel pthread_cleanup_push pthread_condattr_destroy pthread_condattr_init \
  pthread_condattr_setclock pthread_condattr_setpshared pthread_equal pthread_getspecific \
  pthread_key_create pthread_mutex_destroy pthread_mutex_init pthread_mutexattr_destroy \
  pthread_mutexattr_init pthread_mutexattr_setprotocol pthread_mutexattr_setpshared \
  pthread_mutexattr_setrobust pthread_mutexattr_settype pthread_rwlock_destroy pthread_rwlock_init \
  pthread_rwlockattr_destroy pthread_rwlockattr_init pthread_rwlockattr_setpshared \
  pthread_setcancelstate pthread_setcanceltype pthread_setspecific pthread_spin_destroy \
  pthread_spin_init pthread_spin_lock pthread_spin_trylock pthread_spin_unlock pthread_testcancel \
  pthread_attr_setinheritsched pthread_attr_setschedpolicy pthread_attr_setscope pthread_getconcurrency \
  pthread_setconcurrency pthread_mutex_setprioceiling \
  sem_destroy sem_getvalue sem_init sem_post sem_timedwait sem_trywait sem_wait \
  call_once cnd_broadcast cnd_destroy cnd_init cnd_signal cnd_timedwait cnd_wait \
  mtx_destroy mtx_init mtx_timedlock mtx_unlock \
  thrd_create thrd_join thrd_sleep tss_create tss_delete tss_set

# Real locks, for the variant with threads; the other one has stubs that know of one thread.
musl_threads_real := \
  __lock mtx_lock mtx_trylock pthread_barrier_destroy pthread_barrier_init pthread_barrier_wait \
  pthread_cond_broadcast pthread_cond_destroy pthread_cond_init pthread_cond_signal pthread_cond_timedwait \
  pthread_cond_wait pthread_mutex_consistent pthread_mutex_getprioceiling pthread_mutex_lock \
  pthread_mutex_timedlock pthread_mutex_trylock pthread_mutex_unlock pthread_once \
  pthread_rwlock_rdlock pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_tryrdlock \
  pthread_rwlock_trywrlock pthread_rwlock_unlock pthread_rwlock_wrlock
stubs_with_threads := pthread_create pthread_detach pthread_join pthread_getattr_np

dropped := \
  $(addprefix stdio/,rename tmpnam tmpfile tempnam popen pclose remove gets) \
  $(addprefix locale/,dcngettext textdomain bind_textdomain_codeset) \
  $(addprefix math/,__signbit __signbitf __signbitl __fpclassify __fpclassifyf __fpclassifyl ceilf ceil \
    floorf floor truncf trunc rintf rint nearbyintf nearbyint sqrtf sqrt fabsf fabs copysignf copysign) \
  $(addprefix complex/,crealf creal creall cimagf cimag cimagl) \
 $(addprefix string/,memcpy memmove memset memcmp strcmp strncmp strlen memchr strchrnul)

bottom_dropped := sources/chdir sources/getcwd sources/abort sources/accept-wasip1 cloudlibc/src/libc/fcntl/fcntl \
  cloudlibc/src/libc/poll/poll cloudlibc/src/libc/sys/select/pselect cloudlibc/src/libc/sys/stat/fstat
libc_files := \
  $(foreach d,$(musl_whole),$(sort $(wildcard $(m)/$(d)/*.c))) \
  $(musl_picked:%=$(m)/%.c) $(musl_threads_common:%=$(m)/thread/%.c) \
  $(sort $(shell find $(b)/cloudlibc/src $(b)/sources -name '*.c')) \
  $(wildcard $(SRC)/libc/libc-top-half/sources/*.c) \
  $(SRC)/libc/fts/musl-fts/fts.c \
  $(sort $(wildcard $(here)/libc/*.c))
ifneq ($(VARIANT),wasm32-wasi-threads)
dropped += $(addprefix stdio/,__lockfile flockfile ftrylockfile funlockfile)
libc_files += $(sort $(wildcard $(SRC)/libc/thread-stub/*.c))
else
libc_files += $(musl_threads_real:%=$(m)/thread/%.c) $(stubs_with_threads:%=$(SRC)/libc/thread-stub/%.c)
endif
libc_dropped := $(dropped:%=$(m)/%.c) $(bottom_dropped:%=$(b)/%.c)
