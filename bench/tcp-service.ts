/** A Nest TCP service in a process of its own: `rollcall <registry url> <name>` is found by name, `bare` by its port. */
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions, TcpOptions } from '@nestjs/microservices';
import { RollcallModule } from '@rollcall/nestjs';

@Controller()
class Echo {
  @MessagePattern('find')
  find(question: { readonly n: number }): { readonly message: string; readonly n: number } {
    return { message: 'found', n: question.n };
  }
}

const [kind, url = '', service = 'echo'] = process.argv.slice(2);

@Module({
  imports: kind === 'rollcall' ? [RollcallModule.forRoot({ service, registry: url })] : [],
  controllers: [Echo],
})
class EchoModule {}

const app = await NestFactory.createMicroservice<MicroserviceOptions>(EchoModule, {
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: 0 },
  logger: ['error'],
} satisfies TcpOptions & { logger: ['error'] });
await app.listen();
const server = app.unwrap<{ address(): { port: number } }>();
// without the parent no process would end it
process.on('disconnect', () => process.exit());
process.send?.(JSON.stringify({ port: server.address().port, listeningAt: Date.now() }));
