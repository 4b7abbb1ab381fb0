import { constants, X509Certificate } from 'node:crypto';
import type { Server } from 'node:https';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContextOptions, TlsOptions as NodeTlsOptions } from 'node:tls';
import { Credentials, messageOf } from '@rollcall/core';
import type { CredentialTerms, Log, Pem, Time, Timer } from '@rollcall/core';
import {
  certificateIdOf,
  clientCertificate,
  EXPIRED,
  expiryOf,
  sansOf,
  troubleOf,
  untrusted,
} from '../../access/client-certificates.js';
import type { CertificateRule, ClientCertificate } from '../../access/client-certificates.js';
import type { Standing } from '../../access/permissions.js';
import { contextOf, PEM_FILES } from '../../probing/protocols/pem-files.js';
import { spanText } from '../../runtime/span-text.js';
import { Handshakes } from './handshakes.js';
import { listsOf, NO_LISTS } from './revocation-lists.js';
import type { ListTerm, RevocationLists } from './revocation-lists.js';

/** How the registry serves over TLS. All files are PEM, and are read anew when they have changed. */
export interface RegistryTls {
  /** Its certificate, with those between it and its CA. */
  readonly certFile: string;
  /** The private key of that. */
  readonly keyFile: string;
  /** The CAs that sign the certificates of clients: then clients are asked for one. Default: they are not asked. */
  readonly caFile?: string | undefined;
  /** The revocation lists of those CAs: whom one was made for that is out of date is trusted no longer. Default: none was revoked. */
  readonly crlFile?: string | undefined;
  /** What certificates may do that were not made for Rollcall. Default: only what their `rollcall:` URIs say. */
  readonly certificates?: readonly CertificateRule[] | undefined;
}

/** What people are told of it: no secrets, no places. */
export interface TlsAnswer {
  /** When its own certificate ends, wall clock, ms since 1970. */
  readonly expiresAt: number;
  /** SHA-256 of its own certificate. */
  readonly fingerprint: string;
  /** The subject alternative names of its own certificate, `DNS:registry.internal`. */
  readonly names: readonly string[];
  /** Are clients asked for certificates? */
  readonly clientCertificates: boolean;
  /** Are they looked up in a revocation list? */
  readonly revocationList: boolean;
}

/** What a connection shows. Valid until `expiresAt`, ms since 1970. */
export interface ShownCertificate {
  readonly standing: Extract<Standing, { readonly kind: 'untrusted' | 'nameless' | 'valid' }>;
  readonly expiresAt: number;
}

/** Who is on the other end of a connection. */
export interface Clients {
  /** Null: it shows no certificate, or is retired. */
  shownBy(socket: Socket): ShownCertificate | null;
  /** The trust in its certificate has been taken back: no further request of it may be answered, and its streams end. */
  isRetired(socket: Socket): boolean;
  /** `listener` is told each time a certificate may have lost its validity while its connection lives. */
  onDistrust(listener: () => void): void;
}

/** Files that have changed count within this time. */
const LOOK_EVERY_MS = 1_000;
/** A connection that has not even shaken hands by then is closed. */
const HANDSHAKE_MS = 5_000;
/** Whoever was revoked, or not, has so long for the request that is under way when the lists change. */
const GRACE_MS = 1_000;
const DAY_MS = 86_400_000;
/** Before the registry's own certificate expires. */
const WARN_BEFORE_MS = 14 * DAY_MS;
/** A revocation list is to be renewed when so much of its time is left: some live a month, some an hour. */
const WARN_BEFORE_RATIO = 0.25;

interface Material extends Pick<SecureContextOptions, 'cert' | 'key' | 'ca'> {
  readonly own: X509Certificate;
  readonly cas: readonly string[];
}

interface Used {
  readonly material: Material;
  readonly lists: RevocationLists;
}

/**
 * The registry's side of TLS: its certificate, whom it trusts, who is connected by which certificate. Looks once a second whether the files
 * have changed. A new certificate of its own counts for new connections and ends none. What cannot be used changes nothing but the log. When
 * somebody is trusted no longer (a new revocation list, a CA taken out), Node does not tell whom: so all connections with client certificates
 * are closed, and opened again by those who may. So are those whose handshake is under way: Node verifies them by the lists of when they came.
 * The same is done when a revocation list goes out of date. Where clients are asked for certificates no session is resumed: a resumed one is
 * not verified anew.
 */
export class ServerTls implements Clients {
  readonly #tls: RegistryTls;
  readonly #ports: { readonly log: Log; readonly time: Time };
  readonly #material: Credentials<Material>;
  readonly #lists: Credentials<RevocationLists> | null;
  /** What new connections are opened with. */
  #used: Used;
  readonly #known = new WeakMap<TLSSocket, ClientCertificate | ShownCertificate>();
  /** Those that live and show a certificate. */
  readonly #open = new Set<TLSSocket>();
  /** What is below TLS: whoever does not even shake hands is known to nobody else. */
  readonly #wires = new Set<Socket>();
  /** Where clients are asked for certificates. */
  readonly #handshakes = new Handshakes<Socket>();
  readonly #retired = new WeakSet<Socket>();
  readonly #listeners: (() => void)[] = [];
  #nextExpiry = Infinity;
  #warnedOf = '';
  #lookedAtLists = -Infinity;
  #complaint = '';
  #server: Server | null = null;
  #timer: Timer | null = null;
  #isClosed = false;

  /** Throws OPTION_INVALID for files that cannot be read, or do not belong together. */
  constructor(tls: RegistryTls, ports: { readonly log: Log; readonly time: Time }) {
    const { certFile, keyFile, caFile, crlFile } = tls;
    this.#tls = tls;
    this.#ports = ports;
    this.#material = credentials({ certFile, keyFile, caFile }, 'tls', materialOf, ports.log);
    this.#lists =
      crlFile === undefined
        ? null
        : credentials({ caFile: crlFile }, 'tls.crlFile', ({ ca }) => listsOf(ca), ports.log);
    this.#used = this.#newest();
    this.#warnOfExpiry();
    this.#followLists();
  }

  get asksClients(): boolean {
    return this.#tls.caFile !== undefined;
  }

  /** What Node's server is made with. */
  get serverOptions(): NodeTlsOptions {
    // whom Node does not verify is told why, by an answer: a handshake that fails says nothing
    const asked = { requestCert: this.asksClients, rejectUnauthorized: false };
    return { ...this.#contextOptions(this.#used), ...asked, handshakeTimeout: HANDSHAKE_MS };
  }

  /** The first of these names and addresses that its certificate is for; null: it is for none. */
  nameAmong(hosts: readonly string[]): string | null {
    const { own } = this.#used.material;
    const isFor = (host: string): boolean => (isIP(host) === 0 ? own.checkHost(host) : own.checkIP(host)) !== undefined;
    return hosts.find(isFor) ?? null;
  }

  /** Follows the files, for this server, until `close`. */
  attach(server: Server): void {
    this.#server = server;
    // one that cannot listen never closes either
    server.once('listening', () => this.#lookLater());
    server.on('connection', (wire: Socket) => {
      this.#wires.add(wire);
      if (this.asksClients) this.#handshakes.begin(wire, wire);
      wire.once('close', () => this.#wires.delete(wire));
    });
    server.on('secureConnection', (socket) => this.#connected(socket));
  }

  isRetired(socket: Socket): boolean {
    return this.#retired.has(socket);
  }

  shownBy(socket: Socket): ShownCertificate | null {
    if (!(socket instanceof TLSSocket) || this.#retired.has(socket)) return null;
    const known = this.#known.get(socket) ?? null;
    if (known === null || 'standing' in known) return known;
    const { id, expiresAt, worth } = known;
    const isOver = this.#ports.time.wall() >= expiresAt;
    return { standing: isOver ? untrusted(id, EXPIRED) : worth, expiresAt };
  }

  onDistrust(listener: () => void): void {
    this.#listeners.push(listener);
  }

  describe(): TlsAnswer {
    const { own } = this.#used.material;
    return {
      expiresAt: expiryOf(own),
      fingerprint: own.fingerprint256,
      names: sansOf(own.subjectAltName),
      clientCertificates: this.asksClients,
      revocationList: this.#lists !== null,
    };
  }

  /** Breaks off every connection. */
  cut(): void {
    for (const wire of this.#wires) wire.destroy();
  }

  /** Looks no more. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** As the one handshake of its connection has shown it. */
  #read(socket: TLSSocket): void {
    const read = socket.getPeerX509Certificate();
    if (read === undefined) return;
    const known = socket.authorized
      ? clientCertificate(read, this.#tls.certificates ?? [])
      : {
          standing: untrusted(certificateIdOf(read), troubleOf(read, String(socket.authorizationError))),
          expiresAt: -Infinity,
        };
    this.#known.set(socket, known);
  }

  #connected(socket: TLSSocket): void {
    if (!this.asksClients) return;
    // verified by lists that count no longer
    if (this.#handshakes.finish(socket) === null) {
      socket.destroy();
      return;
    }
    // a second handshake (TLS 1.2) could show another certificate, of which nobody would know when it is revoked
    socket.disableRenegotiation();
    this.#read(socket);
    const shown = this.shownBy(socket);
    if (shown === null) return;
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    if (shown.expiresAt > this.#ports.time.wall()) this.#nextExpiry = Math.min(this.#nextExpiry, shown.expiresAt);
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    const look = (): void => {
      this.#look();
      this.#lookLater();
    };
    this.#timer = this.#ports.time.setTimer(LOOK_EVERY_MS, look, { background: true });
  }

  #look(): void {
    const before = this.#used;
    const next = this.#newest();
    const isNew = next.material !== before.material || next.lists !== before.lists;
    const isNarrowed = isNew && this.#use(next) && isNarrower(before, next);
    const isOver = this.#followLists();
    if (isNarrowed || isOver) this.#retire();
    this.#warnOfExpiry();
    if (this.#ports.time.wall() >= this.#nextExpiry) this.#expire();
  }

  /** False: Node takes each of them, but not all together, so what was there before goes on. Told once, and tried again with each look. */
  #use(next: Used): boolean {
    try {
      // tickets of sessions that were begun before are worth nothing from here on
      this.#server?.setSecureContext(this.#contextOptions(next));
    } catch (error) {
      const complaint = messageOf(error);
      if (complaint !== this.#complaint)
        this.#ports.log.error(
          `The files of TLS have changed, but Node cannot serve with them: ${complaint}. Connections go on with what was there before, until it can. Put files there that belong together.`,
        );
      this.#complaint = complaint;
      return false;
    }
    this.#complaint = '';
    // each list is judged anew
    if (next.lists !== this.#used.lists) this.#lookedAtLists = -Infinity;
    this.#used = next;
    return true;
  }

  #contextOptions({ material: { cert, key, ca }, lists: { texts } }: Used): SecureContextOptions {
    const whole = this.asksClients ? { secureOptions: constants.SSL_OP_NO_TICKET } : {};
    return { cert, key, ca, minVersion: 'TLSv1.2', ...whole, ...(texts.length === 0 ? {} : { crl: [...texts] }) };
  }

  #newest(): Used {
    return { material: this.#material.current, lists: this.#lists?.current ?? NO_LISTS };
  }

  #retire(): void {
    const retired = [...this.#open];
    for (const socket of retired) this.#retired.add(socket);
    for (const wire of this.#handshakes.abandon()) wire.destroy();
    for (const listener of this.#listeners) listener();
    this.#server?.closeIdleConnections();
    const cut = (): void => {
      for (const socket of retired) socket.destroy();
    };
    this.#ports.time.setTimer(GRACE_MS, cut, { background: true });
    const { log } = this.#ports;
    log.info(
      `${retired.length} connections with client certificates are closed, since fewer are trusted now; clients connect again.`,
    );
  }

  #expire(): void {
    const wall = this.#ports.time.wall();
    const later = [...this.#open].flatMap((socket) => this.shownBy(socket)?.expiresAt ?? []).filter((at) => at > wall);
    this.#nextExpiry = later.reduce((first, at) => Math.min(first, at), Infinity);
    for (const listener of this.#listeners) listener();
  }

  /** Tells once that one is to be renewed, and once that it is too late: true, and whoever is here has to come anew, to be told. */
  #followLists(): boolean {
    const { log, time } = this.#ports;
    const [before, wall, { terms }] = [this.#lookedAtLists, time.wall(), this.#used.lists];
    this.#lookedAtLists = wall;
    const hasCome = (at: number): boolean => before < at && at <= wall;
    const fix = 'put a new one there, which is read at once, without a restart';
    const file = `A revocation list in ${this.#tls.crlFile}`;
    const over = terms.find(({ until }) => hasCome(until));
    const [near] = terms
      .filter((term) => hasCome(warningOf(term)) && term.until > wall)
      .toSorted((one, other) => one.until - other.until);
    if (near !== undefined)
      log.warn(
        `${file} ends in ${spanText(near.until - wall)}, and whom its CA has signed is then trusted no longer: ${fix}.`,
      );
    if (over !== undefined)
      log.error(`${file} is out of date, so whom its CA has signed is trusted no longer: ${fix}.`);
    return over !== undefined;
  }

  /** Once when it is near, and once when it has come. */
  #warnOfExpiry(): void {
    const { log, time } = this.#ports;
    const { own } = this.#used.material;
    const leftMs = expiryOf(own) - time.wall();
    if (leftMs > WARN_BEFORE_MS) return;
    const stage = `${own.fingerprint256} ${leftMs <= 0}`;
    if (stage === this.#warnedOf) return;
    this.#warnedOf = stage;
    const fix = `put a new one, with its key, in the place of ${this.#tls.certFile}: it is read at once, without a restart`;
    if (leftMs <= 0)
      log.error(`The certificate of the registry has expired (${own.validTo}), so clients refuse it: ${fix}.`);
    else log.warn(`The certificate of the registry expires in ${spanText(leftMs)} (${own.validTo}): ${fix}.`);
  }
}

const warningOf = ({ from, until }: ListTerm): number =>
  until === Infinity ? Infinity : until - (until - from) * WARN_BEFORE_RATIO;

function isNarrower(before: Used, next: Used): boolean {
  const isListed = before.lists.texts.join('') !== next.lists.texts.join('');
  return isListed || before.material.cas.some((ca) => !next.material.cas.includes(ca));
}

function credentials<Context>(
  terms: CredentialTerms,
  name: string,
  build: (pem: Pem) => Context,
  log: Log,
): Credentials<Context> {
  return new Credentials({ terms, option: name, log, ...PEM_FILES, build });
}

/** Throws where they do not belong together. */
function materialOf({ ca, cert = '', key }: Pem): Material {
  const cas = contextOf({ ca, cert, key }).cas.map(({ fingerprint256 }) => fingerprint256);
  return { ca, cert, key, cas, own: new X509Certificate(cert) };
}
