import fs from 'node:fs';
import http from 'node:http';

let written = 0;
let why = '';
while (!why) {
  try {
    fs.appendFileSync('/dev/shm/big', Buffer.alloc(65536, 7));
    written += 64;
  } catch (error) {
    why = error.code;
  }
}
console.log(`/dev/shm took ${written} kB, then ${why}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
