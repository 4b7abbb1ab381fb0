import type { HttpRequest } from '../transport/http/message.js';
import type { GrpcMethod } from '../transport/grpc/message.js';
import { Calls } from './calls.js';
import type { CallsParts, OneCall } from './calls.js';
import type { CallObserver } from './service/call-request.js';

/** Calls by name, as a simulation sees them. See `Calls`. */
export interface CallApi {
  prepare(): Promise<void>;
  call(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<unknown>;
  grpc<Input, Output>(
    service: string,
    method: GrpcMethod<Input, Output>,
    message: Input,
    options?: OneCall,
  ): Promise<Output>;
  request(service: string, request: HttpRequest, receiver: CallObserver, options: OneCall): unknown;
  close(): Promise<void>;
}

/** Creates the calls of a client with the given copy, clock and transports. */
export const createCalls = (parts: CallsParts): CallApi => new Calls(parts);
