import http from 'node:http';

const body = `{"received":1e999,"bytes":${'1'.repeat(4000)},"zero":-0.0,"tiny":1e-999,"slow":${'9'.repeat(1_000_000)}.5}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
