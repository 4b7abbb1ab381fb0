import { constants, X509Certificate } from 'node:crypto';
import type { Server } from 'node:https';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContextOptions, TlsOptions as NodeTlsOptions } from 'node:tls';
import { Credentials, messageOf } from '@rollcall/core';
import type { CredentialTerms, Log, Pem, Time, Timer, TlsAnswer } from '@rollcall/core';
import {
  certificateIdOf,
  clientCertificate,
  EXPIRED,
  expiryOf,
  sansOf,
  errorCodeOf,
  untrusted,
} from '../../access/client-certificates.js';
import type { CertificateRule, ClientCertificate } from '../../access/client-certificates.js';
import type { Standing } from '../../access/permissions.js';
import { contextOf, PEM_FILES } from '../../probing/protocols/pem-files.js';
import { spanText } from '../../runtime/span-text.js';
import { Handshakes } from './handshakes.js';
import { listsOf, NO_LISTS } from './revocation-lists.js';
import type { ListTerm, RevocationLists } from './revocation-lists.js';

/** TLS of the registry. All files are PEM, and are read again when they change. */
export interface RegistryTls {
  /** Its certificate, with the intermediate ones up to its CA. */
  readonly certFile: string;
  /** The private key of the certificate. */
  readonly keyFile: string;
  /** The CAs of client certificates: with them clients are asked for a certificate. Default: they are not asked. */
  readonly caFile?: string | undefined;
  /**
   * The revocation lists of those CAs: a client whose CA has an outdated list is not trusted any more. Default: no
   * certificate is revoked.
   */
  readonly crlFile?: string | undefined;
  /** The rights of certificates that were not made for Rollcall. Default: only those of their `rollcall:` URIs. */
  readonly certificates?: readonly CertificateRule[] | undefined;
}

/** The certificate of a connection. Valid until `expiresAt`, ms since 1970. */
export interface ShownCertificate {
  readonly standing: Extract<Standing, { readonly kind: 'untrusted' | 'nameless' | 'valid' }>;
  readonly expiresAt: number;
}

/** The clients of the registry by their connections. */
export interface Clients {
  /** The certificate of a connection; null: it has none, or is retired. */
  shownBy(socket: Socket): ShownCertificate | null;
  /** True once its certificate lost its trust: no further request of it may be answered, and its streams end. */
  isRetired(socket: Socket): boolean;
  /** Calls `listener` each time a certificate may have become invalid while its connection is open. */
  onDistrust(listener: () => void): void;
}

/** Time between two checks of the files, ms. */
const CHECK_EVERY_MS = 1_000;
/** Timeout of a TLS handshake, ms. */
const HANDSHAKE_MS = 5_000;
/** Maximum duration of requests under way when trust changes, ms; all clients are affected, revoked or not. */
const GRACE_MS = 1_000;
const DAY_MS = 86_400_000;
/** Time before the expiry of the registry's own certificate at which the log warns, ms. */
const WARN_BEFORE_MS = 14 * DAY_MS;
/** The log warns about a revocation list when this share of its lifetime is left: some live a month, some an hour. */
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
 * The server side of TLS: its certificate, the trusted CAs, and the connections by client certificate. It checks the
 * files once a second. A new certificate of its own applies to new connections and ends none. Unusable files change
 * nothing and are logged. When trust shrinks (a new revocation list, a removed CA), Node does not report for which
 * clients: so all connections with client certificates are closed, and valid clients reconnect. So are connections
 * whose handshake is under way, which Node verifies by the lists at their start. The same happens when a revocation
 * list goes out of date. If clients are asked for certificates, no session is resumed, as a resumed one is not verified
 * again.
 */
export class ServerTls implements Clients {
  readonly #tls: RegistryTls;
  readonly #ports: { readonly log: Log; readonly time: Time };
  readonly #material: Credentials<Material>;
  readonly #lists: Credentials<RevocationLists> | null;
  /** The material of new connections. */
  #used: Used;
  readonly #known = new WeakMap<TLSSocket, ClientCertificate | ShownCertificate>();
  /** Open connections with a client certificate. */
  readonly #open = new Set<TLSSocket>();
  /** The sockets below TLS, including those that never finish a handshake. */
  readonly #rawSockets = new Set<Socket>();
  /** Used if clients are asked for certificates. */
  readonly #handshakes = new Handshakes<Socket>();
  readonly #retired = new WeakSet<Socket>();
  readonly #listeners: (() => void)[] = [];
  #nextExpiry = Infinity;
  #warnedStage = '';
  #checkedListsAt = -Infinity;
  #lastFailure = '';
  #server: Server | null = null;
  #timer: Timer | null = null;
  #isClosed = false;

  /** Throws OPTION_INVALID for files that cannot be read or do not match. */
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

  get requestsCertificates(): boolean {
    return this.#tls.caFile !== undefined;
  }

  /** The options for Node's server. */
  get serverOptions(): NodeTlsOptions {
    // a client that Node rejects gets an answer that says why, which a failed handshake does not
    const clientAuth = { requestCert: this.requestsCertificates, rejectUnauthorized: false };
    return { ...this.#contextOptions(this.#used), ...clientAuth, handshakeTimeout: HANDSHAKE_MS };
  }

  /** The first of these names and addresses that its certificate covers; null: none. */
  nameAmong(hosts: readonly string[]): string | null {
    const { own } = this.#used.material;
    const isFor = (host: string): boolean => (isIP(host) === 0 ? own.checkHost(host) : own.checkIP(host)) !== undefined;
    return hosts.find(isFor) ?? null;
  }

  /** Follows the files for this server until `close`. */
  attach(server: Server): void {
    this.#server = server;
    // a server that cannot listen never closes either
    server.once('listening', () => this.#scheduleCheck());
    server.on('connection', (raw: Socket) => {
      this.#rawSockets.add(raw);
      if (this.requestsCertificates) this.#handshakes.begin(raw, raw);
      raw.once('close', () => this.#rawSockets.delete(raw));
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
      clientCertificates: this.requestsCertificates,
      revocationList: this.#lists !== null,
    };
  }

  /** Destroys every connection. */
  cut(): void {
    for (const raw of this.#rawSockets) raw.destroy();
  }

  /** Stops following the files. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Reads the certificate that the only handshake of the connection has shown. */
  #read(socket: TLSSocket): void {
    const read = socket.getPeerX509Certificate();
    if (read === undefined) return;
    const known = socket.authorized
      ? clientCertificate(read, this.#tls.certificates ?? [])
      : {
          standing: untrusted(certificateIdOf(read), errorCodeOf(read, String(socket.authorizationError))),
          expiresAt: -Infinity,
        };
    this.#known.set(socket, known);
  }

  #connected(socket: TLSSocket): void {
    if (!this.requestsCertificates) return;
    // verified by outdated lists
    if (this.#handshakes.finish(socket) === null) {
      socket.destroy();
      return;
    }
    // a second handshake (TLS 1.2) could show another certificate, whose revocation would go unnoticed
    socket.disableRenegotiation();
    this.#read(socket);
    const shown = this.shownBy(socket);
    if (shown === null) return;
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    if (shown.expiresAt > this.#ports.time.wall()) this.#nextExpiry = Math.min(this.#nextExpiry, shown.expiresAt);
  }

  #scheduleCheck(): void {
    if (this.#isClosed) return;
    const check = (): void => {
      this.#check();
      this.#scheduleCheck();
    };
    this.#timer = this.#ports.time.setTimer(CHECK_EVERY_MS, check, { background: true });
  }

  #check(): void {
    const before = this.#used;
    const next = this.#newest();
    const isNew = next.material !== before.material || next.lists !== before.lists;
    const isTrustReduced = isNew && this.#use(next) && reducesTrust(before, next);
    const isOver = this.#followLists();
    if (isTrustReduced || isOver) this.#retire();
    this.#warnOfExpiry();
    if (this.#ports.time.wall() >= this.#nextExpiry) this.#expire();
  }

  /**
   * Applies new files. False if Node accepts each of them but not together: then the old ones stay in use, which is
   * logged once and tried again at each check.
   */
  #use(next: Used): boolean {
    try {
      // invalidates the tickets of earlier sessions
      this.#server?.setSecureContext(this.#contextOptions(next));
    } catch (error) {
      const failure = messageOf(error);
      if (failure !== this.#lastFailure)
        this.#ports.log.error(
          `The files of TLS have changed, but Node cannot serve with them: ${failure}. Put matching files there; until then connections use the previous ones.`,
        );
      this.#lastFailure = failure;
      return false;
    }
    this.#lastFailure = '';
    // check each list again
    if (next.lists !== this.#used.lists) this.#checkedListsAt = -Infinity;
    this.#used = next;
    return true;
  }

  #contextOptions({ material: { cert, key, ca }, lists: { texts } }: Used): SecureContextOptions {
    const whole = this.requestsCertificates ? { secureOptions: constants.SSL_OP_NO_TICKET } : {};
    return { cert, key, ca, minVersion: 'TLSv1.2', ...whole, ...(texts.length === 0 ? {} : { crl: [...texts] }) };
  }

  #newest(): Used {
    return { material: this.#material.current, lists: this.#lists?.current ?? NO_LISTS };
  }

  #retire(): void {
    const retired = [...this.#open];
    for (const socket of retired) this.#retired.add(socket);
    for (const raw of this.#handshakes.abandon()) raw.destroy();
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

  /**
   * Logs once that a list must be renewed, and once that it is out of date: then it returns true, and all clients have
   * to reconnect to learn that.
   */
  #followLists(): boolean {
    const { log, time } = this.#ports;
    const [before, wall, { terms }] = [this.#checkedListsAt, time.wall(), this.#used.lists];
    this.#checkedListsAt = wall;
    const hasCome = (at: number): boolean => before < at && at <= wall;
    const fix = 'put a new one there, which is read at once, without a restart';
    const file = `A revocation list in ${this.#tls.crlFile}`;
    const over = terms.find(({ until }) => hasCome(until));
    const [near] = terms
      .filter((term) => hasCome(warningOf(term)) && term.until > wall)
      .toSorted((one, other) => one.until - other.until);
    if (near !== undefined)
      log.warn(
        `${file} ends in ${spanText(near.until - wall)}, and clients of its CA are not trusted after that: ${fix}.`,
      );
    if (over !== undefined) log.error(`${file} is out of date, so clients of its CA are no longer trusted: ${fix}.`);
    return over !== undefined;
  }

  /** Logs once when the expiry is near, and once when it has passed. */
  #warnOfExpiry(): void {
    const { log, time } = this.#ports;
    const { own } = this.#used.material;
    const leftMs = expiryOf(own) - time.wall();
    if (leftMs > WARN_BEFORE_MS) return;
    const stage = `${own.fingerprint256} ${leftMs <= 0}`;
    if (stage === this.#warnedStage) return;
    this.#warnedStage = stage;
    const fix = `put a new one, with its key, in the place of ${this.#tls.certFile}: it is read at once, without a restart`;
    if (leftMs <= 0)
      log.error(`The certificate of the registry has expired (${own.validTo}), so clients refuse it: ${fix}.`);
    else log.warn(`The certificate of the registry expires in ${spanText(leftMs)} (${own.validTo}): ${fix}.`);
  }
}

const warningOf = ({ from, until }: ListTerm): number =>
  until === Infinity ? Infinity : until - (until - from) * WARN_BEFORE_RATIO;

function reducesTrust(before: Used, next: Used): boolean {
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

/** Throws if the certificate and the key do not match. */
function materialOf({ ca, cert = '', key }: Pem): Material {
  const cas = contextOf({ ca, cert, key }).cas.map(({ fingerprint256 }) => fingerprint256);
  return { ca, cert, key, cas, own: new X509Certificate(cert) };
}
