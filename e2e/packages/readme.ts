import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/**
 * Every code block of the README, each identified by words that only it has. A block that is not here fails
 * readme.test.ts.
 */
export const BLOCKS = {
  scripts: 'npm run demo',
  pack: 'npm run pack',
  npm: 'npm install ../rollcall',
  pnpm: 'pnpm add',
  install: 'npm install @rollcall/nestjs',
  up: 'npx rollcall up',
  service: 'createMicroservice<MicroserviceOptions>(AppModule',
  caller: 'class GatewayModule',
  handler: '@Hedge({',
} as const;
export type BlockName = keyof typeof BLOCKS;

/** The imports that an editor adds when a block is pasted into a file. */
const IMPORT_SOURCES: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['loadPackageDefinition'],
  '@grpc/proto-loader': ['loadSync'],
  '@nestjs/common': ['Controller', 'Get', 'Inject', 'Injectable', 'Module', 'Param'],
  '@nestjs/core': ['NestFactory'],
  '@nestjs/microservices': [
    'ClientsModule',
    'ClientGrpc',
    'GrpcMethod',
    'MessagePattern',
    'MicroserviceOptions',
    'Transport',
  ],
  '@nestjs/terminus': ['HealthCheck', 'HealthCheckService', 'TerminusModule'],
  '@nestjs/testing': ['Test'],
  '@rollcall/nestjs': [
    'getServiceToken',
    'Hedge',
    'Idempotent',
    'InjectService',
    'InstanceChange',
    'OnInstanceChange',
    'Rollcall',
    'RollcallModule',
    'ServiceClient',
    'Timeout',
  ],
  '@rollcall/nestjs/otel': ['otelTracing'],
  '@rollcall/nestjs/prometheus': ['prometheusMeter'],
  '@rollcall/nestjs/terminus': ['RollcallHealthIndicator'],
  '@rollcall/registry/testing': ['startTestRegistry'],
  rxjs: ['lastValueFrom', 'Observable'],
  undici: ['request'],
};

/** The code of every block, verbatim, in order. */
export const CODES: readonly string[] = [...README.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, code = '']) => code);

/** The block with these words. */
export function block(name: BlockName): string {
  const [found, ...others] = CODES.filter((code) => code.includes(BLOCKS[name]));
  if (found !== undefined && others.length === 0) return found;
  throw new Error(
    `README.md has ${found ? 'several code blocks' : 'no code block'} with "${BLOCKS[name]}"; the test needs one.`,
  );
}

/** A file with this text and the imports it needs. */
export function withImports(text: string): string {
  const lines = Object.entries(IMPORT_SOURCES).flatMap(([home, names]) => {
    const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
    return used.length === 0 ? [] : [`import { ${used.join(', ')} } from '${home}';`];
  });
  return [...lines, '', text].join('\n');
}
