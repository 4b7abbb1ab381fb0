import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

@Controller('buyers')
class BuyersController {
  constructor(private readonly rollcall: Rollcall) {}

  @Get(':id') // a GET may be repeated, so it needs no decorator
  find(@Param('id') id: string) {
    return { id, instance: this.rollcall.id };
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'users' })],
  controllers: [BuyersController],
})
class UsersModule {}

// Express, or Fastify: Rollcall treats them alike
const isFastify = process.argv[2] === 'fastify';
const app = await (isFastify ? NestFactory.create(UsersModule, new FastifyAdapter()) : NestFactory.create(UsersModule));
app.enableShutdownHooks(); // a SIGTERM drains: no request fails
await app.listen(0, '0.0.0.0'); // any free port: callers find it
