'use strict';
// An error as a person should read it: the stack without the machinery below the cell.

const path = require('node:path');
const util = require('node:util');
const { pathToFileURL } = require('node:url');

const MACHINERY = /node:internal|\(?node:(?:inspector|events|async_hooks)|[\\/]course[\\/]kernel[\\/]agent[\\/]|^\s+at (?:new Promise )?\(?<anonymous>\)?$/;
const LINES_MAX = 60;

/** {name, message, lines, at}: `at` is where the code of the person threw, {file, line, column} counted from 1, or null. */
function describeError(value) {
  const isError = util.types.isNativeError(value) || value instanceof Error;
  const here = `${pathToFileURL(process.cwd()).href}/`;
  let text;
  try {
    text = isError ? util.inspect(value) : `Uncaught ${util.inspect(value)}`;
  } catch (error) {
    text = `An error that cannot be shown: ${error?.message}`;
  }
  const lines = text
    .split('\n')
    .filter((line) => !(/^\s+at /.test(line) && MACHINERY.test(line)))
    .map((line) => line.replaceAll(here, '').replaceAll(`${process.cwd()}${path.sep}`, '').replace(/\?v=\d+/g, '').slice(0, 2000));
  const first = lines.map((line) => /^\s+at (?:.* \()?(.+?):(\d+):(\d+)\)?$/.exec(line)).find((match) => match && !match[1].startsWith('node:'));
  return {
    name: isError ? String(value.name) : 'Uncaught',
    message: isError ? String(value.message) : text.slice('Uncaught '.length),
    lines: lines.length > LINES_MAX ? [...lines.slice(0, LINES_MAX), '…'] : lines,
    at: first ? { file: first[1], line: Number(first[2]), column: Number(first[3]) } : null,
  };
}

module.exports = { describeError };
