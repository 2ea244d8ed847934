import http from 'node:http';

console.log(`started with ${process.execArgv.join(' ') || 'no options'}, ${globalThis.owned ? 'loaded' : 'no loader'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
