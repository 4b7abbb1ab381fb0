import { Module } from '@nestjs/common';
import { RollcallModule } from '@rollcall/nestjs';
import { OrdersController } from './orders.controller';

@Module({
  imports: [RollcallModule.forRoot({ service: 'orders' }), RollcallModule.forFeature(['users'])],
  controllers: [OrdersController],
})
export class AppModule {}
