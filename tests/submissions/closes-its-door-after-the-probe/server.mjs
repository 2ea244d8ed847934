import http from 'node:http';

const server = http.createServer((request, response) => response.end('hello'));
server.listen(process.env.PORT).once('connection', () => server.close());
setInterval(() => {}, 1000);
