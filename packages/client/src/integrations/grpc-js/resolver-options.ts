// In a file of its own: it is part of the public types, which must compile where grpc-js is not installed.

export interface GrpcResolverOptions {
  /**
   * The scheme of the URLs: `rollcall:///orders`. grpc-js has one table of schemes for the whole process: two clients in one process
   * need two, the second registration of one takes it over. Lower-case letters, digits, `+`, `-`, `.`. Default `rollcall`.
   */
  readonly scheme?: string | undefined;
}
