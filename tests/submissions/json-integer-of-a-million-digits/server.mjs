import http from 'node:http';

const body = `{"received":${'7'.repeat(1_000_000)},"bytes":1}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
