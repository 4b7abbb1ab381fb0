/** The port for randomness, injected like `Time`, so that a seed replays a run. */
export interface Random {
  /** Uniform in [0, 1). */
  unit(): number;
  /** Unpredictable bytes; in a simulation, bytes from the seed. */
  bytes(length: number): Uint8Array;
}

/**
 * Bytes fetched in advance: a system call for a few bytes costs ten times as much as the bytes, and every heartbeat
 * needs some.
 */
const pool = new Uint8Array(4_096);
let used = pool.length;

/** The randomness of the machine; `bytes` is suitable for secrets. */
export const systemRandom: Random = {
  unit: () => Math.random(),
  bytes(length) {
    if (length > pool.length / 8) return crypto.getRandomValues(new Uint8Array(length));
    if (used + length > pool.length) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + length);
    // bytes that were returned must not stay readable in the pool
    pool.fill(0, used, used + length);
    used += length;
    return bytes;
  },
};

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** A string of `length` characters from `A-Za-z0-9_-`, with six random bits each: 22 characters encode 132 bits. */
export function randomWord(random: Random, length: number): string {
  // joined once: V8 stores a string that grows by single characters as a tree of them, thirty times as large
  return Array.from(random.bytes(length), (byte) => ALPHABET.charAt(byte & 63)).join('');
}

/** A UUID version 7 (RFC 9562), which sorts by its time of creation. `wallMs` is the wall clock in milliseconds. */
export function uuidV7(random: Random, wallMs: number): string {
  const bytes = random.bytes(16);
  const at = Math.floor(wallMs);
  for (let i = 0; i < 6; i += 1) bytes[i] = Math.floor(at / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  let hex = '';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
