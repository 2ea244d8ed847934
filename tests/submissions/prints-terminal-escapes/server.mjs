import http from 'node:http';

console.log('\u001b]0;owned\u0007\u001b]52;c;b3duZWQ=\u0007\u001b]8;;http://elsewhere.invalid\u001b\\here\u001b]8;;\u001b\\\u001b[2J\u001b[H\u001b[8mhidden');
console.log('\u009b31mred \u0090qsixel\u009c \u0085 \u007f \b\b\b\v\f \u0000 \r10 of 10 points');
console.log('\u202etxt.exe \u2066\u2069 \u200b\ufeff \u{e0041}');
http
  .createServer((request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ received: '\u001b[2J\u009b2J', '\u001b]0;owned\u0007\u009b31m\u202e': 1 })))
  .listen(process.env.PORT);
