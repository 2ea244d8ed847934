import fs from 'node:fs';
import http from 'node:http';

let written = 0;
let why = '';
const megabyte = Buffer.alloc(1024 * 1024, 7);
while (!why) {
  try {
    fs.appendFileSync(`/tmp/big-${written >> 4}`, megabyte);
    written += 1;
  } catch (error) {
    why = error.code;
  }
}
console.log(`/tmp took ${written} MB, then ${why}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
