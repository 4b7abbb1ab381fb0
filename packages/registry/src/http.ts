// The HTTP server of a registry, for programs that build the engine with their own clock, network and store.
export { DEFAULT_HOST, DEFAULT_PORT, serveRegistry } from './http/server.js';
export type { RegistryServer, ServeOptions } from './http/server.js';
export { RegistryMetrics } from './metrics/registry-metrics.js';
export type { RegistryMetricsPorts, Scene } from './metrics/registry-metrics.js';
export type { ExpositionFormat } from './metrics/exposition.js';
export type { Counted } from './metrics/gauges.js';
export type { Load } from './metrics/host-budget.js';
export type { CertificateRule } from './access/client-certificates.js';

export type { RegistryTls } from './http/access/tls.js';

export type { BudgetAnswer, OpenFiles, ProcessFacts } from '@rollcall/core';
