import fastifyStatic from '@fastify/static';
import { folder } from '@rollcall/dashboard';
import type { FastifyPluginCallback, onSendHookHandler } from 'fastify';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { unknownRoute, sendProblem } from '../exchange/problem.js';

/**
 * The policy of the page: only its own files and its own registry, nothing inline, no frames. The page shows data of
 * services as text; this is the second line of defence.
 */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Statuses of answers with the file, with a part of it, or without it as it has not changed. */
const SENT: ReadonlySet<number> = new Set([200, 206, 304]);
/** The names of assets contain a hash of their content. */
const FOREVER = 'public, max-age=31536000, immutable';

/**
 * The dashboard: files that are built and compressed beforehand, public since they contain no data. All their addresses
 * are relative, so that it works behind any path prefix. Without the files (a source tree that was not built) there is
 * no dashboard.
 */
export const dashboardRoutes: FastifyPluginCallback = (app, _options, done) => {
  if (!existsSync(join(folder, 'index.html'))) {
    done();
    return;
  }
  void app.register(fastifyStatic, { root: folder, serve: false, cacheControl: false, preCompressed: true });
  app.get('/', { onSend: sentAs('no-cache') }, (_request, reply) => reply.sendFile('index.html'));
  app.get<{ Params: { '*': string } }>('/assets/*', { onSend: sentAs(FOREVER) }, (request, reply) => {
    const name = request.params['*'];
    // flat names only: no folders, nothing hidden
    if (!/^[\w-]+\.[\w.-]+$/.test(name)) return sendProblem(reply, unknownRoute('GET', request.url));
    return reply.sendFile(`assets/${name}`);
  });
  done();
};

/** Refusals and missing files are problem documents as everywhere, and are not cached. */
function sentAs(cache: string): onSendHookHandler {
  return (_request, reply, payload, done) => {
    if (SENT.has(reply.statusCode)) {
      reply.headers({ 'content-security-policy': PAGE_POLICY, 'cache-control': cache, vary: 'accept-encoding' });
    }
    done(null, payload);
  };
}
