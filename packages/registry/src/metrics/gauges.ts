import { ADMIN_STATES, STATES } from '@rollcall/core';
import type { Gauge, Meter } from '@rollcall/core';
import type { RegistryApi, ServiceSummary, TopologyAnswer } from '../registry-api.js';

/** So many services have series of their own; the others are one together. */
const MOST_SERVICES = 100;
/** No service can be called so: names are DNS labels. */
const OTHERS = '(other)';

/** What a registry is looked at for. */
export type Counted = Pick<RegistryApi, 'ready' | 'describe' | 'services' | 'topology'>;

/**
 * What is not counted as it happens but looked up when somebody asks: who is there, how far self-preservation is, whose circuits are open.
 * A registry that is not ready says only that: what is not known has no series, since 0 would be a lie.
 */
export class RegistryGauges {
  readonly #ready: Gauge;
  readonly #settled: Table;
  readonly #instances: Table;
  readonly #callable: Table;
  readonly #admin: Table;
  readonly #allowed: Table;
  readonly #services: Table;
  readonly #tombstones: Table;
  readonly #waiting: Table;
  readonly #silent: Table;
  readonly #slots: Table;
  readonly #holding: Table;
  readonly #circuits: Table;
  readonly #trouble: Table;

  constructor(meter: Meter) {
    const table = (name: string, help: string, labels: readonly string[] = []): Table =>
      new Table(meter.gauge(name, help, labels));
    this.#ready = meter.gauge('rollcall_registry_ready', 'Is the store loaded? 1 or 0.');
    this.#settled = table('rollcall_registry_settled', 'Is what the registry does not know not there? 1 or 0.');
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
    this.#admin = table(
      'rollcall_registry_admin_instances',
      'Instances by admin state: ENABLED, DRAINING, MAINTENANCE.',
      ['namespace', 'service', 'admin'],
    );
    this.#allowed = table('rollcall_registry_instances_allowed', 'Instances that may be registered: maxInstances.');
    this.#services = table('rollcall_registry_services', 'Services that have instances or tombstones.');
    this.#tombstones = table('rollcall_registry_tombstones', 'Removed instances that are remembered.');
    this.#trouble = table('rollcall_registry_store_trouble', 'Does the store refuse what it is told? 1 or 0.');
    this.#waiting = table(
      'rollcall_registry_heartbeat1_waiting',
      'Instances whose call is due and waits for others to end.',
    );
    this.#silent = table(
      'rollcall_registry_silent_instances',
      'Instances once proved both ways that are silent in one direction now.',
    );
    this.#slots = table(
      'rollcall_registry_preservation_slots',
      'Instances that silence made CRITICAL within 10 min, and may.',
      ['slot'],
    );
    this.#holding = table(
      'rollcall_registry_preservation_holding',
      'Does self-preservation hold the registry, and how many services.',
      ['scope'],
    );
    this.#circuits = table(
      'rollcall_registry_circuits_open',
      'Circuits to instances that callers have open, by the service called.',
      ['namespace', 'service'],
    );
  }

  take(registry: Counted): void {
    this.#ready.set(registry.ready ? 1 : 0);
    const described = registry.describe();
    const services = registry.services('*');
    const topology = registry.topology('*');
    const about = described.ok ? described.value : null;
    const { registry: all } = about?.preservation ?? {};
    this.#settled.tell(about === null ? [] : [row(about.settled ? 1 : 0)]);
    this.#allowed.tell(about === null ? [] : [row(about.limits.maxInstances)]);
    this.#tombstones.tell(about === null ? [] : [row(about.tombstones)]);
    this.#trouble.tell(about === null ? [] : [row(about.store.trouble === null ? 0 : 1)]);
    this.#waiting.tell(about === null ? [] : [row(about.calls.waiting)]);
    this.#silent.tell(all === undefined ? [] : [row(all.silent)]);
    this.#slots.tell(all === undefined ? [] : [row(all.used, 'used'), row(all.allowed, 'allowed')]);
    this.#holding.tell(
      about === null || all === undefined
        ? []
        : [row(all.rule === null ? 0 : 1, 'registry'), row(about.preservation.servicesHolding, 'services')],
    );
    this.#services.tell(services.ok ? [row(services.value.services.length)] : []);
    const parts = services.ok ? partsOf(services.value.services) : [];
    this.#instances.tell(
      parts.flatMap(({ labels, states }) => STATES.map((state) => row(states[state], ...labels, state))),
    );
    this.#callable.tell(parts.map(({ labels, callable }) => row(callable, ...labels)));
    this.#admin.tell(
      parts.flatMap(({ labels, admin }) => ADMIN_STATES.map((word) => row(admin[word], ...labels, word))),
    );
    this.#circuits.tell(topology.ok ? circuitRows(topology.value) : []);
  }
}

interface Row {
  readonly value: number;
  readonly labels: readonly string[];
}

const row = (value: number, ...labels: readonly string[]): Row => ({ value, labels });

/** A gauge that is told all its series at a time: those that are left out are forgotten. */
class Table {
  readonly #gauge: Gauge<readonly string[]>;
  #told = new Map<string, readonly string[]>();

  constructor(gauge: Gauge<readonly string[]>) {
    this.#gauge = gauge;
    gauge.forget();
  }

  tell(rows: readonly Row[]): void {
    const before = this.#told;
    this.#told = new Map(rows.map(({ labels }) => [labels.join('/'), labels]));
    for (const [key, labels] of before) if (!this.#told.has(key)) this.#gauge.forget(...labels);
    for (const { value, labels } of rows) this.#gauge.set(value, ...labels);
  }
}

/** What is counted of a service, or of all that have no name of their own. */
interface Part extends Pick<ServiceSummary, 'states' | 'callable' | 'admin'> {
  /** Namespace and service. */
  readonly labels: readonly [string, string];
}

/** Those in trouble first, then the largest: a service that an alert is about has a name, however many services there are. */
function partsOf(services: readonly ServiceSummary[]): readonly Part[] {
  const sorted =
    services.length <= MOST_SERVICES
      ? services
      : services.toSorted(
          (a, b) => wellness(a) - wellness(b) || b.instances - a.instances || (keyOf(a) < keyOf(b) ? -1 : 1),
        );
  const named = sorted
    .slice(0, MOST_SERVICES)
    .map(({ namespace, name, ...counts }): Part => ({ ...counts, labels: [namespace, name] }));
  const others = sorted.slice(MOST_SERVICES);
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

/** 0: it has instances, and callers may call none of them; 1: none of them is HEALTHY; 2: neither. */
function wellness({ states, instances, callable }: ServiceSummary): 0 | 1 | 2 {
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
  const others = sorted.slice(MOST_SERVICES).reduce((sum, { value }) => sum + value, 0);
  return [...sorted.slice(0, MOST_SERVICES), ...(others > 0 ? [row(others, OTHERS, OTHERS)] : [])];
}
