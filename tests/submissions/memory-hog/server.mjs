import http from 'node:http';

http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
const kept = [];
setInterval(() => kept.push(Buffer.alloc(32 * 1024 * 1024, 1)), 5);
