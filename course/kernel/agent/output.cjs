'use strict';
// What a cell writes, gathered into few frames and cut at a limit: 200,000 lines must stop neither the page nor the kernel.

const { StringDecoder } = require('node:string_decoder');

const LINES_MAX = 2_000; // of one cell; the reference page of the kernel names both numbers
const CHARACTERS_MAX = 256 * 1024;
const FRAME_CHARACTERS = 64 * 1024;
// Few writes go out one by one, at once: the next statement may compute for a minute. A flood is gathered.
const WINDOW_MS = 50;
const WRITES_AT_ONCE = 25; // in each window

const now = performance.now.bind(performance);
const immediately = setImmediate;

class Output {
  #send;
  #cellNow;
  #pending = { cell: null, stream: '', text: '' };
  #window = 0;
  #writes = 0;
  #scheduled = false;
  #spent = new Map(); // cell -> what it has written
  #decoders = {};

  /** `send(frame)` hands a frame to the kernel; `cellNow()` names the cell on whose behalf the current code runs. */
  constructor(send, cellNow) {
    this.#send = send;
    this.#cellNow = cellNow;
  }

  /** Puts this in the place of `process[name].write`. The stream itself stays, for those who look at its other properties. */
  capture(name) {
    this.#decoders[name] = new StringDecoder('utf8');
    process[name].write = (chunk, encoding, callback) => {
      const done = typeof encoding === 'function' ? encoding : callback;
      const bytes = typeof chunk === 'string' ? null : Buffer.from(chunk.buffer ?? chunk, chunk.byteOffset, chunk.byteLength);
      this.write(name, bytes ? this.#decoders[name].write(bytes) : chunk);
      if (done) process.nextTick(done);
      return true;
    };
  }

  write(stream, text, cell = this.#cellNow()) {
    const spent = this.#spentBy(cell);
    const kept = allowed(spent, text);
    if (kept) {
      if (this.#pending.cell !== cell || this.#pending.stream !== stream) {
        this.flush();
        this.#pending = { cell, stream, text: '' };
      }
      this.#pending.text += kept;
      if (now() - this.#window > WINDOW_MS) {
        this.#window = now();
        this.#writes = 0;
      }
      this.#writes += 1;
      if (this.#pending.text.length > FRAME_CHARACTERS || this.#writes <= WRITES_AT_ONCE) this.flush();
      else if (!this.#scheduled) {
        this.#scheduled = true;
        immediately(() => this.flush());
      }
    }
  }

  flush() {
    this.#scheduled = false;
    const { cell, stream, text } = this.#pending;
    if (text) {
      this.#pending = { cell, stream, text: '' };
      this.#send({ cell, stream, text });
    }
  }

  /** Says once how much of a cell's output was left out. */
  settle(cell) {
    this.flush();
    const spent = this.#spent.get(cell);
    if (spent?.lostCharacters) {
      this.#send({ cell, truncated: { lines: spent.lostLines, characters: spent.lostCharacters } });
      spent.lostLines = spent.lostCharacters = 0;
    }
  }

  #spentBy(cell) {
    let spent = this.#spent.get(cell);
    if (!spent) {
      spent = { lines: 0, characters: 0, lostLines: 0, lostCharacters: 0 };
      this.#spent.set(cell, spent);
      if (this.#spent.size > 1000) this.#spent.delete(this.#spent.keys().next().value);
    }
    return spent;
  }
}

/** The part of `text` that a cell may still write. Counts the rest. */
function allowed(spent, text) {
  let kept = '';
  if (spent.lines < LINES_MAX && spent.characters < CHARACTERS_MAX) {
    kept = text.length > CHARACTERS_MAX - spent.characters ? text.slice(0, CHARACTERS_MAX - spent.characters) : text;
    let end = -1;
    while (spent.lines < LINES_MAX && (end = kept.indexOf('\n', end + 1)) !== -1) spent.lines += 1;
    if (spent.lines === LINES_MAX && end !== -1) kept = kept.slice(0, end + 1);
    spent.characters += kept.length;
  }
  if (kept.length < text.length) {
    spent.lostCharacters += text.length - kept.length;
    for (let at = kept.length - 1; (at = text.indexOf('\n', at + 1)) !== -1; ) spent.lostLines += 1;
  }
  return kept;
}

module.exports = { Output };
