import { notNeeded, taken, takenWithCare, unsupported, type Outcome } from './outcome.js';
import { always, byFlag, byNumber, type Rules } from './rule.js';

const CIPHERS_INSTEAD =
  'TLS 1.2 and 1.3 are spoken with the ciphers of Node.js; node --tls-cipher-list changes them';
const AS_USER = unsupported(
  'certificates do not stand for a user name',
  'give the clients passwords as well; listeners.tls.requireClientCertificate still asks for the certificate',
);
const SAME = notNeeded('the gateway does the same');

function tlsVersion(value: string): Outcome {
  switch (value) {
    case 'tlsv1.3':
      return taken({ 'listeners.tls.minVersion': 'TLSv1.3' });
    case 'tlsv1.2':
      return taken({ 'listeners.tls.minVersion': 'TLSv1.2' });
    default:
      return takenWithCare({ 'listeners.tls.minVersion': 'TLSv1.2' }, 'older versions of TLS are not spoken');
  }
}

/** Options of one listener whose outcome does not depend on its other lines; settings are merged over the listeners. */
export const LISTENER_RULES: Rules = {
  capath: always(notNeeded('a cafile says whose certificates count')),
  ciphers: always(unsupported('the list of ciphers cannot be chosen', CIPHERS_INSTEAD)),
  'ciphers_tls1.3': always(unsupported('the list of ciphers cannot be chosen', CIPHERS_INSTEAD)),
  crlfile: always(notNeeded('it is for certificates of clients, which nobody asks for here')),
  dhparamfile: always(notNeeded('keys are agreed on with elliptic curves')),
  http_dir: always(
    unsupported(
      'files are not served',
      'serve them with a web server, which may pass /mqtt on to listeners.wsPort',
    ),
  ),
  max_qos: maxQos,
  maximum_qos: maxQos,
  max_topic_alias: byNumber({ key: 'mqtt.topicAliasMaximum', min: 0, max: 65_535 }),
  mount_point: always(
    unsupported('topics are taken as clients say them', 'let the clients say the whole topic'),
  ),
  psk_hint: always(
    unsupported('TLS with pre-shared keys is not supported', 'use certificates, or passwords over TLS'),
  ),
  tls_engine: always(unsupported('engines of OpenSSL are not loaded', 'give the key in a file')),
  tls_engine_kpass_sha1: always(unsupported('engines of OpenSSL are not loaded', 'give the key in a file')),
  tls_keyform: (value) =>
    value === 'pem' ? SAME : unsupported('engines of OpenSSL are not loaded', 'give the key in a file'),
  tls_version: tlsVersion,
  use_identity_as_username: byFlag(AS_USER, SAME),
  use_subject_as_username: byFlag(AS_USER, SAME),
  use_username_as_clientid: byFlag(
    unsupported(
      'a client keeps the id that it gives: one that knows the id of another can take its place',
      'let %u stand in the ACL, and give devices ids that cannot be guessed',
    ),
    SAME,
  ),
};

/** Options that are for the listener they stand under where per_listener_settings is true, and whose value is all that counts. */
export const SECURITY_RULES: Rules = {
  allow_zero_length_clientid: byFlag(
    SAME,
    unsupported(
      'clients without an id are let in and get one',
      'nothing has to be done: they keep no session',
    ),
  ),
  auto_id_prefix: always(
    unsupported('the ids that are made have no prefix to choose', 'give clients their ids'),
  ),
  psk_file: always(
    unsupported('TLS with pre-shared keys is not supported', 'use certificates, or passwords over TLS'),
  ),
};

function maxQos(value: string): Outcome {
  if (value === '2') return SAME;
  return unsupported(
    'every QoS is taken',
    'nothing has to be done: what is published with a higher one is delivered',
  );
}
