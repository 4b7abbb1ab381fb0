import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ArgumentsHost } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { ERROR_CODES, RollcallError, silentLog } from '@rollcall/core';
import { expect, it } from 'vitest';
import { RollcallExceptionFilter } from './exception-filter.js';

const page = readFileSync(fileURLToPath(new URL('../../../../docs/ERRORS.md', import.meta.url)), 'utf8');

/** The filter's answer to an error of this code. */
function statusOf(code: (typeof ERROR_CODES)[number]): number {
  let status = 0;
  const httpAdapter = {
    isHeadersSent: () => false,
    setHeader() {},
    reply: (_response: unknown, _body: unknown, given: number) => void (status = given),
  };
  const host = { getType: () => 'http', switchToHttp: () => ({ getResponse: () => ({}) }) };
  const filter = new RollcallExceptionFilter({ httpAdapter } as unknown as HttpAdapterHost, silentLog);
  filter.catch(new RollcallError(code, 'for a test'), host as unknown as ArgumentsHost);
  return status;
}

it.each([...ERROR_CODES])('docs/ERRORS.md states the HTTP status of %s with which the filter answers', (code) => {
  const entry = page.slice(page.indexOf(`### ${code}\n`));
  expect(/\*\*HTTP:\*\* (\d{3})/.exec(entry)?.[1]).toBe(String(statusOf(code)));
});
