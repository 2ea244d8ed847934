import http from 'node:http';

const broken = [[0xff, 0xfe], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80], [0x00], [0x1b, 0x9b]];
for (let n = 0; n < 20000; n += 1) process.stdout.write(Buffer.from([...broken[n % 9], 0x20]));
process.stdout.write('\nthe end\n');
http.createServer((request, response) => response.setHeader('content-type', 'application/json').end(Buffer.from([0x22, ...broken.flat(), 0x22]))).listen(process.env.PORT);
