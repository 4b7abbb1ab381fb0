import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerOf, HttpAnswer } from './response.js';
import type { BodySink, RawHeaders } from './response.js';

const HEAD = { status: 200, statusText: 'OK', headers: [], hasBody: true };

const raw = (...events: string[]): RawHeaders => events.map((word) => Buffer.from(word, 'latin1'));

/** A simulated network, which delivers chunks only while it is not paused. */
class Wire {
  isFlowing = true;
  aborts = 0;
  readonly resume = (): void => void (this.isFlowing = true);
  readonly abort = (): void => void (this.aborts += 1);
}

/** A reader with room for a few chunks. */
class SlowReader implements BodySink {
  readonly events: string[] = [];
  room: number;

  constructor(room: number) {
    this.room = room;
  }

  data(chunk: Uint8Array): boolean {
    this.events.push(Buffer.from(chunk).toString());
    this.room -= 1;
    return this.room > 0;
  }

  end(): void {
    this.events.push('end');
  }

  error(error: Error): void {
    this.events.push(error.message);
  }
}

describe('an answer', () => {
  it('delivers every chunk once and in order to any reader, however slow', () => {
    const steps = fc.array(fc.constantFrom('chunk', 'take', 'room'), { maxLength: 40 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (order, room) => {
        const wire = new Wire();
        const answer = new HttpAnswer(HEAD, wire);
        const reader = new SlowReader(room);
        const sent: string[] = [];
        let isTaken = false;
        const take = (): void => {
          if (isTaken) return;
          isTaken = true;
          answer.take(reader);
        };
        for (const step of order) {
          if (step === 'chunk' && wire.isFlowing) {
            sent.push(`${sent.length}`);
            wire.isFlowing = answer.push(Buffer.from(`${sent.length - 1}`)) || !isTaken;
          } else if (step === 'take') take();
          else if (step === 'room') {
            reader.room += room;
            answer.resume();
          }
        }
        answer.end([]);
        take();
        while (reader.events.at(-1) !== 'end') {
          reader.room += room;
          answer.resume();
        }
        expect(reader.events).toEqual([...sent, 'end']);
      }),
    );
  });

  it('reports a broken connection at once, and once', () => {
    const answer = new HttpAnswer(HEAD, new Wire());
    const reader = new SlowReader(1);
    answer.take(reader);
    answer.push(Buffer.from('a'));
    answer.push(Buffer.from('b'));
    answer.break(new Error('broken'));
    answer.resume();
    expect(reader.events).toEqual(['a', 'broken']);
  });

  it('frees its connection if it is not needed, unless it is complete', () => {
    const wire = new Wire();
    const answer = new HttpAnswer(HEAD, wire);
    answer.drop();
    answer.drop();
    const whole = new HttpAnswer(HEAD, wire);
    whole.end([]);
    whole.drop();
    expect(wire.aborts).toBe(1);
  });

  it('finds a header by name, in any case', () => {
    const headers = raw('Content-Length', '12', 'X-A', 'é', 'x-a', 'second');
    expect(['content-length', 'x-a', 'x-b'].map((name) => headerOf(headers, name))).toEqual(['12', 'é', null]);
  });
});
