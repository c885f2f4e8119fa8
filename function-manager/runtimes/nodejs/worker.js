// Serves one function of Node.js: worker.js SOURCE IMAGE HANDLER (function-manager/README.md, Runtime).
//
// Speaks frames (4 bytes of length, big-endian, and JSON) on descriptor 3. HANDLER is a file of the
// source, as ./hello.js; when it is empty, the only .js file. The file exports the function.
'use strict';

const fs = require('fs');
const Module = require('module');
const net = require('net');
const path = require('path');

const HEADER = 4;
const [source, image, given] = process.argv.slice(2);
const channel = new net.Socket({fd: 3, readable: true, writable: true});
// The function may replace what belongs to all of the process; these are for the worker.
const {stringify, parse} = JSON;
const exit = process.exit.bind(process);

function send(value, then) {
  const body = Buffer.from(stringify(value));
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32BE(body.length);
  channel.write(Buffer.concat([header, body]), then);
}

function describe(type, error) {
  if (!(error instanceof Error)) return {type, message: String(error), stacktrace: []};
  const lines = String(error.stack || '').split('\n');
  return {
    type,
    message: error.message || error.name,
    stacktrace: lines.filter((line) => !line.includes(__filename)),
  };
}

function onlyFile() {
  const files = fs.readdirSync(source).filter((name) => /\.c?js$/.test(name));
  if (files.length !== 1) {
    throw new Error(`the handler is not given and the source has ${files.length} .js files: name one`);
  }
  return './' + files[0];
}

function load() {
  const handler = given || onlyFile();
  const file = path.resolve(source, handler);
  if (!fs.existsSync(file)) throw new Error(`the source has no file '${handler}'`);
  if (image) {
    // As NODE_PATH has it, which is read once, before this.
    process.env.NODE_PATH = path.join(image, 'node_modules');
    Module._initPaths();
  }
  process.argv.length = 1;
  process.argv.push(file);
  const exported = require(file);
  const loaded =
    typeof exported === 'function' ? exported : exported && typeof exported.default === 'function' ? exported.default : null;
  if (!loaded) throw new TypeError(`${handler} exports no function: module.exports = (context, payload) => ...`);
  return loaded;
}

let handle = null;
let busy = false;

function answer(value) {
  if (!busy) return;
  busy = false;
  let text;
  try {
    // undefined, a function and a symbol have no JSON; the first is how a function returns nothing.
    text = value.error ? value : {payload: value.payload === undefined ? null : value.payload};
    if (!value.error && stringify(text.payload) === undefined) throw new Error(`it is a ${typeof text.payload}`);
    send(text);
  } catch (error) {
    const message = `the function's answer is no JSON: ${error.message}`;
    send({error: {type: 'FunctionError', message, stacktrace: []}});
  }
}

function fail(error) {
  answer({error: describe(error instanceof TypeError ? 'InputError' : 'FunctionError', error)});
}

function serve(request) {
  busy = true;
  let result;
  try {
    result = handle(request.context, request.payload);
  } catch (error) {
    return fail(error);
  }
  if (result && typeof result.then === 'function') {
    result.then((payload) => answer({payload}), fail);
  } else {
    answer({payload: result});
  }
}

let parts = [];
let have = 0;
let need = HEADER;
let inBody = false;

function onData(data) {
  parts.push(data);
  have += data.length;
  while (have >= need) {
    const all = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    const piece = all.subarray(0, need);
    const rest = all.subarray(need);
    parts = rest.length ? [rest] : [];
    have = rest.length;
    if (inBody) {
      need = HEADER;
      inBody = false;
      serve(parse(piece));
    } else {
      need = piece.readUInt32BE();
      inBody = true;
    }
  }
}

// console.log to a pipe is synchronous on Linux: what the function wrote is there before its answer.
process.on('uncaughtException', (error) => (busy ? fail(error) : console.error(error)));
process.on('unhandledRejection', (error) => (busy ? fail(error) : console.error(error)));

send({hello: true});
try {
  handle = load();
  channel.on('data', onData);
  channel.on('end', () => exit(0));
  channel.on('error', () => exit(1));
  send({ready: true});
} catch (error) {
  send({failed: describe('FunctionError', error)}, () => exit(0));
}
