import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { GrpcMetadata } from './metadata.js';

/** Headers as HTTP/2 delivers them. */
const FIELDS = {
  ':status': '200',
  'grpc-status': '5',
  'grpc-message': 'no%20order',
  'retry-after': '3',
  'x-many': ['a', 'b'],
  'x-key-bin': `${Buffer.from('one').toString('base64')}, ${Buffer.from([0, 255]).toString('base64')}`,
  'grpc-status-details-bin': Buffer.from([1, 2, 3]).toString('base64'),
  'x-bad': 'tab\there',
  'x-none': undefined,
};

/** The result of grpc-js for the same trailers, without the status. */
function theirs(): Metadata {
  const { 'grpc-status': _status, 'grpc-message': _message, 'x-bad': _bad, 'x-none': _none, ...rest } = FIELDS;
  return Metadata.fromHttp2Headers(rest);
}

describe('the metadata of a gRPC status', () => {
  const ours = GrpcMetadata.fromFields(FIELDS);

  it('returns the same as that of grpc-js', () => {
    for (const key of [
      'retry-after',
      'Retry-After',
      'x-many',
      'x-key-bin',
      'grpc-status-details-bin',
      'x-none',
      ':status',
      'grpc-status',
    ]) {
      expect(ours.get(key), key).toEqual(theirs().get(key));
    }
    expect(ours.getMap()).toEqual(theirs().getMap());
    expect(ours.toJSON()).toEqual(theirs().toJSON());
    expect(JSON.stringify(ours)).toBe(JSON.stringify(theirs()));
    expect(ours.toHttp2Headers()).toEqual(theirs().toHttp2Headers());
  });

  it('can be changed and copied like that of grpc-js', () => {
    const [copy, copyOfTheirs] = [ours.clone(), theirs().clone()];
    for (const metadata of [copy, copyOfTheirs]) {
      metadata.set('X-New', 'c');
      metadata.add('x-new', 'd');
      metadata.remove('X-Many');
    }
    expect(copy.toJSON()).toEqual(copyOfTheirs.toJSON());
    expect(ours.get('x-new')).toEqual([]);
    copy.merge(ours);
    copyOfTheirs.merge(theirs());
    expect(copy.toJSON()).toEqual(copyOfTheirs.toJSON());
  });

  it('can be merged into that of grpc-js, and the reverse', () => {
    const real = new Metadata();
    real.merge(ours as unknown as Metadata);
    expect(real.toJSON()).toEqual(theirs().toJSON());
    const own = new GrpcMetadata();
    own.merge(theirs());
    expect(own.toJSON()).toEqual(ours.toJSON());
  });

  it('refuses data that gRPC cannot carry, and leaves out such data that was received', () => {
    const metadata = new GrpcMetadata();
    expect(() => metadata.set('a b', 'c')).toThrow(TypeError);
    expect(() => metadata.set('a', 'ü')).toThrow(TypeError);
    expect(() => metadata.add('a-bin', 'text')).toThrow(TypeError);
    expect(() => metadata.add('a', Buffer.from('text'))).toThrow(TypeError);
    expect(ours.get('x-bad')).toEqual([]);
  });
});
