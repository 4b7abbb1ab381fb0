// An application without a server, such as a queue worker, and with the name of a service.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RollcallModule } from '@rollcall/nestjs';

@Module({ imports: [RollcallModule.forRoot({ service: 'nightly' })] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule);
  app.enableShutdownHooks();
  setInterval(() => {}, 60_000); // its work
}

void main();
