// These types have a file of their own: they are part of the public types, which must compile where grpc-js is not installed.

export interface GrpcResolverOptions {
  /**
   * The scheme of the URLs: `rollcall:///orders`. grpc-js has one table of schemes for the whole process: two clients in one process need
   * two schemes, since the second registration of a scheme replaces the first. Lower-case letters, digits, `+`, `-`, `.`. Default
   * `rollcall`.
   */
  readonly scheme?: string | undefined;
}
