import { fromJSON } from '@grpc/proto-loader';
import type { GrpcMethod } from '@rollcall/nestjs';

/** The service names of the kinds of application. */
export const KINDS = ['tcp', 'express', 'fastify', 'grpc', 'hybrid-express', 'hybrid-fastify'] as const;
export type Kind = (typeof KINDS)[number];

/** The protocols of each of them. */
export const PROTOCOLS: Readonly<Record<Kind, readonly ('tcp' | 'http' | 'grpc')[]>> = {
  tcp: ['tcp'],
  express: ['http'],
  fastify: ['http'],
  grpc: ['grpc'],
  'hybrid-express': ['tcp', 'http', 'grpc'],
  'hybrid-fastify': ['tcp', 'http', 'grpc'],
};

export interface Question {
  readonly id: string;
}

/** The instance that answered, and the request. */
export interface Answer {
  readonly id: string;
  readonly instance: string;
}

const text = (id: number) => ({ type: 'string', id });

/** The content of a proto file. */
export const SHOP = fromJSON({
  nested: {
    shop: {
      nested: {
        Question: { fields: { id: text(1) } },
        Answer: { fields: { id: text(1), instance: text(2) } },
        Orders: { methods: { Find: { requestType: 'Question', responseType: 'Answer', comment: '' } } },
      },
    },
  },
});

/** The method as generated clients describe it. */
export const FIND = (SHOP['shop.Orders'] as unknown as { readonly Find: GrpcMethod<Question, Answer> }).Find;
