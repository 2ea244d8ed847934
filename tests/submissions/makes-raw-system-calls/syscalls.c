/* Asks the kernel, without Node in between, for what a learner's program must not have.
 * gcc -shared -fPIC -Os -nostdlib -fno-asynchronous-unwind-tables -fno-stack-protector -s -Wl,--build-id=none,-z,noseparate-code,--hash-style=gnu -o syscalls.node syscalls.c
 * Loaded by server.mjs with process.dlopen: the constructor runs, and the error that it is no addon comes after. */
static long call(long n, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = 0;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
static void say(const char *text) {
  long length = 0;
  while (text[length]) length++;
  call(1, 1, (long)text, length, 0, 0);
}
static long buffer[512];
static int caught = 0;
static void try(const char *name, long n, long a, long b, long c, long d, long e) {
  if (call(n, a, b, c, d, e) < 0) return;
  say(" ");
  say(name);
  caught++;
}
/* The same in a child, which may be ended for it: with flags of clone, or through the doors for other kinds of programs. */
static void try_in_child(const char *name, long flags, int door) {
  int status = 0;
  long pid = call(56, flags | 17, 0, 0, 0, 0);
  if (pid == 0) {
    long result = 0;
    if (door == 64) result = call(0x40000000 + 41, 40, 1, 0, 0, 0);
    if (door == 32) __asm__ volatile("int $0x80" : "=a"(result) : "a"(359L), "b"(40L), "c"(1L), "d"(0L) : "r8", "r9", "r10", "r11", "memory");
    call(231, result < 0 ? 0 : 7, 0, 0, 0, 0);
  }
  if (pid < 0) return;
  call(61, pid, (long)&status, 0, 0, 0);
  if (status != 7 << 8) return;
  say(" ");
  say(name);
  caught++;
}
__attribute__((constructor)) static void attack(void) {
  if (call(102, 0, 0, 0, 0, 0) == 0) { /* where it would do harm it does nothing */
    say("got through: runs as root\n");
    return;
  }
  say("got through:");
  try("setuid", 105, 0, 0, 0, 0, 0);
  try("setgid", 106, 0, 0, 0, 0, 0);
  try("setgroups", 116, 0, 0, 0, 0, 0);
  try("chroot", 161, (long)"/tmp", 0, 0, 0, 0);
  try("mount", 165, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0);
  try("umount", 166, (long)"/tmp", 2, 0, 0, 0);
  try("pivot_root", 155, (long)"/tmp", (long)"/tmp", 0, 0, 0);
  try("open_tree", 428, -100, (long)"/", 1, 0, 0);
  try("fsopen", 430, (long)"tmpfs", 0, 0, 0, 0);
  try("unshare-user", 272, 0x10000000, 0, 0, 0, 0);
  try("unshare-mount", 272, 0x00020000, 0, 0, 0, 0);
  try("unshare-net", 272, 0x40000000, 0, 0, 0, 0);
  try("setns", 308, call(2, (long)"/proc/1/ns/mnt", 0, 0, 0, 0), 0, 0, 0, 0);
  try("ptrace-attach", 101, 16, 1, 0, 0, 0);
  try("ptrace-seize", 101, 0x4206, 1, 0, 0, 0);
  buffer[0] = (long)&buffer[8]; buffer[1] = 8; buffer[2] = 0x400000; buffer[3] = 8;
  try("process_vm_readv", 310, 1, (long)&buffer[0], 1, (long)&buffer[2], 1);
  try("pidfd_getfd", 438, call(434, 1, 0, 0, 0, 0), 0, 0, 0, 0);
  try("kill", 62, 1, 0, 0, 0, 0);
  try("add_key", 248, (long)"user", (long)"looplab", (long)"x", 1, -3);
  try("keyctl", 250, 0, -3, 1, 0, 0);
  try("bpf", 321, 0, (long)buffer, 64, 0, 0);
  try("perf_event_open", 298, (long)buffer, 0, -1, -1, 0);
  try("userfaultfd", 323, 0, 0, 0, 0, 0);
  try("open_by_handle_at", 304, -100, (long)buffer, 0, 0, 0);
  try("kexec_load", 246, 0, 0, 0, 0, 0);
  try("init_module", 175, (long)buffer, 8, (long)"", 0, 0);
  try("reboot", 169, 0xfee1dead, 672274793, 0, 0, 0);
  try("swapon", 167, (long)"/tmp", 0, 0, 0, 0);
  try("acct", 163, 0, 0, 0, 0, 0);
  try("syslog", 103, 3, (long)buffer, 64, 0, 0);
  buffer[0] = 0x10; /* ADJ_STATUS */
  try("adjtimex", 159, (long)buffer, 0, 0, 0, 0);
  try("sethostname", 170, (long)"mine", 4, 0, 0, 0);
  try("iopl", 172, 3, 0, 0, 0, 0);
  try("ioperm", 173, 0x70, 1, 1, 0, 0);
  try("personality", 135, 0x0400000, 0, 0, 0, 0);
  try("mknod", 133, (long)"/tmp/memory", 0020666, 0x101, 0, 0);
  try("packet-socket", 41, 17, 3, 0x300, 0, 0);
  try("raw-socket", 41, 2, 3, 1, 0, 0);
  /* Addresses that no network namespace bounds, or that only open more of the kernel. */
  try("vsock", 41, 40, 1, 0, 0, 0);
  try("qrtr", 41, 42, 2, 0, 0, 0);
  try("tipc", 41, 30, 1, 0, 0, 0);
  try("rds", 41, 21, 5, 0, 0, 0);
  try("can", 41, 29, 3, 1, 0, 0);
  try("bluetooth", 41, 31, 3, 1, 0, 0);
  try("alg", 41, 38, 5, 0, 0, 0);
  try("kcm", 41, 41, 2, 0, 0, 0);
  try("xdp", 41, 44, 3, 0, 0, 0);
  try("io_uring_setup", 425, 8, (long)&buffer[16], 0, 0, 0);
  buffer[0] = 1;
  try("realtime", 144, 0, 1, (long)buffer, 0, 0);
  try("priority", 141, 0, 0, -20, 0, 0);
  buffer[0] = 1L << 40; buffer[1] = 1L << 40;
  try("more-descriptors", 302, 0, 7, (long)buffer, 0, 0);
  try("bigger-files", 302, 0, 1, (long)buffer, 0, 0);
  try("chown-root", 92, (long)"/tmp", 0, 0, 0, 0);
  try_in_child("clone-user", 0x10000000, 0);
  try_in_child("clone-net", 0x40000000, 0);
  try_in_child("vsock-as-32-bits", 0, 32);
  try_in_child("vsock-as-x32", 0, 64);
  if (!caught) say(" none");
  say("\n");
}
