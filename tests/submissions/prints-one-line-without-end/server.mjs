import http from 'node:http';

process.stdout.write('passed '.repeat(100));
for (let n = 0; n < 100; n += 1) process.stdout.write('x'.repeat(1024 * 1024));
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
