/** The part of opossum that the benchmark uses; it comes without types. */
declare module 'opossum' {
  class CircuitBreaker {
    constructor(
      action: () => Promise<unknown>,
      options: {
        readonly timeout: number;
        readonly capacity: number;
        readonly errorThresholdPercentage: number;
        readonly volumeThreshold: number;
        readonly rollingCountTimeout: number;
        readonly resetTimeout: number;
      },
    );
    fire(): Promise<unknown>;
    shutdown(): void;
  }
  export = CircuitBreaker;
}
