import http from 'node:http';

const names = Array.from({ length: 60_000 }, (_, n) => `"n${n}\\u001b[2J":${n}`).join();
const body = `{${names}}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
