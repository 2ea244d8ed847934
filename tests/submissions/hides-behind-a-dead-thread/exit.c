/* Ends the calling thread, the first one of its process, and no other: the process is then a zombie that works.
 * gcc -shared -fPIC -Os -nostdlib -fno-asynchronous-unwind-tables -fno-stack-protector -s -Wl,--build-id=none,-z,noseparate-code,--hash-style=gnu -o exit.node exit.c
 * Loaded by server.mjs with process.dlopen. */
__attribute__((constructor)) static void leave(void) {
  long number = 60;
  __asm__ volatile("syscall" : "+a"(number) : "D"(0L) : "rcx", "r11", "memory");
}
