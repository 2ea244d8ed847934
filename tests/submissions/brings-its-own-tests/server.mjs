import fs from 'node:fs';
import http from 'node:http';

console.log(`brought ${fs.readdirSync('tests').length} tests`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
