import type { Socket } from 'node:net';

/**
 * TLS handshakes under way, each with a value for its connection. Node emits the socket below TLS (`connection`) and
 * the one above (`secureConnection`) without a link between them: they are matched by the addresses of both ends, which
 * are unique among open connections.
 */
export class Handshakes<Known extends object> {
  readonly #underWay = new Map<string, Known>();

  /** Registers a handshake until `finish`, or until the connection closes. */
  begin(raw: Socket, known: Known): void {
    const ends = endsOf(raw);
    if (ends === null) return;
    this.#underWay.set(ends, known);
    raw.once('close', () => {
      // the same address may have connected again meanwhile
      if (this.#underWay.get(ends) === known) this.#underWay.delete(ends);
    });
  }

  /** The value of the connection below this socket; null: its handshake is not among those under way. */
  finish(secure: Socket): Known | null {
    const ends = endsOf(secure);
    const known = ends === null ? undefined : this.#underWay.get(ends);
    if (ends === null || known === undefined) return null;
    this.#underWay.delete(ends);
    return known;
  }

  /** Removes and returns all handshakes under way. */
  abandon(): readonly Known[] {
    const abandoned = [...this.#underWay.values()];
    this.#underWay.clear();
    return abandoned;
  }
}

/** Null: it has already disconnected. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
  return remoteAddress === undefined ? null : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
