/* Leaves what outlives its process: System V memory, semaphores and messages, and a POSIX message queue.
 * gcc -shared -fPIC -Os -nostdlib -fno-asynchronous-unwind-tables -fno-stack-protector -s -Wl,--build-id=none,-z,noseparate-code,--hash-style=gnu -o leave.node leave.c
 * Loaded by server.mjs with process.dlopen: the constructor runs, and the error that it is no addon comes after. */
static long call(long n, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}
__attribute__((constructor)) static void leave(void) {
  if (call(102, 0, 0, 0, 0) == 0) return; /* not as root */
  call(29, 0x10071, 65536, 0666 | 01000, 0);
  call(64, 0x10071, 3, 0666 | 01000, 0);
  call(68, 0x10071, 0666 | 01000, 0, 0);
  call(240, (long)"left", 0102, 0666, 0);
}
