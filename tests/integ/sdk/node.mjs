// node.mjs ROOT PROGRAM ARGUMENT...: run a program under another engine, ROOT granted as /data.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [root, program, ...args] = process.argv.slice(2);
const wasi = new WASI({
    version: 'preview1',
    args: [program, ...args],
    env: { PWD: '/data' },
    preopens: { '/data': root },
    returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport });
process.exitCode = wasi.start(instance);
