import { PROBLEMS } from '@rollcall/core';
import type { ProblemCode } from '@rollcall/core';
import type { FastifyPluginCallback, preSerializationHookHandler } from 'fastify';
import type { ExpositionFormat } from '../../metrics/exposition.js';
import { RegistryMetrics } from '../../metrics/registry-metrics.js';
import type { RouteContext } from '../route-context.js';

const TYPES: Readonly<Record<ExpositionFormat, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** The metrics, for Prometheus. */
export const metricsRoutes: FastifyPluginCallback<RouteContext> = (app, context, done) => {
  const { registry, tls = null, metrics = new RegistryMetrics({ time: context.time }) } = context;
  const source = { registry, server: app.server, tls };
  app.addHook('onReady', (ready) => {
    metrics.follow(source);
    ready();
  });
  app.addHook('onClose', (_app, closed) => {
    metrics.close();
    closed();
  });

  app.get('/metrics', async (request, reply) => {
    const format = formatFor(request.headers.accept);
    await metrics.refresh(source);
    return reply.type(TYPES[format]).send(metrics.text(format));
  });

  done();
};

/** OpenMetrics for clients that accept it at least as gladly as text; else text. */
export function formatFor(accept = ''): ExpositionFormat {
  const qualities = { openmetrics: 0, text: 0 };
  for (const part of accept.split(',')) {
    const [type = '', ...parameters] = part.split(';').map((word) => word.trim().toLowerCase());
    const quality = Number(parameters.find((word) => word.startsWith('q='))?.slice(2) ?? 1);
    const version = parameters.find((word) => word.startsWith('version='))?.slice(8) ?? '1.0.0';
    if (type === 'application/openmetrics-text' && version === '1.0.0')
      qualities.openmetrics = Math.max(qualities.openmetrics, quality);
    if (type === 'text/plain') qualities.text = Math.max(qualities.text, quality);
  }
  return qualities.openmetrics > 0 && qualities.openmetrics >= qualities.text ? 'openmetrics' : 'text';
}

/** Counts the responses of Fastify: each refusal by its code, and the outcomes of registrations. */
export function answersCounted(metrics: RegistryMetrics): preSerializationHookHandler {
  return (request, reply, payload, next) => {
    const code = reply.statusCode < 400 ? null : codeOf(payload);
    if (code !== null) metrics.refused(code);
    const isRegistration = request.method === 'POST' && request.routeOptions.url === '/api/v1/register';
    if (isRegistration && (code !== null || reply.statusCode < 400)) metrics.registered(code);
    next(null, payload);
  };
}

function codeOf(payload: unknown): ProblemCode | null {
  const code: unknown = typeof payload === 'object' && payload !== null ? Reflect.get(payload, 'code') : undefined;
  return isProblemCode(code) ? code : null;
}

const isProblemCode = (code: unknown): code is ProblemCode => typeof code === 'string' && Object.hasOwn(PROBLEMS, code);
