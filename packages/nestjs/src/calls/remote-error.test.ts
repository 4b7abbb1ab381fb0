import { NotFoundException } from '@nestjs/common';
import { GrpcStatusError } from '@rollcall/client';
import { RollcallError } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { reasonOf, remoteError } from './remote-error.js';

/** As a service over TCP sends it. */
const sent = (thrown: unknown): unknown => JSON.parse(JSON.stringify(thrown));
const grpc = (code: number): GrpcStatusError => new GrpcStatusError(code, 'some words', {});

describe('the reason of a service that refused', () => {
  it.each([
    ['an RpcException with a text', 'no', { status: null, text: 'no' }],
    ['an RpcException with an object', { statusCode: 409, message: 'taken' }, { status: 409, text: 'taken' }],
    ['an HttpException as JSON', sent(new NotFoundException('no order')), { status: 404, text: 'no order' }],
    [
      'the answer of an HttpException',
      new NotFoundException('no order').getResponse(),
      { status: 404, text: 'no order' },
    ],
    [
      'the flaws that a ValidationPipe found',
      { statusCode: 400, message: ['a is b', 'c is d'] },
      { status: 400, text: 'a is b; c is d' },
    ],
    [
      'the answer of Nest to other errors',
      { status: 'error', message: 'Internal server error' },
      { status: null, text: 'Internal server error' },
    ],
    ['a status as text', { status: '404', message: 'no' }, { status: null, text: 'no' }],
  ])('is read from %s', (_title, cause, { status, text }) => {
    expect(reasonOf(cause)).toEqual({ status, text });
  });

  it('is not passed on if it is a fault of that service: a status of 5xx, or a gRPC error that does not blame the caller', () => {
    expect(reasonOf({ statusCode: 500, message: 'select * from orders' })).toEqual({ status: null, text: null });
    expect(reasonOf(grpc(13))).toEqual({ status: null, text: null });
    expect(reasonOf(grpc(2))).toEqual({ status: null, text: null });
  });

  it('has no status about a connection or the identity of the caller', () => {
    for (const status of [407, 408, 421, 425, 426, 431, 499, 200, 302, 404.5]) {
      expect(reasonOf({ statusCode: status, message: 'no' })).toEqual({ status: null, text: 'no' });
    }
  });

  it('has the status that gRPC’s code stands for', () => {
    const codes = [3, 5, 6, 7, 9, 10, 11, 16];
    expect(codes.map((code) => reasonOf(grpc(code)).status)).toEqual([400, 404, 409, 403, 400, 409, 400, 401]);
    expect(reasonOf(grpc(5)).text).toBe('some words');
  });

  it('is one printable line of at most 400 characters', () => {
    const { text } = reasonOf({ statusCode: 400, message: `a\n\u202eb${'x'.repeat(1_000)}` });
    expect([text?.slice(0, 4), text?.length]).toEqual(['a??b', 400]);
  });

  it('is null if there is none', () => {
    for (const cause of [undefined, null, 7, {}, { message: {} }, '', { statusCode: 404 }, []])
      expect(reasonOf(cause).text).toBeNull();
  });
});

describe('an error that is passed on over a microservice transport', () => {
  it('includes the reason of the called service', () => {
    const cause = { statusCode: 404, message: 'No order 7.' };
    const first = remoteError(new RollcallError('REMOTE', 'orders answered with an error: No order 7.', { cause }));
    expect(first).toEqual({
      status: 'error',
      code: 'REMOTE',
      message: 'orders answered with an error: No order 7.',
      retryable: false,
      statusCode: 404,
      detail: 'No order 7.',
    });
    expect(reasonOf(sent(first))).toEqual({ status: 404, text: 'No order 7.' });
  });

  it('names no service or address to an HTTP caller two hops further', () => {
    const failed = remoteError(
      new RollcallError('TRANSPORT', 'The call to stock failed: 10.0.0.5:3001', { retryable: true }),
    );
    expect(failed).toEqual({
      status: 'error',
      code: 'TRANSPORT',
      message: 'The call to stock failed: 10.0.0.5:3001',
      retryable: true,
    });
    expect(reasonOf(failed)).toEqual({ status: null, text: null });
  });
});
