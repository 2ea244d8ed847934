// looplab-canary-polite-cpu-solutions-5afbb7df
// One chain, then the end. It also ends when its server does: the channel to it is then closed.
import { createHash } from 'node:crypto';

process.once('disconnect', () => process.exit());
process.once('message', ({ seed, rounds }: { seed: string; rounds: number }) => {
  let value: Buffer = Buffer.from(seed, 'utf8');
  for (let i = 0; i < rounds; i += 1) value = createHash('sha256').update(value).digest();
  process.send!(value.toString('hex'), () => process.disconnect());
});
