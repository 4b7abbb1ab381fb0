import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRollcallError } from '../runtime/errors.js';
import { encodeFrame, FrameDecoder, MAX_FRAME_LENGTH } from './tcp-frame.js';

const utf8 = new TextEncoder();

/** The output of a decoder for these chunks. */
function decodeAll(chunks: Iterable<string | Uint8Array>, decoder = new FrameDecoder()): unknown[] {
  const frames: unknown[] = [];
  for (const chunk of chunks) {
    const decoded = decoder.push(chunk);
    if (decoded.failure !== null) throw decoded.failure;
    frames.push(...decoded.frames);
  }
  return frames;
}

/** Splits at every position in `cuts` (modulo the length), in order. */
function cutUp<Whole extends { length: number; slice(from: number, to?: number): Whole }>(
  whole: Whole,
  cuts: readonly number[],
): Whole[] {
  const offsets = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].toSorted((one, other) => one - other);
  return [...offsets, whole.length].map((place, index) => whole.slice(index === 0 ? 0 : offsets[index - 1]!, place));
}

/** Text with every kind of character, including lone surrogates, as a user may send it. */
const text = fc.string({
  unit: fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('#', '"', '\ud834', '\udd1e', '€')),
});
const message = fc.oneof(fc.jsonValue(), fc.record({ id: text, response: text, isDisposed: fc.boolean() }));
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('encodeFrame', () => {
  it('writes the length in UTF-16 code units, as Nest counts', () => {
    expect(encodeFrame({ id: 1 })).toBe('8#{"id":1}');
    expect(encodeFrame('é')).toBe('3#"é"');
    expect(encodeFrame('𝄞')).toBe('4#"𝄞"');
    expect(encodeFrame(null)).toBe('4#null');
  });

  it('rejects values that JSON cannot represent', () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    for (const value of [undefined, () => {}, 1n, circle]) {
      expect(() => encodeFrame(value)).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
    }
  });
});

describe('FrameDecoder', () => {
  it('reads a frame', () => {
    const decoder = new FrameDecoder();
    expect(decoder.push('8#{"id":1}')).toEqual({ frames: [{ id: 1 }], failure: null });
    expect(decoder.isPartial).toBe(false);
  });

  it('reads several frames of one chunk, and the start of the next one', () => {
    const decoder = new FrameDecoder();
    expect(decoder.push('1#12#224#nu').frames).toEqual([1, 22]);
    expect(decoder.isPartial).toBe(true);
    expect(decoder.push('ll').frames).toEqual([null]);
    expect(decoder.isPartial).toBe(false);
  });

  it('waits for the end of a length, of a text and of a character', () => {
    const bytes = utf8.encode('14#{"note":"€𝄞"}');
    const decoder = new FrameDecoder();
    for (const byte of bytes.subarray(0, -1)) {
      expect(decoder.push(Uint8Array.of(byte))).toEqual({ frames: [], failure: null });
      expect(decoder.isPartial).toBe(true);
    }
    expect(decoder.push(bytes.subarray(-1)).frames).toEqual([{ note: '€𝄞' }]);
  });

  it('skips complete frames without parsing if they are not needed', () => {
    const decoder = new FrameDecoder();
    const texts = ['3#{{{3#', '{{{1#0', '2#', '10'].map((chunk, n) => decoder.push(chunk, n > 1));
    expect(texts.map(({ frames }) => frames)).toEqual([[], [], [], [10]]);
    expect(decoder.push('4#', false).failure).toBeNull();
    expect(decoder.push('none1#7').failure?.code).toBe('FRAME_INVALID');
  });

  it('names the option that raises the limit', () => {
    const { failure } = new FrameDecoder(100, 'tcp.most').push('101#');
    expect(failure?.message).toContain('Let it send less in one message, or raise tcp.most.');
  });

  it('accepts an empty chunk', () => {
    const decoder = new FrameDecoder();
    expect(decoder.push('')).toEqual({ frames: [], failure: null });
    expect(decoder.push(new Uint8Array(0))).toEqual({ frames: [], failure: null });
    expect(decoder.isPartial).toBe(false);
  });

  it('keeps no reference to a buffer that its owner reuses', () => {
    const bytes = utf8.encode(encodeFrame('€'));
    const shared = Buffer.alloc(bytes.length);
    const decoder = new FrameDecoder();
    shared.set(bytes);
    decoder.push(shared.subarray(0, 4));
    shared.fill(0);
    expect(decoder.push(bytes.subarray(4)).frames).toEqual(['€']);
  });

  it('returns every message for any split of the bytes', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 12 }), (messages, cuts) => {
        const bytes = utf8.encode(messages.map(encodeFrame).join(''));
        expect(decodeAll(cutUp(bytes, cuts))).toEqual(messages.map(asJson));
      }),
      { numRuns: 300 },
    );
  });

  it('returns every message for any split of the text', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 12 }), (messages, cuts) => {
        expect(decodeAll(cutUp(messages.map(encodeFrame).join(''), cuts))).toEqual(messages.map(asJson));
      }),
      { numRuns: 300 },
    );
  });

  it('answers any bytes with frames or with its own error, and then repeats that error', () => {
    const nearly = fc.stringMatching(/^([0-9]{1,3}#?["{}0-9#€é]{0,6}){1,4}$/).map((almost) => utf8.encode(almost));
    const chunk = fc.oneof(nearly, fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 6 }), (chunks) => {
        const decoder = new FrameDecoder(50);
        let failed: unknown = null;
        for (const bytes of chunks) {
          const { frames, failure } = decoder.push(bytes);
          if (failed !== null) expect({ frames, failure }).toEqual({ frames: [], failure: failed });
          if (failure === null) continue;
          expect(isRollcallError(failure) && failure.code).toBe('FRAME_INVALID');
          failed = failure;
          expect(decoder.isPartial).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a FrameDecoder with invalid input', () => {
  it.each([
    ['another protocol', 'GET / HTTP/1.1\r\n', 'The peer sent "GET / HT" where a frame begins with its length.'],
    ['no length', '#{}', 'The peer sent "#{}" where a frame begins with its length.'],
    ['a negative length', '-1#1', 'The peer sent "-1#1" where a frame begins with its length.'],
    ['a length that Nest’s parseInt would take', '1 #1', 'The peer sent "1 #1" where a frame begins with its length.'],
    ['a byte order mark', '\ufeff1#1', 'The peer sent "\\u{feff}1#1" where a frame begins with its length.'],
    ['a frame that is not JSON', '4#{id}', 'The peer sent a frame of 4 characters that is not JSON.'],
    ['an empty frame', '0#', 'The peer sent a frame of 0 characters that is not JSON.'],
    ['a wrong length', '3#{"id":1}', 'The peer sent a frame of 3 characters that is not JSON.'],
    ['a frame that is too long', '101#', 'The peer sent a frame of 101 characters or more, and 100 are allowed.'],
    ['digits without end', '0000', 'The peer sent "0000" where a frame begins with its length.'],
  ])('refuses %s', (_what, chunk, complaint) => {
    for (const sent of [chunk, utf8.encode(chunk)]) {
      const { frames, failure } = new FrameDecoder(100).push(sent);
      expect(frames).toEqual([]);
      expect(failure?.code).toBe('FRAME_INVALID');
      expect(failure?.message).toContain(complaint);
    }
  });

  it('refuses bytes that are not UTF-8, for any split', () => {
    const wrong = [
      [0x31, 0x23, 0xff],
      [0x33, 0x23, 0x22, 0xc3, 0x22, 0x22],
      [0x33, 0x23, 0x22, 0xed, 0xa0, 0x80, 0x22],
    ];
    for (const bytes of wrong) {
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const chunks = [bytes.slice(0, cut), bytes.slice(cut), [0x22]].map((part) => Uint8Array.from(part));
        expect(() => decodeAll(chunks)).toThrow('bytes that are not UTF-8');
      }
    }
  });

  it('refuses a frame that is too long as soon as its length is known, and accepts the longest allowed one', () => {
    expect(new FrameDecoder(9).push('1').failure).toBeNull();
    expect(new FrameDecoder(9).push('10').failure?.message).toContain('a frame of 10 characters or more');
    expect(new FrameDecoder(4_194_304).push('66000041#{').failure?.message).toContain('a frame of 66000041 characters');
    expect(new FrameDecoder(100).push('00012').failure?.message).toContain('"00012" where a frame begins');
    expect(new FrameDecoder(10).push('11').failure?.message).toContain('a frame of 11 characters or more');
    expect(new FrameDecoder(10).push(encodeFrame('x'.repeat(8))).frames).toEqual(['x'.repeat(8)]);
    expect(new FrameDecoder().push(`${MAX_FRAME_LENGTH + 1}#`).failure?.code).toBe('FRAME_INVALID');
  });

  it('returns the frames before the invalid input, and none after it', () => {
    const decoder = new FrameDecoder();
    const first = decoder.push('1#1x1#2');
    expect(first.frames).toEqual([1]);
    expect(first.failure?.code).toBe('FRAME_INVALID');
    expect(decoder.push('1#3')).toEqual({ frames: [], failure: first.failure });
  });

  it('quotes no part of a message in its error', () => {
    const { failure } = new FrameDecoder().push('18#{"password":"abc"x');
    expect(failure?.message).toContain('not JSON');
    expect(failure?.message).not.toContain('abc');
    expect(failure?.cause).toBeUndefined();
  });
});

describe('a long frame in many chunks', () => {
  it('costs time in proportion to its length: single bytes of it are not copied again and again', () => {
    const bytes = utf8.encode(encodeFrame('é'.repeat(200_000)));
    const decoder = new FrameDecoder();
    const started = performance.now();
    const [frame] = decodeAll(
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
      decoder,
    );
    expect(frame).toHaveLength(200_000);
    // A linear decoder takes a tenth of a second. Copying for each byte would copy 80 GB, which takes a minute.
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
