import http from 'node:http';

http.createServer((request, response) => response.end('hello')).listen(8080);
