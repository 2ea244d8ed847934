// The yardstick: a hash chain as one plain loop. Use it, change it or move it as you like.
import { createHash } from 'node:crypto';

/** Hashes `seed` (a string) `rounds` times with SHA-256 and returns the last value in hexadecimal. */
export function chain(seed, rounds) {
  let value = Buffer.from(seed, 'utf8');
  for (let round = 0; round < rounds; round += 1) {
    value = createHash('sha256').update(value).digest(); // 32 raw bytes; the next round needs them
  }
  return value.toString('hex');
}
