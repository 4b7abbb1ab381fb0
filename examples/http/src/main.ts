import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

@Controller('buyers')
class BuyersController {
  constructor(private readonly rollcall: Rollcall) {}

  @Get(':id') // a GET may be asked twice, so nothing has to be said
  find(@Param('id') id: string) {
    return { id, instance: this.rollcall.id };
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'users' })],
  controllers: [BuyersController],
})
class UsersModule {}

// Express, or Fastify: to Rollcall they are alike
const isFastify = process.argv[2] === 'fastify';
const app = await (isFastify ? NestFactory.create(UsersModule, new FastifyAdapter()) : NestFactory.create(UsersModule));
app.enableShutdownHooks(); // a SIGTERM drains: nobody's request fails
await app.listen(0, '0.0.0.0'); // any free port: callers find it
