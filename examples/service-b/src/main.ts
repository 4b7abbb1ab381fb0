import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

/** Each answer names the instance that gave it. */
@Controller()
class PingController {
  constructor(private readonly rollcall: Rollcall) {}

  @Get('ping')
  ping() {
    return { instance: this.rollcall.id };
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'b', metadata: { pid: String(process.pid) } })],
  controllers: [PingController],
})
class AppModule {}

const app = await NestFactory.create(AppModule);
app.enableShutdownHooks(); // so that a SIGTERM drains: no request fails
await app.listen(0, process.env['BIND_HOST'] ?? '127.0.0.1'); // any free port: callers find it. On several machines: 0.0.0.0
