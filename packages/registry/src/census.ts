import { STATES } from '@rollcall/core';
import type { Gauge, Meter } from '@rollcall/core';
import type { RegistryFace, ServiceSummary, TopologyAnswer } from './face.js';

/** So many services have series of their own; the others are one together. */
const MOST_SERVICES = 100;
/** No service can be called so: names are DNS labels. */
const OTHERS = '(other)';

/** What a registry is looked at for. */
export type Counted = Pick<RegistryFace, 'ready' | 'describe' | 'services' | 'topology'>;

/**
 * What is not counted as it happens but looked up when somebody asks: who is there, how far self-preservation is, whose circuits are open.
 * A registry that is not ready says only that: what is not known has no series, since 0 would be a lie.
 */
export class Census {
  readonly #ready: Gauge;
  readonly #settled: Table;
  readonly #instances: Table;
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
      'Instances by state; 100 services by name, those without a HEALTHY instance first, then the largest; the others are (other).',
      ['namespace', 'service', 'state'],
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
    this.#instances.tell(services.ok ? instanceRows(services.value.services) : []);
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

/** Those in trouble first, then the largest: whom an alert is about has a name, however many services there are. */
function instanceRows(services: readonly ServiceSummary[]): readonly Row[] {
  const sorted =
    services.length <= MOST_SERVICES
      ? services
      : services.toSorted(
          (a, b) => isWell(a) - isWell(b) || b.instances - a.instances || (keyOf(a) < keyOf(b) ? -1 : 1),
        );
  const named = sorted
    .slice(0, MOST_SERVICES)
    .flatMap(({ namespace, name, states }) => STATES.map((state) => row(states[state], namespace, name, state)));
  const others = sorted.slice(MOST_SERVICES);
  if (others.length === 0) return named;
  const sumOf = (state: (typeof STATES)[number]): number => others.reduce((sum, { states }) => sum + states[state], 0);
  return [...named, ...STATES.map((state) => row(sumOf(state), OTHERS, OTHERS, state))];
}

/** 0: it has instances, and none of them is HEALTHY. */
const isWell = ({ states, instances }: ServiceSummary): 0 | 1 => (states.HEALTHY > 0 || instances === 0 ? 1 : 0);

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
