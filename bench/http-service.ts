/** A Nest HTTP service in a process of its own: `rollcall <registry url> <name>` is found by name, `bare` by its port. */
import 'reflect-metadata';
import { Controller, Get, Module, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { RollcallModule } from '@rollcall/nestjs';

@Controller()
class Web {
  @Get('find')
  find(@Query('n') n: string): { readonly message: string; readonly n: string } {
    return { message: 'found', n };
  }
}

const [kind, url = '', service = 'web'] = process.argv.slice(2);

@Module({
  imports: kind === 'rollcall' ? [RollcallModule.forRoot({ service, registry: url })] : [],
  controllers: [Web],
})
class WebModule {}

const app = await NestFactory.create(WebModule, new FastifyAdapter(), { logger: ['error'] });
await app.listen(0, '127.0.0.1');
const server = app.getHttpServer() as { address(): { port: number } };
// without the parent no process would end it
process.on('disconnect', () => process.exit());
process.send?.(JSON.stringify({ port: server.address().port, listeningAt: Date.now() }));
