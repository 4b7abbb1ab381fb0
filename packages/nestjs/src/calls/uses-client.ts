import { PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import type { ModulesContainer } from '@nestjs/core';
import { Rollcall } from '@rollcall/client';
import { ROLLCALL, SETTINGS } from '../inject.js';

/**
 * True if a provider or controller of the application's modules injects the client: a `ServiceClient`, or the
 * `Rollcall` itself. It does not see code that takes it from the running application (`app.get`).
 */
export function usesClient(modules: ModulesContainer): boolean {
  return [...modules.values()].some((module) => {
    // our own modules, in which everything uses it
    if (module.providers.has(SETTINGS)) return false;
    const wrappers = [...module.providers.values(), ...module.controllers.values(), ...module.injectables.values()];
    return wrappers.some(({ inject, metatype }) => [...(inject ?? []), ...wantedBy(metatype)].some(isCaller));
  });
}

/** The dependencies of a class. */
function wantedBy(metatype: unknown): readonly unknown[] {
  if (typeof metatype !== 'function') return [];
  const types = listOf(Reflect.getMetadata('design:paramtypes', metatype));
  const tokens = listOf(Reflect.getMetadata(SELF_DECLARED_DEPS_METADATA, metatype)).map((one) => fieldOf(one, 'param'));
  const properties = listOf(Reflect.getMetadata(PROPERTY_DEPS_METADATA, metatype)).map((one) => fieldOf(one, 'type'));
  return [...types, ...tokens, ...properties];
}

function isCaller(wanted: unknown): boolean {
  const token = fieldOf(wanted, 'token') ?? wanted;
  return token === ROLLCALL || token === Rollcall;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
