import type { GrpcOptions } from '@nestjs/microservices';
import type { GrpcMethod } from '@rollcall/client';
import { isRecord, messageOf, nearest, option, parseOptions, RollcallError } from '@rollcall/core';

/** The gRPC services of another service; the fields are those of Nest's `ClientGrpc`. */
export interface GrpcFeature {
  /** The package of the proto: `users.v1`; several, if its services are in several. */
  readonly package: string | readonly string[];
  /** The proto file, or several; read with @grpc/proto-loader when the application starts. */
  readonly protoPath?: string | readonly string[] | undefined;
  /**
   * Options of the loader: `keepCase`, `longs`, `enums`, `bytes`, `defaults`, `arrays`, `objects`, `oneofs`, `json`,
   * `includeDirs`.
   */
  readonly loader?: GrpcOptions['options']['loader'];
  /** The definition that proto-loader has already loaded, instead of `protoPath`. */
  readonly packageDefinition?: object | undefined;
}

/** The options for the parser and docs/OPTIONS.md. */
export const grpcFields = {
  package: option.value<string | readonly string[]>({
    doc: 'The package of the proto; several, if its services are in several.',
    allowed: 'a name like users.v1, or a list of names',
    is: isTextOrTexts,
  }),
  protoPath: option.value<string | readonly string[]>({
    doc: 'The proto file, or several; read with @grpc/proto-loader when the application starts.',
    allowed: 'the path of a file, or a list of paths',
    is: isTextOrTexts,
  }),
  packageDefinition: option.value<object>({
    doc: 'The definition that @grpc/proto-loader has already loaded, instead of protoPath.',
    allowed: 'what load, loadSync or fromJSON of @grpc/proto-loader return',
    is: isRecord,
  }),
  loader: option.value<object>({
    doc: 'Options of the loader, as for ClientGrpc of Nest: keepCase, longs, enums, bytes, defaults, arrays, objects, oneofs, json, includeDirs.',
    allowed: 'an object of options of @grpc/proto-loader',
    is: isRecord,
  }),
};

/** The needed part of proto-loader, which is loaded on demand. */
export interface ProtoLoader {
  load(protoPath: string | string[], loader?: object): Promise<object>;
}

/** The gRPC services of one service, by their names in the proto. */
export interface GrpcServices {
  /**
   * The methods of `UsersService`, or by its full name of `users.v1.UsersService`, each also in camel case. Throws
   * OPTION_INVALID that names the nearest service for an unknown name, and the full names if several packages have one
   * of that name.
   */
  methodsOf(name: string): ReadonlyMap<string, GrpcMethod>;
}

/**
 * Reads the proto of a feature. Rejects with OPTION_INVALID for invalid options, a proto that cannot be read or lacks the package, and if
 * @grpc/proto-loader is not installed.
 */
export async function readGrpc(
  service: string,
  feature: GrpcFeature,
  importLoader: () => Promise<ProtoLoader> = importProtoLoader,
): Promise<GrpcServices> {
  const { package: names, protoPath, packageDefinition, loader } = parsed(service, feature);
  const packages = textsOf(names);
  if (packageDefinition !== undefined) return new ProtoServices(service, packages, packageDefinition);
  const protoLoader = await loaderOf(service, importLoader);
  const files = textsOf(protoPath);
  const definition = await protoLoader.load(files, loader).catch((error: unknown) => {
    const text = `The proto of ${service} (grpc.protoPath: ${files.join(', ')}) could not be read: ${messageOf(error)}.`;
    throw new RollcallError('OPTION_INVALID', `${text} Imports are looked for in loader.includeDirs.`, {
      cause: error,
    });
  });
  return new ProtoServices(service, packages, definition);
}

function parsed(service: string, feature: GrpcFeature) {
  try {
    return parseOptions(grpcFields, feature, [
      ({ package: names }) =>
        names === undefined ? `package is missing: write the one that the proto says, as in ${EXAMPLE}.` : null,
      ({ protoPath, packageDefinition }) =>
        (protoPath === undefined) === (packageDefinition === undefined)
          ? `Either protoPath or packageDefinition describes the services, as in ${EXAMPLE}.`
          : null,
    ]);
  } catch (error) {
    const text = `In RollcallModule.forFeature, grpc of ${service}: ${messageOf(error)}`;
    throw new RollcallError('OPTION_INVALID', text, { cause: error });
  }
}

const EXAMPLE = "grpc: { package: 'users.v1', protoPath: 'users.proto' }";

async function loaderOf(service: string, importLoader: () => Promise<ProtoLoader>): Promise<ProtoLoader> {
  try {
    return await importLoader();
  } catch (error) {
    const text = `The proto of ${service} is read with @grpc/proto-loader, which could not be loaded (${messageOf(error)}). Run: npm install @grpc/proto-loader`;
    throw new RollcallError('OPTION_INVALID', text, { cause: error });
  }
}

async function importProtoLoader(): Promise<ProtoLoader> {
  // eslint-disable-next-line no-restricted-imports -- this is the load at first use
  return import('@grpc/proto-loader');
}

class ProtoServices implements GrpcServices {
  readonly #service: string;
  readonly #packages: readonly string[];
  /** By full name. */
  readonly #services: ReadonlyMap<string, ReadonlyMap<string, GrpcMethod>>;

  constructor(service: string, packages: readonly string[], definition: object) {
    this.#service = service;
    this.#packages = [...new Set(packages)];
    this.#services = new Map(
      Object.entries(definition).flatMap(([name, value]: [string, unknown]) =>
        isService(value) ? [[name, methodsIn(value)] as const] : [],
      ),
    );
    for (const name of packages) this.#check(name);
  }

  methodsOf(name: string): ReadonlyMap<string, GrpcMethod> {
    // proto-loader reads several files at once, in random order
    const there = [...this.#services.keys()].filter((full) => this.#packages.includes(packageOf(full))).toSorted();
    const known = there.includes(name) ? [name] : there.filter((full) => shortName(full) === name);
    const [first] = known;
    const found = first === undefined ? undefined : this.#services.get(first);
    if (found === undefined) throw this.#noneError(name, there);
    if (known.length > 1) {
      const text = `The proto of ${this.#service} has several services ${name}: write ${known.join(' or ')}.`;
      throw new RollcallError('OPTION_INVALID', text);
    }
    return found;
  }

  /** Services with the same short name are listed by their full names. */
  #noneError(name: string, there: readonly string[]): RollcallError {
    const short = there.map(shortName);
    const listed = there.map((full, i) => {
      const own = shortName(full);
      return short.indexOf(own) === i && short.lastIndexOf(own) === i ? own : full;
    });
    return new RollcallError(
      'OPTION_INVALID',
      `The proto of ${this.#service} has no service ${name} in ${this.#packages.join(', ')}: it has ${listed.join(', ')}.${suggestion(name, [...listed, ...there])}`,
    );
  }

  #check(inPackage: string): void {
    if ([...this.#services.keys()].some((name) => packageOf(name) === inPackage)) return;
    const there = [...new Set([...this.#services.keys()].map(packageOf))];
    throw new RollcallError(
      'OPTION_INVALID',
      `The proto of ${this.#service} has no service in the package ${inPackage}: it has ${there.length === 0 ? 'no service at all' : `services in ${there.join(', ')}`}.${suggestion(inPackage, there)}`,
    );
  }
}

function suggestion(name: string, there: readonly string[]): string {
  const near = nearest(name, there);
  return near === null ? '' : ` Did you mean ${near}?`;
}

function shortName(fullServiceName: string): string {
  return fullServiceName.slice(fullServiceName.lastIndexOf('.') + 1);
}

/** The package of a name; a proto without a package has an empty one. */
function packageOf(fullServiceName: string): string {
  return fullServiceName.slice(0, Math.max(0, fullServiceName.lastIndexOf('.')));
}

/** As proto-loader describes it; `originalName` is the camel-case one. */
interface ProtoMethod extends GrpcMethod {
  readonly originalName?: string;
}

/** Each method under both names, as in Nest. */
function methodsIn(service: Readonly<Record<string, ProtoMethod>>): ReadonlyMap<string, GrpcMethod> {
  const methods = new Map<string, GrpcMethod>(Object.entries(service));
  for (const method of Object.values(service)) {
    const { originalName } = method;
    if (originalName !== undefined && !methods.has(originalName)) methods.set(originalName, method);
  }
  return methods;
}

/** The definition also holds types, which have a `format`. */
function isService(value: unknown): value is Readonly<Record<string, ProtoMethod>> {
  if (!isRecord(value) || 'format' in value) return false;
  return Object.values(value).every((method: unknown) => isRecord(method) && 'requestSerialize' in method);
}

function isTextOrTexts(value: unknown): value is string | readonly string[] {
  if (typeof value === 'string') return true;
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string');
}

function textsOf(value: string | readonly string[] | undefined): string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : [...value];
}
