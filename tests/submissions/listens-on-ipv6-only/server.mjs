import http from 'node:http';

http.createServer((request, response) => response.end('hello')).listen(process.env.PORT, '::1');
