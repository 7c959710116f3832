import t from 'tap';
import { Account, QOS } from './account.js';
import type { Qos } from './device.js';
import { type Site, SITES } from './readings.js';

type Step = 'published' | 'acknowledged' | 'delivered' | 'archived';

/** Two messages of each site and QoS, without a fault, but for what is left out or comes twice. */
function account(
  skip: (step: Step, site: Site, qos: Qos, at?: Site) => boolean,
  twice: typeof skip = () => false,
): Account {
  const made = new Account();
  for (const site of SITES) {
    for (const qos of QOS) {
      for (const id of [`${site}-${qos}-1`, `${site}-${qos}-2`]) {
        const happens = (step: Step, run: () => void, at?: Site): void => {
          if (id.endsWith('1') && skip(step, site, qos, at)) return;
          run();
          if (twice(step, site, qos, at)) run();
        };
        happens('published', () => made.published(site, qos, id));
        happens('acknowledged', () => made.acknowledged(site, qos, id));
        for (const at of SITES)
          if (at !== site) happens('delivered', () => made.delivered(at, site, qos, id), at);
        happens('archived', () => made.archived(site, qos, id));
      }
    }
  }
  return made;
}

t.test('where nothing is lost every sum is right', async (t) => {
  const all = account(() => false);
  t.same(all.faults(), []);
  t.ok(all.isDelivered);
  t.ok(all.isArchived);
  t.same(all.totals, { published: 18, acknowledged: 18, delivered: 36 });
  t.match(all.rows()[4], {
    ...{ site: 'depot', qos: 1, published: 2, acknowledged: 2, archived: 2, archivedTwice: 0 },
    delivered: [
      { at: 'plant', distinct: 2, repeated: 0 },
      { at: 'office', distinct: 2, repeated: 0 },
    ],
  });
});

t.test('each loss of QoS 1 and 2 is named, and none of QoS 0', async (t) => {
  for (const qos of [1, 2] as const) {
    const of = (step: Step) =>
      account((...what) => what[0] === step && what[1] === 'plant' && what[2] === qos);
    t.same(of('acknowledged').faults(), [`plant, QoS ${qos}: 1 published and not acknowledged`]);
    t.same(of('archived').faults(), [`plant, QoS ${qos}: 1 acknowledged and not archived`]);
    t.notOk(of('archived').isArchived);
    const there = account((...what) => what[0] === 'delivered' && what[2] === qos && what[3] === 'office');
    t.same(
      there.faults(),
      ['plant', 'depot'].map((site) => `${site}, QoS ${qos}: 1 acknowledged and not delivered at office`),
    );
    t.notOk(there.isDelivered);
  }
  const lossy = account((step, _, qos) => qos === 0 && (step === 'delivered' || step === 'archived'));
  t.same(lossy.faults(), []);
});

t.test('what comes twice is right with QoS 1 alone', async (t) => {
  const repeated = (qos: Qos): string[] =>
    account(
      () => false,
      (step, _, found) => found === qos && (step === 'delivered' || step === 'archived'),
    ).faults();
  t.same(repeated(1), []);
  for (const qos of [0, 2] as const) {
    t.equal(repeated(qos).filter((fault) => fault.includes('2 delivered more than once at')).length, 6);
    t.equal(repeated(qos).filter((fault) => fault.includes('2 archived more than once')).length, 3);
  }
});

t.test('what nobody published is named, and a site that published nothing', async (t) => {
  const strange = account(() => false);
  strange.delivered('office', 'plant', 0, 'x');
  strange.archived('depot', 2, 'y');
  t.same(strange.faults(), [
    'plant, QoS 0: 1 delivered at office that nobody published',
    'depot, QoS 2: 1 archived that nobody published',
  ]);
  t.equal(new Account().faults().length, 9);
});

t.test('what waits for a line is counted, and what was owed when it came back', async (t) => {
  const cut = account((step, site, qos) => step === 'delivered' && site === 'depot' && qos === 2);
  t.same(cut.waiting('depot'), [
    { at: 'plant', count: 1 },
    { at: 'office', count: 1 },
  ]);
  t.same(cut.waiting('plant'), [
    { at: 'depot', count: 0 },
    { at: 'office', count: 0 },
  ]);
  const isThere = cut.owed('depot');
  cut.acknowledged('depot', 1, 'later');
  cut.delivered('plant', 'depot', 2, 'depot-2-1');
  t.notOk(isThere());
  cut.delivered('office', 'depot', 2, 'depot-2-1');
  t.ok(isThere());
});

t.test('an archive that is read again counts once', async (t) => {
  const read = account(() => false);
  read.beginArchive();
  t.notOk(read.isArchived);
  t.equal(read.rows()[0]?.archived, 0);
});
