'use strict';
// What a cell can show beside text.

const util = require('node:util');

const BYTES_MAX = 8 * 1024 * 1024;

/** The formats of a value, the plain text always among them. */
function mimeBundle(value) {
  if (value && typeof value === 'object') {
    const own = value[Symbol.for('Jupyter.mime')];
    if (typeof own === 'function') return { 'text/plain': text(value), ...own.call(value) };
    if (Buffer.isBuffer(value) && value.subarray(0, 4).toString('latin1') === '\x89PNG') {
      return { 'text/plain': `PNG image, ${value.length} bytes`, 'image/png': value.toString('base64') };
    }
  }
  return { 'text/plain': text(value) };
}

const text = (value) => util.inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 });

const escapeHtml = (value) =>
  String(value).replace(/[&<>"]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[one]);

const cellText = (value) => (value === undefined || value === null ? '' : typeof value === 'string' ? value : typeof value === 'number' ? number(value) : util.inspect(value));
const number = (value) => (Number.isInteger(value) ? value.toLocaleString('en') : String(Number(value.toPrecision(4))));

function tableOf(rows, { columns, title, align = {} } = {}) {
  if (!Array.isArray(rows)) throw new TypeError('display.table takes an array of objects: one object for each row');
  const names = columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const right = (name) => (align[name] ? align[name] === 'right' : rows.every((row) => row[name] == null || typeof row[name] === 'number' || typeof row[name] === 'bigint'));
  const style = (name) => ` style="text-align:${right(name) ? 'right' : 'left'};white-space:pre-wrap"`;
  const html = `<table>${title ? `<caption style="text-align:left;font-weight:600">${escapeHtml(title)}</caption>` : ''}<thead><tr>${names
    .map((name) => `<th${style(name)}>${escapeHtml(name)}</th>`)
    .join('')}</tr></thead><tbody>${rows
    .map((row) => `<tr>${names.map((name) => `<td${style(name)}>${escapeHtml(cellText(row[name]))}</td>`).join('')}</tr>`)
    .join('')}</tbody></table>`;
  const cells = [names, ...rows.map((row) => names.map((name) => cellText(row[name])))];
  const widths = names.map((_, at) => Math.max(...cells.map((row) => row[at].length)));
  const line = (row) => row.map((one, at) => (right(names[at]) ? one.padStart(widths[at]) : one.padEnd(widths[at]))).join('  ').trimEnd();
  return { 'text/html': html, 'text/plain': [...(title ? [title] : []), ...cells.map(line)].join('\n') };
}

/** `data: rows` is short for `data: { values: rows }`, in every layer and part of a chart. */
function withValues(spec) {
  const whole = Array.isArray(spec.data) ? { ...spec, data: { values: spec.data } } : { ...spec };
  for (const parts of ['layer', 'hconcat', 'vconcat', 'concat']) if (Array.isArray(spec[parts])) whole[parts] = spec[parts].map(withValues);
  if (spec.spec && typeof spec.spec === 'object') whole.spec = withValues(spec.spec);
  return whole;
}

/** Puts display, plot, claim and compare into `scope`. `show(frame)` sends on behalf of the current cell. */
function installDisplay(scope, show) {
  const put = (data, metadata) => {
    const size = Object.values(data).reduce((sum, one) => sum + (typeof one === 'string' ? one.length : 0), 0);
    if (size > BYTES_MAX) data = { 'text/plain': `[An output of ${(size / 1024 / 1024).toFixed(0)} MB is not shown: the limit is ${BYTES_MAX / 1024 / 1024} MB. Write it to a file.]` };
    show({ display: { data, metadata: metadata ?? {} } });
  };
  const display = (value) => put(mimeBundle(value));
  const titled = (mime, name) => (content, plain) => put({ 'text/plain': plain ?? `[${name}]`, [mime]: String(content) });
  scope.display = Object.assign(display, {
    svg: titled('image/svg+xml', 'SVG'),
    html: titled('text/html', 'HTML'),
    markdown: (content) => put({ 'text/plain': String(content), 'text/markdown': String(content) }),
    png: (bytes) => put({ 'text/plain': `PNG image, ${bytes.length} bytes`, 'image/png': Buffer.from(bytes).toString('base64') }),
    json: (value) => put({ 'text/plain': text(value), 'application/json': value }),
    table: (rows, options) => put(tableOf(rows, options)),
  });
  scope.plot = (spec) => {
    if (!spec || typeof spec !== 'object') throw new TypeError('plot takes a Vega-Lite specification: an object with data, mark and encoding');
    show({ plot: withValues(spec) });
  };
  scope.claim = (statement, measured, bounds = {}) => {
    const { above, below, unit = '' } = bounds;
    const limits = [];
    if (above !== undefined) limits.push(['above', above, measured > above]);
    if (below !== undefined) limits.push(['below', below, measured < below]);
    if ('is' in bounds) limits.push(['', bounds.is, util.isDeepStrictEqual(measured, bounds.is)]);
    if (!limits.length) throw new TypeError("claim needs a bound: { above }, { below } or { is }");
    const held = limits.every(([, , ok]) => ok);
    const shown = (value) => (typeof value === 'number' ? number(value) : util.inspect(value)) + (unit ? ` ${unit}` : '');
    const asked = limits.map(([word, value]) => `${word ? `${word} ` : ''}${shown(value)}`).join(' and ');
    const verdict = held && 'is' in bounds ? `measured ${shown(measured)}` : `measured ${shown(measured)}, claimed ${asked}`;
    const colour = held ? '#2e7d32' : '#b26a00';
    const remark = held ? '' : ' On this machine it came out otherwise. Run the cell again; if it stays so, ask why.';
    put(
      {
        'text/plain': `${held ? '✓' : '≠'} ${statement} (${verdict})${remark}`,
        'text/html': `<div style="border-left:3px solid ${colour};padding:2px 10px"><span style="color:${colour};font-weight:600">${held ? '✓' : '≠'}</span> ${escapeHtml(statement)} <span style="opacity:.7">${escapeHtml(verdict)}.${escapeHtml(remark)}</span></div>`,
      },
      { looplab: { claim: String(statement), held, measured: typeof measured === 'number' || typeof measured === 'boolean' ? measured : util.inspect(measured, { breakLength: Infinity }).slice(0, 500) } },
    );
  };
  scope.compare = (name, actual) => show({ compare: { name: String(name), actual: typeof actual === 'string' ? actual : text(actual) } });
}

module.exports = { installDisplay, mimeBundle };
