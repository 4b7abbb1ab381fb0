// Reads the options of Rollcall from `.env` with @nestjs/config, as most applications do.
import 'reflect-metadata';
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

@Controller('orders')
class Orders {
  constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

  @Get(':id')
  find(@Param('id') id: string) {
    return { id, instance: this.rollcall.id };
  }
}

@Module({
  imports: [
    ConfigModule.forRoot(),
    RollcallModule.forRootAsync({
      imports: [ConfigModule],
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        service: config.getOrThrow<string>('SHOP_SERVICE'),
        registry: config.getOrThrow<string>('SHOP_REGISTRY'),
      }),
    }),
  ],
  controllers: [Orders],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
}

void main();
