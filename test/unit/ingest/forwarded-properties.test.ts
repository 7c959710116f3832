import t from 'tap';
import { encodeForwardedProperties, encodeUserProperties } from '../../../lib/ingest/forwarded-properties.js';
import { decodeProperties, type Properties } from '../../../lib/protocol/index.js';

function decoded(bytes: Uint8Array): Properties {
  // The block as a packet carries it, with its length in front.
  if (bytes.length > 127) throw new Error('the test writes one length byte');
  return decodeProperties(Buffer.concat([Buffer.from([bytes.length]), bytes]), 0, 'publish', 'toClient').properties;
}
