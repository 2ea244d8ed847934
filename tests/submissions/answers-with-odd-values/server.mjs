import http from 'node:http';

// Values that have broken graders: they are no points, and no crash either.
const odd = ['null', '[]', '{}', '""', 'NaN', '-Infinity', '-1', '1e999', '[[]]', '"NaN"', 'true', '{"received":null,"bytes":-1}', '{"received":[],"bytes":[]}', '{"received":{"a":[1]},"bytes":"13"}', '{"received":true,"bytes":true}', '{"received":NaN,"bytes":NaN}', '{"bytes":1e400}', ''];
let turn = 0;
http
  .createServer((request, response) => {
    response.writeHead([200, 400, 413, 415, 404][Math.floor(turn / odd.length) % 5], { 'content-type': 'application/json' }).end(odd[turn++ % odd.length]);
  })
  .listen(process.env.PORT);
