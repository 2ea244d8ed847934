"""The system calls that a container may make: what Node and its init need, and nothing that reaches beyond the container.

An allowlist of our own, because an engine's built-in one depends on the engine's age: those before 2023 let a submission with machine
code in it (`process.dlopen`) open AF_VSOCK sockets, which no network namespace holds back, and io_uring. What is not named fails
with EPERM; System V IPC, keys, tracing, mounts and namespaces are among it. Names that a processor does not have are passed over.
"""

import errno
import json
import platform

FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir fchmod
fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fstat fstatfs fsync ftruncate futimesat getcwd getdents
getdents64 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr
lseek lstat memfd_create mkdir mkdirat mknod mknodat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile splice stat statfs statx symlink symlinkat
sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev
"""
MEMORY = """
brk madvise membarrier mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap pkey_alloc pkey_free
pkey_mprotect
"""
PROCESSES = """
arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list
getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid
getuid ioprio_get pidfd_open pidfd_send_signal prctl prlimit64 rseq sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit
setsid setuid sysinfo times uname vfork wait4 waitid
"""
SIGNALS = """
alarm kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill
"""
TIME = """
clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun
timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
SOCKETS = """
accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 getpeername
getsockname getsockopt listen poll ppoll pselect6 recvfrom recvmmsg recvmsg select sendmmsg sendmsg sendto setsockopt shutdown socketpair
"""
RANDOM = "getrandom"
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"""What `socket` may open. Netlink is how `os.networkInterfaces()` asks."""
NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW* flags that `clone` takes (clone(2))."""
NOT_THERE = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
"""Fail with ENOSYS, as on an old kernel, so that libraries fall back: clone3 hides its flags behind a pointer."""
ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
"""Only the machine's own: the 32-bit calls of the same kernel have other numbers and pass arguments behind pointers."""


def profile() -> str:
    """The profile as Docker's `seccomp=` takes it (JSON)."""
    names = " ".join((FILES, MEMORY, PROCESSES, SIGNALS, TIME, SOCKETS, RANDOM)).split()
    rules = [
        {"names": sorted(names), "action": "SCMP_ACT_ALLOW"},
        *(
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]}
            for family in FAMILIES.values()
        ),
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        },
    ]
    rules.append({"names": list(NOT_THERE), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS})
    own = ARCHITECTURES.get(platform.machine())
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", **({"architectures": [own]} if own else {}), "syscalls": rules})
