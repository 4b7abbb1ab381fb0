import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import { request } from 'undici';

@Controller()
class BuyersGateway {
  constructor(
    @InjectService('users') private readonly users: ServiceClient,
    private readonly rollcall: Rollcall,
  ) {}

  /** `fetch`, whose host is the service. */
  @Get('buyers/:id')
  async find(@Param('id') id: string) {
    const answer = await this.users.fetch(`/buyers/${id}`);
    return answer.json();
  }

  /** An existing HTTP client, with a dispatcher: the name of a service is a host. */
  @Get('customers/:id')
  async findByUrl(@Param('id') id: string) {
    const dispatcher = await this.rollcall.dispatcher();
    const { body } = await request(`http://users/buyers/${id}`, { dispatcher });
    return body.json();
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'gateway' }), RollcallModule.forFeature(['users'])],
  controllers: [BuyersGateway],
})
class GatewayModule {}

const app = await NestFactory.create(GatewayModule);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);
