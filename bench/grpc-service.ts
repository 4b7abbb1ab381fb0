/**
 * A Nest gRPC service in a process of its own: `rollcall <registry url> <name>` is found by name, `bare <port>` by its
 * port.
 */
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, Transport } from '@nestjs/microservices';
import type { GrpcOptions, MicroserviceOptions } from '@nestjs/microservices';
import { RollcallModule } from '@rollcall/nestjs';
import { ECHO_PROTO } from './grpc-proto.js';

@Controller()
class Echo {
  @GrpcMethod('Echo', 'Find')
  find(question: { readonly n: number }): { readonly message: string; readonly n: number } {
    return { message: 'found', n: question.n };
  }
}

const [kind, registry = '', service = 'echo'] = process.argv.slice(2);

@Module({
  imports: kind === 'rollcall' ? [RollcallModule.forRoot({ service, registry })] : [],
  controllers: [Echo],
})
class EchoModule {}

const app = await NestFactory.createMicroservice<MicroserviceOptions>(EchoModule, {
  transport: Transport.GRPC,
  options: {
    package: 'bench',
    packageDefinition: ECHO_PROTO,
    url: `127.0.0.1:${kind === 'rollcall' ? 0 : Number(registry)}`,
  },
  logger: ['error'],
} satisfies GrpcOptions & { logger: ['error'] });
await app.listen();
// without the parent no process would end it
process.on('disconnect', () => process.exit());
process.send?.(JSON.stringify({ listeningAt: Date.now() }));
