// looplab-canary-ndjson-lines-solutions-18a6e3c0
// Web streams all the way, and types that Node strips.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable, Writable } from 'node:stream';

const port = Number(process.env.PORT ?? 3000);
const maxLine = Number(process.env.MAX_LINE ?? 65536);

type Line = { number: number; text: string } | { number: number; tooLong: true };
type Answer = Record<string, unknown>;

/** Bytes to lines. The pieces of an unfinished line wait in a list; those of an over-long one do not. */
function splitLines(): TransformStream<Uint8Array, Line[]> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  let number = 0;

  function keep(piece: Uint8Array): void {
    size += piece.byteLength;
    if (size > maxLine + 1) pieces = [];
    else pieces.push(piece.slice());
  }

  function take(ended: boolean): Line {
    number += 1;
    const bytes = Buffer.concat(pieces);
    const length = ended && bytes.at(-1) === 0x0d ? size - 1 : size;
    pieces = [];
    size = 0;
    return length > maxLine ? { number, tooLong: true } : { number, text: bytes.toString('utf8', 0, length) };
  }

  return new TransformStream({
    transform(chunk, controller) {
      const lines: Line[] = [];
      let from = 0;
      for (let lf = chunk.indexOf(10); lf !== -1; lf = chunk.indexOf(10, from)) {
        keep(chunk.subarray(from, lf));
        lines.push(take(true));
        from = lf + 1;
      }
      keep(chunk.subarray(from));
      if (lines.length > 0) controller.enqueue(lines);
    },
    flush(controller) {
      if (size > 0) controller.enqueue([take(false)]);
    },
  });
}

/** Lines to objects, and the summary at the end. */
function numberRecords(): TransformStream<Line[], Answer[]> {
  const summary = { ok: 0, bad: 0 };

  function answer(line: Line): Answer[] {
    const bad = (error: string): Answer[] => {
      summary.bad += 1;
      return [{ error, line: line.number }];
    };
    if ('tooLong' in line) return bad('line too long');
    const text = line.number === 1 ? line.text.replace(/^\uFEFF/, '') : line.text;
    if (/^[ \t]*$/.test(text)) return [];
    try {
      const value: unknown = JSON.parse(text);
      if (Object.prototype.toString.call(value) !== '[object Object]') return bad('invalid json');
      summary.ok += 1;
      return [{ ...(value as object), n: line.number }];
    } catch {
      return bad('invalid json');
    }
  }

  return new TransformStream({
    transform: (lines, controller) => controller.enqueue(lines.flatMap(answer)),
    flush: (controller) => controller.enqueue([{ summary }]),
  });
}

function serialize(): TransformStream<Answer[], string> {
  return new TransformStream({
    transform(answers, controller) {
      const text = answers.map((answer) => JSON.stringify(answer) + '\n').join('');
      if (text !== '') controller.enqueue(text);
    },
  });
}

async function transform(req: IncomingMessage, res: ServerResponse): Promise<void> {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  const body = Readable.toWeb(req) as unknown as ReadableStream<Uint8Array>;
  try {
    await body
      .pipeThrough(splitLines())
      .pipeThrough(numberRecords())
      .pipeThrough(serialize())
      .pipeTo(Writable.toWeb(res));
  } catch (error) {
    console.log('transform broken off:', (error as Error).message);
  }
}

function problem(res: ServerResponse, status: number, title: string): void {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ status, title }));
}

const server = createServer({ requestTimeout: 0 }, (req, res) => {
  const path = (req.url ?? '').split('?', 1)[0];
  if (path === '/transform' && req.method === 'POST') return void transform(req, res);
  if (path === '/transform') return problem(res, 405, 'Only POST is possible here');
  if (path === '/health') return void res.end('ok');
  return problem(res, 404, 'There is nothing here');
});

server.listen(port);
