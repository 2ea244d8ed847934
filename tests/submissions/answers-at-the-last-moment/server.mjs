import http from 'node:http';

http
  .createServer((request, response) => {
    if (request.url === '/health') return response.end('{}');
    const error = '{"error":"I had to think about it."}';
    setTimeout(() => response.writeHead(400, { 'content-type': 'application/json' }).end(error), 3000);
  })
  .listen(process.env.PORT);
