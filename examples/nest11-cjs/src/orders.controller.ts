import { Controller, Get, Param } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Idempotent, InjectService, Rollcall, ServiceClient } from '@rollcall/nestjs';

/** Orders, over HTTP and over TCP. */
@Controller('orders')
export class OrdersController {
  constructor(
    private readonly rollcall: Rollcall,
    @InjectService('users') private readonly users: ServiceClient,
  ) {}

  @MessagePattern('find')
  @Idempotent()
  find(@Payload() query: { id: string }) {
    return { id: query.id, instance: this.rollcall.id };
  }

  @Get(':id')
  get(@Param('id') id: string) {
    return this.find({ id });
  }

  @Get(':id/buyer')
  buyer(@Param('id') id: string) {
    return this.users.call('buyer-of', { order: id }, { idempotent: true });
  }
}
