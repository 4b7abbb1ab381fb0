// Which filter answers an uncaught RollcallError: prints the status over HTTP and the error over TCP, by the order of
// imports.
import 'reflect-metadata';
import { Catch, Controller, Get, Module } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { ClientTCP, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { RollcallError, RollcallModule } from '@rollcall/nestjs';
import type { AddressInfo } from 'node:net';
import { lastValueFrom, throwError } from 'rxjs';

@Controller('fail')
class Failing {
  @Get()
  overHttp(): never {
    throw new RollcallError('ALL_EJECTED', 'no instance');
  }

  @MessagePattern('fail')
  overTcp(): never {
    throw new RollcallError('ALL_EJECTED', 'no instance');
  }
}

@Catch()
class CatchAll implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): unknown {
    if (host.getType() === 'rpc') return throwError(() => ({ code: 'CAUGHT' }));
    return host.switchToHttp().getResponse().status(418).send('caught');
  }
}

@Module({ providers: [{ provide: APP_FILTER, useClass: CatchAll }] })
class FilterModule {}

async function answers(imports: readonly ('ours' | 'theirs')[]): Promise<string> {
  const modules = imports.map((one) => (one === 'ours' ? RollcallModule.forRoot() : FilterModule));
  @Module({ imports: modules, controllers: [Failing] })
  class AppModule {}
  const app = await NestFactory.create(AppModule, { logger: false });
  const server = app.connectMicroservice<MicroserviceOptions>(
    { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
    { inheritAppConfig: true },
  );
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  const { status } = await fetch(`${await app.getUrl()}/fail`);
  const { port } = server.unwrap<{ address(): AddressInfo }>().address();
  const client = new ClientTCP({ host: '127.0.0.1', port });
  const error = await lastValueFrom(client.send<{ code?: string }>('fail', {})).catch(
    (thrown: { code?: string }) => thrown,
  );
  client.close();
  await app.close();
  return `${status} ${error.code ?? ''}`;
}

async function main(): Promise<void> {
  const seen = {
    alone: await answers(['ours']),
    first: await answers(['ours', 'theirs']),
    last: await answers(['theirs', 'ours']),
  };
  console.log(JSON.stringify(seen));
}

void main();
