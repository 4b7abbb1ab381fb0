// The HTTP face of a registry, for whoever has built the engine with an own clock, network and store.
export { DEFAULT_HOST, DEFAULT_PORT, serveRegistry } from './http/server.js';
export type { RegistryServer, ServeOptions } from './http/server.js';
export { RegistryMetrics } from './http/registry-metrics.js';
export type { RegistryMetricsPorts, Scene } from './http/registry-metrics.js';
export type { ExpositionFormat } from './exposition.js';
export type { Counted } from './census.js';
export type { BudgetAnswer, Load } from './host-budget.js';
export type { CertificateRule } from './certificates.js';
export type { OpenFiles, ProcessFacts } from './host-facts.js';
export type { RegistryTls } from './http/tls.js';
