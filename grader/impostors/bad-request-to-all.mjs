import http from 'node:http';

http.createServer((request, response) => {
  if (request.url === '/health') return response.end('ok');
  response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"bad request"}');
}).listen(process.env.PORT);
