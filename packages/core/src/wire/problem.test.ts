import { describe, expect, it } from 'vitest';
import { problemDocumentMessage, problemFrom, PROBLEMS } from './problem.js';

const document = {
  type: 'about:blank',
  title: 'Conflict',
  status: 409,
  code: 'ADDRESS_TAKEN',
  detail: 'Another process answers at 10.0.0.5:3001.',
  fix: 'Give each process a port of its own.',
};

describe('the problem in an answer', () => {
  it('has the content of the document', () => {
    expect(problemDocumentMessage.parse(document).ok).toBe(true);
    const { code, detail, fix } = document;
    expect(problemFrom(409, document)).toEqual({ code, detail, fix });
    const flaws = [{ path: 'id', received: '7', allowed: 'text' }];
    expect(problemFrom(400, { code: 'INVALID', detail, fix, flaws, retryAfterMs: 1 })).toEqual({
      code: 'INVALID',
      detail,
      fix,
      flaws,
      retryAfterMs: 1,
    });
  });

  it('has the code of its status if a newer registry sends an unknown one', () => {
    expect(problemFrom(410, { ...document, code: 'MOVED_AWAY' })).toMatchObject({
      code: 'ENDED',
      detail: document.detail,
    });
    expect(problemFrom(410, { ...document, code: 'toString' }).code).toBe('ENDED');
  });

  it('is UNAUTHORIZED for a bad certificate if the client does not know the newer code', () => {
    expect(problemFrom(401, { ...document, code: 'CERTIFICATE_UNTRUSTED' }).code).toBe('CERTIFICATE_UNTRUSTED');
    expect(problemFrom(401, { ...document, code: 'SOMETHING_NEWER' }).code).toBe('UNAUTHORIZED');
  });

  it.each([
    [400, 'INVALID'],
    [401, 'UNAUTHORIZED'],
    [404, 'NOT_FOUND'],
    [409, 'ID_HELD'],
    [418, 'INVALID'],
    [429, 'TOO_MANY'],
    [500, 'INTERNAL'],
    [502, 'NOT_READY'],
    [503, 'NOT_READY'],
    [504, 'NOT_READY'],
    [599, 'INTERNAL'],
  ])('has for a proxy with status %i the code %s', (status, code) => {
    for (const body of ['<html>', null, undefined, [], { error: 'x' }, { ...document, detail: 'x'.repeat(1e6) }]) {
      const problem = problemFrom(status, body);
      expect(problem.code).toBe(code);
      expect(problem.detail).toContain(String(status));
    }
  });

  it('is one line without terminal control sequences, and is truncated', () => {
    const hostileText = 'no\u001b[2J\nFAKE\u202e';
    const flaw = { path: hostileText, received: hostileText, allowed: hostileText };
    const body = {
      code: 'INVALID',
      detail: hostileText,
      fix: 'y'.repeat(4_000),
      flaws: Array.from({ length: 100 }, () => flaw),
    };
    const problem = problemFrom(400, body);
    expect(problem.detail).toBe('no?[2J?FAKE?');
    expect(problem.fix).toBe(`${'y'.repeat(1_999)}…`);
    expect(problem.flaws).toHaveLength(10);
    expect(problem.flaws?.[0]).toEqual({ path: 'no?[2J?FAKE?', received: 'no?[2J?FAKE?', allowed: 'no?[2J?FAKE?' });
    expect(problemFrom(400, problem)).toEqual(problem);
  });

  it('keeps a complete sentence of the registry, even with a long list', () => {
    const detail = `Token 0123456789 is for ${'a-service-of-ours, '.repeat(60)}b; received c.`;
    expect(problemFrom(403, { code: 'FORBIDDEN', detail, fix: detail })).toEqual({
      code: 'FORBIDDEN',
      detail,
      fix: detail,
    });
  });

  it('has a code for each status of the registry', () => {
    for (const [code, status] of Object.entries(PROBLEMS)) {
      expect(problemFrom(status, { ...document, code }).code).toBe(code);
    }
  });
});
