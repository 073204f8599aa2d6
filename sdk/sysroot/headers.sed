# wasi-libc leaves out what WASI has no call for. Here such a function is declared and fails at run time
# (ENOSYS, or what POSIX says), because a program that only mentions it must still compile.
s,^#ifdef __wasilibc_unmodified_upstream \(/[/*] WASI has no .*\)$,#if 1 \1,
s,^#ifdef __wasilibc_unmodified_upstream \(/[/*] WASI libc doesn't build .*\)$,#if 1 \1,
s,^#ifdef __wasilibc_unmodified_upstream \(/[/*] WASI has no sigaction.*\)$,#if 1 \1,
s,^#if (defined __wasilibc_unmodified_upstream) || (defined __wasilibc_use_wasip2)$,#if 1,
s,^#if defined(__wasilibc_unmodified_upstream) || defined(_WASI_EMULATED_[A-Z_]*)$,#if 1,
s,^#if defined(__wasilibc_unmodified_upstream) || defined(_REENTRANT)$,#if 1,
s,^#if defined(__wasilibc_unmodified_upstream) || defined(_REENTRANT) || !defined(_WASI_STRICT_PTHREAD)$,#if 1,
s,^#ifndef _WASI_EMULATED_[A-Z_]*$,#if 0,
s,^#ifdef _WASI_EMULATED_[A-Z_]*$,#if 1,
/int \*__h_errno_location(void);/{
N
s,.*,#endif\n&\n#if 0,
}
