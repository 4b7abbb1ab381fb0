import 'reflect-metadata';
import { Body, Controller, Get, HttpCode, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';

/** Executing it twice does no harm, so another instance may be called when the first one dies. */
const idempotent = { idempotent: true };

@Controller()
class GatewayController {
  constructor(
    @InjectService('a') private readonly a: ServiceClient,
    @InjectService('b') private readonly b: ServiceClient,
    private readonly rollcall: Rollcall,
  ) {}

  @Get('a/ping')
  pingA() {
    return this.a.call('ping', {}, idempotent);
  }

  @Get('b/ping')
  async pingB() {
    const answer = await this.b.fetch('/ping', {}, idempotent);
    return answer.json();
  }

  @Post('a/echo')
  @HttpCode(200)
  echo(@Body() body: unknown) {
    return this.a.call('echo', body, idempotent);
  }

  /** This process's own copy of the registry's records. */
  @Get('services')
  services() {
    return ['a', 'b'].map((name) => {
      const { stale, instances } = this.rollcall.service(name);
      return { name, stale, instances: instances.map(({ id, state, reason }) => ({ id, state, reason })) };
    });
  }
}

@Module({
  imports: [
    RollcallModule.forRoot({ service: 'gateway', metadata: { pid: String(process.pid) } }),
    RollcallModule.forFeature(['a', 'b']),
  ],
  controllers: [GatewayController],
})
class AppModule {}

const app = await NestFactory.create(AppModule);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3333, process.env['BIND_HOST'] ?? '127.0.0.1');
