import t from 'tap';
import { MemoryStore } from '../../storage/index.js';
import { Random } from '../sim/random.js';
import { Scheduler } from '../sim/scheduler.js';
import { SimStore } from '../sim/store.js';
import { Sometimes } from '../sim/sometimes.js';
import { RecordedSessions, testStore, testStoreParts } from '../support/disk-store.js';
import { storeContract } from './store-contract.js';

storeContract(t, 'memory', {
  create: async () => {
    const store = new MemoryStore();
    await store.open();
    return store;
  },
});

storeContract(t, 'disk', {
  create: async () => {
    const store = testStore(testStoreParts());
    await store.open(new RecordedSessions());
    return store;
  },
});

// The simulation is only worth what its store is.
let seed = 0;
storeContract(t, 'simulated', {
  create: async () => {
    const scheduler = new Scheduler();
    const random = new Random(seed++, 'store');
    const options = { commitMaxMs: 100, openMaxMs: 100, lateQueues: true };
    const store = new SimStore(scheduler, random, options, new Sometimes());
    await store.open();
    // Virtual time passes by itself.
    const pass = (): void => {
      void scheduler.advance(10).then(() => {
        if (!closed) setImmediate(pass);
      });
    };
    let closed = false;
    const close = store.close.bind(store);
    store.close = async () => {
      await close();
      while (store.committed < store.log.length) await scheduler.advance(100);
      closed = true;
    };
    setImmediate(pass);
    return store;
  },
});
