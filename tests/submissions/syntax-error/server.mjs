import http from 'node:http';

const config = await import('./config.json', assert { type: 'json' });
http.createServer((request, response) => response.end(config.greeting)).listen(process.env.PORT);
