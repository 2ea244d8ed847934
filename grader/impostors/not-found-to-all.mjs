import http from 'node:http';

http.createServer((request, response) => {
  response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}');
}).listen(process.env.PORT);
