import type { Socket } from 'node:net';

/**
 * TLS handshakes under way, each with what is known of its connection. Node tells of such a connection twice, of the socket below TLS
 * (`connection`) and of the one above (`secureConnection`), and not that they belong together: the addresses of both ends say so. Two that
 * live never have the same.
 */
export class Handshakes<Known extends object> {
  readonly #underWay = new Map<string, Known>();

  /** It is under way until `finish`, or until the connection is closed. */
  begin(wire: Socket, known: Known): void {
    const ends = endsOf(wire);
    if (ends === null) return;
    this.#underWay.set(ends, known);
    wire.once('close', () => {
      // the same address may have come again meanwhile
      if (this.#underWay.get(ends) === known) this.#underWay.delete(ends);
    });
  }

  /** What is known of the connection below this socket; null: its handshake is none of those under way. */
  finish(secure: Socket): Known | null {
    const ends = endsOf(secure);
    const known = ends === null ? undefined : this.#underWay.get(ends);
    if (ends === null || known === undefined) return null;
    this.#underWay.delete(ends);
    return known;
  }

  /** None is under way from here on: those that were. */
  abandon(): readonly Known[] {
    const abandoned = [...this.#underWay.values()];
    this.#underWay.clear();
    return abandoned;
  }
}

/** Null: it has gone already. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
  return remoteAddress === undefined ? null : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
