import fs from 'node:fs';
import http from 'node:http';

console.log(`scripts: ${fs.existsSync('/tmp/owned') ? 'ran' : 'none ran'}, hidden files: ${fs.readdirSync('.').filter((name) => name.startsWith('.')).join() || 'none'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
