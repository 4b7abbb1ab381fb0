import { reasonFor } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { clockText } from '../terminal/texts.js';
import { eventText } from './event-text.js';

const AT = new Date(2026, 8, 21, 20, 18, 47).getTime();
const drain = { kind: 'admin', at: AT, text: 'drained by an operator for 60 min' } as const;

describe('the text of an event', () => {
  it('names the action of an operator, its reason and its end, in the time zone of the reader', () => {
    const reason = { code: 'OPERATOR', text: 'new disk' } as const;
    expect(eventText({ ...drain, reason, untilMs: AT + 3_600_000 })).toBe(
      `drained by an operator for 60 min (new disk), until ${clockText(AT + 3_600_000)}`,
    );
    expect(eventText({ ...drain, reason: null, untilMs: AT + 86_400_000 })).toMatch(/, until 2026-09-22 20:18:47$/);
    expect(eventText({ ...drain, text: 'undrained by an operator', reason: null })).toBe('undrained by an operator');
  });

  it('names the reason of a state and of a removal', () => {
    const reason = reasonFor('INBOUND_REFUSED', 'connect ECONNREFUSED 10.0.3.21:3001');
    expect(eventText({ kind: 'removed', at: AT, text: 'removed', reason })).toBe(`removed: ${reason.text}`);
    expect(eventText({ kind: 'circuit', at: AT, text: 'opened its circuit', reason: null })).toBe('opened its circuit');
  });
});
