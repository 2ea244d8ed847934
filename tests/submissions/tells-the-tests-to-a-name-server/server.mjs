import dns from 'node:dns';
import dgram from 'node:dgram';
import http from 'node:http';

const told = [];
const resolver = new dns.promises.Resolver({ timeout: 300, tries: 1 });
resolver.setServers(['127.0.0.1']);
for (const name of ['a-hidden-test.tests.invalid', 'gateway.invalid']) {
  await dns.promises.lookup(name).then(() => told.push(`lookup ${name}`), () => {});
  await resolver.resolve4(name).then(() => told.push(`resolve ${name}`), () => {});
}
const socket = dgram.createSocket('udp4');
socket.on('error', () => {}).on('message', () => told.push('an answer'));
await new Promise((done) => socket.send('a hidden test', 53, '127.0.0.1', done));
socket.close();
console.log(`told: ${told.join(' | ') || 'nobody'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
