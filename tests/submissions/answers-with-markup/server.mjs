import http from 'node:http';

const markup = '</pre></script><script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)>"\'`[link](javascript:alert(1))]]>&lt;';
console.log(markup);
http
  .createServer((request, response) => {
    const name = `=HYPERLINK("http://elsewhere.invalid")${markup}`;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ [name]: markup }));
  })
  .listen(process.env.PORT);
