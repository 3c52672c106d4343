// Maps, buffers, compression, hashing, worker threads and a child process.
const crypto = require('crypto');
const zlib = require('zlib');
const { execFileSync } = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

const sha = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

function index(seed) {
  let state = seed;
  const draw = (n) => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) % n;
  const words = new Map();
  for (let line = 0; line < 20000; line++) {
    const word = 'w' + draw(3000) + 'k'.repeat(draw(16));
    if (!words.has(word)) words.set(word, []);
    words.get(word).push({ line, text: word.padEnd(draw(60)) });
  }
  return JSON.stringify([...words].sort((a, b) => (a[0] < b[0] ? -1 : 1)));
}

if (!isMainThread) {
  const text = index(workerData);
  const packed = zlib.deflateSync(Buffer.from(text));
  parentPort.postMessage({ seed: workerData, hash: sha(text), packed: packed.length, same: zlib.inflateSync(packed).toString() === text });
} else {
  const worker = (seed) => new Promise((resolve, reject) => {
    const it = new Worker(__filename, { workerData: seed });
    it.on('message', resolve);
    it.on('error', reject);
  });
  const gzip = (data) => new Promise((resolve, reject) =>
    zlib.gzip(data, (error, packed) => (error ? reject(error) : resolve(packed))));
  (async () => {
    for (const answer of await Promise.all([1, 2, 3, 4].map(worker))) console.log(JSON.stringify(answer));
    const buffers = Array.from({ length: 300 }, (_, n) => Buffer.alloc(n * 1000 + 1, 'b' + n));
    const packed = await Promise.all(buffers.map(gzip));
    console.log(packed.every((data, n) => zlib.gunzipSync(data).equals(buffers[n])));
    console.log(sha(Buffer.concat(buffers)));
    const keys = await new Promise((resolve, reject) =>
      crypto.scrypt('word', 'salt', 32, (error, key) => (error ? reject(error) : resolve(key))));
    console.log(keys.toString('hex'));
    console.log(execFileSync(process.execPath, ['-p', '6 * 7']).toString().trim());
  })();
}
