/** The faults of one direction between two machines. Faults may overlap, so they are counted. */
export interface PathFaults {
  /** No packet gets through. */
  cut: number;
  /** No new connection: a firewall drops them; those that are open go on. */
  blocked: number;
  /** No new connection: a firewall refuses them. */
  refused: number;
  /** The share of packets that is lost. */
  lossRatio: number;
  /** Added to each packet: uniform in 0 … twice this. */
  delayMs: number;
}
