import { ADMIN_STATES, STATES } from '@rollcall/core';
import type { Gauge, Meter, ServiceSummary, TopologyAnswer } from '@rollcall/core';
import type { RegistryApi } from '../registry-api.js';

/** Maximum of services with series of their own; the others share one. */
const MAX_SERVICES = 100;
/** Not a possible service name: names are DNS labels. */
const OTHERS = '(other)';

/** The part of a registry that the gauges read. */
export type Counted = Pick<RegistryApi, 'ready' | 'describe' | 'services' | 'topology'>;

/**
 * Gauges that are read on demand: instances, self-preservation, open circuits. A registry that is not ready exposes
 * only that: an unknown value has no series, as 0 would be wrong.
 */
export class RegistryGauges {
  readonly #ready: Gauge;
  readonly #settled: LabelledGauge;
  readonly #instances: LabelledGauge;
  readonly #callable: LabelledGauge;
  readonly #admin: LabelledGauge;
  readonly #allowed: LabelledGauge;
  readonly #services: LabelledGauge;
  readonly #tombstones: LabelledGauge;
  readonly #waiting: LabelledGauge;
  readonly #silent: LabelledGauge;
  readonly #slots: LabelledGauge;
  readonly #holding: LabelledGauge;
  readonly #circuits: LabelledGauge;
  readonly #trouble: LabelledGauge;

  constructor(meter: Meter) {
    const table = (name: string, help: string, labels: readonly string[] = []): LabelledGauge =>
      new LabelledGauge(meter.gauge(name, help, labels));
    this.#ready = meter.gauge('rollcall_registry_ready', '1 once the store is loaded, else 0.');
    this.#settled = table('rollcall_registry_settled', '1 once an unknown instance can be reported as absent, else 0.');
    this.#instances = table(
      'rollcall_registry_instances',
      'Instances by state; 100 services by name, those without a callable instance first, then the largest; the others are (other).',
      ['namespace', 'service', 'state'],
    );
    this.#callable = table(
      'rollcall_registry_callable_instances',
      'Instances that callers may call: ENABLED, and HEALTHY, REGISTERING or UNHEALTHY.',
      ['namespace', 'service'],
    );
    this.#admin = table('rollcall_registry_admin_instances', `Instances by admin state: ${ADMIN_STATES.join(', ')}.`, [
      'namespace',
      'service',
      'admin',
    ]);
    this.#allowed = table(
      'rollcall_registry_instances_allowed',
      'Maximum number of registered instances: maxInstances.',
    );
    this.#services = table('rollcall_registry_services', 'Services with instances or tombstones.');
    this.#tombstones = table('rollcall_registry_tombstones', 'Removed instances with a tombstone.');
    this.#trouble = table('rollcall_registry_store_trouble', '1 while the store rejects writes, else 0.');
    this.#waiting = table(
      'rollcall_registry_heartbeat1_waiting',
      'Instances whose Heartbeat-1 call is due and queued behind other calls.',
    );
    this.#silent = table(
      'rollcall_registry_silent_instances',
      'Instances proved in both directions that are silent in at least one now.',
    );
    this.#slots = table(
      'rollcall_registry_preservation_slots',
      'Instances that silence made CRITICAL within 10 min, and the maximum.',
      ['slot'],
    );
    this.#holding = table(
      'rollcall_registry_preservation_holding',
      '1 while self-preservation holds the registry, else 0; and the number of held services.',
      ['scope'],
    );
    this.#circuits = table(
      'rollcall_registry_circuits_open',
      'Open circuits of callers to instances, by called service.',
      ['namespace', 'service'],
    );
  }

  update(registry: Counted): void {
    this.#ready.set(registry.ready ? 1 : 0);
    const described = registry.describe();
    const services = registry.services('*');
    const topology = registry.topology('*');
    const about = described.ok ? described.value : null;
    const { registry: all } = about?.preservation ?? {};
    this.#settled.setAll(about === null ? [] : [row(about.settled ? 1 : 0)]);
    this.#allowed.setAll(about === null ? [] : [row(about.limits.maxInstances)]);
    this.#tombstones.setAll(about === null ? [] : [row(about.tombstones)]);
    this.#trouble.setAll(about === null ? [] : [row(about.store.trouble === null ? 0 : 1)]);
    this.#waiting.setAll(about === null ? [] : [row(about.calls.waiting)]);
    this.#silent.setAll(all === undefined ? [] : [row(all.silent)]);
    this.#slots.setAll(all === undefined ? [] : [row(all.used, 'used'), row(all.allowed, 'allowed')]);
    this.#holding.setAll(
      about === null || all === undefined
        ? []
        : [row(all.rule === null ? 0 : 1, 'registry'), row(about.preservation.servicesHolding, 'services')],
    );
    this.#services.setAll(services.ok ? [row(services.value.services.length)] : []);
    const parts = services.ok ? partsOf(services.value.services) : [];
    this.#instances.setAll(
      parts.flatMap(({ labels, states }) => STATES.map((state) => row(states[state], ...labels, state))),
    );
    this.#callable.setAll(parts.map(({ labels, callable }) => row(callable, ...labels)));
    this.#admin.setAll(
      parts.flatMap(({ labels, admin }) => ADMIN_STATES.map((word) => row(admin[word], ...labels, word))),
    );
    this.#circuits.setAll(topology.ok ? circuitRows(topology.value) : []);
  }
}

interface Row {
  readonly value: number;
  readonly labels: readonly string[];
}

const row = (value: number, ...labels: readonly string[]): Row => ({ value, labels });

/** A gauge whose series are set all at once: those left out are removed. */
class LabelledGauge {
  readonly #gauge: Gauge<readonly string[]>;
  #labels = new Map<string, readonly string[]>();

  constructor(gauge: Gauge<readonly string[]>) {
    this.#gauge = gauge;
    gauge.forget();
  }

  setAll(rows: readonly Row[]): void {
    const before = this.#labels;
    this.#labels = new Map(rows.map(({ labels }) => [labels.join('/'), labels]));
    for (const [key, labels] of before) if (!this.#labels.has(key)) this.#gauge.forget(...labels);
    for (const { value, labels } of rows) this.#gauge.set(value, ...labels);
  }
}

/** The counts of a service, or of all services without series of their own. */
interface Part extends Pick<ServiceSummary, 'states' | 'callable' | 'admin'> {
  /** Namespace and service. */
  readonly labels: readonly [string, string];
}

/**
 * Services with problems first, then the largest: a service that triggers an alert has its own series, however many
 * services there are.
 */
function partsOf(services: readonly ServiceSummary[]): readonly Part[] {
  const sorted =
    services.length <= MAX_SERVICES
      ? services
      : services.toSorted(
          (a, b) => severity(a) - severity(b) || b.instances - a.instances || (keyOf(a) < keyOf(b) ? -1 : 1),
        );
  const named = sorted
    .slice(0, MAX_SERVICES)
    .map(({ namespace, name, ...counts }): Part => ({ ...counts, labels: [namespace, name] }));
  const others = sorted.slice(MAX_SERVICES);
  return others.length === 0 ? named : [...named, sumOf(others)];
}

function sumOf(services: readonly ServiceSummary[]): Part {
  const states = { HEALTHY: 0, REGISTERING: 0, UNHEALTHY: 0, CRITICAL: 0, DEREGISTERING: 0 };
  const admin = { ENABLED: 0, DRAINING: 0, MAINTENANCE: 0 };
  let callable = 0;
  for (const service of services) {
    for (const state of STATES) states[state] += service.states[state];
    for (const word of ADMIN_STATES) admin[word] += service.admin[word];
    callable += service.callable;
  }
  return { states, admin, callable, labels: [OTHERS, OTHERS] };
}

/** 0: it has instances and none is callable; 1: none is HEALTHY; 2: neither. */
function severity({ states, instances, callable }: ServiceSummary): 0 | 1 | 2 {
  if (instances === 0) return 2;
  if (callable === 0) return 0;
  return states.HEALTHY === 0 ? 1 : 2;
}

const keyOf = ({ namespace, name }: ServiceSummary): string => `${namespace}/${name}`;

function circuitRows({ edges }: TopologyAnswer): readonly Row[] {
  const open = new Map<string, { readonly labels: readonly string[]; value: number }>();
  for (const { namespace, to, targets } of edges) {
    const known = open.get(`${namespace}/${to}`) ?? { labels: [namespace, to], value: 0 };
    for (const { circuits } of targets) known.value += circuits.open;
    if (known.value > 0) open.set(`${namespace}/${to}`, known);
  }
  const sorted = [...open.values()].toSorted((a, b) => b.value - a.value);
  const others = sorted.slice(MAX_SERVICES).reduce((sum, { value }) => sum + value, 0);
  return [...sorted.slice(0, MAX_SERVICES), ...(others > 0 ? [row(others, OTHERS, OTHERS)] : [])];
}
