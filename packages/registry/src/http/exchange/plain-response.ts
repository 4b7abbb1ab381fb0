import type { Problem } from '@rollcall/core';
import type { ServerResponse } from 'node:http';
import { problemDocument, problemHeaders } from './problem.js';

/** Sends a refusal without Fastify. */
export function refuse(response: ServerResponse, problem: Problem, more: Readonly<Record<string, string>> = {}): void {
  const document = problemDocument(problem);
  send(response, document.status, { ...problemHeaders(problem), ...more }, document);
}

/** Sends a JSON response of Node without Fastify. */
export function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  document: object,
): void {
  const text = JSON.stringify(document);
  headers['content-length'] = String(Buffer.byteLength(text));
  response.writeHead(status, headers);
  response.end(text);
}
