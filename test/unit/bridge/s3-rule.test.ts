/** Rules of S3, there and back. */
import t from 'tap';
import { fromS3, toS3, unknownElements } from '../../../bridge/archive/s3-rule.js';
import { ownRules } from '../../../bridge/archive/own-rules.js';

t.test('our rules come back as they were, in both forms', (t) => {
  const wishes = { abortUploadsDays: 7, expireDays: 400, expireNoncurrentDays: 30 };
  for (const rule of ownRules('plant', {
    ...wishes,
    transition: { storageClass: 'GLACIER_IR', afterDays: 90 },
  }))
    for (const isOld of [false, true]) t.match(fromS3(toS3(rule, isOld)), rule);
  t.throws(
    () => toS3({ ...fromS3({ Status: 'Enabled' }), expires: { onDay: '2030-01-01' } }, false),
    /our rules have days/,
  );
  t.end();
});

t.test('what others write is understood', (t) => {
  t.match(fromS3({ Status: 'Disabled', Prefix: 'a/' }), { id: '', isEnabled: false, prefix: 'a/' });
  const and = { Prefix: 'a/', Tags: [{ Key: 'k', Value: 'v' }], ObjectSizeLessThan: 5 };
  t.match(fromS3({ ID: 'x', Status: 'Enabled', Filter: { And: and } }), {
    ...{ id: 'x', isEnabled: true, prefix: 'a/', tags: ['k=v'], sizes: ['smaller than 5 bytes'] },
  });
  t.match(
    fromS3({
      ...{
        Status: 'Enabled',
        Filter: { ObjectSizeGreaterThan: 7 },
        Transitions: [{ StorageClass: 'GLACIER' }],
      },
      Expiration: { Date: new Date('2030-01-01T00:00:00Z') },
    }),
    {
      ...{ prefix: '', sizes: ['larger than 7 bytes'], expires: { onDay: '2030-01-01' } },
      transitions: [{ storageClass: 'GLACIER', time: { afterDays: 0 } }],
    },
  );
  t.equal(fromS3({ Status: 'Enabled', Expiration: { ExpiredObjectDeleteMarker: true } }).expires, undefined);
  t.match(fromS3({ Status: 'Enabled', Filter: { Tag: { Key: 'k', Value: 'v' } } }), { tags: ['k=v'] });
  t.end();
});

t.test('elements that would be lost are named', (t) => {
  const rule =
    '<Rule><ID>x</ID><Expiration><Days>1</Days><ExpiredObjectAllVersions>true</ExpiredObjectAllVersions>';
  t.same(unknownElements(`<?xml version="1.0"?><LifecycleConfiguration xmlns="x">${rule}`), [
    'ExpiredObjectAllVersions',
  ]);
  t.same(unknownElements('<LifecycleConfiguration><Rule><DelMarkerExpiration/></Rule>'), [
    'DelMarkerExpiration',
  ]);
  t.same(unknownElements(''), []);
  t.end();
});
