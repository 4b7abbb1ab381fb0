/** Text; or bytes, if and only if the key ends in `-bin`. */
export type GrpcMetadataValue = string | Buffer;

/** Headers or trailers as HTTP/2 delivers them. */
export type GrpcFields = Readonly<Record<string, string | string[] | undefined>>;

/** The argument of `merge`: this class, or the `Metadata` of grpc-js. */
export interface Mergeable {
  toJSON(): Readonly<Record<string, readonly GrpcMetadataValue[]>>;
}

/** These entries are the status itself, which has fields of its own. */
const STATUS_KEYS: ReadonlySet<string> = new Set(['grpc-status', 'grpc-message']);

/**
 * The metadata of a gRPC status, with the interface of grpc-js's `Metadata`, method by method, so that the same code reads both, and
 * grpc-js can send it. It is a separate class, because services that only call do not need grpc-js. Keys are in lower case.
 */
export class GrpcMetadata {
  /** The property that grpc-js reads in `merge`. */
  readonly internalRepr = new Map<string, GrpcMetadataValue[]>();
  #options: object = {};

  /** Creates metadata from trailers, without the status and without headers that are not metadata. */
  static fromFields(fields: GrpcFields): GrpcMetadata {
    const metadata = new GrpcMetadata();
    for (const [key, values] of Object.entries(fields)) {
      if (values === undefined || STATUS_KEYS.has(key) || key.startsWith(':')) continue;
      for (const value of valuesIn(key, values)) if (flawIn(key, value) === null) metadata.add(key, value);
    }
    return metadata;
  }

  /** All values of the key; empty if it has none. */
  get(key: string): GrpcMetadataValue[] {
    return this.internalRepr.get(key.toLowerCase()) ?? [];
  }

  /** The first value of each key. */
  getMap(): Record<string, GrpcMetadataValue> {
    const first: Record<string, GrpcMetadataValue> = {};
    for (const [key, [value]] of this.internalRepr) if (value !== undefined) first[key] = copyOf(value);
    return first;
  }

  /** Replaces all values of the key. Throws a TypeError for data that gRPC cannot carry. */
  set(key: string, value: GrpcMetadataValue): void {
    this.internalRepr.set(checked(key, value), [value]);
  }

  /** Throws a TypeError for data that gRPC cannot carry. */
  add(key: string, value: GrpcMetadataValue): void {
    const name = checked(key, value);
    const values = this.internalRepr.get(name);
    if (values === undefined) this.internalRepr.set(name, [value]);
    else values.push(value);
  }

  remove(key: string): void {
    this.internalRepr.delete(key.toLowerCase());
  }

  clone(): GrpcMetadata {
    const copy = new GrpcMetadata();
    for (const [key, values] of this.internalRepr) copy.internalRepr.set(key, values.map(copyOf));
    copy.setOptions(this.#options);
    return copy;
  }

  /** Adds all values of the other metadata. */
  merge(other: Mergeable): void {
    for (const [key, values] of Object.entries(other.toJSON())) {
      this.internalRepr.set(key, [...(this.internalRepr.get(key) ?? []), ...values]);
    }
  }

  /** Stored so that they can be read; they have no effect here. */
  setOptions(options: object): void {
    this.#options = options;
  }

  getOptions(): object {
    return this.#options;
  }

  toHttp2Headers(): Record<string, string | string[]> {
    const headers: Record<string, string | string[]> = {};
    for (const [key, values] of this.internalRepr) {
      const texts = values.map((value) => (typeof value === 'string' ? value : value.toString('base64')));
      headers[key] = texts.length === 1 ? (texts[0] ?? '') : texts;
    }
    return headers;
  }

  toJSON(): Record<string, GrpcMetadataValue[]> {
    return Object.fromEntries(this.internalRepr);
  }
}

function valuesIn(key: string, values: string | string[]): readonly GrpcMetadataValue[] {
  const texts = typeof values === 'string' ? [values] : values;
  if (!key.endsWith('-bin')) return texts;
  // one field may contain several values of a key; fields of gRPC itself have one value
  const each = key.startsWith('grpc-') ? texts : texts.flatMap((text) => text.split(','));
  return each.map((text) => Buffer.from(text.trim(), 'base64'));
}

/** The stored form of a key. */
function checked(key: string, value: GrpcMetadataValue): string {
  const name = key.toLowerCase();
  const flaw = flawIn(name, value);
  if (flaw !== null) throw new TypeError(flaw);
  return name;
}

function flawIn(key: string, value: GrpcMetadataValue): string | null {
  if (!/^[0-9a-z_.-]+$/.test(key)) return `${JSON.stringify(key)} is not a valid name of gRPC metadata.`;
  if (key.endsWith('-bin') !== (typeof value !== 'string'))
    return `The gRPC metadata ${key} is ${typeof value === 'string' ? 'bytes, a Buffer' : 'text'}.`;
  return typeof value === 'string' && !/^[ -~]*$/.test(value)
    ? `The gRPC metadata ${key} is not printable ASCII.`
    : null;
}

const copyOf = (value: GrpcMetadataValue): GrpcMetadataValue =>
  typeof value === 'string' ? value : Buffer.from(value);
