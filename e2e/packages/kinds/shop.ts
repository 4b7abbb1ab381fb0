import { fromJSON } from '@grpc/proto-loader';
import type { GrpcMethod } from '@rollcall/nestjs';

/** What each kind of application is registered as. */
export const KINDS = ['tcp', 'express', 'fastify', 'grpc', 'hybrid-express', 'hybrid-fastify'] as const;
export type Kind = (typeof KINDS)[number];

/** Over what each of them is called. */
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

/** Which instance answered, and which question. */
export interface Answer {
  readonly id: string;
  readonly instance: string;
}

const text = (id: number) => ({ type: 'string', id });

/** What a proto file would say. */
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
