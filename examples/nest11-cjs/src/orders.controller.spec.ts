import { Test, TestingModule } from '@nestjs/testing';
import { getServiceToken, isRollcallError, RollcallError } from '@rollcall/nestjs';
import { AppModule } from './app.module';
import { OrdersController } from './orders.controller';

describe('OrdersController', () => {
  const users = { call: jest.fn() };
  let app: TestingModule;

  beforeEach(async () => {
    // nothing is opened before an application listens or calls: no registry is needed here
    app = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(getServiceToken('users'))
      .useValue(users)
      .compile();
    await app.init();
  });

  afterEach(() => app.close());

  it('finds an order', () => {
    expect(app.get(OrdersController).find({ id: '7' })).toMatchObject({ id: '7', instance: expect.any(String) });
  });

  it('asks the users for its buyer', async () => {
    users.call.mockResolvedValueOnce({ name: 'Ada' });
    await expect(app.get(OrdersController).buyer('7')).resolves.toEqual({ name: 'Ada' });
    expect(users.call).toHaveBeenCalledWith('buyer-of', { order: '7' }, { idempotent: true });
  });

  it('lets a failed call through as what it is', async () => {
    users.call.mockRejectedValueOnce(new RollcallError('NO_INSTANCE', 'No instance.'));
    const failure: unknown = await app
      .get(OrdersController)
      .buyer('7')
      .catch((error: unknown) => error);
    expect(isRollcallError(failure)).toBe(true);
  });
});
