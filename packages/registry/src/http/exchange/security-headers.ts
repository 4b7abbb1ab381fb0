import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * For browsers, with every answer to a GET: what they navigate to, embed or load. An answer here is data: it runs nothing, loads
 * nothing, is shown in no frame, read by no other origin and kept in no cache, whatever its type is taken for. A page of the registry
 * itself replaces the policy by one of its own.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** Fastify's hook `onRequest`. What acts comes from no navigation, so it needs none of them. */
export function securityHook(request: FastifyRequest, reply: FastifyReply, next: () => void): void {
  if (request.method === 'GET' || request.method === 'HEAD') reply.headers(SECURITY_HEADERS);
  next();
}
