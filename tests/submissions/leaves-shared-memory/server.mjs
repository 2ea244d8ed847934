import fs from 'node:fs';
import http from 'node:http';

const found = ['shm', 'sem', 'msg'].filter((kind) => fs.readFileSync(`/proc/sysvipc/${kind}`, 'utf8').trim().includes('\n'));
if (fs.existsSync('/dev/mqueue/left')) found.push('a message queue');
console.log(`predecessor: ${found.join() || 'none'}`);
// leave.c says what is left, and how leave.node is made of it.
try {
  process.dlopen({ exports: {} }, `${import.meta.dirname}/leave.node`);
} catch (error) {
  console.log(error.message);
}
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
