import http from 'node:http';

const body = '{"received":"\\ud800 \\udfff","bytes":1,"\\udc00":"\\ud83d"}';
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body));
  })
  .listen(process.env.PORT);
