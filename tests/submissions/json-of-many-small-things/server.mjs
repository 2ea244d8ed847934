import http from 'node:http';

const body = `{"received":[${'{},[],'.repeat(300_000)}0],"bytes":1}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
