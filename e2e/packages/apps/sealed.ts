// Its TCP server uses a message format of its own, which only callers with the same serializers understand.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { ConsumerDeserializer, IncomingRequest, MicroserviceOptions, Serializer } from '@nestjs/microservices';
import { RollcallModule } from '@rollcall/nestjs';

interface Sealed {
  readonly sealed: string;
}

class Seal implements Serializer<unknown, Sealed> {
  serialize(message: unknown): Sealed {
    return { sealed: Buffer.from(JSON.stringify(message)).toString('base64') };
  }
}

class Unseal implements ConsumerDeserializer {
  deserialize({ sealed }: Sealed): IncomingRequest {
    return JSON.parse(Buffer.from(sealed, 'base64').toString());
  }
}

@Controller()
class Orders {
  @MessagePattern('find')
  find(@Payload() { id }: { id: string }) {
    return { id };
  }
}

@Module({ imports: [RollcallModule.forRoot({ service: 'sealed' })], controllers: [Orders] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0, serializer: new Seal(), deserializer: new Unseal() },
  });
  app.enableShutdownHooks();
  await app.listen();
}

void main();
