import http from 'node:http';

// Nothing has the type that the suite expects: it must fail the checks, not break.
const odd = ['null', '[]', '{}', '"x"', '0', '[null]', '{"error":null}', '{"error":{"code":[],"message":{}},"errors":{},"line":{},"value":[],"seed":[],"rounds":{},"digest":null,"id":{},"email":[],"access_token":{},"refresh_token":[],"requestId":7}', '{"access_token":"a.b.c","refresh_token":"x","email":0}', '{"access_token":"e30.e30.e30","refresh_token":"e30","expires_in":"soon"}'];
let turn = 0;
http
  .createServer((request, response) => {
    if (request.url === '/health') return response.end('{}');
    const type = ['application/json', 'application/x-ndjson'][turn % 7 === 6 ? 1 : 0];
    response.writeHead([200, 200, 200, 400, 401, 503, 409][turn % 7], { 'content-type': type, 'retry-after': 'soon', 'x-request-id': '\u00ff' }).end(odd[turn++ % odd.length]);
  })
  .listen(process.env.PORT);
