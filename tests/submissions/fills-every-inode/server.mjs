import fs from 'node:fs';
import http from 'node:http';

let made = 0;
let why = '';
while (!why) {
  try {
    fs.closeSync(fs.openSync(`/tmp/${made}`, 'w'));
    made += 1;
  } catch (error) {
    why = error.code;
  }
}
console.log(`/tmp took ${made} files, then ${why}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
