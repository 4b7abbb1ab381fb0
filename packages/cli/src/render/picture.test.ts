import { reasonFor } from '@rollcall/core';
import type { Instance, ReasonCode } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import type { Direction, Heartbeats } from '../registry/heartbeats.js';
import { paint } from '../terminal/paint.js';
import { heartbeatPicture, pictureHeading } from './picture.js';

const FINE: Direction = { lastSuccessAgoMs: 1_000, roundTripMs: 2, misses: 0, error: null };
const SILENT: Direction = { ...FINE, misses: 3 };
const REFUSED: Direction = { ...FINE, misses: 2, error: 'connect ECONNREFUSED 10.0.3.21:3001' };
const DUE: Direction = { lastSuccessAgoMs: null, roundTripMs: null, misses: 0, error: null };

const beats = (heartbeat1: Direction, heartbeat2: Direction): Heartbeats => ({
  heartbeat1,
  heartbeat2,
  requestedAt: 0,
});
const TERMINAL = { width: Infinity, isColoured: false, isUnicode: true };

function read(code: ReasonCode, measured: Heartbeats | null) {
  const instance = { id: 'orders-1', service: 'orders', state: 'UNHEALTHY', reason: reasonFor(code) } as Instance;
  const lines = heartbeatPicture(instance, 'orders…1', measured, 0);
  return [pictureHeading(instance, measured), ...lines.map((line) => paint(line, TERMINAL))];
}

describe('the heartbeat picture', () => {
  it.each<[ReasonCode, Heartbeats | null, readonly string[]]>([
    [
      'BOTH_WAYS_OK',
      beats(FINE, FINE),
      [
        'We reach it, and it reaches us.',
        'registry •───────────▸▌ orders…1   Heartbeat-1  2.0 ms',
        'registry ▐◂───────────• orders…1   Heartbeat-2  1 s ago',
      ],
    ],
    [
      'INBOUND_REFUSED',
      beats(REFUSED, FINE),
      [
        'It reaches us, but we cannot reach it.',
        'registry •───────────✕▌ orders…1   Heartbeat-1  refused, 2 missed  connect ECONNREFUSED 10.0.3.21:3001',
        'registry ▐◂───────────• orders…1   Heartbeat-2  1 s ago',
      ],
    ],
    [
      'OUTBOUND_SILENT',
      beats(FINE, SILENT),
      [
        'We reach it, but it does not call.',
        'registry •───────────▸▌ orders…1   Heartbeat-1  2.0 ms',
        'registry ▐   ╌╌╌──────• orders…1   Heartbeat-2  1 s ago, 3 missed',
      ],
    ],
    [
      'SILENT',
      beats(SILENT, SILENT),
      [
        'Neither reaches the other.',
        'registry •──────╌╌╌   ▌ orders…1   Heartbeat-1  2.0 ms, 3 missed',
        'registry ▐   ╌╌╌──────• orders…1   Heartbeat-2  1 s ago, 3 missed',
      ],
    ],
    [
      'NEW',
      beats(FINE, DUE),
      [
        'We reach it; its first Heartbeat-2 is due.',
        'registry •───────────▸▌ orders…1   Heartbeat-1  2.0 ms',
        'registry ▐············• orders…1   Heartbeat-2  due',
      ],
    ],
    [
      'PROOF_OF_DEATH',
      beats(REFUSED, FINE),
      [
        'No process is there: proof of death.',
        'registry •───────────✕▌ orders…1   Heartbeat-1  refused, 2 missed  connect ECONNREFUSED 10.0.3.21:3001',
        'registry ┆            · orders…1   Heartbeat-2  ended',
      ],
    ],
  ])('draws %s', (code, measured, expected) => {
    expect(read(code, measured)).toEqual(expected);
  });

  it('follows from the reason without a measurement', () => {
    expect(read('NEW', null)[0]).toBe('Neither direction is proved yet.');
    expect(read('NEW', beats(DUE, FINE))[0]).toBe('It reaches us; the first Heartbeat-1 is due.');
    expect(read('ADDRESS_SHARED', null)[0]).toBe('Two processes share its address.');
    expect(read('INBOUND_SILENT', null)[0]).toBe('It reaches us, but we cannot reach it.');
    expect(read('SILENT', null)[0]).toBe('Neither reaches the other.');
  });
});
