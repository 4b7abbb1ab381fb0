// Answers every error with a filter of its own.
import 'reflect-metadata';
import { Catch, Controller, Get, Module } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { InjectService, isRollcallError, RollcallModule, ServiceClient } from '@rollcall/nestjs';

interface Response {
  status(code: number): { json(body: unknown): void };
}

@Catch()
class EverythingFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Response>();
    response.status(418).json({ filter: 'everything', code: isRollcallError(error) ? error.code : null });
  }
}

@Controller()
class Gateway {
  constructor(@InjectService('absent') private readonly absent: ServiceClient) {}

  @Get('call')
  call() {
    return this.absent.call('find', {}); // no instance is registered under this name
  }

  @Get('observable')
  observable() {
    return this.absent.send('find', {});
  }

  @Get('own')
  own() {
    throw new Error('of the application itself');
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'filtered' }), RollcallModule.forFeature(['absent'])],
  controllers: [Gateway],
  providers: [{ provide: APP_FILTER, useClass: EverythingFilter }],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  console.log(JSON.stringify({ url: await app.getUrl() }));
}

void main();
