// looplab-canary-polite-cpu-solutions-5afbb7df
// TypeScript without a build step, Fastify, and a process for each chain: the operating system shares out the time.
import { fork, type ChildProcess } from 'node:child_process';
import fastify, { type FastifyReply } from 'fastify';

type Query = { seed?: string | string[]; rounds?: string | string[] };
type Outcome = { digest: string } | { failed: unknown } | 'cancelled';

const limit: number = Number(process.env.MAX_JOBS ?? '2');
const children = new Set<ChildProcess>();

function start(seed: string, rounds: number): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = fork(new URL('./hasher.ts', import.meta.url));
  children.add(child);
  let digest: string | undefined;
  let failed: unknown;
  child.on('message', (text) => { digest = String(text); });
  child.on('error', (error) => { failed = error; });
  child.send({ seed, rounds }, () => {});
  const outcome = new Promise<Outcome>((resolve) => {
    child.on('close', (code) => {
      children.delete(child);
      if (digest !== undefined) resolve({ digest });
      else if (child.killed) resolve('cancelled');
      else resolve({ failed: failed ?? `the child ended with ${code}` });
    });
  });
  return { child, outcome };
}

function refuse(reply: FastifyReply, status: number, detail: string): FastifyReply {
  return reply.code(status).type('application/json').send({ title: 'refused', detail });
}

const app = fastify();

app.get('/health', async () => 'fine');

app.get<{ Querystring: Query }>('/chain', async (request, reply) => {
  const { seed, rounds } = request.query;
  if (typeof seed !== 'string' || seed === '' || [...seed].length > 100) return refuse(reply, 400, 'seed');
  if (typeof rounds !== 'string' || !/^[0-9]{1,6}$/.test(rounds) || Number(rounds) > 600_000) return refuse(reply, 400, 'rounds');
  if (children.size >= limit) return refuse(reply.header('retry-after', '3'), 503, 'no place is free');

  const { child, outcome } = start(seed, Number(rounds));
  const abandon = () => child.kill('SIGKILL');
  reply.raw.once('close', abandon);
  const result = await outcome;
  reply.raw.off('close', abandon);
  if (result === 'cancelled') return reply.hijack();
  if ('failed' in result) throw result.failed;
  return { seed, rounds: Number(rounds), digest: result.digest };
});

app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
  console.error(error);
  const status = error.statusCode && error.statusCode < 500 ? error.statusCode : 500;
  return refuse(reply, status, status === 500 ? 'internal error' : 'bad request');
});

await app.listen({ port: Number(process.env.PORT ?? 3000), host: '0.0.0.0' });
