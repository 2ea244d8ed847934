import http from 'node:http';

http
  .createServer(() => {
    for (;;);
  })
  .listen(process.env.PORT);
process.on('SIGTERM', () => {});
