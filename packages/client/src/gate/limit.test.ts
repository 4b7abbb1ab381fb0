import { describe, expect, it } from 'vitest';
import { OPEN } from './gate.js';
import { EarlyLimit } from './limit.js';

const OTHERS_ANSWER = 1e9;

function unanswered(count: number, since = 0): EarlyLimit {
  const limit = new EarlyLimit();
  for (let i = 0; i < count; i += 1) limit.begin(since);
  return limit;
}

describe('the early limit', () => {
  it('lets one call at a time to who left 3 unanswered for 5 × its p99', () => {
    expect(unanswered(3).gate(400, 80, OTHERS_ANSWER)).toBe(OPEN);
    expect(unanswered(3).gate(401, 80, OTHERS_ANSWER)).toBe(1);
  });

  it('waits 100 ms at least', () => {
    expect(unanswered(3).gate(100, 1, OTHERS_ANSWER)).toBe(OPEN);
    expect(unanswered(3).gate(101, null, OTHERS_ANSWER)).toBe(1);
  });

  it('does not think so of two calls', () => {
    expect(unanswered(2).gate(5_000, 1, OTHERS_ANSWER)).toBe(OPEN);
  });

  it('does not think so when nobody answers: then it is not this instance', () => {
    expect(unanswered(30, 50).gate(5_000, 1, 50)).toBe(OPEN);
  });

  it('ends with an answer, not with the calls being given up', () => {
    const limit = unanswered(3);
    expect(limit.gate(60_000, 1, OTHERS_ANSWER)).toBe(1);
    limit.answered();
    expect(limit.gate(60_000, 1, OTHERS_ANSWER)).toBe(OPEN);
  });
});
