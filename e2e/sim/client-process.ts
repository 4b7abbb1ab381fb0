import { Rollcall } from '@rollcall/client';
import type { ServiceView } from '@rollcall/client';
import { messageOf } from '@rollcall/core';
import type { Cursor, Frame, HeartbeatCall, Instance, InstanceId, Protocol } from '@rollcall/core';
import type { Bugs } from './bugs.js';
import { LineCount } from './line-count.js';
import { NetworkLink } from './link.js';
import type { LinkObserver } from './link.js';
import type { End, Network } from './network.js';
import type { Request } from './registry-node.js';
import { answerWith } from './rpc.js';
import { NetworkTransport } from './transport.js';
import type { Answer, AddressedRequest, Question } from './transport.js';
import type { Machine, Process } from './world.js';

/** Where the processes of a kind run, one after another. */
export interface Place {
  /** `orders-1` */
  readonly name: string;
  readonly machine: Machine;
  /** Null: it only calls others. */
  readonly service: string | null;
  readonly endpoints: readonly { readonly protocol: Protocol; readonly port: number }[];
  /** What it watches; the first one from the beginning, the others a moment later. */
  readonly watches: readonly string[];
  /** Shares its port with other processes, which get the connections in turns. */
  readonly isWorker?: boolean;
}

/** Observes what a process sends and receives. */
export interface ClientObserver {
  readonly registry: Machine;
  readonly bugs: Bugs;
  /** It sends a request to the registry. */
  requested(request: Request): void;
  frame(frame: Frame, to: ClientProcess): void;
  /** Its feed confirms that it has delivered everything up to there. */
  marked(by: ClientProcess, cursor: Cursor): void;
  /** It has executed a request, meant for itself or for another instance. */
  executed(by: InstanceId, question: AddressedRequest, from: Process): void;
  /** A call that may be repeated has ended: null, or why it failed. */
  called(from: ClientProcess, service: string, call: { readonly since: number; readonly error: string | null }): void;
}

/** The delay between the first watch and the next one: a stream is then replaced by another. */
const NEXT_WATCH_MS = 300;
const CALLS_EVERY_MS = 1_000;
const DRAIN_MS = 10_000;
const DRAIN_QUIET_MS = 200;

/** One process with the real client in it, for its whole life, with the true facts about it. */
export class ClientProcess {
  readonly place: Place;
  readonly process: Process;
  readonly startedAt: number;
  /** Its instance id; null for one that only calls. */
  readonly id: InstanceId | null;
  /** Endpoints that accept and never answer. */
  readonly mute = new Set<number>();
  /** Truth: it answered an authentic Heartbeat-1; a Heartbeat-2 of it was accepted; it announced that it leaves. */
  wasCalled = false;
  hasBeaten = false;
  leavesAt = Infinity;
  /**
   * Its feed: the services of the newest stream, the number of streams, and up to where the newest has delivered
   * everything.
   */
  streamed: readonly string[] = [];
  streams = 0;
  cursor: Cursor | null = null;
  /** The request that opened the newest stream: which services, and from where it resumes. */
  resumed: { readonly services: readonly string[]; readonly cursor: Cursor } | null = null;
  /** The epoch in which it last received a record of each instance. */
  readonly epochs = new Map<InstanceId, string>();
  readonly log = new LineCount();
  readonly #epochOf = new Map<string, string>();
  readonly #network: Network;
  readonly #observer: ClientObserver;
  readonly #rollcall: Rollcall;

  constructor(network: Network, place: Place, observer: ClientObserver) {
    const process = network.spawn(place.machine, place.name);
    this.place = place;
    this.process = process;
    this.startedAt = network.world.now;
    this.#network = network;
    this.#observer = observer;
    const { bugs } = observer;
    const link = bugs.link(new NetworkLink(network, process, observer.registry, this.#linkObserver()));
    const options = place.service === null ? {} : { service: place.service };
    this.#rollcall = new Rollcall(options, {
      time: process,
      random: bugs.random(network.world.fork()),
      log: this.log,
      link,
      transports: {
        tcp: new NetworkTransport(network, process, 'tcp', bugs.identity),
        http: new NetworkTransport(network, process, 'http', bugs.identity),
      },
    });
    this.id = place.service === null ? null : this.#rollcall.id;
    this.listen();
    this.#begin();
  }

  /** Answers at its ports. Throws when one is taken. */
  listen(): void {
    for (const { port } of this.place.endpoints) this.#listenAt(port);
  }

  /** Its last endpoint is closed: connections are refused. Returns how to open it again. */
  closeLastEndpoint(): () => void {
    const port = this.place.endpoints.at(-1)?.port ?? 0;
    this.#network.unlisten(this.process, port);
    this.mute.add(port);
    return () => {
      this.mute.delete(port);
      if (this.process.isAlive) this.#listenAt(port);
    };
  }

  /** Its view of a service. */
  service(name: string): ServiceView {
    return this.#rollcall.service(name);
  }

  /** The instances it might call: every state but the last two. */
  callable(service: string): readonly Instance[] {
    return this.service(service).instances.filter(
      ({ state, admin }) => admin === 'ENABLED' && state !== 'CRITICAL' && state !== 'DEREGISTERING',
    );
  }

  /** SIGTERM: drains, leaves, ends. */
  async leave(): Promise<void> {
    this.leavesAt = this.#network.world.now;
    await this.#rollcall.drain({ deadlineMs: DRAIN_MS });
    await new Promise<void>((resolve) => void this.process.setTimer(DRAIN_QUIET_MS, resolve));
    await this.#rollcall.close();
    this.process.die(true);
  }

  #listenAt(port: number): void {
    const answer = (message: unknown, end: End): unknown => (this.mute.has(port) ? null : this.#answer(message, end));
    this.#network.listen(this.process, port, answerWith(answer), this.place.isWorker);
  }

  #begin(): void {
    const { service, watches, endpoints } = this.place;
    this.#rollcall.start();
    const [first, ...others] = watches;
    if (first !== undefined) this.service(first);
    if (others.length > 0) this.process.setTimer(NEXT_WATCH_MS, () => others.forEach((name) => this.service(name)));
    if (service === null) watches.forEach((name) => this.#scheduleCall(name));
    else this.#rollcall.register(endpoints);
  }

  /** Calls again and again, whatever the result. */
  #scheduleCall(service: string): void {
    this.process.setTimer(CALLS_EVERY_MS, () => {
      this.#scheduleCall(service);
      void this.#call(service);
    });
  }

  async #call(service: string): Promise<void> {
    const since = this.#network.world.now;
    const error = await this.#rollcall.call(service, 'work', null, { idempotent: true }).then(
      () => null,
      (reason: unknown) => messageOf(reason),
    );
    this.#observer.called(this, service, { since, error });
  }

  #answer(message: unknown, end: End): unknown {
    if (typeof message === 'object' && message !== null && 'heartbeat1' in message) {
      const call = message.heartbeat1 as HeartbeatCall;
      if (call.instance === this.id && call.purpose !== 'opinion') this.wasCalled = true;
      return this.#rollcall.answer(call);
    }
    return this.#execute(message as Question, end);
  }

  #execute(question: Question, end: End): Answer {
    if ('identity' in question) return { instance: this.#rollcall.answer({}).instance };
    this.#observer.executed(this.#rollcall.id, question, end.peer!.process);
    return { done: question.call, by: this.#rollcall.id };
  }

  #linkObserver(): LinkObserver {
    return {
      requested: (request) => this.#observer.requested(request),
      opened: ({ services, resume, cursor }) => {
        this.streams += 1;
        this.streamed = services;
        this.resumed = cursor === null ? null : { services: resume, cursor };
        this.cursor = null;
      },
      frame: (frame) => {
        this.#recordEpochs(frame);
        this.#observer.frame(frame, this);
      },
      mark: (cursor) => {
        this.cursor = cursor;
        this.#observer.marked(this, cursor);
      },
    };
  }

  #recordEpochs({ event, data }: Frame): void {
    if (event === 'reset') {
      this.#epochOf.set(data.service, data.epoch);
      for (const { id } of data.instances) this.epochs.set(id, data.epoch);
    }
    if (event !== 'change') return;
    for (const { id } of data.upsert) this.epochs.set(id, this.#epochOf.get(data.service) ?? '');
  }
}
