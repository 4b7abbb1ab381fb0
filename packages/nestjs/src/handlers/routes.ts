import { RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { VersioningOptions } from '@nestjs/common';
import { METHOD_METADATA, MODULE_PATH, PATH_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import type { ApplicationConfig } from '@nestjs/core';
import { isInFront, routeNameOf } from '@rollcall/core';

/** The name of an HTTP route for callers (`routeNameOf`). */
export interface RouteName {
  readonly verb: string;
  /** `POST /orders`; null if the segment that would name it is a parameter. */
  readonly name: string | null;
}

/** The class of a controller, its handler, and the prefix of its routes in its module. */
export interface RouteParts {
  readonly controller: Function;
  readonly handler: Function;
  readonly modulePath: string;
}

const EVERY_VERB = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const PLAIN_SEGMENT = /^[\w.~%@!$&+,;=-]+$/;

/** The paths that RouterModule puts before the routes of a module. */
export function modulePathOf(module: Function, applicationId: string): string {
  const path: unknown =
    Reflect.getMetadata(MODULE_PATH + applicationId, module) ?? Reflect.getMetadata(MODULE_PATH, module);
  return typeof path === 'string' ? path : '';
}

/**
 * The names under which callers reach a handler over HTTP; none if it is not a route. A route that may be excluded from
 * the global prefix has both names: a name publishes only what all of its handlers declare, so an extra name is
 * harmless.
 */
export function routeNamesOf({ controller, handler, modulePath }: RouteParts, config: ApplicationConfig): RouteName[] {
  const own: unknown = Reflect.getMetadata(PATH_METADATA, handler);
  const verb: unknown = Reflect.getMetadata(METHOD_METADATA, handler);
  if (own === undefined || typeof verb !== 'number') return [];
  const tails = textsOf(Reflect.getMetadata(PATH_METADATA, controller)).flatMap((before) =>
    textsOf(own).map((path) => [modulePath, before, path]),
  );
  const heads = prefixesOf(config).flatMap((prefix) =>
    versionsOf(controller, handler, config.getVersioning()).map((version) => [prefix, version]),
  );
  const paths = heads.flatMap((head) => tails.map((tail) => [...head, ...tail].join('/')));
  return verbsOf(verb).flatMap((one) => paths.map((path) => ({ verb: one, name: nameOf(one, path) })));
}

function prefixesOf(config: ApplicationConfig): string[] {
  const { exclude = [] } = config.getGlobalPrefixOptions();
  return exclude.length === 0 ? [config.getGlobalPrefix()] : [config.getGlobalPrefix(), ''];
}

/** The versions as they appear in the path: only URI versioning puts them there. */
function versionsOf(controller: Function, handler: Function, options: VersioningOptions | undefined): string[] {
  if (options?.type !== VersioningType.URI) return [''];
  const declared: unknown =
    Reflect.getMetadata(VERSION_METADATA, handler) ??
    Reflect.getMetadata(VERSION_METADATA, controller) ??
    options.defaultVersion;
  if (declared === undefined) return [''];
  const prefix = options.prefix === false ? '' : (options.prefix ?? 'v');
  const versions: unknown[] = Array.isArray(declared) ? declared : [declared];
  return versions.map((version) => (version === VERSION_NEUTRAL ? '' : `${prefix}${String(version)}`));
}

function verbsOf(verb: number): readonly string[] {
  const name = RequestMethod[verb] ?? '';
  return name === 'ALL' ? EVERY_VERB : [name];
}

function nameOf(verb: string, path: string): string | null {
  const segments = path.split('/').filter((segment) => segment !== '');
  const distinguishing = segments.find((segment) => !isInFront(segment)) ?? '';
  return distinguishing === '' || PLAIN_SEGMENT.test(distinguishing)
    ? routeNameOf(verb, `/${segments.join('/')}`)
    : null;
}

function textsOf(paths: unknown): string[] {
  const list: unknown[] = Array.isArray(paths) ? paths : [paths ?? ''];
  return list.filter((path) => typeof path === 'string');
}
