import type { onSendHookHandler } from 'fastify';
import { Audit } from '../../access/audit.js';
import { permissionOf } from '../../access/permissions.js';
import { auditDetails, OPEN_ENTRANCE } from '../access/authorization.js';
import { peerOf, secretOf } from '../exchange/request.js';
import type { RouteContext } from '../route-context.js';

/**
 * The access log of a registry without access control: Fastify's hook `onSend`, which logs the actions of operators
 * and, with `insecure`, all actions with their sources.
 */
export function openAccessLog(context: Pick<RouteContext, 'insecure' | 'log' | 'time'>): onSendHookHandler {
  const audit = new Audit(context);
  return (request, reply, payload, done) => {
    const { method, url, routeOptions } = request;
    const status = reply.statusCode;
    const permission = permissionOf(method, routeOptions.url ?? '');
    if (permission?.acts === true && status < 300) {
      const isByInstance = permission.who.includes('instance') && secretOf(request) !== null;
      const isByOperator = permission.who.includes('operator') && OPEN_ENTRANCE.operatorOf(request) !== null;
      const who = isByInstance ? 'the instance itself' : isByOperator ? 'an operator' : 'anonymous';
      const what = `${method} ${url.split('?', 1)[0] ?? ''}`;
      if (context.insecure || who === 'an operator') {
        audit.acted({ who, from: peerOf(request).address, what, about: auditDetails(request, true), status });
      }
    }
    done(null, payload);
  };
}
