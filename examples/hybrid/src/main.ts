import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Idempotent, Rollcall, RollcallModule } from '@rollcall/nestjs';

@Controller('stock')
class StockController {
  constructor(private readonly rollcall: Rollcall) {}

  @Get(':id')
  find(@Param('id') id: string) {
    return { id, instance: this.rollcall.id };
  }

  @MessagePattern('count')
  @Idempotent()
  count(@Payload() { id }: { id: string }) {
    return { id, count: 3, instance: this.rollcall.id };
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'stock' })],
  controllers: [StockController],
})
class StockModule {}

const app = await NestFactory.create(StockModule);
app.connectMicroservice<MicroserviceOptions>(
  { transport: Transport.TCP, options: { host: '0.0.0.0', port: 0 } },
  { inheritAppConfig: true }, // pipes, guards and filters of the application hold for messages, too
);
app.enableShutdownHooks();
// one instance with two endpoints: it registers as soon as both listen
await app.startAllMicroservices();
await app.listen(0, '0.0.0.0');
