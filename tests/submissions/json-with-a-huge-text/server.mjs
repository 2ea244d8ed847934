import http from 'node:http';

const body = `{"received":"${'\\u0000'.repeat(300_000)}","${'k'.repeat(100_000)}":1}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
