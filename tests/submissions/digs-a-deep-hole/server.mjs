import fs from 'node:fs';
import http from 'node:http';

// A path that is longer than any path may be: it can be made step by step, and whoever removes it must go step by step as well.
const app = process.cwd();
const left = fs.readdirSync('/tmp').length;
let depth = 0;
process.chdir('/tmp');
try {
  for (; depth < 4000; depth += 1) {
    fs.mkdirSync('d');
    process.chdir('d');
  }
} catch (error) {
  console.log(error.code);
}
process.chdir(app);
console.log(`${depth} deep, predecessor: ${left ? 'there' : 'none'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
