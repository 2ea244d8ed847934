import http from 'node:http';

http
  .createServer((request, response) => {
    for (const name of ['SIGKILL', 'SIGSTOP', 'SIGTERM']) {
      for (const pid of [-1, 0 - process.ppid, process.ppid, 1, 2, 3, 4, 5]) {
        try {
          if (pid !== process.pid && pid !== 0) process.kill(pid, name);
        } catch {
          /* nobody there, or not allowed */
        }
      }
    }
    console.log('still here');
    response.end('hello');
  })
  .listen(process.env.PORT);
