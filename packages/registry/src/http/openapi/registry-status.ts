import { CONTAINERS, ROLES } from '@rollcall/core';
import type {
  JsonSchema,
  BudgetAnswer,
  DescribedOption,
  EndingToken,
  HeartbeatTerms,
  OpenFiles,
  PreservationAnswer,
  RefusedAnswer,
  RegistryAnswer,
  RegistryStatus,
  ScopeAnswer,
  StoreTrouble,
  TlsAnswer,
} from '@rollcall/core';

import { COUNT, TEXT, NAME, object, listOf, orNull } from './parts.js';

const SCOPE = {
  used: COUNT,
  allowed: COUNT,
  peak: COUNT,
  total: COUNT,
  silent: COUNT,
  rule: orNull({ enum: ['mass', 'after-mass', 'allowance', 'doubt'] }),
  text: orNull(TEXT),
  sinceMs: orNull(COUNT),
};

/** `GET /api/v1/registry` */
export const REGISTRY_STATUS: JsonSchema = object<RegistryStatus>({
  replica: TEXT,
  version: TEXT,
  epoch: TEXT,
  revision: COUNT,
  settled: { type: 'boolean' },
  startedAt: { type: 'number' },
  store: object<RegistryAnswer['store']>({
    name: TEXT,
    durable: { type: 'boolean' },
    trouble: orNull(object<StoreTrouble>({ text: TEXT, sinceMs: COUNT, owed: COUNT })),
  }),
  heartbeat: object<HeartbeatTerms>({ intervalMs: COUNT, timeoutMs: COUNT, freshEvery: COUNT }),
  watchers: COUNT,
  instances: COUNT,
  tombstones: COUNT,
  view: object<RegistryAnswer['view']>({ revision: COUNT, hash: { type: 'string', pattern: '^[0-9a-f]{64}$' } }),
  calls: object<RegistryAnswer['calls']>({ p99LateMs: { type: 'number', minimum: 0 }, waiting: COUNT }),
  preservation: object<PreservationAnswer>({
    active: { type: 'boolean' },
    text: TEXT,
    sinceMs: orNull(COUNT),
    registry: object<ScopeAnswer>(SCOPE),
    services: listOf(object({ namespace: NAME, service: NAME, ...SCOPE })),
    servicesHolding: COUNT,
  }),
  policy: { type: 'object', additionalProperties: { type: 'number' } },
  limits: { type: 'object', additionalProperties: COUNT },
  options: {
    type: 'object',
    additionalProperties: object<DescribedOption>({ value: {}, source: { enum: ['default', 'preset', 'option'] } }),
  },
  access: { enum: ['open', 'tokens', 'certificates'] },
  visitor: orNull(object<NonNullable<RegistryStatus['visitor']>>({ role: { enum: ROLES }, id: TEXT })),
  insecure: { type: 'boolean' },
  refused: listOf(
    object<RefusedAnswer>({
      code: TEXT,
      detail: TEXT,
      fix: TEXT,
      from: TEXT,
      service: orNull(TEXT),
      times: COUNT,
      agoMs: COUNT,
    }),
  ),
  host: listOf(object<BudgetAnswer>({ name: TEXT, have: COUNT, used: COUNT, remedy: TEXT })),
  files: orNull(object<OpenFiles>({ open: COUNT, most: COUNT })),
  container: orNull({ enum: CONTAINERS }),
  endingTokens: listOf(
    object<EndingToken>({ id: TEXT, role: { enum: ROLES }, services: listOf(TEXT), expiresAt: { type: 'number' } }),
  ),
  tls: orNull(
    object<TlsAnswer>({
      expiresAt: { type: 'number' },
      fingerprint: TEXT,
      names: listOf(TEXT),
      clientCertificates: { type: 'boolean' },
      revocationList: { type: 'boolean' },
    }),
  ),
});
