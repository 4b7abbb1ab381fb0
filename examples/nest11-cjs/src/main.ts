import { NestFactory } from '@nestjs/core';
import { MicroserviceOptions, Transport } from '@nestjs/microservices';
import { AppModule } from './app.module';

async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  app.connectMicroservice<MicroserviceOptions>({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 }, // any free port: callers find it. On several machines: host '0.0.0.0'
  });
  app.enableShutdownHooks(); // so that a SIGTERM drains: no call fails
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
}
void bootstrap();
