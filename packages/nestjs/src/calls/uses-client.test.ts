import { Controller, Inject, Injectable, Module } from '@nestjs/common';
import type { Provider, Type } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { Rollcall } from '@rollcall/client';
import { describe, expect, it } from 'vitest';
import { ROLLCALL } from '../inject.js';
import { createFixture } from '../nest.fixture.js';
import { RollcallModule } from '../rollcall.module.js';
import { usesClient } from './uses-client.js';

interface Parts {
  readonly controllers?: readonly Type[];
  readonly providers?: readonly Provider[];
}

async function isSeen(parts: Parts): Promise<boolean> {
  const { module } = await createFixture({ service: 'orders' }, parts);
  return usesClient(module.get(ModulesContainer));
}

function made(inject: unknown): Provider {
  return { provide: 'made', inject: [inject as Type], useFactory: () => 1 };
}

describe('usesClient', () => {
  it('is true if a class injects the Rollcall, by its type, its token, or into a property', async () => {
    @Injectable()
    class ByType {
      constructor(readonly rollcall: Rollcall) {}
    }

    @Controller()
    class ByToken {
      constructor(@Inject(ROLLCALL) readonly rollcall: unknown) {}
    }

    @Injectable()
    class ByProperty {
      @Inject(Rollcall) readonly rollcall: unknown;
    }

    expect(await isSeen({ providers: [ByType] })).toBe(true);
    expect(await isSeen({ controllers: [ByToken] })).toBe(true);
    expect(await isSeen({ providers: [ByProperty] })).toBe(true);
  });

  it('is true if a factory injects it, also as optional', async () => {
    expect(await isSeen({ providers: [made(Rollcall)] })).toBe(true);
    expect(await isSeen({ providers: [made({ token: Rollcall, optional: true })] })).toBe(true);
  });

  it('is true if a module names services that it calls', async () => {
    const { module } = await createFixture({ service: 'orders' });
    expect(usesClient(module.get(ModulesContainer))).toBe(false);

    @Module({ imports: [RollcallModule.forFeature(['users'])] })
    class Calling {}
    const calling = await createFixture({ service: 'orders' }, { imports: [Calling] });
    expect(usesClient(calling.module.get(ModulesContainer))).toBe(true);
  });

  it('is false for an application that is only called', async () => {
    @Controller()
    class Leaf {
      constructor(@Inject('word') readonly word: string) {}
    }
    const providers = [{ provide: 'word', useValue: 'hello' }];
    expect(await isSeen({ controllers: [Leaf], providers })).toBe(false);
  });
});
