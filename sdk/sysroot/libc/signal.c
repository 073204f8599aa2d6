/* Signals inside the process: a signal is raised by the program itself, and its handler runs at once, or when the
 * signal is unblocked. Default actions end the cell: those that dump core natively trap (with a back-trace), the
 * others exit with 128 + the signal's number, which is what a shell would see. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct sigaction actions[_NSIG];
static _Thread_local sigset_t blocked, pending;

/* SIG_IGN and SIG_ERR are functions, since small integers are valid function pointers in WebAssembly. */
void __SIG_IGN(int sig)
{
    (void)sig;
}

void __SIG_ERR(int sig)
{
    (void)sig;
    __builtin_trap();
}

static int valid(int sig)
{
    if (sig > 0 && sig < _NSIG)
        return 1;
    errno = EINVAL;
    return 0;
}

static void act_by_default(int sig)
{
    switch (sig) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
        return;
    case SIGQUIT:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGSYS:
        __builtin_trap();
    default:
        _Exit(128 + sig);
    }
}

static void deliver_pending(void);
static void deliver(int sig)
{
    struct sigaction action = actions[sig];
    sigset_t saved = blocked;

    if (action.sa_handler == SIG_IGN)
        return;
    if (action.sa_handler == SIG_DFL) {
        act_by_default(sig);
        return;
    }
    if (action.sa_flags & (int)SA_RESETHAND)
        actions[sig].sa_handler = SIG_DFL;
    sigorset(&blocked, &blocked, &action.sa_mask);
    if (!(action.sa_flags & SA_NODEFER))
        sigaddset(&blocked, sig);
    if (action.sa_flags & SA_SIGINFO) {
        siginfo_t info = {.si_signo = sig, .si_code = SI_TKILL};

        info.si_pid = getpid();
        action.sa_sigaction(sig, &info, NULL);
    } else {
        action.sa_handler(sig);
    }
    blocked = saved;
    deliver_pending();
}

static void deliver_pending(void)
{
    for (int sig = 1; sig < _NSIG; sig++)
        if (sigismember(&pending, sig) && !sigismember(&blocked, sig)) {
            sigdelset(&pending, sig);
            deliver(sig);
        }
}

int raise(int sig)
{
    if (sig == 0)
        return 0;
    if (!valid(sig))
        return -1;
    if (sigismember(&blocked, sig) && sig != SIGKILL && sig != SIGSTOP)
        sigaddset(&pending, sig);
    else
        deliver(sig);
    return 0;
}

/* A handler may jump out of it; when it returns, or there is none, the cell traps. */
_Noreturn void abort(void)
{
    if (actions[SIGABRT].sa_handler != SIG_DFL && actions[SIGABRT].sa_handler != SIG_IGN)
        deliver(SIGABRT);
    __builtin_trap();
}

int kill(pid_t pid, int sig)
{
    if (pid == getpid() || pid == 0 || pid == -1)
        return raise(sig);
    errno = ESRCH;
    return -1;
}

int killpg(pid_t group, int sig)
{
    return kill(group == getpgrp() ? 0 : group, sig);
}

int sigqueue(pid_t pid, int sig, const union sigval value)
{
    (void)value;
    return kill(pid, sig);
}

int pthread_kill(pthread_t thread, int sig)
{
    if (sig < 0 || sig >= _NSIG)
        return EINVAL;
    if (thread != pthread_self())
        return sig == 0 ? 0 : ENOSYS;
    return raise(sig) == 0 ? 0 : errno;
}

int sigaction(int sig, const struct sigaction *restrict new, struct sigaction *restrict ret_old)
{
    if (!valid(sig))
        return -1;
    if (new &&(sig == SIGKILL || sig == SIGSTOP)) {
        errno = EINVAL;
        return -1;
    }
    if (ret_old)
        *ret_old = actions[sig];
    if (new)
        actions[sig] = *new;
    return 0;
}

void (*signal(int sig, void (*handler)(int)))(int)
{
    struct sigaction old, new = {.sa_handler = handler, .sa_flags = SA_RESTART};

    return sigaction(sig, &new, &old) == 0 ? old.sa_handler : SIG_ERR;
}

void (*bsd_signal(int sig, void (*handler)(int)))(int) __attribute__((alias("signal")));
void (*__sysv_signal(int sig, void (*handler)(int)))(int) __attribute__((alias("signal")));

int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict ret_old)
{
    sigset_t old = blocked;

    if (set) {
        switch (how) {
        case SIG_BLOCK:
            sigorset(&blocked, &blocked, set);
            break;
        case SIG_UNBLOCK:
            for (int sig = 1; sig < _NSIG; sig++)
                if (sigismember(set, sig))
                    sigdelset(&blocked, sig);
            break;
        case SIG_SETMASK:
            blocked = *set;
            break;
        default:
            return EINVAL;
        }
    }
    if (ret_old)
        *ret_old = old;
    deliver_pending();
    return 0;
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict ret_old)
{
    int error = pthread_sigmask(how, set, ret_old);

    if (error) {
        errno = error;
        return -1;
    }
    return 0;
}

/* As in setjmp.h, which only code that is compiled with exceptions can include. */
struct __jmp_buf_tag {
    unsigned long __jb[8];
    unsigned long __fl;
    unsigned long __ss[128 / sizeof(long)];
};
_Static_assert(sizeof(sigset_t) <= sizeof(((struct __jmp_buf_tag *)0)->__ss), "a mask fits in");

struct __jmp_buf_tag *__sigjmp_save(struct __jmp_buf_tag *buf, int save)
{
    buf->__fl = save != 0;
    if (save)
        memcpy(buf->__ss, &blocked, sizeof blocked);
    return buf;
}

struct __jmp_buf_tag *__sigjmp_restore(struct __jmp_buf_tag *buf)
{
    if (buf->__fl) {
        memcpy(&blocked, buf->__ss, sizeof blocked);
        deliver_pending();
    }
    return buf;
}

int sigpending(sigset_t *ret_set)
{
    *ret_set = pending;
    return 0;
}

int siginterrupt(int sig, int flag)
{
    if (!valid(sig))
        return -1;
    if (flag)
        actions[sig].sa_flags &= ~SA_RESTART;
    else
        actions[sig].sa_flags |= SA_RESTART;
    return 0;
}

int sigaltstack(const stack_t *restrict new, stack_t *restrict ret_old)
{
    (void)new;
    if (ret_old)
        *ret_old = (stack_t){.ss_flags = SS_DISABLE};
    return 0;
}

/* Nothing can arrive from outside: what waits for a signal that is not pending would wait for ever. */
int sigsuspend(const sigset_t *mask)
{
    (void)mask;
    errno = ENOSYS;
    return -1;
}

int pause(void)
{
    errno = ENOSYS;
    return -1;
}

int sigwait(const sigset_t *restrict set, int *restrict ret_sig)
{
    for (int sig = 1; sig < _NSIG; sig++)
        if (sigismember(set, sig) && sigismember(&pending, sig)) {
            sigdelset(&pending, sig);
            *ret_sig = sig;
            return 0;
        }
    return ENOSYS;
}

unsigned alarm(unsigned seconds)
{
    (void)seconds;
    return 0;
}

int setitimer(int which, const struct itimerval *restrict new, struct itimerval *restrict ret_old)
{
    (void)which;
    (void)new;
    (void)ret_old;
    errno = ENOSYS;
    return -1;
}

int getitimer(int which, struct itimerval *ret_value)
{
    (void)which;
    *ret_value = (struct itimerval){0};
    return 0;
}

int __libc_current_sigrtmin(void)
{
    return 35;
}

int __libc_current_sigrtmax(void)
{
    return _NSIG - 1;
}
