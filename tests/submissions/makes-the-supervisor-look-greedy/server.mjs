import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';

// Many small processes that say they matter: the kernel should end one of these all the same, not their keeper.
const small = 'require("fs").writeFileSync("/proc/self/oom_score_adj", "0"); const kept = []; setInterval(() => kept.length < 20 && kept.push(Buffer.alloc(1 << 20, 1)), 10);';
try {
  fs.writeFileSync('/proc/self/oom_score_adj', '0');
} catch {
  console.log('the mark stays');
}
const more = () => spawn(process.execPath, ['--v8-pool-size=0', '-e', small], { detached: true, stdio: 'ignore' }).on('error', () => {});
http
  .createServer((request, response) => {
    for (let n = 0; n < 12; n += 1) more();
    setTimeout(() => response.end('hello'), 3000);
  })
  .listen(process.env.PORT);
