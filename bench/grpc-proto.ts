import { fromJSON } from '@grpc/proto-loader';

/** The content of a proto file: one method, of two fields each way. */
export const ECHO_PROTO = fromJSON({
  nested: {
    bench: {
      nested: {
        Question: { fields: { n: { type: 'int32', id: 1 } } },
        Answer: { fields: { message: { type: 'string', id: 1 }, n: { type: 'int32', id: 2 } } },
        Echo: { methods: { Find: { requestType: 'Question', responseType: 'Answer', comment: '' } } },
      },
    },
  },
});
