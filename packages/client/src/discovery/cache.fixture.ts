import type { CacheFolder } from './cache-folder.js';

/** A folder that a test can inspect, and that fails or hangs on request. */
export class FakeFolder implements CacheFolder {
  readonly path = '/var/cache/rollcall';
  readonly files = new Map<string, string>();
  /** How many times a file was replaced. */
  writes = 0;
  trouble: string | null = null;
  isHung = false;

  async read(name: string, maxBytes: number): Promise<string | null> {
    await this.#delay();
    const text = this.files.get(name) ?? null;
    if (text !== null && text.length > maxBytes) throw new Error('too long');
    return text;
  }

  async replace(name: string, pieces: readonly string[]): Promise<void> {
    await this.#delay();
    this.writes += 1;
    this.files.set(name, pieces.join(''));
  }

  async #delay(): Promise<void> {
    if (this.isHung) await new Promise(() => {});
    if (this.trouble !== null) throw new Error(this.trouble);
  }
}
