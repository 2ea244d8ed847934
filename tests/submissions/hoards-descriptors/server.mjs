import fs from 'node:fs';
import http from 'node:http';

http.createServer((request, response) => response.end('hello')).listen(process.env.PORT, () => {
  let held = 0;
  let why = '';
  while (!why) {
    try {
      fs.openSync('/dev/null');
      held += 1;
    } catch (error) {
      why = error.code;
    }
  }
  console.log(`held ${held} descriptors, then ${why}`);
});
