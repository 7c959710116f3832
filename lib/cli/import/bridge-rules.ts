import { unsupported } from './outcome.js';

/** Options that describe a bridge, behind its `connection` line. */
export const BRIDGE_OPTIONS: ReadonlySet<string> = new Set([
  'address',
  'addresses',
  'bridge_alpn',
  'bridge_attempt_unsubscribe',
  'bridge_bind_address',
  'bridge_cafile',
  'bridge_capath',
  'bridge_certfile',
  'bridge_identity',
  'bridge_insecure',
  'bridge_keyfile',
  'bridge_max_packet_size',
  'bridge_outgoing_retain',
  'bridge_protocol_version',
  'bridge_psk',
  'bridge_require_ocsp',
  'bridge_tls_version',
  'cleansession',
  'clientid',
  'idle_timeout',
  'keepalive_interval',
  'local_cleansession',
  'local_clientid',
  'local_password',
  'local_username',
  'notification_topic',
  'notifications',
  'notifications_local_only',
  'password',
  'remote_clientid',
  'remote_password',
  'remote_username',
  'restart_timeout',
  'round_robin',
  'start_type',
  'threshold',
  'topic',
  'try_private',
  'username',
]);

/** What becomes of a `connection` line. */
export const BRIDGE = unsupported(
  'bridges to other brokers are not built yet',
  'between your own gateways a mesh takes their place ("sprawl-edge init" and "join", docs/mesh.md); for a broker of somebody else keep a mosquitto with this bridge as a client of the gateway',
);

/** An option of a bridge without a `connection` line before it; mosquitto refuses the file. */
export const LOST_BRIDGE_OPTION = unsupported(
  'it is of a bridge, and no connection line stands before it',
  'mosquitto refuses such a file',
);
