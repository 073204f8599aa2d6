// Node's engine (V8) for the differential tests: reads names of modules, follows their plans (plan.h), prints what
// diff_run prints.
'use strict';
const fs = require('fs');
const crypto = require('crypto');

const view = new DataView(new ArrayBuffer(8));

function argument(letter, hex) {
  const bits = BigInt('0x' + hex);
  view.setBigUint64(0, bits);
  switch (letter) {
    case 'i': return view.getInt32(4);
    case 'I': return view.getBigInt64(0);
    case 'f': return view.getFloat32(4);
    case 'F': return view.getFloat64(0);
    default: return null;
  }
}

function text(letter, value) {
  switch (letter) {
    case 'r': case 'x': return value === null ? 'null' : 'ref';
    case 'i': return (value >>> 0).toString(16);
    case 'I': return BigInt.asUintN(64, value).toString(16);
  }
  if (Number.isNaN(value)) return 'nan';
  if (letter === 'f') {
    view.setFloat32(0, value);
    return view.getUint32(0).toString(16);
  }
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16);
}

function digest(data) {
  return crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);
}

const CLASSES = [
  [/unreachable/, 'unreachable'],
  [/divide by zero|remainder by zero/, 'divide'],
  [/divide result unrepresentable/, 'overflow'],
  [/unrepresentable in integer range/, 'convert'],
  [/memory access out of bounds|data segment/, 'memory'],
  [/null function or function signature|signature mismatch/, 'indirect'],
  [/table|element segment/, 'table'],
];

// How it ended, when not well.
function failure(error) {
  const message = error.message;
  if (error instanceof RangeError && /call stack/.test(message)) return 'trap stack';
  if (error instanceof WebAssembly.Exception) return 'exception';
  if (error instanceof WebAssembly.RuntimeError) {
    const found = CLASSES.find(([pattern]) => pattern.test(message));
    return 'trap ' + (found ? found[1] : message);
  }
  return `error ${error.name}: ${message}`.replace(/\n/g, ' ');
}

function run(path, out) {
  const steps = fs.readFileSync(path + '.plan', 'latin1').split('\n').filter((s) => s).map((s) => s.split(' '));
  const module = new WebAssembly.Module(fs.readFileSync(path));
  const names = WebAssembly.Module.exports(module).map((e) => e.name);
  const looks = steps.filter((s) => s[0] !== 'call');
  let exported = null;

  const start = () => new WebAssembly.Instance(module, {}).exports;
  const state = () => {
    const parts = looks.map(([kind, index, letter]) => {
      const item = exported[names[index]];
      if (kind === 'global') return `${index}=${text(letter, item.value)}`;
      if (kind === 'memory')
        return `${index}=${item.buffer.byteLength}:${digest(new Uint8Array(item.buffer))}`;
      const filled = new Uint8Array(item.length);
      for (let i = 0; i < filled.length; i++) filled[i] = item.get(i) === null ? 0 : 1;
      return `${index}=${filled.length}:${digest(filled)}`;
    });
    out.push(['state', ...parts].join(' '));
  };

  try {
    exported = start();
  } catch (error) {
    out.push('start ' + failure(error));
    return;
  }
  out.push('start ok');
  state();
  const calls = steps.filter((s) => s[0] === 'call');
  calls.forEach(([, index, params, results, ...bits], number) => {
    exported ??= start();
    const args = bits.map((b, i) => argument(params[i], b));
    let got;
    try {
      got = exported[names[index]](...args);
    } catch (error) {
      out.push(`call ${number} ${failure(error)}`);
      exported = null;
      return;
    }
    const values = results === '-' ? [] : results.length === 1 ? [got] : got;
    out.push([`call ${number} ok`, ...values.map((v, i) => text(results[i], v))].join(' '));
    state();
  });
}

for (const path of fs.readFileSync(0, 'utf8').split('\n').filter((s) => s)) {
  fs.writeSync(1, `module ${path}\n`);
  const out = [];
  try {
    run(path, out);
  } catch (error) {
    out.push(`start error ${error.name}: ${error.message}`.replace(/\n/g, ' '));
  }
  out.push('end');
  fs.writeSync(1, out.join('\n') + '\n');
}
