import http from 'node:http';

const body = `{"received":${'['.repeat(950)}${']'.repeat(950)},"bytes":1}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
