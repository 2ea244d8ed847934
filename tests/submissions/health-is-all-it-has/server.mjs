import http from 'node:http';

http
  .createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    if (request.url === '/health') return response.end('{"status":"ok","verdict":"passed","points":10}');
    response.writeHead(500).end('{"error":"Not built yet."}');
  })
  .listen(process.env.PORT);
