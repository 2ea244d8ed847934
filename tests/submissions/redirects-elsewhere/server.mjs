import http from 'node:http';

// A tester that followed would leave its box, or never come to an end.
let turn = 0;
http
  .createServer((request, response) => {
    const to = ['/echo', 'http://elsewhere.invalid/', '//elsewhere.invalid/', 'file:///etc/passwd', `http://127.0.0.1:${process.env.PORT}/echo`, 'gopher://127.0.0.1:6379/_FLUSHALL'];
    response.writeHead([301, 302, 303, 307, 308][turn % 5], { location: to[turn++ % to.length], refresh: '0; url=/echo' }).end();
  })
  .listen(process.env.PORT);
