import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectService, RollcallModule, ServiceClient } from '@rollcall/nestjs';

/** The verb picks the protocol: `call`, `send` and `emit` go to TCP, `fetch` to HTTP, `grpc` to gRPC. */
@Controller('stock')
class StockGateway {
  constructor(@InjectService('stock') private readonly stock: ServiceClient) {}

  @Get(':id')
  async find(@Param('id') id: string) {
    const answer = await this.stock.fetch(`/stock/${id}`);
    return answer.json();
  }

  @Get(':id/count')
  count(@Param('id') id: string) {
    return this.stock.call('count', { id });
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'gateway' }), RollcallModule.forFeature(['stock'])],
  controllers: [StockGateway],
})
class GatewayModule {}

const app = await NestFactory.create(GatewayModule);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);
