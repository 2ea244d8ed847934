import http from 'node:http';

const body = `{${'"received":{"a":[1]},"bytes":17,'.repeat(20_000)}"received":null,"bytes":true}`;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
