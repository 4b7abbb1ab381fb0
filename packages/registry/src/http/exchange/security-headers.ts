import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Headers for browsers on every answer to a GET. An answer is data: it runs nothing, loads nothing, and is not shown in
 * a frame, read by another origin or cached, whatever type a browser takes it for. A page of the registry itself
 * replaces the policy by its own.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/**
 * The hook `onRequest` of Fastify. Methods other than GET and HEAD are never navigations, so they need none of these
 * headers.
 */
export function securityHook(request: FastifyRequest, reply: FastifyReply, next: () => void): void {
  if (request.method === 'GET' || request.method === 'HEAD') reply.headers(SECURITY_HEADERS);
  next();
}
